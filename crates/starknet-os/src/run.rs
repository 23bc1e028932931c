//! Running StarknetOS in Cairo VM.

use cairo_vm::types::layout_name::LayoutName;
use cairo_vm::vm::errors::vm_errors::VirtualMachineError;
use cairo_vm::vm::runners::cairo_pie::CairoPie;
use cairo_vm::vm::runners::cairo_runner::{CairoRunner, ExecutionResources};
use starknet_types_core::felt::Felt;

use crate::error::OsError;
use crate::input::OsInput;
use crate::output::OutputForm;
use crate::processor::OsHintProcessor;
use crate::program::program;

/// The layout of the run: the only one that has every builtin of the OS. A bootloader that takes the PIE
/// simulates those that its own layout lacks.
const LAYOUT: LayoutName = LayoutName::all_cairo;

/// A finished run of StarknetOS.
pub struct OsRun {
    /// The output segment, word by word: see [`crate::OsOutput::decode`].
    pub output: Vec<Felt>,
    /// The felts that fill the blobs; only in [`OutputForm::Kzg`].
    pub blob_data: Option<Vec<Felt>>,
    /// The run as a task for a bootloader.
    pub pie: CairoPie,
    /// Steps, memory holes and builtin instances.
    pub resources: ExecutionResources,
}

/// Runs StarknetOS over a block.
///
/// # Errors
/// When the input is not what the block really did, or needs what is not supported.
pub fn run_os(input: &OsInput, form: OutputForm) -> Result<OsRun, OsError> {
    let mut processor = OsHintProcessor::new(input, form);
    let mut runner = CairoRunner::new(program().cairo(), LAYOUT, None, false, true, false)
        .map_err(OsError::runner_error("set up"))?;
    let end = runner.initialize(false).map_err(OsError::runner_error("initialise"))?;
    if let Err(error) = runner.run_until_pc(end, &mut processor) {
        return Err(stopped(&runner, &processor, error));
    }
    runner.end_run(false, false, &mut processor, false).map_err(OsError::runner("end"))?;
    runner.vm.verify_auto_deductions().map_err(OsError::runner("verify the builtins of"))?;
    runner.read_return_values(false).map_err(OsError::runner_error("read the return values of"))?;
    let output = output(&mut runner)?;
    let pie = runner.get_cairo_pie().map_err(OsError::runner_error("make a PIE of"))?;
    let resources = runner
        .get_execution_resources()
        .map_err(OsError::runner_error("count the resources of"))?;
    Ok(OsRun { output, blob_data: processor.blob_data().map(<[Felt]>::to_vec), pie, resources })
}

fn stopped(
    runner: &CairoRunner,
    processor: &OsHintProcessor<'_>,
    error: VirtualMachineError,
) -> OsError {
    let pc = runner.vm.get_pc();
    let function = match processor.class_in(pc.segment_index) {
        Some(class) => format!("class {class:#x}"),
        None => program().function_at(pc.offset).to_owned(),
    };
    OsError::Run {
        function,
        pc: pc.to_string(),
        position: processor.position(),
        source: Box::new(error),
    }
}

/// The words of the output segment.
fn output(runner: &mut CairoRunner) -> Result<Vec<Felt>, OsError> {
    let builtin =
        runner.vm.get_output_builtin_mut().map_err(OsError::runner("find the output of"))?;
    let base = builtin.base();
    let segment = isize::try_from(base).map_err(|_| OsError::Output { index: base })?;
    let size = runner.vm.get_segment_used_size(base).unwrap_or_default();
    let words = runner.vm.get_range((segment, 0).into(), size);
    words
        .into_iter()
        .enumerate()
        .map(|(index, word)| word.and_then(|word| word.get_int()).ok_or(OsError::Output { index }))
        .collect()
}
