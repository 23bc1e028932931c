//! Integers of any range, known to the compiler: the results' ranges are declared by the helper traits,
//! and the compiler checks each against the operands' ranges.

use crate::RangeCheck;
use crate::integer::{NumericLiteral, upcast};
use crate::zeroable::{IsZeroResult, NonZero};

#[derive(Copy, Drop)]
pub extern type BoundedInt<const MIN: felt252, const MAX: felt252>;

type ZeroInt = BoundedInt<0, 0>;

impl BoundedIntLiteral<
    const MIN: felt252, const MAX: felt252,
> of NumericLiteral<BoundedInt<MIN, MAX>>;

impl BoundedIntIntoFelt252<
    const MIN: felt252, const MAX: felt252,
> of Into<BoundedInt<MIN, MAX>, felt252> {
    fn into(self: BoundedInt<MIN, MAX>) -> felt252 {
        upcast(self)
    }
}

impl BoundedIntPartialEq<
    const MIN: felt252, const MAX: felt252,
> of PartialEq<BoundedInt<MIN, MAX>> {
    fn eq(lhs: @BoundedInt<MIN, MAX>, rhs: @BoundedInt<MIN, MAX>) -> bool {
        let lhs: felt252 = upcast(*lhs);
        let rhs: felt252 = upcast(*rhs);
        lhs == rhs
    }
}

impl BoundedIntDebug<const MIN: felt252, const MAX: felt252> of crate::fmt::Debug<BoundedInt<MIN, MAX>> {
    fn fmt(
        self: @BoundedInt<MIN, MAX>, ref f: crate::fmt::Formatter,
    ) -> Result<(), crate::fmt::Error> {
        let value: felt252 = upcast(*self);
        crate::fmt::Debug::fmt(@value, ref f)
    }
}

/// The type of a sum.
pub trait AddHelper<Lhs, Rhs> {
    type Result;
}

/// The type of a difference.
pub trait SubHelper<Lhs, Rhs> {
    type Result;
}

/// The type of a product.
pub trait MulHelper<Lhs, Rhs> {
    type Result;
}

/// The types of a quotient and a remainder.
pub trait DivRemHelper<Lhs, Rhs> {
    type DivT;
    type RemT;
}

/// The types of the values below `BOUNDARY`, and of those that are not.
pub trait ConstrainHelper<T, const BOUNDARY: felt252> {
    type LowT;
    type HighT;
}

extern fn bounded_int_add<Lhs, Rhs, impl H: AddHelper<Lhs, Rhs>>(
    lhs: Lhs, rhs: Rhs,
) -> H::Result nopanic;
extern fn bounded_int_sub<Lhs, Rhs, impl H: SubHelper<Lhs, Rhs>>(
    lhs: Lhs, rhs: Rhs,
) -> H::Result nopanic;
extern fn bounded_int_mul<Lhs, Rhs, impl H: MulHelper<Lhs, Rhs>>(
    lhs: Lhs, rhs: Rhs,
) -> H::Result nopanic;
extern fn bounded_int_div_rem<Lhs, Rhs, impl H: DivRemHelper<Lhs, Rhs>>(
    lhs: Lhs, rhs: NonZero<Rhs>,
) -> (H::DivT, H::RemT) implicits(RangeCheck) nopanic;
extern fn bounded_int_constrain<T, const BOUNDARY: felt252, impl H: ConstrainHelper<T, BOUNDARY>>(
    value: T,
) -> Result<H::LowT, H::HighT> implicits(RangeCheck) nopanic;
extern fn bounded_int_is_zero<T>(value: T) -> IsZeroResult<T> nopanic;
extern fn unwrap_non_zero<T>(value: NonZero<T>) -> T nopanic;
extern fn bounded_int_wrap_non_zero<T>(value: T) -> NonZero<T> nopanic;

pub use bounded_int_add as add;
pub use bounded_int_constrain as constrain;
pub use bounded_int_div_rem as div_rem;
pub use bounded_int_is_zero as is_zero;
pub use bounded_int_mul as mul;
pub use bounded_int_sub as sub;

/// A range that excludes zero on each side of the boundary stays so when it is known to be non-zero.
impl NonZeroConstrainHelper<
    T, const BOUNDARY: felt252, impl Inner: ConstrainHelper<T, BOUNDARY>,
> of ConstrainHelper<NonZero<T>, BOUNDARY> {
    type LowT = NonZero<Inner::LowT>;
    type HighT = NonZero<Inner::HighT>;
}

/// Negation into the mirrored range.
pub trait NegateHelper<T> {
    type Result;
    fn negate(self: T) -> Self::Result nopanic;
    /// Only for ranges without zero.
    fn negate_nz(self: NonZero<T>) -> NonZero<Self::Result> nopanic;
}

impl NegateByDifference<T, impl Difference: SubHelper<ZeroInt, T>> of NegateHelper<T> {
    type Result = Difference::Result;
    fn negate(self: T) -> Difference::Result nopanic {
        bounded_int_sub::<ZeroInt, T>(0, self)
    }
    fn negate_nz(self: NonZero<T>) -> NonZero<Difference::Result> nopanic {
        bounded_int_wrap_non_zero(bounded_int_sub::<ZeroInt, T>(0, unwrap_non_zero(self)))
    }
}

