//! The stack under test with a process of its own for each service, on NATS and PostgreSQL; and what both kinds of stack
//! have in common.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use sidereal_bus::test_support::NatsServer;
use sidereal_execution::genesis::dev_keys;

use crate::clients::{FundedAccount, ValidatingProxy, utf8};
use crate::installed;
use crate::poll::{Seen, until};
use crate::ports::free_port;
use crate::postgres::PostgresServer;
use crate::process::Process;
use crate::rpc::Rpc;
use crate::workspace::Workspace;

/// A service has to be ready so long after its start; native compilation of the first classes is part of it.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(120);
/// One proof on a busy machine of two cores, several times over.
const PROOF_LIMIT: Duration = Duration::from_secs(900);
/// Blocks that are aggregated together: as many as make a tree that is not the same on both sides.
pub const BATCH_BLOCKS: u64 = 3;
/// Accounts of the genesis block, and what their keys are derived from.
pub(crate) const ACCOUNTS: u32 = 4;
pub(crate) const SEED: u64 = 7;

/// A process of the stack with separate processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// JSON-RPC.
    Gateway,
    /// The mempool, and the only writer of the chain store.
    Sequencer,
    /// Runs transactions.
    Executor,
    /// The same; the sequencer goes to it when the first one fails. Only where it was asked for.
    SecondExecutor,
    /// Keeps proofs and plans jobs.
    ProofStore,
    /// Proves.
    ProverWorker,
}

impl Service {
    /// In the order in which they are started.
    pub const ALL: [Service; 6] = [
        Service::Executor,
        Service::SecondExecutor,
        Service::Sequencer,
        Service::Gateway,
        Service::ProofStore,
        Service::ProverWorker,
    ];

