//! The table of errors is the specification's.

use std::collections::BTreeMap;

use sidereal_gateway::{ExecutionFailure, RpcError, UntracedStatus};

use crate::stack::SPEC;

/// Every error that the specification's methods may answer has a variant with its code and message, and no
/// variant has a code of the specification with another message.
#[test]
fn codes_and_messages_are_those_of_the_specification() {
    let text = String::new;
    let failure = || ExecutionFailure::Message(String::new());
    let ours: BTreeMap<i64, String> = [
        RpcError::NoTraceAvailable { status: UntracedStatus::Received },
        RpcError::ContractNotFound,
        RpcError::EntrypointNotFound,
        RpcError::BlockNotFound,
        RpcError::InvalidTransactionIndex,
        RpcError::ClassHashNotFound,
        RpcError::TransactionRejected(text()),
        RpcError::TransactionHashNotFound,
        RpcError::PageSizeTooBig,
        RpcError::NoBlocks,
        RpcError::InvalidContinuationToken,
        RpcError::TooManyKeysInFilter,
        RpcError::ContractError { revert_error: failure() },
        RpcError::TransactionExecution { transaction_index: 0, execution_error: failure() },
        RpcError::StorageProofNotSupported,
        RpcError::ClassAlreadyDeclared,
        RpcError::InvalidTransactionNonce(text()),
        RpcError::InsufficientResourcesForValidate,
        RpcError::InsufficientAccountBalance,
        RpcError::ValidationFailure(text()),
        RpcError::CompilationFailed(text()),
        RpcError::ContractClassSizeIsTooLarge,
        RpcError::NonAccount,
        RpcError::DuplicateTransaction,
        RpcError::CompiledClassHashMismatch,
        RpcError::UnsupportedTransactionVersion,
        RpcError::UnsupportedContractClassVersion,
        RpcError::Unexpected(text()),
        RpcError::MalformedTransaction(text()),
        RpcError::MempoolFull,
        RpcError::SequencerUnavailable,
        RpcError::ReplacementTransactionUnderpriced,
        RpcError::FeeBelowMinimum,
        RpcError::InvalidProof,
        RpcError::CompilationError { compilation_error: text() },
    ]
    .iter()
    .map(|error| (i64::from(error.code()), error.to_string()))
    .collect();
    let specified: BTreeMap<i64, String> =
        SPEC.methods().iter().flat_map(|method| SPEC.errors(method.name)).collect();
    assert_eq!(ours, specified);
}

/// What the specification has one code for says in its data what it is.
#[test]
fn errors_without_a_code_of_their_own_are_told_apart_by_their_data() {
    let reason = || "because".to_owned();
    for (error, data) in [
        (RpcError::Unexpected(reason()), "because"),
        (RpcError::MalformedTransaction(reason()), "because"),
        (RpcError::MempoolFull, "the mempool is full, try again later"),
        (RpcError::SequencerUnavailable, "the sequencer cannot be reached, try again later"),
    ] {
        assert_eq!((error.code(), error.data()), (63, Some(data.into())));
    }
}

/// A nested failure is the specification's structure, inside out.
#[test]
fn execution_failures_nest() {
    let inner = ExecutionFailure::Message("no".to_owned());
    let outer = ExecutionFailure::Call {
        contract_address: 1.into(),
        class_hash: 2.into(),
        selector: 3.into(),
        error: Box::new(inner),
    };
    let json = serde_json::to_value(&outer).unwrap();
    SPEC.check_component("CONTRACT_EXECUTION_ERROR", &json).unwrap();
    assert_eq!(serde_json::from_value::<ExecutionFailure>(json).unwrap(), outer);
}
