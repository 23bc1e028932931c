//! What goes to Ethereum and comes back from it. No I/O: whoever sends and reads does that.
//!
//! ```text
//!   AggregatedOutput ─┐
//!   joined data ──────┼─> Update ──prepare──> PreparedUpdate ──> calldata of RollupCore.updateState
//!   last proof ───────┘                                     └──> blobs, versioned hashes, sidecar
//!
//!   a transaction's input and versioned hashes ──> SettledUpdate ──with its blobs──> the blocks' state diffs
//!   revert data ──> Refusal: the contract's own error, by name
//! ```
//!
//! * [`RollupCore`] and [`CircuitVerifier`] are bindings of the contracts, generated from `abi/`; a test compares these
//!   files with what Forge compiled.
//! * [`deployment`] has the creation code with its arguments.
//!
//! Felts are numbers below the field's prime on both sides. A circuit's hash of 32 bytes is, for the contracts, the
//! little endian integer of these bytes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod abi;
mod blobs;
pub mod deployment;
mod refusal;
mod settled;
mod transaction;
mod update;

pub use abi::{CircuitVerifier, RollupCore};
pub use blobs::{BlobsError, SidecarForm, UpdateBlobs, versioned_hash};
pub use c_kzg::Blob;
pub use refusal::Refusal;
pub use settled::{SettledError, SettledUpdate};
pub use transaction::{Fees, blob_transaction};
pub use update::{PreparedUpdate, Update};

use alloy::primitives::U256;
use sidereal_os_aggregator::claims::CircuitHash;
use starknet_types_core::felt::Felt;

/// A felt as the contracts hold it.
pub fn felt_to_u256(felt: &Felt) -> U256 {
    U256::from_be_bytes(felt.to_bytes_be())
}

/// The felt behind a number of a contract; none from the field's prime on.
pub fn u256_to_felt(number: &U256) -> Option<Felt> {
    let felt = Felt::from_bytes_be(&number.to_be_bytes());
    (felt_to_u256(&felt) == *number).then_some(felt)
}

/// A circuit's root or output as the contracts hold it.
pub fn circuit_hash_to_u256(hash: &CircuitHash) -> U256 {
    U256::from_le_bytes(*hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that a number which is no felt is refused, and not reduced.
    #[test]
    fn felts_survive_and_other_numbers_do_not_pass_for_them() {
        for felt in [Felt::ZERO, Felt::ONE, Felt::MAX] {
            assert_eq!(u256_to_felt(&felt_to_u256(&felt)), Some(felt));
        }
        let prime = felt_to_u256(&Felt::MAX) + U256::ONE;
        assert_eq!(u256_to_felt(&prime), None);
        assert_eq!(u256_to_felt(&U256::MAX), None);
    }
}
