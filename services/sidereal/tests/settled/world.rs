//! A rollup on Anvil, and updates for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, Bytes};
use anyhow::Context as _;
use async_trait::async_trait;
use sidereal::l1::Rollup;
use sidereal_execution::witness::BlockWitness;
use sidereal_l1_settler::{
    Account, Batches, BatchesError, DatabaseConfig, Deployer, Deployment, DeploymentRecord, L1,
    L1Update, SettlementConfig, Settler, SettlerStore, Verifier, pinned_hashes,
};
use sidereal_os_aggregator::AggregatedOutput;
use sidereal_os_aggregator::claims::{CircuitClaim, CircuitHash, FinalClaims};
use sidereal_service::Secret;
use sidereal_settlement::Update;
use sidereal_settlement::deployment::{Genesis, Roles};
use sidereal_starknet_os::{BlobCommitments, Committed};
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;
use tokio::sync::watch;

use crate::anvil::{Anvil, KEYS};

const LIMIT: Duration = Duration::from_secs(60);

/// The chain of `sidereal_execution::testing`.
pub fn chain_id() -> ChainId {
    ChainId::Other(sidereal_execution::testing::CHAIN_ID.to_owned())
}

/// Which contract verifies the last proofs.
pub enum Proofs {
    /// The one of a release.
    Verified,
    /// A double that takes the public output for its proof.
    TakenAtTheirWord,
}

pub struct World {
    pub anvil: Anvil,
    pub rollup: Rollup,
    folder: tempfile::TempDir,
}

struct One(Update);

#[async_trait]
impl Batches for One {
    async fn next_after(&self, _: u64) -> Result<Option<Update>, BatchesError> {
        Ok(Some(self.0.clone()))
    }
}

fn account(key: &str) -> anyhow::Result<Account> {
    Ok(Account::new(&Secret::new(key.to_owned()))?)
}

impl World {
    pub async fn new(chain_id: &ChainId, genesis: Genesis, proofs: Proofs) -> anyhow::Result<Self> {
        let anvil = Anvil::start().await?;
        let l1 = L1::new(&Secret::new(anvil.url.clone()), LIMIT)?;
        let operator = account(KEYS[1])?.address();
        let governance = Address::repeat_byte(0x60);
        let deployer = Deployer {
            l1: &l1,
            account: &account(KEYS[0])?,
            bounds: SettlementConfig::default().bounds(),
            timeout: LIMIT,
        };
        let verifier = match proofs {
            Proofs::Verified => Verifier::New(sidereal_l1_settler::verifier_key()),
            Proofs::TakenAtTheirWord => {
                Verifier::At(deployer.create("EchoVerifier", echo_verifier()?).await?.0)
            }
        };
        let roles =
            Roles { operator, operator_silence_s: 86_400, governance, upgrade_delay_s: 172_800 };
        let pinned = pinned_hashes(chain_id)?;
        let deployed = deployer.deploy(&Deployment { genesis, pinned, roles, verifier }).await?;
        let record = DeploymentRecord {
            chain_id: chain_id.to_string(),
            l1_chain_id: 31_337,
            l1_url: Some(anvil.url.clone()),
            beacon_url: Some(anvil.url.clone()),
            rollup_core: deployed.rollup_core,
            verifier: deployed.verifier,
            l1_block: deployed.block,
            operator,
            governance,
        };
        Ok(Self { anvil, rollup: Rollup { record, l1 }, folder: tempfile::tempdir()? })
    }

    /// Sends an update, which the contract must take.
    pub async fn settle(&self, update: &Update) -> anyhow::Result<()> {
        let database = format!("sqlite://{}", self.folder.path().join("settler.db").display());
        let (status, _) = watch::channel(None);
        let settler = Settler {
            l1: self.rollup.l1.clone(),
            account: account(KEYS[1])?,
            store: SettlerStore::open(&DatabaseConfig { url: database, connections: 2 }).await?,
            batches: Arc::new(One(update.clone())),
            rollup_core: self.rollup.record.rollup_core,
            chain_id: 31_337,
            holder: "test".to_owned(),
            depth_blocks: 0,
            config: SettlementConfig::default(),
            status,
        };
        settler.pass().await?;
        let started = Instant::now();
        loop {
            let head = self.rollup.l1.head().await?;
            let held = self.rollup.l1.held(self.rollup.record.rollup_core, head.hash).await?;
            if held.root == update.output.final_root {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < LIMIT, "the update was not taken: {held:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What L1 holds, in order.
    pub async fn updates(&self) -> anyhow::Result<Vec<L1Update>> {
        let Rollup { record, l1 } = &self.rollup;
        let head = l1.head().await?;
        Ok(l1.updates(record.rollup_core, record.l1_block, head.number).await?)
    }
}

/// An update over consecutive blocks, with the chain's own roots and hashes, and a proof for the double.
pub fn update(blocks: &[BlockWitness], tree: CircuitHash) -> anyhow::Result<Update> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        anyhow::bail!("there is no block");
    };
    let pinned = pinned_hashes(&first.environment.chain_id)?;
    let roots = pinned.roots;
    let mut data = Vec::new();
    for block in blocks {
        data.extend(Committed::of_block(block)?.blob_data()?);
    }
    let output = AggregatedOutput {
        initial_root: first.previous_state_root.0,
        final_root: last.header.state_root.0,
        previous_block_number: Felt::from(first.header.number.0 - 1),
        block_number: Felt::from(last.header.number.0),
        previous_block_hash: first.header.parent_hash.0,
        block_hash: last.header.hash.0,
        os_program_hash: pinned.os_program,
        config_hash: pinned.config,
        blobs: BlobCommitments::of_data(&data)?,
        messages_to_l1: Vec::new(),
        messages_to_l2: Vec::new(),
        wrap_root: roots.wrap,
        merge_root: roots.merge,
        tree_hash: tree,
    };
    let root = if blocks.len() == 1 { roots.wrap } else { roots.merge };
    let tree = CircuitClaim { root, output: tree };
    let proof = FinalClaims::new(&roots, &tree, &output.encode()).last.to_vec().into();
    Ok(Update { output, data, proof })
}

/// Creation code of contracts/solidity/test/support/EchoVerifier.sol.
fn echo_verifier() -> anyhow::Result<Bytes> {
    let contracts = sidereal_execution::testing::contracts_folder();
    let path = contracts.with_file_name("solidity/out/EchoVerifier.sol/EchoVerifier.json");
    let artifact: serde_json::Value = serde_json::from_slice(
        &std::fs::read(&path).with_context(|| format!("{}; run scripts/setup", path.display()))?,
    )?;
    let code = artifact["bytecode"]["object"].as_str().context("the double has no bytecode")?;
    Ok(code.parse()?)
}
