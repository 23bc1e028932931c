//! The stack under test as one process: `sidereal dev`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::clients::{FundedAccount, ValidatingProxy, utf8};
use crate::installed;
use crate::poll::{Seen, until};
use crate::ports::free_ports;
use crate::process::{Process, signal};
use crate::rpc::Rpc;
use crate::stack::{ACCOUNTS, READY_LIMIT, SEED, funded_accounts};
use crate::workspace::Workspace;

/// What it prints when it is ready.
const RUNNING: &str = " is running (";

/// `sidereal dev`: all services in one process, and an Anvil beside it.
pub struct DevStack {
    process: Process,
    /// In front of the gateway: every request and response of the scenario passes it.
    pub proxy: ValidatingProxy,
    data: PathBuf,
    rpc: Rpc,
    endpoint: String,
    proofs: String,
}

impl DevStack {
    /// Starts it on free ports, with its data in the workspace, and waits until it runs. The contracts are deployed and
    /// a settler looks at them, but nothing is aggregated: that takes minutes.
    pub async fn start(workspace: &Workspace) -> anyhow::Result<Self> {
        Self::start_with(workspace, &["--block-time-ms", "1000", "--aggregate", "0"]).await
    }

    /// The same with these options, and what a dev chain does by itself.
    pub async fn start_with(workspace: &Workspace, options: &[&str]) -> anyhow::Result<Self> {
        // JSON-RPC first, the proof store's HTTP sixth, L1 ninth.
        let base = free_ports(9)?;
        let data = workspace.folder("data")?;
        let gateway = format!("http://127.0.0.1:{base}");
        let proxy = ValidatingProxy::start(&gateway, workspace.path()).await?;
        let endpoint = proxy.endpoint();
        let rpc = Rpc::new(&endpoint)?;
        let (base_port, accounts, seed) =
            (base.to_string(), ACCOUNTS.to_string(), SEED.to_string());
        let arguments = [
            &["dev", "--data-dir", utf8(&data)?, "--base-port", &base_port][..],
            &["--accounts", &accounts, "--seed", &seed, "--log", "info"],
            options,
        ]
        .concat();
        let mut process =
            Process::new("dev", &installed::sidereal()?, &arguments, workspace.path());
        process.start()?;
        let mut stack = Self {
            process,
            proxy,
            data,
            rpc,
            endpoint,
            proofs: format!("http://127.0.0.1:{}", base + 5),
        };
        stack.wait_until_ready().await?;
        Ok(stack)
    }

    /// Ends it and starts it again over the same data.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.end().await?;
        self.process.start()?;
        self.wait_until_ready().await
    }

    /// SIGTERM, and waits until it and its Anvil have ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.end().await
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        let status = self.process.stop(Duration::from_secs(60)).await?;
        anyhow::ensure!(
            status.success(),
            "sidereal dev ended with {status}:\n{}",
            self.process.tail()
        );
        anyhow::ensure!(!self.anvil_id().exists(), "sidereal dev has left its Anvil behind");
        Ok(())
    }

    /// Where it keeps the process id of its Anvil.
    fn anvil_id(&self) -> PathBuf {
        self.data.join("l1/anvil.pid")
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let (process, rpc) = (&mut self.process, &self.rpc);
        until("sidereal dev running", READY_LIMIT, || {
            let output = process.check_running().and_then(|()| process.output());
            async move {
                let output = output?;
                // Since its last start. It says so once L1 answers, too.
                let said = output.rsplit("--- dev starts").next().unwrap_or_default();
                if !said.contains(RUNNING) {
                    return anyhow::Ok(Seen::NotYet("not a word of it"));
                }
                rpc.block_number().await?;
                anyhow::Ok(Seen::Done(()))
            }
        })
        .await
        .with_context(|| format!("the end of its log:\n{}", process.tail()))
    }

    /// The JSON-RPC endpoint: the proxy's.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A client for this test itself.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// The file with the keys of its accounts, for the operator's commands.
    pub fn accounts_file(&self) -> PathBuf {
        self.data.join("accounts.json")
    }

    /// The file that says where the contracts on its L1 are.
    pub fn record(&self) -> PathBuf {
        self.data.join("l1.json")
    }

    /// Where the proof store serves HTTP.
    pub fn proof_store(&self) -> &str {
        &self.proofs
    }

    /// The funded accounts.
    pub async fn accounts(&self) -> anyhow::Result<Vec<FundedAccount>> {
        funded_accounts(&self.rpc, SEED, ACCOUNTS).await
    }
}

impl Drop for DevStack {
    fn drop(&mut self) {
        // Its Anvil has a process group of its own, and outlives a chain that is killed. Nobody is left to hear of an error.
        if let Ok(id) = std::fs::read_to_string(self.anvil_id()) {
            let _ = signal("KILL", id.trim());
        }
    }
}
