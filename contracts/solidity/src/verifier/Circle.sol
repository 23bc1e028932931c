// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CirclePoints} from "./CirclePoints.sol";
import {POINTS, POINTS_BYTES, PREFIXES} from "./Memory.sol";
import {MASK_32, P, P_SQUARED, QM31} from "./QM31.sol";
import {DOMAIN_LOG_SIZE} from "./generated/CircuitShape.sol";

/// The circle x^2 + y^2 = 1 over M31: a group of 2^31 points, in which a point is known by its index. Indices count in
/// units of 2^6, half the step between the points of the largest domain, 2^24 points.
library Circle {
    /// An element that must not be zero is.
    error DegenerateRandomness();

    /// Copies the table into memory, where `point` reads it.
    function load(CirclePoints table) internal view {
        assembly {
            extcodecopy(table, POINTS, 0, POINTS_BYTES)
        }
    }

    /// The point at `index` units, below 2^28.
    function point(uint256 index) internal pure returns (uint256 x, uint256 y) {
        assembly {
            // Seven times four bits: eight bytes for each value of these, 128 for each four.
            let entry := mload(add(POINTS, shl(3, and(index, 15))))
            x := shr(224, entry)
            y := and(shr(192, entry), MASK_32)
            let z := 0
            entry := mload(add(add(POINTS, 0x80), shl(3, and(shr(4, index), 15))))
            z := mod(add(mul(x, shr(224, entry)), sub(P_SQUARED, mul(y, and(shr(192, entry), MASK_32)))), P)
            y := mod(add(mul(x, and(shr(192, entry), MASK_32)), mul(y, shr(224, entry))), P)
            x := z
            entry := mload(add(add(POINTS, 0x100), shl(3, and(shr(8, index), 15))))
            z := mod(add(mul(x, shr(224, entry)), sub(P_SQUARED, mul(y, and(shr(192, entry), MASK_32)))), P)
            y := mod(add(mul(x, and(shr(192, entry), MASK_32)), mul(y, shr(224, entry))), P)
            x := z
            entry := mload(add(add(POINTS, 0x180), shl(3, and(shr(12, index), 15))))
            z := mod(add(mul(x, shr(224, entry)), sub(P_SQUARED, mul(y, and(shr(192, entry), MASK_32)))), P)
            y := mod(add(mul(x, and(shr(192, entry), MASK_32)), mul(y, shr(224, entry))), P)
            x := z
            entry := mload(add(add(POINTS, 0x200), shl(3, and(shr(16, index), 15))))
            z := mod(add(mul(x, shr(224, entry)), sub(P_SQUARED, mul(y, and(shr(192, entry), MASK_32)))), P)
            y := mod(add(mul(x, and(shr(192, entry), MASK_32)), mul(y, shr(224, entry))), P)
            x := z
            entry := mload(add(add(POINTS, 0x280), shl(3, and(shr(20, index), 15))))
            z := mod(add(mul(x, shr(224, entry)), sub(P_SQUARED, mul(y, and(shr(192, entry), MASK_32)))), P)
            y := mod(add(mul(x, and(shr(192, entry), MASK_32)), mul(y, shr(224, entry))), P)
            x := z
            entry := mload(add(add(POINTS, 0x300), shl(3, and(shr(24, index), 15))))
            z := mod(add(mul(x, shr(224, entry)), sub(P_SQUARED, mul(y, and(shr(192, entry), MASK_32)))), P)
            y := mod(add(mul(x, and(shr(192, entry), MASK_32)), mul(y, shr(224, entry))), P)
            x := z
        }
    }

    /// The lowest `bits` of `value` in reverse; all others must be zero.
    function reversed(uint256 value, uint256 bits) internal pure returns (uint256 r) {
        assembly {
            r := or(and(shr(1, value), 0x55555555), shl(1, and(value, 0x55555555)))
            r := or(and(shr(2, r), 0x33333333), shl(2, and(r, 0x33333333)))
            r := or(and(shr(4, r), 0x0f0f0f0f), shl(4, and(r, 0x0f0f0f0f)))
            r := or(and(shr(8, r), 0x00ff00ff), shl(8, and(r, 0x00ff00ff)))
            r := and(or(shr(16, r), shl(16, r)), MASK_32)
            r := shr(sub(32, bits), r)
        }
    }

    /// The point at a position of the domain of 2^24 points, in which a point's conjugate follows it.
    function domainPoint(uint256 position) internal pure returns (uint256 x, uint256 y) {
        unchecked {
            (x, y) = point(1 + 4 * reversed(position >> 1, DOMAIN_LOG_SIZE - 1));
            if (position & 1 == 1) y = P - y;
        }
    }

    /// The index of the point whose x is at a position of FRI's line of 2^logSize values.
    function lineIndex(uint256 position, uint256 logSize) internal pure returns (uint256) {
        unchecked {
            return (1 + 4 * reversed(position, logSize)) << (DOMAIN_LOG_SIZE - 1 - logSize);
        }
    }

    /// Replaces `n` > 0 words by their inverses modulo p.
    function invertAll(uint256 words, uint256 n) internal pure {
        uint256 product;
        assembly {
            // Each prefix is the product of the words before.
            let prefix := PREFIXES
            product := 1
            for {
                let word := words
                let end := add(words, shl(5, n))
            } lt(word, end) { word := add(word, 0x20) } {
                mstore(prefix, product)
                prefix := add(prefix, 0x20)
                product := mulmod(product, mload(word), P)
            }
        }
        if (product == 0) revert DegenerateRandomness();
        uint256 inverse = QM31.inverseBase(product);
        assembly {
            let prefix := add(PREFIXES, shl(5, n))
            for { let word := add(words, shl(5, n)) } gt(word, words) {} {
                word := sub(word, 0x20)
                prefix := sub(prefix, 0x20)
                let value := mload(word)
                mstore(word, mulmod(inverse, mload(prefix), P))
                inverse := mulmod(inverse, value, P)
            }
        }
    }
}
