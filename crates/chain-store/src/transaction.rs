//! Transactions and receipts of closed blocks.

use serde::{Deserialize, Serialize};
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::ContractAddress;
use starknet_api::execution_resources::GasVector;
use starknet_api::transaction::fields::Fee;
use starknet_api::transaction::{
    Event, MessageToL1, Transaction, TransactionExecutionStatus, TransactionHash,
};

use crate::block::BlockFinality;

/// A transaction with its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTransaction {
    /// Starknet's transaction hash.
    pub hash: TransactionHash,
    /// The transaction. A declare's class is in the object store.
    pub transaction: Transaction,
}

/// The unit of a fee.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeeUnit {
    /// 10^-18 STRK: version 3 transactions.
    #[default]
    #[serde(rename = "FRI")]
    Fri,
    /// 10^-18 ETH: older transactions.
    #[serde(rename = "WEI")]
    Wei,
}

/// What executing a transaction came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReceipt {
    /// The transaction.
    pub transaction_hash: TransactionHash,
    /// Succeeded, or reverted with the reason.
    pub execution_status: TransactionExecutionStatus,
    /// What was charged, in `fee_unit`.
    pub actual_fee: Fee,
    /// Unit of `actual_fee`.
    pub fee_unit: FeeUnit,
    /// In the order of emission.
    pub events: Vec<Event>,
    /// In the order of sending.
    pub messages_sent: Vec<MessageToL1>,
    /// Gas charged: L1, L1 data, L2. These are the receipt's execution resources.
    pub gas_consumed: GasVector,
    /// The part of `gas_consumed` that pays data availability.
    pub da_gas: GasVector,
    /// The account that a deploy-account transaction created.
    pub contract_address: Option<ContractAddress>,
}

/// Where in the chain a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionPosition {
    /// The block.
    pub block_number: BlockNumber,
    /// The block's hash.
    pub block_hash: BlockHash,
    /// The block's finality.
    pub finality: BlockFinality,
    /// Index in the block, from 0.
    pub index: u64,
}

/// A transaction, its receipt and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedTransaction {
    /// Where.
    pub position: TransactionPosition,
    /// The transaction.
    pub transaction: StoredTransaction,
    /// Its receipt.
    pub receipt: StoredReceipt,
}
