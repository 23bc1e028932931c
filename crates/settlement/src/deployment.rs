//! Creation code of the contracts, with the constructors' arguments.

use alloy::primitives::aliases::B192;
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolConstructor, SolType as _};
use sidereal_os_aggregator::claims::CircuitRoots;
use starknet_types_core::felt::Felt;

use crate::abi::{CircuitVerifier, RollupCore};
use crate::{circuit_hash_to_u256, felt_to_u256};

/// Compiled by `scripts/setup`.
const ROLLUP_CORE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/RollupCore.bin"));
const CIRCUIT_VERIFIER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/CircuitVerifier.bin"));
const CIRCUIT_CONSTRAINTS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/CircuitConstraints.bin"));
const CIRCLE_POINTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/CirclePoints.bin"));

/// Components of the last circuit.
pub const COMPONENTS: usize = 11;

/// The last circuit, as its verifier knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    /// Root of the preprocessed columns: Keccak-256, the first 24 bytes.
    pub preprocessed_root: [u8; 24],
    /// Rows of each component, as a power of two, in the order of S-two's `ComponentList`.
    pub component_log_sizes: [u8; COMPONENTS],
}

/// The state that a rollup begins with on L1. Taken on trust by everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Root of the state.
    pub root: Felt,
    /// Number of the last block that needs no proof.
    pub block_number: u64,
    /// Its hash.
    pub block_hash: Felt,
}

/// Which statement the last proof makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedHashes {
    /// Blake2s program hash of StarknetOS.
    pub os_program: Felt,
    /// Blake2s program hash of the aggregator.
    pub aggregator_program: Felt,
    /// StarknetOS's hash of chain id and fee token.
    pub config: Felt,
    /// The circuits between the blocks' proofs and the last one.
    pub roots: CircuitRoots,
}

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Settles at any time.
    pub operator: Address,
    /// Seconds after the last update from which on anybody may settle.
    pub operator_silence_s: u64,
    /// Replaces the proof system.
    pub governance: Address,
    /// Seconds between the announcement of another proof system and its earliest use.
    pub upgrade_delay_s: u64,
}

/// Creation code of the last proof's verifier. It creates the contract that evaluates the constraints.
pub fn circuit_verifier(key: &VerifierKey) -> Bytes {
    let arguments = CircuitVerifier::constructorCall {
        preprocessedRoot: B192::from(key.preprocessed_root),
        componentLogSizes: key.component_log_sizes,
    };
    [CIRCUIT_VERIFIER, &arguments.abi_encode()].concat().into()
}

/// Creation code of what the verifier creates by itself: evaluator of the constraints, table of points.
pub fn circuit_verifier_parts() -> [Bytes; 2] {
    [Bytes::from_static(CIRCUIT_CONSTRAINTS), Bytes::from_static(CIRCLE_POINTS)]
}

/// Creation code of the rollup's contract over the verifier at an address.
pub fn rollup_core(
    genesis: &Genesis,
    verifier: Address,
    pinned: &PinnedHashes,
    roles: &Roles,
) -> Bytes {
    let arguments = RollupCore::constructorCall {
        genesis: RollupCore::State {
            root: felt_to_u256(&genesis.root),
            blockHash: felt_to_u256(&genesis.block_hash),
            blockNumber: genesis.block_number,
        },
        system: RollupCore::ProofSystem {
            verifier,
            osProgramHash: felt_to_u256(&pinned.os_program),
            aggregatorProgramHash: felt_to_u256(&pinned.aggregator_program),
            configHash: felt_to_u256(&pinned.config),
            wrapRoot: circuit_hash_to_u256(&pinned.roots.wrap),
            mergeRoot: circuit_hash_to_u256(&pinned.roots.merge),
            shrinkRoots: [pinned.roots.shrink, pinned.roots.compact]
                .iter()
                .map(circuit_hash_to_u256)
                .collect(),
        },
        operator: roles.operator,
        operatorSilence: U256::from(roles.operator_silence_s),
        governance: roles.governance,
        upgradeDelay: U256::from(roles.upgrade_delay_s),
    };
    [ROLLUP_CORE, &arguments.abi_encode()].concat().into()
}

/// The constructor's arguments in the creation code of a rollup's contract; none if it is not this build's.
pub fn rollup_core_arguments(creation: &[u8]) -> Option<RollupCore::constructorCall> {
    type Parameters<'a> = <RollupCore::constructorCall as SolConstructor>::Parameters<'a>;
    let arguments = creation.strip_prefix(ROLLUP_CORE)?;
    let decoded = Parameters::abi_decode_params(arguments).ok()?;
    let call = RollupCore::constructorCall::new(decoded);
    (call.abi_encode() == arguments).then_some(call)
}
