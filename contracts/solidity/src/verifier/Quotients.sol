// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Circle} from "./Circle.sol";
import {
    BATCHES,
    BATCH_BYTES,
    BATCH_LINE,
    BATCH_LINE_X,
    BATCH_LINE_Y,
    BATCH_OFFSET,
    BATCH_SCALE,
    BATCH_SLOPE,
    COEFFICIENTS,
    COMPOSITION_COEFFICIENTS,
    DENOMINATORS,
    INTERACTION_COEFFICIENTS,
    INTERACTION_STARTS,
    KNOWN,
    NORMS,
    N_BATCHES,
    N_POSITIONS,
    OODS_X,
    OODS_Y,
    PERIOD_COEFFICIENTS,
    POSITIONS,
    PREVIOUS_COEFFICIENTS,
    QUERY_POINTS,
    QUOTIENT_COEFFICIENT,
    ROWS,
    TRACE_COEFFICIENTS,
    TRACE_STARTS
} from "./Memory.sol";
import {
    BIAS,
    EVEN_LANES,
    I,
    IU,
    MASK_128,
    MASK_32,
    MASK_33,
    MASK_64,
    P,
    PPPP,
    P_SQUARED,
    QM31,
    U,
    VALUES_31,
    VALUES_ONE,
    VALUES_TOP
} from "./QM31.sol";
import {
    INTERACTION_COLUMNS,
    N_COMPONENTS,
    N_COMPOSITION,
    N_INTERACTION,
    N_PREPROCESSED,
    N_TRACE,
    STEP_X,
    STEP_Y,
    TRACE_COLUMNS
} from "./generated/CircuitShape.sol";

