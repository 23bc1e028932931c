// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LEAF, NODES, ROW_NODES, ROW_NODE_BYTES} from "./Memory.sol";

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

    /// The same for four trees of one height at once, with the `n` nodes in `ROW_NODES`, and four siblings, one of each
    /// tree, at a time. The roots are left in `ROW_NODES`, behind a position.
    function rowRoots(uint256 n, uint256 height, uint256 siblings) internal pure returns (uint256 end) {
        assembly {
            let nodesEnd := add(ROW_NODES, mul(ROW_NODE_BYTES, n))
            for {} height { height := sub(height, 1) } {
                mstore(nodesEnd, not(0))
                let to := ROW_NODES
                for { let node := ROW_NODES } lt(node, nodesEnd) {} {
                    let position := mload(node)
                    let next := add(node, ROW_NODE_BYTES)
                    // A hash is written after those that it replaces were read: `to` does not overtake `node`.
                    mstore(to, shr(1, position))
                    switch eq(mload(next), xor(position, 1))
                    case 0 {
                        let side := shl(5, and(position, 1))
                        let other := xor(side, 0x20)
                        mstore(side, mload(add(node, 0x20)))
                        mstore(other, and(calldataload(siblings), HASH))
                        mstore(add(to, 0x20), and(keccak256(0, 0x40), HASH))
                        mstore(side, mload(add(node, 0x40)))
                        mstore(other, and(calldataload(add(siblings, 24)), HASH))
                        mstore(add(to, 0x40), and(keccak256(0, 0x40), HASH))
                        mstore(side, mload(add(node, 0x60)))
                        mstore(other, and(calldataload(add(siblings, 48)), HASH))
                        mstore(add(to, 0x60), and(keccak256(0, 0x40), HASH))
                        mstore(side, mload(add(node, 0x80)))
                        mstore(other, and(calldataload(add(siblings, 72)), HASH))
                        mstore(add(to, 0x80), and(keccak256(0, 0x40), HASH))
                        siblings := add(siblings, 96)
                        node := next
                    }
                    default {
                        mstore(0, mload(add(node, 0x20)))
                        mstore(0x20, mload(add(next, 0x20)))
                        mstore(add(to, 0x20), and(keccak256(0, 0x40), HASH))
                        mstore(0, mload(add(node, 0x40)))
                        mstore(0x20, mload(add(next, 0x40)))
                        mstore(add(to, 0x40), and(keccak256(0, 0x40), HASH))
                        mstore(0, mload(add(node, 0x60)))
                        mstore(0x20, mload(add(next, 0x60)))
                        mstore(add(to, 0x60), and(keccak256(0, 0x40), HASH))
                        mstore(0, mload(add(node, 0x80)))
                        mstore(0x20, mload(add(next, 0x80)))
                        mstore(add(to, 0x80), and(keccak256(0, 0x40), HASH))
                        node := add(next, ROW_NODE_BYTES)
                    }
                    to := add(to, ROW_NODE_BYTES)
                }
                nodesEnd := to
            }
            end := siblings
        }
    }
}
