//! `sidereal.executor.v1`: from the wire to blocks and queries, and back.

use std::sync::Arc;

use serde::Serialize;
use sidereal_execution::outcome::shorten;
use sidereal_execution::query::SimulationFlags;
use sidereal_proto::executor as wire;
use sidereal_proto::executor::executor_service_server::ExecutorService;
use sidereal_proto::types;
use sidereal_proto::{ConversionError, felt, payload, transaction};
use sidereal_service::{Classified, ErrorClass, Shutdown, to_status};
use starknet_api::block::BlockNumber;
use starknet_api::core::EntryPointSelector;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::block_stream;
use crate::pending::StateAt;
use crate::queries::QueryFailure;
use crate::service::Shared;

/// The service.
pub(crate) struct ExecutorGrpc {
    pub(crate) shared: Arc<Shared>,
    /// A permit an open block.
    pub(crate) open_blocks: Arc<Semaphore>,
    pub(crate) shutdown: Shutdown,
}

/// No block can be opened.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("as many blocks are open as this executor takes")]
    Busy,
    #[error("this executor is shutting down")]
    Draining,
}

impl Classified for Refused {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Busy => ErrorClass::Exhausted,
            Self::Draining => ErrorClass::Unavailable,
        }
    }
}

#[tonic::async_trait]
impl ExecutorService for ExecutorGrpc {
    type ExecuteBlockStream = ReceiverStream<Result<wire::ExecuteBlockResponse, Status>>;

    async fn execute_block(
        &self,
        request: Request<Streaming<wire::ExecuteBlockRequest>>,
    ) -> Result<Response<Self::ExecuteBlockStream>, Status> {
        if self.shutdown.is_triggered() {
            return Err(to_status(&Refused::Draining));
        }
        let permit = self.open_blocks.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => to_status(&Refused::Busy),
            TryAcquireError::Closed => to_status(&Refused::Draining),
        })?;
        let guard = self.shutdown.guard("open block");
        let answers =
            block_stream::answer(self.shared.clone(), request.into_inner(), permit, guard);
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn call(
        &self,
        request: Request<wire::CallRequest>,
    ) -> Result<Response<wire::CallResponse>, Status> {
        let request = request.into_inner();
        let contract =
            felt::address("contract_address", &request.contract_address).map_err(field)?;
        let selector =
            felt::felt("entry_point_selector", &request.entry_point_selector).map_err(field)?;
        let calldata = felt::felts("calldata", &request.calldata).map_err(field)?;
        let result = self
            .shared
            .call(
                StateAt::read(request.at).map_err(status)?,
                contract,
                EntryPointSelector(selector),
                calldata,
            )
            .await
            .map_err(status)?;
        let result = result.iter().map(felt::felt_bytes).collect();
        Ok(Response::new(wire::CallResponse { result }))
    }

    async fn simulate(
        &self,
        request: Request<wire::SimulateRequest>,
    ) -> Result<Response<wire::SimulateResponse>, Status> {
        let request = request.into_inner();
        let at = StateAt::read(request.at).map_err(status)?;
        let flags = SimulationFlags {
            skip_validate: request.skip_validate,
            skip_fee_charge: request.skip_fee_charge,
            with_traces: request.with_traces,
            fail_on_revert: request.fail_on_revert,
        };
        let transactions = request
            .transactions
            .into_iter()
            .map(transaction::from_wire)
            .collect::<Result<Vec<_>, _>>()
            .map_err(field)?;
        let simulated =
            self.shared.simulate(at, transactions, request.classes, flags).await.map_err(status)?;
        let simulated_json = payload::encode("simulated_json", &simulated).map_err(unwritable)?;
        Ok(Response::new(wire::SimulateResponse { simulated_json }))
    }

    async fn trace_block(
        &self,
        request: Request<wire::TraceBlockRequest>,
    ) -> Result<Response<wire::TraceBlockResponse>, Status> {
        let number = BlockNumber(request.into_inner().block_number);
        let traces = self.shared.trace_block(number).await.map_err(status)?;
        let traces_json = payload::encode("traces_json", &traces).map_err(unwritable)?;
        Ok(Response::new(wire::TraceBlockResponse { traces_json }))
    }

    async fn validate(
        &self,
        request: Request<wire::ValidateRequest>,
    ) -> Result<Response<wire::ValidateResponse>, Status> {
        let request = request.into_inner();
        let transaction: types::Transaction = request
            .transaction
            .ok_or_else(|| Status::invalid_argument("transaction is missing"))?;
        let received = transaction::from_wire(transaction).map_err(field)?;
        self.shared
            .validate(StateAt::read(request.at).map_err(status)?, received, request.class)
            .await
            .map_err(status)?;
        Ok(Response::new(wire::ValidateResponse {}))
    }
}

