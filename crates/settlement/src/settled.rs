//! An update as L1 has it: from a transaction and its blobs back to what was settled.

use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolCall as _;
use c_kzg::Blob;
use sidereal_os_aggregator::{
    AggregatedOutput, AggregatedOutputError, DataError, data_of_blobs, decode_data,
};
use sidereal_starknet_os::StateUpdate;
use starknet_types_core::felt::Felt;

use crate::abi::RollupCore;
use crate::blobs::{commit, commitment_bytes};
use crate::u256_to_felt;
use alloy::eips::eip4844::kzg_to_versioned_hash;

/// What a transaction to the rollup's contract has settled, if it succeeded.
#[derive(Clone, Debug)]
pub struct SettledUpdate {
    /// What the aggregator wrote.
    pub output: AggregatedOutput,
    /// KZG proofs of the blobs' values, 48 bytes each.
    pub openings: Vec<Bytes>,
    /// The last circuit's proof.
    pub proof: Bytes,
    /// Versioned hashes of the blobs, in order.
    pub blob_hashes: Vec<B256>,
}

/// A transaction is no update, or blobs are not its own.
#[derive(Debug, thiserror::Error)]
pub enum SettledError {
    /// The input is no call of `updateState`.
    #[error("read the call of updateState")]
    Call(#[source] alloy::sol_types::Error),
    /// A word of the output is from the field's prime on.
    #[error("word {index} of the output, {value:#x}, is no felt")]
    NoFelt {
        /// Index of the word.
        index: usize,
        /// The word.
        value: U256,
    },
    /// The words are no output.
    #[error("read the aggregator's output")]
    Output(#[source] AggregatedOutputError),
    /// There is not a blob for each commitment.
    #[error("there are {found} blobs, the output commits to {expected}")]
    BlobCount {
        /// Blobs, or their hashes.
        found: usize,
        /// Commitments in the output.
        expected: usize,
    },
    /// The transaction carries another blob than the output commits to.
    #[error("blob {blob} has the versioned hash {found}, the output commits to {expected}")]
    BlobHash {
        /// Index of the blob.
        blob: usize,
        /// The hash in the transaction, or of the blob.
        found: B256,
        /// The commitment's.
        expected: B256,
    },
    /// A blob is none.
    #[error("commit to blob {blob}")]
    Kzg {
        /// Index of the blob.
        blob: usize,
        /// The cause.
        #[source]
        source: c_kzg::Error,
    },
    /// The blobs hold something else than state diffs.
    #[error("read the data of the blobs")]
    Data(#[source] DataError),
}

impl SettledUpdate {
    /// Reads a transaction's input, given the versioned hashes of the blobs that it carries.
    ///
    /// # Errors
    /// When the contract would not have accepted it, as far as its form and its blobs tell.
    pub fn decode(input: &[u8], blob_hashes: &[B256]) -> Result<Self, SettledError> {
        let call = RollupCore::updateStateCall::abi_decode(input).map_err(SettledError::Call)?;
        let words = call
            .output
            .iter()
            .enumerate()
            .map(|(index, value)| {
                u256_to_felt(value).ok_or(SettledError::NoFelt { index, value: *value })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let output = AggregatedOutput::decode(&words).map_err(SettledError::Output)?;
        let update = Self {
            output,
            openings: call.openings,
            proof: call.proof,
            blob_hashes: blob_hashes.to_vec(),
        };
        update.check_hashes(blob_hashes)?;
        Ok(update)
    }

    /// The versioned hashes of the output's commitments.
    pub fn committed_hashes(&self) -> Vec<B256> {
        let commitments = &self.output.blobs.commitments;
        commitments.iter().map(|it| kzg_to_versioned_hash(&commitment_bytes(it))).collect()
    }

    /// The blocks' joined data, from the blobs themselves. Zeros fill up the last blob.
    ///
    /// # Errors
    /// When the blobs are not those that the output commits to.
    pub fn data(&self, blobs: &[Blob]) -> Result<Vec<Felt>, SettledError> {
        let hashes = blobs
            .iter()
            .enumerate()
            .map(|(blob, content)| match commit(content) {
                Ok(commitment) => Ok(kzg_to_versioned_hash(&commitment)),
                Err(source) => Err(SettledError::Kzg { blob, source }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.check_hashes(&hashes)?;
        data_of_blobs(blobs).map_err(SettledError::Data)
    }

    /// The state diff of each block, in order, from the blobs themselves.
    ///
    /// # Errors
    /// When the blobs are not those that the output commits to, or hold no state diffs.
    pub fn state_updates(&self, blobs: &[Blob]) -> Result<Vec<StateUpdate>, SettledError> {
        let data = self.data(blobs)?;
        // An output that was decoded is over at least one block.
        let blocks = self.output.blocks().unwrap_or_default();
        decode_data(&data, blocks).map_err(SettledError::Data)
    }

    fn check_hashes(&self, found: &[B256]) -> Result<(), SettledError> {
        let expected = self.committed_hashes();
        if found.len() != expected.len() {
            return Err(SettledError::BlobCount { found: found.len(), expected: expected.len() });
        }
        match (0..found.len()).find(|blob| found[*blob] != expected[*blob]) {
            Some(blob) => {
                Err(SettledError::BlobHash { blob, found: found[blob], expected: expected[blob] })
            }
            None => Ok(()),
        }
    }
}
