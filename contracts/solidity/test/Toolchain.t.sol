// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./support/Test.sol";

contract ToolchainTest is Test {
    /// Blobs can be told apart, and point evaluation answers: the EVM of the tests is no older than Cancun.
    function test_the_machine_knows_blobs() public {
        bytes32[] memory hashes = new bytes32[](1);
        hashes[0] = bytes32(uint256(1));
        vm.blobhashes(hashes);
        vm.assertEq(blobhash(0), hashes[0]);
        vm.assertEq(blobhash(1), bytes32(0));
        // The commitment to the zero polynomial, opened anywhere: infinity, with infinity as the proof.
        bytes memory infinity = abi.encodePacked(bytes1(0xc0), new bytes(47));
        bytes32 versioned = bytes32((uint256(sha256(infinity)) & (type(uint256).max >> 8)) | (1 << 248));
        (bool ok, bytes memory answer) =
            address(0x0a).staticcall(abi.encodePacked(versioned, uint256(7), uint256(0), infinity, infinity));
        vm.assertTrue(ok);
        vm.assertEq(answer.length, 64);
    }
}
