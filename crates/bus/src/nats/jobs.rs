//! Jobs on JetStream.
//!
//! A job is a message in a work-queue stream, under a subject of its own: `<prefix>.jobs.<queue>.<job>`. Beside it
//! there is at most one *record* under `<prefix>.records.<queue>.<job>`, which says how often the job was taken, by
//! when its holder must have sent a sign of life, why it failed. A record is written only on condition that nobody
//! else wrote it since (expected last sequence of its subject), so whoever lost the job finds out with the next sign
//! of life. The queue *delivers*, the record *decides*:
//!
//! ```text
//!   message  record          meaning
//!   yes      none, or older  waiting, never taken
//!   yes      waiting         waiting, not before ..
//!   yes      leased          held until .., then waiting
//!   yes      parked or done  its holder was killed between the two writes: the message goes with the next delivery
//!   no       parked          failed for good; the record has the payload
//! ```
//!
//! A record belongs to the message whose sequence it names; a job that was put back has a new message, which says so.
//! What is taken away is taken away up to the sequence that was looked at: a later one is somebody else's.

mod lease;
mod record;
mod storage;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;

use self::record::{RecordState, now_ms, together, was_put_back};
use super::NatsBus;
use crate::event::check_name;
use crate::{BusError, Enqueued, JobFilter, JobRecord, JobState, Jobs, Lease, NewJob, QueueDepth};

/// Tries to put a job back while others queue it.
const PUT_BACK_TRIES: usize = 5;

#[async_trait]
impl Jobs for NatsBus {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, BusError> {
        check_name("queue", &job.queue)?;
        check_name("job", &job.job_id)?;
        self.inner.check_size(&job.queue, job.payload.len())?;
        if let Some((_, record)) = self.inner.record(&job.queue, &job.job_id).await?
            && record.state == RecordState::Parked
        {
            return Ok(Enqueued::Parked);
        }
        let limit = self.inner.config.max_queue_jobs;
        if self.inner.live_count(&job.queue).await? >= limit {
            return Err(BusError::QueueFull { queue: job.queue, limit });
        }
        if self.inner.publish_job(&job, false).await? {
            Ok(Enqueued::Added)
        } else {
            Ok(Enqueued::AlreadyLive)
        }
    }

    async fn pull(&self, queue: &str, wait: Duration) -> Result<Option<Lease>, BusError> {
        check_name("queue", queue)?;
        let deadline = tokio::time::Instant::now() + wait;
        let consumer = self.inner.consumer(queue).await?;
        loop {
            // JetStream takes no wait below a millisecond; a short one still looks once.
            let left = deadline
                .saturating_duration_since(tokio::time::Instant::now())
                .max(Duration::from_millis(20));
            let failed = |error: async_nats::Error| BusError::failed("pulling from", queue, error);
            let mut batch = consumer
                .batch()
                .max_messages(1)
                .expires(left)
                .messages()
                .await
                .map_err(|error| failed(error.into()))?;
            let Some(message) = batch.next().await else { return Ok(None) };
            let message = message.map_err(failed)?;
            if let Some(lease) = self.inner.take(queue, message).await? {
                return Ok(Some(lease));
            }
            // What was there could not be handed out; looking on is for those who have time.
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    async fn job(&self, queue: &str, job_id: &str) -> Result<Option<JobRecord>, BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let record = self.inner.record(queue, job_id).await?.map(|(_, record)| record);
        Ok(together(queue, job_id, self.inner.message(queue, job_id).await?, record))
    }

    async fn list(&self, queue: &str, filter: JobFilter) -> Result<Vec<JobRecord>, BusError> {
        check_name("queue", queue)?;
        let mut records = self.inner.records(queue).await?;
        let mut ids: BTreeSet<String> = records.keys().cloned().collect();
        if filter.parked_only {
            ids.retain(|id| {
                records.get(id).is_some_and(|record| record.state == RecordState::Parked)
            });
        } else {
            ids.extend(self.inner.live(queue).await?);
        }
        let after = filter.after.unwrap_or_default();
        let mut page = Vec::new();
        for job_id in ids.into_iter().filter(|id| *id > after) {
            if page.len() >= filter.limit.min(1_000) {
                break;
            }
            let record = records.remove(&job_id);
            let message = self.inner.message(queue, &job_id).await?;
            // A job may have been done, or put back, since its name was read.
            let job = together(queue, &job_id, message, record);
            page.extend(job.filter(|job| !filter.parked_only || job.state == JobState::Parked));
        }
        Ok(page)
    }

    async fn requeue(&self, queue: &str, job_id: &str) -> Result<(), BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let parked = self
            .inner
            .record(queue, job_id)
            .await?
            .filter(|(_, record)| record.state == RecordState::Parked);
        let no_such_job =
            || BusError::NoSuchJob { queue: queue.to_owned(), job_id: job_id.to_owned() };
        let (revision, record) = parked.ok_or_else(no_such_job)?;
        let of = record.of;
        let job = NewJob {
            queue: queue.to_owned(),
            job_id: job_id.to_owned(),
            payload: record.payload,
            headers: record.headers,
        };
        for _ in 0..PUT_BACK_TRIES {
            // What its last holder could not take away any more, because it was killed; or what somebody queued in
            // the moment in which the job was parked. Neither would be handed out.
            if let Some(message) = self.inner.message(queue, job_id).await?
                && (message.sequence == of || !was_put_back(Some(&message.headers)))
            {
                self.inner.purge_message(queue, job_id, message.sequence).await?;
            }
            // False and put back: by somebody else at the same time, which is as good.
            let added = self.inner.publish_job(&job, true).await?;
            if added || self.is_put_back_since(queue, job_id, of).await? {
                // The record is about the message before, so it counts no longer; taking it away is tidiness, and a
                // crash before it does no harm. A worker may have the job by now: its record is a later one.
                return self.inner.purge_record(queue, job_id, revision).await;
            }
        }
        Err(BusError::failed("putting back job", job_id, "others queue it all the time"))
    }

    async fn remove(&self, queue: &str, job_id: &str) -> Result<bool, BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let found = self.job(queue, job_id).await?.is_some();
        // Everything, so that a worker that has it loses it.
        self.inner.purge_message(queue, job_id, u64::MAX - 1).await?;
        self.inner.purge_record(queue, job_id, u64::MAX - 1).await?;
        Ok(found)
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, BusError> {
        check_name("queue", queue)?;
        let records = self.inner.records(queue).await?;
        let now = now_ms();
        let mut depth = QueueDepth::default();
        for job_id in self.inner.live(queue).await? {
            match records.get(&job_id).map(|record| record.state) {
                Some(RecordState::Leased { until_ms }) if until_ms > now => depth.leased += 1,
                Some(RecordState::Done | RecordState::Parked) => {}
                _ => depth.waiting += 1,
            }
        }
        depth.parked =
            records.values().filter(|record| record.state == RecordState::Parked).count() as u64;
        Ok(depth)
    }
}

impl NatsBus {
    /// Whether a job has a message by which it was put back, after the one of this sequence.
    async fn is_put_back_since(&self, queue: &str, id: &str, of: u64) -> Result<bool, BusError> {
        let message = self.inner.message(queue, id).await?;
        Ok(message
            .is_some_and(|message| message.sequence > of && was_put_back(Some(&message.headers))))
    }
}
