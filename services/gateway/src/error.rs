//! Every way a call can fail, and the one place where it becomes a JSON-RPC error.
//!
//! Codes, messages and the shape of `data` are those of the OpenRPC files of JSON-RPC 0.10
//! (`integration-tests/specs/v0.10`); a test compares them with the files.

use jsonrpsee::types::ErrorObjectOwned;
use serde_json::{Value, json};

/// What a JSON-RPC method answers when it does not answer a result.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    // Reads.
    #[error("Contract not found")]
    ContractNotFound,
    #[error("Requested entry point does not exist in the contract")]
    EntrypointNotFound,
    #[error("Block not found")]
    BlockNotFound,
    #[error("Invalid transaction index in a block")]
    InvalidTransactionIndex,
    #[error("Class hash not found")]
    ClassHashNotFound,
    #[error("Transaction hash not found")]
    TransactionHashNotFound,
    /// It left the mempool without ever being in a block, for this reason.
    #[error("Transaction hash not found")]
    TransactionRejected(String),
    #[error("Requested page size is too big")]
    PageSizeTooBig,
    #[error("There are no blocks")]
    NoBlocks,
    #[error("The supplied continuation token is invalid or unknown")]
    InvalidContinuationToken,
    #[error("Too many keys provided in a filter")]
    TooManyKeysInFilter,
    #[error("the node doesn't support storage proofs for blocks that are too far in the past")]
    StorageProofNotSupported,
    #[error("Failed to compile the contract")]
    CompilationError { compilation_error: String },

    // Execution and traces.
    #[error("No trace available for transaction")]
    NoTraceAvailable { status: UntracedStatus },
    #[error("Contract error")]
    ContractError { revert_error: ExecutionFailure },
    #[error("Transaction execution error")]
    TransactionExecution { transaction_index: usize, execution_error: ExecutionFailure },

    // Submission.
    #[error("Class already declared")]
    ClassAlreadyDeclared,
    #[error("Invalid transaction nonce")]
    InvalidTransactionNonce(String),
    #[error("The transaction's resources don't cover validation or the minimal transaction fee")]
    InsufficientResourcesForValidate,
    #[error(
        "Account balance is smaller than the transaction's maximal fee (calculated as the sum of each resource's limit x max price)"
    )]
    InsufficientAccountBalance,
    #[error("Account validation failed")]
    ValidationFailure(String),
    #[error("Compilation failed")]
    CompilationFailed(String),
    #[error("Contract class size is too large")]
    ContractClassSizeIsTooLarge,
    #[error("Sender address is not an account contract")]
    NonAccount,
    #[error("A transaction with the same hash already exists in the mempool")]
    DuplicateTransaction,
    #[error("the compiled class hash did not match the one supplied in the transaction")]
    CompiledClassHashMismatch,
    #[error("the transaction version is not supported")]
    UnsupportedTransactionVersion,
    #[error("the contract class version is not supported")]
    UnsupportedContractClassVersion,
    /// The state refuses it, for a reason that the specification has no error for; nor has it one for the next three.
    #[error("An unexpected error occurred")]
    Unexpected(String),
    /// Whatever the state is, it can never be taken.
    #[error("An unexpected error occurred")]
    MalformedTransaction(String),
    #[error("An unexpected error occurred")]
    MempoolFull,
    #[error("An unexpected error occurred")]
    SequencerUnavailable,
    #[error("Replacement transaction is underpriced")]
    ReplacementTransactionUnderpriced,
    #[error("Transaction fee below minimum")]
    FeeBelowMinimum,
    #[error("The proof field in the invoke v3 transaction is invalid")]
    InvalidProof,

    // JSON-RPC itself.
    #[error("Invalid params")]
    InvalidParams(String),
    /// A method of the specification that this chain cannot serve, and why.
    #[error("Method not supported")]
    NotSupported(&'static str),
    #[error("Too many requests are in progress")]
    Busy,
    #[error("The request took too long")]
    TimedOut,
    /// Something failed on our side. The cause is logged where it happened; callers get the operation only.
    #[error("Internal error")]
    Internal { operation: &'static str },
}

/// Why a transaction has no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UntracedStatus {
    Received,
    Rejected,
}

/// `CONTRACT_EXECUTION_ERROR`: the stack of calls down to the message of the innermost one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ExecutionFailure {
    Call {
        contract_address: starknet_types_core::felt::Felt,
        class_hash: starknet_types_core::felt::Felt,
        selector: starknet_types_core::felt::Felt,
        error: Box<ExecutionFailure>,
    },
    Message(String),
}

