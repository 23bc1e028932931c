//! `sidereal dev`: the whole chain in one process.
//!
//! It starts the same `run` functions that production starts one a container, with the embedded bus, SQLite
//! and the file system; they speak gRPC over loopback here, too. What it adds is what people look at.

mod l1;
mod topology;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use sidereal_execution::genesis::{account_address, dev_keys};
use sidereal_l1_settler::L1SettlerConfig;
use sidereal_service::telemetry::{self, TelemetryConfig};
use sidereal_service::{EXIT_SOFTWARE, Secret, ServiceFuture, Shutdown, error_chain};
use starknet_api::core::ChainId;
use tokio::sync::mpsc;

use self::l1::DevL1;
use self::topology::{Ports, Topology, accounts_file};
use crate::l1::secret;
use crate::load::{AccountsFile, FundedAccount, Kind, LoadOptions};
use crate::print::{self, OutputError};
use crate::rpc::Rpc;

/// How long the services may take until JSON-RPC answers. A first start compiles the genesis classes.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// Blocks that are aggregated into one proof, at the most, where it is settled.
const DEFAULT_AGGREGATED_BLOCKS: u64 = 8;
/// How long work in hand may take to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// Options of `sidereal dev`.
#[derive(Clone, Debug, clap::Args)]
pub struct DevOptions {
    /// Folder of the chain; a second start goes on where the first ended.
    #[arg(long, default_value = "sidereal-data")]
    pub data_dir: PathBuf,
    /// JSON-RPC listens on this port of loopback, the other services on the next eight.
    #[arg(long, default_value_t = 9545, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    pub base_port: u16,
    /// The chain's id; transactions are signed for it.
    #[arg(long, default_value = "SN_SIDEREAL")]
    pub chain_id: String,
    /// Funded accounts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub accounts: u32,
    /// The accounts' keys follow from it.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How contracts are run.
    #[arg(long, value_enum, default_value_t = Execution::default())]
    pub execution: Execution,
    /// A block is closed so long after its first transaction.
    #[arg(long, default_value_t = 6_000)]
    pub block_time_ms: u64,
    /// Most transactions in a block.
    #[arg(long, default_value_t = 100)]
    pub block_transactions: usize,
    /// Prover workers in this process; each proof takes about 10 GB of memory. The first one aggregates, too. 0: blocks
    /// wait for a proof.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub workers: u32,
    /// Most blocks that are aggregated into one proof; each step takes up to 16 GB of memory. 0: none. Without the
    /// option 8, and none with `--no-l1`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=64))]
    pub aggregate: Option<u64>,
    /// Proven blocks wait so long for more that are aggregated with them.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub aggregate_wait_s: u64,
    /// Settles on this chain (JSON-RPC), and not on an Anvil that is started here. The key of the account that pays is in
    /// SIDEREAL_ACCOUNT_PRIVATE_KEY.
    #[arg(long, env = "SIDEREAL_L1_URL", hide_env_values = true, value_parser = secret)]
    pub l1: Option<Secret<String>>,
    /// Blocks of the chain of `--l1` on top of an update after which it counts as settled.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub l1_depth: u64,
    /// Settles nowhere.
    #[arg(long, conflicts_with = "l1")]
    pub no_l1: bool,
    /// Transactions pay for their data as blobs, and not as calldata.
    #[arg(long)]
    pub blobs: bool,
    /// Sends transfers from the funded accounts for as long as the chain runs.
    #[arg(long)]
    pub load: bool,
    /// Transactions a second of `--load`.
    #[arg(long, default_value_t = 2.0)]
    pub load_rate: f64,
    /// Transactions of `--load`, in all.
    #[arg(long, default_value_t = 100_000)]
    pub load_count: u64,
    /// Log lines that are written to standard error (a filter of `tracing`).
    #[arg(long, default_value = "warn")]
    pub log: String,
}

/// Where a dev chain settles.
#[derive(Clone, Copy, Debug)]
pub enum L1Choice<'a> {
    /// On an Anvil that it starts.
    Anvil,
    /// On a chain that is there.
    Url(&'a Secret<String>),
    /// Nowhere.
    None,
}

impl DevOptions {
    fn l1_choice(&self) -> L1Choice<'_> {
        match &self.l1 {
            _ if self.no_l1 => L1Choice::None,
            Some(url) => L1Choice::Url(url),
            None => L1Choice::Anvil,
        }
    }

    /// Most blocks that are aggregated into one proof; none when nothing is aggregated.
    fn aggregated_blocks(&self) -> Option<u64> {
        let default = if self.no_l1 { 0 } else { DEFAULT_AGGREGATED_BLOCKS };
        Some(self.aggregate.unwrap_or(default)).filter(|blocks| *blocks > 0)
    }
}

