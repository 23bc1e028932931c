//! Operations that return nothing where the result leaves the range.

pub trait CheckedAdd<T> {
    fn checked_add(self: T, v: T) -> Option<T>;
}

pub trait CheckedSub<T> {
    fn checked_sub(self: T, v: T) -> Option<T>;
}

pub trait CheckedMul<T> {
    fn checked_mul(self: T, v: T) -> Option<T>;
}

pub mod overflow_based {
    use crate::num::traits::OverflowingMul;

    pub impl TCheckedMul<T, +OverflowingMul<T>, +Drop<T>> of super::CheckedMul<T> {
        fn checked_mul(self: T, v: T) -> Option<T> {
            let (result, overflow) = self.overflowing_mul(v);
            if overflow {
                Option::None
            } else {
                Option::Some(result)
            }
        }
    }
}
