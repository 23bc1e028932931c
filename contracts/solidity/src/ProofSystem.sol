// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICircuitVerifier} from "./ICircuitVerifier.sol";

/// Everything that says which statement a proof makes. It is replaced as a whole or not at all: its parts were made
/// for each other.
///
/// Program and configuration hashes are felts. The roots are those of the circuits' preprocessed columns, which are
/// their verification keys; each is the little endian integer of its 32 bytes.
struct ProofSystem {
    /// Verifier of the last circuit's proof; holds that circuit's verification key.
    ICircuitVerifier verifier;
    /// Blake2s program hash of StarknetOS, as the bootloader computes it.
    uint256 osProgramHash;
    /// Blake2s program hash of the aggregator, as the bootloader computes it.
    uint256 aggregatorProgramHash;
    /// StarknetOS's configuration: the chain and its fee token.
    uint256 configHash;
    /// Circuit that verifies one Cairo proof.
    uint256 wrapRoot;
    /// Circuit that verifies two proofs, wrapped or merged.
    uint256 mergeRoot;
    /// Circuits that verify one proof each, in the order in which they make the last merged proof smaller for the
    /// last circuit (shrink, compact). Their number is the proof system's affair.
    uint256[] shrinkRoots;
}
