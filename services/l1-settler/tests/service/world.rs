//! A rollup on Anvil whose proofs its verifier takes at their word, and batches for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::Transaction;
use anyhow::Context as _;
use async_trait::async_trait;
use sidereal_l1_settler::{
    Account, Batches, BatchesError, DatabaseConfig, Deployed, Deployer, Deployment, HeldState, L1,
    L1SettlerConfig, L1SettlerError, L1Update, SettlementConfig, Settler, SettlerStore, Verifier,
    run_over,
};
use sidereal_os_aggregator::claims::{CircuitClaim, CircuitRoots, FinalClaims, circuit_hash};
use sidereal_os_aggregator::{AGGREGATOR_BLAKE_HASH, AggregatedOutput};
use sidereal_service::{Secret, Shutdown};
use sidereal_settlement::Update;
use sidereal_settlement::deployment::{Genesis, PinnedHashes, Roles};
use sidereal_starknet_os::{BlobCommitments, Committed, OsChain, OutputForm};
use starknet_api::core::ContractAddress;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::anvil::{Anvil, KEYS, free_port};

/// What a wait may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Cells that each block of the first and of the second batch changes.
pub const CELLS: [u64; 2] = [10, 5_000];

/// Batches that are all there from the beginning.
pub struct FixedBatches(Vec<Update>);

#[async_trait]
impl Batches for FixedBatches {
    async fn next_after(&self, block: u64) -> Result<Option<Update>, BatchesError> {
        let begins = |update: &&Update| update.output.previous_block_number == Felt::from(block);
        Ok(self.0.iter().find(begins).cloned())
    }
}

/// Anvil with the contract, and the batches.
pub struct World {
    pub anvil: Anvil,
    pub deployed: Deployed,
    pub operator: Account,
    pub batches: Arc<FixedBatches>,
    folder: tempfile::TempDir,
}

/// A settler that runs.
pub struct Running {
    shutdown: Shutdown,
    task: Option<JoinHandle<Result<(), L1SettlerError>>>,
    /// Of its own, so that all of it can be cut off.
    runtime: Option<Runtime>,
    pub grpc_port: u16,
}

fn roots() -> CircuitRoots {
    CircuitRoots {
        wrap: circuit_hash(b"wrap"),
        merge: circuit_hash(b"merge"),
        shrink: circuit_hash(b"shrink"),
        compact: circuit_hash(b"compact"),
    }
}

fn pinned() -> PinnedHashes {
    PinnedHashes {
        os_program: Felt::from(0x05),
        aggregator_program: AGGREGATOR_BLAKE_HASH,
        config: Felt::from(0xc0),
        roots: roots(),
    }
}

fn genesis() -> Genesis {
    Genesis { root: Felt::from(0x1000), block_number: 0, block_hash: Felt::from(0xb000) }
}

/// Keys and money for all that the tests do.
pub fn account(key: &str) -> anyhow::Result<Account> {
    Ok(Account::new(&Secret::new(key.to_owned()))?)
}

pub fn config() -> SettlementConfig {
    SettlementConfig {
        poll_ms: 50,
        replace_after_blocks: 3,
        lease_ms: 5_000,
        ..SettlementConfig::default()
    }
}

/// A state diff of one contract, as the sequencer commits it.
pub fn state_diff(block: u64, cells: u64) -> ThinStateDiff {
    let storage = (0..cells)
        .map(|index| {
            // Too different to be compressed.
            let value = Felt::MAX - Felt::from(block) * Felt::from(index * index + 1);
            (StorageKey::from(index), value)
        })
        .collect();
    let mut diff = ThinStateDiff::default();
    // Contract 1 holds old block hashes; its keys have no aliases.
    diff.storage_diffs.insert(ContractAddress::from(1_u128), storage);
    diff
}

/// What StarknetOS writes of it.
fn compressed(block: u64, cells: u64) -> anyhow::Result<Vec<Felt>> {
    let committed = Committed {
        previous_root: Felt::ZERO,
        root: Felt::ONE,
        block_number: block,
        previous_block_hash: Felt::ZERO,
        block_hash: Felt::ONE,
        chain: OsChain {
            chain_id: Felt::ONE,
            fee_token_address: ContractAddress::default(),
            deprecated_fee_token_address: ContractAddress::default(),
        },
        form: OutputForm::PROVEN,
        state_diff: state_diff(block, cells),
        messages_to_l1: Vec::new(),
        known_aliases: BTreeMap::new(),
    };
    Ok(committed.blob_data()?)
}

