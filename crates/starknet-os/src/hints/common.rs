//! Hints of the common library that cairo-vm has in another wording, or not at all.

use cairo_vm::types::relocatable::MaybeRelocatable;
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::SHA256_BATCH_SIZE;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("867134561c029b2e", "new_segment", new_segment),
    Hint::new("20f17a87f4104be9", "data_to_hash", data_to_hash),
    Hint::new("b844cd3a6f1f7a44", "additional_data", additional_data),
    Hint::new("3c88d21985b52981", "search_sorted_optimistic", search_sorted_optimistic),
    Hint::new("ceadf83445b7ee6f", "log2_ceil", log2_ceil),
    Hint::new("f252ad9653462664", "pad_sha256_batch", pad_sha256_batch),
];

/// A new segment, as an expression.
fn new_segment(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segment = ctx.vm.add_memory_segment();
    ctx.set_ap(segment)
}

/// A new segment for the fee fields that go into a transaction hash.
fn data_to_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segment = ctx.vm.add_memory_segment();
    ctx.set("data_to_hash", segment)
}

/// A new segment for the fields that only a declare transaction has.
fn additional_data(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segment = ctx.vm.add_memory_segment();
    ctx.set("additional_data", segment)
}

/// Finds the first element of a sorted array that is not below a key, and whether it is the key.
fn search_sorted_optimistic(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let array = ctx.ptr("array_ptr")?;
    let (size, count, key) = (ctx.usize("elm_size")?, ctx.usize("n_elms")?, ctx.felt("key")?);
    let (mut index, mut exists) = (count, false);
    for candidate in 0..count {
        let value = ctx.vm.get_integer((array + candidate * size)?)?.into_owned();
        if value >= key {
            (index, exists) = (candidate, value == key);
            break;
        }
    }
    ctx.set("index", Felt::from(index))?;
    ctx.set_bit("exists", exists)
}

/// The number of bits that the numbers below `value` need.
fn log2_ceil(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let value = ctx.felt("value")?;
    let bits = if value == Felt::ZERO { 0 } else { (value - Felt::ONE).bits() };
    ctx.set("res", Felt::from(bits))
}

/// Fills up the last batch of SHA-256 compressions with compressions of zeros from the initial state.
fn pad_sha256_batch(ctx: &mut HintContext<'_, '_>) -> HintResult {
    /// The initial state of SHA-256 (FIPS 180-4, 5.3.3).
    const INITIAL_STATE: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let missing = (SHA256_BATCH_SIZE - ctx.u64("n")? % SHA256_BATCH_SIZE) % SHA256_BATCH_SIZE;
    let mut state = INITIAL_STATE;
    sha2::compress256(&mut state, &[[0_u8; 64].into()]);
    let block: Vec<MaybeRelocatable> = std::iter::repeat_n(0_u32, 16)
        .chain(INITIAL_STATE)
        .chain(state)
        .map(|word| Felt::from(word).into())
        .collect();
    let mut end = ctx.ptr("sha256_ptr_end")?;
    for _ in 0..missing {
        end = ctx.vm.load_data(end, &block)?;
    }
    Ok(())
}
