// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Circle} from "./Circle.sol";
import {
    BASIS_HIGH,
    BASIS_LOW,
    COSET,
    COSET_BYTES,
    FOLDING_COEFFICIENTS,
    KNOWN,
    LAST_LAYER,
    LEAF,
    NODE,
    NODES,
    ROTATIONS,
    TWIDDLES
} from "./Memory.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {I, IU, MASK_33, ONES, P, PPPP, QM31, U, VALUES_31, VALUES_ONE, VALUES_TOP} from "./QM31.sol";
import {DOMAIN_LOG_SIZE, EIGHTHS, LOG_LAST_LAYER, N_FRI_LAYERS, SIXTEENTHS} from "./generated/CircuitShape.sol";

/// FRI: that the quotients are of low degree. Each layer is committed to, and folds 16 values, which are a subtree of
/// its tree, into one of the next; the last layer is a polynomial of 2^8 coefficients.
///
/// Folding two values f, g over x is `f + g + coefficient (f - g) / x`; sixteen are folded by four such steps with the
/// coefficient's powers 1, 2, 4, 8. Values are in coordinates here, as the prover gives them.
library Fri {
    /// A value of a layer is not below 2^31-1.
    error NonCanonicalLayer(uint256 layer);
    /// The values of a layer do not belong to its commitment.
    error LayerCommitment(uint256 layer);
    /// The last layer's polynomial has another value.
    error LastLayer(uint256 position);

    uint256 private constant LOG_COSET = 4;
    uint256 private constant COSET_SIZE = 16;
    uint256 private constant N_TWIDDLES = 15;

    /// Verifies the layers from `n` values in `KNOWN`. `roots` is where the commitments are in calldata, `cursor` where the
    /// openings are. Returns how many values are known in the last layer, and where the openings end.
    function foldLayers(uint256 n, uint256 roots, uint256 cursor) internal pure returns (uint256, uint256) {
        unchecked {
            uint256 logSize = DOMAIN_LOG_SIZE;
            for (uint256 layer; layer < N_FRI_LAYERS; ++layer) {
                uint256 cosets = _twiddles(n, layer, logSize);
                _rotations(layer);
                uint256 flags;
                (flags, cursor) = _foldCosets(n, cursor);
                if (flags & VALUES_TOP != 0) revert NonCanonicalLayer(layer);
                n = cosets;
                logSize -= LOG_COSET;
                uint256 root;
                (root, cursor) = MerkleTree.root(n, logSize, cursor);
                uint256 expected;
                assembly ("memory-safe") {
                    expected := calldataload(add(roots, mul(24, layer)))
                }
                if (root != expected & MerkleTree.HASH) revert LayerCommitment(layer);
            }
        }
        return (n, cursor);
    }

    /// What the steps divide by, inverted: for each coset of the `n` known values the 8, 4, 2 and 1 of its four steps.
    /// Returns the number of cosets.
    function _twiddles(uint256 n, uint256 layer, uint256 logSize) private pure returns (uint256 cosets) {
        unchecked {
            uint256 last = type(uint256).max;
            uint256 to = TWIDDLES;
            for (uint256 i; i < n; ++i) {
                uint256 coset;
                assembly ("memory-safe") {
                    coset := shr(LOG_COSET, mload(add(KNOWN, shl(6, i))))
                }
                if (coset == last) continue;
                last = coset;
                ++cosets;
                if (layer == 0) {
                    // On the circle: first by y, then by x. The coset starts with a point that no conjugate precedes.
                    (uint256 x, uint256 y) =
                        Circle.point(1 + 4 * Circle.reversed(coset << (LOG_COSET - 1), DOMAIN_LOG_SIZE - 1));
                    _circleTwiddles(x, y, to);
                } else {
                    (uint256 x, uint256 y) = Circle.point(Circle.lineIndex(coset << LOG_COSET, logSize));
                    _lineTwiddles(x, y, to);
                }
                to += 32 * N_TWIDDLES;
            }
            Circle.invertAll(TWIDDLES, cosets * N_TWIDDLES);
        }
    }

    /// y of P + k/8, k in bit-reversed order, where P + k/8 + 1/2 has -y; x of P + k/8 for k below 4; then x of the
    /// doubled points.
    function _circleTwiddles(uint256 x, uint256 y, uint256 to) private pure {
        assembly ("memory-safe") {
            function rotated(a, b, entry) -> c, d {
                let e := shr(32, entry)
                let f := and(entry, 0xffffffff)
                c := mod(add(mul(a, e), mul(sub(P, b), f)), P)
                d := mod(add(mul(a, f), mul(b, e)), P)
            }
            function doubled(a) -> c {
                // 2 a^2 - 1
                c := addmod(mul(shl(1, a), a), sub(P, 1), P)
            }
            let x1, y1 := rotated(x, y, and(shr(128, EIGHTHS), 0xffffffffffffffff))
            let x2, y2 := rotated(x, y, and(shr(64, EIGHTHS), 0xffffffffffffffff))
            let x3, y3 := rotated(x, y, and(EIGHTHS, 0xffffffffffffffff))
            mstore(to, y)
            mstore(add(to, 0x20), sub(P, y))
            mstore(add(to, 0x40), y2)
            mstore(add(to, 0x60), sub(P, y2))
            mstore(add(to, 0x80), y1)
            mstore(add(to, 0xa0), sub(P, y1))
            mstore(add(to, 0xc0), y3)
            mstore(add(to, 0xe0), sub(P, y3))
            mstore(add(to, 0x100), x)
            mstore(add(to, 0x120), x2)
            mstore(add(to, 0x140), x1)
            mstore(add(to, 0x160), x3)
            x := doubled(x)
            mstore(add(to, 0x180), x)
            mstore(add(to, 0x1a0), doubled(x1))
            mstore(add(to, 0x1c0), doubled(x))
        }
    }

    /// x of P + k/16 for k below 8 in bit-reversed order, where P + k/16 + 1/4 has y for x; then x of the doubled
    /// points.
    function _lineTwiddles(uint256 x, uint256 y, uint256 to) private pure {
        assembly ("memory-safe") {
            function rotated(a, b, entry) -> c, d {
                let e := shr(32, entry)
                let f := and(entry, 0xffffffff)
                c := mod(add(mul(a, e), mul(sub(P, b), f)), P)
                d := mod(add(mul(a, f), mul(b, e)), P)
            }
            function doubled(a) -> c {
                c := addmod(mul(shl(1, a), a), sub(P, 1), P)
            }
            let x1, y1 := rotated(x, y, and(shr(128, SIXTEENTHS), 0xffffffffffffffff))
            let x2, y2 := rotated(x, y, and(shr(64, SIXTEENTHS), 0xffffffffffffffff))
            let x3, y3 := rotated(x, y, and(SIXTEENTHS, 0xffffffffffffffff))
            mstore(to, x)
            mstore(add(to, 0x20), y)
            mstore(add(to, 0x40), x2)
            mstore(add(to, 0x60), y2)
            mstore(add(to, 0x80), x1)
            mstore(add(to, 0xa0), y1)
            mstore(add(to, 0xc0), x3)
            mstore(add(to, 0xe0), y3)
            x := doubled(x)
            x1 := doubled(x1)
            mstore(add(to, 0x100), x)
            mstore(add(to, 0x120), doubled(x2))
            mstore(add(to, 0x140), x1)
            mstore(add(to, 0x160), doubled(x3))
            x := doubled(x)
            mstore(add(to, 0x180), x)
            mstore(add(to, 0x1a0), doubled(x1))
            mstore(add(to, 0x1c0), doubled(x))
        }
    }

    /// The coefficient's powers 1, 2, 4, 8 times 1, i, u, iu, in coordinates: the rows of multiplication by them.
    function _rotations(uint256 layer) private pure {
        uint256 power;
        assembly ("memory-safe") {
            power := mload(add(FOLDING_COEFFICIENTS, shl(5, layer)))
        }
        for (uint256 step; step < LOG_COSET; ++step) {
            uint256 one = QM31.toCoordinates(power);
            uint256 i = QM31.toCoordinates(QM31.mul(power, I));
            uint256 u = QM31.toCoordinates(QM31.mul(power, U));
            uint256 iu = QM31.toCoordinates(QM31.mul(power, IU));
            assembly ("memory-safe") {
                let to := add(ROTATIONS, shl(7, step))
                mstore(to, one)
                mstore(add(to, 0x20), i)
                mstore(add(to, 0x40), u)
                mstore(add(to, 0x60), iu)
            }
            power = QM31.mul(power, power);
        }
    }

    /// Completes each coset of the `n` known values from calldata, writes its node to `NODES` and what it folds into
    /// to `KNOWN`. Returns bits that are set where a value is not canonical, and where the values end.
    function _foldCosets(uint256 n, uint256 cursor) private pure returns (uint256 flags, uint256) {
        uint256 known = KNOWN;
        uint256 twiddles = TWIDDLES;
        uint256 to;
        uint256 end;
        unchecked {
            end = KNOWN + 64 * n;
            while (known < end) {
                uint256 coset;
                assembly ("memory-safe") {
                    coset := shr(LOG_COSET, mload(known))
                }
                uint256 wrong;
                (known, cursor, wrong) = _readCoset(coset << LOG_COSET, known, end, cursor);
                flags |= wrong;
                uint256 node = _cosetNode();
                uint256 value = _foldCoset(twiddles);
                assembly ("memory-safe") {
                    mstore(add(NODES, to), coset)
                    mstore(add(NODES, add(to, 0x20)), node)
                    // What is written here was read: cosets are no more than values.
                    mstore(add(KNOWN, to), coset)
                    mstore(add(KNOWN, add(to, 0x20)), value)
                }
                to += 64;
                twiddles += 32 * N_TWIDDLES;
            }
        }
        return (flags, cursor);
    }

    /// Reads the sixteen values at `position` and after: those that are known, the others from calldata.
    function _readCoset(uint256 position, uint256 known, uint256 end, uint256 cursor)
        private
        pure
        returns (uint256, uint256, uint256 flags)
    {
        assembly ("memory-safe") {
            let next := not(0)
            if lt(known, end) { next := mload(known) }
            let bytesAt := COSET_BYTES
            for {
                let word := COSET
                let wordsEnd := add(COSET, shl(5, COSET_SIZE))
            } lt(word, wordsEnd) { word := add(word, 0x20) } {
                switch eq(position, next)
                case 1 {
                    let value := mload(add(known, 0x20))
                    mstore(word, value)
                    // Below p, then big endian, 32 bits each; each write goes over what the one before left behind.
                    value := sub(value, mul(and(shr(31, add(value, ONES)), ONES), P))
                    mstore(
                        bytesAt,
                        or(
                            or(shl(224, value), shl(192, and(shr(64, value), 0xffffffff))),
                            or(shl(160, and(shr(128, value), 0xffffffff)), shl(128, shr(192, value)))
                        )
                    )
                    known := add(known, 0x40)
                    next := not(0)
                    if lt(known, end) { next := mload(known) }
                }
                default {
                    let value := calldataload(cursor)
                    mstore(bytesAt, value)
                    mstore(
                        word,
                        or(
                            or(shr(224, value), shl(64, and(shr(192, value), 0xffffffff))),
                            or(shl(128, and(shr(160, value), 0xffffffff)), shl(192, and(shr(128, value), 0xffffffff)))
                        )
                    )
                    cursor := add(cursor, 16)
                }
                bytesAt := add(bytesAt, 16)
                position := add(position, 1)
            }
            for { let word := COSET_BYTES } lt(word, bytesAt) { word := add(word, 0x20) } {
                let value := mload(word)
                flags := or(flags, or(value, add(and(value, VALUES_31), VALUES_ONE)))
            }
        }
        return (known, cursor, flags);
    }

    /// The node above the coset's four leaves of four values each.
    function _cosetNode() private pure returns (uint256 node) {
        uint256 mask = MerkleTree.HASH;
        assembly ("memory-safe") {
            function leaf(cursor) -> hash {
                mcopy(add(LEAF, 1), cursor, 64)
                hash := keccak256(LEAF, 65)
            }
            // Only the first 24 bytes of each are hashed.
            function parent(left, right) -> hash {
                mstore(add(NODE, 1), left)
                mstore(add(NODE, 25), right)
                hash := keccak256(NODE, 49)
            }
            mstore8(LEAF, 0)
            mstore8(NODE, 1)
            let left := leaf(COSET_BYTES)
            left := parent(left, leaf(add(COSET_BYTES, 64)))
            let right := leaf(add(COSET_BYTES, 128))
            right := parent(right, leaf(add(COSET_BYTES, 192)))
            node := and(parent(left, right), mask)
        }
    }

    /// Folds the sixteen values in `COSET` into one.
    function _foldCoset(uint256 twiddle) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            function fold(x) -> y {
                y := add(and(x, PPPP), and(shr(31, x), MASK_33))
            }
            let rotation := ROTATIONS
            for { let size := 0x100 } gt(size, 0x10) { size := shr(1, size) } {
                let r0 := mload(rotation)
                let r1 := mload(add(rotation, 0x20))
                let r2 := mload(add(rotation, 0x40))
                let r3 := mload(add(rotation, 0x60))
                for { let to := 0 } lt(to, size) { to := add(to, 0x20) } {
                    let from := add(COSET, shl(1, to))
                    let f := mload(from)
                    let g := mload(add(from, 0x20))
                    // (f - g) / x, lanes to 2p, to p, to p^2, to p; by the coefficient, four products below 2^62, and
                    // f + g to 2p: 4 p^2 + 2p < 2^64.
                    let d := fold(fold(mul(fold(add(f, sub(PPPP, g))), mload(twiddle))))
                    let product := add(mul(r0, and(d, P)), mul(r1, and(shr(64, d), P)))
                    product := add(product, add(mul(r2, and(shr(128, d), P)), mul(r3, shr(192, d))))
                    mstore(add(COSET, to), fold(fold(fold(add(product, add(f, g))))))
                    twiddle := add(twiddle, 0x20)
                }
                rotation := add(rotation, 0x80)
            }
            value := mload(COSET)
        }
    }

    /// Verifies that the `n` values in `KNOWN` are the last layer's polynomial, whose coefficients are at `cursor`.
    ///
    /// The basis is the products of x, 2x^2 - 1, ... (doubled again and again), the highest bit of a coefficient's number
    /// being x's.
    function checkLastLayer(uint256 n, uint256 cursor) internal pure {
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, shl(LOG_LAST_LAYER, 1)) { i := add(i, 1) } {
                let value := shr(128, calldataload(add(cursor, shl(4, i))))
                mstore(
                    add(LAST_LAYER, shl(5, i)),
                    or(
                        or(shr(96, value), shl(64, and(shr(64, value), 0xffffffff))),
                        or(shl(128, and(shr(32, value), 0xffffffff)), shl(192, and(value, 0xffffffff)))
                    )
                )
            }
        }
        unchecked {
            for (uint256 i; i < n; ++i) {
                uint256 position;
                uint256 value;
                assembly ("memory-safe") {
                    position := mload(add(KNOWN, shl(6, i)))
                    value := mload(add(KNOWN, add(shl(6, i), 0x20)))
                }
                uint256 logSize = DOMAIN_LOG_SIZE - N_FRI_LAYERS * LOG_COSET;
                (uint256 x,) = Circle.point(Circle.lineIndex(position, logSize));
                _basis(x);
                if (!QM31.isZero(QM31.sub(value, _evaluate()))) revert LastLayer(position);
            }
        }
    }

    /// The products of the basis' four upper and of its four lower factors.
    function _basis(uint256 x) private pure {
        assembly ("memory-safe") {
            function doubled(a) -> c {
                c := addmod(mul(shl(1, a), a), sub(P, 1), P)
            }
            // Products of a, b, c, d by a number's bits, a's the highest.
            function products(to, a, b, c, d) {
                mstore(to, 1)
                mstore(add(to, 0x20), d)
                mstore(add(to, 0x40), c)
                mstore(add(to, 0x60), mulmod(c, d, P))
                for { let i := 0 } lt(i, 0x80) { i := add(i, 0x20) } {
                    mstore(add(to, add(0x80, i)), mulmod(b, mload(add(to, i)), P))
                }
                for { let i := 0 } lt(i, 0x100) { i := add(i, 0x20) } {
                    mstore(add(to, add(0x100, i)), mulmod(a, mload(add(to, i)), P))
                }
            }
            let b := doubled(x)
            let c := doubled(b)
            let d := doubled(c)
            products(BASIS_HIGH, x, b, c, d)
            x := doubled(d)
            b := doubled(x)
            c := doubled(b)
            d := doubled(c)
            products(BASIS_LOW, x, b, c, d)
        }
    }

    /// The polynomial at the point of the basis.
    function _evaluate() private pure returns (uint256 value) {
        assembly ("memory-safe") {
            function fold(x) -> y {
                y := add(and(x, PPPP), and(shr(31, x), MASK_33))
            }
            // Four products below p^2 stay below 2^64; folded below 2^33.4, four of them below 2^36.
            function four(cursor, low) -> r {
                r := add(mul(mload(cursor), mload(low)), mul(mload(add(cursor, 0x20)), mload(add(low, 0x20))))
                r := add(r, mul(mload(add(cursor, 0x40)), mload(add(low, 0x40))))
                r := fold(add(r, mul(mload(add(cursor, 0x60)), mload(add(low, 0x60)))))
            }
            let cursor := LAST_LAYER
            for { let high := 0 } lt(high, 0x200) { high := add(high, 0x20) } {
                let sum := add(four(cursor, BASIS_LOW), four(add(cursor, 0x80), add(BASIS_LOW, 0x80)))
                sum := add(sum, four(add(cursor, 0x100), add(BASIS_LOW, 0x100)))
                sum := add(sum, four(add(cursor, 0x180), add(BASIS_LOW, 0x180)))
                // To p + 2^5, to p; the product by a factor to p^2, folded below 2^32; 16 of them below 2^36.
                value := add(value, fold(mul(fold(fold(sum)), mload(add(BASIS_HIGH, high)))))
                cursor := add(cursor, 0x200)
            }
            value := fold(fold(value))
        }
    }
}
