//! Block production: opens a block when there is work, drives it through an executor, and commits it while the next one
//! is being filled.
//!
//! The open block lives in memory only. If the process dies, its transactions are still in the store's mempool, and the
//! next start executes them again in a new block; if an executor dies, the block is replayed on the next one.

mod close;
mod environment;
mod executor;
mod open_block;
#[cfg(test)]
mod open_block_properties;
mod parent;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sidereal_chain_store::{ChainStore, ChainStoreError, Head, Removal};
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::{BlockExecution, Rejection};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_service::{Readiness, RetryPolicy, Shutdown, Waker, error_chain};
use tokio::time::Instant;
use tracing::Instrument as _;

pub use close::{BLOCK_CLOSED, CommitError, Committer, rejection_removal, stored_receipt};
pub use environment::{ChainRules, EnvironmentError};
pub use executor::{Executor, StreamError, Unreadable};
pub use open_block::{Answer, Change, CloseReason, ClosingRule, Disagreement, Next, OpenBlock};
pub use parent::{Committing, Execution, Parent};

use crate::clock::now_ms;
use crate::gas_prices::BlockGasPrices;
use crate::mempool::Disposition;
use crate::shared::{PreConfirmedBlock, Shared, SharedDiff};

/// Transactions in one message to the executor.
const MESSAGE_TRANSACTIONS: usize = 32;

