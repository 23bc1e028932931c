//! Every service in one process, and the operator's commands.
//!
//! * [`dev`]: the whole chain in one process, on the embedded bus, SQLite and the file system.
//! * [`load`]: sends transactions at a rate and says what became of them.
//! * [`verify`]: walks the claims from a transaction to the proof of its block.
//! * [`rebuild`]: the rollup's state from Ethereum alone.
//! * [`deploy_l1`]: puts the contracts of a rollup on L1.
//! * [`jobs`]: the proving jobs, for the operator.
//! * [`print`](mod@print): what the commands say.

use std::pin::Pin;

/// An operator's command under way; boxed like a [`sidereal_service::ServiceFuture`], for the same reason.
pub type CommandFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

pub mod account;
pub mod artifacts;
pub mod deploy_l1;
pub mod dev;
pub mod jobs;
pub mod l1;
pub mod load;
pub mod print;
pub mod progress;
pub mod rebuild;
pub mod rpc;
pub mod verify;
