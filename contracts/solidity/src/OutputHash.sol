// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "./AggregatedOutput.sol";
import {Blake2s} from "./Blake2s.sol";
import {ProofSystem} from "./ProofSystem.sol";

/// From the aggregator's output to the public output of the last circuit, through the hashes that bind each proof to
/// those that it verified:
///
///     H   = Blake2s([1, 2 + |output|, aggregator program, output...])   output of the aggregator's Cairo proof
///     o_A = B(limbs of H)                                               wrapped
///     o_t = B(left root | tree | wrap root | o_A)                       merged with the tree of blocks
///     o_s = B(merge root | o_t)                                         shrunk
///     o_c = B(shrink root | o_s)                                        shrunk further, as often as there are circuits
///     o_f = B(compact root | o_c)                                       verified by the last circuit
///
/// B is Blake2s with words of 31 bits.
library OutputHash {
    using AggregatedOutput for uint256[];

    /// Public output of the last circuit.
    ///
    /// `blocks` is the number of aggregated blocks: the proof of a single one is wrapped, those of more are merged.
    /// Reverts if an element of `output` is no felt.
    function lastCircuit(
        uint256[] calldata output,
        AggregatedOutput.Parts memory parts,
        uint256 blocks,
        ProofSystem memory system
    ) internal pure returns (bytes32) {
        uint256 leftRoot = blocks == 1 ? system.wrapRoot : system.mergeRoot;
        uint256 wrapped = Blake2s.hashLimbs(bootloader(output, system.aggregatorProgramHash));
        uint256 merged = Blake2s.hashQuad(leftRoot, output.treeHash(parts), system.wrapRoot, wrapped);
        return Blake2s.toBytes(shrunk(merged, system));
    }

    /// Each circuit that verifies one proof puts out the hash of that proof's circuit and output; the last one does, too.
    function shrunk(uint256 output, ProofSystem memory system) private pure returns (uint256) {
        output = Blake2s.hashPair(system.mergeRoot, output);
        for (uint256 i = 0; i < system.shrinkRoots.length; ++i) {
            output = Blake2s.hashPair(system.shrinkRoots[i], output);
        }
        return output;
    }

    /// The felt that the bootloader writes for its one task, a program with its output: number of tasks, size of the
    /// task's record, the program's hash, and the output.
    function bootloader(uint256[] calldata output, uint256 programHash) internal pure returns (uint256) {
        uint256[] memory head = new uint256[](3);
        head[0] = 1;
        head[1] = 2 + output.length;
        head[2] = programHash;
        return Blake2s.hashFelts(head, output);
    }
}
