//! The bus on NATS JetStream.
//!
//! Three streams, all on disk: events, the work queues, and one record a job. See [`jobs`] for how the last two
//! work together.

mod events;
mod jobs;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap, HeaderName, HeaderValue};
use async_trait::async_trait;

use crate::{Bus, BusConfig, BusError, Headers};

/// A bus on a NATS server or cluster with JetStream.
#[derive(Clone, Debug)]
pub struct NatsBus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) context: Context,
    pub(crate) config: BusConfig,
    /// First token of every subject.
    pub(crate) prefix: String,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// How long one request to JetStream may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

impl NatsBus {
    /// Connects to `config.url` (`nats://[user:password@]host:port`) and makes the streams that are missing.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        // The URL may hold a password, so no error or log line names it.
        let client = ConnectOptions::new()
            .name("sidereal")
            .connection_timeout(Duration::from_secs(5))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .connect(&config.url)
            .await
            .map_err(|error| BusError::failed("connecting to", "the NATS server", error))?;
        let mut context = jetstream::new(client);
        context.set_timeout(REQUEST_TIMEOUT);
        let inner = Inner { context, config: config.clone(), prefix: config.stream_prefix.clone() };
        inner.ensure_streams().await?;
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    async fn ensure_streams(&self) -> Result<(), BusError> {
        let limit = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let common = stream::Config { storage: StorageType::File, ..stream::Config::default() };
        let size = i32::try_from(self.config.max_payload_bytes.saturating_add(64 * 1024))
            .unwrap_or(i32::MAX);
        self.ensure_stream(stream::Config {
            name: self.events_stream(),
            subjects: vec![format!("{}.events.>", self.prefix)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_messages: limit(self.config.max_events),
            max_message_size: size,
            duplicate_window: Duration::from_millis(self.config.dedup_window_ms),
            ..common.clone()
        })
        .await?;
        self.ensure_stream(stream::Config {
            name: self.jobs_stream(),
            subjects: vec![format!("{}.jobs.>", self.prefix)],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            max_message_size: size,
            ..common.clone()
        })
        .await?;
        self.ensure_stream(stream::Config {
            name: self.records_stream(),
            subjects: vec![format!("{}.records.>", self.prefix)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_messages_per_subject: 1,
            max_message_size: size,
            ..common
        })
        .await
    }

    async fn ensure_stream(&self, config: stream::Config) -> Result<(), BusError> {
        let name = config.name.clone();
        self.context
            .create_or_update_stream(config)
            .await
            .map_err(|error| BusError::failed("making stream", name, error))?;
        Ok(())
    }

    fn events_stream(&self) -> String {
        format!("{}_EVENTS", self.prefix)
    }

    fn jobs_stream(&self) -> String {
        format!("{}_JOBS", self.prefix)
    }

    fn records_stream(&self) -> String {
        format!("{}_JOB_RECORDS", self.prefix)
    }

    fn check_size(&self, subject: &str, size: usize) -> Result<(), BusError> {
        let limit = self.config.max_payload_bytes;
        if size > limit {
            return Err(BusError::TooLarge { subject: subject.to_owned(), size, limit });
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn check(&self) -> Result<(), BusError> {
        self.inner
            .context
            .query_account()
            .await
            .map_err(|error| BusError::failed("asking", "the NATS server", error))?;
        Ok(())
    }
}

fn headers_to_nats(headers: &Headers) -> Result<HeaderMap, BusError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let bad = |_| BusError::BadName { what: "header", name: name.clone() };
        map.insert(HeaderName::from_str(name).map_err(bad)?, header_value(name, value)?);
    }
    Ok(map)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, BusError> {
    HeaderValue::from_str(value)
        .map_err(|_| BusError::BadName { what: "header value of", name: name.to_owned() })
}

/// Our headers; those with which NATS and this module talk to themselves are left out.
fn headers_of_nats(map: Option<&HeaderMap>) -> Headers {
    let mut headers = Headers::new();
    for (name, values) in map.into_iter().flat_map(HeaderMap::iter) {
        let name: &str = name.as_ref();
        if !name.starts_with("Nats-")
            && let Some(value) = values.first()
        {
            headers.insert(name.to_owned(), value.as_str().to_owned());
        }
    }
    headers
}
