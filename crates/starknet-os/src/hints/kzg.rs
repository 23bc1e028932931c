//! KZG commitments of the blobs, and the field they live in (`data_availability/commitment.cairo`,
//! `bls_field.cairo`).

use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::HintProcessorData;
use cairo_vm::hint_processor::hint_processor_definition::HintExtension;
use cairo_vm::types::exec_scope::ExecutionScopes;
use cairo_vm::vm::errors::hint_errors::HintError;
use cairo_vm::vm::vm_core::VirtualMachine;
use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Signed;
use starknet_types_core::felt::Felt;

use super::context::Context;
use super::{Hint, HintResult, digest};
use crate::cairo_structs::big_int3;
use crate::cairo_structs::constants::BLOB_LENGTH;
use crate::error::HintFailure;
use crate::output::blob::{bls_prime, commit};
use crate::state::OsState;

const KZG_COMMITMENTS: &str = "e3357025b578b351";
const REDUCED_PRODUCT: &str = "667ea55eba8f1a03";
const SPLIT_FELT: &str = "603ee5004144db41";
const LOW_OF_BIG_INT3: &str = "8feaffe09c4d8a15";

#[allow(
    clippy::redundant_closure,
    reason = "a function that is generic over the state is of one lifetime only"
)]
pub(super) const HINTS: &[Hint] = &[
    Hint::new(KZG_COMMITMENTS, "kzg_commitments", |ctx| kzg_commitments(ctx)),
    Hint::new(REDUCED_PRODUCT, "reduced_product", |ctx| reduced_product(ctx)),
    Hint::new(SPLIT_FELT, "split_felt", |ctx| split_felt(ctx)),
    Hint::new(LOW_OF_BIG_INT3, "low_of_big_int3", |ctx| low_of_big_int3(ctx)),
];

/// A hint of `data_availability/commitment.cairo` and `bls_field.cairo`, for other programs that import them.
#[derive(Clone, Copy)]
pub struct KzgHint(fn(&mut Context<'_, ()>) -> HintResult);

impl KzgHint {
    /// The hint that has this text, if one of them does.
    pub fn with_text(text: &str) -> Option<Self> {
        match digest(text).as_str() {
            KZG_COMMITMENTS => Some(Self(kzg_commitments)),
            REDUCED_PRODUCT => Some(Self(reduced_product)),
            SPLIT_FELT => Some(Self(split_felt)),
            LOW_OF_BIG_INT3 => Some(Self(low_of_big_int3)),
            _ => None,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// When the machine is in another state than the hint is made for.
    pub fn run(
        self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        data: &HintProcessorData,
    ) -> Result<(), HintError> {
        let extension = HintExtension::default();
        (self.0)(&mut Context { vm, scopes, data, os: &mut (), extension })
            .map_err(|failure| HintError::CustomHint(failure.to_string().into_boxed_str()))
    }
}

/// What a run does with the felts that fill the blobs, once they are known.
trait BlobData {
    fn keep(&mut self, felts: Vec<Felt>);
}

impl BlobData for OsState<'_> {
    fn keep(&mut self, felts: Vec<Felt>) {
        self.da_segment = Some(felts);
    }
}

impl BlobData for () {
    fn keep(&mut self, _: Vec<Felt>) {}
}

/// Guesses the commitments of the blobs that the data fills.
fn kzg_commitments<S: BlobData>(ctx: &mut Context<'_, S>) -> HintResult {
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
    ctx.os.keep(data);
    Ok(())
}

/// Bits of a limb of a `BigInt3`.
const LIMB_BITS: usize = 86;

/// The number that three limbs stand for. Limbs may be negative.
pub(super) fn pack<S>(ctx: &Context<'_, S>, name: &str) -> Result<BigInt, HintFailure> {
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

fn write_limbs<S>(ctx: &mut Context<'_, S>, name: &str, value: &BigInt) -> HintResult {
    let address = ctx.address(name)?;
    ctx.write(address, &split(value))
}

/// Guesses quotient and remainder of a product by the order of BLS12-381.
fn reduced_product<S>(ctx: &mut Context<'_, S>) -> HintResult {
    let product = pack(ctx, "a")? * pack(ctx, "b")?;
    let (quotient, remainder) = product.div_mod_floor(&BigInt::from(bls_prime().clone()));
    debug_assert!(!remainder.is_negative());
    write_limbs(ctx, "q", &quotient)?;
    write_limbs(ctx, "res", &remainder)
}

/// Guesses the limbs of a felt.
fn split_felt<S>(ctx: &mut Context<'_, S>) -> HintResult {
    let value = ctx.felt("value")?.to_bigint();
    write_limbs(ctx, "res", &value)
}

/// Guesses the low 128 bits of three limbs.
fn low_of_big_int3<S>(ctx: &mut Context<'_, S>) -> HintResult {
    let value = pack(ctx, "value")?;
    let modulus = BigInt::from(1) << 128_usize;
    let low: BigUint = value.mod_floor(&modulus).magnitude().clone();
    ctx.set("low", Felt::from(low))
}
