//! `sidereal.sequencer.v1`.

use std::sync::Arc;

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
use crate::shared::{PreConfirmedBlock, Shared};

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
        let SubmitTransactionRequest { transaction: wire, class } = request.into_inner();
        let wire =
            wire.ok_or_else(|| Status::invalid_argument("field `transaction`: is missing"))?;
        let received = transaction::from_wire(wire).map_err(|error| error.within("transaction"))?;
        match self.admission.submit(received, class).await {
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
        let GetTransactionStatusRequest { transaction_hash, with_receipt } = request.into_inner();
        let hash = felt::transaction_hash("transaction_hash", &transaction_hash)?;
        if let Some(found) = self.in_memory(&hash, with_receipt)? {
            return Ok(Response::new(found));
        }
        let stored = self.store.transaction_status(&hash).await;
        let stored = stored.map_err(|error| store_failed(&error))?;
        let status = match stored {
            None => {
                return Err(Status::not_found(format!("transaction {:#x} is not known", hash.0)));
            }
            // It was executed between two looks, or waits for its removal to be recorded.
            Some(TransactionStatus::Waiting) => match self.in_memory(&hash, with_receipt)? {
                Some(found) => return Ok(Response::new(found)),
                None => bare(&hash, FinalityStatus::Received),
            },
            Some(TransactionStatus::Removed(removal)) => types::TransactionStatus {
                failure_reason: format!("{}: {}", removal.reason, removal.message),
                ..bare(&hash, FinalityStatus::Rejected)
            },
            Some(TransactionStatus::InBlock(_)) => self.in_block(&hash).await?,
        };
        let status = Some(status);
        Ok(Response::new(GetTransactionStatusResponse { status, ..Default::default() }))
    }

    async fn get_pre_confirmed_block(
        &self,
        _request: Request<GetPreConfirmedBlockRequest>,
    ) -> Result<Response<GetPreConfirmedBlockResponse>, Status> {
        let open = self.next.blocks().await.map_err(|error| no_next_block(&error))?;
        let blocks: Vec<_> = open.iter().map(wire_block).collect::<Result<_, Status>>()?;
        let mut blocks = blocks.into_iter();
        let block = blocks.next();
        Ok(Response::new(GetPreConfirmedBlockResponse { block, later: blocks.collect() }))
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
    /// What the open blocks and the mempool know.
    fn in_memory(
        &self,
        hash: &TransactionHash,
        with_receipt: bool,
    ) -> Result<Option<GetTransactionStatusResponse>, Status> {
        // What is found is written outside the lock: block production takes it, too.
        let found = self.shared.open().iter().find_map(|open| {
            let (included, receipt) = open.find(hash)?;
            Some((open.environment.number, Arc::clone(included), Arc::clone(receipt)))
        });
        if let Some((number, included, receipt)) = found {
            let receipt_json = if with_receipt {
                payload::encode("receipt_json", &stored_receipt(&receipt))?
            } else {
                Vec::new()
            };
            return Ok(Some(GetTransactionStatusResponse {
                status: Some(types::TransactionStatus {
                    block_number: Some(number.0),
                    ..executed(FinalityStatus::PreConfirmed, &receipt)
                }),
                transaction: Some(transaction::to_wire(&included.hash, &included.transaction)?),
                receipt_json,
            }));
        }
        let rejected = self.shared.open().iter().find_map(|open| {
            let rejection = open.rejected.get(hash)?;
            Some(rejection.message.clone())
        });
        if let Some(failure_reason) = rejected {
            return Ok(Some(GetTransactionStatusResponse {
                status: Some(types::TransactionStatus {
                    failure_reason,
                    ..bare(hash, FinalityStatus::Rejected)
                }),
                ..Default::default()
            }));
        }
        let waiting = self.shared.pool().get(hash).map(|held| held.payload.clone());
        let Some(waiting) = waiting else { return Ok(None) };
        Ok(Some(GetTransactionStatusResponse {
            status: Some(bare(hash, FinalityStatus::Received)),
            transaction: Some(transaction::to_wire(&waiting.hash, &waiting.transaction)?),
            ..Default::default()
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

fn wire_block(open: &PreConfirmedBlock) -> Result<get_pre_confirmed_block_response::Block, Status> {
    let environment = &open.environment;
    let mut transactions = Vec::with_capacity(open.included.len());
    let mut receipts_json = Vec::with_capacity(open.included.len());
    for (included, receipt) in &open.included {
        transactions.push(transaction::to_wire(&included.hash, &included.transaction)?);
        receipts_json.push(payload::encode("receipts_json", &stored_receipt(receipt))?);
    }
    Ok(get_pre_confirmed_block_response::Block {
        number: environment.number.0,
        timestamp: environment.timestamp.0,
        sequencer_address: felt::felt_bytes(environment.sequencer_address.0.key()),
        environment_json: payload::encode("environment_json", &**environment)?,
        transactions,
        receipts_json,
        state_diff_json: open.changes.json()?.to_vec(),
    })
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

#[cfg(test)]
mod tests {
    use sidereal_chain_store::{ChainStoreLimits, StoredReceipt};
    use sidereal_execution::block::BlockEnvironment;
    use sidereal_execution::limits::ProofLoad;
    use sidereal_execution::testing::{invoke, new_account, transfer};
    use sidereal_object_store::ObjectStoreConfig;
    use sidereal_service::Shutdown;
    use starknet_api::block::{BlockNumber, BlockTimestamp};
    use starknet_api::core::ClassHash;
    use starknet_api::execution_resources::GasVector;
    use starknet_api::transaction::fields::Fee;

    use super::*;
    use crate::config::MempoolConfig;
    use crate::production::ChainRules;
    use crate::shared::{OpenBlocks, Tip};

    /// Pins down that what is executed is shown with its receipt whichever open block it is in: the one that is being
    /// committed or the one that is being filled; and that only who asks for a receipt gets one.
    #[tokio::test]
    async fn every_open_block_is_shown() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("chain.db").display());
        let store = ChainStore::connect(&url, ChainStoreLimits::default()).await.unwrap();
        let objects = ObjectStoreConfig {
            url: format!("file:{}", folder.path().join("objects").display()),
            ..ObjectStoreConfig::default()
        };
        let objects = sidereal_object_store::open(&objects).await.unwrap();
        let rules = Arc::new(ChainRules::of_the_defaults());
        let mempool = MempoolConfig::default();
        let shared = Shared::new(mempool.pool_limits(), Tip::genesis(&rules));
        let next = NextBlock::new(Arc::clone(&rules), shared.clone(), store.clone());
        let shutdown = Shutdown::new();
        let (admission, _) = Admission::start(
            &mempool,
            next.clone(),
            shared.clone(),
            store.clone(),
            objects,
            None,
            &shutdown,
        );
        let api = SequencerApi::new(shared.clone(), admission, next, store);

        let account = new_account(77, ClassHash(Felt::ONE));
        let open = |number: u64, nonce: u64| {
            let included = invoke(&account, nonce, &[transfer(account.address, 1)]);
            let receipt = TransactionReceipt {
                hash: included.hash,
                execution_status: TransactionExecutionStatus::Succeeded,
                actual_fee: Fee(u128::from(number)),
                gas_consumed: GasVector::default(),
                da_gas: GasVector::default(),
                events: Vec::new(),
                messages_sent: Vec::new(),
                contract_address: None,
                proof_load: ProofLoad::default(),
            };
            let mut block = PreConfirmedBlock::new(BlockEnvironment {
                number: BlockNumber(number),
                ..rules.genesis(BlockTimestamp(7))
            });
            block.included.push((Arc::new(included), Arc::new(receipt)));
            block
        };
        let blocks = [open(1, 0), open(2, 1)];
        let [committing, filling] = blocks.clone().map(Some);
        *shared.open() = OpenBlocks { committing, filling };

        let ask = async |hash: &TransactionHash, with_receipt: bool| {
            let transaction_hash = felt::felt_bytes(&hash.0);
            let request = GetTransactionStatusRequest { transaction_hash, with_receipt };
            api.get_transaction_status(Request::new(request)).await.map(Response::into_inner)
        };
        for block in &blocks {
            let (included, receipt) = &block.included[0];
            let answer = ask(&included.hash, true).await.unwrap();
            let status = answer.status.unwrap();
            assert_eq!(status.finality(), FinalityStatus::PreConfirmed);
            assert_eq!(status.block_number, Some(block.environment.number.0));
            let answered = transaction::from_wire(answer.transaction.unwrap()).unwrap();
            assert_eq!(answered.transaction, included.transaction);
            let answered: StoredReceipt =
                payload::decode("receipt_json", &answer.receipt_json).unwrap();
            assert_eq!(answered, stored_receipt(receipt));
            let without = ask(&included.hash, false).await.unwrap();
            assert_eq!((without.receipt_json, without.status), (Vec::new(), Some(status)));
        }
        let unknown = ask(&TransactionHash(Felt::TWO), true).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);

        let shown = async || {
            let request = Request::new(GetPreConfirmedBlockRequest {});
            let shown = api.get_pre_confirmed_block(request).await.unwrap().into_inner();
            let blocks = shown.block.into_iter().chain(shown.later);
            blocks.map(|block| (block.number, block.receipts_json.len())).collect::<Vec<_>>()
        };
        assert_eq!(shown().await, [(1, 1), (2, 1)]);
        *shared.open() = OpenBlocks { committing: None, filling: Some(open(1, 0)) };
        assert_eq!(shown().await, [(1, 1)]);
        *shared.open() = OpenBlocks::default();
        assert_eq!(shown().await, [(1, 0)]);
    }
}
