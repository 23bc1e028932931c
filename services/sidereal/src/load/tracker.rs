//! What became of what was sent: a live line while the load runs, and the counts at the end.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use starknet_api::transaction::TransactionHash;

use super::summary::Summary;
use crate::print::{self, OutputError};
use crate::rpc::Rpc;

/// Different reasons of refusal that are kept apart; the rest is counted together.
const MAX_REASONS: usize = 16;

/// Counts and times of one run.
pub struct Tracker {
    planned: u64,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent_at: HashMap<TransactionHash, Instant>,
    sent: u64,
    refused: u64,
    reasons: BTreeMap<String, u64>,
    first_block: Option<u64>,
    next_block: Option<u64>,
    blocks: u64,
    succeeded: u64,
    reverted: u64,
    latencies: Vec<Duration>,
    last_inclusion: Option<Instant>,
    duplicates: u64,
    executed: HashMap<TransactionHash, u64>,
}

impl Tracker {
    pub fn new(planned: u64) -> Self {
        Self { planned, started: Instant::now(), state: Mutex::new(State::default()) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Counters stay meaningful after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn sent(&self, hash: TransactionHash) {
        let mut state = self.state();
        state.sent += 1;
        state.sent_at.insert(hash, Instant::now());
    }

    pub fn refused(&self, reason: &str) {
        let mut state = self.state();
        state.refused += 1;
        let known = state.reasons.contains_key(reason) || state.reasons.len() < MAX_REASONS;
        let key = if known { reason } else { "other reasons" };
        *state.reasons.entry(key.to_owned()).or_default() += 1;
    }

    /// Prints a live line until it is aborted, or cannot be printed any more.
    pub fn show(self: Arc<Self>) -> tokio::task::JoinHandle<OutputError> {
        let terminal = std::io::stdout().is_terminal();
        let period = if terminal { Duration::from_millis(500) } else { Duration::from_secs(5) };
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let line = self.line();
                let printed = if terminal { print::over(line) } else { print::line(line) };
                if let Err(error) = printed {
                    return error;
                }
            }
        })
    }

    fn line(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let state = self.state();
        format!(
            "load  {:>6.1} s   sent {}/{}  ({:.1}/s)   refused {}   in blocks {} ({} reverted)   blocks {}",
            elapsed,
            state.sent,
            self.planned,
            state.sent as f64 / elapsed.max(0.001),
            state.refused,
            state.succeeded + state.reverted,
            state.reverted,
            state.blocks,
        )
    }

    /// Reads closed blocks while the load runs, until it is aborted. A read that fails is tried again: the
    /// chain may be restarting under the load.
    pub fn follow(self: Arc<Self>, rpc: Rpc) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                if let Err(error) = self.read_new_blocks(&rpc).await {
                    tracing::debug!(error = %format!("{error:#}"), "reading new blocks failed");
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    }

    /// Reads closed blocks until each transaction that was sent is in one, or the time is over.
    pub async fn settle(&self, rpc: &Rpc, timeout: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            self.read_new_blocks(rpc).await?;
            if self.state().sent_at.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        print::line("")?;
        Ok(())
    }

    async fn read_new_blocks(&self, rpc: &Rpc) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Receipt {
            transaction_hash: TransactionHash,
            execution_status: String,
        }
        #[derive(Deserialize)]
        struct Entry {
            receipt: Receipt,
        }
        #[derive(Deserialize)]
        struct Block {
            transactions: Vec<Entry>,
        }
        let latest: u64 = rpc
            .call("starknet_blockNumber", Value::Array(vec![]))
            .await
            .context("cannot read the latest block's number")?;
        let next = self.state().next_block;
        // The run's transactions cannot be in blocks from long before it: look back as far as one a second.
        let lookback = self.started.elapsed().as_secs() + 64;
        let first = next.unwrap_or_else(|| latest.saturating_sub(lookback));
        for number in first..=latest {
            let block: Block = rpc
                .call(
                    "starknet_getBlockWithReceipts",
                    json!({ "block_id": { "block_number": number } }),
                )
                .await
                .with_context(|| format!("cannot read block {number}"))?;
            let now = Instant::now();
            let mut state = self.state();
            let mut ours = false;
            for Entry { receipt } in block.transactions {
                let Some(sent_at) = state.sent_at.remove(&receipt.transaction_hash) else {
                    if state.executed.contains_key(&receipt.transaction_hash) {
                        state.duplicates += 1;
                    }
                    continue;
                };
                ours = true;
                state.executed.insert(receipt.transaction_hash, number);
                state.latencies.push(now.duration_since(sent_at));
                state.last_inclusion = Some(now);
                if receipt.execution_status == "SUCCEEDED" {
                    state.succeeded += 1;
                } else {
                    state.reverted += 1;
                }
            }
            if ours {
                state.blocks += 1;
                state.first_block.get_or_insert(number);
            }
            state.next_block = Some(number + 1);
        }
        Ok(())
    }

    pub fn summary(&self) -> Summary {
        let state = self.state();
        let last = state.last_inclusion.unwrap_or_else(Instant::now);
        Summary::new(
            self.planned,
            state.sent,
            state.refused,
            state.reasons.clone(),
            state.succeeded,
            state.reverted,
            state.duplicates,
            state.blocks,
            last.duration_since(self.started),
            state.latencies.clone(),
        )
    }
}
