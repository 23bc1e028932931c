//! StarknetOS 0.13.5 in Cairo VM: the program, its input, its hints, its output.
//!
//! StarknetOS is a Cairo 0 program that re-executes one block and proves, when its run is proven, that the
//! state roots in its output belong together. Everything that it cannot compute cheaply is *guessed* by hints
//! and then checked by the program; this crate supplies the guesses:
//!
//! ```text
//!   OsInput ──> OsHintProcessor ──> Cairo VM (program()) ──> OsRun { output, Cairo PIE }
//!   (block, call trees,   │                                     └─> OsOutput::decode, check
//!    tries' facts)        └── each hint by the digest of its text; the rest from cairo-vm
//! ```
//!
//! A wrong guess cannot make a wrong output: the run fails. The errors therefore say which hint, which
//! function of the OS, and which transaction it was ([`OsError`]).
//!
//! Outside the set for now, with an error that names the hint: contracts of Cairo 0, L1 handlers, and
//! transactions before version 3.

mod cairo_structs;
mod error;
mod hints;
mod input;
mod output;
mod processor;
mod program;
mod run;
mod state;
mod syscalls;
mod witness;

pub use error::OsError;
pub use hints::{
    Coverage, HintCoverage, KzgHint, hint_coverage, hint_coverage_table, uncovered_hint_table,
};
pub use input::{OsBlock, OsChain, OsInput};
pub use output::{
    AliasError, BLOB_LENGTH, BlobCommitments, BlobError, CheckError, ClassUpdate, Committed,
    CompressionError, ContractUpdate, KzgCommitment, MessageToL1, OsOutput, OutputError,
    OutputForm, StateUpdate, ValueUpdate, blob, blob_data, os_config_hash,
};
pub use processor::OsHintProcessor;
pub use program::{OsProgram, PROGRAM_HASH, program};
pub use run::{OsRun, run_os};
