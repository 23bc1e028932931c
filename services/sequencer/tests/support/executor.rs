//! An executor of `sidereal.executor.v1` with faults.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sidereal_chain_store::{ChainStore, ChainStoreLimits};
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::classes::{ExecutionMode, RunnableClasses, RunnableClassesConfig};
use sidereal_execution::engine::BlockExecutor;
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::BlockClosing;
use sidereal_execution::query::{QueryContext, validate};
use sidereal_execution::state::{BlockState, ChangedValues, StateValueError, StateValues};
use sidereal_execution::testing::{SharedClasses, contract};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::executor::executor_service_server::{ExecutorService, ExecutorServiceServer};
use sidereal_proto::executor::*;
use sidereal_proto::{MAX_MESSAGE_BYTES, payload, transaction};
use starknet_api::block::BlockNumber;
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::StorageKey;
use starknet_types_core::felt::Felt;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

/// What an executor does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every stream ends after so many outcomes.
    BreakAfter(usize),
    /// Closed blocks lack their last transaction.
    LieAtClose,
}

#[derive(Clone)]
pub struct TestExecutor {
    url: String,
    store: Arc<OnceCell<ChainStore>>,
    classes: Arc<RunnableClasses>,
    fault: Fault,
    streams: Arc<AtomicUsize>,
}

struct Values {
    store: ChainStore,
    block: BlockNumber,
    runtime: Handle,
}

impl Values {
    fn wait<T>(
        &self,
        what: &str,
        read: impl Future<Output = Result<T, sidereal_chain_store::ChainStoreError>>,
    ) -> Result<T, StateValueError> {
        let failed = |source| StateValueError { what: what.to_owned(), source: Box::new(source) };
        self.runtime.block_on(read).map_err(failed)
    }
}

impl StateValues for Values {
    fn storage(&self, contract: ContractAddress, key: StorageKey) -> Result<Felt, StateValueError> {
        self.wait("storage", self.store.storage_at(&contract, &key, self.block))
    }
    fn nonce(&self, contract: ContractAddress) -> Result<Nonce, StateValueError> {
        self.wait("nonce", self.store.nonce_at(&contract, self.block))
    }
    fn class_hash(&self, contract: ContractAddress) -> Result<ClassHash, StateValueError> {
        let found = self.wait("class hash", self.store.class_hash_at(&contract, self.block))?;
        Ok(found.unwrap_or_default())
    }
    fn compiled_class_hash(&self, class: ClassHash) -> Result<CompiledClassHash, StateValueError> {
        let read = self.store.compiled_class_hash_at(&class, self.block);
        Ok(self.wait("compiled class hash", read)?.unwrap_or_default())
    }
}

