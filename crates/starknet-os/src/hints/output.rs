//! Serialising the output (`output.cairo`, `state/output.cairo`).

use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::N_UPDATES_SMALL_PACKING_BOUND;
use crate::output::OutputForm;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("be686892de3b2b70", "open_state_updates", open_state_updates),
    Hint::new("cfd567d2535678fd", "open_compressed", open_compressed),
    Hint::new("728a628409d7a69a", "set_pages", nothing),
    Hint::new("77b6846e734c059d", "few_updates", few_updates),
];

/// The output is one page: it is proven, not registered page by page.
fn nothing(_: &mut HintContext<'_, '_>) -> HintResult {
    Ok(())
}

/// Opens the segment of the state diff: a temporary one where it becomes part of the output as it is.
fn open_state_updates(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segment = match ctx.os.form {
        OutputForm::Full => ctx.vm.add_temporary_segment(),
        OutputForm::Compressed | OutputForm::Kzg => ctx.vm.add_memory_segment(),
    };
    ctx.set("state_updates_start", segment)
}

/// Opens the segment of the compressed state diff: a temporary one where that becomes part of the output.
fn open_compressed(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segment = match ctx.os.form {
        OutputForm::Kzg => ctx.vm.add_memory_segment(),
        OutputForm::Full | OutputForm::Compressed => ctx.vm.add_temporary_segment(),
    };
    ctx.set("compressed_start", segment)
}

/// Guesses whether the number of storage updates of a contract fits into 8 bits.
fn few_updates(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let few = ctx.felt("n_updates")? < Felt::from(N_UPDATES_SMALL_PACKING_BOUND);
    ctx.set_bit("is_n_updates_small", few)
}
