//! Structs in storage whose members have addresses of their own.

use super::{Mutable, StoragePath};

pub trait StorageNode<T> {
    type NodeType;
    fn storage_node(self: StoragePath<T>) -> Self::NodeType;
}

pub trait StorageNodeMut<T> {
    type NodeType;
    fn storage_node_mut(self: StoragePath<Mutable<T>>) -> Self::NodeType;
}

pub impl StorageNodeDeref<T, impl Node: StorageNode<T>> of core::ops::Deref<StoragePath<T>> {
    type Target = Node::NodeType;
    fn deref(self: StoragePath<T>) -> Node::NodeType {
        Node::storage_node(self)
    }
}

pub impl StorageNodeMutDeref<
    T, impl Node: StorageNodeMut<T>,
> of core::ops::Deref<StoragePath<Mutable<T>>> {
    type Target = Node::NodeType;
    fn deref(self: StoragePath<Mutable<T>>) -> Node::NodeType {
        Node::storage_node_mut(self)
    }
}
