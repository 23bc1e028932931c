//! L1 of a dev chain: an Anvil of its own, or a chain that is there.
//!
//! ```text
//!   Anvil (child process) or --l1 URL ──> contracts there, by <data>/l1.json? ──no──> deploy them, write l1.json
//!                                                     └──────────yes───────────────────────┴──> settler
//! ```
//!
//! Anvil writes its chain to the data folder every few seconds and when it ends, so a second start goes on with it. What
//! was lost with a machine that was switched off is like any reorganisation of L1: it is deployed or settled again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use alloy::primitives::U64;
use alloy::rpc::client::RpcClient;
use anyhow::{Context as _, bail};
use sidereal_l1_settler::{
    Account, Deployer, DeploymentRecord, L1, L1SettlerConfig, SettlementConfig,
};
use sidereal_service::admin::AdminConfig;
use sidereal_service::grpc::{ConnectConfig, ListenConfig};
use sidereal_service::{Secret, Shutdown, error_chain};
use sidereal_settlement::deployment::Roles;
use tokio::process::{Child, Command};

use super::topology::Ports;
use super::{DevOptions, L1Choice};
use crate::deploy_l1::{Rollup, deploy, private_key};
use crate::print;
use crate::rpc::Rpc;

/// The first of the accounts that every Anvil has funded. Public: for development only.
const ANVIL_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ANVIL_CHAIN_ID: u64 = 31_337;
/// Time between two blocks of Anvil without a transaction; one with a transaction is made at once.
const ANVIL_BLOCK_TIME_S: u64 = 12;
/// Time between two writes of its chain.
const ANVIL_STATE_INTERVAL_S: u64 = 20;
/// Blocks on top of an update after which it counts, on Anvil.
const ANVIL_DEPTH_BLOCKS: u64 = 2;
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const L1_TIMEOUT: Duration = Duration::from_secs(60);
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(600);
/// Anybody may settle after so long without the operator: long, because a chain without transactions is silent, too.
const OPERATOR_SILENCE_S: u64 = 7 * 86_400;
const UPGRADE_DELAY_S: u64 = 14 * 86_400;

/// Where it is written down what was deployed.
pub fn record_file(data: &Path) -> PathBuf {
    data.join("l1.json")
}

/// L1 with the contracts.
pub struct DevL1 {
    pub url: Secret<String>,
    pub record: DeploymentRecord,
    key: Secret<String>,
    depth_blocks: u64,
    /// Ours to be ended.
    anvil: Option<Anvil>,
}

impl DevL1 {
    /// Starts Anvil, unless another chain is named, and deploys the contracts, unless they are there. The rollup must
    /// answer already. None when there is to be no L1.
    pub async fn start(options: &DevOptions, ports: Ports) -> anyhow::Result<Option<Self>> {
        let (url, key, depth_blocks, mut anvil) = match options.l1_choice() {
            L1Choice::None => return Ok(None),
            L1Choice::Url(url) => (url.clone(), private_key(None)?, options.l1_depth, None),
            L1Choice::Anvil => {
                let anvil = Anvil::start(ports.l1(), &options.data_dir).await?;
                let url = Secret::new(format!("http://127.0.0.1:{}", ports.l1()));
                (url, Secret::new(ANVIL_KEY.to_owned()), ANVIL_DEPTH_BLOCKS, Some(anvil))
            }
        };
        let public = anvil.is_some().then(|| url.expose().clone());
        match contracts(&url, &key, options, ports, public).await {
            Ok(record) => Ok(Some(Self { url, record, key, depth_blocks, anvil })),
            Err(error) => {
                if let Some(anvil) = anvil.take() {
                    anvil.stop().await;
                }
                Err(error)
            }
        }
    }

