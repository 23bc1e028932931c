//! Calls, simulations, validations and traces, on a bounded pool of threads that blocks do not share.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use sidereal_chain_store::{BlockSelector, ChainStoreError, StoredBlock};
use sidereal_execution::DeepThreads;
use sidereal_execution::outcome::Rejection;
use sidereal_execution::query::{
    self, QueryContext, QueryError, SimulatedTransaction, SimulationFlags,
};
use sidereal_execution::state::{BlockState, StateValues};
use sidereal_execution::trace::TransactionTraceEntry;
use sidereal_execution::transaction::{BlockTransaction, TransactionError};
use sidereal_proto::ConversionError;
use sidereal_proto::transaction::ReceivedTransaction;
use sidereal_proto::types as wire;
use sidereal_service::{Classified, ErrorClass};
use starknet_api::block::BlockNumber;
use starknet_api::core::{ContractAddress, EntryPointSelector};
use starknet_types_core::felt::Felt;
use tokio::sync::{Semaphore, oneshot};

use crate::classes::{RequestClassError, of_declare, of_request};
use crate::config::{QueriesConfig, count};
use crate::pending::{PendingError, PendingJson, StateAt};
use crate::service::Shared;
use crate::state::{StoredValues, environment_of};

/// Why a query is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryFailure {
    #[error("a field of the request is malformed")]
    Field(#[source] ConversionError),
    #[error("a transaction of the request is malformed")]
    Transaction(#[source] TransactionError),
    #[error("the request has {transactions} transactions, at most {limit} are simulated together")]
    TooMany { transactions: usize, limit: usize },
    #[error("the request has {classes} classes, more than transactions")]
    TooManyClasses { classes: usize },
    #[error("a class of the request is refused")]
    Class(#[source] RequestClassError),
    #[error("the state of the open blocks is malformed")]
    Pending(#[source] PendingError),
    #[error("there is no block {}", number.map_or("yet".to_owned(), |number| number.to_string()))]
    NoBlock { number: Option<BlockNumber> },
    #[error("block 0 has no transactions to trace")]
    Genesis,
    #[error("the chain store cannot be read")]
    ChainStore(#[source] ChainStoreError),
    #[error("too many queries wait already")]
    Busy,
    #[error("no thread was free for the query in time")]
    Waited,
    #[error("the query's thread panicked")]
    Panicked,
    #[error("the query has no answer")]
    Query(#[source] QueryError),
    #[error("the transaction is not valid")]
    Rejected(#[source] Rejection),
}

impl Classified for QueryFailure {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Field(_)
            | Self::Transaction(_)
            | Self::TooMany { .. }
            | Self::TooManyClasses { .. }
            | Self::Class(_)
            | Self::Pending(_) => ErrorClass::Invalid,
            Self::NoBlock { .. } | Self::Genesis => ErrorClass::NotFound,
            Self::ChainStore(_) => ErrorClass::Unavailable,
            Self::Busy => ErrorClass::Exhausted,
            Self::Waited => ErrorClass::TimedOut,
            Self::Query(QueryError::Internal { .. }) | Self::Panicked => ErrorClass::Internal,
            Self::Query(QueryError::ContractNotFound { .. }) => ErrorClass::NotFound,
            Self::Query(_) | Self::Rejected(_) => ErrorClass::Conflict,
        }
    }
}

/// The threads for queries.
pub(crate) struct QueryPool {
    threads: DeepThreads,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    wait: Duration,
    max_simulated: usize,
}

impl QueryPool {
    pub(crate) fn start(config: &QueriesConfig) -> std::io::Result<Self> {
        let threads = count(config.threads);
        Ok(Self {
            threads: DeepThreads::start("query", threads)?,
            free: Arc::new(Semaphore::new(threads)),
            waiting: AtomicUsize::new(0),
            max_waiting: count(config.waiting),
            wait: Duration::from_millis(config.wait_ms),
            max_simulated: count(config.simulated_transactions),
        })
    }

    /// Runs a query when a thread is free. A query that has begun runs to its end, which gas bounds.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueryFailure> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.max_waiting {
                    self.waiting.fetch_sub(1, Ordering::AcqRel);
                    return Err(QueryFailure::Busy);
                }
                let waited =
                    tokio::time::timeout(self.wait, self.free.clone().acquire_owned()).await;
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                // The semaphore is never closed.
                waited.map_err(|_| QueryFailure::Waited)?.map_err(|_| QueryFailure::Busy)?
            }
        };
        let (answer, answered) = oneshot::channel();
        self.threads.run(move || {
            let _permit = permit;
            // Nobody listens when the caller went away.
            let _ = answer.send(work());
        });
        answered.await.map_err(|_| QueryFailure::Panicked)
    }
}

