// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Circle} from "./Circle.sol";
import {
    BASIS_HIGH,
    BASIS_LOW,
    COSET,
    COSET_BYTES,
    COSET_INVERSES,
    FOLDING_COEFFICIENTS,
    KNOWN,
    LAST_LAYER,
    LEAF,
    NODES,
    ROTATIONS,
    TWIDDLES
} from "./Memory.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {I, IU, MASK_32, MASK_33, ONES, P, PPPP, QM31, U, VALUES_31, VALUES_ONE, VALUES_TOP} from "./QM31.sol";
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
    /// The lower 32 bits of the second, third and fourth lane.
    uint256 private constant LANE_1 = 0xffffffff << 64;
    uint256 private constant LANE_2 = 0xffffffff << 128;
    uint256 private constant LANE_3 = 0xffffffff << 192;
    /// `MerkleTree.HASH`.
    uint256 private constant HASH_MASK = 0xffffffffffffffffffffffffffffffffffffffffffffffff0000000000000000;
    uint256 private constant TWIDDLE_BYTES = 0x200;

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
                assembly {
                    expected := calldataload(add(roots, mul(24, layer)))
                }
                if (root != expected & MerkleTree.HASH) revert LayerCommitment(layer);
            }
        }
        return (n, cursor);
    }

    /// What the steps divide by, inverted: for each coset of the `n` known values the 8, 4, 2 and 1 of its four steps.
    /// Returns the number of cosets.
    ///
    /// All are coordinates of points of the coset, doubled 0 to 3 times. A point (x, y) doubled is (2 x^2 - 1, 2xy), so
    /// that `1 / x = 2y / 2xy` and `1 / y = 2x / 2xy`: one inverse, of the y that no step divides by, gives the others
    /// back to front. A quarter of a turn takes (x, y) to (y, -x).
    function _twiddles(uint256 n, uint256 layer, uint256 logSize) private pure returns (uint256 cosets) {
        unchecked {
            uint256 last = type(uint256).max;
            for (uint256 i; i < n; ++i) {
                uint256 coset;
                assembly {
                    coset := shr(LOG_COSET, mload(add(KNOWN, shl(6, i))))
                }
                if (coset == last) continue;
                last = coset;
                uint256 to = TWIDDLES + TWIDDLE_BYTES * cosets;
                uint256 y;
                if (layer == 0) {
                    // On the circle. The coset's first point has no conjugate before it.
                    y = _circlePoints(1 + 4 * Circle.reversed(coset << (LOG_COSET - 1), DOMAIN_LOG_SIZE - 1), to);
                } else {
                    y = _linePoints(Circle.lineIndex(coset << LOG_COSET, logSize), to);
                }
                assembly {
                    mstore(add(COSET_INVERSES, shl(5, cosets)), y)
                }
                ++cosets;
            }
            Circle.invertAll(COSET_INVERSES, cosets);
            for (uint256 i; i < cosets; ++i) {
                uint256 inverse;
                assembly {
                    inverse := mload(add(COSET_INVERSES, shl(5, i)))
                }
                if (layer == 0) _invertCircle(TWIDDLES + TWIDDLE_BYTES * i, inverse);
                else _invertLine(TWIDDLES + TWIDDLE_BYTES * i, inverse);
            }
        }
    }

    /// Writes P, P + 1/8, 2P, 4P, where a turn is 1, and returns y of 8P.
    function _circlePoints(uint256 index, uint256 to) private pure returns (uint256 last) {
        (uint256 x, uint256 y) = Circle.point(index);
        assembly {
            function double(a, b) -> c, d {
                c := addmod(mul(shl(1, a), a), sub(P, 1), P)
                d := mulmod(shl(1, a), b, P)
            }
            mstore(to, x)
            mstore(add(to, 0x20), y)
            let e := and(shr(160, EIGHTHS), MASK_32)
            let f := and(shr(128, EIGHTHS), MASK_32)
            mstore(add(to, 0x40), mod(add(mul(x, e), mul(sub(P, y), f)), P))
            mstore(add(to, 0x60), mod(add(mul(x, f), mul(y, e)), P))
            x, y := double(x, y)
            mstore(add(to, 0x80), x)
            mstore(add(to, 0xa0), y)
            x, y := double(x, y)
            mstore(add(to, 0xc0), x)
            mstore(add(to, 0xe0), y)
            last := mulmod(shl(1, x), y, P)
        }
    }

    /// The inverses for a coset on the circle. It folds by y of P + k/8 for k = 0, 4, 2, 6, 1, 5, 3, 7, of which the second
    /// of two is the first's negative; by x of P + k/8 for k = 0, 2, 1, 3; by x of 2P + k/4 for k = 0, 1; by x of 4P.
    function _invertCircle(uint256 to, uint256 inverse) private pure {
        assembly {
            // 1/x and 1/y of a point, from the inverse of the doubled point's y.
            function invert(from, over) -> a, b {
                a := mulmod(shl(1, mload(add(from, 0x20))), over, P)
                b := mulmod(shl(1, mload(from)), over, P)
            }
            let x4, y4 := invert(add(to, 0xc0), inverse)
            let x2, y2 := invert(add(to, 0x80), y4)
            let x0, y0 := invert(to, y2)
            // 2 (P + 1/8) = 2P + 1/4 has -x of 2P for y.
            let x1, y1 := invert(add(to, 0x40), sub(P, x2))
            mstore(to, y0)
            mstore(add(to, 0x20), sub(P, y0))
            mstore(add(to, 0x40), sub(P, x0))
            mstore(add(to, 0x60), x0)
            mstore(add(to, 0x80), y1)
            mstore(add(to, 0xa0), sub(P, y1))
            mstore(add(to, 0xc0), sub(P, x1))
            mstore(add(to, 0xe0), x1)
            mstore(add(to, 0x100), x0)
            mstore(add(to, 0x120), y0)
            mstore(add(to, 0x140), x1)
            mstore(add(to, 0x160), y1)
            mstore(add(to, 0x180), x2)
            mstore(add(to, 0x1a0), y2)
            mstore(add(to, 0x1c0), x4)
        }
    }

    /// Writes P + k/16 for k = 0, 2, 1, 3; 2P, 2P + 1/8; 4P; 8P, where a turn is 1, and returns y of 16P.
    function _linePoints(uint256 index, uint256 to) private pure returns (uint256 last) {
        (uint256 x, uint256 y) = Circle.point(index);
        assembly {
            function double(a, b) -> c, d {
                c := addmod(mul(shl(1, a), a), sub(P, 1), P)
                d := mulmod(shl(1, a), b, P)
            }
            function rotate(at_, a, b, e, f) -> c, d {
                c := mod(add(mul(a, e), mul(sub(P, b), f)), P)
                d := mod(add(mul(a, f), mul(b, e)), P)
                mstore(at_, c)
                mstore(add(at_, 0x20), d)
            }
            mstore(to, x)
            mstore(add(to, 0x20), y)
            {
                let c, d :=
                    rotate(add(to, 0x40), x, y, and(shr(96, SIXTEENTHS), MASK_32), and(shr(64, SIXTEENTHS), MASK_32))
                c, d := rotate(add(to, 0xc0), x, y, and(shr(32, SIXTEENTHS), MASK_32), and(SIXTEENTHS, MASK_32))
                c, d :=
                    rotate(add(to, 0x80), x, y, and(shr(160, SIXTEENTHS), MASK_32), and(shr(128, SIXTEENTHS), MASK_32))
                c, d := double(c, d)
                mstore(add(to, 0x140), c)
                mstore(add(to, 0x160), d)
            }
            x, y := double(x, y)
            mstore(add(to, 0x100), x)
            mstore(add(to, 0x120), y)
            x, y := double(x, y)
            mstore(add(to, 0x180), x)
            mstore(add(to, 0x1a0), y)
            x, y := double(x, y)
            mstore(add(to, 0x1c0), x)
            mstore(add(to, 0x1e0), y)
            last := mulmod(shl(1, x), y, P)
        }
    }

    /// The inverses for a coset on the line. It folds by x of P + k/16 for k = 0, 4, 2, 6, 1, 5, 3, 7, of which the second
    /// of two is the first turned by a quarter; by x of 2P + k/8 for k = 0, 2, 1, 3 likewise; by x of 4P + k/4 for
    /// k = 0, 1; by x of 8P. So each pair written here replaces a point by its inverted coordinates, in place.
    function _invertLine(uint256 to, uint256 inverse) private pure {
        assembly {
            function invert(from, over) -> a, b {
                a := mulmod(shl(1, mload(add(from, 0x20))), over, P)
                b := mulmod(shl(1, mload(from)), over, P)
                mstore(from, a)
                mstore(add(from, 0x20), b)
            }
            let x8, y8 := invert(add(to, 0x1c0), inverse)
            let x4, y4 := invert(add(to, 0x180), y8)
            let x2, y2 := invert(add(to, 0x100), y4)
            // 2 (2P + 1/8) = 4P + 1/4 has -x of 4P for y; likewise below.
            let x3, y3 := invert(add(to, 0x140), sub(P, x4))
            let x, y := invert(to, y2)
            x, y := invert(add(to, 0x40), sub(P, x2))
            x, y := invert(add(to, 0x80), y3)
            x, y := invert(add(to, 0xc0), sub(P, x3))
        }
    }

    /// The coefficient's powers 1, 2, 4, 8 times 1, i, u, iu, in coordinates: the rows of multiplication by them.
    function _rotations(uint256 layer) private pure {
        uint256 power;
        assembly {
            power := mload(add(FOLDING_COEFFICIENTS, shl(5, layer)))
        }
        for (uint256 step; step < LOG_COSET; ++step) {
            uint256 one = QM31.toCoordinates(power);
            uint256 i = QM31.toCoordinates(QM31.mul(power, I));
            uint256 u = QM31.toCoordinates(QM31.mul(power, U));
            uint256 iu = QM31.toCoordinates(QM31.mul(power, IU));
            assembly {
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
                assembly {
                    coset := shr(LOG_COSET, mload(known))
                }
                uint256 wrong;
                (known, cursor, wrong) = _readCoset(coset << LOG_COSET, known, end, cursor);
                flags |= wrong;
                uint256 node = _cosetNode();
                uint256 value = _foldCoset(twiddles);
                assembly {
                    mstore(add(NODES, to), coset)
                    mstore(add(NODES, add(to, 0x20)), node)
                    // What is written here was read: cosets are no more than values.
                    mstore(add(KNOWN, to), coset)
                    mstore(add(KNOWN, add(to, 0x20)), value)
                }
                to += 64;
                twiddles += TWIDDLE_BYTES;
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
        assembly {
            let word := COSET
            let bytesAt := COSET_BYTES
            for { let cosetEnd := add(position, COSET_SIZE) } lt(position, cosetEnd) {} {
                // From calldata up to what is known, or to the end.
                let n := sub(cosetEnd, position)
                let isKnown := 0
                if lt(known, end) {
                    let until := sub(mload(known), position)
                    if lt(until, n) {
                        n := until
                        isKnown := 1
                    }
                }
                calldatacopy(bytesAt, cursor, shl(4, n))
                bytesAt := add(bytesAt, shl(4, n))
                position := add(position, n)
                for { let wordEnd := add(word, shl(5, n)) } lt(word, wordEnd) { word := add(word, 0x20) } {
                    let value := calldataload(cursor)
                    cursor := add(cursor, 16)
                    mstore(
                        word,
                        or(
                            or(shr(224, value), and(shr(128, value), LANE_1)),
                            or(and(shr(32, value), LANE_2), and(shl(64, value), LANE_3))
                        )
                    )
                }
                if isKnown {
                    let value := mload(add(known, 0x20))
                    mstore(word, value)
                    // Below p, then big endian, 32 bits each; what this writes too much is written over.
                    value := sub(value, mul(and(shr(31, add(value, ONES)), ONES), P))
                    mstore(
                        bytesAt,
                        or(
                            or(shl(224, value), shl(192, and(shr(64, value), MASK_32))),
                            or(shl(160, and(shr(128, value), MASK_32)), shl(128, shr(192, value)))
                        )
                    )
                    known := add(known, 0x40)
                    word := add(word, 0x20)
                    bytesAt := add(bytesAt, 16)
                    position := add(position, 1)
                }
            }
            for { word := COSET_BYTES } lt(word, bytesAt) { word := add(word, 0x20) } {
                let value := mload(word)
                flags := or(flags, or(value, add(and(value, VALUES_31), VALUES_ONE)))
            }
        }
        return (known, cursor, flags);
    }

    /// The node above the coset's four leaves of four values each.
    function _cosetNode() private pure returns (uint256 node) {
        assembly {
            function leaf(from) -> hash {
                mcopy(add(LEAF, 1), from, 64)
                hash := and(keccak256(LEAF, 65), HASH_MASK)
            }
            mstore8(LEAF, 0)
            mstore(0, leaf(COSET_BYTES))
            mstore(0x20, leaf(add(COSET_BYTES, 64)))
            let left := and(keccak256(0, 0x40), HASH_MASK)
            mstore(0, leaf(add(COSET_BYTES, 128)))
            mstore(0x20, leaf(add(COSET_BYTES, 192)))
            mstore(0x20, and(keccak256(0, 0x40), HASH_MASK))
            mstore(0, left)
            node := and(keccak256(0, 0x40), HASH_MASK)
        }
    }

    /// Folds the sixteen values in `COSET` into one. Between the steps, lanes are at most p + 4.
    function _foldCoset(uint256 twiddle) private pure returns (uint256 value) {
        assembly {
            let rotation := ROTATIONS
            for { let size := 0x100 } gt(size, 0x10) { size := shr(1, size) } {
                let r0 := mload(rotation)
                let r1 := mload(add(rotation, 0x20))
                let r2 := mload(add(rotation, 0x40))
                let r3 := mload(add(rotation, 0x60))
                let from := COSET
                for { let to := COSET } lt(to, add(COSET, size)) { to := add(to, 0x20) } {
                    let f := mload(from)
                    let g := mload(add(from, 0x20))
                    // f - g + 2p is at most 3p + 4, folded 2^31 + 1; by the inverse of x below 2^62 + 2^32, folded below
                    // 2^32 + 4, then at most 2^31.
                    let d := add(f, sub(shl(1, PPPP), g))
                    d := mul(add(and(d, PPPP), and(shr(31, d), MASK_33)), mload(twiddle))
                    d := add(and(d, PPPP), and(shr(31, d), MASK_33))
                    d := add(and(d, PPPP), and(shr(31, d), MASK_33))
                    // Four products of that by the coefficient's lanes, at most p, and f + g, at most 2p + 8, stay below
                    // 2^64; folded below 2^33.4, then at most p + 4.
                    g := add(f, g)
                    g := add(g, add(mul(r0, and(d, MASK_32)), mul(r1, and(shr(64, d), MASK_32))))
                    g := add(g, add(mul(r2, and(shr(128, d), MASK_32)), mul(r3, shr(192, d))))
                    g := add(and(g, PPPP), and(shr(31, g), MASK_33))
                    mstore(to, add(and(g, PPPP), and(shr(31, g), MASK_33)))
                    twiddle := add(twiddle, 0x20)
                    from := add(from, 0x40)
                }
                rotation := add(rotation, 0x80)
            }
            value := mload(COSET)
            value := add(and(value, PPPP), and(shr(31, value), MASK_33))
        }
    }

    /// Verifies that the `n` values in `KNOWN` are the last layer's polynomial, whose coefficients are at `cursor`.
    ///
    /// The basis is the products of x, 2x^2 - 1, ... (doubled again and again), the highest bit of a coefficient's number
    /// being x's.
    function checkLastLayer(uint256 n, uint256 cursor) internal pure {
        assembly {
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
                assembly {
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
        assembly {
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

    /// The polynomial at the point of the basis: coefficients times lower products, their sums times upper ones.
    function _evaluate() private pure returns (uint256 value) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly {
            let coefficient := LAST_LAYER
            for { let high := BASIS_HIGH } lt(high, add(BASIS_HIGH, 0x200)) { high := add(high, 0x20) } {
                // Four products below p^2 stay below 2^64; folded below 2^33.4, four of them below 2^36.
                let four := mul(mload(coefficient), mload(BASIS_LOW))
                four := add(four, mul(mload(add(coefficient, 0x20)), mload(add(BASIS_LOW, 0x20))))
                four := add(four, mul(mload(add(coefficient, 0x40)), mload(add(BASIS_LOW, 0x40))))
                four := add(four, mul(mload(add(coefficient, 0x60)), mload(add(BASIS_LOW, 0x60))))
                let sum := add(and(four, low31), and(shr(31, four), low33))
                four := mul(mload(add(coefficient, 0x80)), mload(add(BASIS_LOW, 0x80)))
                four := add(four, mul(mload(add(coefficient, 0xa0)), mload(add(BASIS_LOW, 0xa0))))
                four := add(four, mul(mload(add(coefficient, 0xc0)), mload(add(BASIS_LOW, 0xc0))))
                four := add(four, mul(mload(add(coefficient, 0xe0)), mload(add(BASIS_LOW, 0xe0))))
                sum := add(sum, add(and(four, low31), and(shr(31, four), low33)))
                four := mul(mload(add(coefficient, 0x100)), mload(add(BASIS_LOW, 0x100)))
                four := add(four, mul(mload(add(coefficient, 0x120)), mload(add(BASIS_LOW, 0x120))))
                four := add(four, mul(mload(add(coefficient, 0x140)), mload(add(BASIS_LOW, 0x140))))
                four := add(four, mul(mload(add(coefficient, 0x160)), mload(add(BASIS_LOW, 0x160))))
                sum := add(sum, add(and(four, low31), and(shr(31, four), low33)))
                four := mul(mload(add(coefficient, 0x180)), mload(add(BASIS_LOW, 0x180)))
                four := add(four, mul(mload(add(coefficient, 0x1a0)), mload(add(BASIS_LOW, 0x1a0))))
                four := add(four, mul(mload(add(coefficient, 0x1c0)), mload(add(BASIS_LOW, 0x1c0))))
                four := add(four, mul(mload(add(coefficient, 0x1e0)), mload(add(BASIS_LOW, 0x1e0))))
                sum := add(sum, add(and(four, low31), and(shr(31, four), low33)))
                coefficient := add(coefficient, 0x200)
                // To p + 2^5, to p; the product by a factor to p^2, folded below 2^32; 16 of them below 2^36.
                sum := add(and(sum, low31), and(shr(31, sum), low33))
                sum := mul(add(and(sum, low31), and(shr(31, sum), low33)), mload(high))
                value := add(value, add(and(sum, low31), and(shr(31, sum), low33)))
            }
            value := add(and(value, low31), and(shr(31, value), low33))
            value := add(and(value, low31), and(shr(31, value), low33))
        }
    }
}