    /// The settler's configuration.
    pub fn settler(&self, options: &DevOptions, ports: Ports) -> L1SettlerConfig {
        let mut config = L1SettlerConfig {
            admin: AdminConfig::off(),
            grpc: ListenConfig::on(ports.settler()),
            proof_store: ConnectConfig::to(ports.proofs()),
            ..Default::default()
        };
        config.l1.url = self.url.clone();
        config.l1.rollup_core = self.record.rollup_core.to_string();
        config.l1.depth_blocks = self.depth_blocks;
        config.account.private_key = self.key.clone();
        config.database.url =
            format!("sqlite://{}", options.data_dir.join("l1-settler.db").display());
        config.settlement.poll_ms = 1_000;
        config
    }

    /// Ends Anvil, which writes its chain.
    pub async fn stop(self) {
        if let Some(anvil) = self.anvil {
            anvil.stop().await;
        }
    }
}

/// Where the contracts are: those of an earlier run, or new ones.
async fn contracts(
    url: &Secret<String>,
    key: &Secret<String>,
    options: &DevOptions,
    ports: Ports,
    public_url: Option<String>,
) -> anyhow::Result<DeploymentRecord> {
    let l1 = L1::new(url, L1_TIMEOUT)?;
    let rollup = Rollup::read(&Rpc::new(ports.rpc_url())).await?;
    match deployed(&l1, &rollup, options).await? {
        Some(record) => Ok(record),
        None => deploy_contracts(&l1, key, &rollup, options, public_url).await,
    }
}

/// The contracts of an earlier run, if they are still there.
async fn deployed(
    l1: &L1,
    rollup: &Rollup,
    options: &DevOptions,
) -> anyhow::Result<Option<DeploymentRecord>> {
    let path = record_file(&options.data_dir);
    let Some(record) = DeploymentRecord::read(&path)? else { return Ok(None) };
    let chain_id = l1.chain_id().await?;
    if record.chain_id != options.chain_id || record.l1_chain_id != chain_id {
        bail!(
            "{} is about chain {} on L1 {}, and this is chain {} on L1 {chain_id}; take another --data-dir",
            path.display(),
            record.chain_id,
            record.l1_chain_id,
            options.chain_id
        );
    }
    let head = l1.head().await?;
    if !l1.has_code(record.rollup_core, head.hash).await? {
        return Ok(None);
    }
    // Every Anvil gives the same addresses: it may be another chain's contract.
    if !rollup.begins_like(&l1.genesis(record.rollup_core, record.l1_block).await?) {
        bail!(
            "the contract at {} began with another block 0 than this chain; remove {}, or take another --data-dir",
            record.rollup_core,
            path.display()
        );
    }
    Ok(Some(record))
}

async fn deploy_contracts(
    l1: &L1,
    key: &Secret<String>,
    rollup: &Rollup,
    options: &DevOptions,
    public_url: Option<String>,
) -> anyhow::Result<DeploymentRecord> {
    print::line("deploying the contracts on L1 ...")?;
    let account = Account::new(key)?;
    let deployer = Deployer {
        l1,
        account: &account,
        bounds: SettlementConfig::default().bounds(),
        timeout: DEPLOY_TIMEOUT,
    };
    let roles = Roles {
        operator: account.address(),
        operator_silence_s: OPERATOR_SILENCE_S,
        governance: account.address(),
        upgrade_delay_s: UPGRADE_DELAY_S,
    };
    let record = deploy(&deployer, rollup, roles, None).await?;
    // Anvil answers as a beacon node, too.
    let record = DeploymentRecord { l1_url: public_url.clone(), beacon_url: public_url, ..record };
    record.write(&record_file(&options.data_dir))?;
    Ok(record)
}

/// The process, in a group of its own: a signal from the terminal is for us, and it ends after the settler.
struct Anvil {
    id: u32,
    /// Where the id is kept while it runs.
    id_file: PathBuf,
    /// None when an earlier run has left it behind.
    child: Option<Child>,
}

