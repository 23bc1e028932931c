// SPDX-License-Identifier: Apache-2.0
// Written by `cargo run -p sidereal-final-proof --example generate_solidity` from S-two's definitions. Do not edit.
pragma solidity ^0.8.28;

/// The 57 constraints of S-two's circuit components, stwo-circuit-prover 1.0.0, at a point out of the domain.
///
/// Field elements are words of four 64-bit lanes, the coefficients of 1, u, u^2, u^3, each at most p = 2^31 - 1, see
/// `QM31.sol`, of which this has a copy of what it needs: Yul calls nothing outside of its block.
contract CircuitConstraints {
    /// Four lanes of p, of 31 bits, of 33 bits, and what keeps `mul4` above zero.
    uint256 private constant PPPP = 0x000000007fffffff000000007fffffff000000007fffffff000000007fffffff;
    uint256 private constant MASK_33 = 0x00000001ffffffff00000001ffffffff00000001ffffffff00000001ffffffff;
    uint256 private constant BIAS = 0x0000007fffffff000000007fffffff00;

    /// The constraints, combined: the sum of `coefficient^(57 - 1 - i) * constraint i`.
    /// @param inputs 0: z and 1: alpha of the lookups; 2: the coefficient; then samples: from 3 the preprocessed
    /// columns, component by component; from 48 the trace's; from 162 the interaction trace's, combined by fours;
    /// from 200 each component's last of these in the row before; from 211 its claimed sum by row.
    function evaluate(uint256[222] calldata inputs) external pure returns (uint256 combined) {
        // Takes all of memory to 0x2b00, and returns from here.
        assembly {
            // Lanes below 2^64 become small: twice makes a lane that is at most p^2 at most p.
            function fold(x) -> r {
                r := add(and(x, PPPP), and(shr(31, x), MASK_33))
            }
            function fold2(x) -> r {
                r := add(and(x, PPPP), and(shr(31, x), MASK_33))
                r := add(and(r, PPPP), and(shr(31, r), MASK_33))
            }
            // The product of polynomials in u, then u^4 = 4 u^2 - 5, u^5 = 4 u^3 - 5 u, u^6 = 11 u^2 - 20.
            // Lanes of the factors are at most p, so that four products stay below 2^64.
            function mul4(x, y) -> r {
                let low := mul(x, y)
                let high := mulmod(x, y, not(0))
                high := sub(sub(high, low), lt(high, low))
                high := add(and(high, PPPP), and(shr(31, high), MASK_33))
                let six := shr(128, high)
                r := add(and(low, PPPP), and(shr(31, low), MASK_33))
                r := add(r, shl(128, add(shl(2, high), mul(11, six))))
                r := sub(add(r, BIAS), add(mul(5, and(high, 0xffffffffffffffffffffffffffffffff)), mul(20, six)))
                r := add(and(r, PPPP), and(shr(31, r), MASK_33))
                r := add(and(r, PPPP), and(shr(31, r), MASK_33))
            }
            calldatacopy(0, inputs, 0x1bc0)
            mstore(0x1bc0, mul4(mload(0x20), mload(0x20)))
            mstore(0x1be0, mul4(mload(0x1bc0), mload(0x20)))
            mstore(0x1c00, mul4(mload(0x1be0), mload(0x20)))
            mstore(0x1c20, mul4(mload(0x1c00), mload(0x20)))
            mstore(0x1c40, mul(1, PPPP))
            mstore(0x1c60, mul(2, PPPP))
            mstore(0x1c80, mul(3, PPPP))
            mstore(0x1ca0, mul(4, PPPP))
            mstore(0x1cc0, mul(5, PPPP))
            mstore(0x1ce0, mul(6, PPPP))
            mstore(0x1d00, mul(7, PPPP))
            mstore(0x1d20, mul(8, PPPP))
            mstore(0x1d40, mul(9, PPPP))
            mstore(0x1d60, mul(10, PPPP))
            mstore(0x1d80, mul(11, PPPP))
            mstore(0x1da0, mul(12, PPPP))
            mstore(0x1dc0, mul(13, PPPP))
            mstore(0x1de0, mul(14, PPPP))
            mstore(0x1e00, mul(15, PPPP))
            mstore(0x1e20, mul(16, PPPP))
            // eq
            mstore(0x1e40, mul4(mload(0x600), mload(0x1bc0)))
            mstore(0x1e60, mul4(mload(0x620), mload(0x1be0)))
            mstore(0x1e80, mul4(mload(0x640), mload(0x1c00)))
            mstore(0x1ea0, mul4(mload(0x660), mload(0x1c20)))
            mstore(
                0x1ec0,
                fold2(
                    add(
                        mul4(mload(0x60), mload(0x20)),
                        add(
                            mload(0x1e40),
                            add(
                                mload(0x1e60),
                                add(mload(0x1e80), add(mload(0x1ea0), add(378353459, sub(mload(0x1c40), mload(0x0)))))
                            )
                        )
                    )
                )
            )
            mstore(
                0x1ee0,
                fold2(
                    add(
                        mload(0x1ea0),
                        add(
                            mload(0x1e80),
                            add(
                                mload(0x1e60),
                                add(
                                    mload(0x1e40),
                                    add(mul4(mload(0x80), mload(0x20)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                                )
                            )
                        )
                    )
                )
            )
            combined := fold2(
                add(
                    mul4(
                        mul4(mload(0x1ec0), mload(0x1ee0)),
                        fold2(add(mload(0x1440), add(mload(0x1a60), sub(mload(0x1c40), mload(0x1900)))))
                    ),
                    sub(mload(0x1c60), add(mload(0x1ec0), mload(0x1ee0)))
                )
            )
            // qm31_ops
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(add(mload(0x100), add(mload(0xe0), add(mload(0xa0), add(mload(0xc0), 2147483646)))))
                )
            )
            combined := fold(add(mul4(combined, mload(0x40)), mul4(mload(0xa0), fold(add(mload(0xa0), 2147483646)))))
            combined := fold(add(mul4(combined, mload(0x40)), mul4(mload(0xc0), fold(add(mload(0xc0), 2147483646)))))
            combined := fold(add(mul4(combined, mload(0x40)), mul4(mload(0xe0), fold(add(mload(0xe0), 2147483646)))))
            combined := fold(add(mul4(combined, mload(0x40)), mul4(mload(0x100), fold(add(mload(0x100), 2147483646)))))
            mstore(0x1f00, mul4(mload(0x680), mload(0x700)))
            mstore(0x1f20, mul4(mload(0x6c0), mload(0x740)))
            mstore(0x1f40, mul4(mload(0x6e0), mload(0x760)))
            mstore(0x1f60, mul4(mload(0x6a0), mload(0x720)))
            mstore(0x1f80, mul4(mload(0x6c0), mload(0x760)))
            mstore(0x1fa0, mul4(mload(0x6e0), mload(0x740)))
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mload(0x780),
                            sub(
                                mload(0x1ca0),
                                add(
                                    mul4(
                                        mload(0xe0),
                                        fold2(
                                            add(
                                                mload(0x1f00),
                                                add(
                                                    mul(fold(add(mload(0x1f20), sub(mload(0x1c40), mload(0x1f40)))), 2),
                                                    sub(
                                                        mload(0x1c80),
                                                        add(mload(0x1f60), add(mload(0x1f80), mload(0x1fa0)))
                                                    )
                                                )
                                            )
                                        )
                                    ),
                                    add(
                                        mul4(mload(0xa0), fold(add(mload(0x680), mload(0x700)))),
                                        add(
                                            mul4(
                                                mload(0xc0),
                                                fold(add(mload(0x680), sub(mload(0x1c40), mload(0x700))))
                                            ),
                                            mul4(mload(0x100), mload(0x1f00))
                                        )
                                    )
                                )
                            )
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mload(0x7a0),
                            sub(
                                mload(0x1ca0),
                                add(
                                    mul4(
                                        mload(0xe0),
                                        fold2(
                                            add(
                                                mload(0x1f20),
                                                add(
                                                    mul4(mload(0x680), mload(0x720)),
                                                    add(
                                                        mul4(mload(0x6a0), mload(0x700)),
                                                        add(
                                                            mul(fold(add(mload(0x1f80), mload(0x1fa0))), 2),
                                                            sub(mload(0x1c40), mload(0x1f40))
                                                        )
                                                    )
                                                )
                                            )
                                        )
                                    ),
                                    add(
                                        mul4(mload(0xa0), fold(add(mload(0x6a0), mload(0x720)))),
                                        add(
                                            mul4(
                                                mload(0xc0),
                                                fold(add(mload(0x6a0), sub(mload(0x1c40), mload(0x720))))
                                            ),
                                            mul4(mload(0x100), mload(0x1f60))
                                        )
                                    )
                                )
                            )
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mload(0x7c0),
                            sub(
                                mload(0x1ca0),
                                add(
                                    mul4(
                                        mload(0xe0),
                                        fold2(
                                            add(
                                                mul4(mload(0x680), mload(0x740)),
                                                add(
                                                    mul4(mload(0x6c0), mload(0x700)),
                                                    sub(
                                                        mload(0x1c60),
                                                        add(
                                                            mul4(mload(0x6a0), mload(0x760)),
                                                            mul4(mload(0x6e0), mload(0x720))
                                                        )
                                                    )
                                                )
                                            )
                                        )
                                    ),
                                    add(
                                        mul4(mload(0xa0), fold(add(mload(0x6c0), mload(0x740)))),
                                        add(
                                            mul4(
                                                mload(0xc0),
                                                fold(add(mload(0x6c0), sub(mload(0x1c40), mload(0x740))))
                                            ),
                                            mul4(mload(0x100), mload(0x1f20))
                                        )
                                    )
                                )
                            )
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mload(0x7e0),
                            sub(
                                mload(0x1ca0),
                                add(
                                    mul4(
                                        mload(0xe0),
                                        fold2(
                                            add(
                                                mul4(mload(0x680), mload(0x760)),
                                                add(
                                                    mul4(mload(0x6a0), mload(0x740)),
                                                    add(
                                                        mul4(mload(0x6c0), mload(0x720)),
                                                        mul4(mload(0x6e0), mload(0x700))
                                                    )
                                                )
                                            )
                                        )
                                    ),
                                    add(
                                        mul4(mload(0xa0), fold(add(mload(0x6e0), mload(0x760)))),
                                        add(
                                            mul4(
                                                mload(0xc0),
                                                fold(add(mload(0x6e0), sub(mload(0x1c40), mload(0x760))))
                                            ),
                                            mul4(mload(0x100), mload(0x1f40))
                                        )
                                    )
                                )
                            )
                        )
                    )
                )
            )
            mstore(
                0x1fc0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x120)),
                        add(
                            mul4(mload(0x1bc0), mload(0x680)),
                            add(
                                mul4(mload(0x1be0), mload(0x6a0)),
                                add(
                                    mul4(mload(0x1c00), mload(0x6c0)),
                                    add(
                                        mul4(mload(0x1c20), mload(0x6e0)),
                                        add(378353459, sub(mload(0x1c40), mload(0x0)))
                                    )
                                )
                            )
                        )
                    )
                )
            )
            mstore(
                0x1fe0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x140)),
                        add(
                            mul4(mload(0x1bc0), mload(0x700)),
                            add(
                                mul4(mload(0x1be0), mload(0x720)),
                                add(
                                    mul4(mload(0x1c00), mload(0x740)),
                                    add(
                                        mul4(mload(0x1c20), mload(0x760)),
                                        add(378353459, sub(mload(0x1c40), mload(0x0)))
                                    )
                                )
                            )
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(mul4(mload(0x1fc0), mload(0x1fe0)), mload(0x1460)),
                            sub(mload(0x1c60), add(mload(0x1fc0), mload(0x1fe0)))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold(
                        add(
                            mul4(
                                fold2(
                                    add(
                                        mul4(mload(0x20), mload(0x160)),
                                        add(
                                            mul4(mload(0x1bc0), mload(0x780)),
                                            add(
                                                mul4(mload(0x1be0), mload(0x7a0)),
                                                add(
                                                    mul4(mload(0x1c00), mload(0x7c0)),
                                                    add(
                                                        mul4(mload(0x1c20), mload(0x7e0)),
                                                        add(378353459, sub(mload(0x1c40), mload(0x0)))
                                                    )
                                                )
                                            )
                                        )
                                    )
                                ),
                                fold2(
                                    add(
                                        mload(0x1480),
                                        add(mload(0x1a80), sub(mload(0x1c60), add(mload(0x1920), mload(0x1460))))
                                    )
                                )
                            ),
                            mload(0x180)
                        )
                    )
                )
            )
            // triple_xor
            mstore(
                0x2000,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0x800), mul(mload(0x900), 2147483391)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0x840), mul(mload(0x940), 2147483391)))),
                            add(mul4(mload(0x1be0), mload(0xa00)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2020,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x900)),
                        add(
                            mul4(mload(0x1bc0), mload(0x940)),
                            add(mul4(mload(0x1be0), mload(0xa20)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(mul4(mload(0x2000), mload(0x2020)), mload(0x14a0)),
                            sub(mload(0x1c60), add(mload(0x2000), mload(0x2020)))
                        )
                    )
                )
            )
            mstore(
                0x2040,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0x820), mul(mload(0x920), 2147483391)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0x860), mul(mload(0x960), 2147483391)))),
                            add(mul4(mload(0x1be0), mload(0xa40)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2060,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x920)),
                        add(
                            mul4(mload(0x1bc0), mload(0x960)),
                            add(mul4(mload(0x1be0), mload(0xa60)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2040), mload(0x2060)),
                                fold(add(mload(0x14c0), sub(mload(0x1c40), mload(0x14a0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2040), mload(0x2060)))
                        )
                    )
                )
            )
            mstore(
                0x2080,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xa00)),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0x880), mul(mload(0x980), 2147483391)))),
                            add(
                                mul4(mload(0x1be0), fold2(add(mload(0x8c0), mul(mload(0x9c0), 2147483391)))),
                                add(112558620, sub(mload(0x1c40), mload(0x0)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x20a0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xa20)),
                        add(
                            mul4(mload(0x1bc0), mload(0x980)),
                            add(mul4(mload(0x1be0), mload(0x9c0)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2080), mload(0x20a0)),
                                fold(add(mload(0x14e0), sub(mload(0x1c40), mload(0x14c0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2080), mload(0x20a0)))
                        )
                    )
                )
            )
            mstore(
                0x20c0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xa40)),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0x8a0), mul(mload(0x9a0), 2147483391)))),
                            add(
                                mul4(mload(0x1be0), fold2(add(mload(0x8e0), mul(mload(0x9e0), 2147483391)))),
                                add(112558620, sub(mload(0x1c40), mload(0x0)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x20e0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xa60)),
                        add(
                            mul4(mload(0x1bc0), mload(0x9a0)),
                            add(mul4(mload(0x1be0), mload(0x9e0)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x20c0), mload(0x20e0)),
                                fold(add(mload(0x1500), sub(mload(0x1c40), mload(0x14e0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x20c0), mload(0x20e0)))
                        )
                    )
                )
            )
            mstore(
                0x2100,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x1a0)),
                        add(
                            mul4(mload(0x1bc0), mload(0x800)),
                            add(mul4(mload(0x1be0), mload(0x820)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2120,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x1c0)),
                        add(
                            mul4(mload(0x1bc0), mload(0x840)),
                            add(mul4(mload(0x1be0), mload(0x860)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2100), mload(0x2120)),
                                fold(add(mload(0x1520), sub(mload(0x1c40), mload(0x1500))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2100), mload(0x2120)))
                        )
                    )
                )
            )
            mstore(
                0x2140,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x1e0)),
                        add(
                            mul4(mload(0x1bc0), mload(0x880)),
                            add(mul4(mload(0x1be0), mload(0x8a0)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2160,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x200)),
                        add(
                            mul4(mload(0x1bc0), mload(0x8c0)),
                            add(mul4(mload(0x1be0), mload(0x8e0)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2140), mload(0x2160)),
                                fold2(
                                    add(
                                        mload(0x1540),
                                        add(mload(0x1aa0), sub(mload(0x1c60), add(mload(0x1940), mload(0x1520))))
                                    )
                                )
                            ),
                            sub(
                                mload(0x1c60),
                                add(mload(0x2160), mul4(mload(0x2140), sub(mload(0x1c40), mload(0x220))))
                            )
                        )
                    )
                )
            )
            // m_31_to_u_32
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(mload(0xaa0), fold(add(mul4(mload(0xa80), mload(0xae0)), 2147483646)))
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(add(mload(0xa80), add(mul(mload(0xac0), 2147418111), sub(mload(0x1c40), mload(0xaa0)))))
                )
            )
            mstore(0x2180, fold2(add(mul4(mload(0x20), mload(0xaa0)), add(1008385708, sub(mload(0x1c40), mload(0x0))))))
            mstore(0x21a0, fold2(add(mul4(mload(0x20), mload(0xac0)), add(1008385708, sub(mload(0x1c40), mload(0x0))))))
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(mul4(mload(0x2180), mload(0x21a0)), mload(0x1560)),
                            sub(mload(0x1c60), add(mload(0x2180), mload(0x21a0)))
                        )
                    )
                )
            )
            mstore(
                0x21c0,
                fold2(
                    add(
                        mul4(mload(0x20), fold(add(32767, sub(mload(0x1c40), mload(0xac0))))),
                        add(1008385708, sub(mload(0x1c40), mload(0x0)))
                    )
                )
            )
            mstore(
                0x21e0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x240)),
                        add(mul4(mload(0x1bc0), mload(0xa80)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x21c0), mload(0x21e0)),
                                fold(add(mload(0x1580), sub(mload(0x1c40), mload(0x1560))))
                            ),
                            sub(mload(0x1c60), add(mload(0x21c0), mload(0x21e0)))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold(
                        add(
                            mul4(
                                fold2(
                                    add(
                                        mul4(mload(0x20), mload(0x260)),
                                        add(
                                            mul4(mload(0x1bc0), mload(0xaa0)),
                                            add(
                                                mul4(mload(0x1be0), mload(0xac0)),
                                                add(378353459, sub(mload(0x1c40), mload(0x0)))
                                            )
                                        )
                                    )
                                ),
                                fold2(
                                    add(
                                        mload(0x15a0),
                                        add(mload(0x1ac0), sub(mload(0x1c60), add(mload(0x1960), mload(0x1580))))
                                    )
                                )
                            ),
                            mload(0x280)
                        )
                    )
                )
            )
            // blake_g_gate
            mstore(
                0x2200,
                fold2(
                    mul(
                        fold2(
                            add(mload(0xc00), add(mload(0xb00), add(mload(0xb40), sub(mload(0x1c40), mload(0xd80)))))
                        ),
                        32768
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x2200), fold(add(mload(0x2200), 2147483646))),
                        fold(add(mload(0x2200), 2147483645))
                    )
                )
            )
            mstore(
                0x2220,
                fold2(
                    mul(
                        fold2(
                            add(
                                mload(0x2200),
                                add(
                                    mload(0xc20),
                                    add(mload(0xb20), add(mload(0xb60), sub(mload(0x1c40), mload(0xda0))))
                                )
                            )
                        ),
                        32768
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x2220), fold(add(mload(0x2220), 2147483646))),
                        fold(add(mload(0x2220), 2147483645))
                    )
                )
            )
            mstore(0x2240, fold2(add(mload(0xe80), mul(mload(0xea0), 256))))
            mstore(
                0x2260,
                fold2(mul(fold2(add(mload(0xb80), add(mload(0x2240), sub(mload(0x1c40), mload(0xec0))))), 32768))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x2260), fold(add(mload(0x2260), 2147483646))),
                        fold(add(mload(0x2260), 2147483645))
                    )
                )
            )
            mstore(0x2280, fold2(add(mload(0xe40), mul(mload(0xe60), 256))))
            mstore(
                0x22a0,
                fold2(
                    mul(
                        fold2(
                            add(mload(0x2260), add(mload(0xba0), add(mload(0x2280), sub(mload(0x1c40), mload(0xee0)))))
                        ),
                        32768
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x22a0), fold(add(mload(0x22a0), 2147483646))),
                        fold(add(mload(0x22a0), 2147483645))
                    )
                )
            )
            mstore(0x22c0, fold2(add(mload(0xfa0), mul(mload(0xfc0), 16))))
            mstore(
                0x22e0,
                fold2(
                    mul(
                        fold2(
                            add(mload(0xc40), add(mload(0xd80), add(mload(0x22c0), sub(mload(0x1c40), mload(0xc80)))))
                        ),
                        32768
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x22e0), fold(add(mload(0x22e0), 2147483646))),
                        fold(add(mload(0x22e0), 2147483645))
                    )
                )
            )
            mstore(0x2300, fold2(add(mload(0xfe0), mul(mload(0xf80), 16))))
            mstore(
                0x2320,
                fold2(
                    mul(
                        fold2(
                            add(
                                mload(0x22e0),
                                add(
                                    mload(0xc60),
                                    add(mload(0xda0), add(mload(0x2300), sub(mload(0x1c40), mload(0xca0))))
                                )
                            )
                        ),
                        32768
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x2320), fold(add(mload(0x2320), 2147483646))),
                        fold(add(mload(0x2320), 2147483645))
                    )
                )
            )
            mstore(
                0x2340,
                fold2(mul(fold2(add(mload(0xd40), add(mload(0xec0), sub(mload(0x1c40), mload(0xd00))))), 32768))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x2340), fold(add(mload(0x2340), 2147483646))),
                        fold(add(mload(0x2340), 2147483645))
                    )
                )
            )
            mstore(
                0x2360,
                fold2(
                    mul(
                        fold2(
                            add(mload(0x2340), add(mload(0xd60), add(mload(0xee0), sub(mload(0x1c40), mload(0xd20)))))
                        ),
                        32768
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    mul4(
                        mul4(mload(0x2360), fold(add(mload(0x2360), 2147483646))),
                        fold(add(mload(0x2360), 2147483645))
                    )
                )
            )
            mstore(
                0x2380,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0xd80), mul(mload(0xdc0), 2147483391)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0xbc0), mul(mload(0xe00), 2147483391)))),
                            add(mul4(mload(0x1be0), mload(0xe40)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x23a0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xdc0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xe00)),
                            add(mul4(mload(0x1be0), mload(0xe60)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(mul4(mload(0x2380), mload(0x23a0)), mload(0x15c0)),
                            sub(mload(0x1c60), add(mload(0x2380), mload(0x23a0)))
                        )
                    )
                )
            )
            mstore(
                0x23c0,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0xda0), mul(mload(0xde0), 2147483391)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0xbe0), mul(mload(0xe20), 2147483391)))),
                            add(mul4(mload(0x1be0), mload(0xe80)), add(521092554, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x23e0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xde0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xe20)),
                            add(mul4(mload(0x1be0), mload(0xea0)), add(521092554, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x23c0), mload(0x23e0)),
                                fold(add(mload(0x15e0), sub(mload(0x1c40), mload(0x15c0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x23c0), mload(0x23e0)))
                        )
                    )
                )
            )
            mstore(
                0x2400,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0xb40), mul(mload(0xf00), 2147479551)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0xec0), mul(mload(0xf40), 2147479551)))),
                            add(mul4(mload(0x1be0), mload(0xf80)), add(648362599, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2420,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xf00)),
                        add(
                            mul4(mload(0x1bc0), mload(0xf40)),
                            add(mul4(mload(0x1be0), mload(0xfa0)), add(45448144, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2400), mload(0x2420)),
                                fold(add(mload(0x1600), sub(mload(0x1c40), mload(0x15e0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2400), mload(0x2420)))
                        )
                    )
                )
            )
            mstore(
                0x2440,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0xb60), mul(mload(0xf20), 2147479551)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0xee0), mul(mload(0xf60), 2147479551)))),
                            add(mul4(mload(0x1be0), mload(0xfc0)), add(648362599, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2460,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0xf20)),
                        add(
                            mul4(mload(0x1bc0), mload(0xf60)),
                            add(mul4(mload(0x1be0), mload(0xfe0)), add(45448144, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2440), mload(0x2460)),
                                fold(add(mload(0x1620), sub(mload(0x1c40), mload(0x1600))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2440), mload(0x2460)))
                        )
                    )
                )
            )
            mstore(
                0x2480,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x1000)),
                        add(
                            mul4(mload(0x1bc0), mload(0x1040)),
                            add(
                                mul4(mload(0x1be0), fold2(add(mload(0xd40), mul(mload(0x1080), 2147483391)))),
                                add(112558620, sub(mload(0x1c40), mload(0x0)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x24a0,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0xca0), mul(mload(0x1020), 2147483391)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0x2280), mul(mload(0x1060), 2147483391)))),
                            add(mul4(mload(0x1be0), mload(0x1080)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2480), mload(0x24a0)),
                                fold(add(mload(0x1640), sub(mload(0x1c40), mload(0x1620))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2480), mload(0x24a0)))
                        )
                    )
                )
            )
            mstore(
                0x24c0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x1020)),
                        add(
                            mul4(mload(0x1bc0), mload(0x1060)),
                            add(
                                mul4(mload(0x1be0), fold2(add(mload(0xd60), mul(mload(0x10a0), 2147483391)))),
                                add(112558620, sub(mload(0x1c40), mload(0x0)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x24e0,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0xc80), mul(mload(0x1000), 2147483391)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0x2240), mul(mload(0x1040), 2147483391)))),
                            add(mul4(mload(0x1be0), mload(0x10a0)), add(112558620, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x24c0), mload(0x24e0)),
                                fold(add(mload(0x1660), sub(mload(0x1c40), mload(0x1640))))
                            ),
                            sub(mload(0x1c60), add(mload(0x24c0), mload(0x24e0)))
                        )
                    )
                )
            )
            mstore(
                0x2500,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x10c0)),
                        add(
                            mul4(mload(0x1bc0), mload(0x1100)),
                            add(
                                mul4(mload(0x1be0), fold2(add(mload(0xcc0), mul(mload(0x1140), 2147483135)))),
                                add(95781001, sub(mload(0x1c40), mload(0x0)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x2520,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0x2300), mul(mload(0x10e0), 2147483519)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0xd20), mul(mload(0x1120), 2147483519)))),
                            add(mul4(mload(0x1be0), mload(0x1140)), add(62225763, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2500), mload(0x2520)),
                                fold(add(mload(0x1680), sub(mload(0x1c40), mload(0x1660))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2500), mload(0x2520)))
                        )
                    )
                )
            )
            mstore(
                0x2540,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x10e0)),
                        add(
                            mul4(mload(0x1bc0), mload(0x1120)),
                            add(
                                mul4(mload(0x1be0), fold2(add(mload(0xce0), mul(mload(0x1160), 2147483135)))),
                                add(95781001, sub(mload(0x1c40), mload(0x0)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x2560,
                fold2(
                    add(
                        mul4(mload(0x20), fold2(add(mload(0x22c0), mul(mload(0x10c0), 2147483519)))),
                        add(
                            mul4(mload(0x1bc0), fold2(add(mload(0xd00), mul(mload(0x1100), 2147483519)))),
                            add(mul4(mload(0x1be0), mload(0x1160)), add(62225763, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2540), mload(0x2560)),
                                fold(add(mload(0x16a0), sub(mload(0x1c40), mload(0x1680))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2540), mload(0x2560)))
                        )
                    )
                )
            )
            mstore(
                0x2580,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x2a0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xb00)),
                            add(mul4(mload(0x1be0), mload(0xb20)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x25a0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x2c0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xb40)),
                            add(mul4(mload(0x1be0), mload(0xb60)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2580), mload(0x25a0)),
                                fold(add(mload(0x16c0), sub(mload(0x1c40), mload(0x16a0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2580), mload(0x25a0)))
                        )
                    )
                )
            )
            mstore(
                0x25c0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x2e0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xb80)),
                            add(mul4(mload(0x1be0), mload(0xba0)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x25e0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x300)),
                        add(
                            mul4(mload(0x1bc0), mload(0xbc0)),
                            add(mul4(mload(0x1be0), mload(0xbe0)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x25c0), mload(0x25e0)),
                                fold(add(mload(0x16e0), sub(mload(0x1c40), mload(0x16c0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x25c0), mload(0x25e0)))
                        )
                    )
                )
            )
            mstore(
                0x2600,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x320)),
                        add(
                            mul4(mload(0x1bc0), mload(0xc00)),
                            add(mul4(mload(0x1be0), mload(0xc20)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2620,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x340)),
                        add(
                            mul4(mload(0x1bc0), mload(0xc40)),
                            add(mul4(mload(0x1be0), mload(0xc60)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2600), mload(0x2620)),
                                fold(add(mload(0x1700), sub(mload(0x1c40), mload(0x16e0))))
                            ),
                            sub(mload(0x1c60), add(mload(0x2600), mload(0x2620)))
                        )
                    )
                )
            )
            mstore(
                0x2640,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x360)),
                        add(
                            mul4(mload(0x1bc0), mload(0xc80)),
                            add(mul4(mload(0x1be0), mload(0xca0)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x2660,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x380)),
                        add(
                            mul4(mload(0x1bc0), mload(0xcc0)),
                            add(mul4(mload(0x1be0), mload(0xce0)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(0x2680, sub(mload(0x1c40), mload(0x3e0)))
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2640), mload(0x2660)),
                                fold(add(mload(0x1720), sub(mload(0x1c40), mload(0x1700))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(mul4(mload(0x2680), mload(0x2660)), mul4(mload(0x2680), mload(0x2640)))
                            )
                        )
                    )
                )
            )
            mstore(
                0x26a0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x3a0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xd00)),
                            add(mul4(mload(0x1be0), mload(0xd20)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            mstore(
                0x26c0,
                fold2(
                    add(
                        mul4(mload(0x20), mload(0x3c0)),
                        add(
                            mul4(mload(0x1bc0), mload(0xd40)),
                            add(mul4(mload(0x1be0), mload(0xd60)), add(378353459, sub(mload(0x1c40), mload(0x0))))
                        )
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x26a0), mload(0x26c0)),
                                fold2(
                                    add(
                                        mload(0x1740),
                                        add(mload(0x1ae0), sub(mload(0x1c60), add(mload(0x1980), mload(0x1720))))
                                    )
                                )
                            ),
                            sub(
                                mload(0x1c60),
                                add(mul4(mload(0x2680), mload(0x26c0)), mul4(mload(0x2680), mload(0x26a0)))
                            )
                        )
                    )
                )
            )
            // verify_bitwise_xor_8
            mstore(0x26e0, mul4(mload(0x20), mload(0x4e0)))
            mstore(0x2700, mul4(mload(0x1bc0), mload(0x500)))
            mstore(0x2720, mul4(mload(0x1be0), mload(0x520)))
            mstore(
                0x2740,
                fold2(
                    add(
                        mload(0x26e0),
                        add(mload(0x2700), add(mload(0x2720), add(112558620, sub(mload(0x1c40), mload(0x0)))))
                    )
                )
            )
            mstore(
                0x2760,
                fold2(
                    add(
                        mload(0x2720),
                        add(mload(0x2700), add(mload(0x26e0), add(521092554, sub(mload(0x1c40), mload(0x0)))))
                    )
                )
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2740), mload(0x2760)),
                                fold2(add(mload(0x1760), add(mload(0x1b00), sub(mload(0x1c40), mload(0x19a0)))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1180)), mload(0x2760)),
                                    mul4(mload(0x2740), sub(mload(0x1c40), mload(0x11a0)))
                                )
                            )
                        )
                    )
                )
            )
            // verify_bitwise_xor_12
            mstore(0x2780, fold(add(mul4(mload(0x20), mload(0x5a0)), 648362599)))
            mstore(0x27a0, mul4(mload(0x1bc0), mload(0x5c0)))
            mstore(0x27c0, mul4(mload(0x1be0), mload(0x5e0)))
            mstore(
                0x27e0,
                fold2(add(mload(0x2780), add(mload(0x27a0), add(mload(0x27c0), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(0x2800, mul4(mload(0x1bc0), fold(add(mload(0x5c0), 1024))))
            mstore(0x2820, mul4(mload(0x1be0), fold(add(mload(0x5e0), 1024))))
            mstore(
                0x2840,
                fold2(add(mload(0x2780), add(mload(0x2800), add(mload(0x2820), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(mul4(mload(0x27e0), mload(0x2840)), mload(0x1780)),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x11c0)), mload(0x2840)),
                                    mul4(mload(0x27e0), sub(mload(0x1c40), mload(0x11e0)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(0x2860, mul4(mload(0x1bc0), fold(add(mload(0x5c0), 2048))))
            mstore(0x2880, mul4(mload(0x1be0), fold(add(mload(0x5e0), 2048))))
            mstore(
                0x28a0,
                fold2(add(mload(0x2780), add(mload(0x2860), add(mload(0x2880), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(0x28c0, mul4(mload(0x1bc0), fold(add(mload(0x5c0), 3072))))
            mstore(0x28e0, mul4(mload(0x1be0), fold(add(mload(0x5e0), 3072))))
            mstore(
                0x2900,
                fold2(add(mload(0x2780), add(mload(0x28c0), add(mload(0x28e0), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x28a0), mload(0x2900)),
                                fold(add(mload(0x17a0), sub(mload(0x1c40), mload(0x1780))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1200)), mload(0x2900)),
                                    mul4(mload(0x28a0), sub(mload(0x1c40), mload(0x1220)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(0x2920, fold(add(mul4(mload(0x20), fold(add(mload(0x5a0), 1024))), 648362599)))
            mstore(
                0x2940,
                fold2(add(mload(0x2820), add(mload(0x27a0), add(mload(0x2920), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(
                0x2960,
                fold2(add(mload(0x27c0), add(mload(0x2800), add(mload(0x2920), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2940), mload(0x2960)),
                                fold(add(mload(0x17c0), sub(mload(0x1c40), mload(0x17a0))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1240)), mload(0x2960)),
                                    mul4(mload(0x2940), sub(mload(0x1c40), mload(0x1260)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(
                0x2980,
                fold2(add(mload(0x28e0), add(mload(0x2860), add(mload(0x2920), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(
                0x29a0,
                fold2(add(mload(0x2880), add(mload(0x28c0), add(mload(0x2920), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2980), mload(0x29a0)),
                                fold(add(mload(0x17e0), sub(mload(0x1c40), mload(0x17c0))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1280)), mload(0x29a0)),
                                    mul4(mload(0x2980), sub(mload(0x1c40), mload(0x12a0)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(0x29c0, fold(add(mul4(mload(0x20), fold(add(mload(0x5a0), 2048))), 648362599)))
            mstore(
                0x29e0,
                fold2(add(mload(0x2880), add(mload(0x27a0), add(mload(0x29c0), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(
                0x2a00,
                fold2(add(mload(0x28e0), add(mload(0x2800), add(mload(0x29c0), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x29e0), mload(0x2a00)),
                                fold(add(mload(0x1800), sub(mload(0x1c40), mload(0x17e0))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x12c0)), mload(0x2a00)),
                                    mul4(mload(0x29e0), sub(mload(0x1c40), mload(0x12e0)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(
                0x2a20,
                fold2(add(mload(0x27c0), add(mload(0x2860), add(mload(0x29c0), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(
                0x2a40,
                fold2(add(mload(0x2820), add(mload(0x28c0), add(mload(0x29c0), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2a20), mload(0x2a40)),
                                fold(add(mload(0x1820), sub(mload(0x1c40), mload(0x1800))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1300)), mload(0x2a40)),
                                    mul4(mload(0x2a20), sub(mload(0x1c40), mload(0x1320)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(0x2a60, fold(add(mul4(mload(0x20), fold(add(mload(0x5a0), 3072))), 648362599)))
            mstore(
                0x2a80,
                fold2(add(mload(0x28e0), add(mload(0x27a0), add(mload(0x2a60), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(
                0x2aa0,
                fold2(add(mload(0x2880), add(mload(0x2800), add(mload(0x2a60), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2a80), mload(0x2aa0)),
                                fold(add(mload(0x1840), sub(mload(0x1c40), mload(0x1820))))
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1340)), mload(0x2aa0)),
                                    mul4(mload(0x2a80), sub(mload(0x1c40), mload(0x1360)))
                                )
                            )
                        )
                    )
                )
            )
            mstore(
                0x2ac0,
                fold2(add(mload(0x2820), add(mload(0x2860), add(mload(0x2a60), sub(mload(0x1c40), mload(0x0))))))
            )
            mstore(
                0x2ae0,
                fold2(add(mload(0x27c0), add(mload(0x28c0), add(mload(0x2a60), sub(mload(0x1c40), mload(0x0))))))
            )
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold2(
                        add(
                            mul4(
                                mul4(mload(0x2ac0), mload(0x2ae0)),
                                fold2(
                                    add(
                                        mload(0x1860),
                                        add(mload(0x1b20), sub(mload(0x1c60), add(mload(0x19c0), mload(0x1840))))
                                    )
                                )
                            ),
                            sub(
                                mload(0x1c60),
                                add(
                                    mul4(sub(mload(0x1c40), mload(0x1380)), mload(0x2ae0)),
                                    mul4(mload(0x2ac0), sub(mload(0x1c40), mload(0x13a0)))
                                )
                            )
                        )
                    )
                )
            )
            // verify_bitwise_xor_4
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold(
                        add(
                            mul4(
                                fold2(
                                    add(
                                        mul4(mload(0x20), mload(0x420)),
                                        add(
                                            mul4(mload(0x1bc0), mload(0x440)),
                                            add(
                                                mul4(mload(0x1be0), mload(0x460)),
                                                add(45448144, sub(mload(0x1c40), mload(0x0)))
                                            )
                                        )
                                    )
                                ),
                                fold2(add(mload(0x1880), add(mload(0x1b40), sub(mload(0x1c40), mload(0x19e0)))))
                            ),
                            mload(0x13c0)
                        )
                    )
                )
            )
            // verify_bitwise_xor_7
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold(
                        add(
                            mul4(
                                fold2(
                                    add(
                                        mul4(mload(0x20), mload(0x480)),
                                        add(
                                            mul4(mload(0x1bc0), mload(0x4a0)),
                                            add(
                                                mul4(mload(0x1be0), mload(0x4c0)),
                                                add(62225763, sub(mload(0x1c40), mload(0x0)))
                                            )
                                        )
                                    )
                                ),
                                fold2(add(mload(0x18a0), add(mload(0x1b60), sub(mload(0x1c40), mload(0x1a00)))))
                            ),
                            mload(0x13e0)
                        )
                    )
                )
            )
            // verify_bitwise_xor_9
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold(
                        add(
                            mul4(
                                fold2(
                                    add(
                                        mul4(mload(0x20), mload(0x540)),
                                        add(
                                            mul4(mload(0x1bc0), mload(0x560)),
                                            add(
                                                mul4(mload(0x1be0), mload(0x580)),
                                                add(95781001, sub(mload(0x1c40), mload(0x0)))
                                            )
                                        )
                                    )
                                ),
                                fold2(add(mload(0x18c0), add(mload(0x1b80), sub(mload(0x1c40), mload(0x1a20)))))
                            ),
                            mload(0x1400)
                        )
                    )
                )
            )
            // range_check_16
            combined := fold(
                add(
                    mul4(combined, mload(0x40)),
                    fold(
                        add(
                            mul4(
                                fold2(
                                    add(
                                        mul4(mload(0x20), mload(0x400)),
                                        add(1008385708, sub(mload(0x1c40), mload(0x0)))
                                    )
                                ),
                                fold2(add(mload(0x18e0), add(mload(0x1ba0), sub(mload(0x1c40), mload(0x1a40)))))
                            ),
                            mload(0x1420)
                        )
                    )
                )
            )
            mstore(0, combined)
            return(0, 0x20)
        }
    }
}
