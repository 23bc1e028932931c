//! Taking a job, and answering for it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::{AckKind, Acker};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::record::{Record, RecordState, enqueued_ms, millis, now_ms, was_put_back};
use crate::job::bounded_cause;
use crate::nats::{Inner, headers_of_nats};
use crate::{BusError, FailOutcome, Headers, Job, Lease, LeaseOps};

impl Inner {
    /// Turns a delivery into a lease, or deals with what must not be handed out.
    pub(super) async fn take(
        self: &Arc<Self>,
        queue: &str,
        message: async_nats::jetstream::Message,
    ) -> Result<Option<Lease>, BusError> {
        let subject = message.subject.to_string();
        let failed = |error: async_nats::Error| BusError::failed("taking", &subject, error);
        let job_id = subject.rsplit('.').next().unwrap_or_default().to_owned();
        let sequence = message.info().map_err(failed)?.stream_sequence;
        let enqueued_ms = enqueued_ms(message.headers.as_ref());
        let put_back = was_put_back(message.headers.as_ref());
        let headers = headers_of_nats(message.headers.as_ref());
        let payload = message.payload.clone();
        let (_, acker) = message.split();
        let now = now_ms();
        let (revision, record) = match self.record(queue, &job_id).await? {
            Some((revision, record)) if record.of == sequence => (revision, Some(record)),
            Some((_, record)) if record.state == RecordState::Parked && !put_back => {
                // Queued in the moment in which it was parked: parked it stays.
                acker.double_ack().await.map_err(failed)?;
                return Ok(None);
            }
            // Of a message before this one.
            Some((revision, _)) => (revision, None),
            None => (0, None),
        };
        let mut record = record.unwrap_or(Record {
            of: sequence,
            state: RecordState::Waiting { not_before_ms: 0 },
            attempts: 0,
            cause: None,
            enqueued_ms,
            headers: Headers::new(),
            payload: Bytes::new(),
        });
        match record.state {
            RecordState::Done => {
                acker.double_ack().await.map_err(failed)?;
                self.purge_record(queue, &job_id, revision).await?;
                return Ok(None);
            }
            RecordState::Parked => {
                acker.double_ack().await.map_err(failed)?;
                return Ok(None);
            }
            RecordState::Leased { until_ms: later }
            | RecordState::Waiting { not_before_ms: later }
                if later > now =>
            {
                // The record holds it back for longer than the queue did.
                let left = Duration::from_millis(later - now);
                acker.double_ack_with(AckKind::Nak(Some(left))).await.map_err(failed)?;
                return Ok(None);
            }
            RecordState::Leased { .. } | RecordState::Waiting { .. } => {}
        }
        let max_attempts = self.config.max_deliveries;
        if record.attempts >= max_attempts {
            let before =
                record.cause.take().map(|cause| format!("; before: {cause}")).unwrap_or_default();
            let cause = format!(
                "the worker went away without an answer in delivery {}{before}",
                record.attempts
            );
            record.cause = Some(bounded_cause(&cause).to_owned());
            record.state = RecordState::Parked;
            record.headers = headers;
            record.payload = payload;
            if self.write(queue, &job_id, revision, &record).await?.is_some() {
                acker.double_ack().await.map_err(failed)?;
            }
            return Ok(None);
        }
        let duration = self.config.lease();
        record.attempts += 1;
        record.state = RecordState::Leased { until_ms: now.saturating_add(millis(duration)) };
        let Some(revision) = self.write(queue, &job_id, revision, &record).await? else {
            // Somebody else took it in the same moment.
            return Ok(None);
        };
        let job = Arc::new(Job {
            queue: queue.to_owned(),
            job_id,
            payload,
            headers,
            attempt: record.attempts,
            max_attempts,
        });
        let hold = Mutex::new(Hold { revision, record });
        let ops = Held { inner: Arc::clone(self), job: Arc::clone(&job), acker, hold };
        Ok(Some(Lease { job, duration, ops: Arc::new(ops) }))
    }
}

struct Held {
    inner: Arc<Inner>,
    job: Arc<Job>,
    acker: Acker,
    hold: Mutex<Hold>,
}

struct Hold {
    revision: u64,
    record: Record,
}

impl Held {
    /// Writes what `change` makes of the record, if it is still ours, and then answers the queue. The new revision.
    async fn answer(
        &self,
        kind: AckKind,
        change: impl FnOnce(&mut Record) + Send,
    ) -> Result<u64, BusError> {
        // Held over the write: two answers for one lease must follow one another.
        let mut hold = self.hold.lock().await;
        let mut record = hold.record.clone();
        change(&mut record);
        let Job { queue, job_id, .. } = &*self.job;
        let written = self.inner.write(queue, job_id, hold.revision, &record).await?;
        let Some(revision) = written else {
            return Err(BusError::LeaseLost { queue: queue.clone(), job_id: job_id.clone() });
        };
        *hold = Hold { revision, record };
        self.acker
            .double_ack_with(kind)
            .await
            .map_err(|error| BusError::failed("answering for job", job_id, error))?;
        Ok(revision)
    }
}

#[async_trait]
impl LeaseOps for Held {
    async fn heartbeat(&self) -> Result<(), BusError> {
        let until_ms = now_ms().saturating_add(millis(self.inner.config.lease()));
        self.answer(AckKind::Progress, |record| record.state = RecordState::Leased { until_ms })
            .await?;
        Ok(())
    }

    async fn ack(&self) -> Result<(), BusError> {
        let revision = self.answer(AckKind::Ack, |record| record.state = RecordState::Done).await?;
        // A job of this id may have been queued again already, and taken: its record is a later one.
        self.inner.purge_record(&self.job.queue, &self.job.job_id, revision).await
    }

    async fn release(&self, delay: Duration) -> Result<(), BusError> {
        self.answer(AckKind::Nak(Some(delay)), |record| {
            record.attempts = record.attempts.saturating_sub(1);
            record.state =
                RecordState::Waiting { not_before_ms: now_ms().saturating_add(millis(delay)) };
        })
        .await?;
        Ok(())
    }

    async fn nak(&self, delay: Duration, cause: &str) -> Result<FailOutcome, BusError> {
        if self.job.attempt >= self.job.max_attempts {
            self.fail(cause).await?;
            return Ok(FailOutcome::Parked);
        }
        self.answer(AckKind::Nak(Some(delay)), |record| {
            record.cause = Some(bounded_cause(cause).to_owned());
            record.state =
                RecordState::Waiting { not_before_ms: now_ms().saturating_add(millis(delay)) };
        })
        .await?;
        Ok(FailOutcome::Retried { delay })
    }

    async fn fail(&self, cause: &str) -> Result<(), BusError> {
        self.answer(AckKind::Ack, |record| {
            record.cause = Some(bounded_cause(cause).to_owned());
            record.state = RecordState::Parked;
            record.headers = self.job.headers.clone();
            record.payload = self.job.payload.clone();
        })
        .await?;
        Ok(())
    }
}
