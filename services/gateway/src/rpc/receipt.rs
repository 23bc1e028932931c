//! Receipts and statuses.

use serde::Serialize;
use starknet_api::execution_resources::GasVector;
use starknet_api::transaction::{self as api, TransactionExecutionStatus};
use starknet_types_core::felt::Felt;

use super::event::Event;
use super::fee::{FeePayment, PriceUnit};
use super::number::{FeltHex, hexes};

/// `TXN_STATUS`, without `CANDIDATE`: this sequencer executes a transaction when it takes it into the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Finality {
    #[serde(rename = "RECEIVED")]
    Received,
    #[serde(rename = "PRE_CONFIRMED")]
    PreConfirmed,
    #[serde(rename = "ACCEPTED_ON_L2")]
    AcceptedOnL2,
    #[serde(rename = "ACCEPTED_ON_L1")]
    AcceptedOnL1,
}

/// `TXN_STATUS_RESULT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransactionStatus {
    pub finality_status: Finality,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_status: Option<ExecutionStatus>,
    /// Only of a reverted transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
}

/// `TXN_EXECUTION_STATUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecutionStatus {
    Succeeded,
    Reverted,
}

/// The type of a receipt, with the field that only one type has.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type")]
pub enum ReceiptKind {
    #[serde(rename = "INVOKE")]
    Invoke,
    #[serde(rename = "DECLARE")]
    Declare,
    #[serde(rename = "DEPLOY_ACCOUNT")]
    DeployAccount { contract_address: FeltHex },
}

/// `TXN_RECEIPT`.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    #[serde(flatten)]
    pub kind: ReceiptKind,
    pub transaction_hash: FeltHex,
    pub actual_fee: FeePayment,
    pub finality_status: Finality,
    pub messages_sent: Vec<MessageToL1>,
    pub events: Vec<Event>,
    pub execution_resources: ExecutionResources,
    pub execution_status: ExecutionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert_reason: Option<String>,
}

/// `TXN_RECEIPT_WITH_BLOCK_INFO`; without a hash for the open block.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptWithBlock {
    #[serde(flatten)]
    pub receipt: Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<FeltHex>,
    pub block_number: u64,
}

/// `MSG_TO_L1`.
#[derive(Clone, Debug, Serialize)]
pub struct MessageToL1 {
    pub from_address: FeltHex,
    pub to_address: FeltHex,
    pub payload: Vec<FeltHex>,
}

impl From<&api::MessageToL1> for MessageToL1 {
    fn from(message: &api::MessageToL1) -> Self {
        Self {
            from_address: FeltHex(*message.from_address.0.key()),
            to_address: FeltHex(Felt::from_bytes_be_slice(message.to_address.0.as_bytes())),
            payload: hexes(&message.payload.0),
        }
    }
}

/// `EXECUTION_RESOURCES`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExecutionResources {
    pub l1_gas: u64,
    pub l1_data_gas: u64,
    pub l2_gas: u64,
}

impl From<GasVector> for ExecutionResources {
    fn from(gas: GasVector) -> Self {
        Self { l1_gas: gas.l1_gas.0, l1_data_gas: gas.l1_data_gas.0, l2_gas: gas.l2_gas.0 }
    }
}

/// What a receipt is made of.
pub struct ReceiptParts<'a> {
    pub hash: Felt,
    pub kind: ReceiptKind,
    pub finality: Finality,
    /// In FRI.
    pub actual_fee: u128,
    pub gas: GasVector,
    pub events: &'a [api::Event],
    pub messages: &'a [api::MessageToL1],
    pub status: &'a TransactionExecutionStatus,
}

impl From<ReceiptParts<'_>> for Receipt {
    fn from(parts: ReceiptParts<'_>) -> Self {
        let (execution_status, revert_reason) = execution_status(parts.status);
        Self {
            kind: parts.kind,
            transaction_hash: FeltHex(parts.hash),
            actual_fee: FeePayment {
                amount: FeltHex(parts.actual_fee.into()),
                unit: PriceUnit::Fri,
            },
            finality_status: parts.finality,
            messages_sent: parts.messages.iter().map(Into::into).collect(),
            events: parts.events.iter().map(Into::into).collect(),
            execution_resources: parts.gas.into(),
            execution_status,
            revert_reason,
        }
    }
}

/// Status and, of a reverted transaction, the reason.
pub fn execution_status(status: &TransactionExecutionStatus) -> (ExecutionStatus, Option<String>) {
    match status {
        TransactionExecutionStatus::Succeeded => (ExecutionStatus::Succeeded, None),
        TransactionExecutionStatus::Reverted(reverted) => {
            (ExecutionStatus::Reverted, Some(reverted.revert_reason.clone()))
        }
    }
}
