//! Runs hints: ours by their text, cairo-vm's, and those of the contracts.

use std::any::Any;
use std::collections::HashMap;

use blockifier::execution::syscalls::vm_syscall_utils::execute_next_syscall;
use cairo_lang_casm::hints::Hint as ContractHint;
use cairo_lang_runner::casm_run::execute_core_hint_base;
use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::{
    BuiltinHintProcessor, HintProcessorData,
};
use cairo_vm::hint_processor::hint_processor_definition::{HintExtension, HintProcessorLogic};
use cairo_vm::types::exec_scope::ExecutionScopes;
use cairo_vm::vm::errors::hint_errors::HintError;
use cairo_vm::vm::runners::cairo_runner::ResourceTracker;
use cairo_vm::vm::vm_core::VirtualMachine;
use starknet_types_core::felt::Felt;

use crate::error::{HintFailure, LocatedHintFailure};
use crate::hints::{Hint, HintContext, hints_by_text, unknown_name};
use crate::input::OsInput;
use crate::output::OutputForm;
use crate::program::program;
use crate::state::OsState;

/// The hint processor of one run of StarknetOS.
///
/// It can run the OS by itself (see [`crate::run_os`]), or serve a bootloader's hint processor as the extra
/// one: a hint that it does not know is `UnknownHint`, so that the next processor gets it.
pub struct OsHintProcessor<'input> {
    hints: HashMap<&'static str, &'static Hint>,
    common: BuiltinHintProcessor,
    state: OsState<'input>,
}

impl<'input> OsHintProcessor<'input> {
    /// A processor for one run over `input`, with the output in `form`. It cannot be used twice.
    pub fn new(input: &'input OsInput, form: OutputForm) -> Self {
        Self {
            hints: hints_by_text(program()),
            common: BuiltinHintProcessor::new_empty(),
            state: OsState::new(input, form),
        }
    }

    /// The felts that fill the blobs, after a run in [`OutputForm::Kzg`].
    pub fn blob_data(&self) -> Option<&[Felt]> {
        self.state.da_segment.as_deref()
    }

    /// Where in the block the run is, for an error.
    pub fn position(&self) -> String {
        self.state.position().to_string()
    }

    /// The compiled class hash of the class whose bytecode is in `segment`.
    pub(crate) fn class_in(&self, segment: isize) -> Option<Felt> {
        self.state.class_segments.get(&segment).copied()
    }

    fn located(
        &self,
        hint: &str,
        function: &str,
        vm: &VirtualMachine,
        cause: HintFailure,
    ) -> HintError {
        LocatedHintFailure {
            hint: hint.to_owned(),
            function: function.to_owned(),
            pc: vm.get_pc().to_string(),
            position: self.state.position(),
            cause,
        }
        .into()
    }

    /// A hint of the OS, or of the common library.
    fn execute_cairo_0(
        &mut self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        hint_data: &Box<dyn Any>,
        data: &HintProcessorData,
    ) -> Result<HintExtension, HintError> {
        let function = data.accessible_scopes.last().map_or("?", String::as_str);
        let Some(hint) = self.hints.get(data.code.as_str()).copied() else {
            return match self.common.execute_hint(vm, scopes, hint_data) {
                Ok(()) => Ok(HintExtension::default()),
                Err(HintError::UnknownHint(text)) => {
                    let name =
                        format!("{} in {function}, {}", unknown_name(&text), self.state.position());
                    Err(HintError::UnknownHint(name.into_boxed_str()))
                }
                Err(error) => {
                    Err(self.located(&unknown_name(&data.code), function, vm, error.into()))
                }
            };
        };
        let mut context = HintContext {
            vm,
            scopes,
            data,
            os: &mut self.state,
            extension: HintExtension::default(),
        };
        match (hint.run)(&mut context) {
            Ok(()) => Ok(context.extension),
            Err(failure) => Err(self.located(hint.name, function, vm, failure)),
        }
    }

    /// A hint of a contract: Cairo's own, or a syscall.
    fn execute_cairo_1(
        &mut self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        hint: &ContractHint,
    ) -> Result<(), HintError> {
        let failure = match hint {
            ContractHint::Core(hint) => match execute_core_hint_base(vm, scopes, hint, false) {
                Ok(()) => return Ok(()),
                Err(error) => error.into(),
            },
            ContractHint::Starknet(hint) => match execute_next_syscall(&mut self.state, vm, hint) {
                Ok(()) => return Ok(()),
                Err(failure) => failure.into(),
            },
            ContractHint::External(_) => {
                HintFailure::Unsupported { what: "an external hint in a contract" }
            }
        };
        let class = self.class_in(vm.get_pc().segment_index).unwrap_or_default();
        Err(self.located(&format!("{hint:?}"), &format!("class {class:#x}"), vm, failure))
    }
}

impl HintProcessorLogic for OsHintProcessor<'_> {
    fn execute_hint(
        &mut self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        hint_data: &Box<dyn Any>,
    ) -> Result<(), HintError> {
        self.execute_hint_extensive(vm, scopes, hint_data).map(|_| ())
    }

    fn execute_hint_extensive(
        &mut self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        hint_data: &Box<dyn Any>,
    ) -> Result<HintExtension, HintError> {
        if let Some(data) = hint_data.downcast_ref::<HintProcessorData>() {
            self.execute_cairo_0(vm, scopes, hint_data, data)
        } else if let Some(hint) = hint_data.downcast_ref::<ContractHint>() {
            self.execute_cairo_1(vm, scopes, hint).map(|()| HintExtension::default())
        } else {
            Err(HintError::WrongHintData)
        }
    }
}

/// Nothing bounds the run but the block itself, whose gas the sequencer bounded.
impl ResourceTracker for OsHintProcessor<'_> {}
