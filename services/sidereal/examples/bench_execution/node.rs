//! A node under test: a process of its own that is sent transactions over JSON-RPC.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sidereal::account::{Account, GasPrices, Signed};
use sidereal::load::{AccountsFile, gas_prices};
use sidereal::rpc::Rpc;
use starknet_api::core::{ChainId, ContractAddress};
use starknet_types_core::felt::Felt;

use crate::Options;

const START_TIMEOUT: Duration = Duration::from_secs(180);
/// A round that takes longer has failed.
const ROUND_TIMEOUT: Duration = Duration::from_secs(600);
/// Transfers that fill a block of sidereal.
pub const BLOCK_TRANSFERS: usize = 64;
const SIDEREAL_PORT: u16 = 19_545;
const DEVNET_PORT: u16 = 19_645;

/// A node, its funded accounts, and what its gas costs. Dropping it ends the process.
pub struct Node {
    name: &'static str,
    process: Child,
    rpc: Rpc,
    http: reqwest::Client,
    pub chain_id: ChainId,
    pub accounts: Vec<Account>,
    pub prices: GasPrices,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    /// `sidereal dev` on its embedded stores, without a prover and without Ethereum.
    pub async fn sidereal(options: &Options, data: &Path) -> anyhow::Result<Self> {
        let folder = data.join("sidereal");
        let mut command = Command::new(&options.sidereal);
        command.args(["dev", "--workers", "0", "--no-l1", "--execution", &options.execution]);
        // As many transfers as the proof of a block holds. Without the limit the last block of a round would wait for one
        // more, and close by time, which is not what is measured.
        command.args(["--block-transactions", &BLOCK_TRANSFERS.to_string()]);
        command.args(["--block-time-ms", "500"]);
        command.args(["--accounts", &options.accounts.to_string()]);
        command.args(["--base-port", &SIDEREAL_PORT.to_string()]);
        command.arg("--data-dir").arg(&folder).args(&options.dev_options);
        let log = std::fs::File::create(data.join("sidereal.log"))?;
        let process = command.stdout(Stdio::null()).stderr(log).spawn();
        let process =
            process.with_context(|| format!("cannot start {}", options.sidereal.display()))?;
        let accounts = |_: Rpc| async move { AccountsFile::read(&folder.join("accounts.json")) };
        Self::started("sidereal", process, SIDEREAL_PORT, "/rpc/v0_10", accounts).await
    }

