//! The outbox relay: what was committed with a block is published after it, in order, at least once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sidereal_bus::{Bus, BusError, Event};
use sidereal_chain_store::{ChainStore, ChainStoreError};
use sidereal_service::{Pass, Reconciler, Shutdown, Waker};
use tokio::task::JoinHandle;

/// Messages published in one pass.
const BATCH: u32 = 100;

/// The longest time between two looks, should a wake have been lost with its process.
const PERIOD: Duration = Duration::from_secs(5);

/// A pass failed; the next one begins where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox cannot be read or marked.
    #[error("reading the outbox failed")]
    Store(#[source] ChainStoreError),
    /// A message cannot be published.
    #[error("publishing message {id} of the outbox failed")]
    Publish {
        /// The message.
        id: u64,
        /// Why.
        #[source]
        source: BusError,
    },
}

/// Starts the relay.
pub fn start(
    store: ChainStore,
    bus: Arc<dyn Bus>,
    chain: String,
    waker: Waker,
    shutdown: &Shutdown,
) -> JoinHandle<()> {
    Reconciler::new("outbox relay", PERIOD).spawn(shutdown, waker, move || {
        let (store, bus, chain) = (store.clone(), Arc::clone(&bus), chain.clone());
        async move { pass(&store, bus.as_ref(), &chain).await }
    })
}

/// Publishes what was not marked as delivered. A message published by a process that died before marking it is published
/// again under the same id, which the bus drops.
async fn pass(store: &ChainStore, bus: &dyn Bus, chain: &str) -> Result<Pass, RelayError> {
    let pending = store.pending_outbox(BATCH).await.map_err(RelayError::Store)?;
    let Some(last) = pending.last().map(|row| row.id) else { return Ok(Pass::Done) };
    let full = u32::try_from(pending.len()).is_ok_and(|count| count >= BATCH);
    for row in pending {
        let event = Event {
            subject: row.message.subject,
            message_id: format!("{chain}-outbox-{}", row.id),
            payload: Bytes::from(row.message.payload),
            headers: row.message.headers,
        };
        let published = bus.publish(event).await;
        published.map_err(|source| RelayError::Publish { id: row.id, source })?;
    }
    store.mark_delivered(last).await.map_err(RelayError::Store)?;
    Ok(if full { Pass::More } else { Pass::Done })
}
