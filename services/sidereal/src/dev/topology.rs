//! The configuration of each service of a dev chain: the production services, all in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sidereal_bus::BusConfig;
use sidereal_executor::ExecutorConfig;
use sidereal_gateway::GatewayConfig;
use sidereal_object_store::ObjectStoreConfig;
use sidereal_proof_store::ProofStoreConfig;
use sidereal_proto::PROVING_QUEUE;
use sidereal_prover_worker::ProverWorkerConfig;
use sidereal_sequencer::SequencerConfig;
use sidereal_sequencer::gas_prices::GasPriceSource;
use sidereal_service::admin::AdminConfig;
use sidereal_service::grpc::{ConnectConfig, ListenConfig};

use super::DevOptions;

/// Ports of a dev chain, counted from `--base-port`.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    base: u16,
}

impl Ports {
    pub fn new(base: u16) -> Self {
        Self { base }
    }

    /// JSON-RPC.
    pub fn rpc(self) -> u16 {
        self.base
    }
    /// `sidereal.gateway.v1`.
    pub fn gateway(self) -> u16 {
        self.base + 1
    }
    /// `sidereal.sequencer.v1`.
    pub fn sequencer(self) -> u16 {
        self.base + 2
    }
    /// `sidereal.executor.v1`.
    pub fn executor(self) -> u16 {
        self.base + 3
    }
    /// `sidereal.proofs.v1`.
    pub fn proofs(self) -> u16 {
        self.base + 4
    }
    /// Proofs over HTTP.
    pub fn proofs_http(self) -> u16 {
        self.base + 5
    }
    /// Probes and metrics of the whole process.
    pub fn admin(self) -> u16 {
        self.base + 6
    }
    /// `sidereal.settlement.v1`.
    pub fn settler(self) -> u16 {
        self.base + 7
    }
    /// JSON-RPC of L1, when that is an Anvil of the chain's own.
    pub fn l1(self) -> u16 {
        self.base + 8
    }

    /// Where wallets connect.
    pub fn rpc_url(self) -> String {
        format!("http://127.0.0.1:{}/rpc/v0_10", self.rpc())
    }
}

/// The services' configurations.
pub struct Topology {
    pub gateway: GatewayConfig,
    pub sequencer: SequencerConfig,
    pub executor: ExecutorConfig,
    pub proof_store: ProofStoreConfig,
    pub workers: Vec<ProverWorkerConfig>,
}

impl Topology {
    /// All under one data folder, all on loopback.
    pub fn new(options: &DevOptions, contracts: PathBuf) -> Self {
        let ports = Ports::new(options.base_port);
        let data = &options.data_dir;
        let chain_url = format!("sqlite://{}", data.join("chain.db").display());
        let bus = BusConfig {
            url: format!("sqlite:{}", data.join("bus.db").display()),
            ..BusConfig::default()
        };
        let objects = ObjectStoreConfig {
            url: format!("file:{}", data.join("objects").display()),
            ..ObjectStoreConfig::default()
        };

        let mut gateway = GatewayConfig {
            admin: AdminConfig::off(),
            grpc: ListenConfig::on(ports.gateway()),
            object_store: objects.clone(),
            sequencer: ConnectConfig { url: url(ports.sequencer()), ..Default::default() },
            executor: ConnectConfig { url: url(ports.executor()), ..Default::default() },
            ..Default::default()
        };
        gateway.chain.id.clone_from(&options.chain_id);
        gateway.rpc.listen = SocketAddr::from(([127, 0, 0, 1], ports.rpc()));
        gateway.chain_store.url.clone_from(&chain_url);

        let mut sequencer = SequencerConfig {
            admin: AdminConfig::on(ports.admin()),
            grpc: ListenConfig::on(ports.sequencer()),
            object_store: objects.clone(),
            bus: bus.clone(),
            ..Default::default()
        };
        sequencer.chain.id.clone_from(&options.chain_id);
        sequencer.chain.blob_data = options.blobs;
        sequencer.genesis.classes_folder = contracts;
        sequencer.genesis.accounts = options.accounts;
        sequencer.genesis.seed = options.seed;
        sequencer.block.close_after_ms = options.block_time_ms;
        sequencer.block_limits.transactions = options.block_transactions;
        sequencer.executors.urls = vec![url(ports.executor())];
        sequencer.chain_store.url.clone_from(&chain_url);
        if !options.no_l1 {
            // The settler comes later, when the contracts are on L1; until then the prices of the configuration hold.
            sequencer.l1_settlement.enabled = true;
            sequencer.l1_settlement.settler =
                ConnectConfig { url: url(ports.settler()), ..Default::default() };
            sequencer.l1_settlement.poll_ms = 1_000;
            sequencer.gas_prices.source = GasPriceSource::L1;
            // An idle chain is not to be taken for a silent operator.
            sequencer.block.empty_after_ms = 24 * 60 * 60 * 1_000;
        }

        let mut executor = ExecutorConfig {
            admin: AdminConfig::off(),
            grpc: ListenConfig::on(ports.executor()),
            object_store: objects.clone(),
            ..Default::default()
        };
        executor.chain.id.clone_from(&options.chain_id);
        executor.chain_store.url.clone_from(&chain_url);
        executor.execution.mode = options.execution.into();
        executor.execution.native_cache = data.join("native");

        let mut proof_store = ProofStoreConfig {
            admin: AdminConfig::off(),
            grpc: ListenConfig::on(ports.proofs()),
            object_store: objects.clone(),
            bus: bus.clone(),
            ..Default::default()
        };
        proof_store.chain.id.clone_from(&options.chain_id);
        proof_store.http.listen = SocketAddr::from(([127, 0, 0, 1], ports.proofs_http()));
        proof_store.chain_store.url = chain_url;
        if let Some(blocks) = options.aggregated_blocks() {
            proof_store.aggregation.enabled = true;
            proof_store.aggregation.max_blocks = blocks;
            proof_store.aggregation.max_wait_ms = options.aggregate_wait_s * 1_000;
        }
        proof_store.database.url = format!("sqlite://{}", data.join("proofs.db").display());

        let workers = (0..options.workers)
            .map(|index| {
                let mut worker = ProverWorkerConfig {
                    admin: AdminConfig::off(),
                    object_store: objects.clone(),
                    bus: bus.clone(),
                    proof_store: ConnectConfig { url: url(ports.proofs()), ..Default::default() },
                    ..Default::default()
                };
                worker.worker.name = format!("worker-{}", index + 1);
                // Two steps of an aggregation at once are more than the memory of most machines.
                if index > 0 {
                    worker.worker.queues = vec![PROVING_QUEUE.to_owned()];
                }
                worker
            })
            .collect();
        Self { gateway, sequencer, executor, proof_store, workers }
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Where `sidereal load` and wallets find the funded accounts.
pub fn accounts_file(data: &Path) -> PathBuf {
    data.join("accounts.json")
}
