//! L1 under test: a real Anvil with the contracts of a running stack, and settlers as processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::clients::utf8;
use crate::installed;
use crate::poll::{Seen, until};
use crate::ports::free_port;
use crate::process::Process;
use crate::rpc::Rpc;
use crate::stack::SeparateStack;
use crate::workspace::Workspace;

/// Someone with money on L1.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// Address, in lower case.
    pub address: &'static str,
    key: &'static str,
}

/// Two of the accounts that every Anvil has.
pub const OPERATOR: Actor = Actor {
    address: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    key: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
};
/// Holds no role.
pub const OUTSIDER: Actor = Actor {
    address: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    key: "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
};

/// Seconds after which an outsider may settle.
pub const OPERATOR_SILENCE_S: u64 = 3_600;
/// Blocks of L1 on top of an update after which it counts.
pub const DEPTH_BLOCKS: u64 = 2;

/// How long a settler that was killed stays leader.
pub const LEASE_MS: u64 = 5_000;

const READY_LIMIT: Duration = Duration::from_secs(60);
/// Selector of `stateBlockNumber()`.
const STATE_BLOCK_NUMBER: &str = "0x35befa5d";
/// Topic of `StateUpdated`.
const STATE_UPDATED: &str = "0xc30c600341933352d7c8af4a1cdf99827b31218bcab1025e9d49579963b005c5";

/// Anvil, with the contracts.
pub struct L1 {
    process: Process,
    rpc: Rpc,
    url: String,
    record: PathBuf,
    rollup_core: String,
}

impl L1 {
    /// Starts Anvil and deploys by the operator's command, which asks the stack for its genesis.
    pub async fn start(stack: &SeparateStack, workspace: &Workspace) -> anyhow::Result<Self> {
        let port = free_port()?;
        let anvil = installed::anvil()?;
        let arguments = ["--silent", "--enable-tx-gas-limit", "--port", &port.to_string()];
        let mut process = Process::new("anvil", &anvil, &arguments, workspace.path());
        process.start()?;
        let url = format!("http://127.0.0.1:{port}");
        let rpc = Rpc::new(&url)?;
        until("anvil answering", READY_LIMIT, || async {
            let chain_id = rpc.call("eth_chainId", json!([])).await?;
            anyhow::Ok(Seen::<Value, ()>::Done(chain_id))
        })
        .await?;

        let record = workspace.path().join("l1.json");
        let silence = OPERATOR_SILENCE_S.to_string();
        let arguments = [
            "deploy-l1",
            "--rpc",
            stack.endpoint(),
            "--l1-url",
            &url,
            "--operator-silence-s",
            &silence,
            "--record",
            utf8(&record)?,
        ];
        let sidereal = installed::sidereal()?;
        let mut deployment = Process::new("deploy-l1", &sidereal, &arguments, workspace.path())
            .env("SIDEREAL_ACCOUNT_PRIVATE_KEY", OPERATOR.key);
        deployment.start()?;
        deployment.finish(READY_LIMIT).await?;
        let written: Value = serde_json::from_slice(&std::fs::read(&record)?)?;
        let rollup_core =
            written["rollup_core"].as_str().context("a record without rollup_core")?.to_owned();
        Ok(Self { process, rpc, url, record, rollup_core })
    }

    /// The file that says where the contracts are.
    pub fn record(&self) -> &Path {
        &self.record
    }

