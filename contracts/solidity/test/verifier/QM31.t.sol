// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Circle} from "../../src/verifier/Circle.sol";
import {CirclePoints} from "../../src/verifier/CirclePoints.sol";
import {MEMORY_END, TWIDDLES} from "../../src/verifier/Memory.sol";
import {P, QM31} from "../../src/verifier/QM31.sol";
import {Test} from "../support/Test.sol";

/// The packed field against the field's definition, one coordinate at a time. Lanes are fuzzed to p inclusive, where
/// the bounds are tight.
contract QM31Test is Test {
    /// Four lanes to p; one in four is p itself or 0.
    function _element(uint256 seed) private pure returns (uint256 r) {
        for (uint256 lane; lane < 4; ++lane) {
            uint256 bits = (seed >> (64 * lane)) & type(uint64).max;
            uint256 value = bits >> 62 == 0 ? P - (bits & 1) : bits >> 62 == 1 ? bits & 1 : bits % (P + 1);
            r |= value << (64 * lane);
        }
    }

    function _lane(uint256 x, uint256 lane) private pure returns (uint256) {
        return ((x >> (64 * lane)) & type(uint64).max) % P;
    }

    function _assertSame(uint256 x, uint256[4] memory expected) private pure {
        for (uint256 lane; lane < 4; ++lane) {
            vm.assertLe((x >> (64 * lane)) & type(uint64).max, P);
            vm.assertEq(_lane(x, lane), expected[lane] % P);
        }
    }

    function _coordinates(uint256 x) private pure returns (uint256[4] memory) {
        // c0 + c1 u + c2 (2 + i) + c3 (2u + iu)
        (uint256 c0, uint256 c1, uint256 c2, uint256 c3) = (_lane(x, 0), _lane(x, 1), _lane(x, 2), _lane(x, 3));
        return [(c0 + 2 * c2) % P, c2, (c1 + 2 * c3) % P, c3];
    }

    /// (a + bi)(c + di)
    function _complex(uint256 a, uint256 b, uint256 c, uint256 d) private pure returns (uint256, uint256) {
        return ((a * c + (P - 1) * b % P * d) % P, (a * d + b * c) % P);
    }

    function testFuzz_mul(uint256 seedX, uint256 seedY) public pure {
        (uint256 x, uint256 y) = (_element(seedX), _element(seedY));
        uint256[4] memory a = _coordinates(x);
        uint256[4] memory b = _coordinates(y);
        // (r + su)(t + vu) = rt + (2 + i) sv + (rv + st) u
        (uint256 re, uint256 im) = _complex(a[0], a[1], b[0], b[1]);
        (uint256 sre, uint256 sim) = _complex(a[2], a[3], b[2], b[3]);
        (sre, sim) = _complex(sre, sim, 2, 1);
        (uint256 ure, uint256 uim) = _complex(a[0], a[1], b[2], b[3]);
        (uint256 vre, uint256 vim) = _complex(a[2], a[3], b[0], b[1]);
        uint256 product = QM31.mul(x, y);
        _assertSame(QM31.toCoordinates(product), [re + sre, im + sim, ure + vre, uim + vim]);
        _assertSame(product, _coefficients([re + sre, im + sim, ure + vre, uim + vim]));
    }

    function _coefficients(uint256[4] memory c) private pure returns (uint256[4] memory) {
        for (uint256 i; i < 4; ++i) {
            c[i] %= P;
        }
        return [c[0] + 2 * (P - c[1]), c[2] + 2 * (P - c[3]), c[1], c[3]];
    }

    function testFuzz_linear(uint256 seedX, uint256 seedY, uint256 factor) public pure {
        (uint256 x, uint256 y) = (_element(seedX), _element(seedY));
        factor = factor % (P + 1);
        uint256[4] memory sum;
        uint256[4] memory difference;
        uint256[4] memory scaled;
        uint256[4] memory anyLanes;
        for (uint256 i; i < 4; ++i) {
            sum[i] = _lane(x, i) + _lane(y, i);
            difference[i] = _lane(x, i) + P - _lane(y, i);
            scaled[i] = _lane(x, i) * factor;
            anyLanes[i] = (seedX >> (64 * i)) & type(uint64).max;
        }
        _assertSame(QM31.add(x, y), sum);
        _assertSame(QM31.sub(x, y), difference);
        _assertSame(QM31.scale(x, factor), scaled);
        _assertSame(QM31.reduce(seedX), anyLanes);
        _assertSame(QM31.fromCoordinates(QM31.toCoordinates(x)), [_lane(x, 0), _lane(x, 1), _lane(x, 2), _lane(x, 3)]);
        vm.assertTrue(QM31.isZero(QM31.sub(x, x)));
    }

    function testFuzz_inverse(uint256 seed) public pure {
        uint256 x = _element(seed);
        if (QM31.isZero(x)) return;
        vm.assertEq(QM31.canonical(QM31.mul(x, QM31.inverse(x))), 1);
    }

    /// `combine` and `read` take canonical coordinates in 16 bytes.
    function testFuzz_combine(uint256[4] memory seeds) public pure {
        uint256[4] memory elements;
        uint256[4] memory packed;
        for (uint256 i; i < 4; ++i) {
            elements[i] = QM31.canonical(_element(seeds[i]));
            uint256[4] memory c = _coordinates(elements[i]);
            packed[i] = (c[0] << 96) | (c[1] << 64) | (c[2] << 32) | c[3];
            vm.assertEq(QM31.canonical(QM31.read(packed[i])), elements[i]);
        }
        uint256 i_ = QM31.fromCoordinates(1 << 64);
        uint256 u_ = QM31.fromCoordinates(1 << 128);
        uint256 expected = QM31.add(elements[0], QM31.mul(i_, elements[1]));
        expected = QM31.add(expected, QM31.mul(u_, QM31.add(elements[2], QM31.mul(i_, elements[3]))));
        uint256 combined = QM31.combine(packed[0], packed[1], packed[2], packed[3]);
        vm.assertEq(QM31.canonical(combined), QM31.canonical(expected));
    }

    /// Points have x^2 + y^2 = 1, and indices add up.
    function testFuzz_points(uint256 index) public {
        CirclePoints table = new CirclePoints();
        assembly {
            mstore(0x40, MEMORY_END)
        }
        Circle.load(table);
        index = bound(index, 0, (1 << 24) - 1);
        (uint256 x, uint256 y) = Circle.point(index);
        vm.assertEq((x * x + y * y) % P, 1);
        (uint256 z, uint256 w) = Circle.point(2 * index);
        vm.assertEq(z, (2 * x * x + P - 1) % P);
        vm.assertEq(w, 2 * x * y % P);
        (z, w) = Circle.point(index + 1);
        (uint256 a, uint256 b) = Circle.point(1);
        vm.assertEq(z, (x * a + (P - y) * b) % P);
        vm.assertEq(w, (x * b + y * a) % P);
    }

    function testFuzz_invertAll(uint256 seed, uint256 n) public pure {
        assembly {
            mstore(0x40, MEMORY_END)
        }
        n = bound(n, 1, 18);
        for (uint256 i; i < n; ++i) {
            uint256 value = 1 + uint256(keccak256(abi.encode(seed, i))) % (P - 1);
            assembly {
                mstore(add(TWIDDLES, mul(32, i)), value)
            }
        }
        Circle.invertAll(TWIDDLES, n);
        for (uint256 i; i < n; ++i) {
            uint256 value = 1 + uint256(keccak256(abi.encode(seed, i))) % (P - 1);
            uint256 inverse;
            assembly {
                inverse := mload(add(TWIDDLES, mul(32, i)))
            }
            vm.assertEq(value * inverse % P, 1);
        }
    }

    function invertZero() external pure {
        assembly {
            mstore(0x40, MEMORY_END)
            mstore(TWIDDLES, 5)
            mstore(add(TWIDDLES, 0x20), 0)
        }
        Circle.invertAll(TWIDDLES, 2);
    }

    function test_refusesToInvertZero() public {
        vm.expectRevert(Circle.DegenerateRandomness.selector);
        this.invertZero();
    }
}
