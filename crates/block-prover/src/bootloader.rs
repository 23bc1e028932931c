//! The bootloader's run over one task, and what its single output felt commits to.

use std::rc::Rc;
use std::sync::OnceLock;

use cairo_program_runner_lib::hints::types::HashFunc;
use cairo_program_runner_lib::types::{
    PrivacySimpleBootloaderInput, RunMode, SimpleBootloaderInput, Task, TaskSpec,
};
use cairo_program_runner_lib::{
    PRIVACY_SIMPLE_BOOTLOADER_COMPILED_JSON, ProgramInput, cairo_run_program,
};
use cairo_program_runner_lib::{ProgramHashError, compute_program_hash_chain};
use cairo_vm::hint_processor::hint_processor_definition::HintProcessor;
use cairo_vm::types::errors::program_errors::ProgramError;
use cairo_vm::types::layout_name::LayoutName;
use cairo_vm::types::program::Program;
use cairo_vm::vm::errors::cairo_run_errors::CairoRunError;
use cairo_vm::vm::runners::cairo_pie::StrippedProgram;
use cairo_vm::vm::runners::cairo_runner::CairoRunner;
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::Blake2Felt252;

/// Blake2s program hash of the bootloader that every proof runs: `privacy_simple_bootloader_compiled.json` of
/// `cairo-program-runner-lib` 1.3.1, the program for which `stwo-circuit-cairo-verifier` 1.0.0 was made.
const PINNED_BOOTLOADER_HASH: Felt =
    Felt::from_hex_unchecked("0x3de7cd620c9c8f9acf55039dd49fae62df55206c4618cef9fc79fd704fbd1ea");

/// Felts in the preimage of the bootloader's output before the task's own output: number of tasks, size, hash.
const HEADER_FELTS: usize = 3;

