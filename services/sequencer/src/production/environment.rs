//! The environment of the next block.

use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError, StoredBlock};
use sidereal_execution::block::{BlockEnvironment, OLD_BLOCK_HASH_DISTANCE};
use starknet_api::block::{BlockHash, BlockHashAndNumber, BlockNumber, BlockTimestamp};
use starknet_api::core::{ChainId, ContractAddress};
use starknet_api::data_availability::L1DataAvailabilityMode;

use super::Parent;
use crate::clock::now_ms;
use crate::gas_prices::{BlockGasPrices, GasPricer};

/// A block cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// An earlier block cannot be read.
    #[error("reading block {block} failed")]
    Store {
        /// The earlier block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: ChainStoreError,
    },
    /// An earlier block is not there.
    #[error("block {block} is missing in the chain store")]
    Missing {
        /// The earlier block.
        block: BlockNumber,
    },
    /// The numbers are used up.
    #[error("there is no block number after {head}")]
    NoNumber {
        /// The last block.
        head: BlockNumber,
    },
}

/// What all blocks have in common.
#[derive(Clone, Debug)]
pub struct ChainRules {
    /// The chain.
    pub chain_id: ChainId,
    /// Who receives the fees.
    pub sequencer_address: ContractAddress,
    /// How state diffs go to L1.
    pub l1_da_mode: L1DataAvailabilityMode,
    /// Prices of gas.
    pub pricer: GasPricer,
}

#[cfg(test)]
impl ChainRules {
    /// Of a chain by the default configuration.
    pub fn of_the_defaults() -> Self {
        use crate::config::ChainConfig;
        use crate::gas_prices::GasPricesConfig;

        Self {
            chain_id: ChainConfig::default().chain_id(),
            sequencer_address: ContractAddress::from(1_u128),
            l1_da_mode: L1DataAvailabilityMode::Calldata,
            pricer: GasPricer::new(&GasPricesConfig::default()),
        }
    }
}

impl ChainRules {
    /// The environment of block 0.
    pub fn genesis(&self, timestamp: BlockTimestamp) -> BlockEnvironment {
        let prices = self.pricer.first();
        self.environment(BlockNumber(0), timestamp, prices, BlockHash::default(), None)
    }

    /// The environment of the block after `parent`, now. Its parent hash is zero while the parent has none.
    pub async fn next(
        &self,
        store: &ChainStore,
        parent: &Parent,
    ) -> Result<BlockEnvironment, EnvironmentError> {
        let head = parent.number();
        let number = parent.next_number().ok_or(EnvironmentError::NoNumber { head })?;
        // A clock that was set back must not make time run backwards in the chain.
        let timestamp = BlockTimestamp((now_ms() / 1_000).max(parent.timestamp().0));
        let old_block = match number.0.checked_sub(OLD_BLOCK_HASH_DISTANCE) {
            None => None,
            Some(old) => {
                let number = BlockNumber(old);
                let hash = block(store, number).await?.hash;
                Some(BlockHashAndNumber { number, hash })
            }
        };
        let prices = self.pricer.next(parent.prices());
        let parent_hash = parent.hash().unwrap_or_default();
        Ok(self.environment(number, timestamp, prices, parent_hash, old_block))
    }

    fn environment(
        &self,
        number: BlockNumber,
        timestamp: BlockTimestamp,
        prices: BlockGasPrices,
        parent_hash: BlockHash,
        old_block: Option<BlockHashAndNumber>,
    ) -> BlockEnvironment {
        BlockEnvironment {
            number,
            timestamp,
            sequencer_address: self.sequencer_address,
            l1_gas_price: prices.l1_gas,
            l1_data_gas_price: prices.l1_data_gas,
            l2_gas_price: prices.l2_gas,
            l1_da_mode: self.l1_da_mode,
            chain_id: self.chain_id.clone(),
            parent_hash,
            old_block,
        }
    }
}

async fn block(store: &ChainStore, number: BlockNumber) -> Result<StoredBlock, EnvironmentError> {
    let found = store.block(BlockSelector::Number(number)).await;
    found
        .map_err(|source| EnvironmentError::Store { block: number, source })?
        .ok_or(EnvironmentError::Missing { block: number })
}
