//! Blocks and their headers.

use serde::Serialize;
use starknet_api::block::GasPricePerToken;
use starknet_api::data_availability::L1DataAvailabilityMode;

use super::number::FeltHex;
use super::receipt::Receipt;
use super::transaction::{Transaction, TransactionWithHash};

/// `BLOCK_STATUS` of a closed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum BlockStatus {
    #[serde(rename = "ACCEPTED_ON_L2")]
    AcceptedOnL2,
    #[serde(rename = "ACCEPTED_ON_L1")]
    AcceptedOnL1,
}

/// `RESOURCE_PRICE`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ResourcePrice {
    pub price_in_fri: FeltHex,
    pub price_in_wei: FeltHex,
}

impl From<GasPricePerToken> for ResourcePrice {
    fn from(price: GasPricePerToken) -> Self {
        Self {
            price_in_fri: FeltHex(price.price_in_fri.0.into()),
            price_in_wei: FeltHex(price.price_in_wei.0.into()),
        }
    }
}

/// How the state diff is published.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum L1DaMode {
    Blob,
    Calldata,
}

impl From<L1DataAvailabilityMode> for L1DaMode {
    fn from(mode: L1DataAvailabilityMode) -> Self {
        match mode {
            L1DataAvailabilityMode::Blob => Self::Blob,
            L1DataAvailabilityMode::Calldata => Self::Calldata,
        }
    }
}

/// `PRE_CONFIRMED_BLOCK_HEADER`, and the part of `BLOCK_HEADER` that is known before the block closes.
#[derive(Clone, Debug, Serialize)]
pub struct OpenHeader {
    pub block_number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    pub sequencer_address: FeltHex,
    pub l1_gas_price: ResourcePrice,
    pub l2_gas_price: ResourcePrice,
    pub l1_data_gas_price: ResourcePrice,
    pub l1_da_mode: L1DaMode,
    pub starknet_version: String,
}

/// `BLOCK_HEADER`, with the status that stands before it in every block object.
#[derive(Clone, Debug, Serialize)]
pub struct ClosedHeader {
    pub status: BlockStatus,
    pub block_hash: FeltHex,
    pub parent_hash: FeltHex,
    pub new_root: FeltHex,
    #[serde(flatten)]
    pub open: OpenHeader,
    pub event_commitment: FeltHex,
    pub transaction_commitment: FeltHex,
    pub receipt_commitment: FeltHex,
    pub state_diff_commitment: FeltHex,
    pub event_count: u64,
    pub transaction_count: u64,
    pub state_diff_length: u64,
}

/// The header of a closed or of the open block.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Header {
    Closed(Box<ClosedHeader>),
    Open(Box<OpenHeader>),
}

/// `BLOCK_WITH_TX_HASHES`, `BLOCK_WITH_TXS`, `BLOCK_WITH_RECEIPTS` and their pre-confirmed siblings,
/// by what the body's items are.
#[derive(Clone, Debug, Serialize)]
pub struct Block<Item> {
    #[serde(flatten)]
    pub header: Header,
    pub transactions: Vec<Item>,
}

/// A transaction's hash as an item of a block.
pub type HashItem = FeltHex;
/// A transaction with its hash as an item of a block.
pub type TransactionItem = TransactionWithHash;

/// A transaction and its receipt as an item of a block. The receipt has the hash.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptItem {
    pub transaction: Transaction,
    pub receipt: Receipt,
}

/// Result of `starknet_blockHashAndNumber`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BlockHashAndNumber {
    pub block_hash: FeltHex,
    pub block_number: u64,
}
