//! Operations modulo the range.

pub trait WrappingAdd<T> {
    fn wrapping_add(self: T, v: T) -> T;
}

pub trait WrappingSub<T> {
    fn wrapping_sub(self: T, v: T) -> T;
}

pub trait WrappingMul<T> {
    fn wrapping_mul(self: T, v: T) -> T;
}

pub mod overflow_based {
    use crate::num::traits::{OverflowingAdd, OverflowingMul, OverflowingSub};

    pub impl TWrappingAdd<T, +OverflowingAdd<T>, +Drop<T>> of super::WrappingAdd<T> {
        fn wrapping_add(self: T, v: T) -> T {
            let (result, _) = self.overflowing_add(v);
            result
        }
    }

    pub impl TWrappingSub<T, +OverflowingSub<T>, +Drop<T>> of super::WrappingSub<T> {
        fn wrapping_sub(self: T, v: T) -> T {
            let (result, _) = self.overflowing_sub(v);
            result
        }
    }

    pub impl TWrappingMul<T, +OverflowingMul<T>, +Drop<T>> of super::WrappingMul<T> {
        fn wrapping_mul(self: T, v: T) -> T {
            let (result, _) = self.overflowing_mul(v);
            result
        }
    }
}