/// Our own codes, from the range that JSON-RPC 2.0 leaves to servers.
const BUSY: i32 = -32005;
const TIMED_OUT: i32 = -32008;
const INVALID_PARAMS: i32 = -32602;
const METHOD_NOT_FOUND: i32 = -32601;
const INTERNAL: i32 = -32603;

impl RpcError {
    /// Logs the cause and keeps it from the caller, who could do nothing with it.
    pub fn internal(operation: &'static str, cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(operation, error = %sidereal_service::error_chain(cause), "a read or call behind the JSON-RPC failed");
        Self::Internal { operation }
    }

    pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Self::InvalidParams(format!("{field}: {problem}"))
    }

    /// The code of the specification.
    pub fn code(&self) -> i32 {
        match self {
            Self::NoTraceAvailable { .. } => 10,
            Self::ContractNotFound => 20,
            Self::EntrypointNotFound => 21,
            Self::BlockNotFound => 24,
            Self::InvalidTransactionIndex => 27,
            Self::ClassHashNotFound => 28,
            Self::TransactionHashNotFound | Self::TransactionRejected(_) => 29,
            Self::PageSizeTooBig => 31,
            Self::NoBlocks => 32,
            Self::InvalidContinuationToken => 33,
            Self::TooManyKeysInFilter => 34,
            Self::ContractError { .. } => 40,
            Self::TransactionExecution { .. } => 41,
            Self::StorageProofNotSupported => 42,
            Self::ClassAlreadyDeclared => 51,
            Self::InvalidTransactionNonce(_) => 52,
            Self::InsufficientResourcesForValidate => 53,
            Self::InsufficientAccountBalance => 54,
            Self::ValidationFailure(_) => 55,
            Self::CompilationFailed(_) => 56,
            Self::ContractClassSizeIsTooLarge => 57,
            Self::NonAccount => 58,
            Self::DuplicateTransaction => 59,
            Self::CompiledClassHashMismatch => 60,
            Self::UnsupportedTransactionVersion => 61,
            Self::UnsupportedContractClassVersion => 62,
            Self::Unexpected(_)
            | Self::MalformedTransaction(_)
            | Self::MempoolFull
            | Self::SequencerUnavailable => 63,
            Self::ReplacementTransactionUnderpriced => 64,
            Self::FeeBelowMinimum => 65,
            Self::InvalidProof => 69,
            Self::CompilationError { .. } => 100,
            Self::Busy => BUSY,
            Self::TimedOut => TIMED_OUT,
            Self::InvalidParams(_) => INVALID_PARAMS,
            Self::NotSupported(_) => METHOD_NOT_FOUND,
            Self::Internal { .. } => INTERNAL,
        }
    }

    /// The `data` member, where the specification has one or where it says what was wrong.
    pub fn data(&self) -> Option<Value> {
        match self {
            Self::NoTraceAvailable { status } => Some(json!({
                "status": match status {
                    UntracedStatus::Received => "RECEIVED",
                    UntracedStatus::Rejected => "REJECTED",
                }
            })),
            Self::ContractError { revert_error } => Some(json!({ "revert_error": revert_error })),
            Self::TransactionExecution { transaction_index, execution_error } => Some(json!({
                "transaction_index": transaction_index,
                "execution_error": execution_error,
            })),
            Self::CompilationError { compilation_error } => {
                Some(json!({ "compilation_error": compilation_error }))
            }
            Self::InvalidTransactionNonce(text)
            | Self::ValidationFailure(text)
            | Self::CompilationFailed(text)
            | Self::Unexpected(text)
            | Self::MalformedTransaction(text)
            | Self::InvalidParams(text) => Some(Value::String(text.clone())),
            Self::MempoolFull => Some(json!("the mempool is full, try again later")),
            Self::SequencerUnavailable => {
                Some(json!("the sequencer cannot be reached, try again later"))
            }
            Self::TransactionRejected(reason) => Some(Value::String(format!("rejected: {reason}"))),
            Self::NotSupported(reason) => Some(Value::String((*reason).to_owned())),
            Self::Internal { operation } => Some(Value::String(format!("failed to {operation}"))),
            _ => None,
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        ErrorObjectOwned::owned(error.code(), error.to_string(), error.data())
    }
}