    /// JSON-RPC, and the Beacon API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A method of Anvil's own.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.rpc.call(method, params).await
    }

    /// Makes blocks.
    pub async fn mine(&self, blocks: u64) -> anyhow::Result<()> {
        self.call("anvil_mine", json!([blocks])).await.map(|_| ())
    }

    /// The block that the contract holds.
    pub async fn settled_block(&self) -> anyhow::Result<u64> {
        let request = json!({ "to": self.rollup_core, "data": STATE_BLOCK_NUMBER });
        let answer = self.call("eth_call", json!([request, "latest"])).await?;
        let word = answer.as_str().context("eth_call answered no text")?;
        u64::from_str_radix(word.trim_start_matches("0x"), 16).context("reading a block number")
    }

    /// Waits until the contract holds that block, and its event is there: Anvil shows the state of a block that it is
    /// still making, but not its events.
    pub async fn settles(&mut self, block: u64, limit: Duration) -> anyhow::Result<()> {
        self.process.check_running()?;
        until(&format!("block {block} settled on L1"), limit, || async {
            let held = self.settled_block().await?;
            let told = self.updates().await?.last().map_or(0, |(settled, _)| *settled);
            let done = held >= block && told >= block;
            anyhow::Ok(if done { Seen::Done(()) } else { Seen::NotYet((held, told)) })
        })
        .await
    }

    /// Who has sent each update, in order; addresses in lower case.
    pub async fn updates_by(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.updates().await?.into_iter().map(|(_, sender)| sender).collect())
    }

    /// The last block of each update, and its sender.
    async fn updates(&self) -> anyhow::Result<Vec<(u64, String)>> {
        let filter = json!({
            "address": self.rollup_core,
            "topics": [STATE_UPDATED],
            "fromBlock": "0x0",
            "toBlock": "latest",
        });
        let logs = self.call("eth_getLogs", json!([filter])).await?;
        logs.as_array()
            .context("eth_getLogs answered no list")?
            .iter()
            .map(|log| {
                let topic = |index: usize| {
                    let word = log["topics"][index].as_str();
                    word.and_then(|word| word.get(26..)).context("an update without its topics")
                };
                let block = u64::from_str_radix(topic(2)?, 16).context("reading a topic")?;
                Ok((block, format!("0x{}", topic(3)?)))
            })
            .collect()
    }

    /// Transactions of the actor in blocks, and with those in the pool.
    pub async fn nonces(&self, actor: Actor) -> anyhow::Result<(u64, u64)> {
        let mut nonces = [0; 2];
        for (nonce, tag) in nonces.iter_mut().zip(["latest", "pending"]) {
            let answer = self.call("eth_getTransactionCount", json!([actor.address, tag])).await?;
            let digits = answer.as_str().unwrap_or_default().trim_start_matches("0x");
            *nonce = u64::from_str_radix(digits, 16)?;
        }
        Ok(nonces.into())
    }

    /// Hashes of the actor's transactions in the pool.
    pub async fn pending(&self, actor: Actor) -> anyhow::Result<Vec<String>> {
        let pool = self.call("txpool_content", json!([])).await?;
        let senders = pool["pending"].as_object().context("a pool without transactions")?;
        let own = senders.iter().find(|(sender, _)| sender.eq_ignore_ascii_case(actor.address));
        let own = own.and_then(|(_, transactions)| transactions.as_object());
        let hashes = own.into_iter().flat_map(|transactions| transactions.values());
        Ok(hashes.filter_map(|found| found["hash"].as_str().map(str::to_owned)).collect())
    }

    /// A settler of the actor's, over the proofs of the stack, described; the operator's is the one that the sequencer
    /// asks.
    pub fn settler(
        &self,
        actor: Actor,
        stack: &SeparateStack,
        workspace: &Workspace,
    ) -> anyhow::Result<Process> {
        let name = format!("settler-{}", &actor.address[2..8]);
        let folder = workspace.folder("settlers")?;
        // An outsider reads what everybody can.
        let (grpc, proofs) = if actor.address == OPERATOR.address {
            let proofs =
                format!("[proof_store]\nurl = \"http://127.0.0.1:{}\"\n", stack.proof_store_grpc());
            (stack.settler_port(), proofs)
        } else {
            (free_port()?, format!("[public_proofs]\nurl = \"{}\"\n", stack.proof_store()))
        };
        let sections = [
            format!("[admin]\nlisten = \"127.0.0.1:{}\"\n", free_port()?),
            format!("[grpc]\nlisten = \"127.0.0.1:{grpc}\"\n"),
            proofs,
            format!(
                "[l1]\nurl = \"{}\"\nrollup_core = \"{}\"\ndepth_blocks = {DEPTH_BLOCKS}\n",
                self.url, self.rollup_core
            ),
            format!(
                "[database]\nurl = \"sqlite://{}\"\n",
                folder.join(format!("{name}.db")).display()
            ),
            format!("[settlement]\npoll_ms = 200\nlease_ms = {LEASE_MS}\n"),
        ];
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, sections.join("\n"))
            .with_context(|| format!("writing {}", file.display()))?;
        let arguments = ["l1-settler", "--config", utf8(&file)?];
        let process = Process::new(&name, &installed::sidereal()?, &arguments, &folder)
            .env("SIDEREAL_ACCOUNT_PRIVATE_KEY", actor.key);
        Ok(process)
    }
}
