// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CircuitVerifier} from "../../src/verifier/CircuitVerifier.sol";
import {Test} from "../support/Test.sol";

/// A real proof, made by `cargo run -p sidereal-final-proof --example prove_fixture`, and its key.
abstract contract VerifierFixture is Test {
    string private constant FOLDER = "test/verifier/fixtures/";

    bytes internal proof;
    bytes32 internal output;
    bytes24 internal preprocessedRoot;
    uint8[11] internal componentLogSizes;

    function loadFixture() internal {
        loadFixture("");
    }

    /// `large/` is of another circuit, whose components' sizes put the columns of leaves into another order.
    function loadFixture(string memory name) internal {
        string memory folder = string.concat(FOLDER, name);
        proof = vm.readFileBinary(string.concat(folder, "proof.bin"));
        string memory json = vm.readFile(string.concat(folder, "key.json"));
        output = vm.parseJsonBytes32(json, ".output");
        preprocessedRoot = bytes24(vm.parseJsonBytes(json, ".preprocessedRoot"));
        uint256[] memory logSizes = vm.parseJsonUintArray(json, ".componentLogSizes");
        for (uint256 i; i < 11; ++i) {
            componentLogSizes[i] = uint8(logSizes[i]);
        }
    }
}
