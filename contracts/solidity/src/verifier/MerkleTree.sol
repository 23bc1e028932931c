// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LEAF, NODE, NODES} from "./Memory.sol";

/// Merkle trees over Keccak-256, truncated to its first 24 bytes. A leaf is `keccak256(0 | values)`, a node is
/// `keccak256(1 | left | right)`.
library MerkleTree {
    /// The first 24 bytes of a word.
    uint256 internal constant HASH = 0xffffffffffffffffffffffffffffffffffffffffffffffff0000000000000000;

    /// The hash of a leaf of `length` bytes of calldata.
    function leaf(uint256 from, uint256 length) internal pure returns (uint256 hash) {
        assembly ("memory-safe") {
            mstore8(LEAF, 0)
            calldatacopy(add(LEAF, 1), from, length)
            hash := and(keccak256(LEAF, add(length, 1)), HASH)
        }
    }

    /// The root above the `n` > 0 nodes in `NODES`, whose positions ascend without repetition below `2^height`, from
    /// the siblings in calldata that do not follow from them, layer by layer. Returns where the siblings end.
    ///
    /// What lies behind the first 24 bytes of a hash in a word is written over or not hashed.
    function root(uint256 n, uint256 height, uint256 siblings) internal pure returns (uint256 hash, uint256 end) {
        assembly ("memory-safe") {
            mstore8(NODE, 1)
            let nodesEnd := add(NODES, shl(6, n))
            for {} height { height := sub(height, 1) } {
                let to := NODES
                for { let node := NODES } lt(node, nodesEnd) {} {
                    let position := mload(node)
                    hash := mload(add(node, 0x20))
                    let next := add(node, 0x40)
                    switch and(lt(next, nodesEnd), eq(mload(next), xor(position, 1)))
                    case 1 {
                        // Positions ascend: this one is even, its sibling follows.
                        mstore(add(NODE, 1), hash)
                        mstore(add(NODE, 25), mload(add(next, 0x20)))
                        node := add(next, 0x40)
                    }
                    default {
                        switch and(position, 1)
                        case 0 {
                            mstore(add(NODE, 1), hash)
                            mstore(add(NODE, 25), calldataload(siblings))
                        }
                        default {
                            mstore(add(NODE, 1), calldataload(siblings))
                            mstore(add(NODE, 25), hash)
                        }
                        siblings := add(siblings, 24)
                        node := next
                    }
                    mstore(to, shr(1, position))
                    mstore(add(to, 0x20), and(keccak256(NODE, 49), HASH))
                    to := add(to, 0x40)
                }
                nodesEnd := to
            }
            hash := mload(add(NODES, 0x20))
            end := siblings
        }
    }
}
