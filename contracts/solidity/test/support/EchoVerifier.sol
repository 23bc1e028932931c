// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICircuitVerifier} from "../../src/ICircuitVerifier.sol";

/// Test double of the verifier: the proof of a public output is that output itself. For tests without a prover that
/// settle one update after another, the settler's (services/l1-settler).
contract EchoVerifier is ICircuitVerifier {
    error Refused(bytes32 output);

    function verify(bytes32 output, bytes calldata proof) external pure {
        if (proof.length != 32 || bytes32(proof) != output) revert Refused(output);
    }
}
