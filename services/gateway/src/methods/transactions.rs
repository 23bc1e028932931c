//! Transactions, receipts and statuses: in closed blocks, in open blocks, in the mempool.

use std::sync::Arc;

use sidereal_chain_store::{LocatedTransaction, StoredReceipt, StoredTransaction};
use sidereal_proto::sequencer::{GetTransactionStatusRequest, GetTransactionStatusResponse};
use sidereal_proto::types::{ExecutionStatus as WireExecution, FinalityStatus as WireFinality};
use sidereal_proto::{ConversionError, felt as wire_felt, payload, transaction as wire};
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

use super::blocks::{rpc_receipt, transaction_with_hash, wants_proof_facts};
use crate::error::RpcError;
use crate::gateway::{Gateway, Resolved};
use crate::params::Arguments;
use crate::rpc::number::{FeltHex, L1Hash};
use crate::rpc::receipt::{
    ExecutionStatus, Finality, ReceiptWithBlock, TransactionStatus, execution_status,
};
use crate::rpc::transaction::TransactionWithHash;

const STATUS: &str = "read a transaction's status";

pub async fn status(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<TransactionStatus, RpcError> {
    let hash: FeltHex = arguments.required(0)?;
    match transaction_status(&gateway, hash.0).await? {
        KnownStatus::Alive { status, .. } => Ok(status),
        // 0.10 has no status for these: to the chain they do not exist. The reason goes along.
        KnownStatus::Rejected { reason } => Err(RpcError::TransactionRejected(reason)),
    }
}

/// What is known of a transaction's fate.
pub enum KnownStatus {
    Alive {
        status: TransactionStatus,
        /// Of the block that it was executed in, open or closed.
        block_number: Option<u64>,
    },
    /// It left the mempool without ever being in a block.
    Rejected { reason: String },
}

/// The status of a transaction, wherever it is. [`RpcError::TransactionHashNotFound`] when nobody knows it.
pub async fn transaction_status(gateway: &Gateway, hash: Felt) -> Result<KnownStatus, RpcError> {
    if let Some(located) = located(gateway, hash).await? {
        return Ok(closed_status(&located));
    }
    if let Some(answer) = ask_sequencer(gateway, hash, false).await? {
        return known_status(answer);
    }
    // Between the two questions its block may have been closed.
    match located(gateway, hash).await? {
        Some(located) => Ok(closed_status(&located)),
        None => Err(RpcError::TransactionHashNotFound),
    }
}

fn closed_status(located: &LocatedTransaction) -> KnownStatus {
    let (execution, reason) = execution_status(&located.receipt.execution_status);
    let status = TransactionStatus {
        finality_status: located.position.finality.into(),
        execution_status: Some(execution),
        failure_reason: reason,
    };
    KnownStatus::Alive { status, block_number: Some(located.position.block_number.0) }
}

fn known_status(answer: GetTransactionStatusResponse) -> Result<KnownStatus, RpcError> {
    let Some(status) = answer.status else {
        return Err(RpcError::Internal { operation: STATUS });
    };
    let finality_status = match status.finality() {
        WireFinality::Received => Finality::Received,
        WireFinality::PreConfirmed => Finality::PreConfirmed,
        WireFinality::AcceptedOnL2 => Finality::AcceptedOnL2,
        WireFinality::AcceptedOnL1 => Finality::AcceptedOnL1,
        WireFinality::Rejected => {
            return Ok(KnownStatus::Rejected { reason: status.failure_reason });
        }
        WireFinality::Unspecified => return Err(RpcError::Internal { operation: STATUS }),
    };
    let execution_status = match status.execution() {
        WireExecution::Unspecified => None,
        WireExecution::Succeeded => Some(ExecutionStatus::Succeeded),
        WireExecution::Reverted => Some(ExecutionStatus::Reverted),
    };
    let block_number = status.block_number;
    let failure_reason =
        (execution_status == Some(ExecutionStatus::Reverted)).then_some(status.failure_reason);
    let status = TransactionStatus { finality_status, execution_status, failure_reason };
    Ok(KnownStatus::Alive { status, block_number })
}

/// The transaction in a closed block.
pub async fn located(
    gateway: &Gateway,
    hash: Felt,
) -> Result<Option<LocatedTransaction>, RpcError> {
    let found = gateway.store().transaction(&TransactionHash(hash)).await;
    found.map_err(|error| RpcError::store("read a transaction", &error))
}

/// What the sequencer knows; `None` when it does not know the hash.
pub async fn ask_sequencer(
    gateway: &Gateway,
    hash: Felt,
    with_receipt: bool,
) -> Result<Option<GetTransactionStatusResponse>, RpcError> {
    let transaction_hash = wire_felt::felt_bytes(&hash);
    let request = GetTransactionStatusRequest { transaction_hash, with_receipt };
    match gateway.sequencer().get_transaction_status(request).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(RpcError::service(STATUS, &status)),
    }
}

