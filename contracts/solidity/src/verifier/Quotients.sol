// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Circle} from "./Circle.sol";
import {
    BATCHES,
    BATCH_BYTES,
    BATCH_LINE,
    BATCH_LINE_X,
    BATCH_LINE_Y,
    BATCH_SCALE,
    BATCH_SLOPE,
    BATCH_VALUE,
    BATCH_Y,
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
    MASK_128,
    MASK_32,
    MASK_33,
    MASK_64,
    P,
    PPPP,
    P_SQUARED,
    QM31,
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
/// are `(c (N - V) + S (Z_y - y)) / line`.
library Quotients {
    /// A queried value is not below 2^31-1.
    error NonCanonicalRow();

    uint256 private constant PREVIOUS = BATCHES + BATCH_BYTES;
    uint256 private constant PERIODS = BATCHES + 2 * BATCH_BYTES;

    /// Computes the columns' coefficients, in the order of the leaves, and what the batches need of the samples, which
    /// begin at `sample` in calldata.
    function prepare(uint256 sample, uint256 componentLogSizes) internal pure {
        _coefficients(sample);
        uint256 x;
        uint256 y;
        assembly ("memory-safe") {
            x := mload(OODS_X)
            y := mload(OODS_Y)
        }
        _finish(BATCHES, x, y);
        _finishShifted(PREVIOUS, x, y, STEP_X, P - STEP_Y);
        unchecked {
            for (uint256 component; component < N_COMPONENTS; ++component) {
                // 2^(11 + log size) times the generator: of the order of the domain divided by the component's rows.
                uint256 logSize = (componentLogSizes >> (8 * component)) & 0xff;
                (uint256 periodX, uint256 periodY) = Circle.point(1 << (5 + logSize));
                _finishShifted(PERIODS + component * BATCH_BYTES, x, y, periodX, periodY);
            }
        }
    }

    function _coefficients(uint256 sample) private pure {
        uint256 coefficient;
        assembly ("memory-safe") {
            coefficient := mload(QUOTIENT_COEFFICIENT)
        }
        uint256 power = 1;
        (sample, power) = _columns(sample, power, coefficient, COEFFICIENTS, N_PREPROCESSED);
        unchecked {
            for (uint256 component; component < N_COMPONENTS; ++component) {
                uint256 columns = (TRACE_COLUMNS >> (8 * component)) & 0xff;
                uint256 to;
                assembly ("memory-safe") {
                    to := add(TRACE_COEFFICIENTS, shl(5, mload(add(TRACE_STARTS, shl(5, component)))))
                }
                (sample, power) = _columns(sample, power, coefficient, to, columns);
            }
            for (uint256 component; component < N_COMPONENTS; ++component) {
                uint256 columns = ((INTERACTION_COLUMNS >> (8 * component)) & 0xff) - 4;
                uint256 to;
                assembly ("memory-safe") {
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

    /// Columns with one sample.
    function _columns(uint256 sample, uint256 power, uint256 coefficient, uint256 to, uint256 n)
        private
        pure
        returns (uint256, uint256)
    {
        unchecked {
            for (uint256 end = to + 32 * n; to < end; to += 32) {
                power = _sample(sample, power, coefficient, to, BATCHES);
                sample += 16;
            }
        }
        return (sample, power);
    }

    /// Stores `power` as a coefficient, adds it times each coordinate of the sample to the batch, and returns the next.
    function _sample(uint256 sample, uint256 power, uint256 coefficient, uint256 to, uint256 batch)
        private
        pure
        returns (uint256)
    {
        assembly ("memory-safe") {
            // Lanes: a product below 2^62 and a folded one stay below 2^63.
            function addTo(cursor, product) {
                let sum := add(mload(cursor), product)
                mstore(cursor, add(and(sum, PPPP), and(shr(31, sum), MASK_33)))
            }
            mstore(to, power)
            let value := shr(128, calldataload(sample))
            addTo(batch, mul(power, shr(96, value)))
            addTo(add(batch, 0x20), mul(power, and(shr(64, value), MASK_32)))
            addTo(add(batch, 0x40), mul(power, and(shr(32, value), MASK_32)))
            addTo(add(batch, 0x60), mul(power, and(value, MASK_32)))
        }
        return QM31.mul(power, coefficient);
    }

    function _finishShifted(uint256 batch, uint256 x, uint256 y, uint256 byX, uint256 byY) private pure {
        unchecked {
            uint256 shiftedX = QM31.sub(QM31.scale(x, byX), QM31.scale(y, byY));
            uint256 shiftedY = QM31.add(QM31.scale(x, byY), QM31.scale(y, byX));
            _finish(batch, shiftedX, shiftedY);
        }
    }

    /// From the sums by coordinate to V and S, and to the line through the point (x, y) and its conjugate.
    function _finish(uint256 batch, uint256 x, uint256 y) private pure {
        uint256[4] memory sums;
        for (uint256 i; i < 4; ++i) {
            uint256 sum;
            assembly ("memory-safe") {
                sum := mload(add(batch, shl(5, i)))
            }
            sums[i] = QM31.reduce(sum);
        }
        // The part with u, which conjugation negates.
        uint256 odd = QM31.add(QM31.mul(1 << 64, sums[2]), QM31.mul((1 << 192) | (0x7ffffffd << 64), sums[3]));
        uint256 value = QM31.add(QM31.add(sums[0], QM31.mul((1 << 128) | 0x7ffffffd, sums[1])), odd);
        uint256 slope = QM31.sub(0, QM31.add(odd, odd));
        uint256 scale = QM31.sub(0, QM31.add(y, y)) & (MASK_64 << 64 | MASK_64 << 192);
        assembly ("memory-safe") {
            mstore(add(batch, BATCH_VALUE), value)
            mstore(add(batch, BATCH_SLOPE), slope)
            mstore(add(batch, BATCH_SCALE), scale)
            mstore(add(batch, BATCH_Y), y)
        }
        _line(batch, QM31.toCoordinates(x), QM31.toCoordinates(y));
    }

    /// `(Re X - x) Im Y - (Re Y - y) Im X` at (x, y) is `line - x Im Y + y Im X`, over 1, i; Re and Im are over 1, u.
    function _line(uint256 batch, uint256 x, uint256 y) private pure {
        assembly ("memory-safe") {
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
        assembly ("memory-safe") {
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
        assembly ("memory-safe") {
            n := mload(N_POSITIONS)
        }
        unchecked {
            for (uint256 query; query < n; ++query) {
                uint256 position;
                assembly ("memory-safe") {
                    position := mload(add(POSITIONS, shl(5, query)))
                }
                (uint256 x, uint256 y) = Circle.domainPoint(position);
                assembly ("memory-safe") {
                    function fold(lanes) -> folded {
                        folded := add(and(lanes, PPPP), and(shr(31, lanes), MASK_33))
                    }
                    let cursor := add(QUERY_POINTS, shl(6, query))
                    mstore(cursor, x)
                    mstore(add(cursor, 0x20), y)
                    let offset := mul(query, shl(5, N_BATCHES))
                    let batch := BATCHES
                    for { let end := add(offset, shl(5, N_BATCHES)) } lt(offset, end) { offset := add(offset, 0x20) } {
                        // Lanes below 2^63.
                        let line := add(mul(x, mload(add(batch, BATCH_LINE_X))), mul(y, mload(add(batch, BATCH_LINE_Y))))
                        line := fold(fold(fold(add(line, mload(add(batch, BATCH_LINE))))))
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
        uint256 values;
        uint256 interactionRow;
        {
            uint256 preprocessedRow;
            uint256 traceRow;
            uint256 compositionRow;
            assembly ("memory-safe") {
                preprocessedRow := add(mload(ROWS), mul(query, mul(4, N_PREPROCESSED)))
                traceRow := add(mload(add(ROWS, 0x20)), mul(query, mul(4, N_TRACE)))
                interactionRow := add(mload(add(ROWS, 0x40)), mul(query, mul(4, N_INTERACTION)))
                compositionRow := add(mload(add(ROWS, 0x60)), mul(query, mul(4, N_COMPOSITION)))
            }
            (values, flags) = _row(0, 0, preprocessedRow, COEFFICIENTS, N_PREPROCESSED);
            (values, flags) = _row(values, flags, traceRow, TRACE_COEFFICIENTS, N_TRACE);
            (values, flags) = _row(values, flags, interactionRow, INTERACTION_COEFFICIENTS, N_INTERACTION);
            (values, flags) = _row(values, flags, compositionRow, COMPOSITION_COEFFICIENTS, N_COMPOSITION);
        }
        uint256 y;
        uint256 offset;
        assembly ("memory-safe") {
            y := mload(add(QUERY_POINTS, add(shl(6, query), 0x20)))
            offset := mul(query, shl(5, N_BATCHES))
        }
        uint256 sum = _quotient(BATCHES, QM31.reduce(values), y, offset);

        // The running sums: the last four columns of each component.
        unchecked {
            uint256 previous;
            uint256 periodOffset = offset + 0x40;
            uint256 period = PERIODS;
            for (uint256 component; component < N_COMPONENTS; ++component) {
                uint256 before;
                assembly ("memory-safe") {
                    function fold(lanes) -> folded {
                        folded := add(and(lanes, PPPP), and(shr(31, lanes), MASK_33))
                    }
                    // Four products below p^2 stay below 2^64.
                    function four(v, cursor) -> r {
                        r := add(mul(shr(96, v), mload(cursor)), mul(and(shr(64, v), MASK_32), mload(add(cursor, 0x20))))
                        r := add(r, mul(and(shr(32, v), MASK_32), mload(add(cursor, 0x40))))
                        r := fold(add(r, mul(and(v, MASK_32), mload(add(cursor, 0x60)))))
                    }
                    let column := mload(add(INTERACTION_STARTS, shl(5, component)))
                    column := add(column, sub(and(shr(shl(3, component), INTERACTION_COLUMNS), 0xff), 4))
                    let v := shr(128, calldataload(add(interactionRow, shl(2, column))))
                    values := four(v, add(PERIOD_COEFFICIENTS, shl(7, component)))
                    before := four(v, add(PREVIOUS_COEFFICIENTS, shl(7, component)))
                }
                // Eleven lanes below 2^33.4.
                previous += before;
                sum = QM31.add(sum, _quotient(period, QM31.reduce(values), y, periodOffset));
                period += BATCH_BYTES;
                periodOffset += 0x20;
            }
            sum = QM31.add(sum, _quotient(PREVIOUS, QM31.reduce(previous), y, offset + 0x20));
        }
        sum = QM31.toCoordinates(sum);
        assembly ("memory-safe") {
            let known := add(KNOWN, shl(6, query))
            mstore(known, mload(add(POSITIONS, shl(5, query))))
            mstore(add(known, 0x20), sum)
        }
    }

    /// Adds a row's values times their coefficients to the lanes of `values`.
    function _row(uint256 values, uint256 flags, uint256 row, uint256 coefficients, uint256 n)
        private
        pure
        returns (uint256, uint256)
    {
        assembly ("memory-safe") {
            function fold(lanes) -> folded {
                folded := add(and(lanes, PPPP), and(shr(31, lanes), MASK_33))
            }
            // Folded lanes, below 2^33.4, and three products of values below p by lanes to p stay below 2^64.
            function eight(to, v, cursor) -> r {
                r := add(add(to, mul(shr(224, v), mload(cursor))), mul(and(shr(192, v), MASK_32), mload(add(cursor, 0x20))))
                r := fold(add(r, mul(and(shr(160, v), MASK_32), mload(add(cursor, 0x40)))))
                r := add(r, mul(and(shr(128, v), MASK_32), mload(add(cursor, 0x60))))
                r := add(r, mul(and(shr(96, v), MASK_32), mload(add(cursor, 0x80))))
                r := fold(add(r, mul(and(shr(64, v), MASK_32), mload(add(cursor, 0xa0)))))
                r := add(r, mul(and(shr(32, v), MASK_32), mload(add(cursor, 0xc0))))
                r := fold(add(r, mul(and(v, MASK_32), mload(add(cursor, 0xe0)))))
            }
            for { let end := add(row, shl(5, shr(3, n))) } lt(row, end) { row := add(row, 0x20) } {
                let v := calldataload(row)
                flags := or(flags, or(v, add(and(v, VALUES_31), VALUES_ONE)))
                values := eight(values, v, coefficients)
                coefficients := add(coefficients, 0x100)
            }
            let rest := and(n, 7)
            if rest {
                let v := and(calldataload(row), not(shr(shl(5, rest), not(0))))
                flags := or(flags, or(v, add(and(v, VALUES_31), VALUES_ONE)))
                values := eight(values, v, coefficients)
            }
        }
        return (values, flags);
    }

    /// `(c (N - V) + S (Z_y - y)) / line`.
    function _quotient(uint256 batch, uint256 values, uint256 y, uint256 offset) private pure returns (uint256) {
        uint256 scale;
        uint256 value;
        uint256 slope;
        uint256 sampleY;
        uint256 inverse;
        assembly ("memory-safe") {
            scale := mload(add(batch, BATCH_SCALE))
            value := mload(add(batch, BATCH_VALUE))
            slope := mload(add(batch, BATCH_SLOPE))
            sampleY := mload(add(batch, BATCH_Y))
            // The conjugate over 1, i, by the norm's inverse; i = u^2 - 2.
            let line := mload(add(DENOMINATORS, offset))
            let norm := mload(add(NORMS, offset))
            let im := shr(64, line)
            inverse := mulmod(add(and(line, MASK_64), shl(1, im)), norm, P)
            inverse := or(inverse, shl(128, mulmod(sub(P, im), norm, P)))
        }
        uint256 numerator = QM31.mul(scale, QM31.sub(values, value));
        numerator = QM31.add(numerator, QM31.mul(slope, QM31.sub(sampleY, y)));
        return QM31.mul(numerator, inverse);
    }
}
