//! The planner: every closed block without a proof has a job, whatever events were lost.
//!
//! ```text
//!   block closed ──pass──> no job ──enqueue──> queued ──pull──> running ──PutProof, ack──> proven
//!                                                ^                │ failed, deliveries left
//!                                                +────────────────┤
//!                                                ^                │ failed for good, or too often
//!                                                +── requeue ── parked
//! ```
//!
//! A full look reads full state: blocks from the chain store, proofs from the index. It is begun by the first event, or
//! timer, that comes a period after the last one. In between, an event leads to a look at the blocks that came since, or
//! each new block would cost a look at all that wait for proofs. Enqueueing is idempotent, and a parked job stays parked
//! until somebody puts it back: it holds back no other block.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use prost::Message as _;
use sidereal_bus::{Bus, BusError, Enqueued, Event, Headers, NewJob, Subscribe};
use sidereal_chain_store::{ChainStore, ChainStoreError, StoredBlock};
use sidereal_proto::events::{self, proof_job};
use sidereal_proto::{BLOCK_CLOSED_SUBJECT, PROVING_QUEUE};
use sidereal_service::{Pass, Reconciler, Shutdown, Waker, error_chain};
use starknet_api::block::BlockNumber;

use crate::index::{IndexError, ProofIndex};
use crate::watch::Watch;

/// Blocks that one pass looks at.
const PAGE: u32 = 256;
/// Wait before a broken subscription is opened again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);

/// A pass failed; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum PlannerError {
    #[error("reading closed blocks failed")]
    ChainStore(#[source] ChainStoreError),
    #[error("reading stored proofs failed")]
    Index(#[source] IndexError),
    #[error("planning the job of block {block} failed")]
    Enqueue {
        block: u64,
        #[source]
        source: BusError,
    },
}

/// Plans jobs.
pub struct Planner {
    pub chain: ChainStore,
    pub index: ProofIndex,
    pub bus: Arc<dyn Bus>,
    /// Told of the jobs that were planned.
    pub watch: Arc<Watch>,
    pub window_blocks: u64,
    /// Between two full looks.
    pub period: Duration,
    pub progress: Mutex<Progress>,
    /// Traces of closed blocks, for their jobs.
    pub traces: Arc<Traces>,
}

/// Blocks whose traces are remembered; of others the job begins a trace of its own.
const REMEMBERED_TRACES: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// What the events of the last closed blocks said of their traces.
#[derive(Debug)]
pub struct Traces(Mutex<LruCache<u64, Headers>>);

impl Default for Traces {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_TRACES)))
    }
}

impl Traces {
    fn remember(&self, event: &Event) {
        let Ok(closed) = events::BlockClosed::decode(event.payload.clone()) else { return };
        if !event.headers.is_empty() {
            self.held().put(closed.block_number, event.headers.clone());
        }
    }

    fn of(&self, block: u64) -> Headers {
        self.held().get(&block).cloned().unwrap_or_default()
    }

    fn held(&self) -> MutexGuard<'_, LruCache<u64, Headers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the planner has looked. Only a saving: a start begins anew.
#[derive(Debug)]
pub struct Progress {
    /// Every block from the first one that is ever proven up to but without this one has a proof.
    unproven_from: u64,
    /// Blocks before this one were looked at.
    next: u64,
    look: Look,
}

#[derive(Clone, Copy, Debug)]
enum Look {
    /// From the first block without a proof, page by page.
    Full,
    /// At what is new, since the full look that ended then.
    New(Instant),
}

impl Progress {
    /// `first` is the first block that is ever proven.
    pub fn new(first: u64) -> Self {
        Self { unproven_from: first, next: first, look: Look::Full }
    }

    fn begin_full_look_if_due(&mut self, period: Duration) {
        if let Look::New(ended) = self.look
            && ended.elapsed() >= period
        {
            self.next = self.unproven_from;
            self.look = Look::Full;
        }
    }

