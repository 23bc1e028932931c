//! Jobs, and the lease by which a worker holds one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{BusError, Headers};

/// A job to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Name of the work queue: ASCII letters, digits, `_` and `-` (`prove-block`).
    pub queue: String,
    /// Identity within the queue, of the same characters; a second job with a live or parked id is not added.
    pub job_id: String,
    /// What the worker needs to know, at most [`crate::BusConfig::max_payload_bytes`].
    pub payload: Bytes,
    /// Travels along, for example the trace context.
    pub headers: Headers,
}

/// What [`crate::Jobs::enqueue`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The job is waiting for a worker.
    Added,
    /// A job with this id is waiting or leased.
    AlreadyLive,
    /// A job with this id has failed for good and waits for [`crate::Jobs::requeue`].
    Parked,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Name of the work queue.
    pub queue: String,
    /// Identity within the queue.
    pub job_id: String,
    /// What the worker needs to know.
    pub payload: Bytes,
    /// Travels along, for example the trace context.
    pub headers: Headers,
    /// 1 the first time.
    pub attempt: u32,
    /// After this many deliveries without an acknowledgement the job is parked.
    pub max_attempts: u32,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for a worker, not before the given time.
    Waiting {
        /// Set after a failed attempt.
        not_before: Option<SystemTime>,
    },
    /// A worker holds it.
    Leased {
        /// Redelivered after this unless a heartbeat comes.
        until: SystemTime,
    },
    /// Failed for good; kept with its payload and cause until it is put back.
    Parked,
}

/// One job as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Name of the work queue.
    pub queue: String,
    /// Identity within the queue.
    pub job_id: String,
    /// Where it stands.
    pub state: JobState,
    /// Deliveries so far, not counting those that were handed back by [`Lease::release`].
    pub attempts: u32,
    /// Why the last attempt failed; gone when the job is put back.
    pub cause: Option<String>,
    /// What the worker gets.
    pub payload: Bytes,
    /// When it was queued, or put back the last time.
    pub enqueued_at: SystemTime,
}

/// Which jobs [`crate::Jobs::list`] returns.
#[derive(Clone, Debug)]
pub struct JobFilter {
    /// Only those that failed for good.
    pub parked_only: bool,
    /// Only those whose id is greater than this: the last id of the page before.
    pub after: Option<String>,
    /// At most so many, and never more than 1,000.
    pub limit: usize,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { parked_only: false, after: None, limit: 100 }
    }
}

/// Jobs of one queue by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Not yet taken, or to be taken again.
    pub waiting: u64,
    /// Held by workers.
    pub leased: u64,
    /// Failed for good.
    pub parked: u64,
}

/// What became of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOutcome {
    /// It is tried again after this time.
    Retried {
        /// From the retry policy of the bus.
        delay: Duration,
    },
    /// It was the last delivery, or the cause was final: the job is parked.
    Parked,
}

/// A worker's hold on one job. Dropped without an answer, the job comes back when the lease is over: what a
/// killed worker leaves behind. Clones share the hold, so that a thread of its own can send heartbeats.
#[derive(Clone)]
pub struct Lease {
    pub(crate) job: Arc<Job>,
    pub(crate) duration: Duration,
    pub(crate) ops: Arc<dyn LeaseOps>,
}

impl Lease {
    /// The job itself.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// How long the hold lasts from now or from the last heartbeat; a third of it is a good interval.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Renews the hold. [`BusError::LeaseLost`] when it was over and someone else may have the job.
    pub async fn heartbeat(&self) -> Result<(), BusError> {
        self.ops.heartbeat().await
    }

    /// The work is done; the job is gone.
    pub async fn ack(&self) -> Result<(), BusError> {
        self.ops.ack().await
    }

    /// Hands the job back unharmed after `delay` (a worker that drains); the delivery does not count.
    pub async fn release(&self, delay: Duration) -> Result<(), BusError> {
        self.ops.release(delay).await
    }

    /// The attempt failed: tried again after `delay` while deliveries are left, otherwise parked with `cause`.
    pub async fn nak(&self, delay: Duration, cause: &str) -> Result<FailOutcome, BusError> {
        self.ops.nak(delay, cause).await
    }

    /// The job cannot succeed: parked with `cause` at once, whatever deliveries are left.
    pub async fn fail(&self, cause: &str) -> Result<(), BusError> {
        self.ops.fail(cause).await
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("job", &self.job)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// How an implementation answers for one lease; see the methods of [`Lease`].
#[async_trait]
pub trait LeaseOps: Send + Sync {
    /// See [`Lease::heartbeat`].
    async fn heartbeat(&self) -> Result<(), BusError>;
    /// See [`Lease::ack`].
    async fn ack(&self) -> Result<(), BusError>;
    /// See [`Lease::release`].
    async fn release(&self, delay: Duration) -> Result<(), BusError>;
    /// See [`Lease::nak`].
    async fn nak(&self, delay: Duration, cause: &str) -> Result<FailOutcome, BusError>;
    /// See [`Lease::fail`].
    async fn fail(&self, cause: &str) -> Result<(), BusError>;
}

/// Causes are kept in records of either implementation, so they are cut to this many bytes.
pub(crate) const MAX_CAUSE_BYTES: usize = 4096;

/// `cause` cut at a character boundary to [`MAX_CAUSE_BYTES`].
pub(crate) fn bounded_cause(cause: &str) -> &str {
    let mut end = cause.len().min(MAX_CAUSE_BYTES);
    while !cause.is_char_boundary(end) {
        end -= 1;
    }
    &cause[..end]
}
