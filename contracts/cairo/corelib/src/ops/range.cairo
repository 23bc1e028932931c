//! Half-open ranges: `start..end`.

use crate::iter::{IntoIterator, Iterator};
use crate::num::traits::One;

#[derive(Clone, Drop, PartialEq)]
pub struct Range<T> {
    pub start: T,
    pub end: T,
}

/// What the compiler calls for `start..end`.
pub trait RangeOp<T> {
    fn range(start: T, end: T) -> Range<T>;
}

impl RangeOpOfAny<T> of RangeOp<T> {
    fn range(start: T, end: T) -> Range<T> {
        Range { start, end }
    }
}

#[derive(Clone, Drop)]
pub struct RangeIterator<T> {
    next: T,
    end: T,
}

impl RangeIteratorOfOrdered<
    T, +One<T>, +Add<T>, +Copy<T>, +Drop<T>, +PartialEq<T>,
> of Iterator<RangeIterator<T>> {
    type Item = T;
    fn next(ref self: RangeIterator<T>) -> Option<T> {
        if self.next == self.end {
            return Option::None;
        }
        let value = self.next;
        self.next = value + One::one();
        Option::Some(value)
    }
}

impl RangeIntoIterator<
    T, +One<T>, +Add<T>, +Copy<T>, +Drop<T>, +PartialEq<T>, +PartialOrd<T>,
> of IntoIterator<Range<T>> {
    type IntoIter = RangeIterator<T>;
    fn into_iter(self: Range<T>) -> RangeIterator<T> {
        // A range that ends before its start is empty.
        if self.start < self.end {
            RangeIterator { next: self.start, end: self.end }
        } else {
            RangeIterator { next: self.end, end: self.end }
        }
    }
}
