//! Writing a block: everything about it in one database transaction.

use sidereal_patricia::MemoryNodes;
use starknet_api::state::ThinStateDiff;

use crate::block::StoredBlock;
use crate::mempool::Removal;
use crate::outbox::OutboxMessage;
use crate::transaction::{StoredReceipt, StoredTransaction};

/// Everything that a block adds to the chain.
#[derive(Debug, Clone)]
pub struct BlockCommit {
    /// Header, commitments, roots and witness key.
    pub block: StoredBlock,
    /// In order. They leave the mempool with this commit.
    pub transactions: Vec<StoredTransaction>,
    /// One a transaction, in the same order.
    pub receipts: Vec<StoredReceipt>,
    /// The block's changes of the state.
    pub state_diff: ThinStateDiff,
    /// `StateTriesUpdate::new_nodes`.
    pub new_nodes: MemoryNodes,
    /// Messages to publish.
    pub outbox: Vec<OutboxMessage>,
    /// Transactions that leave the mempool without a block, found out while this one was built.
    pub removals: Vec<Removal>,
}
