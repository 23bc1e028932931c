//! One stream, one block: Begin, transactions, Close.

use std::sync::Arc;

use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError};
use sidereal_execution::engine::{BlockExecutor, EngineError};
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::BlockExecution;
use sidereal_execution::spawn_deep;
use sidereal_execution::state::BlockState;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::executor as wire;
use sidereal_proto::{ConversionError, payload, transaction};
use sidereal_service::{Classified, ErrorClass, Guard, to_status};
use starknet_api::block::{BlockHash, BlockNumber};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tonic::{Status, Streaming};

use crate::service::Shared;
use crate::state::StoredValues;

/// Messages from the sequencer that may wait for the execution thread; the stream is not read further.
const MESSAGES_WAITING: usize = 16;

/// Answers that may wait for the sequencer to read them; the execution thread then stands still.
const ANSWERS_WAITING: usize = 64;

/// Transactions in one message.
const MAX_BATCH: usize = 10_000;

/// Why a block's stream ends before the block is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("a message of the stream is malformed")]
    Message(#[source] ConversionError),
    #[error("the stream does not begin with Begin, or does so twice")]
    Order,
    #[error("a message has {transactions} transactions, more than {MAX_BATCH}")]
    BatchTooLarge { transactions: usize },
    #[error("block {block} is of chain {named}, this executor serves another one")]
    OtherChain { block: u64, named: String },
    #[error("block {block} cannot begin: its parent {parent} is not in the chain store")]
    UnknownParent { block: u64, parent: BlockHash },
    #[error("block {block} cannot begin: the chain store cannot be read")]
    ChainStore {
        block: u64,
        #[source]
        source: ChainStoreError,
    },
    #[error("the block cannot be built")]
    Engine(#[source] EngineError),
    #[error("the closed block cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error("the closed block cannot be compressed")]
    Compression(#[source] std::io::Error),
    #[error("the block's thread cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the block's thread panicked")]
    Panicked,
}

impl Classified for StreamError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Message(_)
            | Self::Order
            | Self::BatchTooLarge { .. }
            | Self::OtherChain { .. } => ErrorClass::Invalid,
            Self::UnknownParent { .. } => ErrorClass::Conflict,
            Self::ChainStore { .. } | Self::Engine(EngineError::State { .. }) => {
                ErrorClass::Unavailable
            }
            Self::Engine(EngineError::Environment { .. }) => ErrorClass::Invalid,
            Self::Engine(EngineError::Full { .. }) => ErrorClass::Conflict,
            Self::Engine(_)
            | Self::Json(_)
            | Self::Compression(_)
            | Self::Thread(_)
            | Self::Panicked => ErrorClass::Internal,
        }
    }
}

type Answers = mpsc::Sender<Result<wire::ExecuteBlockResponse, Status>>;

enum Work {
    Execute(Vec<BlockTransaction>),
    Close,
}

/// Answers a stream. The permit and the guard are held for as long as the block is open.
pub(crate) fn answer(
    shared: Arc<Shared>,
    requests: Streaming<wire::ExecuteBlockRequest>,
    permit: OwnedSemaphorePermit,
    guard: Guard,
) -> mpsc::Receiver<Result<wire::ExecuteBlockResponse, Status>> {
    let (answers, receiver) = mpsc::channel(ANSWERS_WAITING);
    tokio::spawn(async move {
        let _open = (permit, guard);
        if let Err(error) = drive(&shared, requests, &answers).await {
            // Nobody listens any more if this fails; then nobody needs to know.
            let _ = answers.send(Err(to_status(&error))).await;
        }
    });
    receiver
}

async fn drive(
    shared: &Arc<Shared>,
    mut requests: Streaming<wire::ExecuteBlockRequest>,
    answers: &Answers,
) -> Result<(), StreamError> {
    use wire::execute_block_request::Message;

    let begin = match next(&mut requests).await? {
        Some(Message::Begin(begin)) => begin,
        Some(_) => return Err(StreamError::Order),
        None => return Ok(()),
    };
    let executor = self::begin(shared, &begin).await?;
    let number = executor.environment().number;
    let (work, jobs) = mpsc::channel(MESSAGES_WAITING);
    let (end, ended) = oneshot::channel();
    spawn_deep("block", {
        let answers = answers.clone();
        let per_answer = shared.outcomes_per_answer.max(1);
        // Nobody asks for the end when the stream was given up.
        move || drop(end.send(execute(executor, jobs, per_answer, &answers)))
    })
    .map_err(StreamError::Thread)?;
    let mut chain = Ok(());
    loop {
        let job = match next(&mut requests).await {
            Ok(Some(Message::Transactions(batch))) => match self::batch(batch) {
                Ok(batch) => Work::Execute(batch),
                Err(error) => {
                    chain = Err(error);
                    break;
                }
            },
            Ok(Some(Message::Close(_))) => Work::Close,
            Ok(Some(Message::Begin(_))) => {
                chain = Err(StreamError::Order);
                break;
            }
            // The sequencer has given the block up.
            Ok(None) => break,
            Err(error) => {
                chain = Err(error);
                break;
            }
        };
        let closing = matches!(job, Work::Close);
        if work.send(job).await.is_err() || closing {
            break;
        }
    }
    drop(work);
    let executed = ended.await.map_err(|_| StreamError::Panicked)?;
    tracing::debug!(block = %number, "block stream ended");
    executed.and(chain)
}

