// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICircuitVerifier} from "../../src/ICircuitVerifier.sol";

/// Test double of the verifier: accepts one public output with one proof, and refuses all others.
contract OneClaimVerifier is ICircuitVerifier {
    error Refused(bytes32 output);

    bytes32 private claim;
    bytes32 private proofHash;

    function accept(bytes32 output, bytes calldata proof) external {
        claim = output;
        proofHash = keccak256(proof);
    }

    function verify(bytes32 output, bytes calldata proof) external view {
        if (output != claim || keccak256(proof) != proofHash) revert Refused(output);
    }
}