/// Why the bootloader did not run a task.
#[derive(Debug, thiserror::Error)]
pub enum BootloaderError {
    /// The embedded bootloader does not parse.
    #[error("read the embedded bootloader")]
    Program(#[source] ProgramError),
    /// A program's hash cannot be computed. (The cause is no `std::error::Error`.)
    #[error("compute a program's Blake2s hash: {0}")]
    Hash(ProgramHashError),
    /// The embedded bootloader is another program than the verifier knows.
    #[error(
        "the embedded bootloader has hash {found:#x}, and {PINNED_BOOTLOADER_HASH:#x} is pinned"
    )]
    NotPinned {
        /// Hash of the embedded program.
        found: Felt,
    },
    /// The bootloader's bytecode holds something else than felts.
    #[error("the embedded bootloader holds a pointer at offset {offset}")]
    Relocatable {
        /// Offset in the bytecode.
        offset: usize,
    },
    /// The file that receives the output's preimage cannot be used.
    #[error("hand over the bootloader's output preimage in a temporary file")]
    Preimage(#[source] std::io::Error),
    /// The preimage is no list of felts.
    #[error("read the bootloader's output preimage")]
    PreimageFormat(#[source] serde_json::Error),
    /// The run failed.
    #[error("run the bootloader over the task")]
    Run(#[source] Box<CairoRunError>),
    /// The bootloader wrote something else than one task's record.
    #[error("the bootloader's output preimage is not the record of one task: {0}")]
    NotOneTask(&'static str),
}

/// The bootloader's program in the forms that prover and verifier need.
pub(crate) struct Bootloader {
    program: Program,
    bytecode: Vec<Felt>,
    hash: Felt,
}

impl Bootloader {
    /// The embedded bootloader, parsed once per process and compared with the pinned hash.
    pub(crate) fn get() -> Result<&'static Self, BootloaderError> {
        static LOADED: OnceLock<Bootloader> = OnceLock::new();
        if let Some(bootloader) = LOADED.get() {
            return Ok(bootloader);
        }
        let bootloader = Self::load()?;
        Ok(LOADED.get_or_init(|| bootloader))
    }

    fn load() -> Result<Self, BootloaderError> {
        let program = Program::from_bytes(PRIVACY_SIMPLE_BOOTLOADER_COMPILED_JSON, Some("main"))
            .map_err(BootloaderError::Program)?;
        let stripped = program.get_stripped_program().map_err(BootloaderError::Program)?;
        let hash = blake_hash(&stripped)?;
        if hash != PINNED_BOOTLOADER_HASH {
            return Err(BootloaderError::NotPinned { found: hash });
        }
        let bytecode = stripped
            .data
            .iter()
            .enumerate()
            .map(|(offset, cell)| {
                cell.get_int_ref().copied().ok_or(BootloaderError::Relocatable { offset })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { program, bytecode, hash })
    }

    /// The bytecode that must stand in a proof's public memory.
    pub(crate) fn bytecode(&self) -> &[Felt] {
        &self.bytecode
    }
}

/// Blake2s program hash of the bootloader that proofs run.
pub fn bootloader_program_hash() -> Result<Felt, BootloaderError> {
    Ok(Bootloader::get()?.hash)
}

/// Blake2s hash of a program as the bootloader computes it for its tasks: over the header (bootloader version 0,
/// entry offset, builtins) and the bytecode.
pub fn task_program_hash(program: &StrippedProgram) -> Result<Felt, BootloaderError> {
    blake_hash(program)
}

fn blake_hash(program: &StrippedProgram) -> Result<Felt, BootloaderError> {
    compute_program_hash_chain(program, 0, HashFunc::Blake).map_err(BootloaderError::Hash)
}

/// The one felt that the bootloader writes for a task: the Blake2s hash of
/// `[1, 2 + |output|, program_hash, output...]`.
pub fn bootloader_output(program_hash: Felt, output: &[Felt]) -> Felt {
    let mut preimage = Vec::with_capacity(HEADER_FELTS + output.len());
    preimage.push(Felt::ONE);
    preimage.push(Felt::from(output.len() + HEADER_FELTS - 1));
    preimage.push(program_hash);
    preimage.extend_from_slice(output);
    Blake2Felt252::encode_felt252_data_and_calc_blake_hash(&preimage)
}

/// One task, ready to be run.
pub struct PreparedTask {
    spec: TaskSpec,
}

impl PreparedTask {
    /// A program with its hints, or the memory of a run that has already been made (a Cairo PIE).
    pub fn new(task: Task) -> Self {
        Self { spec: TaskSpec { task: Rc::new(task), program_hash_function: HashFunc::Blake } }
    }
}

/// The bootloader after its run, with what it says about the task.
pub struct BootloaderRun {
    /// The virtual machine, from which the trace is taken.
    pub(crate) runner: CairoRunner,
    /// Blake2s hash of the task's program.
    pub program_hash: Felt,
    /// What the task wrote.
    pub output: Vec<Felt>,
}

impl BootloaderRun {
    /// Runs the bootloader over `task`. `hints` executes those hints of a program task that neither Cairo VM nor
    /// the bootloader knows; a PIE has none.
    pub fn new(
        task: PreparedTask,
        hints: Option<&mut dyn HintProcessor>,
    ) -> Result<Self, BootloaderError> {
        let bootloader = Bootloader::get()?;
        // The bootloader's hint hands out the preimage of its output only through a file.
        let preimage_file = tempfile::NamedTempFile::new().map_err(BootloaderError::Preimage)?;
        let input = PrivacySimpleBootloaderInput {
            simple_bootloader_input: SimpleBootloaderInput {
                fact_topologies_path: None,
                single_page: true,
                tasks: vec![task.spec],
            },
            output_preimage_dump_path: preimage_file.path().to_path_buf(),
        };
        // The layout has no `ec_op` and no `keccak`: where they are missing, the bootloader executes them in Cairo, and
        // the small preprocessed trace has no component for them. S-two pads by itself, and the adapter relocates.
        let config = RunMode::Proof {
            layout: LayoutName::stwo_no_ecop,
            dynamic_layout_params: None,
            disable_trace_padding: true,
            relocate_mem: false,
        }
        .create_config();
        let runner = cairo_run_program(
            &bootloader.program,
            Some(ProgramInput::from_value(input)),
            config,
            hints,
        )
        .map_err(|error| BootloaderError::Run(Box::new(error)))?;

        let preimage = std::fs::read(preimage_file.path()).map_err(BootloaderError::Preimage)?;
        let preimage: Vec<Felt> =
            serde_json::from_slice(&preimage).map_err(BootloaderError::PreimageFormat)?;
        let (program_hash, output) = split_record(&preimage)?;
        Ok(Self { runner, program_hash, output })
    }
}

fn split_record(preimage: &[Felt]) -> Result<(Felt, Vec<Felt>), BootloaderError> {
    let [tasks, size, program_hash, output @ ..] = preimage else {
        return Err(BootloaderError::NotOneTask("it is too short"));
    };
    if *tasks != Felt::ONE {
        return Err(BootloaderError::NotOneTask("it counts another number of tasks"));
    }
    if *size != Felt::from(output.len() + HEADER_FELTS - 1) {
        return Err(BootloaderError::NotOneTask("its size differs from its length"));
    }
    Ok((*program_hash, output.to_vec()))
}

#[cfg(test)]
mod tests {
    use cairo_program_runner_lib::types::Cairo0Executable;
    use cairo_vm::cairo_run::CairoRunConfig;
    use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::BuiltinHintProcessor;

    use super::*;

    #[test]
    fn the_embedded_bootloader_is_the_pinned_one() {
        assert_eq!(bootloader_program_hash().unwrap(), PINNED_BOOTLOADER_HASH);
    }

    /// A task may come as a program or as the memory of a run that was already made; the bootloader sees the same.
    #[test]
    fn a_program_and_its_pie_have_the_same_record() {
        let json = include_bytes!("../tests/data/sums.json");
        let program = Program::from_bytes(json, Some("main")).unwrap();
        let config = CairoRunConfig {
            layout: LayoutName::all_cairo_stwo,
            secure_run: Some(true),
            ..CairoRunConfig::default()
        };
        let mut hints = BuiltinHintProcessor::new_empty();
        let pie = cairo_vm::cairo_run::cairo_run_program(&program, &config, &mut hints)
            .unwrap()
            .get_cairo_pie()
            .unwrap();
        let executable = Cairo0Executable { program, program_input: None };
        let [from_program, from_pie] = [Task::Cairo0Program(executable), Task::Pie(pie)]
            .map(|task| BootloaderRun::new(PreparedTask::new(task), None).unwrap());
        assert_eq!(from_program.program_hash, from_pie.program_hash);
        assert_eq!(from_program.output, from_pie.output);
        assert_eq!(from_program.output.len(), 5);
    }

    #[test]
    fn records_of_anything_but_one_task_are_refused() {
        let felts = |values: &[u64]| values.iter().copied().map(Felt::from).collect::<Vec<_>>();
        assert_eq!(
            split_record(&felts(&[1, 4, 77, 5, 6])).unwrap(),
            (Felt::from(77), felts(&[5, 6]))
        );
        for wrong in [&[1, 2][..], &[2, 4, 77, 5, 6], &[1, 5, 77, 5, 6]] {
            assert!(split_record(&felts(wrong)).is_err(), "{wrong:?}");
        }
    }
}
