//! Operations that return the result modulo the range, and whether it left the range.

pub trait OverflowingAdd<T> {
    fn overflowing_add(self: T, v: T) -> (T, bool);
}

pub trait OverflowingSub<T> {
    fn overflowing_sub(self: T, v: T) -> (T, bool);
}

pub trait OverflowingMul<T> {
    fn overflowing_mul(self: T, v: T) -> (T, bool);
}
