//! Running the entry point of a contract (`execution/execute_entry_point.cairo`).

use starknet_types_core::felt::Felt;

use blockifier::execution::contract_class::TrackedResource;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::ENTRY_POINT_INITIAL_BUDGET;
use crate::cairo_structs::{entry_point_return_values, execution_context};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("71323137007e38d1", "enter_call", enter_call),
    Hint::new("35ba6a151964a9ad", "guess_is_deprecated", nothing),
    Hint::new("37767e3a6a10ba5d", "is_deprecated", is_deprecated),
    Hint::new("dc6ead76f7226a8d", "is_sierra_gas_mode", is_sierra_gas_mode),
    Hint::new("80f3be35eb9aed0a", "check_initial_gas", check_initial_gas),
    Hint::new("e49af27a188a000d", "exit_call", exit_call),
    Hint::new("ea41763aea525751", "open_syscall_segment", open_syscall_segment),
    Hint::new("3006b77062aa9708", "gas_is_below_initial_budget", gas_is_below_initial_budget),
    Hint::new("ad958315c5fc7070", "enter_contract", enter_contract),
    Hint::new("bfe2d8d0d1ba5f6d", "leave_contract", leave_contract),
    Hint::new("41b338d15075115c", "discarded_outputs", discarded_outputs),
];

fn nothing(_: &mut HintContext<'_, '_>) -> HintResult {
    Ok(())
}

/// Takes the next call of the transaction's call tree.
fn enter_call(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let execution_info = ctx.field_ptr("execution_context", execution_context::EXECUTION_INFO)?;
    ctx.os.enter_call(execution_info)
}

/// Classes of Cairo 0 are not supported, so no class is deprecated.
fn is_deprecated(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_ap_bit(false)
}

/// Guesses whether the call is metered by gas or by steps.
fn is_sierra_gas_mode(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let by_gas = ctx.os.call()?.info.tracked_resource == TrackedResource::SierraGas;
    ctx.set_bit("is_sierra_gas_mode", by_gas)
}

/// Checks that the OS gives the call the gas that blockifier gave it.
fn check_initial_gas(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let found = ctx.felt("remaining_gas")?;
    let expected = Felt::from(ctx.os.call()?.info.call.initial_gas);
    if found != expected {
        return Err(HintFailure::Mismatch {
            what: "initial gas of the call",
            expected: expected.to_string(),
            found: found.to_string(),
        });
    }
    Ok(())
}

/// Leaves a call whose code did not run: no such entry point, no constructor, or out of gas.
fn exit_call(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.os.syscalls.ptr = None;
    ctx.os.exit_call()
}

/// Opens the segments of the contract's context and of its syscalls.
fn open_syscall_segment(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let context = ctx.vm.add_memory_segment();
    let syscalls = ctx.vm.add_memory_segment();
    ctx.set("os_context", context)?;
    ctx.set("syscall_ptr", syscalls)?;
    ctx.os.syscalls.ptr = Some(syscalls);
    Ok(())
}

/// Guesses whether there is too little gas to start the entry point.
fn gas_is_below_initial_budget(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let gas = ctx.felt("remaining_gas")?;
    ctx.set_ap_bit(gas < Felt::from(ENTRY_POINT_INITIAL_BUDGET))
}

/// Opens a scope of its own for the contract's hints.
fn enter_contract(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.scopes.enter_scope(std::collections::HashMap::new());
    Ok(())
}

/// Checks that the contract used the gas and made the syscalls that blockifier recorded, and leaves the call.
fn leave_contract(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let left = ctx.field("entry_point_return_values", entry_point_return_values::GAS_BUILTIN)?;
    let used = ctx.felt("remaining_gas")? - left;
    let call = ctx.os.call()?.info;
    let expected = match call.tracked_resource {
        TrackedResource::SierraGas => {
            Felt::from(call.execution.gas_consumed) - Felt::from(ENTRY_POINT_INITIAL_BUDGET)
        }
        // Metered by steps: the gas counter runs, but nobody looks at it.
        TrackedResource::CairoSteps => used,
    };
    if used != expected {
        return Err(HintFailure::Mismatch {
            what: "gas used by the contract",
            expected: expected.to_string(),
            found: used.to_string(),
        });
    }

    let end = ctx.field_ptr("entry_point_return_values", entry_point_return_values::SYSCALL_PTR)?;
    let expected = ctx.os.syscalls.ptr.take().ok_or(HintFailure::NoSyscallPtr)?;
    if end != expected {
        return Err(HintFailure::Mismatch {
            what: "end of the contract's syscalls",
            expected: expected.to_string(),
            found: end.to_string(),
        });
    }
    ctx.os.exit_call()
}

/// Outputs of a call that is reverted: messages go to a segment that nobody reads.
fn discarded_outputs(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let messages = ctx.vm.add_memory_segment();
    let outputs = ctx.vm.add_memory_segment();
    ctx.vm.load_data(outputs, &[messages.into(), Felt::ZERO.into()])?;
    ctx.set_ap(outputs)
}
