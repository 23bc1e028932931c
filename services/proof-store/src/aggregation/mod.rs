//! Aggregations: batches of proven blocks, a job for each step that can be made, and the proofs that come back.
//!
//! ```text
//!   proofs of blocks ──policy──> batch ──┬─> step whose inputs are stored, and which is not ──job──> bus
//!                                        ^                                                            │
//!                                        └── PutStep: verified, and says what its inputs imply <──────┘
//! ```
//!
//! A step that failed for good is parked with its cause and holds back only what needs it; put back into the queue, it
//! alone is repeated.

mod grpc;
mod intake;
mod planner;

pub use grpc::AggregationGrpc;
pub use intake::StepIntake;
pub(crate) use planner::FIRST_BLOCK;
pub use planner::{AggregationPlanner, Policy};
