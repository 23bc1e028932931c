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
//! A record belongs to the message whose sequence it names; a job that was put back has a new message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{AckKind, Acker, PublishMessage};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Inner, NatsBus, header_value, headers_of_nats, headers_to_nats};
use crate::event::check_name;
use crate::job::bounded_cause;
use crate::{
    BusError, Enqueued, FailOutcome, Headers, Job, JobFilter, JobRecord, JobState, Jobs, Lease,
    LeaseOps, NewJob, QueueDepth,
};

/// Milliseconds since 1970 at which a job was queued.
const ENQUEUED_AT: &str = "Nats-Sidereal-Enqueued-Ms";
/// At most so many jobs of a queue are held at the same time.
const MAX_LEASED: i64 = 10_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// Sequence of the message this is about.
    of: u64,
    state: RecordState,
    attempts: u32,
    cause: Option<String>,
    enqueued_ms: u64,
    /// Of a parked job, whose message is gone.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    headers: Headers,
    #[serde(skip)]
    payload: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordState {
    Waiting { not_before_ms: u64 },
    Leased { until_ms: u64 },
    Parked,
    Done,
}

impl Record {
    /// One line of JSON, then the payload.
    fn encode(&self) -> Result<Bytes, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.payload);
        Ok(bytes.into())
    }

    fn decode(bytes: &Bytes) -> Result<Self, serde_json::Error> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let mut record: Self = serde_json::from_slice(&bytes[..end])?;
        record.payload = bytes.slice((end + 1).min(bytes.len())..);
        Ok(record)
    }
}

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
        if self.inner.publish_job(&job).await? {
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
        }
    }

    async fn job(&self, queue: &str, job_id: &str) -> Result<Option<JobRecord>, BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let record = self.inner.record(queue, job_id).await?.map(|(_, record)| record);
        self.inner.look(queue, job_id, record).await
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
            // A job may have been done since its name was read.
            page.extend(self.inner.look(queue, &job_id, record).await?);
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
        let Some((_, record)) = parked else {
            return Err(BusError::NoSuchJob { queue: queue.to_owned(), job_id: job_id.to_owned() });
        };
        // What its last holder could not take away any more, because it was killed.
        if let Some((sequence, _)) = self.inner.message(queue, job_id).await?
            && sequence == record.of
        {
            self.inner
                .purge(self.inner.jobs_stream(), self.inner.job_subject(queue, job_id))
                .await?;
        }
        let job = NewJob {
            queue: queue.to_owned(),
            job_id: job_id.to_owned(),
            payload: record.payload,
            headers: record.headers,
        };
        // False: somebody else puts it back at the same time, which is as good. The record names the old message,
        // so it counts no longer; taking it away is tidiness, and a crash before it does no harm.
        self.inner.publish_job(&job).await?;
        self.inner
            .purge(self.inner.records_stream(), self.inner.record_subject(queue, job_id))
            .await
    }

    async fn remove(&self, queue: &str, job_id: &str) -> Result<bool, BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let found = self.job(queue, job_id).await?.is_some();
        self.inner.purge(self.inner.jobs_stream(), self.inner.job_subject(queue, job_id)).await?;
        self.inner
            .purge(self.inner.records_stream(), self.inner.record_subject(queue, job_id))
            .await?;
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

impl Inner {
    fn job_subject(&self, queue: &str, job_id: &str) -> String {
        format!("{}.jobs.{queue}.{job_id}", self.prefix)
    }

    fn record_subject(&self, queue: &str, job_id: &str) -> String {
        format!("{}.records.{queue}.{job_id}", self.prefix)
    }

    /// The durable consumer that all workers of a queue share.
    async fn consumer(&self, queue: &str) -> Result<Consumer<Config>, BusError> {
        let config = Config {
            durable_name: Some(format!("workers-{queue}")),
            filter_subject: format!("{}.jobs.{queue}.*", self.prefix),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.config.lease(),
            // The bound on deliveries is the record's, which knows what was handed back unharmed.
            max_deliver: -1,
            max_ack_pending: MAX_LEASED,
            ..Config::default()
        };
        self.context
            .create_consumer_on_stream(config, self.jobs_stream())
            .await
            .map_err(|error| BusError::failed("making the consumer of queue", queue, error))
    }

    /// How many messages a queue has.
    async fn live_count(&self, queue: &str) -> Result<u64, BusError> {
        let consumer = self.consumer(queue).await?;
        let info = consumer.cached_info();
        Ok(info.num_pending + info.num_ack_pending as u64)
    }

