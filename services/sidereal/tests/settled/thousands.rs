//! Some thousand transactions on a real chain, whose state is rebuilt from L1 by the command.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sidereal::account::{Account, Call, GasPrices, Signed, bounds};
use sidereal::load::{AccountsFile, gas_prices};
use sidereal::rebuild::state::RebuiltState;
use sidereal::rpc::Rpc;
use sidereal_execution::classes::{CompilationLimits, compile_sierra};
use sidereal_execution::testing::contracts_folder;
use sidereal_execution::witness::{BlockWitness, WitnessLimits};
use sidereal_os_aggregator::claims::circuit_hash;
use sidereal_settlement::deployment::Genesis;
use sidereal_starknet_os::BLOB_LENGTH;
use starknet_api::core::{ChainId, ContractAddress, Nonce, calculate_contract_address};
use starknet_api::rpc_transaction::RpcTransaction;
use starknet_api::transaction::fields::{Calldata, ContractAddressSalt};
use starknet_types_core::felt::Felt;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::rebuild::{Values, rebuilt};
use crate::world::{ClosedBlock, Proofs, World, update_over};

const TRANSACTIONS: u64 = 3_000;
/// Of these, a second.
const RATE: &str = "150";
/// Bounds of an update.
const MAX_BLOBS: usize = 3;
const MAX_BLOCKS: usize = 24;
/// Cells of one contract, and how many of them a transaction writes.
const CELLS: u64 = 8_000;
const SWEEP: u64 = 100;
/// Cells that are deleted at the end.
const DELETED: u64 = 40;
const START_LIMIT: Duration = Duration::from_secs(240);
const COMMAND_LIMIT: Duration = Duration::from_secs(300);
const INCLUSION_LIMIT: Duration = Duration::from_secs(120);
const DEPLOYER: Felt =
    Felt::from_hex_unchecked("0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf");

/// `sidereal dev`. Dropping it kills it.
struct Node {
    _child: Child,
    rpc: Rpc,
    proofs: String,
    accounts: PathBuf,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidereal"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.env_remove("SIDEREAL_L1_URL").env_remove("SIDEREAL_BEACON_URL");
    command
}

/// Runs a command to its end, which must be a good one. Returns what it said.
async fn run(arguments: &[&str]) -> anyhow::Result<String> {
    let done = timeout(COMMAND_LIMIT, command(arguments).output()).await;
    let done = done.with_context(|| format!("{arguments:?} does not end"))??;
    let said = String::from_utf8(done.stdout)?;
    let complained = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{arguments:?}: {said}{complained}");
    Ok(said)
}

/// The first of ports that are all free, below those that connections get.
fn free_ports() -> anyhow::Result<u16> {
    let start = 20_000 + u16::try_from(std::process::id() % 1_000)? * 10;
    (start..32_000)
        .step_by(10)
        .find(|base| (*base..base + 9).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()))
        .context("no ports are free")
}