async fn next(
    requests: &mut Streaming<wire::ExecuteBlockRequest>,
) -> Result<Option<wire::execute_block_request::Message>, StreamError> {
    match requests.message().await {
        Ok(Some(request)) => match request.message {
            Some(message) => Ok(Some(message)),
            None => Err(StreamError::Order),
        },
        Ok(None) => Ok(None),
        // The connection broke; there is nobody to tell.
        Err(status) => {
            tracing::debug!(%status, "a block stream broke");
            Ok(None)
        }
    }
}

async fn begin(
    shared: &Arc<Shared>,
    begin: &wire::BeginBlock,
) -> Result<BlockExecutor, StreamError> {
    let environment: sidereal_execution::block::BlockEnvironment =
        payload::decode("environment_json", &begin.environment_json)
            .map_err(StreamError::Message)?;
    let limits: BlockLimits =
        payload::decode("limits_json", &begin.limits_json).map_err(StreamError::Message)?;
    let block = environment.number.0;
    if environment.chain_id != shared.chain_id {
        return Err(StreamError::OtherChain { block, named: environment.chain_id.to_string() });
    }
    let parent = environment.parent_hash;
    let unknown = StreamError::UnknownParent { block, parent };
    let Some(number) = block.checked_sub(1) else { return Err(unknown) };
    let state = parent_state(shared, BlockNumber(number), parent)
        .await
        .map_err(|source| StreamError::ChainStore { block, source })?
        .ok_or(unknown)?;
    tokio::task::spawn_blocking(move || BlockExecutor::begin(state, environment, limits))
        .await
        .map_err(|_| StreamError::Panicked)?
        .map_err(StreamError::Engine)
}

/// The state after a block, with the cache moved on to it; `None` if the chain store has no such block.
async fn parent_state(
    shared: &Arc<Shared>,
    number: BlockNumber,
    hash: BlockHash,
) -> Result<Option<BlockState>, ChainStoreError> {
    let store: &ChainStore = &shared.store;
    let Some(parent) = store.block(BlockSelector::Number(number)).await? else { return Ok(None) };
    if parent.hash != hash {
        return Ok(None);
    }
    if let Some(diff) = store.state_diff(number).await? {
        shared.values.advance(parent.header.parent_hash, parent.hash, &diff);
    }
    let values =
        StoredValues::new(store.clone(), shared.values.clone(), &parent, shared.runtime.clone());
    Ok(Some(BlockState::new(Arc::new(values), shared.classes.clone())))
}

fn batch(batch: wire::TransactionBatch) -> Result<Vec<BlockTransaction>, StreamError> {
    if batch.transactions.len() > MAX_BATCH {
        return Err(StreamError::BatchTooLarge { transactions: batch.transactions.len() });
    }
    batch
        .transactions
        .into_iter()
        .map(|wire| {
            let received = transaction::from_wire(wire).map_err(StreamError::Message)?;
            // A transaction without a hash is refused by the engine: zero is not its hash.
            let hash = received.claimed_hash.unwrap_or_default();
            Ok(BlockTransaction { hash, transaction: received.transaction })
        })
        .collect()
}

/// The execution thread. Ends when the block is closed, or nobody sends or listens any more.
fn execute(
    mut executor: BlockExecutor,
    mut jobs: mpsc::Receiver<Work>,
    per_answer: usize,
    answers: &Answers,
) -> Result<(), StreamError> {
    let mut full = false;
    while let Some(job) = jobs.blocking_recv() {
        let batch = match job {
            Work::Close => {
                let execution = executor.close().map_err(StreamError::Engine)?;
                metrics::counter!("executor_blocks_closed_total").increment(1);
                let closed = wire::execute_block_response::Message::Closed(closed(&execution)?);
                let _ = answers.blocking_send(Ok(response(closed)));
                return Ok(());
            }
            // What comes after the block is full is not in it; the sequencer knows.
            Work::Execute(_) if full => continue,
            Work::Execute(batch) => batch,
        };
        for part in batch.chunks(per_answer) {
            let executed = executor.execute(part).map_err(StreamError::Engine)?;
            full = executed.block_full;
            let answered = executed.outcomes.len();
            metrics::counter!("executor_transactions_total")
                .increment(u64::try_from(answered).unwrap_or(u64::MAX));
            let outcomes_json = executed
                .outcomes
                .iter()
                .map(|outcome| payload::encode("outcomes_json", outcome))
                .collect::<Result<_, _>>()
                .map_err(StreamError::Message)?;
            let batch = wire::OutcomeBatch { outcomes_json, block_full: full };
            let message = wire::execute_block_response::Message::Outcomes(batch);
            if answers.blocking_send(Ok(response(message))).is_err() {
                return Ok(());
            }
            if full {
                break;
            }
        }
    }
    Ok(())
}

fn response(message: wire::execute_block_response::Message) -> wire::ExecuteBlockResponse {
    wire::ExecuteBlockResponse { message: Some(message) }
}

fn closed(execution: &BlockExecution) -> Result<wire::ClosedBlock, StreamError> {
    let json = serde_json::to_vec(execution).map_err(StreamError::Json)?;
    let execution_json_zstd =
        zstd::encode_all(json.as_slice(), 1).map_err(StreamError::Compression)?;
    Ok(wire::ClosedBlock { execution_json_zstd })
}