fn field(error: ConversionError) -> Status {
    status(QueryFailure::Field(error))
}

fn unwritable(error: ConversionError) -> Status {
    tracing::error!(%error, "an answer cannot be written");
    Status::internal("the answer cannot be written")
}

/// The status, with the query's own error or the rejection as JSON in its details.
fn status(failure: QueryFailure) -> Status {
    let plain = to_status(&failure);
    let details = match failure {
        QueryFailure::Query(error) => details(|limit| error.clone().shortened(limit)),
        QueryFailure::Rejected(rejection) => details(|limit| rejection.clone().shortened(limit)),
        _ => return plain,
    };
    // The words are in the details.
    let message = shorten(plain.message(), MAX_WORDS_BYTES);
    match details {
        Some(details) => Status::with_details(plain.code(), message, details.into()),
        None => plain,
    }
}

/// The JSON of an error, whose words are shortened as far as it takes to travel.
fn details<T: Serialize>(shortened: impl Fn(usize) -> T) -> Option<Vec<u8>> {
    // A character takes up to six bytes in JSON, so the last of them always fits.
    [usize::MAX, 4 * 1024, 2 * 1024, 1024, 512]
        .into_iter()
        .filter_map(|limit| serde_json::to_vec(&shortened(limit)).ok())
        .find(|json| json.len() <= MAX_DETAILS_BYTES)
}

/// Details travel in a header: HTTP/2 peers accept some 16 KiB of them, and details are sent in base64.
const MAX_DETAILS_BYTES: usize = 8 * 1024;

/// Of the words beside the details, which travel in a header, too; some of their bytes are sent as three.
const MAX_WORDS_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use sidereal_execution::outcome::{Rejection, RejectionReason};
    use sidereal_execution::query::QueryError;
    use starknet_api::transaction::TransactionHash;

    use super::*;

    /// Pins down that an error keeps its type, its index and the ends of its words however long they are.
    #[test]
    fn long_errors_travel_shortened() {
        // What JSON writes longest, and what a caller would look for.
        for filler in ["x", "\u{1}", "ä", "\n"] {
            let message = format!("the call{}the cause", filler.repeat(100_000));
            let error = QueryError::TransactionExecution { index: 7, reason: None, message };
            let status = status(QueryFailure::Query(error));
            assert!(status.details().len() <= MAX_DETAILS_BYTES);
            assert!(status.message().len() < 2 * MAX_WORDS_BYTES);
            let error: QueryError = serde_json::from_slice(status.details()).unwrap();
            let QueryError::TransactionExecution { index: 7, reason: None, message } = error else {
                panic!("{error:?}");
            };
            assert!(message.starts_with("the call") && message.ends_with("the cause"), "{message}");
        }
        let rejection = Rejection {
            hash: TransactionHash::default(),
            reason: RejectionReason::NotAnAccount,
            message: "no".repeat(100_000),
        };
        let status = status(QueryFailure::Rejected(rejection));
        let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
        assert_eq!(rejection.reason, RejectionReason::NotAnAccount);
    }
}
