//! `sidereal load`: sends transactions at a rate, with a live view, and says at the end what became of them.
//!
//! Each funded account sends on its own, in nonce order, without waiting for the previous transaction to be
//! executed; the rate is shared among them. Everything goes through JSON-RPC, as a wallet would.
//!
//! ```text
//! pace (one permit a transaction) -> sender of account i -> addInvokeTransaction -> tracker -> summary
//! ```

mod contracts;
mod sender;
mod summary;
mod tracker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use starknet_api::core::{ChainId, ContractAddress};
use starknet_types_core::felt::Felt;

use crate::account::{Account, GasPrices};
use crate::rpc::Rpc;
use crate::{CommandFuture, print};
pub use summary::Summary;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// STRK transfers to other accounts.
    Transfers,
    /// Calls that compute a Fibonacci number.
    Fibonacci,
    /// Calls that compute a factorial.
    Factorial,
    /// The three in turn.
    Mixed,
}

/// Options of `sidereal load`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadOptions {
    /// JSON-RPC endpoint of the chain.
    #[arg(long, default_value = "http://127.0.0.1:9545/rpc/v0_10")]
    pub rpc: String,
    /// Accounts to send from, as `sidereal dev` writes them.
    #[arg(long, default_value = "sidereal-data/accounts.json")]
    pub accounts: PathBuf,
    /// What to send.
    #[arg(long, value_enum, default_value = "transfers")]
    pub kind: Kind,
    /// Transactions a second, over all accounts.
    #[arg(long, default_value_t = 5.0)]
    pub rate: f64,
    /// How many transactions in all.
    #[arg(long, default_value_t = 100)]
    pub count: u64,
    /// Longest time to wait, after the last one was sent, until all are in closed blocks.
    #[arg(long, default_value_t = 120)]
    pub settle_s: u64,
    /// Folder with the compiled sample contracts (`fibonacci`, `factorial`).
    #[arg(long, env = "SIDEREAL_CONTRACTS")]
    pub contracts: Option<PathBuf>,
    /// No live line.
    #[arg(long)]
    pub quiet: bool,
}

/// Highest rate that is taken, in transactions a second.
const MAX_RATE: f64 = 5_000.0;
/// Most transactions in one run: what was sent is remembered until the end.
const MAX_COUNT: u64 = 1_000_000;

/// One line of the accounts file.
#[derive(Clone, Serialize, Deserialize)]
pub struct FundedAccount {
    pub address: ContractAddress,
    pub public_key: Felt,
    pub private_key: Felt,
}

/// The accounts file that `sidereal dev` writes.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccountsFile {
    pub chain_id: ChainId,
    pub accounts: Vec<FundedAccount>,
}

impl AccountsFile {
    /// Reads the file and makes the accounts ready to sign.
    pub fn read(path: &std::path::Path) -> anyhow::Result<Vec<Account>> {
        let bytes = std::fs::read(path).with_context(|| {
            format!("cannot read the accounts file {}; start `sidereal dev` first", path.display())
        })?;
        let file: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not an accounts file", path.display()))?;
        Ok(file
            .accounts
            .into_iter()
            .map(|account| {
                Account::new(account.address, account.private_key, file.chain_id.clone())
            })
            .collect())
    }
}

/// Runs the load and prints what became of it; fails unless every transaction succeeded exactly once.
pub fn command(options: LoadOptions) -> CommandFuture {
    Box::pin(async move {
        let summary = run(options).await?;
        print::line(&summary)?;
        anyhow::ensure!(summary.is_clean(), "not every transaction succeeded exactly once");
        Ok(())
    })
}

/// Runs the load and answers what became of it.
pub async fn run(options: LoadOptions) -> anyhow::Result<Summary> {
    if !(options.rate > 0.0 && options.rate <= MAX_RATE) {
        bail!("--rate must be above 0 and at most {MAX_RATE} transactions a second");
    }
    if options.count == 0 || options.count > MAX_COUNT {
        bail!("--count must be from 1 to {MAX_COUNT}");
    }
    let accounts = AccountsFile::read(&options.accounts)?;
    if accounts.is_empty() {
        bail!("{} holds no account", options.accounts.display());
    }
    let rpc = Rpc::new(options.rpc.clone());
    let prices = gas_prices(&rpc).await?;
    let targets = contracts::prepare(&rpc, &accounts[0], &options, prices).await?;
    let tracker = Arc::new(tracker::Tracker::new(options.count));
    let view = (!options.quiet).then(|| tracker.clone().show());
    let follower = tracker.clone().follow(rpc.clone());
    let work = async {
        sender::send_all(&rpc, &accounts, &targets, &options, prices, tracker.clone()).await?;
        follower.abort();
        tracker.settle(&rpc, Duration::from_secs(options.settle_s)).await
    };
    match view {
        None => work.await?,
        Some(mut view) => tokio::select! {
            done = work => {
                view.abort();
                done?;
            }
            // It ends by itself only when nobody reads it any more.
            ended = &mut view => {
                follower.abort();
                return Err(ended?.into());
            }
        },
    }
    Ok(tracker.summary())
}

/// The prices of the latest block.
pub async fn gas_prices(rpc: &Rpc) -> anyhow::Result<GasPrices> {
    #[derive(Deserialize)]
    struct Price {
        price_in_fri: Felt,
    }
    #[derive(Deserialize)]
    struct Block {
        l1_gas_price: Price,
        l1_data_gas_price: Price,
        l2_gas_price: Price,
    }
    let block: Block = rpc
        .call("starknet_getBlockWithTxHashes", json!({ "block_id": "latest" }))
        .await
        .context("cannot read the latest block's gas prices")?;
    let price = |name: &str, price: Price| {
        u128::try_from(price.price_in_fri)
            .map_err(|_| anyhow::anyhow!("the {name} price of the latest block exceeds 128 bits"))
    };
    Ok(GasPrices {
        l1_gas: price("L1 gas", block.l1_gas_price)?,
        l1_data_gas: price("L1 data gas", block.l1_data_gas_price)?,
        l2_gas: price("L2 gas", block.l2_gas_price)?,
    })
}