/// Contexts that were asked for last. A closed block never changes; of open blocks, each view is a state of its own.
pub(crate) struct Contexts {
    closed: Mutex<LruCache<BlockNumber, QueryContext>>,
    /// With the block they are on top of, and what they were read from; the last one used is the last.
    pending: Mutex<VecDeque<(BlockNumber, PendingJson, QueryContext)>>,
}

impl Contexts {
    /// How many closed blocks are kept; the head is asked about most.
    const CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

    /// How many views of open blocks are kept; each is asked about until the next transactions are executed.
    const PENDING_CAPACITY: usize = 4;

    pub(crate) fn new() -> Self {
        Self { closed: Mutex::new(LruCache::new(Self::CAPACITY)), pending: Mutex::default() }
    }

    fn get(&self, number: BlockNumber) -> Option<QueryContext> {
        locked(&self.closed).get(&number).cloned()
    }

    fn put(&self, number: BlockNumber, context: QueryContext) {
        locked(&self.closed).put(number, context);
    }

    fn pending(&self, base: BlockNumber, pending: &PendingJson) -> Option<QueryContext> {
        let mut kept = locked(&self.pending);
        let found = kept.iter().position(|(of, json, _)| *of == base && json == pending)?;
        let found = kept.remove(found)?;
        let context = found.2.clone();
        kept.push_back(found);
        Some(context)
    }

    fn put_pending(&self, base: BlockNumber, pending: PendingJson, context: QueryContext) {
        let mut kept = locked(&self.pending);
        if kept.len() >= Self::PENDING_CAPACITY {
            kept.pop_front();
        }
        kept.push_back((base, pending, context));
    }
}

