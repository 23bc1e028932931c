//! The way of a transaction in: stateless checks, its class, the sequencer's word.

use sidereal_proto::sequencer::{SubmitError, SubmitTransactionRequest};
use sidereal_proto::{felt as wire_felt, transaction as wire};
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::transaction::{DeclareTransaction, Transaction, TransactionHash};

use crate::classes::TakenClass;
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
    let (transaction, class) = take_class(gateway, broadcast).await?;
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
    let request = SubmitTransactionRequest {
        transaction: Some(transaction),
        class: class.as_ref().and_then(TakenClass::to_wire),
    };
    match gateway.sequencer().submit_transaction(request).await {
        Ok(answer) => {
            let hash = answer.into_inner().transaction_hash;
            let hash = wire_felt::transaction_hash("transaction_hash", &hash)
                .map_err(|error| RpcError::internal("submit a transaction", &error))?;
            if let Some(TakenClass::Compiled(class)) = &class {
                gateway.classes().stored(class.hashes);
            }
            Ok(Submission { hash, sender, class_hash: class.map(|class| class.class_hash()) })
        }
        Err(status) => Err(refusal(&status)),
    }
}

/// Compiles the class of a declare and puts its hash into the transaction.
pub async fn take_class(
    gateway: &Gateway,
    broadcast: Broadcast,
) -> Result<(Transaction, Option<TakenClass>), RpcError> {
    match (broadcast.transaction, broadcast.class) {
        (Transaction::Declare(DeclareTransaction::V3(mut declare)), Some(class)) => {
            let taken = gateway.classes().compile(*class, declare.compiled_class_hash).await?;
            declare.class_hash = taken.class_hash();
            Ok((Transaction::Declare(DeclareTransaction::V3(declare)), Some(taken)))
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
        Some(SubmitError::MempoolFull) => RpcError::MempoolFull,
        Some(SubmitError::Unspecified) | None => match status.code() {
            tonic::Code::AlreadyExists => RpcError::DuplicateTransaction,
            tonic::Code::FailedPrecondition => RpcError::Unexpected(message),
            tonic::Code::InvalidArgument => RpcError::MalformedTransaction(message),
            _ => {
                tracing::error!(%status, "the sequencer did not take a transaction");
                RpcError::SequencerUnavailable
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
            error => Self::MalformedTransaction(error.to_string()),
        }
    }
}
