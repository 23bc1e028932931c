//! What the kinds of numbers have in common.

pub mod zero;
pub use zero::Zero;
pub mod one;
pub use one::One;
pub mod bounded;
pub use bounded::Bounded;
pub mod ops;
pub use ops::checked::{CheckedAdd, CheckedMul, CheckedSub};
pub use ops::overflowing::{OverflowingAdd, OverflowingMul, OverflowingSub};
pub use ops::saturating::{SaturatingAdd, SaturatingMul, SaturatingSub};
pub use ops::wrapping::{WrappingAdd, WrappingMul, WrappingSub};

/// The number of bits of an integer's representation.
pub trait BitSize<T> {
    fn bits() -> usize;
}