/// A holder that panicked left at worst a context out.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Calls a function of a contract.
    pub(crate) async fn call(
        &self,
        at: StateAt,
        contract: ContractAddress,
        selector: EntryPointSelector,
        calldata: Vec<Felt>,
    ) -> Result<Vec<Felt>, QueryFailure> {
        let context = self.context(at).await?;
        self.queries
            .run(move || query::call(&context, contract, selector, calldata))
            .await?
            .map_err(QueryFailure::Query)
    }

    /// Simulates transactions one after the other. What they declare is in `classes` or in the object store.
    pub(crate) async fn simulate(
        &self,
        at: StateAt,
        transactions: Vec<ReceivedTransaction>,
        classes: Vec<wire::DeclaredClass>,
        flags: SimulationFlags,
    ) -> Result<Vec<SimulatedTransaction>, QueryFailure> {
        let limit = self.queries.max_simulated;
        if transactions.len() > limit {
            return Err(QueryFailure::TooMany { transactions: transactions.len(), limit });
        }
        if classes.len() > transactions.len() {
            return Err(QueryFailure::TooManyClasses { classes: classes.len() });
        }
        let transactions = transactions
            .into_iter()
            .map(|received| self.hashed(received))
            .collect::<Result<Vec<_>, _>>()?;
        let context = self.context(at).await?;
        let simulate = move || {
            if classes.is_empty() {
                return query::simulate(&context, &transactions, flags)
                    .map_err(QueryFailure::Query);
            }
            let own = of_request(&classes).map_err(QueryFailure::Class)?;
            query::simulate(&context.with_classes(own), &transactions, flags)
                .map_err(QueryFailure::Query)
        };
        self.queries.run(simulate).await?
    }

    /// Runs the account's validation. What it declares is `class`, or in the object store.
    pub(crate) async fn validate(
        &self,
        at: StateAt,
        received: ReceivedTransaction,
        class: Option<wire::DeclaredClass>,
    ) -> Result<(), QueryFailure> {
        let transaction = self.hashed(received)?;
        let context = self.context(at).await?;
        let validate = move || {
            let context = match class {
                Some(class) => {
                    let own = of_declare(&class, &transaction.transaction);
                    context.with_classes(own.map_err(QueryFailure::Class)?)
                }
                None => context,
            };
            query::validate(&context, &transaction)
                .map_err(QueryFailure::Query)?
                .map_err(QueryFailure::Rejected)
        };
        self.queries.run(validate).await?
    }

    /// Re-executes a closed block.
    pub(crate) async fn trace_block(
        &self,
        number: BlockNumber,
    ) -> Result<Vec<TransactionTraceEntry>, QueryFailure> {
        let block = self.stored_block(Some(number)).await?;
        let parent = number.0.checked_sub(1).map(BlockNumber).ok_or(QueryFailure::Genesis)?;
        let parent = self.stored_block(Some(parent)).await?;
        let environment = environment_of(&self.store, &block, &self.chain_id)
            .await
            .map_err(QueryFailure::ChainStore)?;
        let transactions: Vec<BlockTransaction> = self
            .store
            .transactions(number)
            .await
            .map_err(QueryFailure::ChainStore)?
            .into_iter()
            .map(|stored| BlockTransaction { hash: stored.hash, transaction: stored.transaction })
            .collect();
        let state = self.state_after(&parent);
        self.queries
            .run(move || query::trace_block(state, &environment, &transactions))
            .await?
            .map_err(QueryFailure::Query)
    }

    fn hashed(&self, received: ReceivedTransaction) -> Result<BlockTransaction, QueryFailure> {
        match received.claimed_hash {
            Some(hash) => Ok(BlockTransaction { hash, transaction: received.transaction }),
            None => BlockTransaction::new(received.transaction, &self.chain_id)
                .map_err(QueryFailure::Transaction),
        }
    }

    /// The state after a block, in that block's environment; of the latest block without a number.
    async fn context(&self, at: StateAt) -> Result<QueryContext, QueryFailure> {
        match at {
            StateAt::Latest => self.closed_context(None).await,
            StateAt::Closed(number) => self.closed_context(Some(number)).await,
            StateAt::Pending(base, pending) => self.pending_context(base, pending).await,
        }
    }

    async fn closed_context(&self, at: Option<BlockNumber>) -> Result<QueryContext, QueryFailure> {
        if let Some(number) = at
            && let Some(context) = self.contexts.get(number)
        {
            return Ok(context);
        }
        let block = self.stored_block(at).await?;
        let environment = environment_of(&self.store, &block, &self.chain_id)
            .await
            .map_err(QueryFailure::ChainStore)?;
        let parent = block.header.parent_hash;
        if self.values.is_at(parent)
            && let Some(diff) =
                self.store.state_diff(block.number()).await.map_err(QueryFailure::ChainStore)?
        {
            self.values.follow(parent, block.hash, &diff);
        }
        let context = QueryContext::new(self.state_after(&block), environment)
            .map_err(QueryFailure::Query)?;
        self.contexts.put(block.number(), context.clone());
        Ok(context)
    }

    /// The state after the open blocks on top of block `base`, in the environment of the last one.
    async fn pending_context(
        &self,
        base: BlockNumber,
        pending: PendingJson,
    ) -> Result<QueryContext, QueryFailure> {
        if let Some(context) = self.contexts.pending(base, &pending) {
            return Ok(context);
        }
        let block = self.stored_block(Some(base)).await?;
        let before = self.values_after(&block);
        let (classes, chain_id) = (self.classes.clone(), self.chain_id.clone());
        let read = move || {
            let (environment, values) = pending.read(base, before, &chain_id)?;
            let context = QueryContext::new(BlockState::new(values, classes), environment)
                .map_err(QueryFailure::Query)?;
            Ok((pending, context))
        };
        let (pending, context) =
            tokio::task::spawn_blocking(read).await.map_err(|_| QueryFailure::Panicked)??;
        self.contexts.put_pending(base, pending, context.clone());
        Ok(context)
    }

    async fn stored_block(&self, at: Option<BlockNumber>) -> Result<StoredBlock, QueryFailure> {
        let selector = at.map_or(BlockSelector::Latest, BlockSelector::Number);
        self.store
            .block(selector)
            .await
            .map_err(QueryFailure::ChainStore)?
            .ok_or(QueryFailure::NoBlock { number: at })
    }

    fn state_after(&self, block: &StoredBlock) -> BlockState {
        BlockState::new(self.values_after(block), self.classes.clone())
    }

    fn values_after(&self, block: &StoredBlock) -> Arc<dyn StateValues> {
        Arc::new(StoredValues::new(
            self.store.clone(),
            self.values.clone(),
            block,
            self.runtime.clone(),
        ))
    }
}
