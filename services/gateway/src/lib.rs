//! The gateway: JSON-RPC 0.10 and gRPC for wallets and tools.
//!
//! It owns nothing and keeps nothing: any number of replicas can stand side by side.
//!
//! ```text
//!   HTTP, WebSocket ─> http ─> dispatch ─> methods ─┬─> chain store      blocks, receipts, state, tries
//!   gRPC ────────────────────> grpc ────────────────┤   object store     classes
//!                                                   ├─> sequencer (gRPC) submission, mempool, open block
//!                                                   └─> executor (gRPC)  calls, estimates, traces
//! ```
//!
//! Declared classes are compiled here and passed on with their transaction; the sequencer stores them when it takes it, so
//! that whoever meets the transaction finds its class. A transaction's hash is returned only after the sequencer has said
//! that it holds the transaction durably.
//!
//! Where the specification leaves room, or this chain cannot do what it describes:
//!
//! * Felts are read with leading zeros too (wallets pad addresses); they are written without.
//! * At `pre_confirmed`, calls, estimates, state reads and events see everything that is executed, also in a block
//!   that is being filled while the one before it is committed, and so do receipts; the block itself is the first
//!   that is not committed. Nonces count the mempool in.
//! * A transaction that was rejected is "transaction hash not found", with the reason as data: 0.10 has no
//!   status for it.
//! * Messages from L1 are not executed yet: `starknet_estimateMessageFee` answers a contract error that says so.
//! * `RETURN_INITIAL_READS` is refused; `INCLUDE_LAST_UPDATE_BLOCK` looks back a bounded number of blocks.
//! * Subscriptions over WebSocket answer "method not found"; all other methods work there.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod classes;
mod config;
mod dispatch;
mod error;
mod gateway;
mod grpc;
mod http;
mod limits;
mod methods;
mod open_state;
mod params;
mod pre_confirmed;
pub mod rpc;
mod service;
mod submit;
mod validation;

pub use config::{ChainConfig, ChainStoreConfig, GatewayConfig, RpcConfig};
pub use error::{ExecutionFailure, RpcError, UntracedStatus};
pub use http::PATHS;
pub use limits::Limits;
pub use service::{GatewayError, Running, run, start};