    /// The subcommand of `sidereal`.
    fn subcommand(self) -> &'static str {
        match self {
            Service::SecondExecutor => Service::Executor.name(),
            only => only.name(),
        }
    }

    /// Its name in logs and failures.
    pub fn name(self) -> &'static str {
        match self {
            Service::Gateway => "gateway",
            Service::Sequencer => "sequencer",
            Service::Executor => "executor",
            Service::SecondExecutor => "second-executor",
            Service::ProofStore => "proof-store",
            Service::ProverWorker => "prover-worker",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is asked of a stack.
#[derive(Clone, Copy, Debug)]
pub struct StackOptions {
    /// How long a block stays open.
    pub block_ms: u64,
    /// Whether a prover runs. Proofs take most of the machine; what is not about them goes without.
    pub prover: bool,
    /// Whether the sequencer has a second executor to go to. The gateway has its calls run there.
    pub second_executor: bool,
    /// Whether the chain is one that settles: blocks are aggregated by [`BATCH_BLOCKS`], and the sequencer asks a settler at
    /// [`SeparateStack::settler_port`] what L1 holds.
    pub settles: bool,
}

/// Ports of one service.
#[derive(Clone, Copy)]
struct Ports {
    admin: u16,
    grpc: u16,
    http: u16,
}

impl Ports {
    fn free() -> anyhow::Result<Self> {
        Ok(Self { admin: free_port()?, grpc: free_port()?, http: free_port()? })
    }
}

/// The services as separate processes, on real NATS and PostgreSQL.
pub struct SeparateStack {
    // Dropped in this order: services first, then what they stand on.
    services: Vec<(Service, Process, Ports)>,
    /// The bus.
    pub nats: NatsServer,
    /// The chain store.
    pub postgres: PostgresServer,
    /// In front of the gateway: every request and response of the scenario passes it.
    pub proxy: ValidatingProxy,
    rpc: Rpc,
    endpoint: String,
    proofs: String,
    /// What settlers stand on.
    settler_port: u16,
    proof_store_grpc: u16,
    sequencer_config: PathBuf,
    options: StackOptions,
}

impl SeparateStack {
    /// Starts everything and waits until all of it is ready.
    pub async fn start(workspace: &Workspace, options: StackOptions) -> anyhow::Result<Self> {
        let nats = NatsServer::start(&workspace.folder("nats")?).context("starting NATS")?;
        let postgres = PostgresServer::start(workspace.path()).await?;
        let objects = workspace.folder("objects")?;
        let ports: Vec<(Service, Ports)> = Service::ALL
            .into_iter()
            .map(|service| Ok((service, Ports::free()?)))
            .collect::<anyhow::Result<_>>()?;
        let of = |wanted: Service| -> anyhow::Result<Ports> {
            let found = ports.iter().find(|(service, _)| *service == wanted);
            found.map(|(_, ports)| *ports).with_context(|| format!("{wanted} has no ports"))
        };
        let configuration = Configuration {
            chain_database: postgres.create_database("chain")?,
            proofs_database: postgres.create_database("proofs")?,
            nats: nats.url(),
            objects: utf8(&objects)?.to_owned(),
            contracts: utf8(&installed::contracts()?)?.to_owned(),
            native_cache: utf8(&workspace.folder("native")?)?.to_owned(),
            sequencer: of(Service::Sequencer)?,
            executor: of(Service::Executor)?,
            second_executor: match options.second_executor {
                true => Some(of(Service::SecondExecutor)?),
                false => None,
            },
            gateway: of(Service::Gateway)?,
            proof_store: of(Service::ProofStore)?,
            settler_port: free_port()?,
            options,
        };
        let sidereal = installed::sidereal()?;
        let configs = workspace.folder("config")?;
        let logs = workspace.folder("logs")?;
        let mut services = Vec::new();
        for (service, ports) in &ports {
            let file: PathBuf = configs.join(format!("{service}.toml"));
            std::fs::write(&file, configuration.toml(*service, *ports))
                .with_context(|| format!("writing {}", file.display()))?;
            let process = Process::new(
                service.name(),
                &sidereal,
                &[service.subcommand(), "--config", utf8(&file)?],
                &logs,
            );
            services.push((*service, process, *ports));
        }
        let gateway = format!("http://127.0.0.1:{}", configuration.gateway.http);
        let proxy = ValidatingProxy::start(&gateway, &logs).await?;
        let endpoint = proxy.endpoint();
        let proofs = format!("http://127.0.0.1:{}", configuration.proof_store.http);
        let rpc = Rpc::new(&endpoint)?;
        let settler_port = configuration.settler_port;
        let proof_store_grpc = configuration.proof_store.grpc;
        let mut stack = Self {
            services,
            nats,
            postgres,
            proxy,
            rpc,
            endpoint,
            proofs,
            settler_port,
            proof_store_grpc,
            sequencer_config: configs.join(format!("{}.toml", Service::Sequencer)),
            options,
        };
        for service in stack.expected() {
            stack.start_service(service)?;
        }
        stack.wait_until_ready().await?;
        Ok(stack)
    }

    fn expected(&self) -> Vec<Service> {
        Service::ALL
            .into_iter()
            .filter(|service| match service {
                Service::ProverWorker => self.options.prover,
                Service::SecondExecutor => self.options.second_executor,
                _ => true,
            })
            .collect()
    }

    fn process(&mut self, wanted: Service) -> anyhow::Result<&mut Process> {
        let found = self.services.iter_mut().find(|(service, ..)| *service == wanted);
        found.map(|(_, process, _)| process).with_context(|| format!("there is no {wanted}"))
    }

    /// Starts a service, or starts it again.
    pub fn start_service(&mut self, service: Service) -> anyhow::Result<()> {
        self.process(service)?.start()
    }

    /// SIGKILL.
    pub fn crash(&mut self, service: Service) -> anyhow::Result<()> {
        let process = self.process(service)?;
        process.check_running()?;
        process.crash()
    }

    /// Waits until every service says that it is ready.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        for wanted in self.expected() {
            let (_, process, ports) = self
                .services
                .iter_mut()
                .find(|(service, ..)| *service == wanted)
                .with_context(|| format!("there is no {wanted}"))?;
            let url = format!("http://127.0.0.1:{}/ready", ports.admin);
            until(&format!("{wanted} ready"), READY_LIMIT, || {
                let running = process.check_running();
                let url = url.clone();
                async move {
                    running?;
                    let answer = reqwest::get(&url).await?;
                    let status = answer.status();
                    let body = answer.text().await?;
                    anyhow::Ok(if status.is_success() {
                        Seen::Done(())
                    } else {
                        Seen::NotYet(format!("{status} {body}"))
                    })
                }
            })
            .await
            .with_context(|| format!("the end of the log of {wanted}:\n{}", process.tail()))?;
        }
        Ok(())
    }

    /// Waits until the log of a service has these words.
    pub async fn until_said(
        &self,
        wanted: Service,
        words: &str,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let found = self.services.iter().find(|(service, ..)| *service == wanted);
        let (_, process, _) = found.with_context(|| format!("there is no {wanted}"))?;
        until(&format!("{wanted} saying {words:?}"), limit, || {
            let said = process.output().map(|output| match output.contains(words) {
                true => Seen::Done(()),
                false => Seen::NotYet("not a word of it"),
            });
            async move { said }
        })
        .await
        .with_context(|| format!("the end of the log of {wanted}:\n{}", process.tail()))
    }

    /// The JSON-RPC endpoint: the proxy's.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where the proof store serves HTTP.
    pub fn proof_store(&self) -> &str {
        &self.proofs
    }

    /// A client for this test itself.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// The sequencer's configuration, which says what the genesis is.
    pub fn sequencer_config(&self) -> &Path {
        &self.sequencer_config
    }

    /// Where the sequencer expects the settler's gRPC.
    pub fn settler_port(&self) -> u16 {
        self.settler_port
    }

    /// The proof store's gRPC, for settlers.
    pub fn proof_store_grpc(&self) -> u16 {
        self.proof_store_grpc
    }
}

