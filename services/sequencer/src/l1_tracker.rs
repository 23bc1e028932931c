//! Follows what L1 holds and charges, as the settler reads it.
//!
//! ```text
//!  settler ──GetSettlement──> settled block ── ours: hash, root ──┬─ the same: accepted on L1, with all before it
//!                   │                                             └─ another: alarm, and nothing is marked
//!                   └───────> prices ──> gas prices of the next block
//! ```
//!
//! What the settler calls settled is as deep in L1 as its configuration says; that depth is what makes it final here, so a
//! mark is never taken back. Should L1 go back further, the blocks are settled again, and until then nothing changes.
//!
//! A contract that holds another block than this chain's cannot be helped from here: somebody else's chain is settled
//! there, or this chain store is not the one that was proven. The sequencer is not ready as long as that is so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError, StoredBlock};
use sidereal_proto::settlement::settlement_service_client::SettlementServiceClient;
use sidereal_proto::settlement::{GetSettlementRequest, L1Prices as WirePrices, SettledState};
use sidereal_proto::{ConversionError, felt};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{GrpcError, ServiceChannel, channel};
use sidereal_service::{Latch, Pass, Readiness, Reconciler, Shutdown, Waker};
use starknet_api::block::BlockNumber;
use starknet_types_core::felt::Felt;
use tonic::{Code, Status};

use crate::config::L1SettlementConfig;
use crate::gas_prices::{GasPricer, L1Prices};

/// L1 could not be followed this time. What is known holds.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// The settler did not answer, or has not read L1 yet.
    #[error("asking the settler at {url} what L1 holds failed")]
    Settler {
        /// Where it should be.
        url: String,
        /// What it said.
        #[source]
        source: Box<Status>,
    },
    /// Its answer cannot be read.
    #[error("the answer of the settler at {url} cannot be read")]
    Unreadable {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: ConversionError,
    },
    /// The chain store cannot be read or written.
    #[error("marking what L1 accepted failed")]
    Store(#[source] ChainStoreError),
}

/// L1 holds what this chain does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// A block beyond the last one.
    #[error("L1 holds block {settled}, this chain ends with block {head:?}")]
    Beyond {
        /// On L1.
        settled: BlockNumber,
        /// Ours.
        head: Option<BlockNumber>,
    },
    /// Another block of a number.
    #[error("L1 holds block {number} with hash {on_l1:#x}, ours has {ours:#x}")]
    Hash {
        /// The block.
        number: BlockNumber,
        /// On L1.
        on_l1: Felt,
        /// Ours.
        ours: Felt,
    },
    /// Another state after a block.
    #[error("L1 holds root {on_l1:#x} after block {number}, ours is {ours:#x}")]
    Root {
        /// The block.
        number: BlockNumber,
        /// On L1.
        on_l1: Felt,
        /// Ours.
        ours: Felt,
    },
}

/// What L1 holds, compared with what this chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// No contract as deep as it takes.
    Nothing,
    /// The last block that is accepted.
    Holds(BlockNumber),
    /// A block of ours after that.
    Advances(BlockNumber),
    /// A block of ours before the last one that is accepted.
    WentBack { settled: BlockNumber, accepted: BlockNumber },
    /// None of ours.
    Diverges(Divergence),
}

/// What the settler says L1 holds.
struct Settled {
    number: BlockNumber,
    hash: Felt,
    root: Felt,
}

/// See the [module](self).
#[derive(Debug)]
pub struct L1Tracker {
    url: String,
    client: SettlementServiceClient<ServiceChannel>,
    store: ChainStore,
    pricer: GasPricer,
    readiness: Readiness,
    last: Mutex<Last>,
}

/// What was found last time, so that it is said once.
#[derive(Debug, Default)]
struct Last {
    standing: Option<Standing>,
    /// Held while L1 diverges.
    alarm: Option<Latch>,
    /// The settler was not there yet.
    awaits: bool,
}

impl L1Tracker {
    /// Asks this settler; connects when first used.
    pub fn new(
        config: &L1SettlementConfig,
        auth: &AuthConfig,
        store: ChainStore,
        pricer: GasPricer,
        readiness: &Readiness,
    ) -> Result<Self, GrpcError> {
        let client = SettlementServiceClient::new(channel(&config.settler, auth)?)
            .max_decoding_message_size(config.settler.max_message_bytes);
        Ok(Self {
            url: config.settler.url.clone(),
            client,
            store,
            pricer,
            readiness: readiness.clone(),
            last: Mutex::default(),
        })
    }

    /// Looks now and every `period`, until shutdown.
    pub fn start(self, period: Duration, shutdown: &Shutdown) {
        let tracker = Arc::new(self);
        Reconciler::new("L1 tracker", period).spawn(shutdown, Waker::new(), move || {
            let tracker = tracker.clone();
            async move {
                let pass = tracker.pass().await;
                metrics::gauge!("l1_tracker_up").set(f64::from(u8::from(pass.is_ok())));
                match pass {
                    Err(error) if tracker.awaits(&error) => Ok(Pass::Done),
                    pass => pass,
                }
            }
        });
    }