    /// Names of the jobs that have a message.
    async fn live(&self, queue: &str) -> Result<Vec<String>, BusError> {
        let prefix = format!("{}.jobs.{queue}.", self.prefix);
        let failed = |error: async_nats::Error| BusError::failed("listing jobs of", queue, error);
        let stream = self
            .context
            .get_stream_no_info(self.jobs_stream())
            .await
            .map_err(|error| failed(error.into()))?;
        let mut subjects = stream
            .info_with_subjects(format!("{prefix}*"))
            .await
            .map_err(|error| failed(error.into()))?;
        let mut ids = Vec::new();
        while let Some(subject) = subjects.next().await {
            let (subject, _) = subject.map_err(|error| failed(error.into()))?;
            ids.extend(subject.strip_prefix(&prefix).map(str::to_owned));
        }
        Ok(ids)
    }

    /// All records of a queue that count, by job.
    async fn records(&self, queue: &str) -> Result<BTreeMap<String, Record>, BusError> {
        let prefix = format!("{}.records.{queue}.", self.prefix);
        let failed =
            |error: async_nats::Error| BusError::failed("reading the records of", queue, error);
        let config = Config {
            filter_subject: format!("{prefix}*"),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(10),
            memory_storage: true,
            ..Config::default()
        };
        let consumer: Consumer<Config> = self
            .context
            .create_consumer_on_stream(config, self.records_stream())
            .await
            .map_err(|error| failed(error.into()))?;
        let mut left = consumer.cached_info().num_pending;
        let mut records = BTreeMap::new();
        while left > 0 {
            let mut batch = consumer
                .fetch()
                .max_messages(500)
                .messages()
                .await
                .map_err(|error| failed(error.into()))?;
            let mut came = 0_u64;
            while let Some(message) = batch.next().await {
                let message = message.map_err(failed)?;
                came += 1;
                let Some(job_id) = message.subject.as_str().strip_prefix(&prefix) else { continue };
                let record = Record::decode(&message.payload)
                    .map_err(|error| corrupt(&message.subject, error))?;
                records.insert(job_id.to_owned(), record);
            }
            // Less than was announced: some were taken away in the meantime.
            left = if came == 0 { 0 } else { left.saturating_sub(came) };
        }
        Ok(records)
    }

    /// The record of one job, with its revision.
    async fn record(&self, queue: &str, job_id: &str) -> Result<Option<(u64, Record)>, BusError> {
        let subject = self.record_subject(queue, job_id);
        let Some(message) = self.last(self.records_stream(), &subject).await? else {
            return Ok(None);
        };
        let record = Record::decode(&message.payload).map_err(|error| corrupt(&subject, error))?;
        Ok(Some((message.sequence, record)))
    }

    /// The message of one job, with its sequence.
    async fn message(
        &self,
        queue: &str,
        job_id: &str,
    ) -> Result<Option<(u64, async_nats::jetstream::message::StreamMessage)>, BusError> {
        let message = self.last(self.jobs_stream(), &self.job_subject(queue, job_id)).await?;
        Ok(message.map(|message| (message.sequence, message)))
    }