/// What the configuration files of the services have in common.
struct Configuration {
    chain_database: String,
    proofs_database: String,
    nats: String,
    objects: String,
    contracts: String,
    native_cache: String,
    sequencer: Ports,
    executor: Ports,
    second_executor: Option<Ports>,
    gateway: Ports,
    proof_store: Ports,
    settler_port: u16,
    options: StackOptions,
}

impl Configuration {
    fn toml(&self, service: Service, ports: Ports) -> String {
        let admin = format!("[admin]\nlisten = \"127.0.0.1:{}\"\n", ports.admin);
        let grpc = format!("[grpc]\nlisten = \"127.0.0.1:{}\"\n", ports.grpc);
        let chain_store = format!("[chain_store]\nurl = \"{}\"\n", self.chain_database);
        let object_store = format!("[object_store]\nurl = \"file:{}\"\n", self.objects);
        // A killed worker's job comes back after the lease; a test does not want to wait long for that.
        let bus = format!(
            "[bus]\nurl = \"{}\"\nlease_ms = 10000\nack_wait_ms = 10000\nmax_deliveries = 8\n",
            self.nats
        );
        let to =
            |section: &str, port: u16| format!("[{section}]\nurl = \"http://127.0.0.1:{port}\"\n");
        let executors: Vec<String> = [Some(self.executor), self.second_executor]
            .into_iter()
            .flatten()
            .map(|ports| format!("\"http://127.0.0.1:{}\"", ports.grpc))
            .collect();
        let sections = match service {
            Service::Gateway => vec![
                admin,
                grpc,
                chain_store,
                object_store,
                format!("[rpc]\nlisten = \"127.0.0.1:{}\"\n", ports.http),
                to("sequencer", self.sequencer.grpc),
                to("executor", self.second_executor.unwrap_or(self.executor).grpc),
            ],
            Service::Sequencer => vec![
                admin,
                grpc,
                chain_store,
                object_store,
                bus,
                format!(
                    "[genesis]\nclasses_folder = \"{}\"\nothers = []\naccounts = {ACCOUNTS}\nseed = {SEED}\n",
                    self.contracts
                ),
                format!("[block]\nclose_after_ms = {}\n", self.options.block_ms),
                format!("[executors]\nurls = [{}]\n", executors.join(", ")),
                format!("[l1_settlement]\nenabled = {}\npoll_ms = 500\n", self.options.settles),
                to("l1_settlement.settler", self.settler_port),
            ],
            Service::Executor | Service::SecondExecutor => vec![
                admin,
                grpc,
                chain_store,
                object_store,
                format!("[execution]\nnative_cache = \"{}\"\n", self.native_cache),
            ],
            Service::ProofStore => vec![
                admin,
                grpc,
                chain_store,
                object_store,
                bus,
                format!("[http]\nlisten = \"127.0.0.1:{}\"\n", ports.http),
                format!("[database]\nurl = \"{}\"\n", self.proofs_database),
                format!(
                    "[aggregation]\nenabled = {}\nmin_blocks = {BATCH_BLOCKS}\nmax_blocks = {BATCH_BLOCKS}\n",
                    self.options.settles
                ),
            ],
            Service::ProverWorker => {
                vec![admin, object_store, bus, to("proof_store", self.proof_store.grpc)]
            }
        };
        let _ = self.gateway;
        sections.join("\n")
    }
}

