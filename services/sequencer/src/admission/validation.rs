//! Asks an executor to run the account's validation before a transaction is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sidereal_execution::outcome::{Rejection, RejectionReason};
use sidereal_execution::query::QueryError;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::executor::{PendingState, StateAt, ValidateRequest};
use sidereal_proto::transaction::to_wire;
use sidereal_proto::types::DeclaredClass;
use sidereal_proto::{ConversionError, payload};
use sidereal_service::ErrorClass;
use starknet_api::block::BlockNumber;
use starknet_api::transaction::TransactionHash;
use tonic::{Request, Status};

use super::SubmitRefusal;
use crate::production::Executor;
use crate::shared::OpenState;

/// Spreads validations over the executors, and goes on to the next one when one is out of reach.
#[derive(Clone, Debug)]
pub struct Validator {
    executors: Arc<[Executor]>,
    turn: Arc<AtomicUsize>,
    timeout: Duration,
}

impl Validator {
    /// Over these executors; at least one.
    pub fn new(executors: &[Executor], timeout: Duration) -> Self {
        Self { executors: executors.into(), turn: Arc::default(), timeout }
    }

    /// Runs the account's validation over the state of a closed block.
    pub async fn validate(
        &self,
        head: BlockNumber,
        transaction: &BlockTransaction,
        class: Option<&DeclaredClass>,
    ) -> Result<(), SubmitRefusal> {
        let at = StateAt { block_number: Some(head.0), pending: None };
        self.validate_at(at, transaction, class).await
    }

    /// Runs the account's validation over the state of the open blocks.
    pub async fn validate_open(
        &self,
        open: &OpenState,
        transaction: &BlockTransaction,
        class: Option<&DeclaredClass>,
    ) -> Result<(), SubmitRefusal> {
        let unwritable = |error: ConversionError| SubmitRefusal::Executor(Box::new(error.into()));
        let pending = PendingState {
            environment_json: payload::encode("environment_json", &*open.environment)
                .map_err(unwritable)?,
            state_diffs_json: open.diffs_json().map_err(unwritable)?,
        };
        let at = StateAt { block_number: Some(open.base.0), pending: Some(pending) };
        self.validate_at(at, transaction, class).await
    }

    async fn validate_at(
        &self,
        at: StateAt,
        transaction: &BlockTransaction,
        class: Option<&DeclaredClass>,
    ) -> Result<(), SubmitRefusal> {
        let wire = to_wire(&transaction.hash, &transaction.transaction).map_err(|error| {
            SubmitRefusal::Executor(Box::new(Status::internal(error.to_string())))
        })?;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failed = Status::unavailable("no executor is configured");
        for offset in 0..self.executors.len() {
            let turn = first.wrapping_add(offset) % self.executors.len();
            let Some(executor) = self.executors.get(turn) else { continue };
            let mut request = Request::new(ValidateRequest {
                transaction: Some(wire.clone()),
                at: Some(at.clone()),
                class: class.cloned(),
            });
            request.set_timeout(self.timeout);
            match executor.client().validate(request).await {
                Ok(_) => return Ok(()),
                Err(status) => match rejection(&transaction.hash, &status) {
                    Some(rejection) => return Err(SubmitRefusal::Invalid(rejection)),
                    None => failed = status,
                },
            }
        }
        Err(SubmitRefusal::Executor(Box::new(failed)))
    }
}

/// The rejection in a status, or `None` if the executor and not the transaction is at fault.
fn rejection(hash: &TransactionHash, status: &Status) -> Option<Rejection> {
    if let Ok(rejection) = serde_json::from_slice::<Rejection>(status.details()) {
        return Some(rejection);
    }
    match serde_json::from_slice::<QueryError>(status.details()) {
        Ok(QueryError::TransactionExecution { reason, message, .. }) => {
            let reason = reason.unwrap_or(RejectionReason::ValidationFailed);
            Some(Rejection { hash: *hash, reason, message })
        }
        Ok(QueryError::Internal { .. }) => None,
        _ => match ErrorClass::of_status(status) {
            ErrorClass::Invalid | ErrorClass::Conflict | ErrorClass::NotFound => Some(Rejection {
                hash: *hash,
                reason: RejectionReason::ValidationFailed,
                message: status.message().to_owned(),
            }),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    /// Pins down that an executor that is ill is not taken for a transaction that is invalid.
    #[test]
    fn only_verdicts_on_the_transaction_reject_it() {
        let hash = TransactionHash(7_u8.into());
        let verdict = Rejection {
            hash,
            reason: RejectionReason::InsufficientBalance,
            message: "too poor".to_owned(),
        };
        let details = serde_json::to_vec(&verdict).unwrap();
        let status = Status::with_details(Code::FailedPrecondition, "", details.into());
        assert_eq!(rejection(&hash, &status), Some(verdict));

        let error = QueryError::TransactionExecution {
            index: 0,
            reason: Some(RejectionReason::NonceTooOld),
            message: "old".to_owned(),
        };
        let details = serde_json::to_vec(&error).unwrap();
        let status = Status::with_details(Code::FailedPrecondition, "", details.into());
        let reason = rejection(&hash, &status).map(|rejection| rejection.reason);
        assert_eq!(reason, Some(RejectionReason::NonceTooOld));

        let error = QueryError::Internal { message: "the disk is full".to_owned() };
        let details = serde_json::to_vec(&error).unwrap();
        let status = Status::with_details(Code::Internal, "", details.into());
        assert_eq!(rejection(&hash, &status), None);
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Unauthenticated] {
            assert_eq!(rejection(&hash, &Status::new(code, "")), None);
        }
    }
}
