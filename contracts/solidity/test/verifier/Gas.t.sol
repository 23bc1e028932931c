// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CircuitVerifier} from "../../src/verifier/CircuitVerifier.sol";
import {Quotients} from "../../src/verifier/Quotients.sol";
import {Test} from "../support/Test.sol";
import {VerifierFixture} from "./VerifierFixture.sol";

/// The verifier with a look at the gas between its phases.
contract MeteredVerifier is CircuitVerifier, Test {
    constructor(bytes24 preprocessedRoot, uint8[11] memory componentLogSizes)
        CircuitVerifier(preprocessedRoot, componentLogSizes)
    {}

    function meter(bytes32 output, bytes calldata proof) external returns (uint256 total) {
        uint256 before = gasleft();
        uint256 proofAt = _start(proof);
        uint256[9] memory gas;
        gas[0] = before;
        _replay(output, proofAt);
        gas[1] = gasleft();
        _arrange(proofAt);
        _checkLookups(proofAt);
        gas[2] = gasleft();
        _checkConstraints(proofAt);
        gas[3] = gasleft();
        uint256 end = _checkRows(proofAt);
        gas[4] = gasleft();
        Quotients.prepare(proofAt + 256, COMPONENT_LOG_SIZES);
        gas[5] = gasleft();
        Quotients.evaluate();
        gas[6] = gasleft();
        end = _checkFri(proofAt, end);
        gas[7] = gasleft();
        vm.assertEq(end - proofAt, proof.length);
        emit log_named_uint("transcript            ", gas[0] - gas[1]);
        emit log_named_uint("samples and lookups   ", gas[1] - gas[2]);
        emit log_named_uint("constraints           ", gas[2] - gas[3]);
        emit log_named_uint("Merkle trees of rows  ", gas[3] - gas[4]);
        emit log_named_uint("quotients, once       ", gas[4] - gas[5]);
        emit log_named_uint("quotients, by query   ", gas[5] - gas[6]);
        emit log_named_uint("FRI                   ", gas[6] - gas[7]);
        return gas[0] - gas[7];
    }
}

/// Prints what verifying costs, phase by phase: `forge test --match-contract VerifierGas -vv`.
contract VerifierGas is VerifierFixture {
    function test_gasByPhase() public {
        loadFixture();
        uint256 execution = new MeteredVerifier(preprocessedRoot, componentLogSizes).meter(output, proof);
        emit log_named_uint("execution             ", execution);

        // EIP-2028: 16 a byte that is not zero, 4 a zero; EIP-7623: at least 40 and 10 for all that a transaction does.
        uint256 zeros;
        for (uint256 i; i < proof.length; ++i) {
            if (proof[i] == 0) ++zeros;
        }
        uint256 tokens = zeros + 4 * (proof.length - zeros);
        uint256 standard = 21000 + 4 * tokens + execution;
        uint256 floor = 21000 + 10 * tokens;
        emit log_named_uint("bytes of the proof    ", proof.length);
        emit log_named_uint("calldata              ", 4 * tokens);
        emit log_named_uint("transaction, standard ", standard);
        emit log_named_uint("transaction, floor    ", floor);
        emit log_named_uint("gas of a transaction  ", standard > floor ? standard : floor);
        vm.assertLe(standard, 5_000_000);
        vm.assertLe(floor, 5_000_000);
    }
}
