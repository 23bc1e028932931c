//! Proofs of blocks, and of other tasks of the bootloader.

use std::sync::Mutex;
use std::time::Instant;

use sidereal_block_prover::{
    ProgressSink, ProveError, Proven, Prover, ProverSettings, Stage, Task,
};
use sidereal_execution::witness::{BlockWitness, WitnessLimits};

use super::serve::Refusal;
use crate::saver::Figures;

/// Re-executes a witness, runs StarknetOS over it and proves that run.
pub(super) struct BlockProver {
    prover: Prover,
    limits: WitnessLimits,
}

impl Default for BlockProver {
    /// A prover with the standard settings; its tables are made for the first proof.
    fn default() -> Self {
        Self { prover: Prover::new(ProverSettings::default()), limits: WitnessLimits::default() }
    }
}

impl BlockProver {
    /// The encoded proof of a block, and its Cairo steps.
    pub(super) fn prove(
        &self,
        witness: &[u8],
        progress: &dyn ProgressSink,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        let witness = BlockWitness::decode(witness, self.limits)
            .map_err(|error| Refusal::permanent(&error))?;
        let proven = self.prover.prove(&witness, progress).map_err(|error| {
            if error.is_dispute() {
                Refusal::disputed(&error)
            } else if error.is_permanent() {
                Refusal::permanent(&error)
            } else {
                Refusal::retryable(&error)
            }
        })?;
        encoded(proven)
    }

    /// The encoded proof of a task that ran already, and its Cairo steps.
    pub(super) fn prove_task(
        &self,
        task: Task,
        progress: &dyn ProgressSink,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        let proven = self.prover.prove_task(task, None, progress).map_err(|error| match error {
            ProveError::TooLarge { .. } => Refusal::permanent(&error),
            _ => Refusal::retryable(&error),
        })?;
        encoded(proven)
    }
}

fn encoded(proven: Proven) -> Result<(Vec<u8>, u64), Refusal> {
    let proof = proven.proof.encode().map_err(|error| Refusal::permanent(&error))?;
    Ok((proof, proven.statistics.steps))
}

/// What a proof took that began then.
pub(super) fn figures(begun: Instant, watch: &StageWatch<'_>, cairo_steps: u64) -> Figures {
    Figures {
        cairo_steps,
        total_ms: millis(begun),
        prove_ms: watch.prove_ms(),
        peak_memory_bytes: peak_memory_bytes(),
    }
}

/// Measures the prover's own part on the way.
pub(super) struct StageWatch<'a> {
    progress: &'a dyn ProgressSink,
    /// When [`Stage::Prove`] began, and how long it took once the next stage has begun.
    prove: Mutex<(Option<Instant>, Option<u64>)>,
}

impl<'a> StageWatch<'a> {
    pub(super) fn new(progress: &'a dyn ProgressSink) -> Self {
        Self { progress, prove: Mutex::default() }
    }

    fn prove_ms(&self) -> u64 {
        let prove = self.prove.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        prove.1.or_else(|| prove.0.map(millis)).unwrap_or_default()
    }
}

impl ProgressSink for StageWatch<'_> {
    fn enter(&self, stage: Stage) {
        {
            let mut prove = self.prove.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match (stage, prove.0) {
                (Stage::Prove, _) => prove.0 = Some(Instant::now()),
                (_, Some(begun)) if prove.1.is_none() => prove.1 = Some(millis(begun)),
                _ => {}
            }
        }
        self.progress.enter(stage);
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The high-water mark of this process's memory; 0 where the kernel does not tell.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().strip_suffix(" kB"))
        .and_then(|kibibytes| kibibytes.trim().parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes.saturating_mul(1024))
}
