//! Blocks, receipts, state history, trie nodes and the outbox, on PostgreSQL or SQLite.
//!
//! One writer, the sequencer, and any number of readers. A block is written by [`ChainStore::commit_block`] in
//! one database transaction: header, transactions, receipts, events, state diff, trie nodes, outbox rows, and
//! the removal of its transactions from the mempool. Either all of it is there or nothing is.
//!
//! ```text
//!   insert_waiting ──> mempool ──commit_block──> blocks, transactions, events, state history, trie nodes
//!                         │                        └──> outbox ──pending_outbox──> bus ──mark_delivered
//!                         └──remove_waiting──> removals
//! ```
//!
//! Felts are stored as 32 bytes, big-endian; transactions, receipts and headers as JSON of the types here.

mod backend;
mod block;
mod commit;
mod dispute;
mod encoding;
mod error;
mod event;
mod mempool;
mod nodes;
mod outbox;
mod state;
mod store;
#[doc(hidden)]
pub mod test_support;
mod transaction;

pub use block::{BlockFinality, BlockSelector, Head, StoredBlock};
pub use commit::BlockCommit;
pub use dispute::Dispute;
pub use error::ChainStoreError;
pub use event::{EmittedEvent, EventFilter, EventsPage};
pub use mempool::{MempoolEntry, MempoolInsertion, Removal, TransactionStatus};
pub use outbox::{OutboxMessage, OutboxRow};
pub use state::DeclaredClass;
pub use store::{ChainStore, ChainStoreLimits};
pub use transaction::{
    FeeUnit, LocatedTransaction, StoredReceipt, StoredTransaction, TransactionPosition,
};