impl TestExecutor {
    /// Starts an executor over the chain store at this URL, which need not be there yet.
    pub async fn start(url: String, fault: Fault) -> (Self, SocketAddr) {
        let classes = SharedClasses::default();
        for name in ["account", "erc20", "udc", "fibonacci", "factorial", "counter"] {
            classes.insert(Arc::new(contract(name)));
        }
        let config = RunnableClassesConfig {
            mode: ExecutionMode::Vm,
            native_cache: PathBuf::from("unused"),
            compile_in_background: false,
            capacity: NonZeroUsize::new(16).unwrap(),
        };
        let executor = Self {
            url,
            store: Arc::default(),
            classes: Arc::new(RunnableClasses::new(Arc::new(classes), config)),
            fault,
            streams: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = ExecutorServiceServer::new(executor.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        (executor, address)
    }

    /// Streams that were begun.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    async fn state(&self, block: Option<BlockNumber>) -> Result<(BlockState, BlockNumber), Status> {
        let store = self
            .store
            .get_or_try_init(|| ChainStore::connect_reader(&self.url, ChainStoreLimits::default()))
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?
            .clone();
        let block = match block {
            Some(block) => block,
            None => store.head().await.unwrap().unwrap().number,
        };
        let values = Values { store, block, runtime: Handle::current() };
        Ok((BlockState::new(Arc::new(values), self.classes.clone()), block))
    }
}

fn read(wire: sidereal_proto::types::Transaction) -> Result<BlockTransaction, Status> {
    let received = transaction::from_wire(wire)?;
    Ok(BlockTransaction {
        hash: received.claimed_hash.unwrap_or_default(),
        transaction: received.transaction,
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tonic::async_trait]
impl ExecutorService for TestExecutor {
    type ExecuteBlockStream = ReceiverStream<Result<ExecuteBlockResponse, Status>>;

    async fn execute_block(
        &self,
        request: Request<Streaming<ExecuteBlockRequest>>,
    ) -> Result<Response<Self::ExecuteBlockStream>, Status> {
        self.streams.fetch_add(1, Ordering::Relaxed);
        let mut requests = request.into_inner();
        let (answers, receiver) = mpsc::channel(16);
        let this = self.clone();
        tokio::spawn(async move {
            let ended = serve_block(&this, &mut requests, &answers).await;
            if let Err(status) = ended {
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn call(&self, _: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        Err(Status::unimplemented("not needed by these tests"))
    }

    async fn simulate(
        &self,
        _: Request<SimulateRequest>,
    ) -> Result<Response<SimulateResponse>, Status> {
        Err(Status::unimplemented("not needed by these tests"))
    }

    async fn trace_block(
        &self,
        _: Request<TraceBlockRequest>,
    ) -> Result<Response<TraceBlockResponse>, Status> {
        Err(Status::unimplemented("not needed by these tests"))
    }

    async fn validate(
        &self,
        request: Request<ValidateRequest>,
    ) -> Result<Response<ValidateResponse>, Status> {
        let request = request.into_inner();
        let transaction = read(request.transaction.unwrap())?;
        let at = request.at.unwrap();
        let (mut state, block) = self.state(at.block_number.map(BlockNumber)).await?;
        for diff in at.pending.iter().flat_map(|pending| &pending.state_diffs_json) {
            let values = state.values().clone();
            let changed = ChangedValues::new(values, &payload::decode("state_diffs_json", diff)?);
            state = BlockState::new(Arc::new(changed), self.classes.clone());
        }
        let head = {
            let store = self.store.get().unwrap();
            let selector = sidereal_chain_store::BlockSelector::Number(block);
            store.block(selector).await.unwrap().unwrap()
        };
        let header = head.header;
        let of_the_head = BlockEnvironment {
            number: header.block_number,
            timestamp: header.timestamp,
            sequencer_address: header.sequencer.0,
            l1_gas_price: header.l1_gas_price,
            l1_data_gas_price: header.l1_data_gas_price,
            l2_gas_price: header.l2_gas_price,
            l1_da_mode: header.l1_da_mode,
            chain_id: starknet_api::core::ChainId::Other(
                sidereal_execution::testing::CHAIN_ID.to_owned(),
            ),
            parent_hash: header.parent_hash,
            old_block: None,
        };
        let environment = match &at.pending {
            Some(pending) => payload::decode("environment_json", &pending.environment_json)?,
            None => of_the_head,
        };
        let verdict = blocking(move || {
            validate(&QueryContext::new(state, environment).unwrap(), &transaction)
        })
        .await;
        match verdict {
            Ok(Ok(())) => Ok(Response::new(ValidateResponse {})),
            Ok(Err(rejection)) => {
                let details = serde_json::to_vec(&rejection).unwrap();
                let message = rejection.to_string();
                Err(Status::with_details(Code::FailedPrecondition, message, details.into()))
            }
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

async fn serve_block(
    this: &TestExecutor,
    requests: &mut Streaming<ExecuteBlockRequest>,
    answers: &mpsc::Sender<Result<ExecuteBlockResponse, Status>>,
) -> Result<(), Status> {
    use execute_block_request::Message;
    let first = requests.message().await?.and_then(|request| request.message);
    let Some(Message::Begin(begin)) = first else {
        return Err(Status::invalid_argument("the first message must begin the block"));
    };
    let environment: BlockEnvironment =
        payload::decode("environment_json", &begin.environment_json)?;
    let limits: BlockLimits = payload::decode("limits_json", &begin.limits_json)?;
    let parent = environment.number.prev().unwrap();
    let (state, _) = this.state(Some(parent)).await?;
    let engine_failed =
        |error: sidereal_execution::engine::EngineError| Status::internal(error.to_string());
    let begun = blocking(move || BlockExecutor::begin(state, environment, limits)).await;
    let mut block = begun.map_err(engine_failed)?;
    let mut answered = 0;
    let mut full = false;
    while let Some(request) = requests.message().await? {
        match request.message {
            Some(Message::Transactions(batch)) if !full => {
                let batch =
                    batch.transactions.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
                // One at a time: what is told before it breaks is exactly what was executed.
                for one in batch {
                    if let Fault::BreakAfter(count) = this.fault
                        && answered >= count
                    {
                        return Err(Status::unavailable("told to break"));
                    }
                    let (executing, executed) = blocking(move || {
                        let executed = block.execute(&[one]);
                        (block, executed)
                    })
                    .await;
                    block = executing;
                    let executed = executed.map_err(engine_failed)?;
                    full = executed.block_full;
                    answered += executed.outcomes.len();
                    let outcomes_json = executed
                        .outcomes
                        .iter()
                        .map(|outcome| payload::encode("outcomes_json", outcome))
                        .collect::<Result<_, _>>()?;
                    let state_diff_json = payload::encode("state_diff_json", &executed.state_diff)?;
                    let batch = OutcomeBatch { outcomes_json, block_full: full, state_diff_json };
                    send(answers, execute_block_response::Message::Outcomes(batch)).await;
                    if full {
                        break;
                    }
                }
            }
            Some(Message::Close(_)) => {
                let closed = blocking(move || block.close()).await;
                let mut closing = BlockClosing::from(closed.map_err(engine_failed)?);
                if this.fault == Fault::LieAtClose {
                    closing.transactions.pop();
                }
                let json = serde_json::to_vec(&closing).unwrap();
                let closing_json_zstd = zstd::encode_all(json.as_slice(), 1).unwrap();
                let closed = ClosedBlock { closing_json_zstd, execution_id: Vec::new() };
                send(answers, execute_block_response::Message::Closed(closed)).await;
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}

async fn send(
    answers: &mpsc::Sender<Result<ExecuteBlockResponse, Status>>,
    message: execute_block_response::Message,
) {
    let _ = answers.send(Ok(ExecuteBlockResponse { message: Some(message) })).await;
}