/// The update that settles blocks `previous + 1` to `last`, each with `cells` changed cells.
fn update(previous: u64, last: u64, cells: u64) -> anyhow::Result<Update> {
    let mut data = Vec::new();
    for block in previous + 1..=last {
        data.extend(compressed(block, cells)?);
    }
    let at = |number: u64, base: Felt| base + Felt::from(number);
    let tree = CircuitClaim {
        root: if last - previous == 1 { roots().wrap } else { roots().merge },
        output: circuit_hash(&last.to_be_bytes()),
    };
    let output = AggregatedOutput {
        initial_root: at(previous, genesis().root),
        final_root: at(last, genesis().root),
        previous_block_number: Felt::from(previous),
        block_number: Felt::from(last),
        previous_block_hash: at(previous, genesis().block_hash),
        block_hash: at(last, genesis().block_hash),
        os_program_hash: pinned().os_program,
        config_hash: pinned().config,
        blobs: BlobCommitments::of_data(&data)?,
        messages_to_l1: Vec::new(),
        messages_to_l2: Vec::new(),
        wrap_root: roots().wrap,
        merge_root: roots().merge,
        tree_hash: tree.output,
    };
    // The verifier's double wants to see its own public output: our computation of it, not the contract's.
    let proof = FinalClaims::new(&roots(), &tree, &output.encode()).last.to_vec().into();
    Ok(Update { output, data, proof })
}

impl World {
    /// Two batches: blocks 1 to 3 in one blob, block 4 in two. Blocks of L1 come with transactions.
    pub async fn new() -> anyhow::Result<Self> {
        Self::on(Anvil::start().await?).await
    }

    /// The same on an Anvil that is there.
    pub async fn on(anvil: Anvil) -> anyhow::Result<Self> {
        let operator = account(KEYS[1])?;
        let l1 = L1::new(&Secret::new(anvil.url.clone()), LIMIT)?;
        let deployer = Deployer {
            l1: &l1,
            account: &account(KEYS[0])?,
            bounds: config().bounds(),
            timeout: LIMIT,
        };
        let (double, _) = deployer.create("EchoVerifier", echo_verifier()?).await?;
        let deployed = deployer
            .deploy(&Deployment {
                genesis: genesis(),
                pinned: pinned(),
                roles: Roles {
                    operator: operator.address(),
                    operator_silence_s: 86_400,
                    governance: Address::repeat_byte(0x60),
                    upgrade_delay_s: 172_800,
                },
                verifier: Verifier::At(double),
            })
            .await?;
        let batches =
            Arc::new(FixedBatches(vec![update(0, 3, CELLS[0])?, update(3, 4, CELLS[1])?]));
        let folder = tempfile::tempdir()?;
        Ok(Self { anvil, deployed, operator, batches, folder })
    }

    pub fn l1(&self) -> anyhow::Result<L1> {
        Ok(L1::new(&Secret::new(self.anvil.url.clone()), LIMIT)?)
    }

    pub fn update(&self, index: usize) -> &Update {
        &self.batches.0[index]
    }

    /// The settler's database of that name.
    pub fn database(&self, name: &str) -> DatabaseConfig {
        let url = format!("sqlite://{}", self.folder.path().join(name).display());
        DatabaseConfig { url, connections: 2 }
    }

    /// Starts the service.
    pub fn run(&self, database: &str, settlement: SettlementConfig) -> anyhow::Result<Running> {
        self.start(self.service(database, settlement)?)
    }

    /// The service's configuration.
    pub fn service(
        &self,
        database: &str,
        settlement: SettlementConfig,
    ) -> anyhow::Result<L1SettlerConfig> {
        let mut config = L1SettlerConfig::default();
        config.admin.listen = None;
        config.grpc.listen = ([127, 0, 0, 1], free_port()?).into();
        config.l1.url = Secret::new(self.anvil.url.clone());
        config.l1.rollup_core = self.deployed.rollup_core.to_string();
        config.l1.depth_blocks = 4;
        config.account.private_key = Secret::new(KEYS[1].to_owned());
        config.database = self.database(database);
        config.settlement = settlement;
        Ok(config)
    }

