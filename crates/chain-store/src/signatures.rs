//! The signatures, published before what stands behind them. Every call answers a typed error until it does.

use sidereal_patricia::{ContractLeaf, Node, NodeSource};
use starknet_api::block::BlockNumber;
use starknet_api::core::{ChainId, ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

use crate::*;

type Result<T> = std::result::Result<T, ChainStoreError>;

fn absent<T>() -> Result<T> {
    Err(ChainStoreError::Url { reason: "the store is not written yet".to_owned() })
}

/// Bounds of a store handle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainStoreLimits {
    /// Connections to PostgreSQL, or readers of SQLite (which has one writer besides).
    pub connections: u32,
    /// How long a call waits for a connection, in milliseconds; for SQLite also for a lock.
    pub busy_timeout_ms: u64,
    /// Trie nodes kept in memory (some 150 bytes each).
    pub cached_nodes: usize,
    /// Contract leaves kept in memory (some 150 bytes each).
    pub cached_leaves: usize,
    /// Most events that one page looks at.
    pub events_scanned_per_page: u32,
    /// Removals from the mempool that are remembered.
    pub removals_kept: u64,
    /// Delivered outbox rows that are kept.
    pub delivered_kept: u64,
}

impl Default for ChainStoreLimits {
    fn default() -> Self {
        Self {
            connections: 8,
            busy_timeout_ms: 10_000,
            cached_nodes: 262_144,
            cached_leaves: 65_536,
            events_scanned_per_page: 10_000,
            removals_kept: 100_000,
            delivered_kept: 10_000,
        }
    }
}

/// A handle of the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct ChainStore;