/// The funded accounts of a chain whose genesis has the keys of `seed`: block 0 says at which addresses they are.
pub async fn funded_accounts(
    rpc: &Rpc,
    seed: u64,
    count: u32,
) -> anyhow::Result<Vec<FundedAccount>> {
    let update = rpc.call("starknet_getStateUpdate", json!([{ "block_number": 0 }])).await?;
    let contracts =
        update["state_diff"]["storage_diffs"].as_array().context("block 0 has no storage")?;
    dev_keys(seed, count)
        .into_iter()
        .map(|(private_key, public_key)| {
            let public_key = format!("{public_key:#x}");
            let account = contracts.iter().find(|contract| {
                contract["storage_entries"].as_array().is_some_and(|entries| {
                    entries.iter().any(|entry| entry["value"] == public_key.as_str())
                })
            });
            let address = account
                .and_then(|account| account["address"].as_str())
                .with_context(|| format!("block 0 has no account with public key {public_key}"))?;
            Ok(FundedAccount { address: address.to_owned(), key: format!("{private_key:#x}") })
        })
        .collect()
}

impl SeparateStack {
    /// The funded accounts.
    pub async fn accounts(&self) -> anyhow::Result<Vec<FundedAccount>> {
        funded_accounts(&self.rpc, SEED, ACCOUNTS).await
    }

    /// Waits until the proof store has a proof of every block that is closed now. Block 0 is the axiom and has none.
    pub async fn every_block_is_proven(&mut self) -> anyhow::Result<()> {
        let newest = self.rpc.block_number().await?;
        anyhow::ensure!(newest > 0, "no block was closed, so nothing was proven");
        for block in 1..=newest {
            for service in self.expected() {
                self.process(service)?.check_running()?;
            }
            until(&format!("a proof of block {block} of {newest}"), PROOF_LIMIT, || async {
                let status = self.proof_status(block).await?;
                anyhow::Ok(if status.is_success() { Seen::Done(()) } else { Seen::NotYet(status) })
            })
            .await?;
        }
        Ok(())
    }

    /// Whether the proof store has a proof of the block.
    pub async fn is_proven(&self, block: u64) -> anyhow::Result<bool> {
        Ok(self.proof_status(block).await?.is_success())
    }

    async fn proof_status(&self, block: u64) -> anyhow::Result<reqwest::StatusCode> {
        let url = format!("{}/proofs/{block}/raw", self.proofs);
        Ok(reqwest::get(&url).await?.status())
    }
}

/// Runs `sidereal verify` until the proof of the transaction's block is there and every link of the claim holds.
pub async fn verify(
    transaction: &str,
    endpoint: &str,
    proof_store: &str,
    workspace: &Workspace,
) -> anyhow::Result<String> {
    let sidereal = installed::sidereal()?;
    let logs = workspace.folder("logs")?;
    until(&format!("sidereal verify {transaction}"), PROOF_LIMIT, || async {
        let mut process = Process::new(
            "verify",
            &sidereal,
            &["verify", transaction, "--rpc", endpoint, "--proofs", proof_store],
            &logs,
        );
        process.start()?;
        let outcome = process.finish(Duration::from_secs(120)).await;
        let output = process.output()?;
        let last = output.rsplit("--- verify starts").next().unwrap_or_default().to_owned();
        anyhow::Ok(match outcome {
            Ok(()) => Seen::Done(last),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await
}