    /// Starts the service as it is configured.
    pub fn start(&self, config: L1SettlerConfig) -> anyhow::Result<Running> {
        let grpc_port = config.grpc.listen.port();
        let shutdown = Shutdown::new();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let task = runtime.spawn(run_over(config, self.batches.clone(), shutdown.clone()));
        Ok(Running { shutdown, task: Some(task), runtime: Some(runtime), grpc_port })
    }

    /// A settler to be driven pass by pass.
    pub async fn settler(&self, account: Account, batches: Vec<Update>) -> anyhow::Result<Settler> {
        let (status, _) = watch::channel(None);
        Ok(Settler {
            l1: self.l1()?,
            account,
            store: SettlerStore::open(&self.database("driven.db")).await?,
            batches: Arc::new(FixedBatches(batches)),
            rollup_core: self.deployed.rollup_core,
            chain_id: 31_337,
            holder: "driven".to_owned(),
            depth_blocks: 4,
            config: config(),
            status,
        })
    }

    /// What the contract holds at L1's head.
    pub async fn held(&self) -> anyhow::Result<HeldState> {
        let l1 = self.l1()?;
        let head = l1.head().await?;
        Ok(l1.held(self.deployed.rollup_core, head.hash).await?)
    }

    /// Every update that L1 holds, in order.
    pub async fn updates(&self) -> anyhow::Result<Vec<L1Update>> {
        let l1 = self.l1()?;
        let head = l1.head().await?;
        Ok(l1.updates(self.deployed.rollup_core, self.deployed.block, head.number).await?)
    }

    /// A transaction that L1 holds.
    pub async fn transaction(&self, hash: B256) -> anyhow::Result<Transaction> {
        let transaction: Option<Transaction> =
            self.anvil.ask("eth_getTransactionByHash", (hash,)).await?;
        transaction.with_context(|| format!("L1 does not know {hash}"))
    }

    /// Waits until the contract holds a block, and the last event is that of the update which brought it: Anvil shows the
    /// state of a block that it is still making, but not its events.
    pub async fn until_held(&self, block: u64) -> anyhow::Result<()> {
        until(&format!("the contract holds block {block}"), async || {
            let updates = self.updates().await?;
            let last = updates.last().map_or(U256::ZERO, |update| update.event.newBlockNumber);
            Ok(self.held().await?.block_number == block && last == U256::from(block))
        })
        .await
    }

    /// Waits until so many transactions of the operator are in blocks, and with those in the pool.
    pub async fn until_nonces(&self, mined: u64, pending: u64) -> anyhow::Result<()> {
        until(&format!("{mined} transactions in blocks, {pending} with the pool"), async || {
            Ok(self.anvil.nonces(self.operator.address()).await? == (mined, pending))
        })
        .await
    }
}

impl Running {
    /// Ends it as a crash does: all of its tasks are cut off where they are, nothing is given back.
    pub async fn kill(mut self) {
        self.cut_off();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }

    /// Ends it as a signal does.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.trigger();
        let task = self.task.take().context("it does not run")?;
        tokio::time::timeout(LIMIT, task).await.context("the settler does not end")???;
        Ok(())
    }

    fn cut_off(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cut_off();
    }
}

/// Waits for a condition that is looked at again and again.
pub async fn until(
    what: &str,
    condition: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while !condition().await? {
        anyhow::ensure!(started.elapsed() < LIMIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Creation code of contracts/solidity/test/support/EchoVerifier.sol.
fn echo_verifier() -> anyhow::Result<Bytes> {
    let cache = match std::env::var_os("SIDEREAL_CACHE") {
        Some(cache) => std::path::PathBuf::from(cache),
        None => std::path::Path::new(&std::env::var_os("HOME").context("HOME is not set")?)
            .join(".cache/sidereal"),
    };
    let path = cache.join("solidity/out/EchoVerifier.sol/EchoVerifier.json");
    let artifact: serde_json::Value = serde_json::from_slice(
        &std::fs::read(&path).with_context(|| format!("{}; run scripts/setup", path.display()))?,
    )?;
    let code = artifact["bytecode"]["object"].as_str().context("the double has no bytecode")?;
    Ok(code.parse()?)
}
