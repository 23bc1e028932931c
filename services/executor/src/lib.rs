//! Executes blocks as a replayable stream, and queries on a pool of their own.
//!
//! ```text
//!  sequencer ─ExecuteBlock (stream)─> block_stream ─> engine (thread of its own) ─┐
//!  gateway ───Call, Simulate, Trace─> queries (bounded pool) ────────────────────┤ state: chain store (read)
//!  sequencer ─Validate──────────────> queries                                    ┘ classes: object store
//! ```
//!
//! A query over the open blocks brings what they changed, so that any executor can answer it.
//!
//! Holds nothing that cannot be had again. A block stream that broke is sent to another executor: the same
//! environment, limits and transactions over the same parent give the same block.

mod block_stream;
mod classes;
mod config;
mod grpc;
mod pending;
mod queries;
mod service;
mod state;

pub use config::{ChainConfig, ChainStoreConfig, ExecutionConfig, ExecutorConfig, QueriesConfig};
pub use service::{ExecutorError, run};
