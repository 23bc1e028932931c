//! A sequencer and an executor that answer what tests put into them, over real gRPC.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::Stream;
use serde_json::json;
use sidereal_chain_store::{StoredReceipt, StoredTransaction};
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::engine::opening_changes;
use sidereal_execution::query::{QueryError, SimulatedTransaction};
use sidereal_execution::trace::{TransactionTrace, TransactionTraceEntry};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_object_store::ObjectKey;
use sidereal_proto::executor::executor_service_server::{ExecutorService, ExecutorServiceServer};
use sidereal_proto::executor::{
    CallRequest, CallResponse, ExecuteBlockRequest, ExecuteBlockResponse, SimulateRequest,
    SimulateResponse, TraceBlockRequest, TraceBlockResponse, ValidateRequest, ValidateResponse,
};
use sidereal_proto::sequencer::sequencer_service_server::{
    SequencerService, SequencerServiceServer,
};
use sidereal_proto::sequencer::{
    GetPendingNonceRequest, GetPendingNonceResponse, GetPreConfirmedBlockRequest,
    GetPreConfirmedBlockResponse, GetPreConfirmedStateRequest, GetPreConfirmedStateResponse,
    GetTransactionStatusRequest, GetTransactionStatusResponse, SubmitError,
    SubmitTransactionRequest, SubmitTransactionResponse, get_pre_confirmed_block_response,
    get_pre_confirmed_state_response,
};
use sidereal_proto::types::{ExecutionStatus, FinalityStatus, TransactionStatus};
use sidereal_proto::{felt as wire_felt, payload, transaction as wire};
use starknet_api::core::ChainId;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::Transaction;
use starknet_types_core::felt::Felt;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// What the sequencer holds.
#[derive(Default)]
pub struct SequencerState {
    pub open: Option<(BlockEnvironment, Vec<(StoredTransaction, StoredReceipt)>)>,
    /// What the open block changed.
    pub changes: ThinStateDiff,
    /// The block that is being filled while `open` is committed.
    pub filling: Option<(BlockEnvironment, ThinStateDiff)>,
    /// What is in `filling`.
    pub filled: Vec<(StoredTransaction, StoredReceipt)>,
    pub waiting: Vec<StoredTransaction>,
    pub rejected: HashMap<Felt, String>,
    /// What the next submission is refused with.
    pub refuse: Option<SubmitError>,
    pub submitted: Vec<BlockTransaction>,
    pub pending_nonce: Felt,
    /// Where a question about a status waits for the test: once when it comes, once before it is answered.
    pub gate: Option<Arc<Barrier>>,
    /// The folder of the object store.
    pub objects: PathBuf,
}

impl SequencerState {
    /// What it shows while nothing is open: block 3, as it begins.
    fn to_come(&self) -> (BlockEnvironment, ThinStateDiff) {
        let environment = crate::stack::environment(3);
        let opening = opening_changes(&environment);
        (environment, opening)
    }

    /// What is in the open blocks, with the numbers of the blocks.
    fn executed(&self) -> Vec<(u64, &(StoredTransaction, StoredReceipt))> {
        let mut executed = Vec::new();
        if let Some((block, included)) = &self.open {
            executed.extend(included.iter().map(|one| (block.number.0, one)));
        }
        if let Some((block, _)) = &self.filling {
            executed.extend(self.filled.iter().map(|one| (block.number.0, one)));
        }
        executed
    }
}

#[derive(Clone, Default)]
pub struct Sequencer(pub Arc<Mutex<SequencerState>>);

fn in_pool(
    transaction: &StoredTransaction,
    finality: FinalityStatus,
    execution: ExecutionStatus,
) -> GetTransactionStatusResponse {
    GetTransactionStatusResponse {
        status: Some(TransactionStatus {
            transaction_hash: wire_felt::felt_bytes(&transaction.hash.0),
            finality: finality.into(),
            execution: execution.into(),
            ..TransactionStatus::default()
        }),
        transaction: Some(wire::to_wire(&transaction.hash, &transaction.transaction).unwrap()),
        ..GetTransactionStatusResponse::default()
    }
}

