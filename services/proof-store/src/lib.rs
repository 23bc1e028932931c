//! Verifies, keeps and serves proofs; plans a job for every block without one.
//!
//! ```text
//!  chain store ──every closed block──> planner ──job a block without proof──> bus ──> prover workers
//!                                        ^ woken by block.closed, by a timer at the latest      │
//!  gRPC, HTTP <── index + object store <── verified on entry <──────── PutProof ────────────────┘
//! ```
//!
//! Proven blocks are then aggregated in batches, a job a step: see `aggregation`.
//!
//! A proof is acknowledged when it was verified against the chain's own block and is durable: first the bytes
//! in the object store, then the row in the index. A proof that was put twice is stored once.

mod aggregation;
mod config;
mod grpc;
mod http;
mod index;
mod intake;
mod listener;
mod planner;
mod progress;
mod service;
mod verifications;
mod watch;

pub use config::{AggregationConfig, DatabaseConfig, HttpConfig, PlannerConfig, ProofStoreConfig};
pub use index::{
    AggregatedBlock, BatchProgress, IndexError, ProofIndex, StoredBatch, StoredProof, StoredStep,
};
pub use intake::{Intake, IntakeError};
pub use service::{ProofStoreError, run};