    /// A settler that was not there yet may be one that starts later, when the contracts are deployed: that is said
    /// once. One that has answered and does not any more is a failure.
    fn awaits(&self, error: &TrackError) -> bool {
        let TrackError::Settler { source, .. } = error else { return false };
        let mut last = self.last();
        if source.code() != Code::Unavailable || last.standing.is_some() {
            return false;
        }
        if !std::mem::replace(&mut last.awaits, true) {
            tracing::info!(url = self.url, "the settler does not answer yet");
        }
        true
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Nothing that holds it leaves it half changed.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self) -> Result<Pass, TrackError> {
        let answer = self.client.clone().get_settlement(GetSettlementRequest {}).await;
        let answer = answer
            .map_err(|source| {
                self.pricer.forget();
                TrackError::Settler { url: self.url.clone(), source: Box::new(source) }
            })?
            .into_inner();
        if let Some(prices) = answer.prices {
            self.pricer.observe(read_prices(&prices));
        }
        let unreadable = |source| TrackError::Unreadable { url: self.url.clone(), source };
        let settled = answer.settled.as_ref().map(read_settled).transpose().map_err(unreadable)?;
        let standing = self.standing(settled).await.map_err(TrackError::Store)?;
        if let Standing::Advances(number) = standing {
            let accepted = self.store.accept_on_l1(number).await.map_err(TrackError::Store)?;
            metrics::counter!("blocks_accepted_on_l1_total").increment(accepted);
            tracing::info!(block = number.0, blocks = accepted, "accepted on L1");
        }
        self.say(standing);
        Ok(Pass::Done)
    }

    /// Compares; marks nothing.
    async fn standing(&self, settled: Option<Settled>) -> Result<Standing, ChainStoreError> {
        let Some(Settled { number, hash, root }) = settled else { return Ok(Standing::Nothing) };
        let Some(ours) = self.store.block(BlockSelector::Number(number)).await? else {
            let head = self.store.head().await?.map(|head| head.number);
            return Ok(Standing::Diverges(Divergence::Beyond { settled: number, head }));
        };
        if let Some(divergence) = compare(&ours, hash, root) {
            return Ok(Standing::Diverges(divergence));
        }
        let accepted = self.store.block(BlockSelector::LatestAcceptedOnL1).await?;
        Ok(match accepted.map(|block| block.number()) {
            Some(accepted) if number < accepted => Standing::WentBack { settled: number, accepted },
            Some(accepted) if number == accepted => Standing::Holds(number),
            _ => Standing::Advances(number),
        })
    }

    /// Tells operators what has changed.
    fn say(&self, standing: Standing) {
        let mut last = self.last();
        let diverges = matches!(standing, Standing::Diverges(_));
        metrics::gauge!("l1_diverges").set(f64::from(u8::from(diverges)));
        if !diverges && last.alarm.take().is_some() {
            tracing::info!("L1 holds what this chain has again");
        }
        if last.standing == Some(standing) {
            return;
        }
        last.standing = Some(standing);
        match standing {
            Standing::Nothing | Standing::Holds(_) | Standing::Advances(_) => {}
            Standing::WentBack { settled, accepted } => {
                metrics::counter!("l1_went_back_total").increment(1);
                tracing::warn!(
                    settled = settled.0,
                    accepted = accepted.0,
                    "L1 went back behind what it had accepted; what is accepted stays so"
                );
            }
            Standing::Diverges(divergence) => {
                last.alarm.get_or_insert_with(|| self.readiness.hold("L1 diverges"));
                tracing::error!(error = %divergence, "L1 holds what this chain does not have");
            }
        }
    }
}

fn compare(ours: &StoredBlock, hash: Felt, root: Felt) -> Option<Divergence> {
    let number = ours.number();
    if ours.hash.0 != hash {
        return Some(Divergence::Hash { number, on_l1: hash, ours: ours.hash.0 });
    }
    let our_root = ours.header.state_root.0;
    (our_root != root).then_some(Divergence::Root { number, on_l1: root, ours: our_root })
}

fn read_settled(wire: &SettledState) -> Result<Settled, ConversionError> {
    Ok(Settled {
        number: BlockNumber(wire.block_number),
        hash: felt::felt("settled.block_hash", &wire.block_hash)?,
        root: felt::felt("settled.root", &wire.root)?,
    })
}

fn read_prices(wire: &WirePrices) -> L1Prices {
    L1Prices {
        gas_wei: u128::from(wire.base_fee_wei) + u128::from(wire.priority_fee_wei),
        blob_gas_wei: wire.blob_base_fee_wei.into(),
    }
}
