//! The names that a crate of edition 2023_01 sees without an import.

pub use crate::array::{Array, ArrayTrait, Span, SpanTrait, ToSpanTrait};
pub use crate::box::{Box, BoxTrait};
pub use crate::bytes_31::bytes31;
pub use crate::byte_array::{ByteArray, ByteArrayTrait};
pub use crate::clone::Clone;
pub use crate::dict::{Felt252Dict, Felt252DictTrait, SquashedFelt252Dict};
pub use crate::integer::{i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, u256};
pub use crate::iter::{IntoIterator, Iterator};
pub use crate::nullable::{Nullable, NullableTrait};
pub use crate::ops::{
    AddAssign, Deref, DivAssign, Fn, FnOnce, MulAssign, RemAssign, SubAssign,
};
pub use crate::option::{Option, OptionTrait};
pub use crate::panics::panic;
pub use crate::result::{Result, ResultTrait};
pub use crate::serde::Serde;
pub use crate::string::StringLiteral;
pub use crate::traits::{
    Add, BitAnd, BitNot, BitOr, BitXor, Copy, Default, Destruct, Div, DivRem, Drop,
    Felt252DictValue, Into, Mul, Neg, Not, PanicDestruct, PartialEq, PartialOrd, Rem, Sub, TryInto,
};
pub use crate::{assert, bool, felt252, never, usize};
pub use crate::zeroable::NonZero;
pub use crate::RangeCheck;
pub use crate::starknet;
pub use crate::starknet::System;
pub use crate::gas::GasBuiltin;
