//! One stream, one block: Begin, transactions, Close.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError};
use sidereal_execution::engine::{BlockExecutor, EngineError};
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::{BlockClosing, BlockExecution};
use sidereal_execution::spawn_deep;
use sidereal_execution::state::{BlockState, ChangedValues, StateValues};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::error::ConversionProblem;
use sidereal_proto::executor as wire;
use sidereal_proto::{ConversionError, felt, payload, transaction};
use sidereal_service::{Classified, ErrorClass, Guard, to_status};
use starknet_api::block::{BlockHash, BlockNumber};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tonic::{Status, Streaming};
use uuid::Uuid;

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
    #[error("block {block} cannot begin: this executor does not hold the execution of its parent")]
    UnknownExecution { block: u64 },
    #[error("block {block} was begun on parent {begun} and is closed on {named}")]
    OtherParent { block: u64, begun: BlockHash, named: BlockHash },
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
            Self::UnknownParent { .. }
            | Self::UnknownExecution { .. }
            | Self::OtherParent { .. } => ErrorClass::Conflict,
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
    /// On this parent, whose state is the last.
    Close(BlockHash, Arc<dyn StateValues>),
}

/// What the last block that was closed here came to: the next one can begin on it while it is being committed.
#[derive(Default)]
pub(crate) struct LastClosed(Mutex<Option<ClosedExecution>>);

#[derive(Clone)]
struct ClosedExecution {
    id: Uuid,
    number: BlockNumber,
    values: Arc<dyn StateValues>,
}

impl LastClosed {
    fn get(&self, id: &[u8], number: BlockNumber) -> Option<Arc<dyn StateValues>> {
        let last = self.locked().clone()?;
        (last.id.as_bytes() == id && last.number == number).then_some(last.values)
    }

    fn set(&self, closed: ClosedExecution) {
        *self.locked() = Some(closed);
    }

