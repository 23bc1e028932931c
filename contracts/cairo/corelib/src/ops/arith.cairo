//! Assignment with an operator: `a += b` and its kin.

pub trait AddAssign<Lhs, Rhs> {
    fn add_assign(ref self: Lhs, rhs: Rhs);
}

#[feature("deprecated-op-assign-traits")]
impl AddAssignByOlderTrait<T, impl Older: crate::traits::AddEq<T>> of AddAssign<T, T> {
    #[inline]
    fn add_assign(ref self: T, rhs: T) {
        Older::add_eq(ref self, rhs);
    }
}

pub trait SubAssign<Lhs, Rhs> {
    fn sub_assign(ref self: Lhs, rhs: Rhs);
}

#[feature("deprecated-op-assign-traits")]
impl SubAssignByOlderTrait<T, impl Older: crate::traits::SubEq<T>> of SubAssign<T, T> {
    #[inline]
    fn sub_assign(ref self: T, rhs: T) {
        Older::sub_eq(ref self, rhs);
    }
}

pub trait MulAssign<Lhs, Rhs> {
    fn mul_assign(ref self: Lhs, rhs: Rhs);
}

#[feature("deprecated-op-assign-traits")]
impl MulAssignByOlderTrait<T, impl Older: crate::traits::MulEq<T>> of MulAssign<T, T> {
    #[inline]
    fn mul_assign(ref self: T, rhs: T) {
        Older::mul_eq(ref self, rhs);
    }
}

pub trait DivAssign<Lhs, Rhs> {
    fn div_assign(ref self: Lhs, rhs: Rhs);
}

#[feature("deprecated-op-assign-traits")]
impl DivAssignByOlderTrait<T, impl Older: crate::traits::DivEq<T>> of DivAssign<T, T> {
    #[inline]
    fn div_assign(ref self: T, rhs: T) {
        Older::div_eq(ref self, rhs);
    }
}

pub trait RemAssign<Lhs, Rhs> {
    fn rem_assign(ref self: Lhs, rhs: Rhs);
}

#[feature("deprecated-op-assign-traits")]
impl RemAssignByOlderTrait<T, impl Older: crate::traits::RemEq<T>> of RemAssign<T, T> {
    #[inline]
    fn rem_assign(ref self: T, rhs: T) {
        Older::rem_eq(ref self, rhs);
    }
}
