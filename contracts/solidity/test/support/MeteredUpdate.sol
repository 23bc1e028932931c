// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../../src/AggregatedOutput.sol";
import {BlobData} from "../../src/BlobData.sol";
import {OutputHash} from "../../src/OutputHash.sol";
import {ProofSystem} from "../../src/ProofSystem.sol";

/// The parts of `RollupCore.updateState` that cost most besides the verifier, with a look at the gas between them. For
/// `bench_l1` in services/l1-settler.
contract MeteredUpdate {
    using AggregatedOutput for uint256[];

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
