//! Why a transaction is not accepted, and the one mapping of that to the wire.

use std::sync::Arc;

use sidereal_chain_store::{ChainStoreError, Removal};
use sidereal_execution::outcome::{Rejection, RejectionReason};
use sidereal_execution::transaction::TransactionError;
use sidereal_object_store::ObjectStoreError;
use sidereal_proto::sequencer::SubmitError as WireReason;
use sidereal_service::{Classified, ErrorClass};
use starknet_api::core::ClassHash;
use starknet_api::transaction::TransactionHash;
use starknet_api::transaction::fields::Resource;
use starknet_types_core::felt::Felt;

use crate::mempool::{Refusal, Removed};
use crate::production::EnvironmentError;

/// A transaction is not in the mempool, and this is why.
#[derive(Debug, thiserror::Error)]
pub enum SubmitRefusal {
    /// Not a transaction of this chain.
    #[error("the transaction is malformed")]
    Malformed(#[source] TransactionError),
    /// The hash it came with is not its hash.
    #[error("the transaction came as {:#x}, its hash on this chain is {:#x}", claimed.0, computed.0)]
    WrongHash {
        /// As it came.
        claimed: TransactionHash,
        /// Of its fields.
        computed: TransactionHash,
    },
    /// Its nonce is no number that counting from zero reaches.
    #[error("nonce {nonce:#x} has more than 64 bits")]
    NonceRange {
        /// The nonce.
        nonce: Felt,
    },
    /// It has a field that the protocol reserves for later.
    #[error("{field} are not supported")]
    Unsupported {
        /// Which one.
        field: &'static str,
    },
    /// It is larger than the bound.
    #[error("the transaction has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// As stored, in bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// It offers less than the price of gas.
    #[error(
        "the maximal price of {resource:?} is {offered} FRI, the current price is {minimum} FRI"
    )]
    PriceTooLow {
        /// Of which gas.
        resource: Resource,
        /// In FRI.
        offered: u128,
        /// In FRI.
        minimum: u128,
    },
    /// The mempool's rules.
    #[error(transparent)]
    Pool(#[from] Refusal),
    /// The class it declares is declared.
    #[error("class {:#x} is declared already", class_hash.0)]
    ClassAlreadyDeclared {
        /// The class.
        class_hash: ClassHash,
    },
    /// The class it declares neither came with it nor is in the object store.
    #[error("class {:#x} is not in the object store", class_hash.0)]
    ClassNotStored {
        /// The class.
        class_hash: ClassHash,
    },
    /// The account or the fee rules refuse it.
    #[error("the transaction is not valid now")]
    Invalid(#[source] Rejection),
    /// As many submissions are in hand as may be.
    #[error("too many submissions at the same time")]
    Overloaded,
    /// The service stops.
    #[error("the sequencer is stopping")]
    Stopping,
    /// No executor could validate it.
    #[error("no executor can validate the transaction now")]
    Executor(#[source] Box<tonic::Status>),
    /// The chain store did not answer.
    #[error("the transaction cannot be checked")]
    Store(#[source] ChainStoreError),
    /// The block that it could get into is not known.
    #[error("the transaction cannot be checked")]
    NextBlock(#[source] EnvironmentError),
    /// The object store did not answer.
    #[error("the declared class cannot be looked up or stored")]
    Objects(#[source] ObjectStoreError),
    /// It could not be stored.
    #[error("the transaction could not be made durable")]
    NotDurable(#[source] Arc<ChainStoreError>),
    /// It cannot be written as JSON.
    #[error("the transaction cannot be encoded")]
    Encode(#[source] serde_json::Error),
}

impl SubmitRefusal {
    /// The class of the refusal as it travels, if the transaction is to blame.
    pub fn wire_reason(&self) -> WireReason {
        match self {
            Self::Pool(refusal) => match refusal {
                Refusal::Duplicate(_) => WireReason::Duplicate,
                Refusal::NonceTooOld { .. }
                | Refusal::NonceTooFarAhead { .. }
                | Refusal::NonceInOpenBlock { .. } => WireReason::InvalidNonce,
                Refusal::ReplacementUnderpriced { .. } => WireReason::ReplacementUnderpriced,
                Refusal::Full => WireReason::MempoolFull,
            },
            Self::NonceRange { .. } => WireReason::InvalidNonce,
            Self::PriceTooLow { .. } => WireReason::FeeBelowMinimum,
            Self::ClassAlreadyDeclared { .. } => WireReason::ClassAlreadyDeclared,
            Self::Overloaded => WireReason::MempoolFull,
            Self::Invalid(rejection) => match rejection.reason {
                RejectionReason::NonceTooOld | RejectionReason::NonceTooHigh => {
                    WireReason::InvalidNonce
                }
                RejectionReason::InsufficientResourceBounds => WireReason::InsufficientResources,
                RejectionReason::InsufficientBalance => WireReason::InsufficientBalance,
                RejectionReason::ClassAlreadyDeclared => WireReason::ClassAlreadyDeclared,
                RejectionReason::InvalidClass => WireReason::CompiledClassHashMismatch,
                RejectionReason::NotAnAccount => WireReason::NonAccount,
                RejectionReason::ValidationFailed
                | RejectionReason::InvalidAccount
                | RejectionReason::TooLarge
                | RejectionReason::Malformed
                | RejectionReason::ConstructorFailed
                | RejectionReason::Other => WireReason::ValidationFailure,
            },
            Self::Malformed(_)
            | Self::WrongHash { .. }
            | Self::Unsupported { .. }
            | Self::TooLarge { .. }
            | Self::ClassNotStored { .. }
            | Self::Stopping
            | Self::Executor(_)
            | Self::Store(_)
            | Self::NextBlock(_)
            | Self::Objects(_)
            | Self::NotDurable(_)
            | Self::Encode(_) => WireReason::Unspecified,
        }
    }
}

impl Classified for SubmitRefusal {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Malformed(_)
            | Self::WrongHash { .. }
            | Self::NonceRange { .. }
            | Self::Unsupported { .. }
            | Self::TooLarge { .. } => ErrorClass::Invalid,
            Self::Pool(Refusal::Duplicate(_)) => ErrorClass::AlreadyExists,
            Self::Pool(Refusal::Full) | Self::Overloaded => ErrorClass::Exhausted,
            Self::Pool(_)
            | Self::PriceTooLow { .. }
            | Self::ClassAlreadyDeclared { .. }
            | Self::ClassNotStored { .. }
            | Self::Invalid(_) => ErrorClass::Conflict,
            Self::Stopping | Self::Executor(_) => ErrorClass::Unavailable,
            Self::Store(error) | Self::NextBlock(EnvironmentError::Store { source: error, .. }) => {
                store_class(error)
            }
            Self::NextBlock(_) => ErrorClass::Internal,
            Self::NotDurable(error) => store_class(error),
            Self::Objects(error) => error.class(),
            Self::Encode(_) => ErrorClass::Internal,
        }
    }
}

fn store_class(error: &ChainStoreError) -> ErrorClass {
    match error {
        error if error.is_retryable() => ErrorClass::Unavailable,
        ChainStoreError::Damaged { .. } => ErrorClass::Corrupt,
        _ => ErrorClass::Internal,
    }
}

/// The record of a transaction that left the pool.
pub fn removal(hash: TransactionHash, why: Removed) -> Removal {
    let (reason, message) = match why {
        Removed::Replaced { by } => {
            ("replaced", format!("transaction {:#x} has the same nonce and pays more", by.0))
        }
        Removed::Evicted => {
            ("evicted", "the mempool was full of transactions that come before it".to_owned())
        }
        Removed::Expired => ("expired", "it waited too long".to_owned()),
        Removed::NonceConsumed => {
            ("nonce_too_old", "another transaction consumed its nonce".to_owned())
        }
    };
    Removal { hash, reason: reason.to_owned(), message }
}
