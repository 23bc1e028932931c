//! The way of a transaction in: stateless checks, its class, the sequencer's word.

use std::sync::Arc;

use sidereal_proto::sequencer::{SubmitError, SubmitTransactionRequest};
use sidereal_proto::{felt as wire_felt, transaction as wire};
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::transaction::{DeclareTransaction, Transaction, TransactionHash};

use crate::classes::{CompiledClass, TakenClass};
use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::rpc::transaction::{Broadcast, BroadcastVersion};
use crate::validation::{self, ValidationError};

/// Metadata in which the sequencer names the class of its refusal.
const SUBMIT_ERROR: &str = "sidereal-submit-error";

/// A transaction that the sequencer holds durably.
#[derive(Clone, Copy, Debug)]
pub struct Submission {
    pub hash: TransactionHash,
    /// The account; of a deploy-account the one it creates.
    pub sender: ContractAddress,
    /// Of a declare.
    pub class_hash: Option<ClassHash>,
}

/// Submits a transaction. When this returns, the transaction survives any process being killed.
/// `claimed` is the hash that the sender computed, if it gave one: another one is refused.
pub async fn submit(
    gateway: &Gateway,
    broadcast: Broadcast,
    claimed: Option<TransactionHash>,
) -> Result<Submission, RpcError> {
    if broadcast.version == BroadcastVersion::QueryThree {
        return Err(RpcError::UnsupportedTransactionVersion);
    }
    validation::validate(&broadcast.transaction, gateway.limits())?;
    let version = broadcast.version;
    let (transaction, class_hash) = store_class(gateway, broadcast).await?;
    if let Some(claimed) = claimed {
        let hash = validation::transaction_hash(&transaction, version, gateway.chain_id())?;
        if claimed != hash {
            let problem = format!("the hash of the transaction is {:#x}", hash.0);
            return Err(RpcError::invalid("hash", problem));
        }
    }
    let sender = validation::sender(&transaction)?;
    // Without its hash: the sequencer computes it in any case.
    let transaction = wire::to_wire_unhashed(&transaction)
        .map_err(|error| RpcError::invalid("transaction", error))?;
    let request = SubmitTransactionRequest { transaction: Some(transaction) };
    match gateway.sequencer().submit_transaction(request).await {
        Ok(answer) => {
            let hash = answer.into_inner().transaction_hash;
            let hash = wire_felt::transaction_hash("transaction_hash", &hash)
                .map_err(|error| RpcError::internal("submit a transaction", &error))?;
            Ok(Submission { hash, sender, class_hash })
        }
        Err(status) => Err(refusal(&status)),
    }
}

/// Stores the class of a declare and puts its hash into the transaction.
async fn store_class(
    gateway: &Gateway,
    broadcast: Broadcast,
) -> Result<(Transaction, Option<ClassHash>), RpcError> {
    match (broadcast.transaction, broadcast.class) {
        (Transaction::Declare(DeclareTransaction::V3(mut declare)), Some(class)) => {
            let stored = gateway.classes().store(*class, declare.compiled_class_hash).await?;
            declare.class_hash = stored.class_hash;
            let transaction = Transaction::Declare(DeclareTransaction::V3(declare));
            Ok((transaction, Some(stored.class_hash)))
        }
        (transaction, _) => Ok((transaction, None)),
    }
}

/// Compiles the class of a declare and puts its hash into the transaction. The class is answered unless it is stored.
pub async fn compile_class(
    gateway: &Gateway,
    broadcast: Broadcast,
) -> Result<(Transaction, Option<Arc<CompiledClass>>), RpcError> {
    match (broadcast.transaction, broadcast.class) {
        (Transaction::Declare(DeclareTransaction::V3(mut declare)), Some(class)) => {
            let taken = gateway.classes().compile(*class, declare.compiled_class_hash).await?;
            declare.class_hash = taken.class_hash();
            let transaction = Transaction::Declare(DeclareTransaction::V3(declare));
            match taken {
                TakenClass::Stored(_) => Ok((transaction, None)),
                TakenClass::Compiled(class) => Ok((transaction, Some(class))),
            }
        }
        (transaction, _) => Ok((transaction, None)),
    }
}

/// The RPC error for the sequencer's refusal.
fn refusal(status: &tonic::Status) -> RpcError {
    let named = status
        .metadata()
        .get(SUBMIT_ERROR)
        .and_then(|value| value.to_str().ok())
        .and_then(submit_error);
    let message = status.message().to_owned();
    match named {
        Some(SubmitError::Duplicate) => RpcError::DuplicateTransaction,
        Some(SubmitError::InvalidNonce) => RpcError::InvalidTransactionNonce(message),
        Some(SubmitError::InsufficientResources) => RpcError::InsufficientResourcesForValidate,
        Some(SubmitError::InsufficientBalance) => RpcError::InsufficientAccountBalance,
        Some(SubmitError::ValidationFailure) => RpcError::ValidationFailure(message),
        Some(SubmitError::NonAccount) => RpcError::NonAccount,
        Some(SubmitError::ClassAlreadyDeclared) => RpcError::ClassAlreadyDeclared,
        Some(SubmitError::ReplacementUnderpriced) => RpcError::ReplacementTransactionUnderpriced,
        Some(SubmitError::FeeBelowMinimum) => RpcError::FeeBelowMinimum,
        Some(SubmitError::CompiledClassHashMismatch) => RpcError::CompiledClassHashMismatch,
        Some(SubmitError::MempoolFull) => {
            RpcError::Unexpected("the mempool is full, try again later".to_owned())
        }
        Some(SubmitError::Unspecified) | None => match status.code() {
            tonic::Code::AlreadyExists => RpcError::DuplicateTransaction,
            tonic::Code::FailedPrecondition | tonic::Code::InvalidArgument => {
                RpcError::Unexpected(message)
            }
            _ => {
                tracing::error!(%status, "the sequencer did not take a transaction");
                RpcError::Unexpected("the sequencer cannot be reached, try again later".to_owned())
            }
        },
    }
}

/// Reads the name with or without the prefix that protobuf's style puts before enum values.
fn submit_error(name: &str) -> Option<SubmitError> {
    SubmitError::from_str_name(name)
        .or_else(|| SubmitError::from_str_name(&format!("SUBMIT_ERROR_{}", name.to_uppercase())))
}

impl From<ValidationError> for RpcError {
    fn from(error: ValidationError) -> Self {
        match error {
            ValidationError::UnsupportedVersion => Self::UnsupportedTransactionVersion,
            ValidationError::NoResources => Self::InsufficientResourcesForValidate,
            // The specification has no error of its own for these.
            error => Self::Unexpected(error.to_string()),
        }
    }
}