fn wire_block(
    environment: &BlockEnvironment,
    included: &[(StoredTransaction, StoredReceipt)],
    changes: &ThinStateDiff,
) -> get_pre_confirmed_block_response::Block {
    get_pre_confirmed_block_response::Block {
        number: environment.number.0,
        timestamp: environment.timestamp.0,
        sequencer_address: wire_felt::felt_bytes(environment.sequencer_address.0.key()),
        environment_json: payload::encode("environment_json", environment).unwrap(),
        transactions: included
            .iter()
            .map(|(item, _)| wire::to_wire(&item.hash, &item.transaction).unwrap())
            .collect(),
        receipts_json: included
            .iter()
            .map(|(_, receipt)| payload::encode("receipts_json", receipt).unwrap())
            .collect(),
        state_diff_json: payload::encode("state_diff_json", changes).unwrap(),
    }
}

#[tonic::async_trait]
impl SequencerService for Sequencer {
    async fn submit_transaction(
        &self,
        request: Request<SubmitTransactionRequest>,
    ) -> Result<Response<SubmitTransactionResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        if let Some(refusal) = state.refuse.take() {
            let mut status = Status::failed_precondition("because the test says so");
            let name = refusal.as_str_name().parse().unwrap();
            status.metadata_mut().insert("sidereal-submit-error", name);
            return Err(status);
        }
        let SubmitTransactionRequest { transaction, class } = request.into_inner();
        let received = wire::from_wire(transaction.unwrap())?;
        // Gateways leave the hash to the sequencer.
        assert_eq!(received.claimed_hash, None);
        let chain_id = ChainId::from(crate::chain::CHAIN.to_owned());
        let submitted = BlockTransaction::new(received.transaction, &chain_id).unwrap();
        let transaction_hash = wire_felt::felt_bytes(&submitted.hash.0);
        if let (Some(class), Transaction::Declare(declare)) = (class, &submitted.transaction) {
            let class_hash = declare.class_hash().0;
            for (key, json) in [
                (ObjectKey::sierra_class(class_hash), class.sierra_json_zstd),
                (ObjectKey::casm_class(class_hash), class.casm_json_zstd),
            ] {
                let path = state.objects.join(key.as_str());
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, json).unwrap();
            }
        }
        state.submitted.push(submitted);
        Ok(Response::new(SubmitTransactionResponse { transaction_hash }))
    }

    async fn get_transaction_status(
        &self,
        request: Request<GetTransactionStatusRequest>,
    ) -> Result<Response<GetTransactionStatusResponse>, Status> {
        let request = request.into_inner();
        let hash = wire_felt::felt("transaction_hash", &request.transaction_hash)?;
        let gate = self.0.lock().unwrap().gate.clone();
        if let Some(gate) = gate {
            gate.wait().await;
            gate.wait().await;
        }
        let state = self.0.lock().unwrap();
        let executed = state.executed();
        let found = executed.into_iter().find(|(_, (item, _))| item.hash.0 == hash);
        if let Some((block, (found, receipt))) = found {
            let mut answer =
                in_pool(found, FinalityStatus::PreConfirmed, ExecutionStatus::Succeeded);
            if let Some(status) = &mut answer.status {
                status.block_number = Some(block);
            }
            if request.with_receipt {
                answer.receipt_json = payload::encode("receipt_json", receipt).unwrap();
            }
            return Ok(Response::new(answer));
        }
        if let Some(found) = state.waiting.iter().find(|item| item.hash.0 == hash) {
            let answer = in_pool(found, FinalityStatus::Received, ExecutionStatus::Unspecified);
            return Ok(Response::new(answer));
        }
        if let Some(reason) = state.rejected.get(&hash) {
            let status = TransactionStatus {
                finality: FinalityStatus::Rejected.into(),
                failure_reason: reason.clone(),
                ..TransactionStatus::default()
            };
            let status = Some(status);
            return Ok(Response::new(GetTransactionStatusResponse {
                status,
                ..Default::default()
            }));
        }
        Err(Status::not_found("unknown"))
    }

    async fn get_pre_confirmed_block(
        &self,
        _: Request<GetPreConfirmedBlockRequest>,
    ) -> Result<Response<GetPreConfirmedBlockResponse>, Status> {
        let state = self.0.lock().unwrap();
        let to_come = state.to_come();
        let (environment, included, changes) = match &state.open {
            Some((environment, included)) => (environment, included.as_slice(), &state.changes),
            None => (&to_come.0, [].as_slice(), &to_come.1),
        };
        let block = Some(wire_block(environment, included, changes));
        let filling = state.filling.iter();
        let later = filling.map(|(block, changes)| wire_block(block, &state.filled, changes));
        Ok(Response::new(GetPreConfirmedBlockResponse { block, later: later.collect() }))
    }

    async fn get_pre_confirmed_state(
        &self,
        _: Request<GetPreConfirmedStateRequest>,
    ) -> Result<Response<GetPreConfirmedStateResponse>, Status> {
        let state = self.0.lock().unwrap();
        let diff = |diff| payload::encode("state_diffs_json", diff).unwrap();
        let to_come = state.to_come();
        let (first, changes) = match &state.open {
            Some((environment, _)) => (environment, &state.changes),
            None => (&to_come.0, &to_come.1),
        };
        let mut state_diffs_json = vec![diff(changes)];
        state_diffs_json.extend(state.filling.iter().map(|(_, changes)| diff(changes)));
        let last = state.filling.as_ref().map_or(first, |(filling, _)| filling);
        let state = get_pre_confirmed_state_response::State {
            base_number: first.number.0 - 1,
            environment_json: payload::encode("environment_json", last).unwrap(),
            state_diffs_json,
        };
        Ok(Response::new(GetPreConfirmedStateResponse { state: Some(state) }))
    }

    async fn get_pending_nonce(
        &self,
        _: Request<GetPendingNonceRequest>,
    ) -> Result<Response<GetPendingNonceResponse>, Status> {
        let nonce = wire_felt::felt_bytes(&self.0.lock().unwrap().pending_nonce);
        Ok(Response::new(GetPendingNonceResponse { nonce }))
    }
}

