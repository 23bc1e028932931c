//! The sequencer: durable mempool, block production, the only writer of the chain store.
//!
//! ```text
//!  SubmitTransaction ─> admission ─> mempool (store + memory) ─> production ─> executor (stream, replayable)
//!                                                                   │ closed
//!                       bus <─ outbox relay <─ chain store <─ commit┴─> object store (witness)
//!                                                   ^ accepted on L1
//!                            settler ──────> L1 tracker ──> prices of the next block
//! ```
//!
//! * [`mempool`] orders, bounds and replaces transactions; it does no I/O.
//! * [`admission`] checks a transaction and makes it durable before its hash is returned.
//! * [`production`] opens a block, drives it through an executor, computes tries, header and witness, and commits all
//!   of it at once.
//! * [`outbox`] publishes `block.closed` after the commit.
//! * [`l1_tracker`] marks what L1 accepted, and brings L1's prices to [`gas_prices`].
//!
//! A process that dies at any point loses nothing acknowledged: what is in the store's mempool is executed after the
//! restart, and what is in a committed block left the mempool with that commit. A state root is never written unless the
//! tries computed it; when the parts disagree, [`run`] ends with an error and nothing more is written. So it does when
//! proving comes to another result than a block.

pub mod admission;
mod classes;
mod clock;
pub mod config;
mod disputes;
pub mod gas_prices;
pub mod genesis;
pub mod grpc;
pub mod l1_tracker;
pub mod mempool;
pub mod next_block;
mod nonce;
pub mod outbox;
pub mod production;
mod recovery;
mod service;
pub mod shared;

pub use config::SequencerConfig;
pub use service::{SequencerError, run};