/// The values that the first FRI layer must have at the queried points, from the queried rows and the samples.
///
/// A column f sampled as v at a point Z of the extension, hence as the conjugate v' at Z', leaves the quotient
/// `(c f(p) - a y - b) / line(Z, Z')(p)` at the queried p = (x, y), where c = Z_y' - Z_y, a = v' - v, b = v c - a Z_y. The
/// quotients are combined by powers w of one coefficient, numbered by tree, column and sample: a running sum has three
/// of them, that it repeats after a period (smaller components are lifted to the largest), in the row before, in the
/// row. With N = sum of w f(p), V = sum of w v and S = sum of w (v' - v) over the columns sampled at Z, their quotients
/// are `(c N - S y + (S Z_y - c V)) / line`. The line is in M31[i], as are inverses of its values; multiplying by them
/// is cheap in coordinates.
library Quotients {
    /// A queried value is not below 2^31-1.
    error NonCanonicalRow();

    /// Bytes of a row's 319 values: not a multiple of 32.
    uint256 internal constant ROW_BYTES = 1276;
    uint256 private constant PREVIOUS = BATCHES + BATCH_BYTES;
    uint256 private constant PERIODS = BATCHES + 2 * BATCH_BYTES;

    /// Computes the columns' coefficients, in the order of the leaves, and what the batches need of the samples, which
    /// begin at `sample` in calldata.
    function prepare(uint256 sample, uint256 componentLogSizes) internal pure {
        _coefficients(sample);
        uint256 x;
        uint256 y;
        assembly {
            x := mload(OODS_X)
            y := mload(OODS_Y)
        }
        _finish(BATCHES, x, y);
        _finishShifted(PREVIOUS, x, y, STEP_X, P - STEP_Y);
        _scale(PREVIOUS_COEFFICIENTS, 4 * N_COMPONENTS, PREVIOUS);
        unchecked {
            for (uint256 component; component < N_COMPONENTS; ++component) {
                // 2^(11 + log size) times the generator: of the order of the domain divided by the component's rows.
                uint256 logSize = (componentLogSizes >> (8 * component)) & 0xff;
                (uint256 periodX, uint256 periodY) = Circle.point(1 << (5 + logSize));
                uint256 batch = PERIODS + component * BATCH_BYTES;
                _finishShifted(batch, x, y, periodX, periodY);
                _scale(PERIOD_COEFFICIENTS + 0x80 * component, 4, batch);
            }
        }
    }

    function _coefficients(uint256 sample) private pure {
        uint256 coefficient;
        assembly {
            coefficient := mload(QUOTIENT_COEFFICIENT)
        }
        uint256 power = 1;
        (sample, power) = _columns(sample, power, coefficient, COEFFICIENTS, N_PREPROCESSED);
        unchecked {
            for (uint256 component; component < N_COMPONENTS; ++component) {
                uint256 columns = (TRACE_COLUMNS >> (8 * component)) & 0xff;
                uint256 to;
                assembly {
                    to := add(TRACE_COEFFICIENTS, shl(5, mload(add(TRACE_STARTS, shl(5, component)))))
                }
                (sample, power) = _columns(sample, power, coefficient, to, columns);
            }
            for (uint256 component; component < N_COMPONENTS; ++component) {
                uint256 columns = ((INTERACTION_COLUMNS >> (8 * component)) & 0xff) - 4;
                uint256 to;
                assembly {
                    to := add(INTERACTION_COEFFICIENTS, shl(5, mload(add(INTERACTION_STARTS, shl(5, component)))))
                }
                (sample, power) = _columns(sample, power, coefficient, to, columns);
                to += 32 * columns;
                for (uint256 column; column < 4; ++column) {
                    uint256 sum = 0x80 * component + 0x20 * column;
                    // The row before comes first in calldata, the period first among the coefficients.
                    power = _sample(
                        sample + 16, power, coefficient, PERIOD_COEFFICIENTS + sum, PERIODS + component * BATCH_BYTES
                    );
                    power = _sample(sample, power, coefficient, PREVIOUS_COEFFICIENTS + sum, PREVIOUS);
                    power = _sample(sample + 16, power, coefficient, to + 32 * column, BATCHES);
                    sample += 32;
                }
            }
        }
        (sample, power) = _columns(sample, power, coefficient, COMPOSITION_COEFFICIENTS, N_COMPOSITION);
    }

    /// Columns with one sample, as `_sample` of each.
    function _columns(uint256 sample, uint256 power, uint256 coefficient, uint256 to, uint256 n)
        private
        pure
        returns (uint256, uint256)
    {
        assembly {
            let a := mload(BATCHES)
            let b := mload(add(BATCHES, 0x20))
            let c := mload(add(BATCHES, 0x40))
            let d := mload(add(BATCHES, 0x60))
            for { n := add(to, shl(5, n)) } lt(to, n) { to := add(to, 0x20) } {
                mstore(to, power)
                let value := calldataload(sample)
                sample := add(sample, 16)
                a := add(a, mul(power, shr(224, value)))
                a := add(and(a, PPPP), and(shr(31, a), MASK_33))
                b := add(b, mul(power, and(shr(192, value), MASK_32)))
                b := add(and(b, PPPP), and(shr(31, b), MASK_33))
                c := add(c, mul(power, and(shr(160, value), MASK_32)))
                c := add(and(c, PPPP), and(shr(31, c), MASK_33))
                d := add(d, mul(power, and(shr(128, value), MASK_32)))
                d := add(and(d, PPPP), and(shr(31, d), MASK_33))
                // `QM31.mul(power, coefficient)`, which see.
                value := mulmod(power, coefficient, not(0))
                power := mul(power, coefficient)
                value := sub(sub(value, power), lt(value, power))
                value := add(and(value, PPPP), and(shr(31, value), MASK_33))
                power := add(and(power, PPPP), and(shr(31, power), MASK_33))
                power := add(power, shl(128, add(shl(2, value), mul(11, shr(128, value)))))
                value := add(mul(5, and(value, MASK_128)), mul(20, shr(128, value)))
                power := sub(add(power, BIAS), value)
                power := add(and(power, PPPP), and(shr(31, power), MASK_33))
                power := add(and(power, PPPP), and(shr(31, power), MASK_33))
            }
            mstore(BATCHES, a)
            mstore(add(BATCHES, 0x20), b)
            mstore(add(BATCHES, 0x40), c)
            mstore(add(BATCHES, 0x60), d)
        }
        return (sample, power);
    }

    /// Stores `power` as a coefficient, adds it times each coordinate of the sample to the batch, and returns the next.
    function _sample(uint256 sample, uint256 power, uint256 coefficient, uint256 to, uint256 batch)
        private
        pure
        returns (uint256 next)
    {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly {
            mstore(to, power)
            let value := shr(128, calldataload(sample))
            // Lanes: a product to p^2 and a folded one stay below 2^63, fold below 2^33.4.
            let sum := add(mload(batch), mul(power, shr(96, value)))
            mstore(batch, add(and(sum, low31), and(shr(31, sum), low33)))
            batch := add(batch, 0x20)
            sum := add(mload(batch), mul(power, and(shr(64, value), MASK_32)))
            mstore(batch, add(and(sum, low31), and(shr(31, sum), low33)))
            batch := add(batch, 0x20)
            sum := add(mload(batch), mul(power, and(shr(32, value), MASK_32)))
            mstore(batch, add(and(sum, low31), and(shr(31, sum), low33)))
            batch := add(batch, 0x20)
            sum := add(mload(batch), mul(power, and(value, MASK_32)))
            mstore(batch, add(and(sum, low31), and(shr(31, sum), low33)))
        }
        return QM31.mul(power, coefficient);
    }

    /// Multiplies `n` coefficients by a batch's c, once rather than at every query.
    function _scale(uint256 coefficients, uint256 n, uint256 batch) private pure {
        uint256 scale;
        assembly {
            scale := mload(add(batch, BATCH_SCALE))
        }
        unchecked {
            for (uint256 end = coefficients + 32 * n; coefficients < end; coefficients += 32) {
                uint256 coefficient;
                assembly {
                    coefficient := mload(coefficients)
                }
                coefficient = QM31.toCoordinates(QM31.mul(scale, coefficient));
                assembly {
                    mstore(coefficients, coefficient)
                }
            }
        }
    }

    function _finishShifted(uint256 batch, uint256 x, uint256 y, uint256 byX, uint256 byY) private pure {
        unchecked {
            uint256 shiftedX = QM31.sub(QM31.scale(x, byX), QM31.scale(y, byY));
            uint256 shiftedY = QM31.add(QM31.scale(x, byY), QM31.scale(y, byX));
            _finish(batch, shiftedX, shiftedY);
        }
    }

    /// From the sums by coordinate to c, -S and S Z_y - c V, and to the line through the point (x, y) and its conjugate.
    function _finish(uint256 batch, uint256 x, uint256 y) private pure {
        uint256[4] memory sums;
        unchecked {
            for (uint256 i; i < 4; ++i) {
                uint256 sum;
                assembly {
                    sum := mload(add(batch, shl(5, i)))
                }
                sums[i] = QM31.reduce(sum);
            }
        }
        // The part with u, which conjugation negates.
        uint256 odd = QM31.add(QM31.mul(U, sums[2]), QM31.mul(IU, sums[3]));
        uint256 value = QM31.add(QM31.add(sums[0], QM31.mul(I, sums[1])), odd);
        uint256 negatedSlope = QM31.add(odd, odd);
        uint256 scale = QM31.sub(0, QM31.add(y, y)) & ((MASK_64 << 64) | (MASK_64 << 192));
        uint256 offset = QM31.sub(0, QM31.add(QM31.mul(negatedSlope, y), QM31.mul(scale, value)));
        (negatedSlope, offset) = (QM31.toCoordinates(negatedSlope), QM31.toCoordinates(offset));
        assembly {
            mstore(add(batch, BATCH_SCALE), scale)
            mstore(add(batch, BATCH_SLOPE), negatedSlope)
            mstore(add(batch, BATCH_OFFSET), offset)
        }
        _line(batch, QM31.toCoordinates(x), QM31.toCoordinates(y));
    }

    /// `(Re X - x) Im Y - (Re Y - y) Im X` at (x, y) is `line - x Im Y + y Im X`, over 1, i; Re and Im are over 1, u.
    function _line(uint256 batch, uint256 x, uint256 y) private pure {
        assembly {
            let rx := and(x, MASK_64)
            let rxi := and(shr(64, x), MASK_64)
            let ix := and(shr(128, x), MASK_64)
            let ixi := shr(192, x)
            let ry := and(y, MASK_64)
            let ryi := and(shr(64, y), MASK_64)
            let iy := and(shr(128, y), MASK_64)
            let iyi := shr(192, y)
            // Of products below p^2, four at a time.
            let re := add(mul(rx, iy), sub(P_SQUARED, mul(rxi, iyi)))
            re := add(re, add(sub(P_SQUARED, mul(ry, ix)), mul(ryi, ixi)))
            let im := add(mul(rx, iyi), mul(rxi, iy))
            im := add(im, add(sub(P_SQUARED, mul(ry, ixi)), sub(P_SQUARED, mul(ryi, ix))))
            mstore(add(batch, BATCH_LINE), or(mod(re, P), shl(64, mod(im, P))))
            mstore(add(batch, BATCH_LINE_X), or(sub(P, iy), shl(64, sub(P, iyi))))
            mstore(add(batch, BATCH_LINE_Y), or(ix, shl(64, ixi)))
        }
    }

    /// Writes position and value, in coordinates, of each query to `KNOWN`.
    function evaluate() internal pure {
        _denominators();
        uint256 n;
        assembly {
            n := mload(N_POSITIONS)
        }
        uint256 flags;
        unchecked {
            for (uint256 query; query < n; ++query) {
                flags |= _query(query);
            }
        }
        if (flags & VALUES_TOP != 0) revert NonCanonicalRow();
    }

    /// All denominators and the inverses of their norms.
    function _denominators() private pure {
        uint256 n;
        assembly {
            n := mload(N_POSITIONS)
        }
        unchecked {
            for (uint256 query; query < n; ++query) {
                uint256 position;
                assembly {
                    position := mload(add(POSITIONS, shl(5, query)))
                }
                (uint256 x, uint256 y) = Circle.domainPoint(position);
                assembly {
                    let cursor := add(QUERY_POINTS, shl(6, query))
                    mstore(cursor, x)
                    mstore(add(cursor, 0x20), y)
                    let offset := mul(query, shl(5, N_BATCHES))
                    let batch := BATCHES
                    for { let end := add(offset, shl(5, N_BATCHES)) } lt(offset, end) { offset := add(offset, 0x20) } {
                        // Lanes below 2^63.
                        let line :=
                            add(mul(x, mload(add(batch, BATCH_LINE_X))), mul(y, mload(add(batch, BATCH_LINE_Y))))
                        line := add(line, mload(add(batch, BATCH_LINE)))
                        line := add(and(line, PPPP), and(shr(31, line), MASK_33))
                        line := add(and(line, PPPP), and(shr(31, line), MASK_33))
                        line := add(and(line, PPPP), and(shr(31, line), MASK_33))
                        let re := and(line, MASK_64)
                        let im := shr(64, line)
                        mstore(add(DENOMINATORS, offset), line)
                        mstore(add(NORMS, offset), mod(add(mul(re, re), mul(im, im)), P))
                        batch := add(batch, BATCH_BYTES)
                    }
                }
            }
            Circle.invertAll(NORMS, n * N_BATCHES);
        }
    }

    /// One query; returns bits that are set where a value is not canonical.
    function _query(uint256 query) private pure returns (uint256 flags) {
        uint256 row;
        assembly {
            row := add(mload(ROWS), mul(query, ROW_BYTES))
        }
        uint256 values;
        (values, flags) = _row(row);
        unchecked {
            // To the interaction trace.
            row += 4 * (N_PREPROCESSED + N_TRACE);
        }
        uint256 y;
        uint256 offset;
        assembly {
            y := mload(add(QUERY_POINTS, add(shl(6, query), 0x20)))
            offset := mul(query, shl(5, N_BATCHES))
        }
        uint256 scale;
        assembly {
            scale := mload(add(BATCHES, BATCH_SCALE))
        }
        values = QM31.toCoordinates(QM31.mul(scale, QM31.reduce(values)));
        uint256 sum = _quotient(BATCHES, values, y, offset);
        sum = QM31.reduce(sum + _runningSums(row, y, offset));
        assembly {
            let known := add(KNOWN, shl(6, query))
            mstore(known, mload(add(POSITIONS, shl(5, query))))
            mstore(add(known, 0x20), sum)
        }
    }

    /// The quotients of the last four columns of each component, a period away and in the row before. Lanes are below
    /// 2^38.
    function _runningSums(uint256 row, uint256 y, uint256 offset) private pure returns (uint256 sum) {
        uint256 previous;
        unchecked {
            for (uint256 component; component < N_COMPONENTS; ++component) {
                uint256 values;
                assembly {
                    let column := mload(add(INTERACTION_STARTS, shl(5, component)))
                    column := add(column, sub(and(shr(shl(3, component), INTERACTION_COLUMNS), 0xff), 4))
                    let four := calldataload(add(row, shl(2, column)))
                    let a := shr(224, four)
                    let b := and(shr(192, four), MASK_32)
                    let c := and(shr(160, four), MASK_32)
                    four := and(shr(128, four), MASK_32)
                    // Four products below p^2 stay below 2^64.
                    let from := add(PERIOD_COEFFICIENTS, shl(7, component))
                    values := add(mul(a, mload(from)), mul(b, mload(add(from, 0x20))))
                    values := add(values, add(mul(c, mload(add(from, 0x40))), mul(four, mload(add(from, 0x60)))))
                    values := add(and(values, PPPP), and(shr(31, values), MASK_33))
                    from := add(PREVIOUS_COEFFICIENTS, shl(7, component))
                    a := add(mul(a, mload(from)), mul(b, mload(add(from, 0x20))))
                    a := add(a, add(mul(c, mload(add(from, 0x40))), mul(four, mload(add(from, 0x60)))))
                    previous := add(previous, add(and(a, PPPP), and(shr(31, a), MASK_33)))
                }
                sum += _quotient(PERIODS + component * BATCH_BYTES, values, y, offset + 0x40 + 0x20 * component);
            }
            sum += _quotient(PREVIOUS, previous, y, offset + 0x20);
        }
    }

    /// A row's values times their coefficients, lanes below 2^33.4; and bits that are set where one is not canonical.
    function _row(uint256 row) private pure returns (uint256 values, uint256 flags) {
        uint256 coefficients = COEFFICIENTS;
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly {
            // Folded lanes, below 2^33.4, and three products of values below p by lanes to p stay below 2^64.
            // What follows the last values in a word has zeros for coefficients.
            let last := 0
            for { let end := add(row, ROW_BYTES) } lt(row, end) { row := add(row, 0x20) } {
                let v := calldataload(row)
                flags := or(flags, last)
                last := or(v, add(and(v, VALUES_31), VALUES_ONE))
                values := add(values, mul(shr(224, v), mload(coefficients)))
                values := add(values, mul(and(shr(192, v), MASK_32), mload(add(coefficients, 0x20))))
                values := add(values, mul(and(shr(160, v), MASK_32), mload(add(coefficients, 0x40))))
                values := add(and(values, low31), and(shr(31, values), low33))
                values := add(values, mul(and(shr(128, v), MASK_32), mload(add(coefficients, 0x60))))
                values := add(values, mul(and(shr(96, v), MASK_32), mload(add(coefficients, 0x80))))
                values := add(values, mul(and(shr(64, v), MASK_32), mload(add(coefficients, 0xa0))))
                values := add(and(values, low31), and(shr(31, values), low33))
                values := add(values, mul(and(shr(32, v), MASK_32), mload(add(coefficients, 0xc0))))
                values := add(values, mul(and(v, MASK_32), mload(add(coefficients, 0xe0))))
                values := add(and(values, low31), and(shr(31, values), low33))
                coefficients := add(coefficients, 0x100)
            }
            flags := or(flags, and(last, not(shr(shl(3, and(ROW_BYTES, 31)), not(0)))))
        }
    }

    /// `(c N - S y + (S Z_y - c V)) / line` in coordinates, from `c N` with lanes below 2^63. Lanes are below 2^33.4.
    function _quotient(uint256 batch, uint256 values, uint256 y, uint256 offset) private pure returns (uint256 r) {
        (uint256 low31, uint256 low33) = (PPPP, MASK_33);
        assembly {
            // Below 2^64: reduced as any lanes.
            r := add(values, add(mul(y, mload(add(batch, BATCH_SLOPE))), mload(add(batch, BATCH_OFFSET))))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
            r := add(and(r, low31), and(shr(31, r), low33))
            // By the conjugate over 1, i of the line times the inverse of its norm, a - bi: r a + (- i r) b, where
            // -i (s + ti) = t - si.
            let line := mload(add(DENOMINATORS, offset))
            let norm := mload(add(NORMS, offset))
            let turned := or(and(shr(64, r), EVEN_LANES), and(shl(64, sub(low31, r)), not(EVEN_LANES)))
            r := mul(r, mulmod(and(line, MASK_64), norm, P))
            r := add(r, mul(turned, mulmod(shr(64, line), norm, P)))
            r := add(and(r, low31), and(shr(31, r), low33))
        }
    }
}
