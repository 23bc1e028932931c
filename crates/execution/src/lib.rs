//! Execution of Starknet blocks: blockifier behind this project's own types.
//!
//! ```text
//!   BlockEnvironment ─┐
//!   ParentState ──────┼─> engine::BlockExecutor ── TransactionOutcome per transaction
//!   ClassStore ───────┘            │ close
//!                                  v
//!                            BlockExecution ── header::block_header ──> BlockHeader
//!                                  │  + patricia's commitment facts
//!                                  v
//!                        witness::BlockWitness ── replay::replay ──> ReplayedBlock (for StarknetOS)
//! ```
//!
//! Nothing here opens a port or knows a database: the state comes through blockifier's `StateReader`, the
//! classes through [`classes::ClassSource`]. All blocks follow the rules of protocol version 0.13.5.

pub mod block;
pub mod classes;
mod deep_stack;
pub mod engine;
pub mod genesis;
pub mod header;
pub mod limits;
pub mod outcome;
mod proof_load;
pub mod query;
pub mod replay;
pub mod state;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod transaction;
pub mod witness;

pub use blockifier::state::errors::StateError;
pub use blockifier::state::state_api::{StateReader, StateResult};
pub use deep_stack::{DeepThreads, spawn_deep};