/// What the executor was asked, and what it answers.
#[derive(Default)]
pub struct ExecutorState {
    pub refuse: Option<QueryError>,
    pub calls: Vec<CallRequest>,
    pub simulations: Vec<SimulateRequest>,
}

#[derive(Clone, Default)]
pub struct Executor(pub Arc<Mutex<ExecutorState>>);

impl Executor {
    fn refusal(&self) -> Result<(), Status> {
        match self.0.lock().unwrap().refuse.take() {
            None => Ok(()),
            Some(error) => Err(Status::with_details(
                Code::FailedPrecondition,
                error.to_string(),
                serde_json::to_vec(&error).unwrap().into(),
            )),
        }
    }
}

/// A trace of an invoke with a nested call, an event and a message, as executors write it.
pub fn trace() -> TransactionTrace {
    let invocation = |calls: Vec<serde_json::Value>| {
        json!({
            "contract_address": "0xacc",
            "entry_point_selector": "0x5e1",
            "calldata": ["0x1"],
            "caller_address": "0x0",
            "class_hash": "0xc1a55",
            "entry_point_type": "EXTERNAL",
            "call_type": "CALL",
            "result": ["0x1"],
            "calls": calls,
            "events": [{"order": 0, "from_address": "0xacc", "keys": ["0x1"], "data": []}],
            "messages": [{"order": 0, "from_address": "0xacc", "to_address": "0x1", "payload": []}],
            "execution_resources": {"l1_gas": 0, "l2_gas": 100},
            "is_reverted": false,
        })
    };
    serde_json::from_value(json!({
        "type": "INVOKE",
        "validate_invocation": invocation(vec![]),
        "execute_invocation": invocation(vec![invocation(vec![])]),
        "fee_transfer_invocation": invocation(vec![]),
        "state_diff": {
            "storage_diffs": [
                {"address": "0x70ce", "storage_entries": [{"key": "0x1", "value": "0x2"}]}
            ],
            "deprecated_declared_classes": [],
            "declared_classes": [{"class_hash": "0x1", "compiled_class_hash": "0x2"}],
            "deployed_contracts": [{"address": "0x1", "class_hash": "0x2"}],
            "replaced_classes": [{"contract_address": "0x1", "class_hash": "0x2"}],
            "nonces": [{"contract_address": "0xacc", "nonce": "0x1"}],
        },
        "execution_resources": {"l1_gas": 0, "l1_data_gas": 128, "l2_gas": 100},
    }))
    .unwrap()
}

