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
    /// What the contract says of it. All of it is true, whoever brought the update: [`L1::settled`].
    pub event: RollupCore::StateUpdated,
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
    /// A call of L1.
    #[error("read L1's transaction {transaction}")]
    Transaction {
        /// Which.
        transaction: B256,
        /// The cause.
        #[source]
        source: L1Error,
    },
    /// The transaction's input is no call of `updateState`.
    #[error(
        "L1's transaction {transaction} settled through another contract, in whose input no update can be found"
    )]
    Indirect {
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
    /// When L1 cannot be read.
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
        logs.into_iter()
            .map(|log| {
                let event = log.log_decode::<RollupCore::StateUpdated>().map_err(|_| missing())?;
                Ok(L1Update {
                    block: log.block_number.ok_or_else(missing)?,
                    block_hash: log.block_hash.ok_or_else(missing)?,
                    transaction: log.transaction_hash.ok_or_else(missing)?,
                    event: event.inner.data,
                })
            })
            .collect()
    }

    /// What an update's transaction says: its output and its proof. Anybody may settle through a contract of their own
    /// (a Safe is one), and what their transaction says need not be what that contract passed on: hold it against the
    /// event.
    ///
    /// # Errors
    /// When L1 cannot be read, or the transaction's input is no update of the event's blobs.
    pub async fn settled(&self, update: &L1Update) -> Result<SettledUpdate, UpdatesError> {
        const OPERATION: &str = "ask for a transaction";
        let hash = update.transaction;
        let l1 = |source| UpdatesError::Transaction { transaction: hash, source };
        let transaction: Option<Transaction> =
            self.ask(OPERATION, "eth_getTransactionByHash", (hash,)).await.map_err(l1)?;
        let transaction =
            transaction.ok_or_else(|| l1(L1Error::malformed(OPERATION, "there is none")))?;
        // The event's hashes are the contract's own: a transaction without blobs would not have got there.
        SettledUpdate::decode(transaction.input(), &update.event.blobs)
            .map_err(|source| UpdatesError::Indirect { transaction: hash, source })
    }
}
