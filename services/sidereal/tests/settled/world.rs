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
use sidereal_settlement::deployment::{Genesis, Roles};
use sidereal_settlement::{Update, felt_to_u256};
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
        self.send(KEYS[1], self.rollup.record.rollup_core, update).await?;
        self.until_held(update).await
    }

    /// Settles as an outsider, through a contract that is told one update and passes on another one.
    pub async fn settle_through_a_liar(
        &self,
        told: &Update,
        update: &Update,
    ) -> anyhow::Result<()> {
        // As long as the operator must be silent for.
        let _: serde_json::Value = self.anvil.ask("evm_increaseTime", (86_401,)).await?;
        let (liar, passed_on) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
        let code = liar_code(self.rollup.record.rollup_core, passed_on);
        for (address, code) in [(liar, code), (passed_on, update.prepare()?.calldata)] {
            self.anvil.ask::<_, ()>("anvil_setCode", (address, code)).await?;
        }
        self.anvil.mine(1).await?;
        self.send(KEYS[2], liar, told).await?;
        self.until_held(update).await
    }

    async fn send(&self, key: &str, contract: Address, update: &Update) -> anyhow::Result<()> {
        let path = self.folder.path().join(format!("{contract}.db"));
        let database = format!("sqlite://{}", path.display());
        let (status, _) = watch::channel(None);
        let settler = Settler {
            l1: self.rollup.l1.clone(),
            account: account(key)?,
            store: SettlerStore::open(&DatabaseConfig { url: database, connections: 2 }).await?,
            batches: Arc::new(One(update.clone())),
            rollup_core: contract,
            chain_id: 31_337,
            holder: "test".to_owned(),
            depth_blocks: 0,
            config: SettlementConfig::default(),
            status,
        };
        settler.pass().await?;
        Ok(())
    }

    async fn until_held(&self, update: &Update) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            // Not by the state: Anvil shows that already while it makes the block.
            let found = self.updates().await?.last().map(|update| update.event.newRoot);
            if found == Some(felt_to_u256(&update.output.final_root)) {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < LIMIT, "the update was not taken: {found:?}");
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

/// A closed block, and what its blobs hold.
pub struct ClosedBlock {
    committed: Committed,
    pub data: Vec<Felt>,
}

impl ClosedBlock {
    pub fn of(witness: &BlockWitness) -> anyhow::Result<Self> {
        let committed = Committed::of_block(witness)?;
        anyhow::ensure!(committed.messages_to_l1.is_empty(), "updates here have no messages");
        Ok(Self { data: committed.blob_data()?, committed })
    }
}

/// An update over consecutive blocks, with the chain's own roots and hashes, and a proof for the double.
pub fn update(blocks: &[BlockWitness], tree: CircuitHash) -> anyhow::Result<Update> {
    let first = blocks.first().context("there is no block")?;
    let closed: Vec<_> = blocks.iter().map(ClosedBlock::of).collect::<anyhow::Result<_>>()?;
    update_over(&first.environment.chain_id, &closed, tree)
}

/// The same, of blocks whose witnesses need not be kept.
pub fn update_over(
    chain_id: &ChainId,
    blocks: &[ClosedBlock],
    tree: CircuitHash,
) -> anyhow::Result<Update> {
    let (Some(ClosedBlock { committed: first, .. }), Some(ClosedBlock { committed: last, .. })) =
        (blocks.first(), blocks.last())
    else {
        anyhow::bail!("there is no block");
    };
    let pinned = pinned_hashes(chain_id)?;
    let roots = pinned.roots;
    let data: Vec<Felt> = blocks.iter().flat_map(|block| &block.data).copied().collect();
    let output = AggregatedOutput {
        initial_root: first.previous_root,
        final_root: last.root,
        previous_block_number: Felt::from(first.block_number - 1),
        block_number: Felt::from(last.block_number),
        previous_block_hash: first.previous_block_hash,
        block_hash: last.block_hash,
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

/// A contract that passes questions on to `rollup_core`, which have no arguments, and in place of all else the code of
/// `passed_on`.
fn liar_code(rollup_core: Address, passed_on: Address) -> Bytes {
    let push = |address: Address| format!("73{}", alloy::hex::encode(address));
    let (rollup_core, passed_on) = (push(rollup_core), push(passed_on));
    let code = [
        // if (calldatasize > 4) goto other;
        "6004361160 11 57",
        // calldatacopy(0, 0, calldatasize); size = calldatasize; goto call;
        "3660006000 37 36 6043 56",
        // other: size = extcodesize(passed_on); extcodecopy(passed_on, 0, 0, size);
        &format!("5b {passed_on} 3b 80 6000 6000 {passed_on} 3c"),
        // call: if (call(gas, rollup_core, 0, 0, size, 0, 32)) goto done; revert(0, 0);
        &format!("5b 6000 6020 91 6000 6000 {rollup_core} 5a f1 606c 57 6000 6000 fd"),
        // done: return(0, 32);
        "5b 6020 6000 f3",
    ];
    let code = code.concat().replace(' ', "");
    alloy::hex::decode(code).expect("it is hexadecimal").into()
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
