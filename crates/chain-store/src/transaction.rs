//! Transactions and receipts of closed blocks.

use serde::{Deserialize, Serialize};
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::ContractAddress;
use starknet_api::execution_resources::GasVector;
use starknet_api::transaction::fields::Fee;
use starknet_api::transaction::{
    Event, MessageToL1, Transaction, TransactionExecutionStatus, TransactionHash,
};

use crate::backend::{failed, reading};
use crate::block::{BlockFinality, finality};
use crate::encoding::{bytes, felt, read_json, read_number};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

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

/// Block number, index, block hash, accepted on L1.
type PositionRow = (i64, i64, Vec<u8>, bool);
/// Block number, index, block hash, accepted on L1, transaction, receipt.
type LocatedRow = (i64, i64, Vec<u8>, bool, Vec<u8>, Vec<u8>);

fn read_position((block, index, hash, accepted_on_l1): PositionRow) -> Result<TransactionPosition> {
    const OBJECT: &str = "a transaction's position";
    Ok(TransactionPosition {
        block_number: BlockNumber(read_number(block, OBJECT)?),
        block_hash: BlockHash(felt(&hash, OBJECT)?),
        finality: finality(accepted_on_l1),
        index: read_number(index, OBJECT)?,
    })
}

fn read_located(row: LocatedRow) -> Result<LocatedTransaction> {
    let (block, index, hash, accepted_on_l1, transaction, receipt) = row;
    Ok(LocatedTransaction {
        position: read_position((block, index, hash, accepted_on_l1))?,
        transaction: read_json(&transaction, || format!("transaction {index} of block {block}"))?,
        receipt: read_json(&receipt, || format!("receipt {index} of block {block}"))?,
    })
}

impl ChainStore {
    /// A block's transaction hashes, in order. Empty when there is no such block.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::Damaged`]; so for every read of this type.
    pub async fn transaction_hashes(&self, block: BlockNumber) -> Result<Vec<TransactionHash>> {
        let Ok(number) = i64::try_from(block.0) else { return Ok(Vec::new()) };
        let rows: Vec<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT hash FROM transactions WHERE block_number = $1 ORDER BY transaction_index",
            )
            .bind(number)
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading transaction hashes"))?;
        rows.iter().map(|hash| Ok(TransactionHash(felt(hash, "a transaction hash")?))).collect()
    }

    /// A block's transactions, in order. Empty when there is no such block.
    pub async fn transactions(&self, block: BlockNumber) -> Result<Vec<StoredTransaction>> {
        let Ok(number) = i64::try_from(block.0) else { return Ok(Vec::new()) };
        let rows: Vec<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT body FROM transactions WHERE block_number = $1 \
                 ORDER BY transaction_index",
            )
            .bind(number)
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading transactions"))?;
        rows.iter().map(|row| read_json(row, || format!("a transaction of {block}"))).collect()
    }

    /// A block's receipts, in order. Empty when there is no such block.
    pub async fn receipts(&self, block: BlockNumber) -> Result<Vec<StoredReceipt>> {
        let Ok(number) = i64::try_from(block.0) else { return Ok(Vec::new()) };
        let rows: Vec<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT receipt FROM transactions WHERE block_number = $1 \
                 ORDER BY transaction_index",
            )
            .bind(number)
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading receipts"))?;
        rows.iter().map(|row| read_json(row, || format!("a receipt of {block}"))).collect()
    }

    /// A transaction of a closed block with its receipt.
    pub async fn transaction(&self, hash: &TransactionHash) -> Result<Option<LocatedTransaction>> {
        let row: Option<LocatedRow> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, LocatedRow>(
                "SELECT t.block_number, t.transaction_index, b.hash, b.accepted_on_l1, \
                 t.body, t.receipt \
                 FROM transactions t JOIN blocks b ON b.number = t.block_number WHERE t.hash = $1",
            )
            .bind(bytes(&hash.0))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a transaction"))?;
        row.map(read_located).transpose()
    }

    /// The same by block and index.
    pub async fn transaction_at(
        &self,
        block: BlockNumber,
        index: u64,
    ) -> Result<Option<LocatedTransaction>> {
        let (Ok(number), Ok(index)) = (i64::try_from(block.0), i64::try_from(index)) else {
            return Ok(None);
        };
        let row: Option<LocatedRow> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, LocatedRow>(
                "SELECT t.block_number, t.transaction_index, b.hash, b.accepted_on_l1, \
                 t.body, t.receipt \
                 FROM transactions t JOIN blocks b ON b.number = t.block_number \
                 WHERE t.block_number = $1 AND t.transaction_index = $2",
            )
            .bind(number)
            .bind(index)
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a transaction"))?;
        row.map(read_located).transpose()
    }

    /// Where a transaction is, without loading it.
    pub async fn transaction_position(
        &self,
        hash: &TransactionHash,
    ) -> Result<Option<TransactionPosition>> {
        let row: Option<PositionRow> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, PositionRow>(
                "SELECT t.block_number, t.transaction_index, b.hash, b.accepted_on_l1 \
                 FROM transactions t JOIN blocks b ON b.number = t.block_number WHERE t.hash = $1",
            )
            .bind(bytes(&hash.0))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("looking for a transaction"))?;
        row.map(read_position).transpose()
    }
}
