//! What a block knows before its first transaction.

use std::sync::LazyLock;

use blockifier::blockifier_versioned_constants::VersionedConstants;
use blockifier::bouncer::BouncerConfig;
use blockifier::context::{BlockContext, ChainInfo, FeeTokenAddresses};
use serde::{Deserialize, Serialize};
use starknet_api::block::{
    BlockHash, BlockHashAndNumber, BlockInfo, BlockNumber, BlockTimestamp, GasPrice,
    GasPricePerToken, GasPriceVector, GasPrices, NonzeroGasPrice, StarknetVersion,
};
use starknet_api::core::{ChainId, ContractAddress};
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_api::versioned_constants_logic::VersionedConstantsTrait as _;

/// The protocol version all blocks of this chain follow.
pub const PROTOCOL_VERSION: StarknetVersion = StarknetVersion::V0_13_5;

/// The RPC and header spelling of [`PROTOCOL_VERSION`].
pub const PROTOCOL_VERSION_NAME: &str = "0.13.5";

/// A block writes the hash of the block this many numbers before it into the contract at address 1
/// (Starknet's `STORED_BLOCK_HASH_BUFFER`).
pub const OLD_BLOCK_HASH_DISTANCE: u64 = 10;

/// The STRK token, the fee token of version 3 transactions; its address on Starknet.
pub static STRK_TOKEN_ADDRESS: LazyLock<ContractAddress> =
    LazyLock::new(|| *starknet_api::fee_token_defaults::STRK_FEE_CONTRACT_ADDRESS);

/// The ETH token's address on Starknet. No version 3 transaction pays in it, so nothing need be there.
pub static ETH_TOKEN_ADDRESS: LazyLock<ContractAddress> =
    LazyLock::new(|| *starknet_api::fee_token_defaults::ETH_FEE_CONTRACT_ADDRESS);

/// The environment of one block: everything about it that is decided before its transactions run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BlockEnvironment {
    /// The block's number.
    pub number: BlockNumber,
    /// Seconds since the Unix epoch.
    pub timestamp: BlockTimestamp,
    /// Who receives the fees.
    pub sequencer_address: ContractAddress,
    /// Per unit of L1 gas, in WEI and FRI.
    pub l1_gas_price: GasPricePerToken,
    /// Per unit of L1 data (blob) gas, in WEI and FRI.
    pub l1_data_gas_price: GasPricePerToken,
    /// Per unit of L2 (Sierra) gas, in WEI and FRI.
    pub l2_gas_price: GasPricePerToken,
    /// How the state diff goes to L1.
    pub l1_da_mode: L1DataAvailabilityMode,
    /// The chain.
    pub chain_id: ChainId,
    /// The hash of block `number - 1`; zero for block 0.
    pub parent_hash: BlockHash,
    /// Number and hash of block `number - 10`; `None` exactly when `number < 10`.
    pub old_block: Option<BlockHashAndNumber>,
}

/// Why an environment is not one of a possible block.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A gas price is zero.
    #[error("block {block}: the {resource} price is zero")]
    ZeroGasPrice {
        /// The block.
        block: BlockNumber,
        /// Which price.
        resource: &'static str,
    },
    /// `old_block` is missing, superfluous, or another block's.
    #[error(
        "block {block}: the environment must name block {expected:?} as old block, it names {named:?}"
    )]
    WrongOldBlock {
        /// The block.
        block: BlockNumber,
        /// The number `old_block` must have.
        expected: Option<BlockNumber>,
        /// The number it has.
        named: Option<BlockNumber>,
    },
    /// The protocol version's constants are unavailable.
    #[error("the constants of protocol version {PROTOCOL_VERSION_NAME} cannot be read")]
    VersionedConstants(
        #[source] blockifier::blockifier_versioned_constants::VersionedConstantsError,
    ),
}

impl BlockEnvironment {
    /// Starknet's block info, as blockifier and StarknetOS read it.
    pub fn block_info(&self) -> Result<BlockInfo, EnvironmentError> {
        let price = |price: GasPrice, resource| {
            NonzeroGasPrice::new(price)
                .map_err(|_| EnvironmentError::ZeroGasPrice { block: self.number, resource })
        };
        Ok(BlockInfo {
            block_number: self.number,
            block_timestamp: self.timestamp,
            starknet_version: PROTOCOL_VERSION,
            sequencer_address: self.sequencer_address,
            gas_prices: GasPrices {
                eth_gas_prices: GasPriceVector {
                    l1_gas_price: price(self.l1_gas_price.price_in_wei, "L1 gas (WEI)")?,
                    l1_data_gas_price: price(
                        self.l1_data_gas_price.price_in_wei,
                        "L1 data gas (WEI)",
                    )?,
                    l2_gas_price: price(self.l2_gas_price.price_in_wei, "L2 gas (WEI)")?,
                },
                strk_gas_prices: GasPriceVector {
                    l1_gas_price: price(self.l1_gas_price.price_in_fri, "L1 gas (FRI)")?,
                    l1_data_gas_price: price(
                        self.l1_data_gas_price.price_in_fri,
                        "L1 data gas (FRI)",
                    )?,
                    l2_gas_price: price(self.l2_gas_price.price_in_fri, "L2 gas (FRI)")?,
                },
            },
            use_kzg_da: self.l1_da_mode.is_use_kzg_da(),
        })
    }

    /// The chain's fixed facts, as blockifier reads them.
    pub fn chain_info(&self) -> ChainInfo {
        ChainInfo {
            chain_id: self.chain_id.clone(),
            fee_token_addresses: FeeTokenAddresses {
                strk_fee_token_address: *STRK_TOKEN_ADDRESS,
                eth_fee_token_address: *ETH_TOKEN_ADDRESS,
            },
            is_l3: false,
        }
    }

    /// Blockifier's block context under protocol version 0.13.5.
    pub fn block_context(&self, bouncer: BouncerConfig) -> Result<BlockContext, EnvironmentError> {
        let mut constants = VersionedConstants::get(&PROTOCOL_VERSION)
            .map_err(EnvironmentError::VersionedConstants)?
            .clone();
        // Program counters are in a revert reason only when the code ran in Cairo VM. Without them, both modes
        // give the same reasons, and with them the same receipt commitments.
        constants.strip_vm_frames_in_sierra_gas = true;
        Ok(BlockContext::new(self.block_info()?, self.chain_info(), constants, bouncer))
    }

    /// Checks that `old_block` is given exactly when the protocol wants it, and is the right one.
    pub fn check_old_block(&self) -> Result<(), EnvironmentError> {
        let expected = self.number.0.checked_sub(OLD_BLOCK_HASH_DISTANCE).map(BlockNumber);
        let named = self.old_block.map(|old| old.number);
        if expected == named {
            return Ok(());
        }
        Err(EnvironmentError::WrongOldBlock { block: self.number, expected, named })
    }
}
