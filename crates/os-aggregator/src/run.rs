//! Running the program in Cairo VM.

use cairo_vm::hint_processor::hint_processor_definition::HintProcessor;
use cairo_vm::types::layout_name::LayoutName;
use cairo_vm::vm::errors::cairo_run_errors::CairoRunError;
use cairo_vm::vm::errors::vm_errors::VirtualMachineError;
use cairo_vm::vm::errors::vm_exception::get_error_attr_value;
use cairo_vm::vm::runners::cairo_pie::CairoPie;
use cairo_vm::vm::runners::cairo_runner::{CairoRunner, ExecutionResources};
use starknet_types_core::felt::Felt;

use crate::hints::AggregatorHintProcessor;
use crate::input::AggregatorInput;
use crate::join::{JoinError, aggregate};
use crate::output::AggregatedOutput;
use crate::program::AggregatorProgram;

/// The layout of the run. The program uses three of its builtins.
const LAYOUT: LayoutName = LayoutName::all_cairo_stwo;

/// A finished run over consecutive blocks.
pub struct AggregatorRun {
    /// The run as a task for a bootloader.
    pub pie: CairoPie,
    /// What it wrote.
    pub output: AggregatedOutput,
    /// Steps, memory holes and builtin instances, without the bootloader.
    pub resources: ExecutionResources,
}

/// A finished run of the program, whatever it wrote.
pub struct ProgramRun {
    /// The run as a task for a bootloader.
    pub pie: CairoPie,
    /// The output segment, word by word.
    pub output: Vec<Felt>,
    /// Steps, memory holes and builtin instances, without the bootloader.
    pub resources: ExecutionResources,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    /// The outputs cannot be joined.
    #[error("join the outputs of StarknetOS")]
    Join(#[source] JoinError),
    /// The program stopped: an assertion failed, or a hint did.
    #[error("the aggregator stopped in `{function}` at pc {pc}{}", message.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
    Stopped {
        /// Function of the program.
        function: String,
        /// Program counter, as `segment:offset`.
        pc: String,
        /// What the program says about the assertion.
        message: Option<String>,
        /// What the virtual machine reported.
        #[source]
        source: Box<VirtualMachineError>,
    },
    /// The runner could not be set up or closed.
    #[error("cannot {operation} the run of the aggregator")]
    Runner {
        /// What was being done.
        operation: &'static str,
        /// What the runner reported.
        #[source]
        source: Box<CairoRunError>,
    },
    /// A felt of the output segment was never written, or is not a number.
    #[error("word {index} of the output of the aggregator is not a felt")]
    Output {
        /// Index in the output segment.
        index: usize,
    },
    /// The program and [`aggregate`] came to different outputs: one of them is wrong.
    #[error("word {index} of the output of the aggregator is not what the blocks' outputs lead to")]
    Disagreement {
        /// Index of the first word that differs.
        index: usize,
    },
}

impl AggregatorError {
    fn runner<E: Into<CairoRunError>>(operation: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Runner { operation, source: Box::new(source.into()) }
    }

    fn stopped(runner: &CairoRunner, error: VirtualMachineError) -> Self {
        let pc = runner.vm.get_pc();
        Self::Stopped {
            function: AggregatorProgram::get().function_at(pc.offset).to_owned(),
            pc: pc.to_string(),
            message: get_error_attr_value(pc.offset, runner).map(|text| text.trim().to_owned()),
            source: Box::new(error),
        }
    }
}

/// Joins the outputs of consecutive blocks, and leaves the run that proves it.
///
/// # Errors
/// When the outputs cannot be joined.
pub fn run_aggregator(input: &AggregatorInput) -> Result<AggregatorRun, AggregatorError> {
    let output = aggregate(input).map_err(AggregatorError::Join)?;
    let run = run_program(&mut AggregatorHintProcessor::new(input))?;
    let expected = output.encode();
    let length = expected.len().max(run.output.len());
    match (0..length).find(|index| expected.get(*index) != run.output.get(*index)) {
        Some(index) => Err(AggregatorError::Disagreement { index }),
        None => Ok(AggregatorRun { pie: run.pie, output, resources: run.resources }),
    }
}

/// Runs the program over whatever hints supply, without a look at it: what it refuses has no proof, whoever proves.
///
/// # Errors
/// When the program refuses what the hints supply.
pub fn run_program(hints: &mut dyn HintProcessor) -> Result<ProgramRun, AggregatorError> {
    use AggregatorError as Error;

    let program = &AggregatorProgram::get().cairo;
    let mut runner = CairoRunner::new(program, LAYOUT, None, false, true, false)
        .map_err(Error::runner("set up"))?;
    let end = runner.initialize(false).map_err(Error::runner("initialise"))?;
    if let Err(error) = runner.run_until_pc(end, hints) {
        return Err(Error::stopped(&runner, error));
    }
    runner.end_run(false, false, hints, false).map_err(Error::runner("end"))?;
    runner.vm.verify_auto_deductions().map_err(Error::runner("verify the builtins of"))?;
    runner.read_return_values(false).map_err(Error::runner("read the return values of"))?;
    let output = output(&mut runner)?;
    let pie = runner.get_cairo_pie().map_err(Error::runner("make a PIE of"))?;
    let resources =
        runner.get_execution_resources().map_err(Error::runner("count the resources of"))?;
    Ok(ProgramRun { pie, output, resources })
}

/// The words of the output segment.
fn output(runner: &mut CairoRunner) -> Result<Vec<Felt>, AggregatorError> {
    let builtin = runner
        .vm
        .get_output_builtin_mut()
        .map_err(AggregatorError::runner("find the output of"))?;
    let base = builtin.base();
    let segment = isize::try_from(base).map_err(|_| AggregatorError::Output { index: base })?;
    let size = runner.vm.get_segment_used_size(base).unwrap_or_default();
    let words = runner.vm.get_range((segment, 0).into(), size);
    words
        .into_iter()
        .enumerate()
        .map(|(index, word)| {
            word.and_then(|word| word.get_int()).ok_or(AggregatorError::Output { index })
        })
        .collect()
}
