// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blake2s} from "../src/Blake2s.sol";
import {Test} from "./support/Test.sol";

contract Blake2sTest is Test {
    /// Blake2s-256 of any bytes.
    function hash(bytes memory message) internal pure returns (bytes32) {
        uint256 buffer = Blake2s.newBuffer();
        for (uint256 i = 0; i < message.length; ++i) {
            // Words are big endian in the buffer.
            bytes1 character = message[i];
            uint256 to = buffer + (i ^ 3);
            if (i % 4 == 0) {
                assembly ("memory-safe") { mstore(add(buffer, i), 0) }
            }
            assembly ("memory-safe") { mstore8(to, byte(0, character)) }
        }
        return Blake2s.toBytes(Blake2s.digest(buffer, message.length));
    }

    function test_rfc7693() public pure {
        vm.assertEq(hash("abc"), 0x508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982);
    }

    function test_gas() public {
        uint256 buffer = Blake2s.newBuffer();
        uint256 before = gasleft();
        Blake2s.digest(buffer, 64);
        uint256 one = before - gasleft();
        before = gasleft();
        Blake2s.digest(buffer, 64 * 11);
        uint256 eleven = before - gasleft();
        emit log_named_uint("gas of a compression", (eleven - one) / 10);
        emit log_named_uint("gas of one", one);
    }
}
