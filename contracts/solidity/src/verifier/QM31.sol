// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// p = 2^31 - 1.
uint256 constant P = 0x7fffffff;
// p^2, which is 0 mod p and not below any product of two elements.
uint256 constant P_SQUARED = 0x3fffffff00000001;
// p in four lanes of 64 bits; also the mask of their lower 31 bits.
uint256 constant PPPP = 0x000000007fffffff000000007fffffff000000007fffffff000000007fffffff;
// The lower 33 bits of each lane.
uint256 constant MASK_33 = 0x00000001ffffffff00000001ffffffff00000001ffffffff00000001ffffffff;
// The first and the third lane.
uint256 constant EVEN_LANES = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
// 1 in each lane.
uint256 constant ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;
// 256 p in the two lower lanes.
uint256 constant BIAS = 0x0000007fffffff000000007fffffff00;
uint256 constant MASK_128 = 0xffffffffffffffffffffffffffffffff;
uint256 constant MASK_64 = 0xffffffffffffffff;
uint256 constant MASK_32 = 0xffffffff;
// Eight values of 32 bits: their lower 31 bits, 1 each, their highest bit each.
uint256 constant VALUES_31 = 0x7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff;
uint256 constant VALUES_ONE = 0x0000000100000001000000010000000100000001000000010000000100000001;
uint256 constant VALUES_TOP = 0x8000000080000000800000008000000080000000800000008000000080000000;

// u, u^2 - 2 = i and u^3 - 2u = iu as elements.
uint256 constant U = 1 << 64;
uint256 constant I = (1 << 128) | 0x7ffffffd;
uint256 constant IU = (1 << 192) | (0x7ffffffd << 64);

