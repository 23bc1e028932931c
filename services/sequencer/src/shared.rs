//! What admission, block production and the API see of each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidereal_chain_store::Head;
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::outcome::{Rejection, TransactionReceipt};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_service::Waker;
use starknet_api::transaction::TransactionHash;
use tokio::sync::watch;

use crate::mempool::{Pool, PoolLimits};

/// The open block as others see it.
#[derive(Clone, Debug)]
pub struct PreConfirmedBlock {
    /// The environment it is executed in.
    pub environment: Arc<BlockEnvironment>,
    /// What is in it so far, in order.
    pub included: Vec<(Arc<BlockTransaction>, Arc<TransactionReceipt>)>,
    /// What was rejected since it was opened. Durable only with the block.
    pub rejected: HashMap<TransactionHash, Rejection>,
}

impl PreConfirmedBlock {
    /// The transaction with its receipt, if it is in the block.
    pub fn find(
        &self,
        hash: &TransactionHash,
    ) -> Option<&(Arc<BlockTransaction>, Arc<TransactionReceipt>)> {
        self.included.iter().find(|(transaction, _)| transaction.hash == *hash)
    }
}

/// The blocks that are not in the store yet.
#[derive(Clone, Debug, Default)]
pub struct OpenBlocks {
    /// Closed, and being committed.
    pub committing: Option<PreConfirmedBlock>,
    /// Taking transactions; stands on the one that is being committed, if there is one.
    pub filling: Option<PreConfirmedBlock>,
}

impl OpenBlocks {
    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &PreConfirmedBlock> {
        self.committing.iter().chain(&self.filling)
    }

    /// The one after the last block in the store.
    pub fn first(&self) -> Option<&PreConfirmedBlock> {
        self.iter().next()
    }
}

/// Handles to the sequencer's state in memory; clones are the same.
#[derive(Clone, Debug)]
pub struct Shared {
    pool: Arc<Mutex<Pool<BlockTransaction>>>,
    open: Arc<Mutex<OpenBlocks>>,
    head: watch::Sender<Head>,
    /// Wakes block production.
    pub work: Waker,
}

impl Shared {
    /// An empty mempool on top of this block.
    pub fn new(limits: PoolLimits, head: Head) -> Self {
        Self {
            pool: Arc::new(Mutex::new(Pool::new(limits))),
            open: Arc::default(),
            head: watch::Sender::new(head),
            work: Waker::new(),
        }
    }

    /// The mempool. Never held over an await.
    pub fn pool(&self) -> MutexGuard<'_, Pool<BlockTransaction>> {
        // Every change of the pool leaves it whole, so a poisoned lock can be taken over.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks that are not in the store yet. Never held over an await.
    pub fn open(&self) -> MutexGuard<'_, OpenBlocks> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last closed block.
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }

    /// Moves to a block that was committed.
    pub fn advance(&self, head: Head) {
        self.head.send_replace(head);
    }

    /// Follows the last closed block.
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }
}
