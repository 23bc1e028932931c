//! What the aggregator writes.

use num_traits::ToPrimitive;
use sidereal_block_prover::{MessageToL1, OutputForm};
use sidereal_starknet_os::{BlobCommitments, OsOutput, OutputError};
use starknet_types_core::felt::Felt;

use crate::claims::{CircuitHash, halves};
use crate::input::{MAX_BLOBS, MAX_BLOCKS};

/// Words at the end that StarknetOS does not write: the two halves of three hashes.
const TRAILER_LENGTH: usize = 6;

/// The output of the aggregator: that of StarknetOS in the KZG form over all of the blocks, and a trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatedOutput {
    /// State root before the first block.
    pub initial_root: Felt,
    /// State root after the last block.
    pub final_root: Felt,
    /// Number of the block before the first one, in the field.
    pub previous_block_number: Felt,
    /// Number of the last block.
    pub block_number: Felt,
    /// Hash of the block before the first one.
    pub previous_block_hash: Felt,
    /// Hash of the last block.
    pub block_hash: Felt,
    /// Blake2s hash of the program that ran over each block.
    pub os_program_hash: Felt,
    /// Hash of chain id and fee tokens.
    pub config_hash: Felt,
    /// Commitments to the joined data.
    pub blobs: BlobCommitments,
    /// Messages to L1 of all blocks, in order.
    pub messages_to_l1: Vec<MessageToL1>,
    /// The words of the consumed messages to L2 of all blocks.
    pub messages_to_l2: Vec<Felt>,
    /// Root of the circuit that verifies a Cairo proof.
    pub wrap_root: CircuitHash,
    /// Root of the circuit that verifies two proofs.
    pub merge_root: CircuitHash,
    /// Output of the circuit at the root of the blocks' tree.
    pub tree_hash: CircuitHash,
}

/// Why words are no output of the aggregator.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AggregatedOutputError {
    /// There is no room for the trailer.
    #[error("the output has {0} words: it ends before its trailer")]
    Truncated(usize),
    /// The part that StarknetOS would write cannot be read.
    #[error("read the part of the output that has the form of StarknetOS")]
    StarknetOs(#[source] OutputError),
    /// The data is not in blobs.
    #[error("the output is in the {0:?} form")]
    Form(OutputForm),
    /// More blobs than a transaction on L1 has, or none.
    #[error("the output has {0} blobs")]
    BlobCount(usize),
    /// The block numbers are not those of so many blocks as can be joined.
    #[error("the output is of blocks after {previous:#x} up to {last:#x}")]
    BlockNumbers {
        /// Number of the block before the first one.
        previous: Felt,
        /// Number of the last block.
        last: Felt,
    },
    /// A word is larger than its part of a number can be, so that the number could be written otherwise, too.
    #[error("word {index} of the output, {value:#x}, has more than {bits} bits")]
    OutOfRange {
        /// Index of the word.
        index: usize,
        /// The word.
        value: Felt,
        /// What it may have.
        bits: usize,
    },
}

impl AggregatedOutput {
    /// Number of joined blocks.
    pub fn blocks(&self) -> Option<usize> {
        let blocks = (self.block_number - self.previous_block_number).to_usize()?;
        (1..=MAX_BLOCKS).contains(&blocks).then_some(blocks)
    }

    /// The words, as the program writes them.
    pub fn encode(&self) -> Vec<Felt> {
        let mut words = vec![
            self.initial_root,
            self.final_root,
            self.previous_block_number,
            self.block_number,
            self.previous_block_hash,
            self.block_hash,
            self.os_program_hash,
            self.config_hash,
            Felt::ONE,
            Felt::ZERO,
            self.blobs.point,
            Felt::from(self.blobs.commitments.len()),
        ];
        words.extend(self.blobs.commitments.iter().flat_map(|blob| [blob.low, blob.high]));
        for evaluation in &self.blobs.evaluations {
            let high = evaluation >> 128_usize;
            let low = evaluation - (&high << 128_usize);
            words.extend([Felt::from(low), Felt::from(high)]);
        }
        let length: usize =
            self.messages_to_l1.iter().map(|message| 3 + message.payload.len()).sum();
        words.push(Felt::from(length));
        for message in &self.messages_to_l1 {
            words.extend([message.from_address, message.to_address]);
            words.push(Felt::from(message.payload.len()));
            words.extend_from_slice(&message.payload);
        }
        words.push(Felt::from(self.messages_to_l2.len()));
        words.extend_from_slice(&self.messages_to_l2);
        words.extend([self.wrap_root, self.merge_root, self.tree_hash].iter().flat_map(halves));
        words
    }

    /// Takes the words of an output apart. What is accepted encodes to the same words again.
    ///
    /// # Errors
    /// When the words are not one output, whole, and nothing else.
    pub fn decode(words: &[Felt]) -> Result<Self, AggregatedOutputError> {
        let length = words.len();
        let start =
            length.checked_sub(TRAILER_LENGTH).ok_or(AggregatedOutputError::Truncated(length))?;
        let output =
            OsOutput::decode(&words[..start]).map_err(AggregatedOutputError::StarknetOs)?;
        let Some(blobs) = output.blobs else {
            return Err(AggregatedOutputError::Form(output.form));
        };
        let count = blobs.commitments.len();
        if count == 0 || count > MAX_BLOBS {
            return Err(AggregatedOutputError::BlobCount(count));
        }
        // Behind header, point and count.
        for index in 12..12 + 4 * count {
            number(words, index, if index < 12 + 2 * count { 192 } else { 128 })?;
        }
        let decoded = Self {
            initial_root: output.initial_root,
            final_root: output.final_root,
            previous_block_number: output.previous_block_number,
            block_number: output.block_number,
            previous_block_hash: output.previous_block_hash,
            block_hash: output.block_hash,
            os_program_hash: output.os_program_hash,
            config_hash: output.config_hash,
            blobs,
            messages_to_l1: output.messages_to_l1,
            messages_to_l2: output.messages_to_l2,
            wrap_root: hash(words, start)?,
            merge_root: hash(words, start + 2)?,
            tree_hash: hash(words, start + 4)?,
        };
        match decoded.blocks() {
            Some(_) => Ok(decoded),
            None => Err(AggregatedOutputError::BlockNumbers {
                previous: decoded.previous_block_number,
                last: decoded.block_number,
            }),
        }
    }
}

/// The word at `index`, which must have no more than `bits` bits.
fn number(words: &[Felt], index: usize, bits: usize) -> Result<Felt, AggregatedOutputError> {
    let value = words.get(index).copied().unwrap_or_default();
    if value.bits() > bits {
        return Err(AggregatedOutputError::OutOfRange { index, value, bits });
    }
    Ok(value)
}

/// The hash whose halves are at `index`.
fn hash(words: &[Felt], index: usize) -> Result<CircuitHash, AggregatedOutputError> {
    let mut hash = [0; 32];
    for (half, bytes) in hash.chunks_mut(16).enumerate() {
        let value = number(words, index + half, 128)?;
        bytes.copy_from_slice(&value.to_bytes_le()[..16]);
    }
    Ok(hash)
}
