//! The curves secp256k1 and secp256r1 (`cairo_secp/`, `secp256r1/`), where cairo-vm's own hints need a feature
//! that is off.
//!
//! Scope variables are shared with cairo-vm's hints, so they are `BigInt` as theirs are: `value` (what
//! `nondet_bigint3` splits next), `x`, `y`, `slope`, `new_x`.

use std::sync::LazyLock;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Zero;
use starknet_types_core::felt::Felt;

use super::kzg::pack;
use super::{Hint, HintContext, HintResult};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("846a155b273ce165", "secp256k1_point_from_x", secp256k1_point_from_x),
    Hint::new("9d363d6621664768", "secp256k1_is_on_curve", is_on_curve),
    Hint::new("014d9665657e0cc1", "secp256r1_point_from_x", secp256r1_point_from_x),
    Hint::new("acf02249bd40ee5a", "secp256r1_is_on_curve", is_on_curve),
    Hint::new("1cc3a9acfef48302", "split_165_bits", split_165_bits),
    Hint::new("84812eefa4d1d87f", "secp256r1_quotient", secp256r1_quotient),
    Hint::new("accaf4987ecec90a", "secp256r1_pack_x", secp256r1_pack_x),
    Hint::new("933c478e50aeb56c", "secp256r1_invert_x", secp256r1_invert_x),
    Hint::new("18ac9e183133ad2c", "secp256r1_reduce", secp256r1_reduce),
    Hint::new("791ff12a6770dd01", "secp256r1_slope", secp256r1_slope),
    Hint::new("29221240d870f9fc", "secp256r1_double_x", secp256r1_double_x),
    Hint::new("575603f716db7896", "secp256r1_double_y", secp256r1_double_y),
    Hint::new("6e9f64ce395d70d6", "scalar_nibbles", scalar_nibbles),
    Hint::new("2812542de7b39a7e", "next_nibble", next_nibble),
];

/// A curve `y² = x³ + αx + β` over a prime field.
struct Curve {
    prime: BigInt,
    alpha: BigInt,
    beta: BigInt,
}

impl Curve {
    fn new(prime: &str, alpha: i8, beta: &str) -> Self {
        // The digits below are valid, so parsing cannot fail.
        let parse = |digits: &str| BigInt::parse_bytes(digits.as_bytes(), 16).unwrap_or_default();
        Self { prime: parse(prime), alpha: alpha.into(), beta: parse(beta) }
    }
}

/// SEC 2, 2.4.1.
static SECP256K1: LazyLock<Curve> = LazyLock::new(|| {
    Curve::new("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f", 0, "7")
});

/// SEC 2, 2.4.2.
static SECP256R1: LazyLock<Curve> = LazyLock::new(|| {
    Curve::new(
        "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        -3,
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    )
});

/// Bits below which `assert_165_bit` splits.
const SPLIT_BITS: usize = 128;

/// Guesses a square root of `y_square` (or of its negative) with the parity of `v`.
fn guess_y(ctx: &mut HintContext<'_, '_>, curve: &Curve, y_square: BigInt) -> HintResult {
    // Both primes are 3 modulo 4.
    let exponent: BigInt = (&curve.prime + 1_u8) >> 2;
    let y = y_square.modpow(&exponent, &curve.prime);
    let is_on_curve = (&y * &y).mod_floor(&curve.prime) == y_square;
    let v = ctx.felt("v")?.to_bigint();
    let value = if v.is_even() == y.is_even() { y } else { (-y).mod_floor(&curve.prime) };
    ctx.scopes.insert_value("value", value);
    ctx.scopes.insert_value("is_on_curve", is_on_curve);
    Ok(())
}

/// Guesses y from the cube of x.
fn secp256k1_point_from_x(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let cube = pack(ctx, "x_cube")?;
    guess_y(ctx, &SECP256K1, (cube + &SECP256K1.beta).mod_floor(&SECP256K1.prime))
}

/// Guesses y from x.
fn secp256r1_point_from_x(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let x = pack(ctx, "x")?;
    let y_square = &x * &x * &x + &SECP256R1.alpha * &x + &SECP256R1.beta;
    guess_y(ctx, &SECP256R1, y_square.mod_floor(&SECP256R1.prime))
}

/// Guesses whether x belongs to a point of the curve.
fn is_on_curve(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let found: bool = ctx.scopes.get("is_on_curve")?;
    ctx.set_bit("is_on_curve", found)
}

/// Guesses the two parts of a number below 2^165.
fn split_165_bits(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let value = ctx.felt("value")?;
    if value.bits() > 165 {
        return Err(HintFailure::OutOfRange { what: "a number of 165 bits", value });
    }
    let number = value.to_biguint();
    let high = &number >> SPLIT_BITS;
    let low = number - (&high << SPLIT_BITS);
    ctx.set("high", Felt::from(high))?;
    ctx.set("low", Felt::from(low))
}

