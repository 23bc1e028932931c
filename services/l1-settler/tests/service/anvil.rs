//! A real Anvil of a test's own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, U64};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use anyhow::Context as _;

/// Keys of Anvil's own accounts, which have money on every one of them.
pub const KEYS: [&str; 3] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];
const START_LIMIT: Duration = Duration::from_secs(30);

/// The process. Dropping it kills it.
pub struct Anvil {
    child: Child,
    pub url: String,
    client: RpcClient,
}

impl Anvil {
    /// Starts one that makes a block of each transaction, by the rules of the present fork.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&["--enable-tx-gas-limit"]).await
    }

    /// Starts one with these arguments.
    pub async fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        let port = free_port()?;
        let cache = match std::env::var_os("SIDEREAL_CACHE") {
            Some(cache) => std::path::PathBuf::from(cache),
            None => std::path::Path::new(&std::env::var_os("HOME").context("HOME is not set")?)
                .join(".cache/sidereal"),
        };
        let installed = cache.join("bin/anvil");
        let program = if installed.exists() { installed } else { "anvil".into() };
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--silent"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting anvil; scripts/setup installs it")?;
        let url = format!("http://127.0.0.1:{port}");
        let anvil = Self { child, client: RpcClient::new_http(url.parse()?), url };
        let started = Instant::now();
        while anvil.ask::<_, U64>("eth_chainId", ()).await.is_err() {
            anyhow::ensure!(started.elapsed() < START_LIMIT, "anvil does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(anvil)
    }

    /// Calls a method.
    pub async fn ask<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> anyhow::Result<R> {
        self.client.request(method, params).await.with_context(|| format!("calling {method}"))
    }

    /// Makes blocks.
    pub async fn mine(&self, blocks: u64) -> anyhow::Result<()> {
        self.ask::<_, ()>("anvil_mine", (U64::from(blocks),)).await
    }

    /// Whether a transaction makes a block at once.
    pub async fn automine(&self, on: bool) -> anyhow::Result<()> {
        self.ask::<_, ()>("evm_setAutomine", (on,)).await
    }

    /// Takes back the last blocks and makes as many empty ones in their place.
    pub async fn reorg(&self, depth: u64) -> anyhow::Result<()> {
        let nothing: [(); 0] = [];
        self.ask::<_, ()>("anvil_reorg", (depth, nothing)).await
    }

    /// Transactions of an account in blocks, and with those in the pool.
    pub async fn nonces(&self, account: Address) -> anyhow::Result<(u64, u64)> {
        let mined: U64 = self.ask("eth_getTransactionCount", (account, "latest")).await?;
        let pending: U64 = self.ask("eth_getTransactionCount", (account, "pending")).await?;
        Ok((mined.to(), pending.to()))
    }

    /// The blobs of a transaction that is in a block.
    pub async fn blobs(&self, transaction: B256) -> anyhow::Result<Vec<Bytes>> {
        let blobs: Option<Vec<Bytes>> =
            self.ask("anvil_getBlobsByTransactionHash", (transaction,)).await?;
        blobs.context("anvil has no such transaction with blobs")
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
