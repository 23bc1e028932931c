//! From a StarknetOS run to a Cairo proof, and back: S-two's prover and verifier around one bootloader.
//!
//! ```text
//! BlockWitness ──replay──> StarknetOS run (Cairo PIE) ──bootloader──> trace ──S-two──> BlockProof
//!                                                                                        │
//!                VerifiedRun { program_hash, output } <──verify (no prover needed)───────┘
//! ```
//!
//! What is proven is the run of the *privacy simple bootloader* (published by StarkWare in
//! `cairo-program-runner-lib`) with exactly one task. That bootloader writes one felt: the Blake2s hash of
//! `[1, 2 + |output|, program hash, output...]`. The task's output itself travels beside the proof in
//! [`BlockProof`], and [`verify`] recomputes the hash, so that neither the output nor the program hash needs to
//! be trusted. All proofs share one program, one set of security parameters and one preprocessed commitment,
//! which is what lets circuits of a fixed shape wrap them later.
//!
//! * [`Prover`] holds what does not depend on the block (preprocessed tree, twiddles) and is reused; its
//!   [`Prover::prove`] goes all the way from a witness.
//! * [`verify_block`] says that a proof is of StarknetOS over a block that the chain has; [`verify`] knows no blocks.
//! * [`BlockProof`] is the proof with its claim; [`BlockProof::decode`] is safe on untrusted bytes.
//! * [`verify`] lists, in its documentation, every check that it makes.
//! * [`ProgressSink`] receives the [`Stage`]s of a proof while it is made.

mod audit;
mod block;
mod bootloader;
mod components;
mod precompute;
mod progress;
mod proof;
mod prover;
mod settings;
mod verifier;

pub use audit::AuditError;
pub use block::{
    BlockError, BlockVerifyError, STARKNET_OS_BLAKE_HASH, VerifiedBlock, run_block, verify_block,
    verify_starknet_os,
};
pub use bootloader::{
    BootloaderError, BootloaderRun, PreparedTask, bootloader_output, bootloader_program_hash,
    task_program_hash,
};
pub use cairo_program_runner_lib::types::Task;
pub use components::ComponentRows;
pub use precompute::{PINNED_PREPROCESSED_ROOT, Precompute};
pub use progress::{IgnoreProgress, ProgressSink, Stage};
pub use proof::{
    BlockProof, CairoProof, DecodeError, EncodeError, FORMAT_VERSION, MAX_DECODED_BYTES,
    MAX_ENCODED_BYTES,
};
pub use prover::{AdaptedRun, ProveError, Proven, Prover, RunStatistics};
pub use settings::{MIN_SECURITY_BITS, ProverSettings, SecurityParameters};
/// What a block's proof is compared with.
pub use sidereal_starknet_os::{Committed, MessageToL1, OsChain, OutputForm};
pub use verifier::{VerifiedRun, VerifyError, verify};
