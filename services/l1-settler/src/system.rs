//! What this build proves, as the contracts of a chain have to pin it.

use sidereal_aggregation::CircuitKind;
use sidereal_block_prover::STARKNET_OS_BLAKE_HASH;
use sidereal_final_proof::VerificationKey;
use sidereal_os_aggregator::AGGREGATOR_BLAKE_HASH;
use sidereal_os_aggregator::claims::CircuitRoots;
use sidereal_settlement::deployment::{PinnedHashes, VerifierKey};
use sidereal_starknet_os::{OsChain, os_config_hash};
use starknet_api::StarknetApiError;
use starknet_api::core::ChainId;

/// Programs, configuration and circuits of a chain with this id.
///
/// # Errors
/// When the id is none that StarknetOS can have.
pub fn pinned_hashes(chain_id: &ChainId) -> Result<PinnedHashes, StarknetApiError> {
    Ok(PinnedHashes {
        os_program: STARKNET_OS_BLAKE_HASH,
        aggregator_program: AGGREGATOR_BLAKE_HASH,
        config: os_config_hash(&OsChain::new(chain_id)?),
        roots: CircuitRoots {
            wrap: CircuitKind::Wrap.root().0,
            merge: CircuitKind::Merge.root().0,
            shrink: CircuitKind::Shrink.root().0,
            compact: CircuitKind::Compact.root().0,
        },
    })
}

/// The last circuit.
pub fn verifier_key() -> VerifierKey {
    let key = VerificationKey::ETHEREUM;
    // Sizes are powers of two of what fits into memory.
    let log_size = |size: u32| u8::try_from(size).unwrap_or(u8::MAX);
    VerifierKey {
        preprocessed_root: key.preprocessed_root.0,
        component_log_sizes: key.component_log_sizes.map(log_size),
    }
}
