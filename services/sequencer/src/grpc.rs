//! `sidereal.sequencer.v1`.

use sidereal_chain_store::{ChainStore, ChainStoreError, StoredTransaction, TransactionStatus};
use sidereal_execution::outcome::TransactionReceipt;
use sidereal_proto::sequencer::sequencer_service_server::SequencerService;
use sidereal_proto::sequencer::{
    GetPendingNonceRequest, GetPendingNonceResponse, GetPreConfirmedBlockRequest,
    GetPreConfirmedBlockResponse, GetPreConfirmedStateRequest, GetPreConfirmedStateResponse,
    GetTransactionStatusRequest, GetTransactionStatusResponse, SubmitError,
    SubmitTransactionRequest, SubmitTransactionResponse, get_pre_confirmed_block_response,
    get_pre_confirmed_state_response,
};
use sidereal_proto::types::{self, ExecutionStatus, FinalityStatus};
use sidereal_proto::{felt, payload, transaction};
use sidereal_service::{Classified as _, error_chain, to_status};
use starknet_api::transaction::{TransactionExecutionStatus, TransactionHash};
use starknet_types_core::felt::Felt;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::admission::{Admission, SubmitRefusal};
use crate::next_block::NextBlock;
use crate::production::{EnvironmentError, stored_receipt};
use crate::shared::Shared;

/// Metadata key of the class of a refusal.
pub const SUBMIT_ERROR_KEY: &str = "sidereal-submit-error";

/// The service.
#[derive(Clone)]
pub struct SequencerApi {
    shared: Shared,
    admission: Admission,
    next: NextBlock,
    store: ChainStore,
}

impl SequencerApi {
    /// Answers from these.
    pub fn new(shared: Shared, admission: Admission, next: NextBlock, store: ChainStore) -> Self {
        Self { shared, admission, next, store }
    }
}

fn refused(refusal: &SubmitRefusal) -> Status {
    let mut status = to_status(refusal);
    let reason = refusal.wire_reason();
    metrics::counter!(
        "submissions_refused_total",
        "reason" => reason.as_str_name(),
        "class" => format!("{:?}", refusal.class())
    )
    .increment(1);
    if reason != SubmitError::Unspecified {
        let name = MetadataValue::from_static(reason.as_str_name());
        status.metadata_mut().insert(SUBMIT_ERROR_KEY, name);
    }
    status
}

fn store_failed(error: &ChainStoreError) -> Status {
    let message = error_chain(error);
    tracing::error!(error = %message, "request failed");
    if error.is_retryable() { Status::unavailable(message) } else { Status::internal(message) }
}

fn no_next_block(error: &EnvironmentError) -> Status {
    match error {
        EnvironmentError::Store { source, .. } => store_failed(source),
        EnvironmentError::Missing { .. } | EnvironmentError::NoNumber { .. } => {
            let message = error_chain(error);
            tracing::error!(error = %message, "request failed");
            Status::internal(message)
        }
    }
}

