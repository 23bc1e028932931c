//! Undoing what a reverted call wrote (`execution/revert.cairo`).

use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};

pub(super) const HINTS: &[Hint] = &[
    Hint::new("b6885d50fe23902c", "state_entry_to_revert", state_entry_to_revert),
    Hint::new("9643b88e44c18b30", "value_to_revert", value_to_revert),
    Hint::new("c427f66d5dd56357", "revert_value", revert_value),
];

/// Scope variable: the contract whose writes are being undone, a `Felt`.
const CONTRACT: &str = "reverted_contract";

/// Guesses the state of the contract, and remembers which it is.
fn state_entry_to_revert(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (changes, address) = (ctx.ptr("contract_state_changes")?, ctx.felt("contract_address")?);
    let entry = ctx.dict_value(changes, "contract", address)?;
    ctx.set("state_entry", entry)?;
    let new_entry = ctx.vm.add_memory_segment();
    ctx.set("new_state_entry", new_entry)?;
    ctx.scopes.insert_value(CONTRACT, address);
    Ok(())
}

/// Guesses the value that a storage cell has now.
fn value_to_revert(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (address, key): (Felt, _) = (ctx.scopes.get(CONTRACT)?, ctx.felt("storage_key")?);
    let value = ctx.os.storage_read(address, key)?;
    ctx.set_ap(value)
}

/// Records the value that the cell had before.
fn revert_value(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (address, key): (Felt, _) = (ctx.scopes.get(CONTRACT)?, ctx.felt("storage_key")?);
    let value = ctx.felt("value")?;
    ctx.os.storage_write(address, key, value);
    Ok(())
}
