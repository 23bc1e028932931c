//! What the aggregator writes, computed in Rust.

use num_traits::ToPrimitive;
use sidereal_block_prover::{OutputForm, STARKNET_OS_BLAKE_HASH};
use sidereal_starknet_os::{BLOB_LENGTH, BlobCommitments, BlobError, OsOutput, OutputError};
use starknet_types_core::felt::Felt;

use crate::claims::{block_claim, tree_claim};
use crate::input::{AggregatorInput, MAX_BLOBS, MAX_BLOCKS};
use crate::output::AggregatedOutput;

/// Words of an output before the messages to L1 and their length.
pub(crate) const HEADER_LENGTH: usize = 10;

/// Why outputs cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nothing to join.
    #[error("there is no block")]
    NoBlocks,
    /// More blocks than the program takes.
    #[error("there are {0} blocks, and at most {MAX_BLOCKS} can be joined")]
    TooManyBlocks(usize),
    /// The tree is of other blocks.
    #[error("the tree has {leaves} leaves, and there are {blocks} blocks")]
    Tree {
        /// Leaves of the tree.
        leaves: usize,
        /// Outputs.
        blocks: usize,
    },
    /// The words are no output of StarknetOS.
    #[error("read output {index} of StarknetOS")]
    Output {
        /// Index of the output.
        index: usize,
        /// The cause.
        #[source]
        source: OutputError,
    },
    /// The output is in a form that is not proven.
    #[error("output {index} of StarknetOS is in the {found:?} form")]
    Form {
        /// Index of the output.
        index: usize,
        /// Its form.
        found: OutputForm,
    },
    /// The output is of joined blocks, or of no block.
    #[error("output {index} is not that of StarknetOS over one block: {field} is {found:#x}")]
    NotOneBlock {
        /// Index of the output.
        index: usize,
        /// Field of its header.
        field: &'static str,
        /// What stands there.
        found: Felt,
    },
    /// The block is not the one after the block before it, or of another chain.
    #[error(
        "block {index} does not continue the one before it: {field} is {found:#x}, and {expected:#x} comes next"
    )]
    Discontinuous {
        /// Index of the block's output.
        index: usize,
        /// Field of its header.
        field: &'static str,
        /// What the block before says.
        expected: Felt,
        /// What the block says.
        found: Felt,
    },
    /// The data fills more blobs than a transaction on L1 has.
    #[error("the data of the blocks has {0} felts: it fills more than {MAX_BLOBS} blobs")]
    TooMuchData(usize),
    /// A blob cannot be committed to.
    #[error("commit to the data of the blocks")]
    Blob(#[source] BlobError),
}

/// An output of StarknetOS in the form that is proven, and the words of its last part.
pub(crate) struct Sections<'a> {
    output: OsOutput,
    pub(crate) data: &'a [Felt],
}

impl<'a> Sections<'a> {
    pub(crate) fn of(index: usize, words: &'a [Felt]) -> Result<Self, JoinError> {
        let output =
            OsOutput::decode(words).map_err(|source| JoinError::Output { index, source })?;
        if output.form != OutputForm::PROVEN {
            return Err(JoinError::Form { index, found: output.form });
        }
        // The output was decoded, so each length is a number of words that are there.
        let (_, rest) = counted(words.get(HEADER_LENGTH..).unwrap_or_default());
        let (_, data) = counted(rest);
        Ok(Self { output, data })
    }
}

/// Words with their number before them, and the words behind them.
pub(crate) fn counted(words: &[Felt]) -> (&[Felt], &[Felt]) {
    let Some((length, words)) = words.split_first() else { return (&[], &[]) };
    words.split_at(length.to_usize().unwrap_or_default().min(words.len()))
}

/// Joins the outputs of consecutive blocks, as the program does.
///
/// # Errors
/// When the program would refuse them, too.
pub fn aggregate(input: &AggregatorInput) -> Result<AggregatedOutput, JoinError> {
    let blocks = input.outputs.len();
    if blocks > MAX_BLOCKS {
        return Err(JoinError::TooManyBlocks(blocks));
    }
    let leaves = input.tree.leaves();
    if leaves != blocks {
        return Err(JoinError::Tree { leaves, blocks });
    }
    let mut data = Vec::new();
    let mut messages_to_l1 = Vec::new();
    let mut messages_to_l2 = Vec::new();
    let mut ends: Option<(OsOutput, OsOutput)> = None;
    for (index, words) in input.outputs.iter().enumerate() {
        let Sections { output, data: part } = Sections::of(index, words)?;
        check_block(index, &output)?;
        data.extend_from_slice(part);
        messages_to_l1.extend_from_slice(&output.messages_to_l1);
        messages_to_l2.extend_from_slice(&output.messages_to_l2);
        ends = Some(match ends {
            None => (output.clone(), output),
            Some((first, previous)) => {
                check_successor(index, &previous, &output)?;
                (first, output)
            }
        });
    }
    let (first, last) = ends.ok_or(JoinError::NoBlocks)?;
    if data.len() > MAX_BLOBS * BLOB_LENGTH {
        return Err(JoinError::TooMuchData(data.len()));
    }
    let claims: Vec<Felt> = input.outputs.iter().map(|output| block_claim(output)).collect();
    let tree = tree_claim(&input.tree, &claims, input.wrap_root, input.merge_root)
        .ok_or(JoinError::Tree { leaves, blocks })?;
    Ok(AggregatedOutput {
        initial_root: first.initial_root,
        final_root: last.final_root,
        previous_block_number: first.previous_block_number,
        block_number: last.block_number,
        previous_block_hash: first.previous_block_hash,
        block_hash: last.block_hash,
        os_program_hash: STARKNET_OS_BLAKE_HASH,
        config_hash: first.config_hash,
        blobs: BlobCommitments::of_data(&data).map_err(JoinError::Blob)?,
        messages_to_l1,
        messages_to_l2,
        wrap_root: input.wrap_root,
        merge_root: input.merge_root,
        tree_hash: tree.output,
    })
}

fn check_block(index: usize, output: &OsOutput) -> Result<(), JoinError> {
    let not_one = |field, found| Err(JoinError::NotOneBlock { index, field, found });
    if output.os_program_hash != Felt::ZERO {
        return not_one("OS program hash", output.os_program_hash);
    }
    if output.block_number != output.previous_block_number + Felt::ONE {
        return not_one("block number", output.block_number);
    }
    Ok(())
}

fn check_successor(index: usize, previous: &OsOutput, output: &OsOutput) -> Result<(), JoinError> {
    for (field, expected, found) in [
        ("previous state root", previous.final_root, output.initial_root),
        ("previous block number", previous.block_number, output.previous_block_number),
        ("previous block hash", previous.block_hash, output.previous_block_hash),
        ("config hash", previous.config_hash, output.config_hash),
    ] {
        if expected != found {
            return Err(JoinError::Discontinuous { index, field, expected, found });
        }
    }
    Ok(())
}
