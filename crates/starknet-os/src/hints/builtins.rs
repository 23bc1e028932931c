//! Builtin pointers that go to contracts and come back (`builtins.cairo`, `select_builtins.cairo`).

use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::{builtin_params, builtin_pointers};

pub(super) const HINTS: &[Hint] = &[
    Hint::new("aa184338ebcda1c9", "enter_select_builtins", enter_select_builtins),
    Hint::new("c2be52ecba3d3958", "select_builtin", select_builtin),
    Hint::new("214921e593989d27", "returned_builtin_pointers", returned_builtin_pointers),
];

const N_SELECTED: &str = "n_selected_builtins";

/// Opens a scope that counts the builtins that are still to be selected.
fn enter_select_builtins(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let count = ctx.felt(N_SELECTED)?;
    ctx.enter_scope([(N_SELECTED, Box::new(count))])
}

/// Guesses whether the next of all builtins is the next of the selected ones: both lists have the same order.
fn select_builtin(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let left: Felt = ctx.scopes.get(N_SELECTED)?;
    let selected = left != Felt::ZERO
        && ctx.field("selected_encodings", 0)? == ctx.field("all_encodings", 0)?;
    ctx.set_bit("select_builtin", selected)?;
    if selected {
        ctx.scopes.insert_value(N_SELECTED, left - Felt::ONE);
    }
    Ok(())
}

/// Guesses the pointers of all builtins after a call: the returned one where the callee had the builtin, else
/// the one from before.
fn returned_builtin_pointers(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let all = ctx.field_ptr("builtin_params", builtin_params::BUILTIN_ENCODINGS)?;
    let all = ctx.read(all, ctx.usize("n_builtins")?)?;
    let selected = ctx.read(ctx.ptr("selected_encodings")?, ctx.usize(N_SELECTED)?)?;
    let before = (ctx.ptr("builtin_ptrs")? + builtin_pointers::SELECTABLE)?;
    let before = ctx.vm.get_continuous_range(before, all.len())?;
    let returned = ctx.vm.get_continuous_range(ctx.ptr("selected_ptrs")?, selected.len())?;

    let mut returned = returned.into_iter();
    let mut pointers = Vec::with_capacity(all.len());
    for (encoding, previous) in all.iter().zip(before) {
        let pointer = if selected.contains(encoding) { returned.next() } else { None };
        pointers.push(pointer.unwrap_or(previous));
    }
    let segment = ctx.vm.add_memory_segment();
    ctx.vm.load_data(segment, &pointers)?;
    ctx.set("return_builtin_ptrs", segment)
}
