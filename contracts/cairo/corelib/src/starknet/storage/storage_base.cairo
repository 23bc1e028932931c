//! The members of a contract's `Storage`, as the contract sees them.

use super::{Mutable, StorageAsPath, StoragePath, StoragePathTrait};

/// One member: `__base_address__` is the selector of its name.
pub struct StorageBase<T> {
    pub __base_address__: felt252,
}

impl StorageBaseCopy<T> of Copy<StorageBase<T>> {}
impl StorageBaseDrop<T> of Drop<StorageBase<T>> {}

impl StorageBaseAsPath<T> of StorageAsPath<StorageBase<T>> {
    type Value = T;
    fn as_path(self: @StorageBase<T>) -> StoragePath<T> {
        StoragePathTrait::new(*self.__base_address__)
    }
}

impl StorageBaseDeref<T> of core::ops::Deref<StorageBase<T>> {
    type Target = StoragePath<T>;
    fn deref(self: StorageBase<T>) -> StoragePath<T> {
        self.as_path()
    }
}

/// All members of a storage struct, side by side in the contract's storage.
pub struct FlattenedStorage<T> {}

impl FlattenedStorageCopy<T> of Copy<FlattenedStorage<T>> {}
impl FlattenedStorageDrop<T> of Drop<FlattenedStorage<T>> {}

/// From a storage struct to its members, for reading.
pub trait StorageTrait<T> {
    type BaseType;
    fn storage(self: FlattenedStorage<T>) -> Self::BaseType;
}

/// From a storage struct to its members, for reading and writing.
pub trait StorageTraitMut<T> {
    type BaseType;
    fn storage_mut(self: FlattenedStorage<Mutable<T>>) -> Self::BaseType;
}

pub impl FlattenedStorageDeref<
    T, impl Members: StorageTrait<T>,
> of core::ops::Deref<FlattenedStorage<T>> {
    type Target = Members::BaseType;
    fn deref(self: FlattenedStorage<T>) -> Members::BaseType {
        Members::storage(self)
    }
}

pub impl FlattenedStorageMutDeref<
    T, impl Members: StorageTraitMut<T>,
> of core::ops::Deref<FlattenedStorage<Mutable<T>>> {
    type Target = Members::BaseType;
    fn deref(self: FlattenedStorage<Mutable<T>>) -> Members::BaseType {
        Members::storage_mut(self)
    }
}
