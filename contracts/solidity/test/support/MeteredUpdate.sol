// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../../src/AggregatedOutput.sol";
import {BlobData} from "../../src/BlobData.sol";
import {OutputHash} from "../../src/OutputHash.sol";
import {ProofSystem} from "../../src/ProofSystem.sol";

/// Gas of `RollupCore.updateState`, and of its parts that cost most besides the verifier. For `bench_l1` in
/// services/l1-settler.
contract MeteredUpdate {
    using AggregatedOutput for uint256[];

    /// A refused call, with what it was refused for.
    error Failed(bytes reason);

    /// Gas of executing a call, whose caller is this contract. The called contract is warm, as a transaction's is.
    function execution(address called, bytes calldata data) external returns (uint256 gas) {
        assert(called.code.length > 0);
        bytes memory input = data;
        bool success;
        uint256 before = gasleft();
        // Solidity's own call would copy its input, and take gas for that here.
        assembly ("memory-safe") {
            success := call(gas(), called, 0, add(input, 0x20), mload(input), 0, 0)
        }
        gas = before - gasleft();
        if (!success) {
            bytes memory reason;
            assembly ("memory-safe") {
                reason := mload(0x40)
                mstore(0x40, add(reason, add(0x20, returndatasize())))
                mstore(reason, returndatasize())
                returndatacopy(add(reason, 0x20), 0, returndatasize())
            }
            revert Failed(reason);
        }
    }

    /// Gas of checking the transaction's blobs against an output, and of computing the statement of its proof.
    function meter(uint256[] calldata output, bytes[] calldata openings, ProofSystem calldata system)
        external
        view
        returns (uint256 blobs, uint256 outputHashes)
    {
        AggregatedOutput.Parts memory parts = output.partsOf();
        ProofSystem memory inForce = system;
        uint256 blocks = output[AggregatedOutput.NEW_BLOCK_NUMBER] - output[AggregatedOutput.PREVIOUS_BLOCK_NUMBER];
        uint256 before = gasleft();
        BlobData.check(output, parts, openings);
        uint256 between = gasleft();
        OutputHash.lastCircuit(output, parts, blocks, inForce);
        outputHashes = between - gasleft();
        blobs = before - between;
    }
}
