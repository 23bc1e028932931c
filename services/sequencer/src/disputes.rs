//! Execution and proving agree, or the chain halts.
//!
//! ```text
//!  worker: another result than block n ──block.disputed──> written down ──ack──> halt
//!                                                              └──at every start──> halt, unless overruled
//! ```
//!
//! What is built on a block that cannot be proven is never settled, so nothing more is. Whoever runs the chain looks into
//! it; when it was the prover that was wrong (a machine, a release), they name the block in `disputes.overruled`, and put
//! its job back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sidereal_bus::{Bus, BusError, Delivery, Subscribe};
use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError, Dispute};
use sidereal_execution::outcome::shorten;
use sidereal_proto::events::BlockDisputed;
use sidereal_proto::{BLOCK_DISPUTED_SUBJECT, felt};
use sidereal_service::{Shutdown, error_chain};
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_types_core::felt::Felt;

/// Wait before a broken subscription is opened again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);
/// Of a prover's words, in bytes.
const MAX_CAUSE_BYTES: usize = 4_096;
/// Disputes that are looked at; each block has one at most.
const MAX_DISPUTES: u32 = 10_000;

/// A block that proving came to another result of.
#[derive(Debug, thiserror::Error)]
#[error(
    "block {} ({:#x}) cannot be proven as it was executed: {}; once it is known that the prover was wrong, name the block's \
     hash in disputes.overruled",
    .0.number, .0.hash.0, .0.cause
)]
pub struct Disputed(pub Dispute);

/// Hears of disputes, and remembers them.
#[derive(Clone, Debug)]
pub struct Disputes {
    store: ChainStore,
    overruled: Arc<HashSet<Felt>>,
}

impl Disputes {
    /// `overruled`: hashes of blocks that are in order, whatever was said of them.
    pub fn new(store: ChainStore, overruled: impl IntoIterator<Item = Felt>) -> Self {
        Self { store, overruled: Arc::new(overruled.into_iter().collect()) }
    }

    /// The first dispute that was written down and not overruled.
    pub async fn standing(&self) -> Result<Option<Disputed>, ChainStoreError> {
        let disputes = self.store.disputes(MAX_DISPUTES).await?;
        Ok(disputes.into_iter().find(|dispute| self.stands(dispute)).map(Disputed))
    }

    fn stands(&self, dispute: &Dispute) -> bool {
        !self.overruled.contains(&dispute.hash.0)
    }

    /// Waits for a dispute that stands; `None` at shutdown.
    pub async fn raised(&self, bus: &dyn Bus, shutdown: &Shutdown) -> Option<Disputed> {
        while !shutdown.is_triggered() {
            let followed = tokio::select! {
                () = shutdown.triggered() => return None,
                followed = self.follow(bus) => followed,
            };
            match followed {
                Ok(disputed) => return Some(disputed),
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "following disputes failed");
                }
            }
            tokio::select! {
                () = shutdown.triggered() => return None,
                () = tokio::time::sleep(RESUBSCRIBE) => {}
            }
        }
        None
    }

    async fn follow(&self, bus: &dyn Bus) -> Result<Disputed, FollowError> {
        let subscribe = Subscribe::durable(BLOCK_DISPUTED_SUBJECT, "sequencer-disputes");
        let mut subscription = bus.subscribe(subscribe).await.map_err(FollowError::Bus)?;
        loop {
            let delivery = subscription.next().await.map_err(FollowError::Bus)?;
            let raised = self.take(&delivery).await.map_err(FollowError::Store)?;
            let acknowledged = delivery.ack().await;
            // It is written down: a bus that fails now does not keep the chain going.
            if let Some(dispute) = raised {
                return Ok(Disputed(dispute));
            }
            acknowledged.map_err(FollowError::Bus)?;
        }
    }

    /// Writes down what stands.
    async fn take(&self, delivery: &Delivery) -> Result<Option<Dispute>, ChainStoreError> {
        let Some(dispute) = read(delivery) else {
            tracing::error!(sequence = delivery.sequence, "a dispute cannot be read");
            return Ok(None);
        };
        let block = self.store.block(BlockSelector::Number(dispute.number)).await?;
        if block.is_none_or(|block| block.hash != dispute.hash) {
            tracing::warn!(block = dispute.number.0, "a dispute is about a block of another chain");
            return Ok(None);
        }
        self.store.record_dispute(&dispute).await?;
        if self.stands(&dispute) {
            return Ok(Some(dispute));
        }
        tracing::warn!(block = dispute.number.0, cause = dispute.cause, "an overruled dispute");
        Ok(None)
    }
}

fn read(delivery: &Delivery) -> Option<Dispute> {
    let told = BlockDisputed::decode(delivery.event.payload.clone()).ok()?;
    Some(Dispute {
        number: BlockNumber(told.block_number),
        hash: BlockHash(felt::felt("block_hash", &told.block_hash).ok()?),
        cause: shorten(&told.cause, MAX_CAUSE_BYTES),
    })
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("the bus does not hand out disputes")]
    Bus(#[source] BusError),
    #[error("a dispute cannot be written down")]
    Store(#[source] ChainStoreError),
}
