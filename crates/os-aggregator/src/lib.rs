//! Joins the outputs of StarknetOS over consecutive blocks into the one that goes to L1.
//!
//! Every block is proven by itself, with its state diff, compressed, in the output. Circuits verify these proofs and
//! merge them along a tree, at whose root a single hash stands for all of the outputs. The *aggregator*, a Cairo 0
//! program of ours (`cairo/aggregator.cairo`), is proven as one more task of the same bootloader: it gets the outputs
//! themselves, checks that the blocks continue each other, recomputes the hash at the root, and writes what StarknetOS
//! would have written for all of the blocks at once with its data in blobs.
//!
//! ```text
//!   outputs of StarknetOS ─┐
//!   shape of the tree ─────┼─> run_aggregator ──> AggregatedOutput { roots, numbers, hashes, KZG commitments,
//!   roots of two circuits ─┘        │                                messages, circuits' roots, tree hash }
//!                                   └─> Cairo PIE ──bootloader, S-two──> proof
//! ```
//!
//! * [`run_aggregator`] runs it; [`aggregate`] computes the same in Rust, with typed errors.
//! * [`claims`] has the chain of hashes from an output to what the last proof says: for the settler and for tests.
//! * [`joined_data`], [`blobs`], [`decode_data`] are the way of the state diffs to L1 and back.
//! * [`AggregatorLoad`] says what fits into one proof.

pub mod claims;
mod data;
mod hints;
mod input;
mod join;
mod load;
mod output;
mod program;
mod run;

pub use data::{DataError, blobs, data_of_blobs, decode_data, joined_data};
pub use hints::AggregatorHintProcessor;
pub use input::{AggregatorInput, MAX_BLOBS, MAX_BLOCKS, Tree};
pub use join::{JoinError, aggregate};
pub use load::AggregatorLoad;
pub use output::{AggregatedOutput, AggregatedOutputError};
pub use program::{AGGREGATOR_BLAKE_HASH, program};
pub use run::{AggregatorError, AggregatorRun, ProgramRun, run_aggregator, run_program};
