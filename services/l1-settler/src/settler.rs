//! One look at L1, and what follows from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::Address;
use sidereal_service::{Pass, error_chain};
use sidereal_settlement::{BlobsError, Fees, PreparedUpdate, Update, blob_transaction};
use starknet_types_core::felt::Felt;
use tokio::sync::watch;
use tokio::task::JoinError;

use crate::account::{Account, AccountError};
use crate::batches::{Batches, BatchesError};
use crate::config::SettlementConfig;
use crate::fees::{Prices, TooExpensive};
use crate::l1::{HeldState, L1, L1Block, L1Error, PoolAnswer, TRANSACTION_GAS_CAP};
use crate::step::{Offer, Sent, Step, next_step};
use crate::store::{Lease, SettlerStore, StoreError};

/// Offers in one pass against a transaction in the pool that nobody has written down.
const MAX_OFFERS: u32 = 12;
/// More gas than was estimated, in percent: the state may be another one when it runs.
const GAS_MARGIN_PERCENT: u64 = 10;

/// What L1 holds, and what writing to it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// L1's last block.
    pub head: u64,
    /// What the contract holds there.
    pub latest: HeldState,
    /// What the contract holds at the configured depth; none as long as it was not there then.
    pub settled: Option<HeldState>,
    /// The block at the configured depth.
    pub settled_at: u64,
    /// Prices.
    pub prices: Prices,
}

/// What was read of L1, and when.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What was there.
    pub settlement: Settlement,
    /// When the reading began.
    pub at: Instant,
}

/// A pass has failed. The next one reads everything anew.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// A call of L1, or a contract's refusal.
    #[error(transparent)]
    L1(L1Error),
    /// The settler's database.
    #[error("use the settler's database")]
    Store(#[source] StoreError),
    /// The source of work.
    #[error("find the next batch")]
    Batches(#[source] BatchesError),
    /// A batch that does not begin where the contract stands.
    #[error(
        "the batch after block {held} begins after block {found} with hash {found_hash:#x}, the \
         contract holds {held_hash:#x}"
    )]
    DoesNotContinue {
        /// Block that the contract holds.
        held: u64,
        /// Its hash.
        held_hash: Felt,
        /// Block that the batch begins after.
        found: Felt,
        /// Its hash.
        found_hash: Felt,
    },
    /// The batch's data is not what its output commits to.
    #[error("make the blobs of the batch after block {after}")]
    Blobs {
        /// Block before the batch.
        after: u64,
        /// The cause.
        #[source]
        source: BlobsError,
    },
    /// The computation of blobs panicked.
    #[error("make blobs on a thread of their own")]
    Thread(#[source] JoinError),
    /// It takes more gas than a transaction may use.
    #[error(
        "the update after block {after} takes {gas} gas, a transaction has {TRANSACTION_GAS_CAP}"
    )]
    Gas {
        /// Block before the batch.
        after: u64,
        /// What it takes.
        gas: u64,
    },
    /// The key did not sign.
    #[error("sign the update")]
    Sign(#[source] AccountError),
    /// Somebody else sends from the account.
    #[error("another transaction of nonce {nonce} is in the pool, whatever is offered")]
    NonceTaken {
        /// The account's next nonce.
        nonce: u64,
    },
}

impl From<L1Error> for SettleError {
    fn from(error: L1Error) -> Self {
        Self::L1(error)
    }
}

impl SettleError {
    /// The contract's refusal, if that is it.
    pub fn refusal(&self) -> Option<&sidereal_settlement::Refusal> {
        match self {
            Self::L1(error) => error.refusal(),
            _ => None,
        }
    }
}

/// Settles what is proven, batch after batch.
pub struct Settler {
    /// Ethereum.
    pub l1: L1,
    /// Who pays.
    pub account: Account,
    /// What was sent.
    pub store: SettlerStore,
    /// What is to be settled.
    pub batches: Arc<dyn Batches>,
    /// The rollup's contract.
    pub rollup_core: Address,
    /// Its chain.
    pub chain_id: u64,
    /// Name of this settler among those that could lead.
    pub holder: String,
    /// Blocks on top of an update that make it final.
    pub depth_blocks: u64,
    /// When and for how much is sent.
    pub config: SettlementConfig,
    /// Where the present state is told. Who waits is woken by another state, not by every reading of the same.
    pub status: watch::Sender<Option<Reading>>,
}

/// L1 at the moment of a pass.
struct View {
    head: L1Block,
    held: HeldState,
    prices: Prices,
    nonce: u64,
}

