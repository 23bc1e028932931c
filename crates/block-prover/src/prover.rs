//! The prover: bootloader run, adaptation, S-two.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use cairo_program_runner_lib::types::Task;
use cairo_vm::hint_processor::hint_processor_definition::HintProcessor;
use cairo_vm::vm::errors::runner_errors::RunnerError;
use cairo_vm::vm::runners::cairo_runner::CairoRunner;
use serde::{Deserialize, Serialize};
use starknet_types_core::felt::Felt;
use stwo::core::utils::MaybeOwned;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo::prover::ProvingError;
use stwo_cairo_adapter::ProverInput;
use stwo_cairo_prover::prover::{ChannelHash, ProverParameters, prove_cairo_with_precompute};

use crate::bootloader::{BootloaderError, BootloaderRun, PreparedTask};
use crate::components::ComponentRows;
use crate::precompute::{PREPROCESSED, Precompute, pinned_root};
use crate::progress::{ProgressSink, Stage};
use crate::proof::BlockProof;
use crate::settings::{MAX_LOG_ROWS, ProverSettings, SecurityParameters};
use crate::verifier::{VerifyError, verify};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The bootloader did not run.
    #[error("run the task under the bootloader")]
    Bootloader(#[source] BootloaderError),
    /// The run does not say how large it is.
    #[error("count the steps of the run")]
    Resources(#[source] RunnerError),
    /// The trace could not be turned into the prover's input.
    #[error("adapt the trace: {0}")]
    Adapt(String),
    /// The task is larger than one proof can hold.
    #[error("the task needs {rows} rows of {component}, and a proof holds {}", 1_u64 << MAX_LOG_ROWS)]
    TooLarge {
        /// Component that has too many rows.
        component: String,
        /// Rows that the task needs.
        rows: u64,
    },
    /// This build computes another preprocessed commitment than verifiers know.
    #[error("the preprocessed commitment that was computed is not the pinned one")]
    PreprocessedRoot,
    /// S-two refused the trace.
    #[error("prove the trace")]
    Stark(#[source] ProvingError),
    /// S-two panicked, which it does on traces that it cannot prove.
    #[error("the prover panicked while it worked on {stage}: {message}", stage = .stage.name())]
    Panicked {
        /// What it was doing.
        stage: Stage,
        /// What it said.
        message: String,
    },
    /// The finished proof does not verify.
    #[error("verify the finished proof")]
    Verify(#[source] VerifyError),
}

/// How large a proven run was. For people and for limits; nothing here is proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatistics {
    /// Cairo steps of the bootloader with its task.
    pub steps: u64,
    /// Uses of each builtin, by Cairo's name of it.
    pub builtins: Vec<(String, u64)>,
}

/// A proof and the size of what it proves.
pub struct Proven {
    /// The proof; it has been verified if the settings say so.
    pub proof: BlockProof,
    /// Size of the run.
    pub statistics: RunStatistics,
}

/// Makes proofs, one after another, and keeps what they have in common.
pub struct Prover {
    settings: ProverSettings,
    precompute: OnceLock<Precompute>,
}

impl Prover {
    /// A prover; the expensive tables are computed when the first proof needs them.
    pub fn new(settings: ProverSettings) -> Self {
        Self { settings, precompute: OnceLock::new() }
    }

    /// The settings given to [`Self::new`].
    pub fn settings(&self) -> &ProverSettings {
        &self.settings
    }

    /// The tables, computed on the first call.
    pub fn precompute(&self, progress: &dyn ProgressSink) -> Result<&Precompute, ProveError> {
        if let Some(ready) = self.precompute.get() {
            return Ok(ready);
        }
        progress.enter(Stage::Precompute);
        let tables = guarded(Stage::Precompute, || Precompute::new(&self.settings))?;
        if self.settings.security == SecurityParameters::STANDARD && tables.root() != pinned_root()
        {
            return Err(ProveError::PreprocessedRoot);
        }
        Ok(self.precompute.get_or_init(|| tables))
    }

    /// Runs one task under the bootloader and proves that run.
    ///
    /// `hints` executes the hints of a program task that Cairo VM does not know; a PIE needs none.
    pub fn prove_task(
        &self,
        task: Task,
        hints: Option<&mut dyn HintProcessor>,
        progress: &dyn ProgressSink,
    ) -> Result<Proven, ProveError> {
        let run = AdaptedRun::new(task, hints, progress)?;
        self.prove_run(run, progress)
    }

    /// Proves a run that is in S-two's form already.
    pub fn prove_run(
        &self,
        run: AdaptedRun,
        progress: &dyn ProgressSink,
    ) -> Result<Proven, ProveError> {
        let AdaptedRun { program_hash, output, statistics, input, .. } = run;
        let tables = self.precompute(progress)?;
        progress.enter(Stage::Prove);
        let parameters = self.parameters();
        let cairo = guarded(Stage::Prove, || {
            prove_cairo_with_precompute::<Blake2sM31MerkleChannel>(
                &tables.columns,
                &tables.twiddles,
                tables.trace.clone(),
                MaybeOwned::Borrowed(&tables.tree),
                input,
                parameters,
            )
        })?
        .map_err(ProveError::Stark)?;
        let proof = BlockProof { program_hash, output, cairo: cairo.into() };
        if self.settings.verify {
            progress.enter(Stage::Verify);
            verify(&proof).map_err(ProveError::Verify)?;
        }
        Ok(Proven { proof, statistics })
    }

    /// S-two's parameters for these settings.
    pub fn parameters(&self) -> ProverParameters {
        ProverParameters {
            channel_hash: ChannelHash::Blake2sM31,
            channel_salt: 0,
            pcs_config: self.settings.security.pcs_config(),
            preprocessed_trace: PREPROCESSED,
            store_polynomials_coefficients: self.settings.store_coefficients,
            // The circuits that wrap a proof sample every preprocessed column.
            include_all_preprocessed_columns: true,
        }
    }
}

/// A bootloader run in S-two's form, not yet proven.
#[derive(Clone)]
pub struct AdaptedRun {
    /// Blake2s hash of the task's program.
    pub program_hash: Felt,
    /// What the task wrote.
    pub output: Vec<Felt>,
    /// Size of the run.
    pub statistics: RunStatistics,
    /// Size of the proof.
    pub components: ComponentRows,
    /// The trace.
    pub input: ProverInput,
}

impl AdaptedRun {
    /// Runs one task under the bootloader, and refuses what cannot fit into a proof. See [`Prover::prove_task`].
    pub fn new(
        task: Task,
        hints: Option<&mut dyn HintProcessor>,
        progress: &dyn ProgressSink,
    ) -> Result<Self, ProveError> {
        progress.enter(Stage::Bootloader);
        let run =
            BootloaderRun::new(PreparedTask::new(task), hints).map_err(ProveError::Bootloader)?;
        let statistics = statistics(&run.runner)?;
        progress.enter(Stage::Adapt);
        let input = guarded(Stage::Adapt, || stwo_cairo_adapter::adapter::adapt(&run.runner))?
            .map_err(|error| ProveError::Adapt(format!("{error:#}")))?;
        let components = ComponentRows::of_run(&input);
        if let Some((component, rows)) = components.too_large() {
            return Err(ProveError::TooLarge { component: component.to_owned(), rows });
        }
        Ok(Self {
            program_hash: run.program_hash,
            output: run.output,
            statistics,
            components,
            input,
        })
    }
}

fn statistics(runner: &CairoRunner) -> Result<RunStatistics, ProveError> {
    let resources = runner.get_execution_resources().map_err(ProveError::Resources)?;
    let builtins = resources
        .builtin_instance_counter
        .into_iter()
        .map(|(builtin, uses)| (builtin.to_str().to_owned(), uses as u64))
        .collect();
    Ok(RunStatistics { steps: resources.n_steps as u64, builtins })
}

/// S-two reports what it cannot prove by panicking; one bad block must not end a process that holds the tables.
fn guarded<T>(stage: Stage, work: impl FnOnce() -> T) -> Result<T, ProveError> {
    // Sound to go on after a panic: the tables are read only, and the column pool only loses buffers.
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|payload| ProveError::Panicked { stage, message: panic_message(&*payload) })
}

/// The text of a panic, if it had one.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