impl ChainStore {
    /// Opens (`postgres://` or `sqlite://path`, the file is created) and migrates the schema. For the writer.
    pub async fn connect(_url: &str, _limits: ChainStoreLimits) -> Result<Self> {
        absent()
    }
    /// Opens for reading only; fails while the writer has not created the schema. For everybody else.
    pub async fn connect_reader(_url: &str, _limits: ChainStoreLimits) -> Result<Self> {
        absent()
    }
    /// Pins the chain id on first use, and refuses another one later.
    pub async fn ensure_chain(&self, _chain_id: &ChainId) -> Result<()> {
        absent()
    }
    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        absent()
    }
    /// Closes all connections.
    pub async fn close(&self) {}

    /// Writes a block in one transaction. Refuses what does not continue the head, or contradicts itself.
    pub async fn commit_block(&self, _commit: BlockCommit) -> Result<()> {
        absent()
    }

    /// The last closed block; `None` before genesis.
    pub async fn head(&self) -> Result<Option<Head>> {
        absent()
    }
    /// One block.
    pub async fn block(&self, _block: BlockSelector) -> Result<Option<StoredBlock>> {
        absent()
    }
    /// Blocks in order, from `first`, at most `limit`.
    pub async fn blocks_from(&self, _first: BlockNumber, _limit: u32) -> Result<Vec<StoredBlock>> {
        absent()
    }
    /// Marks blocks up to `last` as accepted on L1. Returns how many changed.
    pub async fn accept_on_l1(&self, _last: BlockNumber) -> Result<u64> {
        absent()
    }
    /// A block's state diff.
    pub async fn state_diff(&self, _block: BlockNumber) -> Result<Option<ThinStateDiff>> {
        absent()
    }

    /// A block's transaction hashes, in order.
    pub async fn transaction_hashes(&self, _block: BlockNumber) -> Result<Vec<TransactionHash>> {
        absent()
    }
    /// A block's transactions, in order.
    pub async fn transactions(&self, _block: BlockNumber) -> Result<Vec<StoredTransaction>> {
        absent()
    }
    /// A block's receipts, in order.
    pub async fn receipts(&self, _block: BlockNumber) -> Result<Vec<StoredReceipt>> {
        absent()
    }
    /// A transaction of a closed block with its receipt.
    pub async fn transaction(&self, _hash: &TransactionHash) -> Result<Option<LocatedTransaction>> {
        absent()
    }
    /// The same by block and index.
    pub async fn transaction_at(
        &self,
        _block: BlockNumber,
        _index: u64,
    ) -> Result<Option<LocatedTransaction>> {
        absent()
    }
    /// Where a transaction is, without loading it.
    pub async fn transaction_position(
        &self,
        _hash: &TransactionHash,
    ) -> Result<Option<TransactionPosition>> {
        absent()
    }

    /// One page of events in the order of the chain.
    pub async fn events(
        &self,
        _filter: &EventFilter,
        _continuation_token: Option<&str>,
        _limit: u32,
    ) -> Result<EventsPage> {
        absent()
    }

    /// A storage cell after `block`; 0 when it was never written.
    pub async fn storage_at(
        &self,
        _address: &ContractAddress,
        _key: &StorageKey,
        _block: BlockNumber,
    ) -> Result<Felt> {
        absent()
    }
    /// Several cells, in the order of the question.
    pub async fn storage_many(
        &self,
        _cells: &[(ContractAddress, StorageKey)],
        _block: BlockNumber,
    ) -> Result<Vec<Felt>> {
        absent()
    }
    /// A contract's nonce after `block`; 0 when it never changed.
    pub async fn nonce_at(&self, _address: &ContractAddress, _block: BlockNumber) -> Result<Nonce> {
        absent()
    }
    /// A contract's class after `block`; `None` when there is no contract.
    pub async fn class_hash_at(
        &self,
        _address: &ContractAddress,
        _block: BlockNumber,
    ) -> Result<Option<ClassHash>> {
        absent()
    }
    /// A class's CASM hash after `block`; `None` when it is not declared.
    pub async fn compiled_class_hash_at(
        &self,
        _class: &ClassHash,
        _block: BlockNumber,
    ) -> Result<Option<CompiledClassHash>> {
        absent()
    }
    /// When and as what a class was declared.
    pub async fn declared_class(&self, _class: &ClassHash) -> Result<Option<DeclaredClass>> {
        absent()
    }

    /// Makes transactions durable, in this order, in one database transaction. One answer each.
    pub async fn insert_waiting(
        &self,
        _transactions: &[StoredTransaction],
    ) -> Result<Vec<MempoolInsertion>> {
        absent()
    }
    /// The mempool in the order of arrival, after `after_sequence`, at most `limit`: for a restart.
    pub async fn waiting(
        &self,
        _after_sequence: Option<u64>,
        _limit: u32,
    ) -> Result<Vec<MempoolEntry>> {
        absent()
    }
    /// Number of waiting transactions.
    pub async fn waiting_count(&self) -> Result<u64> {
        absent()
    }
    /// Takes transactions out of the mempool without a block, and remembers why.
    pub async fn remove_waiting(&self, _removals: &[Removal]) -> Result<()> {
        absent()
    }
    /// What the store knows about a hash.
    pub async fn transaction_status(
        &self,
        _hash: &TransactionHash,
    ) -> Result<Option<TransactionStatus>> {
        absent()
    }

    /// Messages after `after_id`, delivered ones included, at most `limit`.
    pub async fn outbox_after(&self, _after_id: u64, _limit: u32) -> Result<Vec<OutboxRow>> {
        absent()
    }
    /// Messages that were not marked as delivered, in order, at most `limit`.
    pub async fn pending_outbox(&self, _limit: u32) -> Result<Vec<OutboxRow>> {
        absent()
    }
    /// Marks all messages up to `last_id` as delivered.
    pub async fn mark_delivered(&self, _last_id: u64) -> Result<()> {
        absent()
    }
}

impl NodeSource for ChainStore {
    type Error = ChainStoreError;

    async fn nodes(&self, _hashes: &[Felt]) -> Result<Vec<Option<Node>>> {
        absent()
    }

    async fn contract_leaves(&self, _hashes: &[Felt]) -> Result<Vec<Option<ContractLeaf>>> {
        absent()
    }
}