/// How contracts are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Execution {
    /// Compiled to machine code by Cairo Native.
    Native,
    /// Interpreted by Cairo VM.
    Vm,
}

impl Default for Execution {
    fn default() -> Self {
        if cfg!(feature = "native") { Execution::Native } else { Execution::Vm }
    }
}

impl From<Execution> for sidereal_execution::classes::ExecutionMode {
    fn from(execution: Execution) -> Self {
        match execution {
            Execution::Native => Self::Native,
            Execution::Vm => Self::Vm,
        }
    }
}

impl std::fmt::Display for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Execution::Native => "native",
            Execution::Vm => "vm",
        })
    }
}

/// Runs the chain until a signal; the exit code says whether it ended well.
pub fn main(options: DevOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sidereal: cannot start the runtime: {error}");
            return EXIT_SOFTWARE.into();
        }
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sidereal: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: DevOptions) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("cannot make the folder {}", options.data_dir.display()))?;
    let contracts = crate::artifacts::contracts_folder()?;
    let telemetry_config =
        TelemetryConfig { log_filter: options.log.clone(), ..TelemetryConfig::default() };
    let _telemetry = telemetry::init("sidereal-dev", &telemetry_config)?;
    let shutdown = Shutdown::on_signals().context("cannot watch for signals")?;
    let ports = Ports::new(options.base_port);
    let accounts = funded_accounts(&options, &contracts)?;
    let file = AccountsFile { chain_id: ChainId::from(options.chain_id.clone()), accounts };
    let path = accounts_file(&options.data_dir);
    std::fs::write(&path, serde_json::to_vec_pretty(&file)?)
        .with_context(|| format!("cannot write {}", path.display()))?;

    // That nobody reads it is found out again below, when there is something to end.
    let _ = print::line(format_args!("starting a chain in {} ...", options.data_dir.display()));
    let mut starter = Starter::new(shutdown.clone());
    starter.chain(Topology::new(&options, contracts));
    let ready = tokio::select! {
        ready = async { answers(ports).await?; DevL1::start(&options, ports).await } => ready,
        () = shutdown.triggered() => Ok(None),
    };
    let (ready, mut l1) = match ready {
        Ok(l1) => (Ok(()), l1),
        Err(error) => (Err(error), None),
    };
    if ready.is_ok() && !shutdown.is_triggered() {
        if let Some(l1) = &l1 {
            starter.settler(l1.settler(&options, ports));
            shutdown.spawn("settlement view", view::settlement(ports, shutdown.clone()));
        }
        if print_welcome(&options, ports, &file, l1.as_ref()).is_err() {
            // Whoever reads the lines is who runs the chain.
            shutdown.trigger();
        }
        shutdown.spawn("block view", view::blocks(ports, shutdown.clone()));
        shutdown.spawn("proof view", view::proofs(ports, shutdown.clone()));
        if options.load {
            shutdown.spawn("load", load(options.clone(), ports, shutdown.clone()));
        }
        match &mut l1 {
            Some(l1) => l1::watch(l1, &shutdown).await,
            None => shutdown.triggered().await,
        }
        // The reader may be what has gone away.
        let _ = print::line("ending; a second signal ends at once");
    }
    shutdown.trigger();
    let drained = shutdown.drained(DRAIN_DEADLINE).await;
    if let Some(l1) = l1 {
        l1.stop().await;
    }
    drained?;
    ready?;
    starter.failure().map_or(Ok(()), |failure| bail!(failure))
}

/// Starts services. One that fails ends the chain, and its failure is kept.
struct Starter {
    shutdown: Shutdown,
    failed: mpsc::Sender<String>,
    failures: mpsc::Receiver<String>,
}

impl Starter {
    fn new(shutdown: Shutdown) -> Self {
        let (failed, failures) = mpsc::channel(64);
        Self { shutdown, failed, failures }
    }

    /// Everything but the settler.
    fn chain(&self, topology: Topology) {
        self.start("sequencer", sidereal_sequencer::run, topology.sequencer);
        self.start("executor", sidereal_executor::run, topology.executor);
        self.start("gateway", sidereal_gateway::run, topology.gateway);
        self.start("proof store", sidereal_proof_store::run, topology.proof_store);
        for worker in topology.workers {
            self.start("prover worker", sidereal_prover_worker::run, worker);
        }
    }

