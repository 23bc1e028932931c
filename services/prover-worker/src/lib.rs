//! Makes the proofs of blocks and the steps of aggregations: one job at a time, the prover in a process of its own.
//!
//! ```text
//!  bus: prove ──pick──> inputs (object store) ──> child process ──> proof file ──save──> proof store ──> ack
//!        ▲                                           │ stages, one JSON line each
//!        └── heartbeat (own thread, own runtime) <───┘ ──> proof store: ReportProgress
//! ```
//!
//! * **Picker, executor, saver** are three traits ([`Picker`], [`Executor`], [`Saver`]); [`Runner`] joins them
//!   and decides what a failure means for the job.
//! * The **child** ([`child`]) is this program again, started with a hidden argument. It keeps its tables between
//!   jobs of one kind. When it is killed (by the kernel, for want of memory) or crashes, that is one failed attempt with its
//!   cause: the signal or exit code, the stage it was in, and the last lines it wrote.
//! * **Heartbeats** come from a thread with a runtime of its own, on which the bus connection lives too, so that
//!   nothing in this process can starve them. When the lease is lost the child is killed: someone else has the
//!   job.
//! * **Shutdown**: no new job is taken; the one in hand may finish within `worker.drain_ms`, after which the child
//!   is killed and the job is handed back uncounted.
//!
//! The worker owns nothing. Killed at any point, it loses one lease, and the job is delivered again.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod child;
mod config;
mod disputes;
mod executor;
mod heartbeat;
mod job;
mod picker;
mod runner;
mod saver;
mod service;

pub use config::{ProverWorkerConfig, WorkerConfig};
pub use disputes::{BusDisputes, DisputeError, Disputes};
pub use executor::{ChildExecutor, ChildProgram, ExecuteError, Executed, Executor};
pub use heartbeat::{Heartbeat, Lifeline, Report, Reporter};
pub use job::{BadJob, ProveJob, Target};
pub use picker::{Assignment, BusPicker, PickError, Picker};
pub use runner::{Outcome, Runner};
pub use saver::{Figures, GrpcSaver, SaveError, Saver};
pub use service::{ProverWorkerError, run};
