//! The block's context, and what happens before and after its transactions (`os.cairo`, `block_context.cairo`).

use std::collections::HashMap;

use cairo_vm::types::relocatable::MaybeRelocatable;
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::{constants::BLOCK_HASH_CONTRACT_ADDRESS, os_carried_outputs};
use crate::error::HintFailure;
use crate::output::OutputForm;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("05d4621497e5bcef", "load_input", load_input),
    Hint::new("f0a06dbbb5334f96", "initial_contract_states", initial_contract_states),
    Hint::new("154f5b4d903d4163", "initial_class_hashes", initial_class_hashes),
    Hint::new("dc5a826edc5760b6", "block_number", block_number),
    Hint::new("99d4e7723877aa6d", "block_timestamp", block_timestamp),
    Hint::new("faefe4c45b79157c", "sequencer_address", sequencer_address),
    Hint::new("6c1bd48c1863e0b0", "chain_id", chain_id),
    Hint::new("d6f5092dcd4f57a7", "deprecated_fee_token_address", deprecated_fee_token_address),
    Hint::new("97acd481d99094f7", "fee_token_address", fee_token_address),
    Hint::new("353805725b286552", "block_hash_contract_state", block_hash_contract_state),
    Hint::new("892818b78896b47a", "old_block_hash", old_block_hash),
    Hint::new("0d26fc389cc6dfaf", "write_old_block_hash", write_old_block_hash),
    Hint::new("2302a10171ce8f26", "enter_state_update", enter_state_update),
    Hint::new("65d4fdb9baea7477", "use_kzg_da", use_kzg_da),
    Hint::new("cfcfb2e19e6f0bf6", "full_output", full_output),
    Hint::new("c86d94db0ec57e90", "configure_output_pages", nothing),
    Hint::new("1fae00ffaabb7e42", "previous_block_hash", previous_block_hash),
    Hint::new("29a9c3bf45afb9bc", "new_block_hash", new_block_hash),
];

/// The input is at hand already, and all pages of the output are one.
fn nothing(_: &mut HintContext<'_, '_>) -> HintResult {
    Ok(())
}

/// Opens the segments of the messages, which are moved into the output at the end.
fn load_input(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let outputs = ctx.ptr("initial_carried_outputs")?;
    for offset in [os_carried_outputs::MESSAGES_TO_L1, os_carried_outputs::MESSAGES_TO_L2] {
        let segment = ctx.vm.add_temporary_segment();
        ctx.vm.insert_value((outputs + offset)?, segment)?;
    }
    Ok(())
}

/// The dictionary of contract states starts with every accessed contract as it was before the block.
fn initial_contract_states(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let mut states: HashMap<MaybeRelocatable, MaybeRelocatable> = HashMap::new();
    for (address, leaf) in &ctx.os.input.facts.contract_leaves {
        let storage = ctx.vm.add_memory_segment();
        let entry = ctx.vm.add_memory_segment();
        let words = [leaf.previous.class_hash.into(), storage.into(), leaf.previous.nonce.into()];
        ctx.vm.load_data(entry, &words)?;
        states.insert((*address.0.key()).into(), entry.into());
    }
    ctx.scopes.insert_value("initial_dict", states);
    Ok(())
}

/// The dictionary of classes starts with every accessed class as it was before the block.
fn initial_class_hashes(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let hashes: HashMap<MaybeRelocatable, MaybeRelocatable> = ctx
        .os
        .input
        .compiled_class_hashes
        .iter()
        .map(|(class_hash, compiled)| (class_hash.0.into(), compiled.0.into()))
        .collect();
    ctx.scopes.insert_value("initial_dict", hashes);
    Ok(())
}

fn block_number(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(Felt::from(ctx.os.input.block.number))
}

fn block_timestamp(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(Felt::from(ctx.os.input.block.timestamp))
}

fn sequencer_address(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(*ctx.os.input.block.sequencer_address.0.key())
}

fn chain_id(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(ctx.os.input.chain.chain_id)
}

fn deprecated_fee_token_address(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(*ctx.os.input.chain.deprecated_fee_token_address.0.key())
}

fn fee_token_address(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(*ctx.os.input.chain.fee_token_address.0.key())
}

/// Guesses the state of the block hash contract.
fn block_hash_contract_state(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let changes = ctx.ptr("contract_state_changes")?;
    let entry = ctx.dict_value(changes, "contract", BLOCK_HASH_CONTRACT_ADDRESS)?;
    ctx.set("state_entry", entry)
}

/// Guesses the hash of the block that becomes readable with this one.
fn old_block_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let asked = ctx.u64("old_block_number")?;
    match ctx.os.input.old_block {
        Some((number, hash)) if number == asked => ctx.set("old_block_hash", hash),
        _ => Err(HintFailure::Missing { what: "block hash", key: Felt::from(asked) }),
    }
}

/// Records that hash in the block hash contract.
fn write_old_block_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (number, hash) = (ctx.felt("old_block_number")?, ctx.felt("old_block_hash")?);
    ctx.os.storage_write(BLOCK_HASH_CONTRACT_ADDRESS, number, hash);
    Ok(())
}

/// Opens the scope of the state update.
fn enter_state_update(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.enter_scope([])
}

/// Guesses whether the state diff goes into blobs.
fn use_kzg_da(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_fp(24, Felt::from(ctx.os.form == OutputForm::Kzg))
}

/// Guesses whether the output has the previous values, unpacked.
fn full_output(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_fp(25, Felt::from(ctx.os.form == OutputForm::Full))
}

fn previous_block_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(ctx.os.input.previous_block_hash)
}

fn new_block_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap(ctx.os.input.block_hash)
}
