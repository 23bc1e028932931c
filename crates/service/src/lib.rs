//! What every main shares.
//!
//! ```text
//!  main = launch(name, run)
//!           │ config    defaults < file < environment < command line; everything wrong at once, exit code 64
//!           │ telemetry tracing, OpenTelemetry, Prometheus
//!           │ shutdown  SIGINT, SIGTERM; counted by guards, with a deadline; a second signal aborts
//!           └ run(config, shutdown) -> Result<(), Error>
//!                 ├ readiness latch ── admin listener: /live /ready /metrics
//!                 ├ grpc::Server ── bearer token, trace context, tonic-health
//!                 └ reconcilers ── woken by events, by a timer at the latest
//! ```
//!
//! A service is a library with `pub fn run(config: XConfig, shutdown: Shutdown) -> ServiceFuture<XError>`, so that
//! tests and `sidereal dev` start the same code as its main, which is one line:
//!
//! ```ignore
//! fn main() -> std::process::ExitCode {
//!     sidereal_service::launch("proof-store", sidereal_proof_store::run)
//! }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admin;
pub mod auth;
pub mod config;
mod failure;
pub mod grpc;
mod launch;
mod readiness;
pub mod reconciler;
pub mod retry;
mod secret;
mod shutdown;
pub mod telemetry;

/// Services allocate many small values on one thread and free them on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub use failure::{Classified, ErrorClass, error_chain, to_status};
pub use launch::{EXIT_CONFIG, EXIT_SOFTWARE, ServiceFuture, launch, launch_with};
pub use readiness::{Latch, Readiness};
pub use reconciler::{Pass, Reconciler, Waker};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use shutdown::{Guard, NotDrained, Shutdown};
