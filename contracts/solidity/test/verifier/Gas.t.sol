// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MeteredVerifier} from "../support/MeteredVerifier.sol";
import {VerifierFixture} from "./VerifierFixture.sol";

/// Prints what verifying costs, phase by phase: `forge test --match-contract VerifierGas -vv`.
contract VerifierGas is VerifierFixture {
    string[7] private names = [
        "transcript and memory ",
        "samples and lookups   ",
        "constraints           ",
        "Merkle trees of rows  ",
        "quotients             ",
        "FRI, folding          ",
        "FRI, Merkle trees     "
    ];

    function test_gasByPhase() public {
        loadFixture();
        MeteredVerifier metered = new MeteredVerifier(preprocessedRoot, componentLogSizes);
        metered.verify(output, proof);
        uint256 execution = vm.lastCallGas().gasTotalUsed;
        uint256[] memory gasOf = metered.meter(output, proof);
        uint256 sum;
        for (uint256 i; i < gasOf.length; ++i) {
            emit log_named_uint(names[i], gasOf[i]);
            sum += gasOf[i];
        }
        emit log_named_uint("execution             ", execution);
        // The phases are all of it but for the call and its dispatch.
        vm.assertLe(sum, execution);
        vm.assertLe(execution - sum, 2_000);

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