/// The field QM31 = M31[i, u], i^2 = -1, u^2 = 2 + i, of 2^124 elements, four lanes of 64 bits a word.
///
/// An *element* has the coefficients of 1, u, u^2, u^3, the least significant lane first. The product of two polynomials
/// in u is the product of two words: 512 bits that hold its seven coefficients without a carry, because
/// 4 p^2 < 2^64. What is *in coordinates* has those of 1, i, u, iu, as S-two writes a value. Sums and products by
/// elements of M31 are the same in both.
///
/// Lanes are *reduced* where they are at most p; 0 and p are the same. All functions take and return reduced lanes.
/// A *fold*, `(x & p) + (x >> 31)`, keeps a lane modulo p. It takes
///  - a lane to 2p to p,
///  - a lane to 3p, and one to p^2, to p with a second fold,
///  - any lane below 2^64 to below 2^33.4, then to p + 4, then to p.
///
/// Code has its masks in variables, `low31` and `low33`, where they are used often: copies on the stack cost as little as
/// constants, and take a byte instead of 29.
library QM31 {
    function add(uint256 x, uint256 y) internal pure returns (uint256 r) {
        assembly ("memory-safe") {
            r := add(x, y)
            r := add(and(r, PPPP), and(shr(31, r), MASK_33))
        }
    }

    function sub(uint256 x, uint256 y) internal pure returns (uint256 r) {
        assembly ("memory-safe") {
            r := add(x, sub(PPPP, y))
            r := add(and(r, PPPP), and(shr(31, r), MASK_33))
        }
    }

    /// The product of elements. With p_k the coefficient of u^k, u^4 = 4u^2 - 5, u^5 = 4u^3 - 5u and u^6 = 11u^2 - 20:
    /// (p_0 - 5 p_4 - 20 p_6) + (p_1 - 5 p_5) u + (p_2 + 4 p_4 + 11 p_6) u^2 + (p_3 + 4 p_5) u^3.
    function mul(uint256 x, uint256 y) internal pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            let low := mul(x, y)
            let high := mulmod(x, y, not(0))
            high := sub(sub(high, low), lt(high, low))
            // Below 2^33.4, so that 25 of them stay below the bias.
            high := add(and(high, low31), and(shr(31, high), low33))
            let six := shr(128, high)
            r := add(and(low, low31), and(shr(31, low), low33))
            r := add(r, shl(128, add(shl(2, high), mul(11, six))))
            r := sub(add(r, BIAS), add(mul(5, and(high, MASK_128)), mul(20, six)))
            // Below 2^39.2: to p + 2^8, to p.
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    /// The product by `factor`, at most p.
    function scale(uint256 x, uint256 factor) internal pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            r := mul(x, factor)
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    /// Any lanes, reduced.
    function reduce(uint256 x) internal pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            r := add(and(x, low31), and(shr(31, x), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    /// With lanes below p.
    function canonical(uint256 x) internal pure returns (uint256 r) {
        assembly ("memory-safe") {
            r := sub(x, mul(and(shr(31, add(x, ONES)), ONES), P))
        }
    }

    function isZero(uint256 x) internal pure returns (bool) {
        return canonical(x) == 0;
    }

    /// The coordinates in 16 bytes: four big endian values below p.
    function coordinates(uint256 packed) internal pure returns (uint256 r) {
        assembly ("memory-safe") {
            r := or(shr(96, packed), shl(64, and(shr(64, packed), MASK_32)))
            r := or(r, or(shl(128, and(shr(32, packed), MASK_32)), shl(192, and(packed, MASK_32))))
        }
    }

    /// The element with these coordinates: `a + bi + cu + d iu = (a - 2b) + (c - 2d) u + b u^2 + d u^3`.
    function fromCoordinates(uint256 x) internal pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            let b := and(shr(64, x), MASK_64)
            let d := shr(192, x)
            r := add(and(x, MASK_64), shl(1, sub(P, b)))
            r := or(r, shl(64, add(and(shr(128, x), MASK_64), shl(1, sub(P, d)))))
            r := or(r, or(shl(128, b), shl(192, d)))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    function toCoordinates(uint256 x) internal pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            let square := and(shr(128, x), MASK_64)
            let cube := shr(192, x)
            r := or(add(and(x, MASK_64), shl(1, square)), shl(64, square))
            r := or(r, shl(128, or(add(and(shr(64, x), MASK_64), shl(1, cube)), shl(64, cube))))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    /// `e + f i + g u + h iu` for elements given by 16 bytes of coordinates each.
    function combine(uint256 e, uint256 f, uint256 g, uint256 h) internal pure returns (uint256 r) {
        (e, f, g, h) = (coordinates(e), coordinates(f), coordinates(g), coordinates(h));
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            // In coordinates, i takes (a, b, c, d) to (-b, a, -d, c), and u to (2c - d, c + 2d, a, b), which is the halves
            // exchanged, plus the new lower half twice in all, plus i times it.
            let s := add(g, or(shl(64, and(h, EVEN_LANES)), and(shr(64, sub(low31, h)), EVEN_LANES)))
            s := add(and(s, low31), and(shr(31, s), low33))
            let low := shr(128, s)
            r := add(add(e, low), or(shl(128, s), low))
            r := add(r, or(shl(64, and(f, EVEN_LANES)), and(shr(64, sub(low31, f)), EVEN_LANES)))
            r := add(r, or(shl(64, and(low, MASK_64)), sub(P, shr(64, low))))
            // To 5p, to p + 2, to p.
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
            // As in `fromCoordinates`.
            let b := and(shr(64, r), MASK_64)
            let d := shr(192, r)
            r := or(add(and(r, MASK_64), shl(1, sub(P, b))), shl(64, add(and(shr(128, r), MASK_64), shl(1, sub(P, d)))))
            r := or(r, or(shl(128, b), shl(192, d)))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    /// The element with the coordinates in 16 bytes.
    function read(uint256 packed) internal pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly ("memory-safe") {
            let b := and(shr(64, packed), MASK_32)
            let d := and(packed, MASK_32)
            r := add(shr(96, packed), shl(1, sub(P, b)))
            r := or(r, shl(64, add(and(shr(32, packed), MASK_32), shl(1, sub(P, d)))))
            r := or(r, or(shl(128, b), shl(192, d)))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }

    /// The inverse modulo p of x, not 0: x^(p - 2).
    function inverseBase(uint256 x) internal pure returns (uint256 r) {
        assembly ("memory-safe") {
            r := x
            // x^(2^29 - 1), then p - 2 = 4 (2^29 - 1) + 1.
            for { let i := 0 } lt(i, 28) { i := add(i, 1) } { r := mulmod(mulmod(r, r, P), x, P) }
            r := mulmod(r, r, P)
            r := mulmod(mulmod(r, r, P), x, P)
        }
    }

    /// The inverse of an element, 0 of 0: `(a + bu)^-1 = (a - bu) / (a^2 - (2 + i) b^2)`, and `1 / n = n' / (n n')` for
    /// the conjugate n' of n = n_0 + n_1 i.
    function inverse(uint256 x) internal pure returns (uint256) {
        uint256 w = toCoordinates(x);
        uint256 reciprocal;
        assembly ("memory-safe") {
            let a := and(w, MASK_64)
            let b := and(shr(64, w), MASK_64)
            let c := and(shr(128, w), MASK_64)
            let d := shr(192, w)
            // b^2 = s + t i
            let s := addmod(mul(c, c), sub(P_SQUARED, mul(d, d)), P)
            let t := mulmod(shl(1, c), d, P)
            let n0 := addmod(add(mul(a, a), sub(P_SQUARED, mul(b, b))), add(t, shl(1, sub(P, s))), P)
            let n1 := addmod(mul(shl(1, a), b), add(sub(P, s), shl(1, sub(P, t))), P)
            reciprocal := or(n0, shl(64, n1))
        }
        uint256 n0_ = reciprocal & MASK_64;
        uint256 n1_ = reciprocal >> 64;
        unchecked {
            uint256 inverted = inverseBase((n0_ * n0_ + n1_ * n1_) % P);
            reciprocal = ((n0_ * inverted) % P) | ((((P - n1_) * inverted) % P) << 64);
        }
        // The conjugate over 1, i has u and u^3 negated.
        uint256 conjugate;
        assembly ("memory-safe") {
            let odd := 0x000000007fffffff0000000000000000000000007fffffff0000000000000000
            conjugate := or(and(x, not(odd)), sub(odd, and(x, odd)))
        }
        return mul(conjugate, fromCoordinates(reciprocal));
    }
}