    /// `starknet-devnet` with its defaults.
    pub async fn devnet(program: &Path, options: &Options, data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &DEVNET_PORT.to_string(), "--seed", "0"]);
        command.args(["--accounts", &options.accounts.to_string()]);
        let log = std::fs::File::create(data.join("devnet.log"))?;
        let process = command.stdout(Stdio::null()).stderr(log).spawn();
        let process = process.with_context(|| format!("cannot start {}", program.display()))?;
        let accounts = |rpc: Rpc| async move {
            let chain_id = chain_id(&rpc).await?;
            let accounts: Vec<Value> = rpc.call("devnet_getPredeployedAccounts", json!({})).await?;
            let felt = |account: &Value, field: &str| -> anyhow::Result<Felt> {
                let text = account[field]
                    .as_str()
                    .with_context(|| format!("an account has no {field}"))?;
                Ok(Felt::from_hex(text)?)
            };
            let account = |account: &Value| {
                let address = ContractAddress::try_from(felt(account, "address")?)?;
                Ok(Account::new(address, felt(account, "private_key")?, chain_id.clone()))
            };
            accounts.iter().map(account).collect()
        };
        Self::started("starknet-devnet", process, DEVNET_PORT, "/rpc", accounts).await
    }

    async fn started<F, Fut>(
        name: &'static str,
        process: Child,
        port: u16,
        path: &str,
        accounts: F,
    ) -> anyhow::Result<Self>
    where
        F: FnOnce(Rpc) -> Fut,
        Fut: Future<Output = anyhow::Result<Vec<Account>>>,
    {
        println!("starting {name}");
        let rpc = Rpc::new(format!("http://127.0.0.1:{port}{path}"));
        let mut node = Self {
            name,
            process,
            rpc: rpc.clone(),
            http: reqwest::Client::new(),
            chain_id: ChainId::Mainnet,
            accounts: Vec::new(),
            prices: GasPrices { l1_gas: 0, l1_data_gas: 0, l2_gas: 0 },
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while rpc.call::<Value>("starknet_blockNumber", json!([])).await.is_err() {
            ensure!(Instant::now() < deadline, "{name} did not start in time");
            if let Some(status) = node.process.try_wait()? {
                bail!("{name} ended at its start: {status}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        node.chain_id = chain_id(&rpc).await?;
        node.prices = gas_prices(&rpc).await?;
        node.accounts = accounts(rpc).await?;
        Ok(node)
    }

    /// Sends the transactions, waits until all are in blocks, checks each receipt, and answers the rate in
    /// transactions a second, from the first request to the last block.
    pub async fn send(&self, transactions: &[Signed], connections: usize) -> anyhow::Result<f64> {
        let bodies: Vec<Vec<u8>> = transactions.iter().map(body).collect::<Result<_, _>>()?;
        let bodies = Arc::new(bodies);
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..connections {
            senders.spawn(sender(
                self.http.clone(),
                self.rpc.url().to_owned(),
                bodies.clone(),
                next.clone(),
            ));
        }
        while let Some(sent) = senders.join_next().await {
            sent?.with_context(|| format!("{} refuses a transfer", self.name))?;
        }
        let last = &transactions[transactions.len() - self.accounts.len()..];
        for signed in last {
            while !self.in_block(signed).await? {
                ensure!(
                    started.elapsed() < ROUND_TIMEOUT,
                    "{} did not take all transfers in time",
                    self.name
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let rate = transactions.len() as f64 / started.elapsed().as_secs_f64();
        for signed in transactions {
            ensure!(
                self.in_block(signed).await?,
                "a transfer is in no block: {:#x}",
                signed.hash.0
            );
        }
        Ok(rate)
    }

    /// Whether a closed block holds the transaction; an error if it did not succeed.
    async fn in_block(&self, signed: &Signed) -> anyhow::Result<bool> {
        let hash = json!({ "transaction_hash": signed.hash });
        let status: Value = self.rpc.call("starknet_getTransactionStatus", hash).await?;
        let finality = status["finality_status"].as_str().unwrap_or_default();
        if finality != "ACCEPTED_ON_L2" {
            ensure!(finality != "REJECTED", "a transfer was rejected: {status}");
            return Ok(false);
        }
        ensure!(status["execution_status"] == "SUCCEEDED", "a transfer did not succeed: {status}");
        Ok(true)
    }

    /// Waits until Cairo Native has compiled the classes that the warm-up used, in the background.
    pub async fn wait_for_native(&self) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

async fn chain_id(rpc: &Rpc) -> anyhow::Result<ChainId> {
    let hex: String = rpc.call("starknet_chainId", json!([])).await?;
    let bytes =
        hex::decode(hex.trim_start_matches("0x")).context("the chain id is not hexadecimal")?;
    Ok(ChainId::from(String::from_utf8(bytes).context("the chain id is not text")?))
}

fn body(signed: &Signed) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&json!({
        "jsonrpc": "2.0", "id": 1, "method": "starknet_addInvokeTransaction",
        "params": { "invoke_transaction": signed.transaction },
    }))?)
}

async fn sender(
    http: reqwest::Client,
    url: String,
    bodies: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = bodies.get(index) else { return Ok(()) };
        let request = http.post(&url).header("content-type", "application/json").body(body.clone());
        let answer: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
        ensure!(answer.get("error").is_none(), "{answer}");
    }
}
