//! Events and jobs behind one trait, with two real implementations.
//!
//! ```text
//!  publish(event) ──> subject ──> durable consumer ──> Delivery ── ack ──> gone
//!                                                         └ not acked in time ──> again
//!
//!  enqueue(job) ──> waiting ──pull──> leased ── ack ──> gone
//!                      ^                │  └ lease over (worker killed) ─┐
//!                      ├── retry after ─┴── fail(cause) ─────────────────┤ deliveries left
//!                      └── requeue <── parked (payload and cause kept) <─┘ none left
//! ```
//!
//! The database is the truth; an event only wakes someone up. So consumers are idempotent, and both
//! implementations deliver *at least* once: a message that was published with the same id twice within the
//! deduplication window is stored once, a delivery that was not acknowledged comes back.
//!
//! * [`NatsBus`]: NATS JetStream, for several machines.
//! * [`EmbeddedBus`]: an SQLite file, for one machine; several processes may share the file.
//!
//! [`open`] chooses between them by the URL of a [`BusConfig`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
mod embedded;
mod error;
mod event;
mod job;
mod nats;
pub mod test_support;

pub use config::{BusConfig, open};
pub use embedded::EmbeddedBus;
pub use error::BusError;
pub use event::{Acknowledge, Delivery, Event, Published, Subscribe, Subscription};
pub use job::{
    Enqueued, FailOutcome, Job, JobFilter, JobRecord, JobState, Lease, LeaseOps, NewJob, QueueDepth,
};
pub use nats::NatsBus;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

/// Message headers: lower-case ASCII names to values. The trace context travels here
/// (see [`sidereal_service::telemetry::inject_headers`]).
pub type Headers = BTreeMap<String, String>;

/// Publish and subscribe by subject. Subjects are dot-separated tokens (`block.closed`); a filter may use
/// `*` for one token and `>` for the rest.
#[async_trait]
pub trait Events: Send + Sync {
    /// Stores `event` durably before it returns. An event with the same [`Event::message_id`] within the
    /// deduplication window is not stored again.
    async fn publish(&self, event: Event) -> Result<Published, BusError>;

    /// Starts or continues a consumer. A durable one ([`Subscribe::durable`]) keeps its position when the
    /// process ends, and processes that name the same consumer share its deliveries.
    async fn subscribe(&self, request: Subscribe) -> Result<Box<dyn Subscription>, BusError>;
}

/// Work queues: each job is held by at most one worker at a time, for as long as its lease is renewed.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Adds a job unless one with its id is live (waiting, leased) or parked in the same queue. Idempotent.
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, BusError>;

    /// Takes one job, waiting up to `wait` for it. `None` when there was none in that time.
    /// A job that has used up its deliveries without an answer is parked here and not handed out.
    async fn pull(&self, queue: &str, wait: Duration) -> Result<Option<Lease>, BusError>;

    /// One job as it stands; `None` when it is neither live nor parked (it never was, or it is done).
    async fn job(&self, queue: &str, job_id: &str) -> Result<Option<JobRecord>, BusError>;

    /// Jobs in the order of their ids, at most [`JobFilter::limit`] of them.
    async fn list(&self, queue: &str, filter: JobFilter) -> Result<Vec<JobRecord>, BusError>;

    /// Puts a parked job back with a fresh count of deliveries. [`BusError::NoSuchJob`] when it is not parked.
    async fn requeue(&self, queue: &str, job_id: &str) -> Result<(), BusError>;

    /// Takes a job away in whatever state it is (its work was done elsewhere). False when there was none.
    async fn remove(&self, queue: &str, job_id: &str) -> Result<bool, BusError>;

    /// How many jobs are in which state.
    async fn depth(&self, queue: &str) -> Result<QueueDepth, BusError>;
}

/// Both halves. Services hold an `Arc<dyn Bus>`.
#[async_trait]
pub trait Bus: Events + Jobs {
    /// Whether the bus answers; for readiness.
    async fn check(&self) -> Result<(), BusError>;
}
