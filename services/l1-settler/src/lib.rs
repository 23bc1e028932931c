//! Settles proven blocks on Ethereum, and tells what L1 holds and costs.
//!
//! ```text
//!   batches (proof store) ──next after block n──┐
//!                                               v
//!   L1: state held at the head ────────> step ──> prepare ──> simulate ──> write down ──> send
//!       account's next nonce ──────────────^                               (fenced)       one blob transaction
//!       prices, state held at depth ──> status ──gRPC──> sequencer and gateway
//! ```
//!
//! Every pass begins with what L1 says now; nothing is remembered but what was offered for which nonce.
//!
//! * **No gap, no double settlement.** A batch is always the one that begins at the block the contract holds at L1's
//!   head, and its transaction always has the account's next nonce there. Whatever was sent before for that nonce, by
//!   this process, by one that was killed, or by another leader, L1 takes one of them; and the contract refuses an
//!   update that does not begin at its own block.
//! * **Killed at any point.** A transaction is written down before it is sent. After a restart it is looked for in the
//!   pool and, if it is not there, sent again. If the table is lost, the pool's answer says that there is another
//!   transaction, and more is offered until it is replaced.
//! * **Fees.** A transaction that is in no block after `replace_after_blocks` is replaced for twice as much of
//!   everything, the least that pools of blob transactions take, up to the bounds of the configuration.
//! * **Reorganisations of L1.** What vanished is not in the contract any more, so it is the next batch again. Settled is
//!   what the contract holds `depth_blocks` below the head.
//! * **One leader.** A lease in the database, with a fencing token that every write of the table shows. It saves fees
//!   and noise; safety is the contract's and the nonce's. An account belongs to one settler's database.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod account;
mod batches;
mod beacon;
mod config;
mod deploy;
mod fees;
mod grpc;
mod http;
mod l1;
mod proof_store;
mod record;
mod service;
mod settler;
mod step;
mod store;
mod system;

pub use account::{Account, AccountError};
pub use batches::{Batches, BatchesError};
pub use beacon::{BLOB_BYTES, Beacon, BeaconError, BeaconFailure, BlockIds};
pub use config::{
    AccountConfig, DatabaseConfig, L1Config, L1SettlerConfig, PublicProofsConfig, SettlementConfig,
};
pub use deploy::{DeployError, Deployed, Deployer, Deployment, Verifier};
pub use fees::{FeeBounds, Prices, TooExpensive};
pub use l1::{
    BadUrl, Delays, HeldState, InForce, L1, L1Block, L1Error, L1Failure, L1Update, UpdatesError,
};
pub use proof_store::{BadProofsUrl, ProofStoreBatches};
pub use record::{DeploymentRecord, RecordError};
pub use service::{L1SettlerError, run, run_over};
pub use settler::{Reading, SettleError, Settlement, Settler};
pub use step::Sent;
pub use store::{Lease, SettlerStore, StoreError};
pub use system::{pinned_hashes, verifier_key};