impl Node {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        let base = free_ports()?;
        let data = folder.to_str().context("the folder's name is no text")?;
        let port = base.to_string();
        let arguments = ["dev", "--no-l1", "--workers", "0", "--block-time-ms", "1000"];
        let mut child = command(&arguments)
            .args(["--data-dir", data, "--base-port", &port])
            .stdout(Stdio::null())
            .spawn()?;
        let rpc = Rpc::new(format!("http://127.0.0.1:{base}/rpc/v0_10"));
        let proofs = format!("http://127.0.0.1:{}", base + 5);
        let started = Instant::now();
        loop {
            let answer = rpc.call::<u64>("starknet_blockNumber", json!([])).await;
            // This one listens on its own.
            let listens = reqwest::get(format!("{proofs}/witnesses/0/raw")).await;
            if answer.is_ok() && listens.is_ok() {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("the chain has ended: {status}");
            }
            ensure!(started.elapsed() < START_LIMIT, "the chain does not answer");
            sleep(Duration::from_millis(200)).await;
        }
        Ok(Self { _child: child, rpc, proofs, accounts: folder.join("accounts.json") })
    }

    async fn of_block<T: DeserializeOwned>(&self, method: &str, block: u64) -> anyhow::Result<T> {
        let params = json!({ "block_id": { "block_number": block } });
        self.rpc.call(method, params).await.with_context(|| format!("{method} of block {block}"))
    }

    async fn head(&self) -> anyhow::Result<u64> {
        Ok(self.rpc.call("starknet_blockNumber", json!([])).await?)
    }

    async fn header(&self, block: u64) -> anyhow::Result<Header> {
        self.of_block("starknet_getBlockWithTxHashes", block).await
    }

    async fn witness(&self, block: u64) -> anyhow::Result<BlockWitness> {
        let url = format!("{}/witnesses/{block}/raw", self.proofs);
        let answer = reqwest::get(url).await?.error_for_status()?;
        Ok(BlockWitness::decode(&answer.bytes().await?, WitnessLimits::default())?)
    }

    async fn until_included(&self, signed: &Signed) -> anyhow::Result<()> {
        let (started, hash) = (Instant::now(), signed.hash);
        loop {
            let params = json!({ "transaction_hash": hash });
            // The node may not know of it yet.
            let answer = self.rpc.call::<Value>("starknet_getTransactionStatus", params).await;
            let status = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
            ensure!(status["execution_status"] != "REVERTED", "{hash}: {status}");
            if status["finality_status"] == "ACCEPTED_ON_L2" {
                return Ok(());
            }
            ensure!(started.elapsed() < INCLUSION_LIMIT, "{hash} is in no block: {status}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every value that the chain has now, by its state diffs as JSON-RPC tells them.
    async fn values(&self, last: u64) -> anyhow::Result<Values> {
        let mut values = Values::default();
        for block in 0..=last {
            let update: StateUpdate = self.of_block("starknet_getStateUpdate", block).await?;
            let diff = update.state_diff;
            for contract in diff.storage_diffs {
                let address = contract.address;
                let cells = contract.storage_entries.into_iter();
                values.cells.extend(cells.map(|entry| ((address, entry.key), entry.value)));
            }
            let nonces = diff.nonces.into_iter();
            values.nonces.extend(nonces.map(|it| (it.contract_address, it.nonce)));
            let deployed = diff.deployed_contracts.into_iter();
            values.classes.extend(deployed.map(|it| (it.address, it.class_hash)));
            ensure!(diff.replaced_classes.is_empty(), "no class is replaced here");
        }
        values.cells.retain(|_, value| *value != Felt::ZERO);
        Ok(values)
    }
}

#[derive(Deserialize)]
struct Header {
    block_hash: Felt,
    new_root: Felt,
}

#[derive(Deserialize)]
struct StateUpdate {
    state_diff: StateDiff,
}

#[derive(Deserialize)]
struct StateDiff {
    storage_diffs: Vec<ContractDiff>,
    nonces: Vec<NonceUpdate>,
    deployed_contracts: Vec<Deployed>,
    replaced_classes: Vec<Value>,
}

#[derive(Deserialize)]
struct ContractDiff {
    address: Felt,
    storage_entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    key: Felt,
    value: Felt,
}

#[derive(Deserialize)]
struct NonceUpdate {
    contract_address: Felt,
    nonce: Felt,
}

#[derive(Deserialize)]
struct Deployed {
    address: Felt,
    class_hash: Felt,
}

/// Who sends what the load does not.
struct Sender<'a> {
    node: &'a Node,
    account: Account,
    prices: GasPrices,
    sent: u64,
}

impl<'a> Sender<'a> {
    async fn new(node: &'a Node) -> anyhow::Result<Self> {
        let account = AccountsFile::read(&node.accounts)?.remove(0);
        Ok(Self { node, account, prices: gas_prices(&node.rpc).await?, sent: 0 })
    }

    async fn nonce(&self) -> anyhow::Result<Nonce> {
        let params =
            json!({ "block_id": "pre_confirmed", "contract_address": self.account.address });
        Ok(self.node.rpc.call("starknet_getNonce", params).await?)
    }

    async fn send(&mut self, signed: &Signed) -> anyhow::Result<()> {
        let (method, field) = match signed.transaction {
            RpcTransaction::Declare(_) => ("starknet_addDeclareTransaction", "declare_transaction"),
            _ => ("starknet_addInvokeTransaction", "invoke_transaction"),
        };
        let params = json!({ field: signed.transaction });
        self.node.rpc.call::<Value>(method, params).await?;
        self.sent += 1;
        Ok(())
    }

    /// One transaction for each list of calls, of which the last is in a closed block.
    async fn invoke(&mut self, transactions: &[Vec<Call>]) -> anyhow::Result<()> {
        let (mut nonce, mut last) = (self.nonce().await?.0, None);
        for calls in transactions {
            let bounds = bounds(1_000_000, 20_000, 500_000_000, self.prices);
            let signed = self.account.invoke(calls, Nonce(nonce), bounds)?;
            self.send(&signed).await?;
            nonce += Felt::ONE;
            last = Some(signed);
        }
        self.node.until_included(&last.context("there is nothing to send")?).await
    }

    /// Declares and deploys the contract whose cells are swept.
    async fn probe(&mut self) -> anyhow::Result<ContractAddress> {
        let sierra = std::fs::read(contracts_folder().join("probe.sierra.json"))?;
        let class = compile_sierra(&sierra, &CompilationLimits::default())?;
        let declare = self.account.declare(
            class.sierra.clone(),
            class.class_hash,
            class.compiled_class_hash,
            self.nonce().await?,
            bounds(1_000_000, 20_000, 8_000_000_000, self.prices),
        )?;
        self.send(&declare).await?;
        self.node.until_included(&declare).await?;
        let deploy = Call {
            to: ContractAddress::try_from(DEPLOYER)?,
            entry_point: "deployContract",
            calldata: vec![class.class_hash.0, Felt::ONE, Felt::ZERO, Felt::ZERO],
        };
        self.invoke(&[vec![deploy]]).await?;
        let salt = ContractAddressSalt(Felt::ONE);
        let (nothing, nobody) = (Calldata::default(), ContractAddress::default());
        Ok(calculate_contract_address(salt, class.class_hash, &nothing, nobody)?)
    }
}

/// Sends all transactions: a class that is declared, cells that are written, the load, and cells that are deleted.
/// Returns how many there were at least.
async fn transactions(node: &Node) -> anyhow::Result<u64> {
    let mut sender = Sender::new(node).await?;
    let probe = sender.probe().await?;
    // Too large to be compressed.
    let key = |index: u64| Felt::TWO.pow(200_u32) * Felt::from(7) + Felt::from(index);
    let call = |entry_point, calldata| vec![Call { to: probe, entry_point, calldata }];
    let sweeps = (0..CELLS / SWEEP).map(|index| vec![key(index * SWEEP), Felt::from(SWEEP)]);
    let sweeps: Vec<_> = sweeps.map(|calldata| call("storage_sweep", calldata)).collect();
    sender.invoke(&sweeps).await?;

    let accounts = node.accounts.to_str().context("the folder's name is no text")?;
    let count = TRANSACTIONS.to_string();
    let to = ["load", "--rpc", node.rpc.url(), "--accounts", accounts, "--quiet"];
    let what = ["--kind", "mixed", "--count", &count, "--rate", RATE];
    let said = run(&[&to[..], &what].concat()).await?;
    println!("{}", said.trim());

    let deleted = (0..DELETED).map(|index| vec![key(3 * index), Felt::ZERO]);
    let deleted = deleted.flat_map(|calldata| call("storage_write", calldata)).collect();
    sender.invoke(&[deleted]).await?;
    Ok(sender.sent + TRANSACTIONS)
}

/// Settles all blocks. Returns how many updates and blobs there were.
async fn settle(
    node: &Node,
    world: &World,
    chain_id: &ChainId,
    last: u64,
) -> anyhow::Result<(u64, u64)> {
    let (mut pending, mut updates, mut blobs) = (Vec::<ClosedBlock>::new(), 0, 0);
    let mut next = 1;
    while next <= last || !pending.is_empty() {
        let block = match next <= last {
            true => Some(ClosedBlock::of(&node.witness(next).await?)?),
            false => None,
        };
        next += 1;
        let length: usize = pending.iter().chain(&block).map(|block| block.data.len()).sum();
        let full = pending.len() == MAX_BLOCKS || length > MAX_BLOBS * BLOB_LENGTH;
        if !pending.is_empty() && (full || block.is_none()) {
            let update = update_over(chain_id, &pending, circuit_hash(b"any tree"))?;
            let count = update.data.len().div_ceil(BLOB_LENGTH);
            ensure!(count <= MAX_BLOBS, "an update of {count} blobs");
            world.settle(&update).await?;
            (updates, blobs) = (updates + 1, blobs + count as u64);
            pending.clear();
        }
        pending.extend(block);
    }
    Ok((updates, blobs))
}

/// Pins down that after thousands of transactions on a real chain calldata and blobs alone give the node's state.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "some thousand transactions; scripts/test --full"]
async fn the_state_after_thousands_of_transactions_is_rebuilt_from_l1() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let started = Instant::now();
    let node = Node::start(&folder.path().join("chain")).await?;
    let sent = transactions(&node).await?;
    let last = node.head().await?;
    let mut count = 0;
    for block in 1..=last {
        count += node.of_block::<u64>("starknet_getBlockTransactionCount", block).await?;
    }
    assert!(count >= sent && sent > TRANSACTIONS, "{count} transactions, {sent} sent");
    let chained = started.elapsed();

    let started = Instant::now();
    let chain_id = ChainId::Other("SN_SIDEREAL".to_owned());
    let first = node.header(0).await?;
    let genesis = Genesis { root: first.new_root, block_number: 0, block_hash: first.block_hash };
    let world = World::new(&chain_id, genesis, Proofs::TakenAtTheirWord).await?;
    let (updates, blobs) = settle(&node, &world, &chain_id, last).await?;
    assert_eq!(world.updates().await?.len() as u64, updates);
    assert!(blobs > updates, "{blobs} blobs of {updates} updates: none has several");
    let settled = started.elapsed();

    let started = Instant::now();
    world.rollup.record.write(Path::new(&path("l1.json")))?;
    let from = ["rebuild", "--from-l1", &path("l1.json"), "--data-dir", &path("rebuilt")];
    let said = run(&[&from[..], &["--compare", node.rpc.url()]].concat()).await?;
    let took = started.elapsed();
    println!("{}", said.trim());
    // Nothing has changed meanwhile.
    assert_eq!(node.head().await?, last);
    let root = node.header(last).await?.new_root;
    let expected = node.values(last).await?;
    let cells = expected.cells.len();
    let values = cells + expected.nonces.len() + expected.classes.len();
    assert!(cells as u64 > CELLS - DELETED, "{cells} cells");
    for line in [
        format!("rebuilt      {last} blocks from {updates} updates with {blobs} blobs: "),
        format!("root         {root:#x} after block {last}, equal to L1's stateRoot\n"),
        format!("node         has the same {values} values, hash and root\n"),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    let state = RebuiltState::open(Path::new(&path("rebuilt"))).await?;
    assert_eq!(rebuilt(&state).await?, expected);
    println!(
        "{count} transactions in {last} blocks ({:.0} s), settled by {updates} updates with {blobs} blobs ({:.0} s), \
         rebuilt and compared in {:.1} s: {cells} cells, {values} values",
        chained.as_secs_f64(),
        settled.as_secs_f64(),
        took.as_secs_f64()
    );
    Ok(())
}
