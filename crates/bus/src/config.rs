//! Which bus, and its bounds.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sidereal_service::config::Problems;

use crate::{Bus, BusError, EmbeddedBus, NatsBus};

/// The `bus` section of a service's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// `nats://host:port` or `sqlite:<file>`.
    pub url: String,
    /// How long a worker holds a job without a heartbeat.
    pub lease_ms: u64,
    /// Deliveries of one job before it is parked.
    pub max_deliveries: u32,
    /// Jobs a queue may hold.
    pub max_queue_jobs: u64,
    /// How long an event may stay unacknowledged before it is delivered again.
    pub ack_wait_ms: u64,
    /// How many events are kept.
    pub max_events: u64,
    /// Size of one body, in bytes.
    pub max_payload_bytes: usize,
    /// Within this time a message id is stored once (NATS; the embedded bus remembers for as long as it keeps the event).
    pub dedup_window_ms: u64,
    /// The embedded bus looks this often for what other processes wrote.
    pub poll_interval_ms: u64,
    /// Streams and consumers of NATS begin with this, so that several chains can share a server.
    pub stream_prefix: String,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            url: "sqlite:sidereal-data/bus.db".to_owned(),
            lease_ms: 30_000,
            max_deliveries: 4,
            max_queue_jobs: 100_000,
            ack_wait_ms: 30_000,
            max_events: 100_000,
            max_payload_bytes: 512 * 1024,
            dedup_window_ms: 120_000,
            poll_interval_ms: 250,
            stream_prefix: "sidereal".to_owned(),
        }
    }
}

impl BusConfig {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        if !(self.url.starts_with("nats://") || self.url.starts_with("sqlite:")) {
            problems.add(section, "url", "is neither nats://host:port nor sqlite:<file>");
        }
        problems.in_range(section, "lease_ms", self.lease_ms, 100..=3_600_000);
        problems.in_range(section, "max_deliveries", u64::from(self.max_deliveries), 1..=1_000);
        problems.in_range(section, "max_queue_jobs", self.max_queue_jobs, 1..=10_000_000);
        problems.in_range(section, "ack_wait_ms", self.ack_wait_ms, 100..=3_600_000);
        problems.in_range(section, "max_events", self.max_events, 1..=100_000_000);
        problems.in_range(section, "max_payload_bytes", self.max_payload_bytes as u64, 1..=900_000);
        problems.in_range(section, "dedup_window_ms", self.dedup_window_ms, 100..=86_400_000);
        problems.in_range(section, "poll_interval_ms", self.poll_interval_ms, 10..=60_000);
        if crate::event::check_name("prefix", &self.stream_prefix).is_err() {
            problems.add(section, "stream_prefix", "is not made of letters, digits, '_' and '-'");
        }
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn ack_wait(&self) -> Duration {
        Duration::from_millis(self.ack_wait_ms)
    }
}

/// Connects to the bus that `config.url` names.
pub async fn open(config: &BusConfig) -> Result<Arc<dyn Bus>, BusError> {
    if config.url.starts_with("nats://") {
        Ok(Arc::new(NatsBus::connect(config).await?))
    } else if config.url.starts_with("sqlite:") {
        Ok(Arc::new(EmbeddedBus::open(config).await?))
    } else {
        Err(BusError::BadUrl { url: config.url.clone() })
    }
}
