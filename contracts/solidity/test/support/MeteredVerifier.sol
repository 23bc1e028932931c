// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CircuitVerifier} from "../../src/verifier/CircuitVerifier.sol";
import {LEAF, NODES, N_POSITIONS, POSITIONS} from "../../src/verifier/Memory.sol";
import {MerkleTree} from "../../src/verifier/MerkleTree.sol";
import {Quotients} from "../../src/verifier/Quotients.sol";
import {DOMAIN_LOG_SIZE, FOLD_STEP, N_FRI_LAYERS} from "../../src/verifier/generated/CircuitShape.sol";

/// The verifier with a look at the gas between its phases, which are the functions that `verify` calls. For
/// `VerifierGas` here and `bench_l1` in services/l1-settler.
contract MeteredVerifier is CircuitVerifier {
    /// The proof is shorter or longer than what was read of it.
    error Unread(uint256 found, uint256 read);

    /// What `meter` returns has so many numbers.
    uint256 public constant PHASES = 7;

    constructor(bytes24 preprocessedRoot, uint8[11] memory componentLogSizes)
        CircuitVerifier(preprocessedRoot, componentLogSizes)
    {}

    /// Verifies a proof as `verify` does, and returns the gas of 0: transcript and memory; 1: samples and lookups;
    /// 2: constraints; 3: Merkle trees of the rows; 4: quotients; 5: FRI without 6: FRI's Merkle trees.
    function meter(bytes32 output, bytes calldata proof) external view returns (uint256[] memory gasOf) {
        // The verifier wants to be the first that takes memory.
        uint256 before = gasleft();
        uint256 proofAt = _start(proof);
        _replay(output, proofAt);
        // Behind all of the verifier's memory, which is paid for here and not where a phase touches it first.
        gasOf = new uint256[](PHASES);
        uint256 afterwards = gasleft();
        gasOf[0] = before - afterwards;

        before = gasleft();
        _arrange(proofAt);
        _checkLookups(proofAt);
        afterwards = gasleft();
        gasOf[1] = before - afterwards;

        before = gasleft();
        _checkConstraints(proofAt);
        afterwards = gasleft();
        gasOf[2] = before - afterwards;

        before = gasleft();
        uint256 end = _checkRows(proofAt);
        afterwards = gasleft();
        gasOf[3] = before - afterwards;

        before = gasleft();
        Quotients.prepare(proofAt + 256, COMPONENT_LOG_SIZES);
        Quotients.evaluate();
        afterwards = gasleft();
        gasOf[4] = before - afterwards;

        before = gasleft();
        end = _checkFri(proofAt, end);
        afterwards = gasleft();
        gasOf[6] = _friHashing(proofAt);
        gasOf[5] = before - afterwards - gasOf[6];
        if (end - proofAt != proof.length) revert Unread(proof.length, end - proofAt);
    }

    /// Gas of FRI's Merkle trees, which `_checkFri` does not tell apart from folding: of hashing as many values to as many
    /// nodes at the same positions once more. What the hashes are of makes no difference.
    function _friHashing(uint256 proofAt) private view returns (uint256 hashing) {
        uint256 n = _word(N_POSITIONS);
        uint256 logSize = DOMAIN_LOG_SIZE;
        for (uint256 layer; layer < N_FRI_LAYERS; ++layer) {
            logSize -= FOLD_STEP;
            uint256 cosets = _cosets(n, FOLD_STEP * (layer + 1));
            uint256 before = gasleft();
            for (uint256 coset; coset < cosets; ++coset) {
                _hashCoset(proofAt);
            }
            MerkleTree.root(cosets, logSize, proofAt);
            hashing += before - gasleft();
        }
    }

    /// Writes the nodes above the queried positions, `shift` layers up, and returns how many there are.
    function _cosets(uint256 n, uint256 shift) private pure returns (uint256 cosets) {
        for (uint256 i; i < n; ++i) {
            uint256 position = _word(POSITIONS + 0x20 * i) >> shift;
            if (cosets > 0 && _word(NODES + 64 * (cosets - 1)) == position) continue;
            assembly {
                mstore(add(NODES, shl(6, cosets)), position)
            }
            ++cosets;
        }
    }

    /// Hashes sixteen values: four leaves and three nodes, as `Fri` does.
    function _hashCoset(uint256 proofAt) private pure {
        for (uint256 i; i < 4; ++i) {
            MerkleTree.leaf(proofAt, 64);
        }
        assembly {
            pop(keccak256(0, 0x40))
            pop(keccak256(0, 0x40))
            pop(keccak256(0, 0x40))
        }
    }

    function _word(uint256 from) private pure returns (uint256 word) {
        assembly {
            word := mload(from)
        }
    }
}
