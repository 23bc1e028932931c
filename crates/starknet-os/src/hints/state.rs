//! The state update at the end of the block (`state/state.cairo`, `state/commitment.cairo`).

use cairo_vm::types::relocatable::Relocatable;
use sidereal_patricia::{CommitmentFacts, TRIE_HEIGHT};
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::{constants::ALIAS_CONTRACT_ADDRESS, os_state_update};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("bd9d4373f1c91d78", "aliases_entry", aliases_entry),
    Hint::new("4c7068683636b542", "compute_storage_commitments", nothing),
    Hint::new("864fe7c90b38277b", "contract_trie_roots", contract_trie_roots),
    Hint::new("4051e120e9e41049", "storage_trie_roots", storage_trie_roots),
    Hint::new("5088ff3e9042c920", "class_trie_roots", class_trie_roots),
    Hint::new("2e569f77b1f53140", "account_state_entry", account_state_entry),
    Hint::new("06de75007a2877aa", "contract_state_entry", contract_state_entry),
];

/// The facts of the storage tries are in the input.
fn nothing(_: &mut HintContext<'_, '_>) -> HintResult {
    Ok(())
}

/// Guesses the state of the alias contract.
fn aliases_entry(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let update = ctx.address("os_state_update")?;
    let changes: Relocatable =
        ctx.vm.get_relocatable((update + os_state_update::CONTRACT_STATE_CHANGES_END)?)?;
    let entry = ctx.dict_value(changes, "contract", ALIAS_CONTRACT_ADDRESS)?;
    ctx.set("aliases_entry", entry)
}

/// Guesses the roots of a trie, and has the hints of the update answer from its facts.
fn enter_trie<'input>(
    ctx: &mut HintContext<'_, 'input>,
    facts: &'input CommitmentFacts,
    initial: &str,
    updated: &str,
) -> HintResult {
    if facts.tree_height != TRIE_HEIGHT {
        let value = Felt::from(facts.tree_height);
        return Err(HintFailure::OutOfRange { what: "height of a trie", value });
    }
    ctx.set(initial, facts.previous_root)?;
    ctx.set(updated, facts.updated_root)?;
    ctx.os.set_trie(facts);
    Ok(())
}

fn contract_trie_roots(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let facts = &ctx.os.input.facts.contracts;
    enter_trie(ctx, facts, "initial_root", "final_root")
}

fn class_trie_roots(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let facts = &ctx.os.input.facts.classes;
    enter_trie(ctx, facts, "initial_root", "final_root")
}

fn storage_trie_roots(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let key = ctx.felt("contract_address")?;
    let facts = key.try_into().ok().and_then(|address| ctx.os.input.facts.storage.get(&address));
    let facts = facts.ok_or(HintFailure::Missing { what: "storage trie of contract", key })?;
    enter_trie(ctx, facts, "initial_contract_state_root", "final_contract_state_root")
}

/// Guesses the state of the account whose nonce is checked.
fn account_state_entry(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let address = ctx.field("tx_info", crate::cairo_structs::tx_info::ACCOUNT_CONTRACT_ADDRESS)?;
    let changes = ctx.ptr("contract_state_changes")?;
    let entry = ctx.dict_value(changes, "contract", address)?;
    ctx.set("state_entry", entry)
}

/// Guesses the state of the contract that is deployed, or whose class is replaced.
fn contract_state_entry(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (changes, address) = (ctx.ptr("contract_state_changes")?, ctx.felt("contract_address")?);
    let entry = ctx.dict_value(changes, "contract", address)?;
    ctx.set("state_entry", entry)
}
