//! From what was proven to what is sent.

use alloy::primitives::Bytes;
use alloy::sol_types::SolCall as _;
use sidereal_os_aggregator::AggregatedOutput;
use starknet_types_core::felt::Felt;

use crate::abi::RollupCore;
use crate::blobs::{BlobsError, UpdateBlobs};
use crate::felt_to_u256;

/// What settles a range of consecutive blocks.
#[derive(Clone, Debug)]
pub struct Update {
    /// What the aggregator wrote over these blocks.
    pub output: AggregatedOutput,
    /// The blocks' joined data ([`sidereal_os_aggregator::joined_data`]).
    pub data: Vec<Felt>,
    /// The last circuit's proof, as the contract's verifier reads it.
    pub proof: Bytes,
}

/// An update with its KZG proofs, ready to be sent.
#[derive(Clone, Debug)]
pub struct PreparedUpdate {
    /// The call of `RollupCore.updateState`.
    pub calldata: Bytes,
    /// What the transaction carries.
    pub blobs: UpdateBlobs,
}

impl Update {
    /// Makes the blobs, opens them at the output's point, and encodes the call.
    ///
    /// Takes some milliseconds a blob, of computation alone.
    ///
    /// # Errors
    /// When the data is not what the output commits to: the contract would refuse it.
    pub fn prepare(&self) -> Result<PreparedUpdate, BlobsError> {
        let blobs = UpdateBlobs::new(&self.output.blobs, &self.data)?;
        let call = RollupCore::updateStateCall {
            output: self.output.encode().iter().map(felt_to_u256).collect(),
            openings: blobs.openings().iter().map(|opening| opening.to_vec().into()).collect(),
            proof: self.proof.clone(),
        };
        Ok(PreparedUpdate { calldata: call.abi_encode().into(), blobs })
    }
}
