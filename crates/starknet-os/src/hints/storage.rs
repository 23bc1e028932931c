//! Storage syscalls, and the block hash contract (`execution/execute_syscalls.cairo`).

use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::{BLOCK_HASH_CONTRACT_ADDRESS, STORED_BLOCK_HASH_BUFFER};
use crate::cairo_structs::{storage_read_request, storage_write_request};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("50b36f9be45be055", "state_entry_to_read", state_entry_to_read),
    Hint::new("7526849a43089135", "check_read_value", check_read_value),
    Hint::new("c637ad50ee455290", "write_value", write_value),
    Hint::new("42727eb4df27f85b", "block_is_too_recent", block_is_too_recent),
    Hint::new("1989fa83162a5516", "block_hash_state_entry", block_hash_state_entry),
];

/// Guesses the state of `address`, and opens the segment of its next state.
fn guess_state_entry(ctx: &mut HintContext<'_, '_>, address: Felt) -> HintResult {
    let changes = ctx.ptr("contract_state_changes")?;
    let entry = ctx.dict_value(changes, "contract", address)?;
    ctx.set("state_entry", entry)?;
    let new_entry = ctx.vm.add_memory_segment();
    ctx.set("new_state_entry", new_entry)
}

fn state_entry_to_read(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let address = ctx.felt("contract_address")?;
    guess_state_entry(ctx, address)
}

/// Checks that the contract was given the value that the cell has at this point of the block.
fn check_read_value(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let address = ctx.felt("contract_address")?;
    let key = ctx.field("request", storage_read_request::KEY)?;
    let (expected, found) = (ctx.os.storage_read(address, key)?, ctx.felt("value")?);
    if found != expected {
        return Err(HintFailure::Mismatch {
            what: "value of a storage cell",
            expected: expected.to_hex_string(),
            found: found.to_hex_string(),
        });
    }
    Ok(())
}

/// Guesses the value before, and records the value after a write.
fn write_value(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let address = ctx.felt("contract_address")?;
    let key = ctx.field("request", storage_write_request::KEY)?;
    let value = ctx.field("request", storage_write_request::VALUE)?;
    let previous = ctx.os.storage_read(address, key)?;
    ctx.set("prev_value", previous)?;
    ctx.os.storage_write(address, key, value);
    guess_state_entry(ctx, address)
}

/// Guesses whether a block is so recent that its hash cannot be read.
fn block_is_too_recent(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (asked, current) = (ctx.felt("request_block_number")?, ctx.u64("current_block_number")?);
    // In a chain shorter than the buffer the bound is negative: every block is too recent.
    let too_recent = match current.checked_sub(STORED_BLOCK_HASH_BUFFER) {
        Some(last) => asked > Felt::from(last),
        None => true,
    };
    ctx.set_ap_bit(too_recent)
}

fn block_hash_state_entry(ctx: &mut HintContext<'_, '_>) -> HintResult {
    guess_state_entry(ctx, BLOCK_HASH_CONTRACT_ADDRESS)
}
