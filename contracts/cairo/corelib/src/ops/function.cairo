//! Closures: `Fn` is called through a snapshot, `FnOnce` consumes what it captured.

pub trait FnOnce<T, Args> {
    type Output;
    fn call(self: T, args: Args) -> Self::Output;
}

pub trait Fn<T, Args> {
    type Output;
    fn call(self: @T, args: Args) -> Self::Output;
}

impl FnOnceOfFn<T, Args, +Destruct<T>, impl Inner: Fn<T, Args>> of FnOnce<T, Args> {
    type Output = Inner::Output;
    fn call(self: T, args: Args) -> Inner::Output {
        Inner::call(@self, args)
    }
}
