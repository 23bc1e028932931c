//! Saying that proving came to another result than a block: the chain halts on it.

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use sidereal_bus::{Bus, BusError, Event, Headers};
use sidereal_proto::BLOCK_DISPUTED_SUBJECT;
use sidereal_proto::events::BlockDisputed;
use sidereal_proto::felt::felt_bytes;

use crate::heartbeat::Lifeline;
use crate::job::{ProveJob, Target};

/// A dispute cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DisputeError {
    /// The bus failed.
    #[error("tell that a block is disputed")]
    Bus(#[source] BusError),
    /// The thread of the bus connection is gone.
    #[error("the thread that holds the bus connection has ended")]
    Lifeline,
}

/// Is told of blocks that proving came to another result of.
#[async_trait]
pub trait Disputes: Send + Sync {
    /// When this returns, whoever runs the chain will hear of it.
    async fn raise(&self, job: &ProveJob, cause: &str) -> Result<(), DisputeError>;
}

/// Publishes them.
pub struct BusDisputes {
    bus: Arc<dyn Bus>,
    lifeline: Arc<Lifeline>,
}

impl BusDisputes {
    /// Calls of `bus` are made on the runtime of `lifeline`, on which it must have been opened.
    pub fn new(bus: Arc<dyn Bus>, lifeline: Arc<Lifeline>) -> Self {
        Self { bus, lifeline }
    }
}

#[async_trait]
impl Disputes for BusDisputes {
    async fn raise(&self, job: &ProveJob, cause: &str) -> Result<(), DisputeError> {
        // Steps of an aggregation are about proofs that were verified already.
        let Target::Block { number, hash } = job.target else { return Ok(()) };
        let disputed = BlockDisputed {
            block_number: number,
            block_hash: felt_bytes(&hash),
            cause: cause.to_owned(),
        };
        let event = Event {
            subject: BLOCK_DISPUTED_SUBJECT.to_owned(),
            message_id: format!("disputed-{}", job.id),
            payload: disputed.encode_to_vec().into(),
            headers: Headers::new(),
        };
        let bus = self.bus.clone();
        let published = self.lifeline.run(async move { bus.publish(event).await }).await;
        published.map_err(|_| DisputeError::Lifeline)?.map_err(DisputeError::Bus).map(drop)
    }
}