impl Anvil {
    async fn start(port: u16, data: &Path) -> anyhow::Result<Self> {
        let folder = data.join("l1");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let id_file = folder.join("anvil.pid");
        if let Some(chain_id) = chain_id(port).await {
            let id = std::fs::read_to_string(&id_file).ok().and_then(|id| id.trim().parse().ok());
            return match id {
                Some(id) if chain_id == ANVIL_CHAIN_ID && is_anvil_over(id, &folder) => {
                    Ok(Self { id, id_file, child: None })
                }
                _ => bail!(
                    "something else answers on port {port}, which Anvil was to have; take another --base-port"
                ),
            };
        }
        let program = crate::artifacts::anvil()?;
        let folder = std::path::absolute(&folder)
            .with_context(|| format!("cannot find {}", folder.display()))?;
        let child = Command::new(&program)
            .args(["--host", "127.0.0.1", "--silent", "--enable-tx-gas-limit", "--mixed-mining"])
            .args(["--port", &port.to_string()])
            .args(["--block-time", &ANVIL_BLOCK_TIME_S.to_string()])
            .args(["--state-interval", &ANVIL_STATE_INTERVAL_S.to_string()])
            .arg("--state")
            .arg(folder.join("anvil.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            // One that nobody will stop any more: the start was interrupted.
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("cannot start {}; scripts/setup installs it", program.display())
            })?;
        let id = child.id().context("anvil ended at once")?;
        std::fs::write(&id_file, id.to_string())
            .with_context(|| format!("cannot write {}", id_file.display()))?;
        let mut anvil = Self { id, id_file, child: Some(child) };
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        while chain_id(port).await.is_none() {
            if let Some(status) = anvil.ended() {
                bail!("anvil ended with {status}; is port {port} taken?");
            }
            if tokio::time::Instant::now() > deadline {
                anvil.stop().await;
                bail!("anvil does not answer on port {port}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A chain that was read from its file has the state of its last block alone, and the settler asks for one so
        // deep.
        let mined: Result<(), _> =
            node(port)?.request("anvil_mine", (U64::from(ANVIL_DEPTH_BLOCKS),)).await;
        if let Err(error) = mined {
            anvil.stop().await;
            return Err(error).context("anvil does not make blocks");
        }
        Ok(anvil)
    }

    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    async fn stop(mut self) {
        // It writes its chain when it is asked to end.
        let asked = Command::new("kill").args(["-TERM", &self.id.to_string()]).status().await;
        if let Err(error) = asked {
            tracing::warn!(error = %error_chain(&error), "anvil was not asked to end");
        }
        if let Some(child) = &mut self.child
            && tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err()
        {
            tracing::warn!("anvil does not end, and is killed");
            // It may just have ended.
            let _ = child.kill().await;
        }
        // The number may be another process's next.
        let _ = std::fs::remove_file(&self.id_file);
    }
}

/// Whether that process is an Anvil whose chain is in the folder: one that a killed run has left behind.
fn is_anvil_over(id: u32, folder: &Path) -> bool {
    let Ok(folder) = std::path::absolute(folder) else { return false };
    let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let state = folder.join("anvil.json");
    command
        .split(|byte| *byte == 0)
        .any(|argument| argument == state.as_os_str().as_encoded_bytes())
}

/// What a node on this port of loopback says its chain is, if one answers.
async fn chain_id(port: u16) -> Option<u64> {
    let id: U64 = node(port).ok()?.request("eth_chainId", ()).await.ok()?;
    Some(id.to())
}

fn node(port: u16) -> anyhow::Result<RpcClient> {
    Ok(RpcClient::new_http(format!("http://127.0.0.1:{port}").parse()?))
}

/// Ends the chain when its L1 has ended.
pub async fn watch(l1: &mut DevL1, shutdown: &Shutdown) {
    let Some(child) = l1.anvil.as_mut().and_then(|anvil| anvil.child.as_mut()) else {
        return shutdown.triggered().await;
    };
    tokio::select! {
        () = shutdown.triggered() => {}
        status = child.wait() => {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            eprintln!("anvil ended by itself: {status}");
            shutdown.trigger();
        }
    }
}