    fn locked(&self) -> MutexGuard<'_, Option<ClosedExecution>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A block that was begun, and what it stands on.
struct Begun {
    executor: BlockExecutor,
    parent: BegunOn,
}

#[derive(Clone)]
enum BegunOn {
    Committed(BlockHash, Arc<dyn StateValues>),
    /// The parent is committed by the time the block is closed.
    Execution(BlockNumber),
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
    let Begun { executor, parent } = self::begin(shared, &begin).await?;
    let number = executor.environment().number;
    let (work, jobs) = mpsc::channel(MESSAGES_WAITING);
    let (end, ended) = oneshot::channel();
    spawn_deep("block", {
        let answers = answers.clone();
        let shared = shared.clone();
        // Nobody asks for the end when the stream was given up.
        move || drop(end.send(execute(&shared, executor, jobs, &answers)))
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
            Ok(Some(Message::Close(close))) => {
                match closing(shared, number, &parent, &close.parent_hash).await {
                    Ok(work) => work,
                    Err(error) => {
                        chain = Err(error);
                        break;
                    }
                }
            }
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
        let closing = matches!(job, Work::Close(..));
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

async fn begin(shared: &Arc<Shared>, begin: &wire::BeginBlock) -> Result<Begun, StreamError> {
    let environment: sidereal_execution::block::BlockEnvironment =
        payload::decode("environment_json", &begin.environment_json)
            .map_err(StreamError::Message)?;
    let limits: BlockLimits =
        payload::decode("limits_json", &begin.limits_json).map_err(StreamError::Message)?;
    let block = environment.number.0;
    if environment.chain_id != shared.chain_id {
        return Err(StreamError::OtherChain { block, named: environment.chain_id.to_string() });
    }
    let hash = environment.parent_hash;
    let Some(number) = block.checked_sub(1).map(BlockNumber) else {
        return Err(StreamError::UnknownParent { block, parent: hash });
    };
    let (values, parent) = if begin.parent_execution_id.is_empty() {
        let values = parent_values(shared, number, hash).await?;
        (values.clone(), BegunOn::Committed(hash, values))
    } else {
        let values = shared.last_closed.get(&begin.parent_execution_id, number);
        let values = values.ok_or(StreamError::UnknownExecution { block })?;
        (values, BegunOn::Execution(number))
    };
    let state = BlockState::new(values, shared.classes.clone());
    let executor =
        tokio::task::spawn_blocking(move || BlockExecutor::begin(state, environment, limits))
            .await
            .map_err(|_| StreamError::Panicked)?
            .map_err(StreamError::Engine)?;
    Ok(Begun { executor, parent })
}

/// What closing the block takes: its parent's hash, and the state after it.
async fn closing(
    shared: &Arc<Shared>,
    block: BlockNumber,
    parent: &BegunOn,
    named: &[u8],
) -> Result<Work, StreamError> {
    let named = match named {
        [] => None,
        bytes => {
            let hash = felt::felt("parent_hash", bytes).map_err(StreamError::Message)?;
            Some(BlockHash(hash))
        }
    };
    match (parent, named) {
        (BegunOn::Committed(begun, values), None) => Ok(Work::Close(*begun, values.clone())),
        (BegunOn::Committed(begun, values), Some(named)) if named == *begun => {
            Ok(Work::Close(named, values.clone()))
        }
        (BegunOn::Committed(begun, _), Some(named)) => {
            Err(StreamError::OtherParent { block: block.0, begun: *begun, named })
        }
        (BegunOn::Execution(_), None) => {
            Err(StreamError::UnknownParent { block: block.0, parent: BlockHash::default() })
        }
        (BegunOn::Execution(number), Some(named)) => {
            Ok(Work::Close(named, parent_values(shared, *number, named).await?))
        }
    }
}

/// The values after a block in the chain store, with the cache moved on to it.
async fn parent_values(
    shared: &Arc<Shared>,
    number: BlockNumber,
    hash: BlockHash,
) -> Result<Arc<dyn StateValues>, StreamError> {
    let block = number.0.saturating_add(1);
    let failed = |source| StreamError::ChainStore { block, source };
    let store: &ChainStore = &shared.store;
    let parent = store.block(BlockSelector::Number(number)).await.map_err(failed)?;
    let Some(parent) = parent.filter(|parent| parent.hash == hash) else {
        return Err(StreamError::UnknownParent { block, parent: hash });
    };
    if let Some(diff) = store.state_diff(number).await.map_err(failed)? {
        shared.values.advance(parent.header.parent_hash, parent.hash, &diff);
    }
    let values =
        StoredValues::new(store.clone(), shared.values.clone(), &parent, shared.runtime.clone());
    Ok(Arc::new(values))
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
            // The sequencer's: it computed it.
            let missing = || ConversionError::new("hash", ConversionProblem::Missing);
            let hash = received.claimed_hash.ok_or_else(missing).map_err(StreamError::Message)?;
            Ok(BlockTransaction { hash, transaction: received.transaction })
        })
        .collect()
}

/// The execution thread. Ends when the block is closed, or nobody sends or listens any more.
fn execute(
    shared: &Shared,
    mut executor: BlockExecutor,
    mut jobs: mpsc::Receiver<Work>,
    answers: &Answers,
) -> Result<(), StreamError> {
    let per_answer = shared.outcomes_per_answer.max(1);
    let mut full = false;
    while let Some(job) = jobs.blocking_recv() {
        let batch = match job {
            Work::Close(parent, before) => {
                executor.set_parent_hash(parent);
                let execution = executor.close().map_err(StreamError::Engine)?;
                metrics::counter!("executor_blocks_closed_total").increment(1);
                let id = Uuid::new_v4();
                shared.last_closed.set(ClosedExecution {
                    id,
                    number: execution.environment.number,
                    values: Arc::new(ChangedValues::new(before, &execution.state_diff)),
                });
                let closed = wire::execute_block_response::Message::Closed(closed(execution, id)?);
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
            let state_diff_json = payload::encode("state_diff_json", &executed.state_diff)
                .map_err(StreamError::Message)?;
            let batch = wire::OutcomeBatch { outcomes_json, block_full: full, state_diff_json };
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

fn closed(execution: BlockExecution, id: Uuid) -> Result<wire::ClosedBlock, StreamError> {
    let json = serde_json::to_vec(&BlockClosing::from(execution)).map_err(StreamError::Json)?;
    let closing_json_zstd =
        zstd::encode_all(json.as_slice(), 1).map_err(StreamError::Compression)?;
    Ok(wire::ClosedBlock { closing_json_zstd, execution_id: id.as_bytes().to_vec() })
}
