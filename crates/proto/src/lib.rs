//! Generated gRPC code, and typed conversions between the wire and the domain.
//!
//! The generated types stop at a service's edge: logic takes Starknet's own types, which [`transaction`],
//! [`felt`] and [`payload`] make from the wire, with an error that names the field.
//!
//! ```text
//! bytes on the wire -> generated struct -> conversion (typed error: which field, what was wrong) -> domain
//! ```

pub mod error;
pub mod felt;
pub mod payload;
pub mod transaction;

pub use error::ConversionError;

// What the generator writes is not held to our lints.
#[allow(clippy::all, clippy::pedantic, clippy::large_futures)]
mod generated {
    pub mod sidereal {
        pub mod types {
            pub mod v1 {
                tonic::include_proto!("sidereal.types.v1");
            }
        }
        pub mod gateway {
            pub mod v1 {
                tonic::include_proto!("sidereal.gateway.v1");
            }
        }
        pub mod sequencer {
            pub mod v1 {
                tonic::include_proto!("sidereal.sequencer.v1");
            }
        }
        pub mod executor {
            pub mod v1 {
                tonic::include_proto!("sidereal.executor.v1");
            }
        }
        pub mod proofs {
            pub mod v1 {
                tonic::include_proto!("sidereal.proofs.v1");
            }
        }
        pub mod aggregation {
            pub mod v1 {
                tonic::include_proto!("sidereal.aggregation.v1");
            }
        }
        pub mod events {
            pub mod v1 {
                tonic::include_proto!("sidereal.events.v1");
            }
        }
        pub mod settlement {
            pub mod v1 {
                tonic::include_proto!("sidereal.settlement.v1");
            }
        }
    }
}

pub use generated::sidereal::{
    aggregation::v1 as aggregation, events::v1 as events, executor::v1 as executor,
    gateway::v1 as gateway, proofs::v1 as proofs, sequencer::v1 as sequencer,
    settlement::v1 as settlement, types::v1 as types,
};

/// Largest gRPC message that a service of ours sends or takes, in bytes.
///
/// A closed block's execution is the largest; tonic's own default of 4 MiB is too small for it.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Largest piece of a proof in one message of a proof stream, in bytes.
pub const PROOF_CHUNK_BYTES: usize = 1024 * 1024;

/// Subject of [`events::BlockClosed`] on the bus.
pub const BLOCK_CLOSED_SUBJECT: &str = "block.closed";

/// Subject of [`events::ProofStored`] on the bus.
pub const PROOF_STORED_SUBJECT: &str = "proof.stored";

/// Subject of `sidereal.events.v1.BlockDisputed`.
pub const BLOCK_DISPUTED_SUBJECT: &str = "block.disputed";

/// Work queue of [`events::ProofJob`] on the bus, of those that are about blocks.
pub const PROVING_QUEUE: &str = "prove";

/// Work queue of [`events::ProofJob`] on the bus, of those that are steps of aggregations. Workers look here first: what
/// was begun is settled before more blocks are proven, however many of them wait.
pub const AGGREGATION_QUEUE: &str = "aggregate";
