//! The two streams of jobs: messages and records, read, written on conditions, and taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures::StreamExt as _;

use super::record::{ENQUEUED_AT, PUT_BACK, Record, now_ms};
use crate::nats::{Inner, header_value, headers_to_nats};
use crate::{BusError, NewJob};

/// At most so many jobs of a queue are held at the same time.
const MAX_LEASED: i64 = 10_000;

impl Inner {
    fn job_subject(&self, queue: &str, job_id: &str) -> String {
        format!("{}.jobs.{queue}.{job_id}", self.prefix)
    }

    fn record_subject(&self, queue: &str, job_id: &str) -> String {
        format!("{}.records.{queue}.{job_id}", self.prefix)
    }

    /// The durable consumer that all workers of a queue share.
    pub(super) async fn consumer(&self, queue: &str) -> Result<Consumer<Config>, BusError> {
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
    pub(super) async fn live_count(&self, queue: &str) -> Result<u64, BusError> {
        let consumer = self.consumer(queue).await?;
        let info = consumer.cached_info();
        Ok(info.num_pending + info.num_ack_pending as u64)
    }

    /// Names of the jobs that have a message.
    pub(super) async fn live(&self, queue: &str) -> Result<Vec<String>, BusError> {
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
    pub(super) async fn records(&self, queue: &str) -> Result<BTreeMap<String, Record>, BusError> {
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
                let record = Record::decode(&message.subject, &message.payload)?;
                records.insert(job_id.to_owned(), record);
            }
            // Less than was announced: some were taken away in the meantime.
            left = if came == 0 { 0 } else { left.saturating_sub(came) };
        }
        Ok(records)
    }

    /// The record of one job, with its revision.
    pub(super) async fn record(
        &self,
        queue: &str,
        job_id: &str,
    ) -> Result<Option<(u64, Record)>, BusError> {
        let subject = self.record_subject(queue, job_id);
        let Some(message) = self.last(self.records_stream(), &subject).await? else {
            return Ok(None);
        };
        let record = Record::decode(&subject, &message.payload)?;
        Ok(Some((message.sequence, record)))
    }

    /// The message of one job.
    pub(super) async fn message(
        &self,
        queue: &str,
        job_id: &str,
    ) -> Result<Option<StreamMessage>, BusError> {
        self.last(self.jobs_stream(), &self.job_subject(queue, job_id)).await
    }

    async fn last(&self, stream: String, subject: &str) -> Result<Option<StreamMessage>, BusError> {
        let failed = |error: async_nats::Error| BusError::failed("reading", subject, error);
        let stream =
            self.context.get_stream_no_info(stream).await.map_err(|error| failed(error.into()))?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Takes away what is under a subject, at most up to the sequence `last`: what somebody put there after it was
    /// looked at stays.
    async fn purge(&self, stream: String, subject: String, last: u64) -> Result<(), BusError> {
        let failed = |error: async_nats::Error| BusError::failed("taking away", &subject, error);
        let stream =
            self.context.get_stream_no_info(stream).await.map_err(|error| failed(error.into()))?;
        let purge = stream.purge().sequence(last.saturating_add(1)).filter(&subject);
        purge.await.map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Takes away the message of a job, up to this sequence.
    pub(super) async fn purge_message(
        &self,
        queue: &str,
        job_id: &str,
        last: u64,
    ) -> Result<(), BusError> {
        self.purge(self.jobs_stream(), self.job_subject(queue, job_id), last).await
    }

    /// Takes away the record of a job, up to this revision.
    pub(super) async fn purge_record(
        &self,
        queue: &str,
        job_id: &str,
        last: u64,
    ) -> Result<(), BusError> {
        self.purge(self.records_stream(), self.record_subject(queue, job_id), last).await
    }

    /// Adds the message of a job unless there is one. False when there is.
    pub(super) async fn publish_job(&self, job: &NewJob, put_back: bool) -> Result<bool, BusError> {
        let mut headers = headers_to_nats(&job.headers)?;
        headers.insert(ENQUEUED_AT, header_value(ENQUEUED_AT, &now_ms().to_string())?);
        if put_back {
            headers.insert(PUT_BACK, header_value(PUT_BACK, "1")?);
        }
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
    pub(super) async fn write(
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
}
