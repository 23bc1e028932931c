//! Maps in storage: the address of a value is the hash of the map's name and the key.

use super::{
    Mutable, StorageAsPath, StorageAsPointer, StoragePath, StoragePathUpdateTrait, StoragePointer0Offset,
    StoragePointerReadAccess, StoragePointerWriteAccess,
};

#[phantom]
pub struct Map<K, V> {}

/// The path of one value.
pub trait StoragePathEntry<C> {
    type Key;
    type Value;
    fn entry(self: C, key: Self::Key) -> StoragePath<Self::Value>;
}

impl MapEntry<
    K, V, +core::hash::Hash<K, core::pedersen::HashState>,
> of StoragePathEntry<StoragePath<Map<K, V>>> {
    type Key = K;
    type Value = V;
    fn entry(self: StoragePath<Map<K, V>>, key: K) -> StoragePath<V> {
        StoragePathUpdateTrait::<Map<K, V>, V, K>::update(self, key)
    }
}

impl MutableMapEntry<
    K, V, +core::hash::Hash<K, core::pedersen::HashState>,
> of StoragePathEntry<StoragePath<Mutable<Map<K, V>>>> {
    type Key = K;
    type Value = Mutable<V>;
    fn entry(self: StoragePath<Mutable<Map<K, V>>>, key: K) -> StoragePath<Mutable<V>> {
        StoragePathUpdateTrait::<Mutable<Map<K, V>>, Mutable<V>, K>::update(self, key)
    }
}

pub trait StorageMapReadAccess<C> {
    type Key;
    type Value;
    fn read(self: C, key: Self::Key) -> Self::Value;
}

pub trait StorageMapWriteAccess<C> {
    type Key;
    type Value;
    fn write(self: C, key: Self::Key, value: Self::Value);
}

impl MapPathRead<
    T,
    impl Entry: StoragePathEntry<StoragePath<T>>,
    impl Pointer: StorageAsPointer<StoragePath<Entry::Value>>,
    impl Access: StoragePointerReadAccess<StoragePointer0Offset<Pointer::Value>>,
    +Drop<Entry::Key>,
> of StorageMapReadAccess<StoragePath<T>> {
    type Key = Entry::Key;
    type Value = Access::Value;
    fn read(self: StoragePath<T>, key: Entry::Key) -> Access::Value {
        let path = Entry::entry(self, key);
        Access::read(@Pointer::as_ptr(@path))
    }
}

impl MapPathWrite<
    T,
    impl Entry: StoragePathEntry<StoragePath<T>>,
    impl Pointer: StorageAsPointer<StoragePath<Entry::Value>>,
    impl Access: StoragePointerWriteAccess<StoragePointer0Offset<Pointer::Value>>,
    +Drop<Entry::Key>,
    +Drop<Access::Value>,
> of StorageMapWriteAccess<StoragePath<T>> {
    type Key = Entry::Key;
    type Value = Access::Value;
    fn write(self: StoragePath<T>, key: Entry::Key, value: Access::Value) {
        let path = Entry::entry(self, key);
        Access::write(Pointer::as_ptr(@path), value);
    }
}

// A member of a contract's storage is read and written through its path.

impl MapMemberRead<
    C,
    +Drop<C>,
    impl Path: StorageAsPath<C>,
    impl Access: StorageMapReadAccess<StoragePath<Path::Value>>,
    +Drop<Access::Key>,
> of StorageMapReadAccess<C> {
    type Key = Access::Key;
    type Value = Access::Value;
    fn read(self: C, key: Access::Key) -> Access::Value {
        Access::read(Path::as_path(@self), key)
    }
}

impl MapMemberWrite<
    C,
    +Drop<C>,
    impl Path: StorageAsPath<C>,
    impl Access: StorageMapWriteAccess<StoragePath<Path::Value>>,
    +Drop<Access::Key>,
    +Drop<Access::Value>,
> of StorageMapWriteAccess<C> {
    type Key = Access::Key;
    type Value = Access::Value;
    fn write(self: C, key: Access::Key, value: Access::Value) {
        Access::write(Path::as_path(@self), key, value);
    }
}
