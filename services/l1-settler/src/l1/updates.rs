//! The updates that L1 holds: for indexers, and to rebuild the rollup's state.

use alloy::consensus::Transaction as _;
use alloy::primitives::{Address, B256};
use alloy::rpc::types::{Filter, Log, Transaction};
use alloy::sol_types::SolEvent as _;
use sidereal_settlement::{RollupCore, SettledError, SettledUpdate};

use super::{L1, L1Error};

/// An update in a block of L1.
#[derive(Clone, Debug)]
pub struct L1Update {
    /// Number of that block.
    pub block: u64,
    /// Its hash: another one at this number is another branch of L1.
    pub block_hash: B256,
    /// The transaction that brought it, and its blobs.
    pub transaction: B256,
    /// What the contract says of it.
    pub event: RollupCore::StateUpdated,
    /// What the transaction says.
    pub update: SettledUpdate,
}

/// Updates cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UpdatesError {
    /// A call of L1.
    #[error("read the updates in L1's blocks {from} to {to}")]
    L1 {
        /// First block.
        from: u64,
        /// Last block.
        to: u64,
        /// The cause.
        #[source]
        source: L1Error,
    },
    /// The transaction is no call of the contract: somebody has settled through a contract of their own, whose input
    /// only they can read.
    #[error("read the update in transaction {transaction}")]
    Update {
        /// Which.
        transaction: B256,
        /// The cause.
        #[source]
        source: SettledError,
    },
}

impl L1 {
    /// The updates in the blocks `from` to `to`, both included, in order. Nodes bound how many blocks they search at
    /// once; ten thousand are few enough for most.
    ///
    /// # Errors
    /// When L1 cannot be read, or holds an update whose transaction cannot.
    pub async fn updates(
        &self,
        rollup_core: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<L1Update>, UpdatesError> {
        const OPERATION: &str = "ask for the contract's events";
        let l1 = |source| UpdatesError::L1 { from, to, source };
        let missing = || l1(L1Error::malformed(OPERATION, "an event is not as the contract's"));
        let filter = Filter::new()
            .address(rollup_core)
            .event_signature(RollupCore::StateUpdated::SIGNATURE_HASH)
            .from_block(from)
            .to_block(to);
        let logs: Vec<Log> = self.ask(OPERATION, "eth_getLogs", (filter,)).await.map_err(l1)?;
        let mut updates = Vec::with_capacity(logs.len());
        for log in logs {
            let block = log.block_number.ok_or_else(missing)?;
            let block_hash = log.block_hash.ok_or_else(missing)?;
            let hash = log.transaction_hash.ok_or_else(missing)?;
            let event = log.log_decode::<RollupCore::StateUpdated>().map_err(|_| missing())?;
            let transaction: Option<Transaction> = self
                .ask("ask for a transaction", "eth_getTransactionByHash", (hash,))
                .await
                .map_err(l1)?;
            let transaction = transaction.ok_or_else(missing)?;
            let event = event.inner.data;
            // The event's hashes are the contract's own: a transaction without blobs would not have got there.
            let update = SettledUpdate::decode(transaction.input(), &event.blobs)
                .map_err(|source| UpdatesError::Update { transaction: hash, source })?;
            updates.push(L1Update { block, block_hash, transaction: hash, event, update });
        }
        Ok(updates)
    }
}
