//! The record of a job: what is known of it beside its message.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{BusError, Headers, JobRecord, JobState};

/// Milliseconds since 1970 at which a job was queued.
pub(super) const ENQUEUED_AT: &str = "Nats-Sidereal-Enqueued-Ms";
/// Of the message of a job that was put back: it counts beside the record by which the job was parked.
pub(super) const PUT_BACK: &str = "Nats-Sidereal-Put-Back";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Sequence of the message this is about.
    pub(super) of: u64,
    pub(super) state: RecordState,
    pub(super) attempts: u32,
    pub(super) cause: Option<String>,
    pub(super) enqueued_ms: u64,
    /// Of a parked job, whose message is gone.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub(super) headers: Headers,
    #[serde(skip)]
    pub(super) payload: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordState {
    Waiting { not_before_ms: u64 },
    Leased { until_ms: u64 },
    Parked,
    Done,
}

impl Record {
    /// Whether it counts beside this message: it is about it; or the job was parked, and the message is not that of
    /// one who put it back, but of one who queued it in the moment in which it was parked.
    pub(super) fn counts_beside(&self, sequence: u64, headers: &HeaderMap) -> bool {
        self.of == sequence || (self.state == RecordState::Parked && !was_put_back(Some(headers)))
    }

    /// One line of JSON, then the payload.
    pub(super) fn encode(&self) -> Result<Bytes, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.payload);
        Ok(bytes.into())
    }

    pub(super) fn decode(subject: &str, bytes: &Bytes) -> Result<Self, BusError> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let mut record: Self = serde_json::from_slice(&bytes[..end]).map_err(|error| {
            BusError::Corrupt { object: subject.to_owned(), source: error.into() }
        })?;
        record.payload = bytes.slice((end + 1).min(bytes.len())..);
        Ok(record)
    }
}

impl RecordState {
    fn shown(self) -> Option<JobState> {
        let now = now_ms();
        Some(match self {
            Self::Done => return None,
            Self::Parked => JobState::Parked,
            Self::Leased { until_ms } if until_ms > now => {
                JobState::Leased { until: time_of_ms(until_ms) }
            }
            Self::Leased { .. } => JobState::Waiting { not_before: None },
            Self::Waiting { not_before_ms } => JobState::Waiting {
                not_before: (not_before_ms > now).then(|| time_of_ms(not_before_ms)),
            },
        })
    }
}

/// One job as message and record have it together; `None` when it is neither live nor parked.
pub(super) fn together(
    queue: &str,
    job_id: &str,
    message: Option<StreamMessage>,
    record: Option<Record>,
) -> Option<JobRecord> {
    let shown = |state, attempts, cause, payload, enqueued_ms| JobRecord {
        queue: queue.to_owned(),
        job_id: job_id.to_owned(),
        state,
        attempts,
        cause,
        payload,
        enqueued_at: time_of_ms(enqueued_ms),
    };
    let record = match &message {
        Some(message) => {
            record.filter(|record| record.counts_beside(message.sequence, &message.headers))
        }
        None => record.filter(|record| record.state == RecordState::Parked),
    };
    match (message, record) {
        (Some(message), None) => {
            let enqueued_ms = enqueued_ms(Some(&message.headers));
            let state = JobState::Waiting { not_before: None };
            Some(shown(state, 0, None, message.payload, enqueued_ms))
        }
        (message, Some(record)) => {
            let payload = message.map_or(record.payload, |message| message.payload);
            Some(shown(
                record.state.shown()?,
                record.attempts,
                record.cause,
                payload,
                record.enqueued_ms,
            ))
        }
        (None, None) => None,
    }
}

pub(super) fn was_put_back(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get(PUT_BACK).is_some())
}

pub(super) fn enqueued_ms(headers: Option<&HeaderMap>) -> u64 {
    headers.and_then(|headers| headers.get(ENQUEUED_AT)?.as_str().parse().ok()).unwrap_or_default()
}

pub(super) fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn time_of_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}
