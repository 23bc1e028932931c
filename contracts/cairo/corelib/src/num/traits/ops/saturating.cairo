//! Operations that stop at the ends of the range.

pub trait SaturatingAdd<T> {
    fn saturating_add(self: T, other: T) -> T;
}

pub trait SaturatingSub<T> {
    fn saturating_sub(self: T, other: T) -> T;
}

pub trait SaturatingMul<T> {
    fn saturating_mul(self: T, other: T) -> T;
}

pub mod overflow_based {
    use crate::num::traits::{Bounded, OverflowingAdd, OverflowingMul, OverflowingSub};

    pub impl TSaturatingAdd<
        T, +OverflowingAdd<T>, impl Bounds: Bounded<T>, +Drop<T>,
    > of super::SaturatingAdd<T> {
        fn saturating_add(self: T, other: T) -> T {
            let (result, overflow) = self.overflowing_add(other);
            if overflow {
                Bounds::MAX
            } else {
                result
            }
        }
    }

    pub impl TSaturatingSub<
        T, +OverflowingSub<T>, impl Bounds: Bounded<T>, +Drop<T>,
    > of super::SaturatingSub<T> {
        fn saturating_sub(self: T, other: T) -> T {
            let (result, overflow) = self.overflowing_sub(other);
            if overflow {
                Bounds::MIN
            } else {
                result
            }
        }
    }

    pub impl TSaturatingMul<
        T, +OverflowingMul<T>, impl Bounds: Bounded<T>, +Drop<T>,
    > of super::SaturatingMul<T> {
        fn saturating_mul(self: T, other: T) -> T {
            let (result, overflow) = self.overflowing_mul(other);
            if overflow {
                Bounds::MAX
            } else {
                result
            }
        }
    }
}
