//! KZG commitments of the blobs, and the field they live in (`data_availability/commitment.cairo`,
//! `bls_field.cairo`).

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Signed;
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::big_int3;
use crate::cairo_structs::constants::BLOB_LENGTH;
use crate::error::HintFailure;
use crate::output::blob::{bls_prime, commit};

pub(super) const HINTS: &[Hint] = &[
    Hint::new("e3357025b578b351", "kzg_commitments", kzg_commitments),
    Hint::new("667ea55eba8f1a03", "reduced_product", reduced_product),
    Hint::new("603ee5004144db41", "split_felt", split_felt),
    Hint::new("8feaffe09c4d8a15", "low_of_big_int3", low_of_big_int3),
];

/// Guesses the commitments of the blobs that the compressed state diff fills.
fn kzg_commitments(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let data = ctx.read(ctx.ptr("state_updates_start")?, ctx.usize("da_size")?)?;
    let mut words = Vec::new();
    for chunk in data.chunks(BLOB_LENGTH) {
        let commitment = commit(chunk).map_err(|error| HintFailure::Kzg(error.to_string()))?;
        words.extend([commitment.low, commitment.high]);
    }
    ctx.set("n_blobs", Felt::from(words.len() / 2))?;
    let commitments = ctx.vm.add_temporary_segment();
    ctx.set("kzg_commitments", commitments)?;
    let evaluations = ctx.vm.add_temporary_segment();
    ctx.set("evals", evaluations)?;
    ctx.write(commitments, &words)?;
    ctx.os.da_segment = Some(data);
    Ok(())
}

/// Bits of a limb of a `BigInt3`.
const LIMB_BITS: usize = 86;

/// The number that three limbs stand for. Limbs may be negative.
pub(super) fn pack(ctx: &HintContext<'_, '_>, name: &str) -> Result<BigInt, HintFailure> {
    let address = ctx.address(name)?;
    let mut packed = BigInt::ZERO;
    for offset in [big_int3::D2, big_int3::D1, big_int3::D0] {
        let limb = ctx.vm.get_integer((address + offset)?)?.into_owned();
        packed = (packed << LIMB_BITS) + signed(limb);
    }
    Ok(packed)
}

/// A felt as the integer nearest to 0 that it stands for.
pub(super) fn signed(felt: Felt) -> BigInt {
    let value = felt.to_bigint();
    let prime = BigInt::from(Felt::prime());
    if &value * 2 > prime { value - prime } else { value }
}

/// Three limbs of a number; the highest one takes what the others cannot.
pub(super) fn split(value: &BigInt) -> [Felt; 3] {
    let base = BigInt::from(1) << LIMB_BITS;
    let (rest, low) = value.div_mod_floor(&base);
    let (high, middle) = rest.div_mod_floor(&base);
    [Felt::from(low), Felt::from(middle), Felt::from(high)]
}

fn write_limbs(ctx: &mut HintContext<'_, '_>, name: &str, value: &BigInt) -> HintResult {
    let address = ctx.address(name)?;
    ctx.write(address, &split(value))
}

/// Guesses quotient and remainder of a product by the order of BLS12-381.
fn reduced_product(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let product = pack(ctx, "a")? * pack(ctx, "b")?;
    let (quotient, remainder) = product.div_mod_floor(&BigInt::from(bls_prime().clone()));
    debug_assert!(!remainder.is_negative());
    write_limbs(ctx, "q", &quotient)?;
    write_limbs(ctx, "res", &remainder)
}

/// Guesses the limbs of a felt.
fn split_felt(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let value = ctx.felt("value")?.to_bigint();
    write_limbs(ctx, "res", &value)
}

/// Guesses the low 128 bits of three limbs.
fn low_of_big_int3(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let value = pack(ctx, "value")?;
    let modulus = BigInt::from(1) << 128_usize;
    let low: BigUint = value.mod_floor(&modulus).magnitude().clone();
    ctx.set("low", Felt::from(low))
}