#[tonic::async_trait]
impl SequencerService for SequencerApi {
    async fn submit_transaction(
        &self,
        request: Request<SubmitTransactionRequest>,
    ) -> Result<Response<SubmitTransactionResponse>, Status> {
        let wire = request.into_inner().transaction;
        let wire =
            wire.ok_or_else(|| Status::invalid_argument("field `transaction`: is missing"))?;
        let received = transaction::from_wire(wire).map_err(|error| error.within("transaction"))?;
        match self.admission.submit(received).await {
            Ok(hash) => {
                metrics::counter!("submissions_accepted_total").increment(1);
                let transaction_hash = felt::felt_bytes(&hash.0);
                Ok(Response::new(SubmitTransactionResponse { transaction_hash }))
            }
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    async fn get_transaction_status(
        &self,
        request: Request<GetTransactionStatusRequest>,
    ) -> Result<Response<GetTransactionStatusResponse>, Status> {
        let hash = request.into_inner().transaction_hash;
        let hash = felt::transaction_hash("transaction_hash", &hash)?;
        if let Some(found) = self.in_memory(&hash)? {
            return Ok(Response::new(found));
        }
        let stored = self.store.transaction_status(&hash).await;
        let stored = stored.map_err(|error| store_failed(&error))?;
        let status = match stored {
            None => {
                return Err(Status::not_found(format!("transaction {:#x} is not known", hash.0)));
            }
            // Between two looks it went from memory to the store, or waits for its removal to be recorded.
            Some(TransactionStatus::Waiting) => bare(&hash, FinalityStatus::Received),
            Some(TransactionStatus::Removed(removal)) => types::TransactionStatus {
                failure_reason: format!("{}: {}", removal.reason, removal.message),
                ..bare(&hash, FinalityStatus::Rejected)
            },
            Some(TransactionStatus::InBlock(_)) => self.in_block(&hash).await?,
        };
        Ok(Response::new(GetTransactionStatusResponse { status: Some(status), transaction: None }))
    }

    async fn get_pre_confirmed_block(
        &self,
        _request: Request<GetPreConfirmedBlockRequest>,
    ) -> Result<Response<GetPreConfirmedBlockResponse>, Status> {
        let open = self.next.block().await.map_err(|error| no_next_block(&error))?;
        let environment = &open.environment;
        let mut transactions = Vec::with_capacity(open.included.len());
        let mut receipts_json = Vec::with_capacity(open.included.len());
        for (included, receipt) in &open.included {
            transactions.push(transaction::to_wire(&included.hash, &included.transaction)?);
            receipts_json.push(payload::encode("receipts_json", &stored_receipt(receipt))?);
        }
        let block = get_pre_confirmed_block_response::Block {
            number: environment.number.0,
            timestamp: environment.timestamp.0,
            sequencer_address: felt::felt_bytes(environment.sequencer_address.0.key()),
            environment_json: payload::encode("environment_json", &**environment)?,
            transactions,
            receipts_json,
            state_diff_json: open.changes.json()?.to_vec(),
        };
        Ok(Response::new(GetPreConfirmedBlockResponse { block: Some(block) }))
    }

    async fn get_pre_confirmed_state(
        &self,
        _request: Request<GetPreConfirmedStateRequest>,
    ) -> Result<Response<GetPreConfirmedStateResponse>, Status> {
        let open = self.next.state().await.map_err(|error| no_next_block(&error))?;
        let state = get_pre_confirmed_state_response::State {
            base_number: open.base.0,
            environment_json: payload::encode("environment_json", &*open.environment)?,
            state_diffs_json: open.diffs_json()?,
        };
        Ok(Response::new(GetPreConfirmedStateResponse { state: Some(state) }))
    }

    async fn get_pending_nonce(
        &self,
        request: Request<GetPendingNonceRequest>,
    ) -> Result<Response<GetPendingNonceResponse>, Status> {
        let address = felt::address("address", &request.into_inner().address)?;
        let waiting = self.shared.pool().next_free_nonce(&address);
        let nonce = match waiting {
            Some(nonce) => nonce,
            None => self.admission.due_nonce(&address).await.map_err(|error| refused(&error))?,
        };
        let nonce = felt::felt_bytes(&Felt::from(nonce));
        Ok(Response::new(GetPendingNonceResponse { nonce }))
    }
}

impl SequencerApi {
    /// What the open block and the mempool know.
    fn in_memory(
        &self,
        hash: &TransactionHash,
    ) -> Result<Option<GetTransactionStatusResponse>, Status> {
        for open in self.shared.open().iter() {
            if let Some((included, receipt)) = open.find(hash) {
                return Ok(Some(GetTransactionStatusResponse {
                    status: Some(types::TransactionStatus {
                        block_number: Some(open.environment.number.0),
                        ..executed(FinalityStatus::PreConfirmed, receipt)
                    }),
                    transaction: Some(transaction::to_wire(&included.hash, &included.transaction)?),
                }));
            }
            if let Some(rejection) = open.rejected.get(hash) {
                return Ok(Some(GetTransactionStatusResponse {
                    status: Some(types::TransactionStatus {
                        failure_reason: rejection.message.clone(),
                        ..bare(hash, FinalityStatus::Rejected)
                    }),
                    transaction: None,
                }));
            }
        }
        let waiting = self.shared.pool().get(hash).map(|held| held.payload.clone());
        let Some(waiting) = waiting else { return Ok(None) };
        Ok(Some(GetTransactionStatusResponse {
            status: Some(bare(hash, FinalityStatus::Received)),
            transaction: Some(transaction::to_wire(&waiting.hash, &waiting.transaction)?),
        }))
    }

    async fn in_block(&self, hash: &TransactionHash) -> Result<types::TransactionStatus, Status> {
        use sidereal_chain_store::BlockFinality;
        let located = self.store.transaction(hash).await.map_err(|error| store_failed(&error))?;
        let Some(located) = located else {
            let message = format!("transaction {:#x} is indexed but not stored", hash.0);
            tracing::error!("{message}");
            return Err(Status::data_loss(message));
        };
        let finality = match located.position.finality {
            BlockFinality::AcceptedOnL2 => FinalityStatus::AcceptedOnL2,
            BlockFinality::AcceptedOnL1 => FinalityStatus::AcceptedOnL1,
        };
        let StoredTransaction { hash, .. } = located.transaction;
        let (execution, failure_reason) = outcome(&located.receipt.execution_status);
        Ok(types::TransactionStatus {
            execution: execution.into(),
            failure_reason,
            block_number: Some(located.position.block_number.0),
            ..bare(&hash, finality)
        })
    }
}

fn bare(hash: &TransactionHash, finality: FinalityStatus) -> types::TransactionStatus {
    types::TransactionStatus {
        transaction_hash: felt::felt_bytes(&hash.0),
        finality: finality.into(),
        execution: ExecutionStatus::Unspecified.into(),
        failure_reason: String::new(),
        block_number: None,
    }
}

fn executed(finality: FinalityStatus, receipt: &TransactionReceipt) -> types::TransactionStatus {
    let (execution, failure_reason) = outcome(&receipt.execution_status);
    types::TransactionStatus {
        execution: execution.into(),
        failure_reason,
        ..bare(&receipt.hash, finality)
    }
}

fn outcome(status: &TransactionExecutionStatus) -> (ExecutionStatus, String) {
    match status {
        TransactionExecutionStatus::Succeeded => (ExecutionStatus::Succeeded, String::new()),
        TransactionExecutionStatus::Reverted(reverted) => {
            (ExecutionStatus::Reverted, reverted.revert_reason.clone())
        }
    }
}