    /// The settler, for which the contracts have to be on L1.
    fn settler(&self, config: L1SettlerConfig) {
        self.start("L1 settler", sidereal_l1_settler::run, config);
    }

    fn start<C, E>(&self, name: &'static str, run: fn(C, Shutdown) -> ServiceFuture<E>, config: C)
    where
        E: std::error::Error + Send + 'static,
    {
        let (failed, stop) = (self.failed.clone(), self.shutdown.clone());
        let running = run(config, self.shutdown.clone());
        self.shutdown.spawn(name, async move {
            if let Err(error) = running.await {
                let failure = format!("the {name} failed: {}", error_chain(&error));
                eprintln!("{failure}");
                // A full channel holds failures enough.
                let _ = failed.try_send(failure);
                stop.trigger();
            }
        });
    }

    /// The first failure, if there was one.
    fn failure(&mut self) -> Option<String> {
        self.failures.try_recv().ok()
    }
}

/// Waits until JSON-RPC answers with a block.
async fn answers(ports: Ports) -> anyhow::Result<()> {
    let rpc = Rpc::new(ports.rpc_url());
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    loop {
        match rpc.call::<Value>("starknet_blockNumber", json!([])).await {
            Ok(_) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(error).context("the chain did not start in time");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// The accounts that the genesis funds, with their keys.
fn funded_accounts(
    options: &DevOptions,
    contracts: &std::path::Path,
) -> anyhow::Result<Vec<FundedAccount>> {
    let class_hash = account_class_hash(contracts)?;
    dev_keys(options.seed, options.accounts)
        .into_iter()
        .map(|(private_key, public_key)| {
            let address = account_address(class_hash, public_key)
                .context("cannot compute the address of a funded account")?;
            Ok(FundedAccount { address, public_key, private_key })
        })
        .collect()
}

fn account_class_hash(
    contracts: &std::path::Path,
) -> anyhow::Result<starknet_api::core::ClassHash> {
    let path = contracts.join("account.sierra.json");
    let sierra = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; run scripts/setup first", path.display()))?;
    let class = sidereal_execution::classes::parse_sierra(&sierra)
        .with_context(|| format!("{} is not a Sierra class", path.display()))?;
    Ok(class.calculate_class_hash())
}

fn print_welcome(
    options: &DevOptions,
    ports: Ports,
    file: &AccountsFile,
    l1: Option<&DevL1>,
) -> Result<(), OutputError> {
    print::line(format_args!(
        "\nchain {} is running ({} execution)",
        options.chain_id, options.execution
    ))?;
    print::line(format_args!("  JSON-RPC      {}", ports.rpc_url()))?;
    print::line(format_args!(
        "  gRPC          http://127.0.0.1:{}  (sidereal.gateway.v1)",
        ports.gateway()
    ))?;
    print::line(format_args!(
        "  proofs        http://127.0.0.1:{}/proofs/<block>",
        ports.proofs_http()
    ))?;
    print::line(format_args!(
        "  probes        http://127.0.0.1:{}/ready, /metrics",
        ports.admin()
    ))?;
    match l1 {
        Some(l1) => {
            let url = l1.record.l1_url.as_deref().unwrap_or("the chain of --l1");
            print::line(format_args!(
                "  L1            {url}  RollupCore {}",
                l1.record.rollup_core
            ))?;
        }
        None => print::line("  L1            none: blocks are proven, and settled nowhere")?,
    }
    print::line(format_args!(
        "\nfunded accounts (keys for development only; all in {}):",
        accounts_file(&options.data_dir).display()
    ))?;
    for account in file.accounts.iter().take(10) {
        print::line(format_args!(
            "  {:#066x}  key {:#x}",
            account.address.0.key(),
            account.private_key
        ))?;
    }
    print::line("")
}

/// The chain's own load. It ends with the chain, and says what became of it.
async fn load(options: DevOptions, ports: Ports, shutdown: Shutdown) {
    let load = LoadOptions {
        rpc: ports.rpc_url(),
        accounts: accounts_file(&options.data_dir),
        kind: Kind::Transfers,
        rate: options.load_rate,
        count: options.load_count,
        settle_s: 120,
        contracts: None,
        quiet: true,
    };
    let printed = print::line(format_args!("load: {} transfers a second", options.load_rate));
    let printed = tokio::select! {
        () = shutdown.triggered() => printed,
        done = crate::load::run(load) => match done {
            Ok(summary) => print::line(format_args!("load ended\n{summary}")),
            Err(error) => {
                eprintln!("the load ended: {error:#}");
                printed
            }
        },
    };
    if printed.is_err() {
        shutdown.trigger();
    }
}