    /// The last page was looked at, up to but without `next`.
    fn end_look(&mut self, next: u64) {
        self.next = next;
        if let Look::Full = self.look {
            self.look = Look::New(Instant::now());
        }
    }
}

/// A job's id: one a block, so that planning it again is harmless.
pub fn job_id(block: &StoredBlock) -> String {
    format!("{:064x}", block.hash.0)
}

impl Planner {
    /// Looks at one page of blocks; [`Pass::More`] when there are further ones.
    pub async fn pass(&self) -> Result<Pass, PlannerError> {
        let (first, low) = {
            let mut progress = self.progress();
            progress.begin_full_look_if_due(self.period);
            (progress.next, progress.unproven_from)
        };
        let blocks = self
            .chain
            .blocks_from(BlockNumber(first), PAGE)
            .await
            .map_err(PlannerError::ChainStore)?;
        let proven = self.index.from(first, PAGE).await.map_err(PlannerError::Index)?;
        let mut proven = proven.into_iter().map(|proof| proof.block_number).peekable();
        let mut contiguous = first == low;
        let mut next = first;
        for block in &blocks {
            let number = block.number().0;
            while proven.next_if(|proven| *proven < number).is_some() {}
            if proven.peek() == Some(&number) {
                if contiguous {
                    self.progress().unproven_from = number + 1;
                }
            } else {
                contiguous = false;
                if number >= low.saturating_add(self.window_blocks) {
                    self.progress().end_look(number);
                    return Ok(Pass::Done);
                }
                self.plan(block).await?;
            }
            next = number + 1;
        }
        if u32::try_from(blocks.len()).is_ok_and(|count| count == PAGE) {
            self.progress().next = next;
            return Ok(Pass::More);
        }
        self.progress().end_look(next);
        Ok(Pass::Done)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn plan(&self, block: &StoredBlock) -> Result<(), PlannerError> {
        let number = block.number().0;
        // Only the genesis has no witness, and it is below the first block that is looked at.
        let Some(witness_key) = block.witness_key.clone() else { return Ok(()) };
        let work = events::ProveBlock {
            block_number: number,
            block_hash: block.hash.0.to_bytes_be().to_vec(),
            witness_key,
        };
        let payload = events::ProofJob { work: Some(proof_job::Work::Block(work)) };
        let headers = self.traces.of(number);
        let job = NewJob {
            queue: PROVING_QUEUE.to_owned(),
            job_id: job_id(block),
            payload: payload.encode_to_vec().into(),
            headers,
        };
        let enqueued = self
            .bus
            .enqueue(job)
            .await
            .map_err(|source| PlannerError::Enqueue { block: number, source })?;
        if enqueued == Enqueued::Added {
            self.watch.wake();
            tracing::info!(block = number, "proving job planned");
        }
        Ok(())
    }

    /// Starts the reconciler.
    pub fn start(self: Arc<Self>, waker: Waker, shutdown: &Shutdown) {
        Reconciler::new("proof planner", self.period).spawn(shutdown, waker, move || {
            let planner = Arc::clone(&self);
            async move { planner.pass().await }
        });
    }
}

/// Wakes the planner at each closed block, and remembers its trace. What was missed, the planner's timer covers.
pub fn wake_on_blocks(bus: Arc<dyn Bus>, traces: Arc<Traces>, waker: Waker, shutdown: &Shutdown) {
    let stop = shutdown.clone();
    shutdown.spawn("block.closed consumer", async move {
        while !stop.is_triggered() {
            let followed = tokio::select! {
                () = stop.triggered() => return,
                followed = follow(bus.as_ref(), &traces, &waker) => followed,
            };
            if let Err(error) = followed {
                tracing::warn!(error = %error_chain(&error), "following closed blocks failed");
            }
            tokio::time::sleep(RESUBSCRIBE).await;
        }
    });
}

async fn follow(bus: &dyn Bus, traces: &Traces, waker: &Waker) -> Result<(), BusError> {
    let mut subscription = bus.subscribe(Subscribe::ephemeral(BLOCK_CLOSED_SUBJECT)).await?;
    loop {
        let delivery = subscription.next().await?;
        traces.remember(&delivery.event);
        waker.wake();
        delivery.ack().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that new blocks do not lead to looks at old ones, and that a period does.
    #[test]
    fn only_a_full_look_begins_anew() {
        let (long, none) = (Duration::from_secs(3_600), Duration::ZERO);
        let mut progress = Progress::new(1);
        progress.next = 257;
        progress.begin_full_look_if_due(none);
        assert_eq!(progress.next, 257, "a full look under way goes on");
        progress.unproven_from = 3;
        progress.end_look(300);
        progress.begin_full_look_if_due(long);
        assert_eq!(progress.next, 300);
        progress.end_look(310);
        progress.begin_full_look_if_due(none);
        assert_eq!(progress.next, 3);
        assert!(matches!(progress.look, Look::Full));
    }

    /// Pins down that a job carries on the trace of its block, and that of a block without one begins its own.
    #[test]
    fn the_trace_of_a_block_is_remembered() {
        let traces = Traces::default();
        let event = |block_number: u64, headers: Headers| Event {
            subject: BLOCK_CLOSED_SUBJECT.to_owned(),
            message_id: block_number.to_string(),
            payload: events::BlockClosed { block_number, ..Default::default() }
                .encode_to_vec()
                .into(),
            headers,
        };
        let trace = Headers::from([("traceparent".to_owned(), "00-7".to_owned())]);
        traces.remember(&event(7, trace.clone()));
        traces.remember(&event(8, Headers::new()));
        assert_eq!(traces.of(7), trace);
        assert_eq!(traces.of(7), trace, "a job may be planned again");
        assert!(traces.of(8).is_empty());
    }
}
