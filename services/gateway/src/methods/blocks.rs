//! Blocks, closed and open.

use std::sync::Arc;

use sidereal_chain_store::{BlockFinality, StoredBlock, StoredReceipt, StoredTransaction};
use starknet_api::block::BlockNumber;
use starknet_api::transaction as api;

use crate::error::RpcError;
use crate::gateway::{Gateway, Resolved};
use crate::params::Arguments;
use crate::rpc::block::{
    Block, BlockStatus, ClosedHeader, HashItem, Header, OpenHeader, ReceiptItem, TransactionItem,
};
use crate::rpc::number::FeltHex;
use crate::rpc::receipt::{Finality, Receipt, ReceiptKind, ReceiptParts};
use crate::rpc::transaction::{Transaction, TransactionResponseFlag, TransactionWithHash};

pub async fn with_hashes(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Block<HashItem>, RpcError> {
    match gateway.resolve(arguments.required(0)?).await? {
        Resolved::Closed(block) => {
            let hashes = gateway.store().transaction_hashes(block.number()).await;
            let hashes =
                hashes.map_err(|error| RpcError::store("read a block's hashes", &error))?;
            Ok(Block {
                header: closed_header(&block),
                transactions: hashes.into_iter().map(|hash| FeltHex(hash.0)).collect(),
            })
        }
        Resolved::PreConfirmed(open) => Ok(Block {
            transactions: open.transactions.iter().map(|item| FeltHex(item.hash.0)).collect(),
            header: Header::Open(Box::new(open.header)),
        }),
    }
}

pub async fn with_transactions(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Block<TransactionItem>, RpcError> {
    let id = arguments.required(0)?;
    let with_proof_facts = wants_proof_facts(&mut arguments, 1)?;
    let (header, transactions) = match gateway.resolve(id).await? {
        Resolved::Closed(block) => {
            let transactions = transactions_of(&gateway, block.number()).await?;
            (closed_header(&block), transactions)
        }
        Resolved::PreConfirmed(open) => (Header::Open(Box::new(open.header)), open.transactions),
    };
    let transactions = transactions
        .iter()
        .map(|item| transaction_with_hash(item, with_proof_facts))
        .collect::<Result<_, _>>()?;
    Ok(Block { header, transactions })
}

pub async fn with_receipts(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Block<ReceiptItem>, RpcError> {
    let id = arguments.required(0)?;
    let with_proof_facts = wants_proof_facts(&mut arguments, 1)?;
    let (header, finality, transactions, receipts) = match gateway.resolve(id).await? {
        Resolved::Closed(block) => {
            let transactions = transactions_of(&gateway, block.number()).await?;
            let receipts = receipts_of(&gateway, block.number()).await?;
            (closed_header(&block), block.finality.into(), transactions, receipts)
        }
        Resolved::PreConfirmed(open) => (
            Header::Open(Box::new(open.header)),
            Finality::PreConfirmed,
            open.transactions,
            open.receipts,
        ),
    };
    let transactions = transactions
        .iter()
        .zip(&receipts)
        .map(|(transaction, receipt)| {
            Ok(ReceiptItem {
                transaction: rpc_transaction(&transaction.transaction, with_proof_facts)?,
                receipt: rpc_receipt(transaction, receipt, finality)?,
            })
        })
        .collect::<Result<_, RpcError>>()?;
    Ok(Block { header, transactions })
}

pub async fn transaction_count(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<u64, RpcError> {
    Ok(match gateway.resolve(arguments.required(0)?).await? {
        Resolved::Closed(block) => block.transaction_count,
        Resolved::PreConfirmed(open) => open.transactions.len() as u64,
    })
}

/// Reads `response_flags`.
pub fn wants_proof_facts(arguments: &mut Arguments, index: usize) -> Result<bool, RpcError> {
    let flags: Option<Vec<TransactionResponseFlag>> = arguments.optional(index)?;
    Ok(flags.is_some_and(|flags| flags.contains(&TransactionResponseFlag::IncludeProofFacts)))
}

pub async fn transactions_of(
    gateway: &Gateway,
    block: BlockNumber,
) -> Result<Vec<StoredTransaction>, RpcError> {
    let transactions = gateway.store().transactions(block).await;
    transactions.map_err(|error| RpcError::store("read a block's transactions", &error))
}

pub async fn receipts_of(
    gateway: &Gateway,
    block: BlockNumber,
) -> Result<Vec<StoredReceipt>, RpcError> {
    let receipts = gateway.store().receipts(block).await;
    receipts.map_err(|error| RpcError::store("read a block's receipts", &error))
}

impl From<BlockFinality> for Finality {
    fn from(finality: BlockFinality) -> Self {
        match finality {
            BlockFinality::AcceptedOnL2 => Self::AcceptedOnL2,
            BlockFinality::AcceptedOnL1 => Self::AcceptedOnL1,
        }
    }
}

pub fn closed_header(block: &StoredBlock) -> Header {
    let header = &block.header;
    let commitments = &block.commitments;
    Header::Closed(Box::new(ClosedHeader {
        status: match block.finality {
            BlockFinality::AcceptedOnL2 => BlockStatus::AcceptedOnL2,
            BlockFinality::AcceptedOnL1 => BlockStatus::AcceptedOnL1,
        },
        block_hash: FeltHex(block.hash.0),
        parent_hash: FeltHex(header.parent_hash.0),
        new_root: FeltHex(header.state_root.0),
        open: OpenHeader {
            block_number: header.block_number.0,
            timestamp: header.timestamp.0,
            sequencer_address: FeltHex(*header.sequencer.0.0.key()),
            l1_gas_price: header.l1_gas_price.into(),
            l2_gas_price: header.l2_gas_price.into(),
            l1_data_gas_price: header.l1_data_gas_price.into(),
            l1_da_mode: header.l1_da_mode.into(),
            starknet_version: header.starknet_version.to_string(),
        },
        event_commitment: FeltHex(commitments.event_commitment.0),
        transaction_commitment: FeltHex(commitments.transaction_commitment.0),
        receipt_commitment: FeltHex(commitments.receipt_commitment.0),
        state_diff_commitment: FeltHex(commitments.state_diff_commitment.0.0),
        event_count: block.event_count,
        transaction_count: block.transaction_count,
        state_diff_length: block.state_diff_length,
    }))
}

pub fn rpc_transaction(
    transaction: &api::Transaction,
    with_proof_facts: bool,
) -> Result<Transaction, RpcError> {
    Transaction::new(transaction, with_proof_facts)
        .map_err(|error| RpcError::internal("write a transaction", &error))
}

pub fn transaction_with_hash(
    stored: &StoredTransaction,
    with_proof_facts: bool,
) -> Result<TransactionWithHash, RpcError> {
    Ok(TransactionWithHash {
        transaction_hash: FeltHex(stored.hash.0),
        transaction: rpc_transaction(&stored.transaction, with_proof_facts)?,
    })
}

pub fn rpc_receipt(
    transaction: &StoredTransaction,
    receipt: &StoredReceipt,
    finality: Finality,
) -> Result<Receipt, RpcError> {
    let kind = match &transaction.transaction {
        api::Transaction::Invoke(_) => ReceiptKind::Invoke,
        api::Transaction::Declare(_) => ReceiptKind::Declare,
        tx @ api::Transaction::DeployAccount(_) => {
            let address = match receipt.contract_address {
                Some(address) => address,
                // A reverted or older receipt may not repeat it; it follows from the transaction.
                None => crate::validation::sender(tx)
                    .map_err(|error| RpcError::internal("write a receipt", &error))?,
            };
            ReceiptKind::DeployAccount { contract_address: FeltHex(*address.0.key()) }
        }
        _ => return Err(RpcError::Internal { operation: "write a receipt of an unknown type" }),
    };
    Ok(Receipt::from(ReceiptParts {
        hash: receipt.transaction_hash.0,
        kind,
        finality,
        actual_fee: receipt.actual_fee.0,
        gas: receipt.gas_consumed,
        events: &receipt.events,
        messages: &receipt.messages_sent,
        status: &receipt.execution_status,
    }))
}