#[tonic::async_trait]
impl ExecutorService for Executor {
    type ExecuteBlockStream =
        Pin<Box<dyn Stream<Item = Result<ExecuteBlockResponse, Status>> + Send>>;

    async fn execute_block(
        &self,
        _: Request<Streaming<ExecuteBlockRequest>>,
    ) -> Result<Response<Self::ExecuteBlockStream>, Status> {
        Err(Status::unimplemented("the gateway builds no blocks"))
    }

    /// Answers the calldata.
    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        self.refusal()?;
        let request = request.into_inner();
        let result = request.calldata.clone();
        self.0.lock().unwrap().calls.push(request);
        Ok(Response::new(CallResponse { result }))
    }

    async fn simulate(
        &self,
        request: Request<SimulateRequest>,
    ) -> Result<Response<SimulateResponse>, Status> {
        self.refusal()?;
        let request = request.into_inner();
        let one: SimulatedTransaction = SimulatedTransaction {
            transaction_trace: request.with_traces.then(trace),
            fee_estimation: sidereal_execution::query::FeeEstimate {
                l1_gas_consumed: starknet_api::execution_resources::GasAmount(0),
                l1_gas_price: starknet_api::block::GasPrice(40_000_000_000_000),
                l2_gas_consumed: starknet_api::execution_resources::GasAmount(u64::MAX),
                l2_gas_price: starknet_api::block::GasPrice(1_000_000_000),
                l1_data_gas_consumed: starknet_api::execution_resources::GasAmount(128),
                l1_data_gas_price: starknet_api::block::GasPrice(200_000_000),
                overall_fee: starknet_api::transaction::fields::Fee(u128::MAX),
                unit: "FRI".to_owned(),
            },
        };
        let answer = vec![one; request.transactions.len()];
        self.0.lock().unwrap().simulations.push(request);
        let simulated_json = payload::encode("simulated_json", &answer).unwrap();
        Ok(Response::new(SimulateResponse { simulated_json }))
    }

    /// Blocks 1 and 2 of the test's chain.
    async fn trace_block(
        &self,
        request: Request<TraceBlockRequest>,
    ) -> Result<Response<TraceBlockResponse>, Status> {
        self.refusal()?;
        let hashes: &[u64] = match request.into_inner().block_number {
            1 => &[crate::chain::INVOKE, crate::chain::DECLARE, crate::chain::DEPLOY],
            2 => &[crate::chain::REVERTED],
            _ => &[],
        };
        let traces: Vec<TransactionTraceEntry> = hashes
            .iter()
            .map(|hash| TransactionTraceEntry {
                transaction_hash: starknet_api::transaction::TransactionHash(Felt::from(*hash)),
                trace_root: trace(),
            })
            .collect();
        let traces_json = payload::encode("traces_json", &traces).unwrap();
        Ok(Response::new(TraceBlockResponse { traces_json }))
    }

    async fn validate(
        &self,
        _: Request<ValidateRequest>,
    ) -> Result<Response<ValidateResponse>, Status> {
        Err(Status::unimplemented("the sequencer asks for this, not the gateway"))
    }
}

/// Serves both on one port.
pub async fn serve(sequencer: Sequencer, executor: Executor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(SequencerServiceServer::new(sequencer))
            .add_service(ExecutorServiceServer::new(executor))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    address
}