/// The carries of wide additions: one bit, and two of them.
impl AddBits of AddHelper<BoundedInt<0, 1>, BoundedInt<0, 1>> {
    type Result = BoundedInt<0, 2>;
}

impl AddBitToTwo of AddHelper<BoundedInt<0, 2>, BoundedInt<0, 1>> {
    type Result = BoundedInt<0, 3>;
}

impl I8Constrain of ConstrainHelper<i8, 0> {
    type LowT = BoundedInt<-0x80, -1>;
    type HighT = BoundedInt<0, 0x7f>;
}

impl I8NegateLow of SubHelper<ZeroInt, BoundedInt<-0x80, -1>> {
    type Result = BoundedInt<1, 0x80>;
}
impl I8NegateHigh of SubHelper<ZeroInt, BoundedInt<0, 0x7f>> {
    type Result = BoundedInt<-0x7f, 0>;
}
impl I8NegateQuotient of SubHelper<ZeroInt, BoundedInt<0, 0x80>> {
    type Result = BoundedInt<-0x80, 0>;
}
impl I8NegateRemainder of SubHelper<ZeroInt, BoundedInt<0, 0x7e>> {
    type Result = BoundedInt<-0x7e, 0>;
}

impl I16Constrain of ConstrainHelper<i16, 0> {
    type LowT = BoundedInt<-0x8000, -1>;
    type HighT = BoundedInt<0, 0x7fff>;
}

impl I16NegateLow of SubHelper<ZeroInt, BoundedInt<-0x8000, -1>> {
    type Result = BoundedInt<1, 0x8000>;
}
impl I16NegateHigh of SubHelper<ZeroInt, BoundedInt<0, 0x7fff>> {
    type Result = BoundedInt<-0x7fff, 0>;
}
impl I16NegateQuotient of SubHelper<ZeroInt, BoundedInt<0, 0x8000>> {
    type Result = BoundedInt<-0x8000, 0>;
}
impl I16NegateRemainder of SubHelper<ZeroInt, BoundedInt<0, 0x7ffe>> {
    type Result = BoundedInt<-0x7ffe, 0>;
}

impl I32Constrain of ConstrainHelper<i32, 0> {
    type LowT = BoundedInt<-0x80000000, -1>;
    type HighT = BoundedInt<0, 0x7fffffff>;
}

impl I32NegateLow of SubHelper<ZeroInt, BoundedInt<-0x80000000, -1>> {
    type Result = BoundedInt<1, 0x80000000>;
}
impl I32NegateHigh of SubHelper<ZeroInt, BoundedInt<0, 0x7fffffff>> {
    type Result = BoundedInt<-0x7fffffff, 0>;
}
impl I32NegateQuotient of SubHelper<ZeroInt, BoundedInt<0, 0x80000000>> {
    type Result = BoundedInt<-0x80000000, 0>;
}
impl I32NegateRemainder of SubHelper<ZeroInt, BoundedInt<0, 0x7ffffffe>> {
    type Result = BoundedInt<-0x7ffffffe, 0>;
}

impl I64Constrain of ConstrainHelper<i64, 0> {
    type LowT = BoundedInt<-0x8000000000000000, -1>;
    type HighT = BoundedInt<0, 0x7fffffffffffffff>;
}

impl I64NegateLow of SubHelper<ZeroInt, BoundedInt<-0x8000000000000000, -1>> {
    type Result = BoundedInt<1, 0x8000000000000000>;
}
impl I64NegateHigh of SubHelper<ZeroInt, BoundedInt<0, 0x7fffffffffffffff>> {
    type Result = BoundedInt<-0x7fffffffffffffff, 0>;
}
impl I64NegateQuotient of SubHelper<ZeroInt, BoundedInt<0, 0x8000000000000000>> {
    type Result = BoundedInt<-0x8000000000000000, 0>;
}
impl I64NegateRemainder of SubHelper<ZeroInt, BoundedInt<0, 0x7ffffffffffffffe>> {
    type Result = BoundedInt<-0x7ffffffffffffffe, 0>;
}

impl I128Constrain of ConstrainHelper<i128, 0> {
    type LowT = BoundedInt<-0x80000000000000000000000000000000, -1>;
    type HighT = BoundedInt<0, 0x7fffffffffffffffffffffffffffffff>;
}

impl I128NegateLow of SubHelper<ZeroInt, BoundedInt<-0x80000000000000000000000000000000, -1>> {
    type Result = BoundedInt<1, 0x80000000000000000000000000000000>;
}
impl I128NegateHigh of SubHelper<ZeroInt, BoundedInt<0, 0x7fffffffffffffffffffffffffffffff>> {
    type Result = BoundedInt<-0x7fffffffffffffffffffffffffffffff, 0>;
}
impl I128NegateQuotient of SubHelper<ZeroInt, BoundedInt<0, 0x80000000000000000000000000000000>> {
    type Result = BoundedInt<-0x80000000000000000000000000000000, 0>;
}
impl I128NegateRemainder of SubHelper<ZeroInt, BoundedInt<0, 0x7ffffffffffffffffffffffffffffffe>> {
    type Result = BoundedInt<-0x7ffffffffffffffffffffffffffffffe, 0>;
}
