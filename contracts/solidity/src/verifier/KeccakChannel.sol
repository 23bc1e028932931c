// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CHANNEL} from "./Memory.sol";
import {QM31} from "./QM31.sol";

/// Fiat-Shamir over Keccak-256: each operation is `keccak256(tag | digest | data)`. `crates/final-proof/src/channel.rs`
/// has the format. The functions take the digest and return the next.
library KeccakChannel {
    /// Field elements as they are in calldata, 16 bytes each.
    function mixFelts(bytes32 digest, uint256 from, uint256 length) internal pure returns (bytes32 next) {
        assembly {
            mstore8(add(CHANNEL, 31), 2)
            mstore(add(CHANNEL, 32), digest)
            calldatacopy(add(CHANNEL, 64), from, length)
            next := keccak256(add(CHANNEL, 31), add(length, 33))
        }
    }

    /// Two field elements in a word.
    function mixWord(bytes32 digest, uint256 word) internal pure returns (bytes32 next) {
        assembly {
            mstore8(add(CHANNEL, 31), 2)
            mstore(add(CHANNEL, 32), digest)
            mstore(add(CHANNEL, 64), word)
            next := keccak256(add(CHANNEL, 31), 65)
        }
    }

    /// A Merkle root, the first 24 bytes of `root`.
    function mixRoot(bytes32 digest, bytes32 root) internal pure returns (bytes32 next) {
        assembly {
            mstore8(add(CHANNEL, 31), 3)
            mstore(add(CHANNEL, 32), digest)
            mstore(add(CHANNEL, 64), root)
            next := keccak256(add(CHANNEL, 31), 57)
        }
    }

    function mixU64(bytes32 digest, uint256 value) internal pure returns (bytes32 next) {
        assembly {
            mstore8(add(CHANNEL, 31), 4)
            mstore(add(CHANNEL, 32), digest)
            mstore(add(CHANNEL, 64), shl(192, value))
            next := keccak256(add(CHANNEL, 31), 41)
        }
    }

    /// 256 random bits. `counter` is how many were drawn since the digest changed.
    function draw(bytes32 digest, uint256 counter) internal pure returns (uint256 drawn) {
        assembly {
            mstore8(add(CHANNEL, 31), 6)
            mstore(add(CHANNEL, 32), digest)
            mstore(add(CHANNEL, 64), shl(224, counter))
            drawn := keccak256(add(CHANNEL, 31), 37)
        }
    }

    /// A random element.
    function drawElement(bytes32 digest, uint256 counter) internal pure returns (uint256) {
        return QM31.reduce(draw(digest, counter));
    }

    /// Whether the hash of digest and nonce starts with so many zero bits, at most 32.
    function workDone(bytes32 digest, uint256 bits, uint256 nonce) internal pure returns (bool done) {
        assembly {
            mstore8(add(CHANNEL, 31), 7)
            mstore(add(CHANNEL, 32), digest)
            mstore(add(CHANNEL, 64), or(shl(224, bits), shl(160, nonce)))
            done := iszero(shr(sub(256, bits), keccak256(add(CHANNEL, 31), 45)))
        }
    }
}
