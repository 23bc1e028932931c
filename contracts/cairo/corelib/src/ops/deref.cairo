//! Types that stand for another one: members and methods are looked up through them.

pub trait Deref<T> {
    type Target;
    fn deref(self: T) -> Self::Target;
}

pub trait DerefMut<T> {
    type Target;
    fn deref_mut(ref self: T) -> Self::Target;
}

pub trait SnapshotDeref<T> {
    type Target;
    fn snapshot_deref(self: @T) -> Self::Target;
}

impl DerefOfSnapshot<T, impl Inner: SnapshotDeref<T>> of Deref<@T> {
    type Target = Inner::Target;
    #[inline]
    fn deref(self: @T) -> Inner::Target {
        Inner::snapshot_deref(self)
    }
}
