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
//! Declared classes are compiled here and stored before their transaction is passed on, so that whoever meets
//! the transaction finds its class. A transaction's hash is returned only after the sequencer has said that
//! it holds the transaction durably.

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
