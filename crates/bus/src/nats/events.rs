//! Events on JetStream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::message::{Acker, PublishMessage};
use async_trait::async_trait;
use futures::StreamExt;

use super::{Inner, NatsBus, headers_of_nats, headers_to_nats};
use crate::event::{check_name, check_subject};
use crate::{Acknowledge, BusError, Delivery, Event, Events, Published, Subscribe, Subscription};

/// A consumer that was not asked for anything for so long is forgotten by the server, if it is not durable.
const FORGET_AFTER: Duration = Duration::from_secs(120);
/// A consumer holds at most so many deliveries that it has not acknowledged.
const MAX_UNACKNOWLEDGED: i64 = 1_000;

#[async_trait]
impl Events for NatsBus {
    async fn publish(&self, event: Event) -> Result<Published, BusError> {
        check_subject(&event.subject, false)?;
        self.inner.check_size(&event.subject, event.payload.len())?;
        let failed = |error| BusError::failed("publishing to", &event.subject, error);
        let message = PublishMessage::build()
            .headers(headers_to_nats(&event.headers)?)
            .message_id(&event.message_id)
            .payload(event.payload.clone());
        let subject = format!("{}.events.{}", self.inner.prefix, event.subject);
        let ack = self
            .inner
            .context
            .send_publish(subject, message)
            .await
            .map_err(failed)?
            .await
            .map_err(failed)?;
        Ok(if ack.duplicate {
            Published::Duplicate
        } else {
            Published::Stored { sequence: ack.sequence }
        })
    }

    async fn subscribe(&self, request: Subscribe) -> Result<Box<dyn Subscription>, BusError> {
        check_subject(&request.filter, true)?;
        if let Some(name) = &request.durable {
            check_name("consumer", name)?;
        }
        let mut running = Running {
            inner: Arc::clone(&self.inner),
            request,
            after_sequence: None,
            messages: None,
        };
        // Made now and not at the first wait, so that nothing published from here on is missed.
        running.connect().await?;
        Ok(Box::new(running))
    }
}

struct Running {
    inner: Arc<Inner>,
    request: Subscribe,
    /// An ephemeral consumer that the server forgot goes on after what it has seen.
    after_sequence: Option<u64>,
    messages: Option<pull::Stream>,
}

impl Running {
    async fn connect(&mut self) -> Result<(), BusError> {
        let durable = self.request.durable.is_some();
        let deliver_policy = match self.after_sequence {
            Some(sequence) if !durable => {
                DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 }
            }
            _ if self.request.from_start => DeliverPolicy::All,
            _ => DeliverPolicy::New,
        };
        let config = Config {
            durable_name: self.request.durable.clone(),
            filter_subject: format!("{}.events.{}", self.inner.prefix, self.request.filter),
            deliver_policy,
            ack_policy: if durable { AckPolicy::Explicit } else { AckPolicy::None },
            ack_wait: self.inner.config.ack_wait(),
            max_ack_pending: if durable { MAX_UNACKNOWLEDGED } else { 0 },
            inactive_threshold: if durable { Duration::ZERO } else { FORGET_AFTER },
            ..Config::default()
        };
        let failed = |error: async_nats::Error| {
            BusError::failed("subscribing to", &self.request.filter, error)
        };
        let stream = self.inner.events_stream();
        let consumer: Consumer<Config> = self
            .inner
            .context
            .create_consumer_on_stream(config, stream)
            .await
            .map_err(|error| failed(error.into()))?;
        if !durable && self.after_sequence.is_none() {
            // From now on means: also after the server was restarted before the first event came.
            self.after_sequence = Some(consumer.cached_info().delivered.stream_sequence);
        }
        let messages = consumer
            .stream()
            .max_messages_per_batch(64)
            .expires(Duration::from_secs(20))
            .heartbeat(Duration::from_secs(5))
            .messages()
            .await
            .map_err(|error| failed(error.into()))?;
        self.messages = Some(messages);
        Ok(())
    }
}

#[async_trait]
impl Subscription for Running {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        if self.messages.is_none() {
            self.connect().await?;
        }
        let next = match &mut self.messages {
            Some(messages) => messages.next().await,
            None => None,
        };
        let message = match next {
            Some(Ok(message)) => message,
            ended => {
                // The next call connects anew.
                self.messages = None;
                let error = match ended {
                    Some(Err(error)) => error.into(),
                    _ => async_nats::Error::from("the stream of messages ended"),
                };
                return Err(BusError::failed("waiting for", &self.request.filter, error));
            }
        };
        let corrupt =
            |error| BusError::Corrupt { object: message.subject.to_string(), source: error };
        let (sequence, delivered) = {
            let info = message.info().map_err(corrupt)?;
            (info.stream_sequence, info.delivered)
        };
        self.after_sequence = Some(sequence);
        let prefix = format!("{}.events.", self.inner.prefix);
        let subject =
            message.subject.as_str().strip_prefix(&prefix).unwrap_or(&message.subject).to_owned();
        let message_id = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID))
            .map(|id| id.as_str().to_owned())
            .unwrap_or_default();
        let headers = headers_of_nats(message.headers.as_ref());
        let payload = message.payload.clone();
        let (_, acker) = message.split();
        let acknowledge = Acknowledged {
            acker: self.request.durable.is_some().then_some(acker),
            consumer: self.request.durable.clone().unwrap_or_default(),
        };
        Ok(Delivery {
            event: Event { subject, message_id, payload, headers },
            sequence,
            attempt: u32::try_from(delivered).unwrap_or(1).max(1),
            acknowledge: Box::new(acknowledge),
        })
    }
}

struct Acknowledged {
    /// An ephemeral consumer acknowledges nothing.
    acker: Option<Acker>,
    consumer: String,
}

#[async_trait]
impl Acknowledge for Acknowledged {
    async fn ack(&self) -> Result<(), BusError> {
        match &self.acker {
            Some(acker) => acker
                .double_ack()
                .await
                .map_err(|error| BusError::failed("acknowledging for", &self.consumer, error)),
            None => Ok(()),
        }
    }
}
