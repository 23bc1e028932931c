//! Events, and how they are handed out.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{BusError, Headers};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Dot-separated tokens of ASCII letters, digits, `_` and `-`, for example `block.closed`.
    pub subject: String,
    /// Unique for what happened, so that publishing it again does no harm (a block's hash, an outbox row's id).
    pub message_id: String,
    /// The body, at most [`crate::BusConfig::max_payload_bytes`].
    pub payload: Bytes,
    /// Travels along, for example the trace context.
    pub headers: Headers,
}

/// What publishing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The event was stored under this sequence number.
    Stored {
        /// Position in the log of events; grows.
        sequence: u64,
    },
    /// An event with this message id was stored before.
    Duplicate,
}

/// What a consumer wants.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// A subject, or a filter with `*` (one token) and `>` (the rest).
    pub filter: String,
    /// Name of a durable consumer. `None`: a consumer of this call alone, from now on, forgotten at its end.
    pub durable: Option<String>,
    /// For a durable consumer that is new: whether it sees events from before it was made.
    pub from_start: bool,
}

impl Subscribe {
    /// A durable consumer that sees everything still kept.
    pub fn durable(filter: impl Into<String>, name: impl Into<String>) -> Self {
        Self { filter: filter.into(), durable: Some(name.into()), from_start: true }
    }

    /// A consumer for the life of this subscription, from now on.
    pub fn ephemeral(filter: impl Into<String>) -> Self {
        Self { filter: filter.into(), durable: None, from_start: false }
    }
}

/// A running consumer. Dropping it stops it; a durable one continues later where it was acknowledged.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next event. Cancel-safe: an event taken by a cancelled call is delivered again.
    async fn next(&mut self) -> Result<Delivery, BusError>;
}

/// One event in the hands of a consumer; not acknowledged, it is delivered again after the acknowledgement wait.
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// Position in the log of events.
    pub sequence: u64,
    /// 1 the first time.
    pub attempt: u32,
    pub(crate) acknowledge: Box<dyn Acknowledge>,
}

impl Delivery {
    /// The event is dealt with.
    pub async fn ack(self) -> Result<(), BusError> {
        self.acknowledge.ack().await
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event)
            .field("sequence", &self.sequence)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// How an implementation acknowledges one delivery.
#[async_trait]
pub trait Acknowledge: Send + Sync {
    /// Marks the delivery as done.
    async fn ack(&self) -> Result<(), BusError>;
}

/// Whether `subject` matches `filter` (`*` one token, a last `>` one or more).
pub(crate) fn subject_matches(filter: &str, subject: &str) -> bool {
    let mut filter_tokens = filter.split('.');
    let mut subject_tokens = subject.split('.');
    loop {
        match (filter_tokens.next(), subject_tokens.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(expected), Some(token)) if expected == token => {}
            _ => return false,
        }
    }
}

/// A subject is made of non-empty tokens of letters, digits, `_` and `-`; a filter may also have wildcards.
pub(crate) fn check_subject(subject: &str, wildcards: bool) -> Result<(), BusError> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let last = tokens.len() - 1;
    let fine = subject.len() <= 256
        && tokens.iter().enumerate().all(|(index, token)| {
            (wildcards && (*token == "*" || (*token == ">" && index == last)))
                || (!token.is_empty() && token.bytes().all(is_name_byte))
        });
    if fine { Ok(()) } else { Err(BusError::BadName { what: "subject", name: subject.to_owned() }) }
}

/// Names of queues, consumers and jobs end up in subjects and file names of either implementation.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), BusError> {
    if !name.is_empty() && name.len() <= 128 && name.bytes().all(is_name_byte) {
        Ok(())
    } else {
        Err(BusError::BadName { what, name: name.to_owned() })
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down the wildcard rules both implementations share (those of NATS).
    #[test]
    fn filters_match_like_nats() {
        assert!(subject_matches("block.closed", "block.closed"));
        assert!(subject_matches("block.*", "block.closed"));
        assert!(subject_matches(">", "block.closed"));
        assert!(subject_matches("block.>", "block.closed.twice"));
        assert!(!subject_matches("block.>", "block"));
        assert!(!subject_matches("block.*", "block.closed.twice"));
        assert!(!subject_matches("block.closed", "block.open"));
    }

    /// Pins down that no name can address a stream or a table it should not.
    #[test]
    fn names_that_could_mean_something_else_are_refused() {
        for bad in ["", "a..b", ".a", "a b", "a.>.b", "*", "ü"] {
            assert!(check_subject(bad, false).is_err(), "{bad}");
        }
        assert!(check_subject("a.*", true).is_ok());
        assert!(check_subject("a.>", true).is_ok());
        for bad in ["", "a.b", "a/b", ">"] {
            assert!(check_name("queue", bad).is_err(), "{bad}");
        }
    }
}