impl Settler {
    /// Looks at L1, tells what is there, and, as the leader, sends what is due.
    ///
    /// # Errors
    /// When something on the way failed. Nothing is then half done: what was sent is on L1 or is not.
    pub async fn pass(&self) -> Result<Pass, SettleError> {
        let view = self.look().await?;
        let lease = self.lead().await?;
        metrics::gauge!("settler_is_leader").set(f64::from(u8::from(lease.is_some())));
        if lease.is_none() {
            return Ok(Pass::Done);
        }

        let sent = self
            .store
            .last_sent(self.chain_id, self.account.address(), view.nonce)
            .await
            .map_err(SettleError::Store)?;
        let in_pool = match &sent {
            Some(sent) => self.l1.knows(sent.hash).await?,
            None => false,
        };
        let sent = sent.as_ref().map(|sent| (sent, in_pool));
        let held = view.held.block_number;
        match next_step(view.head.number, held, sent, self.config.replace_after_blocks) {
            Step::Wait => Ok(Pass::Done),
            Step::Send(offer) => self.settle(&view, offer).await,
        }
    }

    /// Takes the lease, or takes it for longer.
    async fn lead(&self) -> Result<Option<Lease>, SettleError> {
        let duration = Duration::from_millis(self.config.lease_ms);
        self.store.lead(&self.holder, duration).await.map_err(SettleError::Store)
    }

    /// Reads L1 and tells what is there.
    async fn look(&self) -> Result<View, SettleError> {
        let at = Instant::now();
        let head = self.l1.head().await?;
        let held = self.l1.held(self.rollup_core, head.hash).await?;
        let prices = self.l1.prices(&head).await?;
        let nonce = self.l1.nonce(self.account.address(), head.hash).await?;
        let settled_at = head.number.saturating_sub(self.depth_blocks);
        let settled = if self.depth_blocks == 0 {
            Some(held)
        } else {
            self.held_at(settled_at, head.number).await?
        };
        metrics::gauge!("l1_latest_block").set(approximate(held.block_number.into()));
        if let Some(settled) = settled {
            metrics::gauge!("l1_settled_block").set(approximate(settled.block_number.into()));
        }
        metrics::gauge!("l1_base_fee_wei").set(approximate(prices.base_fee));
        metrics::gauge!("l1_blob_base_fee_wei").set(approximate(prices.blob_base_fee));
        let settlement =
            Settlement { head: head.number, latest: held, settled, settled_at, prices };
        self.status.send_if_modified(|status| {
            let before = status.replace(Reading { settlement, at });
            let before = before.map(|before| before.settlement);
            if before.and_then(|before| before.settled) != settled {
                tracing::info!(?settled, l1_block = settled_at, "settled for good");
            }
            before != Some(settlement)
        });
        Ok(View { head, held, prices, nonce })
    }

    /// What the contract held in a block of the past.
    async fn held_at(&self, number: u64, head: u64) -> Result<Option<HeldState>, SettleError> {
        // A chain that is shorter than the depth has nothing so deep.
        if head < self.depth_blocks {
            return Ok(None);
        }
        let Some(block) = self.l1.block(BlockNumberOrTag::Number(number)).await? else {
            return Ok(None);
        };
        if !self.l1.has_code(self.rollup_core, block.hash).await? {
            return Ok(None);
        }
        Ok(Some(self.l1.held(self.rollup_core, block.hash).await?))
    }

    /// Sends the batch that begins where the contract stands.
    async fn settle(&self, view: &View, offer: Offer) -> Result<Pass, SettleError> {
        let after = view.held.block_number;
        // Before the batch: its proofs are not downloaded as long as nothing can be sent.
        let bounds = self.config.bounds();
        let fees = match offer {
            Offer::First => bounds.first(&view.prices),
            Offer::Again(fees) => bounds.again(&view.prices, &fees),
            Offer::Replace(fees) => bounds.replacement(&view.prices, &fees),
        };
        let fees = match fees {
            Ok(fees) => fees,
            Err(error) => return Ok(too_expensive(after, &error)),
        };
        let Some(update) = self.batches.next_after(after).await.map_err(SettleError::Batches)?
        else {
            return Ok(Pass::Done);
        };
        check_continues(&update, &view.held)?;

        let new_block = update.output.block_number;
        let blobs = |source| SettleError::Blobs { after, source };
        let prepared = tokio::task::spawn_blocking(move || update.prepare())
            .await
            .map_err(SettleError::Thread)?
            .map_err(blobs)?;
        let gas_limit = match self.gas_limit(after, &prepared, &fees).await {
            Ok(gas_limit) => gas_limit,
            // Since we looked, a block came with another update, ours from before included.
            Err(error) if error.refusal().is_some_and(|refusal| refusal.is_out_of_order()) => {
                tracing::debug!(after, "the contract has moved on");
                return Ok(Pass::Done);
            }
            Err(error) => {
                metrics::counter!("settler_simulations_failed_total").increment(1);
                return Err(error);
            }
        };
        let form = self.l1.sidecar_form().await?;
        let (prepared, sidecar) = tokio::task::spawn_blocking(move || {
            let sidecar = prepared.blobs.sidecar(form);
            (prepared, sidecar)
        })
        .await
        .map_err(SettleError::Thread)?;
        let sidecar = sidecar.map_err(blobs)?;

        let transaction = |fees| {
            blob_transaction(
                &prepared,
                sidecar.clone(),
                self.rollup_core,
                self.chain_id,
                view.nonce,
                gas_limit,
                fees,
            )
        };
        self.offer(view, block_number(&new_block), fees, transaction).await
    }

