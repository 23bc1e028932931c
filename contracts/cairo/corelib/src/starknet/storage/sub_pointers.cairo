//! Storable structs whose members lie side by side at one address.

use super::{Mutable, StoragePointer};

pub trait SubPointers<T> {
    type SubPointersType;
    fn sub_pointers(self: StoragePointer<T>) -> Self::SubPointersType;
}

pub trait SubPointersMut<T> {
    type SubPointersType;
    fn sub_pointers_mut(self: StoragePointer<Mutable<T>>) -> Self::SubPointersType;
}

/// For types that lead to a pointer.
pub trait SubPointersForward<T> {
    type Value;
    fn sub_pointers(self: T) -> Self::Value;
}

/// For types that lead to a mutable pointer.
pub trait SubPointersMutForward<T> {
    type Value;
    fn sub_pointers_mut(self: T) -> Self::Value;
}

pub impl SubPointersDeref<T, impl Members: SubPointers<T>> of core::ops::Deref<StoragePointer<T>> {
    type Target = Members::SubPointersType;
    fn deref(self: StoragePointer<T>) -> Members::SubPointersType {
        Members::sub_pointers(self)
    }
}

pub impl SubPointersMutDeref<
    T, impl Members: SubPointersMut<T>,
> of core::ops::Deref<StoragePointer<Mutable<T>>> {
    type Target = Members::SubPointersType;
    fn deref(self: StoragePointer<Mutable<T>>) -> Members::SubPointersType {
        Members::sub_pointers_mut(self)
    }
}