/// Production cannot go on. Whatever it is, no block is written on top of it.
#[derive(Debug, thiserror::Error)]
pub enum ProductionError {
    /// Executors do not agree.
    #[error("the open block cannot be relied on")]
    Disagreement(#[source] Disagreement),
    /// A block could not be committed, and trying again does not help.
    #[error("a closed block cannot be committed")]
    Commit(#[source] Box<CommitError>),
    /// Committing a block panicked.
    #[error("committing a closed block panicked")]
    CommitPanicked(#[source] tokio::task::JoinError),
    /// The next block has no possible environment.
    #[error("the next block cannot be opened")]
    Environment(#[source] EnvironmentError),
    /// What execution refused cannot be recorded.
    #[error("refused transactions cannot be recorded")]
    Record(#[source] ChainStoreError),
}

/// What one stream came to.
enum Driven {
    /// On this parent; with the executor's name for it.
    Closed { parent: Head, execution: Arc<BlockExecution>, id: Vec<u8>, reason: CloseReason },
    /// Nothing is in the block.
    Abandoned,
    /// Shutdown came before the parent was committed.
    Stopped,
}

enum DriveError {
    Stream(StreamError),
    Fatal(ProductionError),
}

impl From<StreamError> for DriveError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl From<Disagreement> for DriveError {
    fn from(error: Disagreement) -> Self {
        Self::Fatal(ProductionError::Disagreement(error))
    }
}

impl From<ProductionError> for DriveError {
    fn from(error: ProductionError) -> Self {
        Self::Fatal(error)
    }
}

/// A closed block, and what goes with it into the store.
struct Closed {
    parent: Head,
    execution: Arc<BlockExecution>,
    rejections: Vec<Rejection>,
    reason: CloseReason,
    opened_at_ms: u64,
}

/// See the [module](self).
pub struct Producer {
    /// The mempool, the open block, the head.
    pub shared: Shared,
    /// The chain store.
    pub store: ChainStore,
    /// Commits blocks.
    pub committer: Committer,
    /// In the order in which they are tried.
    pub executors: Vec<Executor>,
    /// What every block's environment has.
    pub rules: Arc<ChainRules>,
    /// When a block is closed.
    pub closing: ClosingRule,
    /// What fits into a block.
    pub limits: BlockLimits,
    /// The age of the head, in milliseconds, at which an empty block is closed; 0: never.
    pub empty_after_ms: u64,
    /// Waits between tries.
    pub retry: RetryPolicy,
    /// Woken when a block was committed.
    pub committed: Waker,
    /// Held back while no executor answers.
    pub readiness: Readiness,
    /// Ends production after the open block.
    pub shutdown: Shutdown,
}

impl Producer {
    /// Runs until shutdown, or until it must halt.
    pub async fn run(self: Arc<Self>) -> Result<(), ProductionError> {
        let mut present = 0;
        let mut parent = Parent::Committed(self.shared.tip());
        loop {
            let prices = *parent.prices();
            let work = tokio::select! {
                work = self.work(&prices) => work,
                committed = parent.committed(), if parent.is_committing() => {
                    committed?;
                    continue;
                }
            };
            let Some(allow_empty) = work else { break };
            let environment = match self.rules.next(&self.store, &parent).await {
                Ok(environment) => environment,
                Err(EnvironmentError::Store { source, .. }) if source.is_retryable() => {
                    tracing::warn!(error = %error_chain(&source), "opening a block failed");
                    self.pause(1).await;
                    continue;
                }
                Err(error) => return Err(ProductionError::Environment(error)),
            };
            let rule = ClosingRule { allow_empty, ..self.closing };
            let open = OpenBlock::new(environment, rule, now_ms());
            self.produce(open, &mut parent, &mut present).await?;
        }
        parent.committed().await.map(drop)
    }

    /// Waits for work: `Some(whether an empty block is due)`, or `None` at shutdown. Transactions that cannot pay for a
    /// block behind one with these prices are none.
    async fn work(&self, before: &BlockGasPrices) -> Option<bool> {
        let started = Instant::now();
        let empty_at =
            (self.empty_after_ms > 0).then(|| started + Duration::from_millis(self.empty_after_ms));
        let mut l1 = self.rules.pricer.watch();
        loop {
            if self.shutdown.is_triggered() {
                return None;
            }
            let prices = self.rules.pricer.next(before).in_fri();
            if self.shared.pool().has_ready(&prices) {
                return Some(false);
            }
            tokio::select! {
                () = self.shared.work.woken() => {}
                Ok(()) = l1.changed() => {}
                () = self.shutdown.triggered() => {}
                () = sleep_until(empty_at) => return Some(true),
            }
        }
    }

    async fn produce(
        self: &Arc<Self>,
        mut open: OpenBlock,
        parent: &mut Parent,
        present: &mut usize,
    ) -> Result<(), ProductionError> {
        self.shared.open().filling = Some(PreConfirmedBlock::new(open.environment().clone()));
        // From here to its proof: the executor's stream, the commit, and with the outbox the proving job.
        let span = tracing::info_span!("block", number = open.environment().number.0);
        let mut rejections = Vec::new();
        let driving = self.drive_to_end(&mut open, parent, present, &mut rejections);
        let driven = driving.instrument(span.clone()).await?;
        {
            let mut blocks = self.shared.open();
            let view = blocks.filling.take();
            // At once: who looks in between must not find the block gone.
            if matches!(driven, Driven::Closed { .. }) {
                blocks.committing = view;
            }
        }
        let (parent_head, execution, id, reason) = match driven {
            Driven::Stopped => return Ok(()),
            Driven::Abandoned => return self.record(&rejections).await,
            Driven::Closed { parent, execution, id, reason } => (parent, execution, id, reason),
        };
        let environment = &execution.environment;
        let (number, timestamp, prices) =
            (environment.number, environment.timestamp, environment.into());
        let opened_at_ms = open.opened_at_ms();
        let closed = Closed { parent: parent_head, execution, rejections, reason, opened_at_ms };
        let this = Arc::clone(self);
        let commit = async move {
            let committed = this.commit(closed).await;
            this.shared.open().committing = None;
            committed
        };
        let task = self.shutdown.spawn("block commit", commit.instrument(span));
        let executor = *present % self.executors.len().max(1);
        let execution = Execution { executor, id };
        *parent = Parent::Committing(Committing { number, timestamp, prices, execution, task });
        Ok(())
    }

    /// Drives the block through one executor after another.
    async fn drive_to_end(
        &self,
        open: &mut OpenBlock,
        parent: &mut Parent,
        present: &mut usize,
        rejections: &mut Vec<Rejection>,
    ) -> Result<Driven, ProductionError> {
        let mut failures = 0_u32;
        let mut latch = None;
        loop {
            let index = *present % self.executors.len().max(1);
            let Some(executor) = self.executors.get(index) else {
                // The configuration was checked to name one.
                return Ok(Driven::Stopped);
            };
            // Only the executor that closed the parent has its state before the store has it; and not after a failure.
            let on = parent.execution_on(index).filter(|_| failures == 0).map(<[u8]>::to_vec);
            if on.is_none() {
                let Some(head) = parent.committed().await? else { return Ok(Driven::Stopped) };
                open.set_parent_hash(head.hash);
            }
            let error = match self.drive(open, executor, parent, on.as_deref(), rejections).await {
                Ok(driven) => return Ok(driven),
                Err(DriveError::Fatal(error)) => return Err(error),
                Err(DriveError::Stream(error)) => error,
            };
            failures = failures.saturating_add(1);
            *present = present.wrapping_add(1);
            metrics::counter!("executor_streams_failed_total").increment(1);
            tracing::warn!(
                block = open.environment().number.0,
                error = %error_chain(&error),
                failures,
                "the open block is replayed on another executor"
            );
            if usize::try_from(failures).is_ok_and(|count| count >= self.executors.len()) {
                latch.get_or_insert_with(|| self.readiness.hold("executor"));
                if !self.pause(failures).await {
                    return Ok(Driven::Stopped);
                }
            }
        }
    }

    /// Drives the block through one executor until it is closed.
    async fn drive(
        &self,
        open: &mut OpenBlock,
        executor: &Executor,
        parent: &mut Parent,
        parent_execution: Option<&[u8]>,
        rejections: &mut Vec<Rejection>,
    ) -> Result<Driven, DriveError> {
        let environment = open.environment();
        let (requests, mut stream) =
            executor.begin(environment, &self.limits, parent_execution).await?;
        let prices = BlockGasPrices::from(environment).in_fri();
        let mut outgoing: VecDeque<Arc<BlockTransaction>> = open.replay().into();
        let mut last_progress = Instant::now();
        loop {
            let next = open.next(now_ms());
            match next {
                Next::Offer(room) => {
                    let taken = self.shared.pool().take(room, &prices);
                    if !taken.is_empty() && outgoing.is_empty() && !open.waits_for_answers() {
                        last_progress = Instant::now();
                    }
                    let taken = taken.into_iter().map(|candidate| candidate.payload);
                    let taken: Vec<_> = taken.collect();
                    open.offer(taken.iter().cloned());
                    outgoing.extend(taken);
                }
                Next::Wait => {}
                Next::Close(reason) => {
                    let Some(head) = parent.committed().await? else { return Ok(Driven::Stopped) };
                    open.set_parent_hash(head.hash);
                    requests.close(head.hash).await?;
                    let closed = tokio::time::timeout(stream.timeout(), stream.answer()).await;
                    return match closed.map_err(|_| stream.silent())?? {
                        executor::Answer::Closed(closing, id) => {
                            let execution = Arc::new(open.closed(*closing)?);
                            Ok(Driven::Closed { parent: head, execution, id, reason })
                        }
                        executor::Answer::Outcomes { .. } => {
                            let block = open.environment().number;
                            Err(Disagreement::UnaskedAnswer { block }.into())
                        }
                    };
                }
                Next::Abandon => return Ok(Driven::Abandoned),
            }
            let offering = matches!(next, Next::Offer(_));
            let silent_at = open.waits_for_answers().then(|| last_progress + stream.timeout());
            tokio::select! {
                answer = stream.answer() => {
                    last_progress = Instant::now();
                    self.answered(open, answer?, rejections)?;
                }
                permit = requests.ready(), if !outgoing.is_empty() => {
                    let count = outgoing.len().min(MESSAGE_TRANSACTIONS);
                    let batch: Vec<_> = outgoing.drain(..count).collect();
                    permit?.send(&batch)?;
                }
                () = self.shared.work.woken(), if offering => {}
                () = until_ms(open.deadline_ms()), if open.is_filling() => {}
                () = self.shutdown.triggered(), if open.is_filling() => {
                    open.stop_filling(CloseReason::Shutdown);
                }
                () = sleep_until(silent_at) => return Err(stream.silent().into()),
            }
        }
    }

    fn answered(
        &self,
        open: &mut OpenBlock,
        answer: executor::Answer,
        rejections: &mut Vec<Rejection>,
    ) -> Result<(), DriveError> {
        let (outcomes, block_full, state_diff) = match answer {
            executor::Answer::Outcomes { outcomes, block_full, state_diff } => {
                (outcomes, block_full, state_diff)
            }
            executor::Answer::Closed(..) => {
                let block = open.environment().number;
                return Err(Disagreement::UnaskedAnswer { block }.into());
            }
        };
        for outcome in outcomes {
            match open.answer(outcome)? {
                Answer::Included(hash) => {
                    self.shared.pool().executed(&hash, open.environment().number.0);
                    metrics::counter!("transactions_included_total").increment(1);
                }
                Answer::Reconfirmed => {}
                Answer::Rejected(rejection) => self.rejected(rejection, rejections),
            }
        }
        if block_full {
            let (returned, too_large) = open.full()?;
            let mut pool = self.shared.pool();
            for hash in &returned {
                pool.put_back(hash);
            }
            drop(pool);
            if let Some(rejection) = too_large {
                self.rejected(rejection, rejections);
            }
        }
        let change = open.changed(state_diff);
        if let Some(view) = &mut self.shared.open().filling {
            view.included = open.included().to_vec();
            match change {
                Change::More(changes) => view.changes.extend(&changes),
                Change::All(changes) => view.changes = SharedDiff::new(*changes),
                Change::Nothing => {}
            }
        }
        Ok(())
    }

    fn rejected(&self, rejection: Rejection, rejections: &mut Vec<Rejection>) {
        metrics::counter!("transactions_rejected_total").increment(1);
        if self.shared.pool().rejected(&rejection.hash) == Disposition::Requeued {
            return;
        }
        tracing::info!(
            hash = %format_args!("{:#x}", rejection.hash.0),
            reason = ?rejection.reason,
            "a transaction was rejected"
        );
        if let Some(view) = &mut self.shared.open().filling {
            view.rejected.insert(rejection.hash, rejection.clone());
        }
        rejections.push(rejection);
    }

    /// Writes the block, and tries again as long as only a store is out of reach. Returns `None` only at shutdown, when
    /// the next start executes the block again.
    async fn commit(&self, closed: Closed) -> Result<Option<Head>, ProductionError> {
        let Closed { parent, execution, rejections, reason, opened_at_ms } = closed;
        let started = Instant::now();
        let mut failures = 0_u32;
        let mut latch = None;
        let mut prepared = None;
        let prepared = loop {
            let result = match &prepared {
                None => match self.committer.prepare(Some(parent), &execution, &rejections).await {
                    Ok(ready) => {
                        prepared = Some(ready);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Some(ready) => self.committer.write(ready).await,
            };
            match (result, prepared.take()) {
                (Ok(()), Some(ready)) => break ready,
                (Ok(()), None) => {}
                (Err(error), kept) if error.is_retryable() => {
                    failures = failures.saturating_add(1);
                    prepared = kept;
                    latch.get_or_insert_with(|| self.readiness.hold("stores"));
                    tracing::warn!(error = %error_chain(&error), failures, "committing a block failed");
                    if !self.pause(failures).await {
                        return Ok(None);
                    }
                }
                (Err(error), _) => return Err(ProductionError::Commit(Box::new(error))),
            }
        };
        self.shared.advance(prepared.block().into());
        {
            let mut pool = self.shared.pool();
            pool.left(rejections.iter().map(|rejection| &rejection.hash));
            pool.forget_idle_accounts(prepared.head.number.0);
        }
        self.committed.wake();
        let block = prepared.block();
        metrics::counter!("blocks_closed_total", "reason" => reason.name()).increment(1);
        metrics::histogram!("block_commit_seconds").record(started.elapsed().as_secs_f64());
        tracing::info!(
            block = block.number().0,
            hash = %format_args!("{:#x}", block.hash.0),
            state_root = %format_args!("{:#x}", block.header.state_root.0),
            transactions = block.transaction_count,
            rejected = rejections.len(),
            reason = reason.name(),
            open_ms = now_ms().saturating_sub(opened_at_ms),
            commit_ms = started.elapsed().as_millis(),
            "block closed"
        );
        Ok(Some(prepared.head))
    }

    /// Records what was rejected while a block was built that came to nothing.
    async fn record(&self, rejections: &[Rejection]) -> Result<(), ProductionError> {
        if rejections.is_empty() {
            return Ok(());
        }
        let removals: Vec<Removal> = rejections.iter().map(rejection_removal).collect();
        let mut failures = 0_u32;
        loop {
            match self.store.remove_waiting(&removals).await {
                Ok(()) => {
                    self.shared.pool().left(rejections.iter().map(|rejection| &rejection.hash));
                    return Ok(());
                }
                Err(error) if error.is_retryable() => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = %error_chain(&error), "rejections were not recorded");
                    if !self.pause(failures).await {
                        return Ok(());
                    }
                }
                Err(error) => return Err(ProductionError::Record(error)),
            }
        }
    }

    /// Waits after failures; false at shutdown.
    async fn pause(&self, failures: u32) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.retry.delay(failures)) => true,
            () = self.shutdown.triggered() => false,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Until this time of the wall clock, by which blocks are closed.
async fn until_ms(at_ms: u64) {
    tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms()))).await;
}
