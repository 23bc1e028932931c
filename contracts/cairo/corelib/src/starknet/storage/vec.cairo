//! Vectors in storage: the length is at the vector's own address, an element at the hash of that address
//! and its index.

use super::{
    Mutable, StoragePath, StoragePathUpdateTrait, StoragePointerReadAccess,
    StoragePointerWriteAccess,
};

#[phantom]
pub struct Vec<T> {}

pub trait VecTrait<C> {
    type ElementType;
    fn get(self: C, index: u64) -> Option<StoragePath<Self::ElementType>>;
    fn at(self: C, index: u64) -> StoragePath<Self::ElementType>;
    fn len(self: C) -> u64;
}

pub trait MutableVecTrait<C> {
    type ElementType;
    fn get(self: C, index: u64) -> Option<StoragePath<Mutable<Self::ElementType>>>;
    fn at(self: C, index: u64) -> StoragePath<Mutable<Self::ElementType>>;
    fn len(self: C) -> u64;
    fn append(self: C) -> StoragePath<Mutable<Self::ElementType>>;
}

impl VecOfPath<T> of VecTrait<StoragePath<Vec<T>>> {
    type ElementType = T;
    fn get(self: StoragePath<Vec<T>>, index: u64) -> Option<StoragePath<T>> {
        if index < Self::len(self) {
            Option::Some(StoragePathUpdateTrait::<Vec<T>, T, u64>::update(self, index))
        } else {
            Option::None
        }
    }
    fn at(self: StoragePath<Vec<T>>, index: u64) -> StoragePath<T> {
        Self::get(self, index).expect('Index out of bounds')
    }
    fn len(self: StoragePath<Vec<T>>) -> u64 {
        let length: StoragePath<u64> = self.into();
        length.read()
    }
}

impl MutableVecOfPath<T> of MutableVecTrait<StoragePath<Mutable<Vec<T>>>> {
    type ElementType = T;
    fn get(self: StoragePath<Mutable<Vec<T>>>, index: u64) -> Option<StoragePath<Mutable<T>>> {
        if index < Self::len(self) {
            Option::Some(
                StoragePathUpdateTrait::<Mutable<Vec<T>>, Mutable<T>, u64>::update(self, index),
            )
        } else {
            Option::None
        }
    }
    fn at(self: StoragePath<Mutable<Vec<T>>>, index: u64) -> StoragePath<Mutable<T>> {
        Self::get(self, index).expect('Index out of bounds')
    }
    fn len(self: StoragePath<Mutable<Vec<T>>>) -> u64 {
        let length: StoragePath<Mutable<u64>> = self.into();
        length.read()
    }
    fn append(self: StoragePath<Mutable<Vec<T>>>) -> StoragePath<Mutable<T>> {
        let index = Self::len(self);
        let length: StoragePath<Mutable<u64>> = self.into();
        length.write(index + 1);
        StoragePathUpdateTrait::<Mutable<Vec<T>>, Mutable<T>, u64>::update(self, index)
    }
}

pub impl VecIndexView<
    C, +Drop<C>, +Copy<C>, impl Elements: VecTrait<C>,
> of core::ops::IndexView<C, u64> {
    type Target = StoragePath<Elements::ElementType>;
    fn index(self: @C, index: u64) -> StoragePath<Elements::ElementType> {
        Elements::at(*self, index)
    }
}

pub impl MutableVecIndexView<
    C, +Drop<C>, +Copy<C>, impl Elements: MutableVecTrait<C>,
> of core::ops::IndexView<C, u64> {
    type Target = StoragePath<Mutable<Elements::ElementType>>;
    fn index(self: @C, index: u64) -> StoragePath<Mutable<Elements::ElementType>> {
        Elements::at(*self, index)
    }
}