    async fn last(
        &self,
        stream: String,
        subject: &str,
    ) -> Result<Option<async_nats::jetstream::message::StreamMessage>, BusError> {
        let failed = |error: async_nats::Error| BusError::failed("reading", subject, error);
        let stream =
            self.context.get_stream_no_info(stream).await.map_err(|error| failed(error.into()))?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    async fn purge(&self, stream: String, subject: String) -> Result<(), BusError> {
        let failed = |error: async_nats::Error| BusError::failed("taking away", &subject, error);
        let stream =
            self.context.get_stream_no_info(stream).await.map_err(|error| failed(error.into()))?;
        stream.purge().filter(&subject).await.map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Adds the message of a job unless there is one. False when there is.
    async fn publish_job(&self, job: &NewJob) -> Result<bool, BusError> {
        let mut headers = headers_to_nats(&job.headers)?;
        headers.insert(ENQUEUED_AT, header_value(ENQUEUED_AT, &now_ms().to_string())?);
        let message = PublishMessage::build()
            .headers(headers)
            .expected_last_subject_sequence(0)
            .payload(job.payload.clone());
        self.publish_if(self.job_subject(&job.queue, &job.job_id), message)
            .await
            .map(|sequence| sequence.is_some())
    }

    /// Publishes under a condition; `None` when it does not hold.
    async fn publish_if(
        &self,
        subject: String,
        message: PublishMessage,
    ) -> Result<Option<u64>, BusError> {
        let failed = |error: async_nats::Error| BusError::failed("publishing to", &subject, error);
        let sent = self.context.send_publish(subject.clone(), message).await;
        let answer = match sent {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(ack) => Ok(Some(ack.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Writes a record if its revision is still `revision` (0: there is none). The new revision, or `None`.
    async fn write(
        &self,
        queue: &str,
        job_id: &str,
        revision: u64,
        record: &Record,
    ) -> Result<Option<u64>, BusError> {
        let subject = self.record_subject(queue, job_id);
        let payload =
            record.encode().map_err(|error| BusError::failed("writing", &subject, error))?;
        let message =
            PublishMessage::build().expected_last_subject_sequence(revision).payload(payload);
        self.publish_if(subject, message).await
    }

    /// One job as message and record have it together.
    async fn look(
        &self,
        queue: &str,
        job_id: &str,
        record: Option<Record>,
    ) -> Result<Option<JobRecord>, BusError> {
        let message = self.message(queue, job_id).await?;
        let now = now_ms();
        let (state, attempts, cause, payload, enqueued_ms) = match (message, record) {
            (Some((sequence, message)), record) => {
                let enqueued_ms = enqueued_ms(Some(&message.headers));
                match record.filter(|record| record.of == sequence) {
                    None => (
                        JobState::Waiting { not_before: None },
                        0,
                        None,
                        message.payload,
                        enqueued_ms,
                    ),
                    Some(record) => {
                        let state = match record.state {
                            RecordState::Done => return Ok(None),
                            RecordState::Parked => JobState::Parked,
                            RecordState::Leased { until_ms } if until_ms > now => {
                                JobState::Leased { until: time_of_ms(until_ms) }
                            }
                            RecordState::Leased { .. } => JobState::Waiting { not_before: None },
                            RecordState::Waiting { not_before_ms } => JobState::Waiting {
                                not_before: (not_before_ms > now)
                                    .then(|| time_of_ms(not_before_ms)),
                            },
                        };
                        (state, record.attempts, record.cause, message.payload, enqueued_ms)
                    }
                }
            }
            (None, Some(record)) if record.state == RecordState::Parked => (
                JobState::Parked,
                record.attempts,
                record.cause,
                record.payload,
                record.enqueued_ms,
            ),
            (None, _) => return Ok(None),
        };
        Ok(Some(JobRecord {
            queue: queue.to_owned(),
            job_id: job_id.to_owned(),
            state,
            attempts,
            cause,
            payload,
            enqueued_at: time_of_ms(enqueued_ms),
        }))
    }

    /// Turns a delivery into a lease, or deals with what must not be handed out.
    async fn take(
        self: &Arc<Self>,
        queue: &str,
        message: async_nats::jetstream::Message,
    ) -> Result<Option<Lease>, BusError> {
        let subject = message.subject.to_string();
        let failed = |error: async_nats::Error| BusError::failed("taking", &subject, error);
        let job_id = subject.rsplit('.').next().unwrap_or_default().to_owned();
        let sequence = message.info().map_err(failed)?.stream_sequence;
        let enqueued_ms = enqueued_ms(message.headers.as_ref());
        let headers = headers_of_nats(message.headers.as_ref());
        let payload = message.payload.clone();
        let (_, acker) = message.split();
        let now = now_ms();
        let (revision, record) = match self.record(queue, &job_id).await? {
            Some((revision, record)) if record.of == sequence => (revision, Some(record)),
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
                self.purge(self.records_stream(), self.record_subject(queue, &job_id)).await?;
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
    /// Writes what `change` makes of the record, if it is still ours, and then answers the queue.
    async fn answer(
        &self,
        kind: AckKind,
        change: impl FnOnce(&mut Record) + Send,
    ) -> Result<(), BusError> {
        // Held over the write: two answers for one lease must follow one another.
        let mut hold = self.hold.lock().await;
        let mut record = hold.record.clone();
        change(&mut record);
        let Job { queue, job_id, .. } = &*self.job;
        match self.inner.write(queue, job_id, hold.revision, &record).await? {
            Some(revision) => *hold = Hold { revision, record },
            None => {
                return Err(BusError::LeaseLost { queue: queue.clone(), job_id: job_id.clone() });
            }
        }
        self.acker
            .double_ack_with(kind)
            .await
            .map_err(|error| BusError::failed("answering for job", job_id, error))
    }
}

#[async_trait]
impl LeaseOps for Held {
    async fn heartbeat(&self) -> Result<(), BusError> {
        let until_ms = now_ms().saturating_add(millis(self.inner.config.lease()));
        self.answer(AckKind::Progress, |record| record.state = RecordState::Leased { until_ms })
            .await
    }

    async fn ack(&self) -> Result<(), BusError> {
        self.answer(AckKind::Ack, |record| record.state = RecordState::Done).await?;
        let Job { queue, job_id, .. } = &*self.job;
        self.inner
            .purge(self.inner.records_stream(), self.inner.record_subject(queue, job_id))
            .await
    }

    async fn release(&self, delay: Duration) -> Result<(), BusError> {
        self.answer(AckKind::Nak(Some(delay)), |record| {
            record.attempts = record.attempts.saturating_sub(1);
            record.state =
                RecordState::Waiting { not_before_ms: now_ms().saturating_add(millis(delay)) };
        })
        .await
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
        .await
    }
}

fn corrupt(object: &str, error: serde_json::Error) -> BusError {
    BusError::Corrupt { object: object.to_owned(), source: error.into() }
}

fn enqueued_ms(headers: Option<&async_nats::HeaderMap>) -> u64 {
    headers.and_then(|headers| headers.get(ENQUEUED_AT)?.as_str().parse().ok()).unwrap_or_default()
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn time_of_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}
