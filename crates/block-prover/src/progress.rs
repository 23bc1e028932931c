//! The stages of a proof, for whoever shows them.

use serde::{Deserialize, Serialize};

/// What the prover is doing. The order of the variants is the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The block is re-executed from its witness.
    Replay,
    /// StarknetOS runs over the block.
    OsRun,
    /// The bootloader runs over the StarknetOS run.
    Bootloader,
    /// The trace is turned into the prover's tables.
    Adapt,
    /// Preprocessed tree and twiddles are computed (once per process).
    Precompute,
    /// Trace, interaction trace, commitments and FRI.
    Prove,
    /// The finished proof is checked by the verifier.
    Verify,
}

impl Stage {
    /// The name that is shown and sent; the same as the serialised form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::OsRun => "os_run",
            Self::Bootloader => "bootloader",
            Self::Adapt => "adapt",
            Self::Precompute => "precompute",
            Self::Prove => "prove",
            Self::Verify => "verify",
        }
    }
}

/// Told whenever a stage begins. Called from the proving thread, so it must not block for long.
pub trait ProgressSink {
    /// The named stage has begun; the one before it has ended.
    fn enter(&self, stage: Stage);
}

/// Nobody watches.
pub struct IgnoreProgress;

impl ProgressSink for IgnoreProgress {
    fn enter(&self, _stage: Stage) {}
}

impl<F: Fn(Stage)> ProgressSink for F {
    fn enter(&self, stage: Stage) {
        self(stage);
    }
}
