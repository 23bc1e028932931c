//! Stateful compression: aliases for storage keys and contract addresses (`state/aliases.cairo`).

use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::{
    ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY, MAX_NON_COMPRESSED_CONTRACT_ADDRESS,
    MIN_VALUE_FOR_ALIAS_ALLOC,
};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("89132e4fc0c8ba1f", "key_is_its_own_alias", key_is_its_own_alias),
    Hint::new("96aa35746f788d64", "check_key_has_alias", check_key_has_alias),
    Hint::new("f4b187d8ad96f382", "read_alias", read_alias),
    Hint::new("22d95cc7c44fa37a", "write_alias", write_alias),
    Hint::new("69b09128df886c57", "read_alias_counter", read_alias_counter),
    Hint::new("54646127c64cb768", "initialize_alias_counter", initialize_alias_counter),
    Hint::new("ce5d6cd448cdf330", "update_alias_counter", update_alias_counter),
    Hint::new("805bce530540df0b", "contract_has_no_aliases", contract_has_no_aliases),
];

/// Guesses whether a key is so small that it needs no alias.
fn key_is_its_own_alias(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let key = ctx.felt("key")?;
    ctx.set_ap_bit(key < Felt::from(MIN_VALUE_FOR_ALIAS_ALLOC))
}

/// Checks that a key is large enough for an alias.
fn check_key_has_alias(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let key = ctx.felt("key")?;
    if key < Felt::from(MIN_VALUE_FOR_ALIAS_ALLOC) {
        return Err(HintFailure::OutOfRange { what: "key of an alias", value: key });
    }
    Ok(())
}

/// Guesses a key's alias before the block: 0 when it has none.
fn read_alias(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let key = ctx.felt("key")?;
    let alias = ctx.os.storage_read(ALIAS_CONTRACT_ADDRESS, key)?;
    ctx.set_fp(0, alias)
}

/// Records a new alias.
fn write_alias(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (key, alias) = (ctx.felt("key")?, ctx.felt("next_available_alias")?);
    ctx.os.storage_write(ALIAS_CONTRACT_ADDRESS, key, alias);
    Ok(())
}

/// Guesses the next free alias: 0 in a chain that has none yet.
fn read_alias_counter(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let counter = ctx.os.storage_read(ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY)?;
    ctx.set_ap(counter)
}

/// Records the first alias as the next free one.
fn initialize_alias_counter(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let first = Felt::from(MIN_VALUE_FOR_ALIAS_ALLOC);
    ctx.os.storage_write(ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY, first);
    Ok(())
}

/// Records the next free alias at the end of the block.
fn update_alias_counter(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let next = ctx.felt("next_available_alias")?;
    ctx.os.storage_write(ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY, next);
    Ok(())
}

/// Guesses whether a contract is one of the system's, whose keys are never replaced.
fn contract_has_no_aliases(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let address = ctx.felt("contract_address")?;
    ctx.set_ap_bit(address <= Felt::from(MAX_NON_COMPRESSED_CONTRACT_ADDRESS))
}
