//! Sending: one task an account, so that nonces stay in order, and one pace for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use starknet_api::core::Nonce;
use starknet_types_core::felt::Felt;
use tokio::time::Instant;

use super::contracts::{Targets, nonce, send};
use super::tracker::Tracker;
use super::{Kind, LoadOptions};
use crate::account::{Account, GasPrices, bounds};
use crate::rpc::Rpc;

/// How often one transaction is tried again when the node has no room or does not answer.
const MAX_TRIES: u32 = 8;

/// Hands out the moments at which transactions leave, evenly.
struct Pace {
    start: Instant,
    interval: Duration,
    next: AtomicU64,
    count: u64,
}

impl Pace {
    /// The next transaction's index, at its time; `None` when all were handed out.
    async fn next(&self) -> Option<u64> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.count {
            return None;
        }
        let offset = self.interval.as_secs_f64() * index as f64;
        tokio::time::sleep_until(self.start + Duration::from_secs_f64(offset)).await;
        Some(index)
    }
}

/// Sends `options.count` transactions and returns when the last one was answered.
pub async fn send_all(
    rpc: &Rpc,
    accounts: &[Account],
    targets: &Targets,
    options: &LoadOptions,
    prices: GasPrices,
    tracker: Arc<Tracker>,
) -> anyhow::Result<()> {
    let pace = Pace {
        start: Instant::now(),
        interval: Duration::from_secs_f64(1.0 / options.rate),
        next: AtomicU64::new(0),
        count: options.count,
    };
    let senders = accounts.iter().map(|account| {
        send_from(rpc, account, accounts, targets, options.kind, prices, &pace, &tracker)
    });
    try_join_all(senders).await?;
    Ok(())
}

#[allow(clippy::too_many_arguments)]
async fn send_from(
    rpc: &Rpc,
    account: &Account,
    accounts: &[Account],
    targets: &Targets,
    kind: Kind,
    prices: GasPrices,
    pace: &Pace,
    tracker: &Tracker,
) -> anyhow::Result<()> {
    let mut next_nonce: Option<Nonce> = None;
    // A transfer's measured gas with ample room; computing takes more.
    let l2_gas = if kind == Kind::Transfers { 10_000_000 } else { 60_000_000 };
    while let Some(index) = pace.next().await {
        let call = targets.call(index, account.address, accounts);
        let mut tries = 0;
        loop {
            let account_nonce = match next_nonce {
                Some(nonce) => nonce,
                None => nonce(rpc, account).await?,
            };
            let signed = account.invoke(
                std::slice::from_ref(&call),
                account_nonce,
                bounds(5_000, 5_000, l2_gas, prices),
            )?;
            match send(rpc, &signed).await {
                Ok(_) => {
                    tracker.sent(signed.hash);
                    next_nonce = Some(Nonce(account_nonce.0 + Felt::ONE));
                    break;
                }
                Err(error) => {
                    tries += 1;
                    // The nonce is read again: the node may have taken the transaction and lost its answer.
                    next_nonce = None;
                    if tries == MAX_TRIES {
                        tracker.refused(&error.to_string());
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100 * u64::from(tries))).await;
                }
            }
        }
    }
    Ok(())
}
