//! The durable mempool: a transaction is here from before its hash is returned until its block is committed.

use starknet_api::transaction::TransactionHash;

use crate::transaction::StoredTransaction;

/// A waiting transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolEntry {
    /// Grows with every arrival; the order in which a restart takes them up again.
    pub sequence: u64,
    /// When it arrived, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// The transaction.
    pub transaction: StoredTransaction,
}

/// What became of an offered transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MempoolInsertion {
    /// It is durable now, under this sequence number.
    Inserted(u64),
    /// It waits already.
    AlreadyWaiting,
    /// It is in a closed block.
    AlreadyInBlock,
}

/// Why a transaction left the mempool without a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The transaction.
    pub hash: TransactionHash,
    /// A short machine-readable reason of the caller's own, such as `nonce_too_old` or `replaced`.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What the store knows about a transaction hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionStatus {
    /// It waits in the mempool.
    Waiting,
    /// It left the mempool without a block. Kept for the last `ChainStoreLimits::removals_kept` of them.
    Removed(Removal),
    /// It is in a closed block.
    InBlock(crate::transaction::TransactionPosition),
}
