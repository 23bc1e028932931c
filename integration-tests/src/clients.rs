//! The client libraries, and the proxy that validates what they and everybody else of a scenario send and get.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::installed;
use crate::poll::{Seen, until};
use crate::process::Process;

/// A client waits for some twenty blocks.
const CLIENT_LIMIT: Duration = Duration::from_secs(600);

/// An account that has STRK.
#[derive(Clone, Debug)]
pub struct FundedAccount {
    /// As `0x…`.
    pub address: String,
    /// The private key, as `0x…`.
    pub key: String,
}

/// What stands between clients and gateway.
pub struct ValidatingProxy {
    process: Process,
    url: String,
}

/// What passed, and what was wrong.
#[derive(Debug)]
pub struct Report {
    /// Methods that were called, with how many results and errors they answered.
    pub methods: serde_json::Map<String, Value>,
    /// Violations of the specification.
    pub problems: Vec<Value>,
}

impl ValidatingProxy {
    /// Starts a proxy in front of `target`.
    pub async fn start(target: &str, folder: &Path) -> anyhow::Result<Self> {
        let script = installed::own("js/validating-proxy.mjs")?;
        let specs = installed::own("specs/v0.10")?;
        let arguments = [utf8(&script)?, utf8(&specs)?, target];
        let mut process = Process::new("validating-proxy", &installed::node()?, &arguments, folder);
        process.start()?;
        let port =
            until("the proxy listening", Duration::from_secs(30), || {
                let seen = process.check_running().and_then(|()| process.output()).map(|output| {
                    match output.lines().find_map(|line| line.strip_prefix("listening on ")) {
                        Some(port) => Seen::Done(port.to_owned()),
                        None => Seen::NotYet(output),
                    }
                });
                async move { seen }
            })
            .await?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// The JSON-RPC endpoint for the clients.
    pub fn endpoint(&self) -> String {
        format!("{}/rpc/v0_10", self.url)
    }

    /// What has passed so far.
    pub async fn report(&mut self) -> anyhow::Result<Report> {
        self.process.check_running()?;
        let answer: Value = reqwest::get(format!("{}/report", self.url))
            .await
            .context("asking the proxy for its report")?
            .json()
            .await
            .context("reading the proxy's report")?;
        let methods = answer["methods"].as_object().cloned().context("a report without methods")?;
        let problems =
            answer["problems"].as_array().cloned().context("a report without problems")?;
        Ok(Report { methods, problems })
    }

    /// What has passed so far; fails if any of it is against the specification.
    pub async fn check(&mut self) -> anyhow::Result<Report> {
        let report = self.report().await?;
        anyhow::ensure!(!report.methods.is_empty(), "nothing passed, so nothing was validated");
        anyhow::ensure!(
            report.problems.is_empty(),
            "against the specification: {:#?}",
            report.problems
        );
        Ok(report)
    }
}

/// A driver: starknet.js or starknet.py.
#[derive(Clone, Copy, Debug)]
pub enum Client {
    /// `js/wallet.mjs`.
    StarknetJs,
    /// `py/wallet.py`.
    StarknetPy,
    /// `js/bad-input.mjs`.
    BadInput,
}

impl Client {
    /// Runs the driver to its end. Returns the hashes of its transactions, all of them accepted on L2.
    pub async fn run(
        self,
        endpoint: &str,
        account: &FundedAccount,
        folder: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let (name, program, script) = match self {
            Client::StarknetJs => ("starknet-js", installed::node()?, "js/wallet.mjs"),
            Client::StarknetPy => ("starknet-py", installed::python()?, "py/wallet.py"),
            Client::BadInput => ("bad-input", installed::node()?, "js/bad-input.mjs"),
        };
        let script = installed::own(script)?;
        let output = folder.join(format!("{name}.json"));
        let mut process = Process::new(name, &program, &[utf8(&script)?], folder)
            .env("SIDEREAL_RPC", endpoint)
            .env("SIDEREAL_ACCOUNT", &account.address)
            .env("SIDEREAL_KEY", &account.key)
            .env("SIDEREAL_CONTRACTS", utf8(&installed::contracts()?)?)
            .env("SIDEREAL_OUTPUT", utf8(&output)?)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        process.start()?;
        process.finish(CLIENT_LIMIT).await?;
        let written = std::fs::read_to_string(&output)
            .with_context(|| format!("reading {}", output.display()))?;
        let value: Value = serde_json::from_str(&written)
            .with_context(|| format!("reading {}", output.display()))?;
        let hashes =
            value["transactions"].as_array().context("a driver's output without transactions")?;
        let hashes: Vec<String> =
            hashes.iter().filter_map(|hash| hash.as_str().map(str::to_owned)).collect();
        anyhow::ensure!(!hashes.is_empty(), "{name} sent no transaction");
        Ok(hashes)
    }
}

/// A path as an argument.
pub(crate) fn utf8(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Runs the tests that the JavaScript folder has of its own.
pub async fn run_node_tests(script: &str, folder: &Path) -> anyhow::Result<()> {
    let script: PathBuf = installed::own(script)?;
    let mut process =
        Process::new("node-tests", &installed::node()?, &["--test", utf8(&script)?], folder);
    process.start()?;
    process.finish(Duration::from_secs(120)).await
}
