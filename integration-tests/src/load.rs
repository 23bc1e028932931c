//! Transfers that go on through failures, and what must hold of them afterwards; and the load of the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::clients::{FundedAccount, utf8};
use crate::installed;
use crate::poll::{Seen, until};
use crate::process::Process;
use crate::rpc::Rpc;
use crate::workspace::Workspace;

/// How long the stack may take to execute what it has acknowledged, after the last failure.
const SETTLE_LIMIT: Duration = Duration::from_secs(180);
/// Declaring and deploying two contracts first, on a machine that proves at the same time.
const COMMAND_LIMIT: Duration = Duration::from_secs(420);

/// A transfer that the chain has taken.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Missing when the answer was lost and a second try found the chain to have the transaction.
    pub hash: Option<String>,
    /// Gets 1, from this transfer alone.
    pub recipient: String,
}

/// A running load.
pub struct Load {
    process: Process,
    output: PathBuf,
    stop: PathBuf,
}

impl Load {
    /// Each account sends a transfer every `interval`, one after the other.
    pub fn start(
        endpoint: &str,
        accounts: &[FundedAccount],
        interval: Duration,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let script = installed::own("js/load.mjs")?;
        let output = folder.join("load.jsonl");
        let stop = folder.join("load.stop");
        let accounts: Vec<Value> = accounts
            .iter()
            .map(|account| json!({ "address": account.address, "key": account.key }))
            .collect();
        let mut process = Process::new("load", &installed::node()?, &[utf8(&script)?], folder)
            .env("SIDEREAL_RPC", endpoint)
            .env("SIDEREAL_ACCOUNTS", Value::from(accounts).to_string())
            .env("SIDEREAL_OUTPUT", utf8(&output)?)
            .env("SIDEREAL_STOP", utf8(&stop)?)
            .env("SIDEREAL_INTERVAL_MS", interval.as_millis().to_string());
        process.start()?;
        Ok(Self { process, output, stop })
    }

    /// What has been taken so far.
    pub fn sent(&self) -> anyhow::Result<Vec<Sent>> {
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        text.lines()
            .map(|line| {
                let value: Value =
                    serde_json::from_str(line).context("reading the load's output")?;
                let recipient =
                    value["recipient"].as_str().context("a transfer without recipient")?;
                Ok(Sent {
                    hash: value["hash"].as_str().map(str::to_owned),
                    recipient: recipient.to_owned(),
                })
            })
            .collect()
    }

    /// Waits until `more` further transfers have been taken.
    pub async fn go_on(&mut self, more: usize, limit: Duration) -> anyhow::Result<()> {
        let goal = self.sent()?.len() + more;
        until(&format!("{goal} transfers taken"), limit, || {
            let seen = self.process.check_running().and_then(|()| self.sent()).map(|sent| {
                if sent.len() >= goal { Seen::Done(()) } else { Seen::NotYet(sent.len()) }
            });
            async move { seen }
        })
        .await
    }

    /// Ends the load and returns all that was taken.
    pub async fn stop(mut self) -> anyhow::Result<Vec<Sent>> {
        std::fs::write(&self.stop, "").context("telling the load to stop")?;
        self.process.finish(SETTLE_LIMIT).await?;
        self.sent()
    }
}

/// Waits until every transfer is in a closed block, and fails unless each was executed exactly once: its hash is in
/// exactly one block, its receipt says that it succeeded, and its recipient has exactly 1.
pub async fn executed_exactly_once(rpc: &Rpc, sent: &[Sent]) -> anyhow::Result<u64> {
    anyhow::ensure!(!sent.is_empty(), "nothing was sent, so nothing was tested");
    for transfer in sent {
        until(&format!("{transfer:?} executed"), SETTLE_LIMIT, || async {
            let balance = rpc.balance(&transfer.recipient).await?;
            anyhow::Ok(if balance > 0 { Seen::Done(()) } else { Seen::NotYet(balance) })
        })
        .await?;
    }
    let newest = rpc.block_number().await?;
    let mut blocks_of: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for block in 0..=newest {
        for hash in rpc.transactions_of(block).await? {
            blocks_of.entry(hash).or_default().push(block);
        }
    }
    for (hash, blocks) in &blocks_of {
        anyhow::ensure!(blocks.len() == 1, "transaction {hash} is in blocks {blocks:?}");
    }
    for transfer in sent {
        let balance = rpc.balance(&transfer.recipient).await?;
        anyhow::ensure!(balance == 1, "{transfer:?} moved {balance}");
        if let Some(hash) = &transfer.hash {
            anyhow::ensure!(blocks_of.contains_key(hash), "{transfer:?} is in no block");
            let receipt = rpc.call("starknet_getTransactionReceipt", json!([hash])).await?;
            anyhow::ensure!(
                receipt["execution_status"] == "SUCCEEDED",
                "{transfer:?} has the receipt {receipt}"
            );
        }
    }
    Ok(newest)
}

/// Runs `sidereal load` with calls of every kind to its end. Fails unless it ended well, and its summary says that all
/// were sent and executed, and none was refused, reverted or lost.
pub async fn load_command(
    endpoint: &str,
    accounts: &Path,
    count: u64,
    workspace: &Workspace,
) -> anyhow::Result<()> {
    let contracts = installed::contracts()?;
    let of_all = count.to_string();
    let arguments = [
        "load",
        "--rpc",
        endpoint,
        "--accounts",
        utf8(accounts)?,
        "--contracts",
        utf8(&contracts)?,
        "--kind",
        "mixed",
        "--count",
        &of_all,
        "--quiet",
    ];
    let sidereal = installed::sidereal()?;
    let mut process = Process::new("load-command", &sidereal, &arguments, workspace.path());
    process.start()?;
    process.finish(COMMAND_LIMIT).await?;
    let output = process.output()?;
    let said = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).with_context(|| format!("no summary with {name:?} in:\n{output}"))
    };
    let (sent, executed, missing) = (said("sent ")?, said("executed ")?, said("missing ")?);
    let all_sent = sent == format!("{count} of {count} (0 refused)");
    let all_executed =
        executed.starts_with(&format!("{count} in ")) && executed.ends_with("(0 reverted)");
    anyhow::ensure!(all_sent && all_executed && missing == "0", "{output}");
    Ok(())
}