    /// Simulates, and says how much gas to give.
    async fn gas_limit(
        &self,
        after: u64,
        update: &PreparedUpdate,
        fees: &Fees,
    ) -> Result<u64, SettleError> {
        let gas = self
            .l1
            .simulate(self.account.address(), self.rollup_core, update, fees.max_fee_per_blob_gas)
            .await?;
        if gas > TRANSACTION_GAS_CAP {
            return Err(SettleError::Gas { after, gas });
        }
        Ok((gas + gas / 100 * GAS_MARGIN_PERCENT).min(TRANSACTION_GAS_CAP))
    }

    /// Writes the transaction down and hands it to the pool; offers more if the pool holds one that we do not know.
    async fn offer(
        &self,
        view: &View,
        new_block: u64,
        mut fees: Fees,
        transaction: impl Fn(Fees) -> alloy::consensus::TxEip4844WithSidecar,
    ) -> Result<Pass, SettleError> {
        let after = view.held.block_number;
        for _ in 0..MAX_OFFERS {
            let signed = self.account.sign_blobs(transaction(fees)).map_err(SettleError::Sign)?;
            let sent = Sent {
                nonce: view.nonce,
                hash: signed.hash,
                previous_block: after,
                new_block,
                fees,
                sent_at_block: view.head.number,
            };
            // Making blobs takes its time: as the leader still, or not at all.
            let Some(lease) = self.lead().await? else {
                return Err(SettleError::Store(StoreError::LeaseLost));
            };
            self.store
                .record(&lease, self.chain_id, self.account.address(), &sent)
                .await
                .map_err(SettleError::Store)?;
            let error = match self.l1.send(&signed.raw).await {
                Ok(_) => {
                    metrics::counter!("settler_transactions_sent_total").increment(1);
                    tracing::info!(
                        after,
                        new_block,
                        transaction = %signed.hash,
                        nonce = view.nonce,
                        ?fees,
                        "update sent"
                    );
                    return Ok(Pass::Done);
                }
                Err(error) => error,
            };
            match PoolAnswer::of(&error.source) {
                PoolAnswer::AlreadyKnown | PoolAnswer::NonceTooLow => {
                    tracing::debug!(after, answer = %error_chain(&error), "nothing to send");
                    return Ok(Pass::Done);
                }
                PoolAnswer::Underpriced => {
                    match self.config.bounds().replacement(&view.prices, &fees) {
                        Ok(more) => fees = more,
                        Err(error) => return Ok(too_expensive(after, &error)),
                    }
                }
                PoolAnswer::Other => return Err(error.into()),
            }
        }
        Err(SettleError::NonceTaken { nonce: view.nonce })
    }

    /// Lets the next settler begin at once.
    pub async fn resign(&self) {
        if let Err(error) = self.store.resign(&self.holder).await {
            tracing::warn!(error = %error_chain(&error), "the lease was not given back");
        }
    }
}

/// The contract would say the same, but the fault is the source's, and this names it.
fn check_continues(update: &Update, held: &HeldState) -> Result<(), SettleError> {
    let output = &update.output;
    if output.previous_block_number == Felt::from(held.block_number)
        && output.previous_block_hash == held.block_hash
        && output.initial_root == held.root
    {
        return Ok(());
    }
    Err(SettleError::DoesNotContinue {
        held: held.block_number,
        held_hash: held.block_hash,
        found: output.previous_block_number,
        found_hash: output.previous_block_hash,
    })
}

/// A block number in an output, for the table; the contract refuses what is larger.
fn block_number(number: &Felt) -> u64 {
    u64::try_from(*number).unwrap_or(u64::MAX)
}

fn too_expensive(after: u64, error: &TooExpensive) -> Pass {
    metrics::counter!("settler_too_expensive_total").increment(1);
    tracing::warn!(after, %error, "not sent");
    Pass::Done
}

/// A gauge's value; exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn approximate(value: u128) -> f64 {
    value as f64
}