/// Guesses how often the prime goes into a multiple of it.
fn secp256r1_quotient(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (quotient, remainder) = pack(ctx, "val")?.div_mod_floor(&SECP256R1.prime);
    if !remainder.is_zero() {
        return Err(HintFailure::Mismatch {
            what: "remainder by the prime of secp256r1",
            expected: "0".to_owned(),
            found: remainder.to_string(),
        });
    }
    ctx.set("q", Felt::from(quotient))
}

/// Reduces x for the hints after this one.
fn secp256r1_pack_x(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let x = pack(ctx, "x")?.mod_floor(&SECP256R1.prime);
    ctx.scopes.insert_value("x", x);
    Ok(())
}

/// Guesses the inverse of x.
fn secp256r1_invert_x(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let x: BigInt = ctx.scopes.get("x")?;
    let inverse = x.modinv(&SECP256R1.prime);
    let inverse = inverse.ok_or(HintFailure::Unsupported { what: "the inverse of 0" })?;
    ctx.scopes.insert_value("value", inverse);
    Ok(())
}

/// Guesses a number reduced by the prime.
fn secp256r1_reduce(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let value = pack(ctx, "x")?.mod_floor(&SECP256R1.prime);
    ctx.scopes.insert_value("value", value);
    Ok(())
}

/// Where the coordinates of a point are from its address: x, then y, three limbs each.
fn point(ctx: &HintContext<'_, '_>, name: &str) -> Result<(BigInt, BigInt), HintFailure> {
    let address = ctx.address(name)?;
    let mut coordinates = [BigInt::zero(), BigInt::zero()];
    for (index, coordinate) in coordinates.iter_mut().enumerate() {
        for limb in (0..3).rev() {
            let limb = ctx.vm.get_integer((address + (3 * index + limb))?)?.into_owned();
            *coordinate = (&*coordinate << 86_usize) + super::kzg::signed(limb);
        }
    }
    let [x, y] = coordinates;
    Ok((x, y))
}

/// Guesses the slope of the line through two points. cairo-vm knows this hint, but looks for the prime under
/// a name that nothing assigns.
fn secp256r1_slope(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (x0, y0) = point(ctx, "point0")?;
    let (x1, y1) = point(ctx, "point1")?;
    let run: BigInt = x0 - x1;
    let inverse = run.mod_floor(&SECP256R1.prime).modinv(&SECP256R1.prime);
    let inverse =
        inverse.ok_or(HintFailure::Unsupported { what: "the slope of a vertical line" })?;
    let slope: BigInt = (y0 - y1) * inverse;
    let slope = slope.mod_floor(&SECP256R1.prime);
    ctx.scopes.insert_value("value", slope.clone());
    ctx.scopes.insert_value("slope", slope);
    Ok(())
}

/// Guesses x of a doubled point.
fn secp256r1_double_x(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let slope = pack(ctx, "slope")?;
    let (x, y) = point(ctx, "point")?;
    let new_x: BigInt = &slope * &slope - BigInt::from(2) * &x;
    let new_x = new_x.mod_floor(&SECP256R1.prime);
    ctx.scopes.insert_value("value", new_x.clone());
    ctx.scopes.insert_value("new_x", new_x);
    ctx.scopes.insert_value("slope", slope);
    ctx.scopes.insert_value("x", x);
    ctx.scopes.insert_value("y", y);
    Ok(())
}

/// Guesses y of a doubled point.
fn secp256r1_double_y(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let [slope, x, new_x, y] = {
        let get = |name| ctx.scopes.get::<BigInt>(name);
        [get("slope")?, get("x")?, get("new_x")?, get("y")?]
    };
    let new_y = (slope * (x - new_x) - y).mod_floor(&SECP256R1.prime);
    ctx.scopes.insert_value("value", new_y);
    Ok(())
}

/// Scope variable: the digits of the scalar that are left, the lowest first.
const NIBBLES: &str = "nibbles";

/// Cuts a scalar into its 64 hexadecimal digits, and guesses the highest and the lowest.
fn scalar_nibbles(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let scalar = ctx.address("scalar")?;
    let low = ctx.vm.get_integer(scalar)?.to_biguint();
    let high = ctx.vm.get_integer((scalar + 1_usize)?)?.to_biguint();
    let number: BigUint = (high << 128_usize) + low;
    let mut nibbles = number.to_radix_le(16);
    nibbles.resize(64, 0);
    let last = nibbles.first().copied().unwrap_or_default();
    let first = nibbles.pop().unwrap_or_default();
    ctx.scopes.insert_value(NIBBLES, nibbles);
    ctx.set("first_nibble", Felt::from(first))?;
    ctx.set("last_nibble", Felt::from(last))
}

/// Guesses the next digit.
fn next_nibble(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let nibbles: &mut Vec<u8> = ctx.scopes.get_mut_ref(NIBBLES)?;
    let nibble = nibbles.pop().ok_or(HintFailure::Exhausted { what: "digits of the scalar" })?;
    ctx.set_fp(0, Felt::from(nibble))
}
