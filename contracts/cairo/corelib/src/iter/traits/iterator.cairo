//! What a `for` loop runs over.

pub trait Iterator<T> {
    type Item;
    fn next(ref self: T) -> Option<Self::Item>;
}

pub trait IntoIterator<T> {
    type IntoIter;
    impl Iterator: Iterator<Self::IntoIter>;
    fn into_iter(self: T) -> Self::IntoIter;
}

impl IntoIteratorOfIterator<T, impl Inner: Iterator<T>> of IntoIterator<T> {
    type IntoIter = T;
    fn into_iter(self: T) -> T {
        self
    }
}
