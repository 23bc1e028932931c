// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LEAF, NODES} from "./Memory.sol";

/// Merkle trees over Keccak-256, truncated to its first 24 bytes. A leaf is `keccak256(0 | values)`, a node is
/// `keccak256(left | right)`, each a word whose last eight bytes are zero: nothing else that is hashed has 64 bytes.
library MerkleTree {
    /// The first 24 bytes of a word.
    uint256 internal constant HASH = 0xffffffffffffffffffffffffffffffffffffffffffffffff0000000000000000;

    /// The hash of a leaf of `length` bytes of calldata.
    function leaf(uint256 from, uint256 length) internal pure returns (uint256 hash) {
        assembly {
            mstore8(LEAF, 0)
            calldatacopy(add(LEAF, 1), from, length)
            hash := and(keccak256(LEAF, add(length, 1)), HASH)
        }
    }

    /// The root above the `n` > 0 nodes in `NODES`, whose positions ascend without repetition below `2^height`, from
    /// the siblings in calldata that do not follow from them, layer by layer. Returns where the siblings end.
    function root(uint256 n, uint256 height, uint256 siblings) internal pure returns (uint256 hash, uint256 end) {
        assembly {
            let nodesEnd := add(NODES, shl(6, n))
            for {} height { height := sub(height, 1) } {
                // No node's sibling.
                mstore(nodesEnd, not(0))
                let to := NODES
                for { let node := NODES } lt(node, nodesEnd) {} {
                    let position := mload(node)
                    // The pair is hashed in the first two words of memory, which Solidity leaves for this.
                    let side := shl(5, and(position, 1))
                    mstore(side, mload(add(node, 0x20)))
                    node := add(node, 0x40)
                    mstore(xor(side, 0x20), and(calldataload(siblings), HASH))
                    siblings := add(siblings, 24)
                    // Positions ascend: where the sibling follows, this one is even.
                    if eq(mload(node), xor(position, 1)) {
                        mstore(0x20, mload(add(node, 0x20)))
                        node := add(node, 0x40)
                        siblings := sub(siblings, 24)
                    }
                    mstore(to, shr(1, position))
                    mstore(add(to, 0x20), and(keccak256(0, 0x40), HASH))
                    to := add(to, 0x40)
                }
                nodesEnd := to
            }
            hash := mload(add(NODES, 0x20))
            end := siblings
        }
    }
}
