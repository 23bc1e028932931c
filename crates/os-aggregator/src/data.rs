//! The state diffs of the blocks on their way to L1, and back.

use c_kzg::Blob;
use sidereal_starknet_os::{BLOB_LENGTH, BlobError, OutputError, StateUpdate, blob, blob_data};
use starknet_types_core::felt::Felt;

use crate::join::{JoinError, Sections};

/// Why felts are not the state diffs of so many blocks.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A state diff cannot be read.
    #[error("read the state diff of block {index} of the data")]
    StateDiff {
        /// Index of the block in the data.
        index: usize,
        /// The cause.
        #[source]
        source: OutputError,
    },
    /// Behind the last state diff there is more than what fills up the last blob.
    #[error("felt {index} behind the last state diff is no padding")]
    Excess {
        /// Index of the felt in the data.
        index: usize,
    },
    /// A blob is none of ours.
    #[error("read blob {index}")]
    Blob {
        /// Index of the blob.
        index: usize,
        /// The cause.
        #[source]
        source: BlobError,
    },
}

/// The data of blocks, from what StarknetOS wrote for each: their compressed state diffs, one after another.
///
/// # Errors
/// When an output is not in the form that is proven.
pub fn joined_data(outputs: &[Vec<Felt>]) -> Result<Vec<Felt>, JoinError> {
    let mut data = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        data.extend_from_slice(Sections::of(index, output)?.data);
    }
    Ok(data)
}

/// The blobs that the data fills: what goes on chain, in order.
///
/// # Errors
/// Never for data of [`joined_data`].
pub fn blobs(data: &[Felt]) -> Result<Vec<Blob>, BlobError> {
    data.chunks(BLOB_LENGTH).map(blob).collect()
}

/// Undoes [`blobs`], but for zeros that fill up the last blob.
///
/// # Errors
/// When a blob is not one of [`blobs`].
pub fn data_of_blobs(blobs: &[Blob]) -> Result<Vec<Felt>, DataError> {
    let mut data = Vec::with_capacity(blobs.len() * BLOB_LENGTH);
    for (index, blob) in blobs.iter().enumerate() {
        data.extend(blob_data(blob).map_err(|source| DataError::Blob { index, source })?);
    }
    Ok(data)
}

/// The state diff of each of `blocks` blocks, from their data.
///
/// # Errors
/// When the data is not so many state diffs, and nothing else but zeros that fill up the last blob.
pub fn decode_data(data: &[Felt], blocks: usize) -> Result<Vec<StateUpdate>, DataError> {
    let mut updates = Vec::new();
    let mut at = 0;
    for index in 0..blocks {
        let (update, used) = StateUpdate::decode_first(&data[at..])
            .map_err(|source| DataError::StateDiff { index, source })?;
        updates.push(update);
        at += used;
    }
    let is_padding = |index: usize| index < at.next_multiple_of(BLOB_LENGTH);
    match (at..data.len()).find(|index| data[*index] != Felt::ZERO || !is_padding(*index)) {
        Some(index) => Err(DataError::Excess { index }),
        None => Ok(updates),
    }
}
