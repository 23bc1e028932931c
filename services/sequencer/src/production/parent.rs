//! The block that the open one stands on: committed, or executed and on its way into the store.
//!
//! ```text
//!   block N    execute ──close── tries, header, witness, store ──┐ its hash
//!   block N+1            begin ── execute ── ... ── ... ───────── close ── ...
//! ```
//!
//! At most one block is being committed: the next one cannot be closed before its parent has a hash.

use sidereal_chain_store::Head;
use starknet_api::block::{BlockHash, BlockNumber, BlockTimestamp};
use tokio::task::JoinHandle;

use super::ProductionError;
use crate::gas_prices::BlockGasPrices;
use crate::shared::Tip;

/// See the [module](self).
#[derive(Debug)]
pub enum Parent {
    /// In the chain store.
    Committed(Tip),
    /// Being committed.
    Committing(Committing),
}

/// A block that is being committed.
#[derive(Debug)]
pub struct Committing {
    /// Its number.
    pub number: BlockNumber,
    /// Its timestamp.
    pub timestamp: BlockTimestamp,
    /// What gas costs in it.
    pub prices: BlockGasPrices,
    /// Which executor closed it, and what that executor calls it.
    pub execution: Execution,
    /// Answers the new head, or `None` if shutdown came first.
    pub task: JoinHandle<Result<Option<Head>, ProductionError>>,
}

/// A closed block as the executor that closed it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The executor's place in the configuration.
    pub executor: usize,
    /// Empty if the executor cannot go on from it.
    pub id: Vec<u8>,
}

impl Parent {
    /// The number of the block after it; `None` when the numbers are used up.
    pub fn next_number(&self) -> Option<BlockNumber> {
        self.number().next()
    }

    /// Its number.
    pub fn number(&self) -> BlockNumber {
        match self {
            Self::Committed(tip) => tip.head.number,
            Self::Committing(committing) => committing.number,
        }
    }

    /// Its hash, once it has one.
    pub fn hash(&self) -> Option<BlockHash> {
        match self {
            Self::Committed(tip) => Some(tip.head.hash),
            Self::Committing(_) => None,
        }
    }

    /// Its timestamp.
    pub fn timestamp(&self) -> BlockTimestamp {
        match self {
            Self::Committed(tip) => tip.timestamp,
            Self::Committing(committing) => committing.timestamp,
        }
    }

    /// What gas costs in it.
    pub fn prices(&self) -> &BlockGasPrices {
        match self {
            Self::Committed(tip) => &tip.prices,
            Self::Committing(committing) => &committing.prices,
        }
    }

    /// Whether it is being committed.
    pub fn is_committing(&self) -> bool {
        matches!(self, Self::Committing(_))
    }

    /// What this executor calls it, if it can go on from it before it is committed.
    pub fn execution_on(&self, executor: usize) -> Option<&[u8]> {
        match self {
            Self::Committing(Committing { execution, .. })
                if execution.executor == executor && !execution.id.is_empty() =>
            {
                Some(&execution.id)
            }
            _ => None,
        }
    }

    /// Waits until it is committed; `None` if shutdown came first. Cancel-safe.
    pub async fn committed(&mut self) -> Result<Option<Head>, ProductionError> {
        match self {
            Self::Committed(tip) => Ok(Some(tip.head)),
            Self::Committing(committing) => {
                let ended = (&mut committing.task).await;
                let Some(head) = ended.map_err(ProductionError::CommitPanicked)?? else {
                    return Ok(None);
                };
                let Committing { timestamp, prices, .. } = *committing;
                *self = Self::Committed(Tip { head, timestamp, prices });
                Ok(Some(head))
            }
        }
    }
}
