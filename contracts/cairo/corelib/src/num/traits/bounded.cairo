/// Numbers with a smallest and a greatest value.
pub trait Bounded<T> {
    const MIN: T;
    const MAX: T;
}

impl BoundedU8 of Bounded<u8> {
    const MIN: u8 = 0;
    const MAX: u8 = 0xff;
}

impl BoundedI8 of Bounded<i8> {
    const MIN: i8 = -0x80;
    const MAX: i8 = 0x7f;
}

impl BoundedU16 of Bounded<u16> {
    const MIN: u16 = 0;
    const MAX: u16 = 0xffff;
}

impl BoundedI16 of Bounded<i16> {
    const MIN: i16 = -0x8000;
    const MAX: i16 = 0x7fff;
}

impl BoundedU32 of Bounded<u32> {
    const MIN: u32 = 0;
    const MAX: u32 = 0xffffffff;
}

impl BoundedI32 of Bounded<i32> {
    const MIN: i32 = -0x80000000;
    const MAX: i32 = 0x7fffffff;
}

impl BoundedU64 of Bounded<u64> {
    const MIN: u64 = 0;
    const MAX: u64 = 0xffffffffffffffff;
}

impl BoundedI64 of Bounded<i64> {
    const MIN: i64 = -0x8000000000000000;
    const MAX: i64 = 0x7fffffffffffffff;
}

impl BoundedU128 of Bounded<u128> {
    const MIN: u128 = 0;
    const MAX: u128 = 0xffffffffffffffffffffffffffffffff;
}

impl BoundedI128 of Bounded<i128> {
    const MIN: i128 = -0x80000000000000000000000000000000;
    const MAX: i128 = 0x7fffffffffffffffffffffffffffffff;
}

impl BoundedU256 of Bounded<u256> {
    const MIN: u256 = u256 { low: 0, high: 0 };
    const MAX: u256 = u256 {
        low: 0xffffffffffffffffffffffffffffffff, high: 0xffffffffffffffffffffffffffffffff,
    };
}
