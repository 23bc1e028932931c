//! Checking the syscalls that a contract made (`execution/execute_syscalls.cairo`).
//!
//! A contract runs first, with its syscalls answered from blockifier's record; then the OS goes over the
//! requests and executes each of them. The last syscall of the pair is cheap: most hints here only mark the
//! end of one, for a profiler that this crate does not have.

use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::{call_contract_response, deploy_response, secp_new_response};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("2119b3c3558d8793", "gas_suffices", gas_suffices),
    Hint::new("c0cfd78c49e4ef22", "check_call_result", check_call_result),
    Hint::new("9319e314f329241d", "check_constructor_result", check_constructor_result),
    Hint::new("d1bf0ff2ad8b5564", "secp_new_result", secp_new_result),
    Hint::new("2ac98401a5a11d37", "enter_syscall", mark),
    Hint::new("ee36d99e1e2bf2a9", "exit_storage_read", mark),
    Hint::new("da7433c788ded4c2", "exit_storage_write", mark),
    Hint::new("9d877bb67f767546", "exit_emit_event", mark),
    Hint::new("07e2fe27801c81c8", "exit_call_contract", mark),
    Hint::new("ab2ae1aeb71fde51", "exit_library_call", mark),
    Hint::new("87e0b5aa8c4201b7", "exit_deploy", mark),
    Hint::new("ec6de9300c47bd9f", "exit_replace_class", mark),
    Hint::new("4f20cbbd85701024", "exit_send_message_to_l1", mark),
    Hint::new("7fb8e893b6ad6f3f", "exit_get_execution_info", mark),
    Hint::new("df688dca7373c168", "exit_get_block_hash", mark),
    Hint::new("d853925122f30e8f", "exit_get_class_hash_at", mark),
    Hint::new("f0348d13c26f10a6", "exit_keccak", mark),
    Hint::new("ce48edc0f19c7534", "exit_sha256_process_block", mark),
    Hint::new("ad8b7890538f96e1", "exit_secp256k1_get_point_from_x", mark),
    Hint::new("aca082658004c987", "exit_secp256r1_get_point_from_x", mark),
    Hint::new("d8ceee7d6d11c1ed", "exit_secp256k1_new", mark),
    Hint::new("74c47e22fbf12501", "exit_secp256r1_new", mark),
    Hint::new("896758b3b4ee204f", "exit_secp256k1_add", mark),
    Hint::new("47c048fcaa27147b", "exit_secp256r1_add", mark),
    Hint::new("f707d05369fa1855", "exit_secp256k1_mul", mark),
    Hint::new("fee615dd59bcbd9b", "exit_secp256r1_mul", mark),
    Hint::new("aae038a0200ffc84", "exit_secp256k1_get_xy", mark),
    Hint::new("90aaabe5b8208d9d", "exit_secp256r1_get_xy", mark),
];

/// Marks the begin or the end of a syscall: there is nothing to guess.
fn mark(_: &mut HintContext<'_, '_>) -> HintResult {
    Ok(())
}

/// Guesses whether the gas suffices for the syscall.
fn gas_suffices(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let suffices = ctx.felt("initial_gas")? >= ctx.felt("required_gas")?;
    ctx.set_ap_bit(suffices)
}

/// Checks that a call returned what its caller was told.
fn check_call_result(ctx: &mut HintContext<'_, '_>) -> HintResult {
    check_result(ctx, call_contract_response::RETDATA_START, call_contract_response::RETDATA_END)
}

/// Checks that a constructor returned what the deployer was told.
fn check_constructor_result(ctx: &mut HintContext<'_, '_>) -> HintResult {
    check_result(
        ctx,
        deploy_response::CONSTRUCTOR_RETDATA_START,
        deploy_response::CONSTRUCTOR_RETDATA_END,
    )
}

fn check_result(ctx: &mut HintContext<'_, '_>, start: usize, end: usize) -> HintResult {
    let (start, end) = (ctx.field_ptr("response", start)?, ctx.field_ptr("response", end)?);
    let told = words(ctx, start, (end - start)?)?;
    let length = ctx.usize("retdata_size")?;
    // An empty result may be a null pointer, which is no address.
    let returned = if length == 0 { Vec::new() } else { words(ctx, ctx.ptr("retdata")?, length)? };
    if told != returned {
        return Err(HintFailure::Mismatch {
            what: "result of a call",
            expected: format!("{told:?}"),
            found: format!("{returned:?}"),
        });
    }
    Ok(())
}

fn words(
    ctx: &HintContext<'_, '_>,
    start: Relocatable,
    length: usize,
) -> Result<Vec<MaybeRelocatable>, HintFailure> {
    Ok(ctx.vm.get_continuous_range(start, length)?)
}

/// Guesses where the point of a `secp256*_new` goes: where the contract was told, or, for coordinates that
/// are not on the curve, to a segment that nobody reads.
fn secp_new_result(ctx: &mut HintContext<'_, '_>) -> HintResult {
    if ctx.felt("not_on_curve")? == Felt::ZERO {
        let point = ctx.field_ptr("response", secp_new_response::EC_POINT)?;
        ctx.set_ap(point)
    } else {
        let segment = ctx.vm.add_memory_segment();
        ctx.set_ap(segment)
    }
}
