//! Stateless compression of the state diff (`data_availability/compression.cairo`).

use std::collections::HashMap;

use cairo_vm::types::relocatable::MaybeRelocatable;
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::TOTAL_N_BUCKETS;
use crate::error::HintFailure;
use crate::output::compression::compress;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("ff95bdb4e61faccb", "compress_state_updates", compress_state_updates),
    Hint::new("c9838e0b724d1f85", "initial_bucket_offsets", initial_bucket_offsets),
    Hint::new("53d568e67228f3db", "bucket_offset", bucket_offset),
    Hint::new("1e7602e2ca7f5a2f", "unpack_element", unpack_element),
];

/// Guesses the compressed state diff; the OS decompresses it again.
fn compress_state_updates(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (start, end) = (ctx.ptr("data_start")?, ctx.ptr("data_end")?);
    let data = ctx.read(start, (end - start)?)?;
    let length = Felt::from(data.len());
    let compressed = compress(&data)
        .map_err(|_| HintFailure::OutOfRange { what: "length of the state diff", value: length })?;
    let target = ctx.ptr("compressed_dst")?;
    ctx.write(target, &compressed)
}

/// The dictionary of bucket offsets starts with zeros.
fn initial_bucket_offsets(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let offsets: HashMap<MaybeRelocatable, MaybeRelocatable> =
        (0..TOTAL_N_BUCKETS).map(|bucket| (Felt::from(bucket).into(), Felt::ZERO.into())).collect();
    ctx.scopes.insert_value("initial_dict", offsets);
    Ok(())
}

/// Guesses the offset of the next element of a bucket.
fn bucket_offset(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (offsets, bucket) = (ctx.ptr("dict_ptr")?, ctx.felt("bucket_index")?);
    let offset = ctx.dict_value(offsets, "bucket", bucket)?;
    ctx.set("prev_offset", offset)
}

/// Guesses the lowest element of a packed felt.
fn unpack_element(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (packed, bound) = (ctx.felt("packed_felt")?, ctx.felt("elm_bound")?);
    let bound = bound
        .try_into()
        .map_err(|_| HintFailure::OutOfRange { what: "bound of packed elements", value: bound })?;
    let target = ctx.ptr("decompressed_dst")?;
    ctx.vm.insert_value(target, packed.mod_floor(&bound))?;
    Ok(())
}
