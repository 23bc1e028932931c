//! The prover's own process: what runs in it, and how it is spoken to.
//!
//! Any binary becomes one by calling [`main_if_requested`] first in its `main`. The parent writes one
//! [`Request`] a line to its standard input and reads [`Event`]s, one a line behind [`EVENT_MARK`], from its
//! standard output; everything else there, and standard error, is only kept for the cause of a failure. Inputs
//! and proof are files. When standard input ends the parent is gone, and the child ends at once, in the middle of a
//! proof too.

mod blocks;
mod serve;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use sidereal_aggregation::Step;
use sidereal_block_prover::Stage;

pub use serve::{ProofMaker, Refusal, serve};

use crate::saver::Figures;

/// The hidden argument that makes a binary the prover's process.
pub const ARGUMENT: &str = "__prover-child";

/// Stands before every event, because libraries may write to standard output too.
pub const EVENT_MARK: &str = "sidereal-prover-event ";

/// Longest line, in bytes, that either side reads.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// What a proof is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A block's witness.
    Block,
    /// The proofs that a step takes.
    Step(Step),
}

/// One proof to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is to be made.
    pub work: Work,
    /// Files that hold what it takes, in order.
    pub inputs: Vec<PathBuf>,
    /// File to be written: the encoded proof.
    pub proof: PathBuf,
}

/// What the child says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage has begun.
    Stage {
        /// Which.
        stage: Stage,
    },
    /// The proof is in its file.
    Done {
        /// What it took.
        figures: Figures,
    },
    /// There is no proof.
    Failed {
        /// Why, with all causes.
        cause: String,
        /// What follows from it.
        verdict: Verdict,
    },
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Another try may succeed.
    Retry,
    /// No try can succeed with the same inputs.
    GiveUp,
    /// Nor this one; and the reason is that proving came to another result than the block.
    Disputed,
}

/// Runs the prover's process if that is what this one was started as. Must be called before anything else in
/// `main`: before arguments are parsed, threads started or signals watched.
pub fn main_if_requested() -> Option<ExitCode> {
    let first = std::env::args_os().nth(1)?;
    if first != ARGUMENT {
        return None;
    }
    prefer_us_when_memory_runs_out();
    Some(serve(steps::Provers::default))
}

/// The prover is the largest process and the one that can be started again; what started it is not.
fn prefer_us_when_memory_runs_out() {
    // A process may always raise its own score. Where there is no such file, the kernel decides as it likes.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "800") {
        eprintln!("oom_score_adj cannot be set: {error}");
    }
}