pub async fn by_hash(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<TransactionWithHash, RpcError> {
    let hash: FeltHex = arguments.required(0)?;
    let with_proof_facts = wants_proof_facts(&mut arguments, 1)?;
    if let Some(located) = located(&gateway, hash.0).await? {
        return transaction_with_hash(&located.transaction, with_proof_facts);
    }
    let answer = ask_sequencer(&gateway, hash.0, false).await?;
    if let Some(waiting) = answer.and_then(|answer| answer.transaction) {
        let received = wire::from_wire(waiting)
            .map_err(|error| RpcError::internal("read a waiting transaction", &error))?;
        let stored =
            StoredTransaction { hash: TransactionHash(hash.0), transaction: received.transaction };
        return transaction_with_hash(&stored, with_proof_facts);
    }
    match located(&gateway, hash.0).await? {
        Some(located) => transaction_with_hash(&located.transaction, with_proof_facts),
        None => Err(RpcError::TransactionHashNotFound),
    }
}

pub async fn by_block_and_index(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<TransactionWithHash, RpcError> {
    let id = arguments.required(0)?;
    let index: u64 = arguments.required(1)?;
    let with_proof_facts = wants_proof_facts(&mut arguments, 2)?;
    match gateway.resolve(id).await? {
        Resolved::Closed(block) => {
            if index >= block.transaction_count {
                return Err(RpcError::InvalidTransactionIndex);
            }
            let found = gateway.store().transaction_at(block.number(), index).await;
            let found = found.map_err(|error| RpcError::store("read a transaction", &error))?;
            let found = found.ok_or(RpcError::InvalidTransactionIndex)?;
            transaction_with_hash(&found.transaction, with_proof_facts)
        }
        Resolved::PreConfirmed(open) => {
            let found = usize::try_from(index).ok().and_then(|index| open.transactions.get(index));
            let found = found.ok_or(RpcError::InvalidTransactionIndex)?;
            transaction_with_hash(found, with_proof_facts)
        }
    }
}

pub async fn receipt(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<ReceiptWithBlock, RpcError> {
    let hash: FeltHex = arguments.required(0)?;
    if let Some(located) = located(&gateway, hash.0).await? {
        return closed_receipt(&located);
    }
    if let Some(receipt) = open_receipt(&gateway, hash.0).await? {
        return Ok(receipt);
    }
    match located(&gateway, hash.0).await? {
        Some(located) => closed_receipt(&located),
        None => Err(RpcError::TransactionHashNotFound),
    }
}

fn closed_receipt(located: &LocatedTransaction) -> Result<ReceiptWithBlock, RpcError> {
    let position = &located.position;
    Ok(ReceiptWithBlock {
        receipt: rpc_receipt(&located.transaction, &located.receipt, position.finality.into())?,
        block_hash: Some(FeltHex(position.block_hash.0)),
        block_number: position.block_number.0,
    })
}

/// The receipt of a transaction in any of the open blocks.
async fn open_receipt(gateway: &Gateway, hash: Felt) -> Result<Option<ReceiptWithBlock>, RpcError> {
    const OPERATION: &str = "read the receipt of a transaction in an open block";
    const MISSING: RpcError = RpcError::Internal { operation: OPERATION };
    let Some(answer) = ask_sequencer(gateway, hash, true).await? else { return Ok(None) };
    let Some(status) = answer.status else { return Err(MISSING) };
    if status.finality() != WireFinality::PreConfirmed {
        return Ok(None);
    }
    let conversion = |error: ConversionError| RpcError::internal(OPERATION, &error);
    let received = wire::from_wire(answer.transaction.ok_or(MISSING)?).map_err(conversion)?;
    let transaction =
        StoredTransaction { hash: TransactionHash(hash), transaction: received.transaction };
    let receipt: StoredReceipt =
        payload::decode("receipt_json", &answer.receipt_json).map_err(conversion)?;
    Ok(Some(ReceiptWithBlock {
        receipt: rpc_receipt(&transaction, &receipt, Finality::PreConfirmed)?,
        block_hash: None,
        block_number: status.block_number.ok_or(MISSING)?,
    }))
}

/// No message has ever come from L1: this chain takes none, so no L1 transaction has sent any.
pub async fn messages_status(
    _: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Vec<TransactionStatus>, RpcError> {
    let _: L1Hash = arguments.required(0)?;
    Err(RpcError::TransactionHashNotFound)
}
