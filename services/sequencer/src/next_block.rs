//! What comes after everything that is closed: the open blocks, or else the block to come.
//!
//! Transactions are priced, validated and estimated for the block they can get into. While none is open, that is the one
//! to come, whose prices are not those of the last closed one.

use std::sync::Arc;

use sidereal_chain_store::ChainStore;
use starknet_api::core::ChainId;

use crate::gas_prices::BlockGasPrices;
use crate::production::{ChainRules, EnvironmentError, Parent};
use crate::shared::{OpenState, PreConfirmedBlock, Shared, Tip};

/// See the [module](self). Clones are the same.
#[derive(Clone, Debug)]
pub struct NextBlock {
    rules: Arc<ChainRules>,
    shared: Shared,
    store: ChainStore,
}

impl NextBlock {
    /// By these rules, after these blocks.
    pub fn new(rules: Arc<ChainRules>, shared: Shared, store: ChainStore) -> Self {
        Self { rules, shared, store }
    }

    /// The chain.
    pub fn chain_id(&self) -> &ChainId {
        &self.rules.chain_id
    }

    /// What gas costs a transaction that comes now: in the block that is being filled, or in the next one.
    pub fn prices(&self) -> BlockGasPrices {
        // The tip is moved on before a committed block goes away: looked at the other way round, neither would be seen.
        let (filling, committing) = {
            let open = self.shared.open();
            let prices = |block: &Option<PreConfirmedBlock>| {
                block.as_ref().map(|block| BlockGasPrices::from(&*block.environment))
            };
            (prices(&open.filling), prices(&open.committing))
        };
        filling.unwrap_or_else(|| {
            self.rules.pricer.next(&committing.unwrap_or_else(|| self.shared.tip().prices))
        })
    }

    /// The blocks that are not in the store, in the order of their numbers; the block to come if none is open.
    pub async fn blocks(&self) -> Result<Vec<PreConfirmedBlock>, EnvironmentError> {
        let open: Vec<_> = self.shared.open().iter().cloned().collect();
        if open.is_empty() {
            return Ok(vec![self.after(self.shared.tip()).await?]);
        }
        Ok(open)
    }

    /// The state after the open blocks; after the opening of the block to come if there are none.
    pub async fn state(&self) -> Result<OpenState, EnvironmentError> {
        let open = self.shared.open().state();
        match open {
            Some(open) => Ok(open),
            None => {
                let tip = self.shared.tip();
                let block = self.after(tip).await?;
                Ok(OpenState {
                    base: tip.head.number,
                    environment: block.environment,
                    changes: vec![block.changes],
                })
            }
        }
    }

    async fn after(&self, tip: Tip) -> Result<PreConfirmedBlock, EnvironmentError> {
        let parent = Parent::Committed(tip);
        self.rules.next(&self.store, &parent).await.map(PreConfirmedBlock::new)
    }
}
