//! Proofs of blocks: what the prover's process does in earnest.

use std::sync::Mutex;
use std::time::Instant;

use sidereal_block_prover::{ProgressSink, Prover, ProverSettings, Stage};
use sidereal_execution::witness::{BlockWitness, WitnessLimits};

use super::serve::{Refusal, WitnessProver};
use crate::saver::Figures;

/// Re-executes a witness, runs StarknetOS over it and proves that run.
pub struct BlockWitnessProver {
    prover: Prover,
    limits: WitnessLimits,
}

impl BlockWitnessProver {
    /// A prover with the standard settings; its tables are made for the first block.
    pub fn new() -> Self {
        Self { prover: Prover::new(ProverSettings::default()), limits: WitnessLimits::default() }
    }
}

impl Default for BlockWitnessProver {
    fn default() -> Self {
        Self::new()
    }
}

impl WitnessProver for BlockWitnessProver {
    fn prove(
        &self,
        witness: &[u8],
        progress: &dyn ProgressSink,
    ) -> Result<(Vec<u8>, Figures), Refusal> {
        let begun = Instant::now();
        let witness = BlockWitness::decode(witness, self.limits)
            .map_err(|error| Refusal::permanent(&error))?;
        let watch = StageWatch { progress, prove: Mutex::default() };
        let proven = self.prover.prove(&witness, &watch).map_err(|error| {
            if error.is_permanent() {
                Refusal::permanent(&error)
            } else {
                Refusal::retryable(&error)
            }
        })?;
        let proof = proven.proof.encode().map_err(|error| Refusal::permanent(&error))?;
        let figures = Figures {
            cairo_steps: proven.statistics.steps,
            total_ms: millis(begun),
            prove_ms: watch.prove_ms(),
            peak_memory_bytes: peak_memory_bytes(),
        };
        Ok((proof, figures))
    }
}

/// Measures the prover's own part on the way.
struct StageWatch<'a> {
    progress: &'a dyn ProgressSink,
    /// When [`Stage::Prove`] began, and how long it took once the next stage has begun.
    prove: Mutex<(Option<Instant>, Option<u64>)>,
}

impl StageWatch<'_> {
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
