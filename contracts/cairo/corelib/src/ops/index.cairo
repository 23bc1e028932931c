//! Indexing: `container[index]`.

/// Indexing that may change the container, as a dictionary's does.
pub trait Index<C, I> {
    type Target;
    fn index(ref self: C, index: I) -> Self::Target;
}

/// Indexing that only reads.
pub trait IndexView<C, I> {
    type Target;
    fn index(self: @C, index: I) -> Self::Target;
}

// The containers of the core library implement the older traits, in which the target is a parameter.

#[feature("deprecated-index-traits")]
impl IndexByOlderTrait<C, I, V, impl Older: crate::traits::Index<C, I, V>> of Index<C, I> {
    type Target = V;
    #[inline]
    fn index(ref self: C, index: I) -> V {
        Older::index(ref self, index)
    }
}

#[feature("deprecated-index-traits")]
impl IndexViewByOlderTrait<
    C, I, V, impl Older: crate::traits::IndexView<C, I, V>,
> of IndexView<C, I> {
    type Target = V;
    #[inline]
    fn index(self: @C, index: I) -> V {
        Older::index(self, index)
    }
}
