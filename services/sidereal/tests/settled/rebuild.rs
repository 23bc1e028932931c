//! A chain's state, rebuilt from what its contract, a real Anvil and that one's Beacon API have.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use alloy::hex;
use alloy::primitives::{Address, B256, U256};
use serde_json::{Value, json};
use sidereal::rebuild::blobs::{BlobSource, BlobSourceError};
use sidereal::rebuild::compare::compare;
use sidereal::rebuild::replay::{Applied, Rebuild, RebuildError};
use sidereal::rebuild::state::RebuiltState;
use sidereal::rebuild::{catch_up, state};
use sidereal::rpc::Rpc;
use sidereal::verify::gather::{self, gather, pins};
use sidereal::verify::settled::{BrokenL1Link, walk};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::testing::{
    Call, TestChain, contract, contracts_folder, declare, deploy_account, invoke, new_account,
    transfer,
};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_execution::witness::BlockWitness;
use sidereal_l1_settler::{
    Beacon, BeaconFailure, BlockIds, DeploymentRecord, L1Update, UpdatesError,
};
use sidereal_os_aggregator::claims::circuit_hash;
use sidereal_os_aggregator::{MAX_BLOCKS, blobs};
use sidereal_sequencer::genesis::{GenesisSection, allocate};
use sidereal_service::Secret;
use sidereal_settlement::deployment::Genesis;
use sidereal_settlement::{Blob, Update, versioned_hash};
use starknet_api::core::ContractAddress;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

use crate::node;
use crate::world::{Proofs, World, chain_id, update};

const LIMIT: Duration = Duration::from_secs(60);
/// Cells that each of the transactions that sweep storage writes.
const SWEEP: u64 = 250;
/// The last block of each update.
const UPDATES: [usize; 3] = [2, 5, 8];

/// The blocks of a chain after genesis, as they are proven.
struct Chain {
    genesis: Genesis,
    genesis_diff: ThinStateDiff,
    witnesses: Vec<BlockWitness>,
}

/// Eight blocks: a class that is declared, a contract and an account that are deployed, thousands of cells with keys
/// that have aliases, cells that are written again and deleted, a class that is replaced, and nothing.
static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let genesis =
        Genesis { root: chain.roots.global_root().0, block_number: 0, block_hash: chain.head().0 };
    let genesis_diff = chain.genesis.state_diff.clone();
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let account_class = genesis_diff.deployed_contracts[&alice.address];
    let carol = new_account(99, account_class);
    let probe = contract("probe");
    chain.classes.insert(Arc::new(probe.clone()));
    let mut witnesses = Vec::new();
    let mut block = |chain: &mut TestChain, transactions: &[BlockTransaction]| {
        // More cells than one proof holds make more of a test.
        let block = chain.limited_block(transactions, BlockLimits::none());
        assert_eq!(block.execution.transactions.len(), transactions.len());
        for receipt in &block.execution.receipts {
            let status = &receipt.execution_status;
            assert_eq!(*status, starknet_api::transaction::TransactionExecutionStatus::Succeeded);
        }
        let diff = block.execution.state_diff.clone();
        witnesses.push(block.witness);
        diff
    };

    let funded = transfer(carol.address, 10_u128.pow(20));
    block(&mut chain, &[declare(&alice, 0, &probe), invoke(&bob, 0, &[funded])]);
    let deployer = "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf";
    let deploy = Call {
        to: ContractAddress::try_from(Felt::from_hex_unchecked(deployer)).unwrap(),
        function: "deployContract",
        calldata: vec![probe.class_hash().0, Felt::ONE, Felt::ZERO, Felt::ZERO],
    };
    let deployed = [invoke(&alice, 1, &[deploy]), deploy_account(&carol, account_class)];
    let diff = block(&mut chain, &deployed);
    assert_eq!(diff.deployed_contracts.len(), 2);
    let contracts = diff.deployed_contracts.iter();
    let probe_at = *contracts.clone().find(|(_, class)| **class == probe.class_hash()).unwrap().0;
    let call = |function, calldata: Vec<Felt>| Call { to: probe_at, function, calldata };
    // Too large to be compressed.
    let key = |index: u64| Felt::TWO.pow(200_u32) * Felt::from(7) + Felt::from(index);
    let sweep = |first: u64| call("storage_sweep", vec![key(first), Felt::from(SWEEP)]);
    let mut nonce = 2;
    let mut invoked = |calls: &[Call]| {
        nonce += 1;
        invoke(&alice, nonce - 1, calls)
    };
    for group in 0..3_u64 {
        let sweeps: Vec<_> =
            (0..4).map(|index| invoked(&[sweep((4 * group + index) * SWEEP)])).collect();
        let diff = block(&mut chain, &sweeps);
        assert_eq!(diff.storage_diffs[&probe_at].len() as u64, 4 * SWEEP);
    }
    block(&mut chain, &[]);
    let write = |index, value: u64| call("storage_write", vec![key(index), Felt::from(value)]);
    let small = call("storage_write", vec![Felt::from(5), Felt::from(6)]);
    let changed: Vec<Call> = (0..40).map(|index| write(index, index % 2)).chain([small]).collect();
    block(&mut chain, &[invoked(&changed), invoke(&carol, 1, &[transfer(bob.address, 1)])]);
    let again: Vec<Call> = (30..50).map(|index| write(index, (index + 1) % 2)).collect();
    let replaced = call("replace_class", vec![account_class.0]);
    block(&mut chain, &[invoked(&again), invoked(&[replaced])]);
    assert_eq!(witnesses.len(), UPDATES[2]);
    Chain { genesis, genesis_diff, witnesses }
});

fn section() -> GenesisSection {
    GenesisSection { classes_folder: contracts_folder(), others: Vec::new(), ..Default::default() }
}

/// What settles the chain's blocks.
fn updates() -> Vec<Update> {
    let mut previous = 0;
    let blocks = |last| &CHAIN.witnesses[std::mem::replace(&mut previous, last)..last];
    let blocks: Vec<_> = UPDATES.into_iter().map(blocks).collect();
    blocks.into_iter().map(|blocks| update(blocks, circuit_hash(b"any tree")).unwrap()).collect()
}

/// Every value that the chain has now, by its own state diffs.
#[derive(Default, Debug, PartialEq)]
pub struct Values {
    pub cells: BTreeMap<(Felt, Felt), Felt>,
    pub nonces: BTreeMap<Felt, Felt>,
    pub classes: BTreeMap<Felt, Felt>,
}

fn values() -> Values {
    let mut values = Values::default();
    let diffs = CHAIN.witnesses.iter().map(|witness| &witness.state_diff);
    for diff in std::iter::once(&CHAIN.genesis_diff).chain(diffs) {
        for (address, cells) in &diff.storage_diffs {
            let cell =
                |(key, value): (&StorageKey, &Felt)| ((*address.0.key(), Felt::from(*key)), *value);
            values.cells.extend(cells.iter().map(cell));
        }
        let nonces = diff.nonces.iter().map(|(address, nonce)| (*address.0.key(), nonce.0));
        values.nonces.extend(nonces);
        let classes = diff.deployed_contracts.iter();
        values.classes.extend(classes.map(|(address, class)| (*address.0.key(), class.0)));
    }
    values.cells.retain(|_, value| *value != Felt::ZERO);
    values
}

/// Every value in the file, read in small pieces.
pub async fn rebuilt(state: &RebuiltState) -> anyhow::Result<Values> {
    let mut values = Values::default();
    let mut last = None;
    loop {
        let cells = state.cells(last, 999).await?;
        let Some((address, key, _)) = cells.last() else { break };
        last = Some((*address, *key));
        values.cells.extend(cells.into_iter().map(|(address, key, value)| ((address, key), value)));
    }
    let mut last = None;
    loop {
        let nonces = state.nonces(last, 2).await?;
        let Some((address, _)) = nonces.last() else { break };
        last = Some(*address);
        values.nonces.extend(nonces);
    }
    values.classes.extend(state.contracts(None, 1_000).await?);
    Ok(values)
}

async fn world() -> anyhow::Result<World> {
    let world = World::new(&chain_id(), CHAIN.genesis, Proofs::TakenAtTheirWord).await?;
    for update in updates() {
        world.settle(&update).await?;
    }
    Ok(world)
}

async fn begin(world: &World, folder: &Path) -> anyhow::Result<Rebuild> {
    let state = RebuiltState::open(folder).await?;
    let record = &world.rollup.record;
    let genesis = world.rollup.l1.genesis(record.rollup_core, record.l1_block).await?;
    assert_eq!(genesis, CHAIN.genesis);
    let diff = allocate(&section()).await?.state_diff;
    Ok(Rebuild::begin(state, "this one".to_owned(), &diff, &genesis, record.l1_block).await?)
}

fn beacon(url: &str) -> Beacon {
    Beacon::new(&Secret::new(url.to_owned()), LIMIT).unwrap()
}

/// Pins down that genesis, calldata and blobs are the whole state; that the folder of blobs is filled and then enough;
/// that a rebuild that was cut off goes on; and what is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_rebuilt_from_l1_alone() -> anyhow::Result<()> {
    let world = world().await?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let anvil = beacon(&world.anvil.url);
    let ids = anvil.block_ids().await?;
    assert_eq!(ids, BlockIds::Numbers);
    let kept = BlobSource { folder: Some(path("blobs")), beacon: Some((anvil.clone(), ids)) };
    let updates = world.updates().await?;

    // Cut off after the first update.
    let mut rebuild = begin(&world, &path("first")).await?;
    let blobs_of = async |index: usize| kept.blobs(&world.rollup.l1, &updates[index]).await;
    let first = rebuild.apply(&updates[0], &blobs_of(0).await?).await?;
    assert_eq!((first.updates, first.blocks), (1, 2));
    drop(rebuild);
    let state = RebuiltState::open(&path("first")).await?;
    let (name, reached) = state.reached().await?.unwrap();
    assert_eq!((name.as_str(), reached.block_number), ("this one", 2));
    assert_eq!(reached.root(), CHAIN.witnesses[1].header.state_root);
    let mut rebuild = Rebuild::resume(state.clone(), name, reached);
    let rest = catch_up(&mut rebuild, &world.rollup, &kept).await?;
    assert_eq!((rest.updates, rest.blocks), (2, 6));
    // Again there is nothing to do.
    let nothing = catch_up(&mut rebuild, &world.rollup, &kept).await?;
    assert_eq!(nothing, Applied::default());

    let reached = rebuild.reached().clone();
    let last = &CHAIN.witnesses[7].header;
    assert_eq!((reached.root(), reached.block_hash), (last.state_root, last.hash.0));
    let expected = values();
    assert!(expected.cells.len() > 5_900, "{} cells", expected.cells.len());
    assert_eq!(rebuilt(&state).await?, expected);
    let counts = state.counts().await?;
    assert_eq!(counts.cells, expected.cells.len() as u64);
    assert_eq!(
        counts.classes,
        CHAIN.genesis_diff.class_hash_to_compiled_class_hash.len() as u64 + 1
    );

    // Without anybody to ask, in one go.
    let alone = BlobSource { folder: Some(path("blobs")), beacon: None };
    let mut again = begin(&world, &path("second")).await?;
    let all = catch_up(&mut again, &world.rollup, &alone).await?;
    assert_eq!((all.updates, all.blocks, all.blobs), (3, 8, first.blobs + rest.blobs));
    assert!(all.blobs > 3, "an update has more than one blob");
    assert_eq!(again.reached(), &reached);

    order_is_refused(&world, &path("third"), &updates, &kept).await?;
    files_are_refused(&world, &path("blobs"), &updates, &alone).await?;
    node_is_compared(&state, &reached).await?;
    command_says(&world, folder.path())?;
    Ok(())
}

/// Pins down that what an update's transaction says, which outsiders can choose, does not matter to a rebuild, and to a
/// verification only for the blocks of that update.
#[tokio::test(flavor = "multi_thread")]
async fn updates_through_other_contracts_harm_nobody_else() -> anyhow::Result<()> {
    let world = World::new(&chain_id(), CHAIN.genesis, Proofs::TakenAtTheirWord).await?;
    let [first, second, third] = &updates()[..] else { anyhow::bail!("three updates") };
    world.settle(first).await?;
    let mut lie = second.clone();
    lie.output.final_root += Felt::ONE;
    world.settle_through_a_liar(&lie, second).await?;
    // More blocks than an update may have: this cannot be read.
    let mut unreadable = third.clone();
    unreadable.output.block_number += Felt::from(MAX_BLOCKS);
    world.settle_through_a_liar(&unreadable, third).await?;

    let updates = world.updates().await?;
    let l1 = &world.rollup.l1;
    assert_eq!(l1.settled(&updates[0]).await?.output, first.output);
    assert_eq!(l1.settled(&updates[1]).await?.output, lie.output);
    let transaction = updates[2].transaction;
    let error = l1.settled(&updates[2]).await.unwrap_err();
    assert!(matches!(error, UpdatesError::Indirect { transaction: t, .. } if t == transaction));

    let folder = tempfile::tempdir()?;
    let anvil = beacon(&world.anvil.url);
    let source = BlobSource { folder: None, beacon: Some((anvil, BlockIds::Numbers)) };
    let mut rebuild = begin(&world, folder.path()).await?;
    let applied = catch_up(&mut rebuild, &world.rollup, &source).await?;
    assert_eq!((applied.updates, applied.blocks), (3, 8));
    assert_eq!(rebuild.reached().root(), CHAIN.witnesses[7].header.state_root);

    let pins = pins(&chain_id())?;
    let walked = async |block| {
        let evidence = gather(&world.rollup, block, Duration::ZERO, &Outputs).await?;
        Ok::<_, anyhow::Error>(walk(&evidence, block, &pins, &mut |_| {}).unwrap_err())
    };
    // The blocks' own outputs, not the test's, would get on.
    let honest = walked(2).await?;
    assert!(matches!(honest, BrokenL1Link::TreeHash { .. }), "{honest}");
    let lied = walked(3).await?;
    assert!(matches!(lied, BrokenL1Link::Event { what: "state root" }), "{lied}");
    let error = walked(6).await.unwrap_err();
    assert!(error.to_string().contains("blocks 6 to 8"), "{error}");
    let error = error.downcast_ref::<UpdatesError>();
    assert!(matches!(error, Some(UpdatesError::Indirect { .. })), "{error:?}");
    Ok(())
}

struct Outputs;

impl gather::Chain for Outputs {
    async fn genesis(&self) -> anyhow::Result<Genesis> {
        Ok(CHAIN.genesis)
    }

    async fn output(&self, block: u64) -> anyhow::Result<Vec<Felt>> {
        Ok(vec![Felt::from(block)])
    }
}

/// An update out of order, with other blobs, or with a root that its blobs do not lead to.
async fn order_is_refused(
    world: &World,
    folder: &Path,
    updates: &[L1Update],
    source: &BlobSource,
) -> anyhow::Result<()> {
    let mut rebuild = begin(world, folder).await?;
    let mut blobs = Vec::new();
    for update in updates {
        blobs.push(source.blobs(&world.rollup.l1, update).await?);
    }
    let early = rebuild.apply(&updates[1], &blobs[1]).await.unwrap_err();
    assert!(matches!(early, RebuildError::Order { what: "block", .. }), "{early}");
    let mut other = updates[0].clone();
    other.event.previousBlockHash += U256::ONE;
    let error = rebuild.apply(&other, &blobs[0]).await.unwrap_err();
    assert!(matches!(error, RebuildError::Order { what: "block hash", .. }), "{error}");
    let mut other = updates[0].clone();
    other.event.previousRoot += U256::ONE;
    let error = rebuild.apply(&other, &blobs[0]).await.unwrap_err();
    assert!(matches!(error, RebuildError::Order { what: "root", .. }), "{error}");

    let error = rebuild.apply(&updates[0], &blobs[2]).await.unwrap_err();
    assert!(matches!(error, RebuildError::OtherBlob { blob: 0, .. }), "{error}");
    let error = rebuild.apply(&updates[0], &[]).await.unwrap_err();
    assert!(matches!(error, RebuildError::BlobCount { found: 0, .. }), "{error}");
    // The blobs hold the state diffs of two blocks.
    for last in [1, 3] {
        let mut other = updates[0].clone();
        other.event.newBlockNumber = U256::from(last);
        let error = rebuild.apply(&other, &blobs[0]).await.unwrap_err();
        assert!(matches!(error, RebuildError::Data { .. }), "{last}: {error}");
    }
    for last in [U256::ZERO, U256::from(MAX_BLOCKS + 1), U256::MAX] {
        let mut other = updates[0].clone();
        other.event.newBlockNumber = last;
        let error = rebuild.apply(&other, &blobs[0]).await.unwrap_err();
        assert!(matches!(error, RebuildError::Numbers { first: 1, .. }), "{error}");
    }
    let mut other = updates[0].clone();
    other.event.newRoot = U256::MAX;
    let error = rebuild.apply(&other, &blobs[0]).await.unwrap_err();
    assert!(matches!(error, RebuildError::NoFelt { what: "new root", .. }), "{error}");
    let mut other = updates[0].clone();
    other.event.newRoot += U256::ONE;
    let error = rebuild.apply(&other, &blobs[0]).await.unwrap_err();
    assert!(matches!(error, RebuildError::Root { block: 2, .. }), "{error}");

    // Nothing of that was kept.
    assert_eq!(rebuild.reached().block_number, 0);
    rebuild.apply(&updates[0], &blobs[0]).await?;
    let twice = rebuild.apply(&updates[0], &blobs[0]).await.unwrap_err();
    assert!(matches!(twice, RebuildError::Order { what: "block", .. }), "{twice}");

    let richer = GenesisSection { balance_strk: 1, ..section() };
    let diff = allocate(&richer).await?.state_diff;
    let state = RebuiltState::open(&folder.join("richer")).await?;
    let other = Rebuild::begin(state, String::new(), &diff, &CHAIN.genesis, 1).await.unwrap_err();
    assert!(matches!(other, RebuildError::Genesis { .. }), "{other}");
    Ok(())
}

/// A file that was changed, one that is cut off, and one that is missing.
async fn files_are_refused(
    world: &World,
    folder: &Path,
    updates: &[L1Update],
    alone: &BlobSource,
) -> anyhow::Result<()> {
    let file = folder.join(format!("{}.blob", updates[1].event.blobs[0]));
    let whole = std::fs::read(&file)?;
    assert_eq!(whole.len(), 131_072);
    let mut flipped = whole.clone();
    flipped[77] ^= 1;
    let longer = [&whole[..], &[0]].concat();
    for bytes in [&flipped[..], &whole[..100], &longer] {
        std::fs::write(&file, bytes)?;
        let error = alone.blobs(&world.rollup.l1, &updates[1]).await.unwrap_err();
        assert!(matches!(error, BlobSourceError::OtherFile { .. }), "{error}");
    }
    std::fs::remove_file(&file)?;
    let error = alone.blobs(&world.rollup.l1, &updates[1]).await.unwrap_err();
    assert!(matches!(error, BlobSourceError::NobodyToAsk { .. }), "{error}");
    std::fs::write(&file, whole)?;
    Ok(())
}

/// What a node answers wrongly: the method, or the block's field, and the contract and key.
type Lie = (&'static str, Felt, Felt);

/// A node with the same values, and one with a single other one of each kind.
async fn node_is_compared(state: &RebuiltState, reached: &state::Reached) -> anyhow::Result<()> {
    let values = values();
    let cell = *values.cells.keys().nth(3_000).unwrap();
    let (nonce, class) =
        (*values.nonces.keys().last().unwrap(), *values.classes.keys().next().unwrap());
    let lies: [(&str, Option<Lie>); 6] = [
        ("", None),
        ("cell", Some(("starknet_getStorageAt", cell.0, cell.1))),
        ("nonce", Some(("starknet_getNonce", nonce, Felt::ZERO))),
        ("class hash", Some(("starknet_getClassHashAt", class, Felt::ZERO))),
        ("state root", Some(("new_root", Felt::ZERO, Felt::ZERO))),
        ("hash", Some(("block_hash", Felt::ZERO, Felt::ZERO))),
    ];
    let count = (values.cells.len() + values.nonces.len() + values.classes.len()) as u64;
    let values = Arc::new(values);
    for (name, lie) in lies {
        let (values, reached_there) = (values.clone(), reached.clone());
        let url = node::serve(move |_, body| {
            let request: Value = serde_json::from_slice(body).unwrap();
            let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
            assert_eq!(params["block_id"], json!({ "block_number": 8 }));
            let felt =
                |name: &str| serde_json::from_value(params[name].clone()).unwrap_or(Felt::ZERO);
            let (address, key) = (felt("contract_address"), felt("key"));
            let off = |method: &str| {
                if lie == Some((method, address, key)) { Felt::ONE } else { Felt::ZERO }
            };
            let result = match method {
                "starknet_getStorageAt" => json!(values.cells[&(address, key)] + off(method)),
                "starknet_getNonce" => json!(values.nonces[&address] + off(method)),
                "starknet_getClassHashAt" => json!(values.classes[&address] + off(method)),
                _ => json!({
                    "block_hash": reached_there.block_hash + off("block_hash"),
                    "new_root": reached_there.root().0 + off("new_root"),
                }),
            };
            node::result(&result)
        })
        .await?;
        let compared = compare(state, reached, &Rpc::new(url)).await;
        match lie {
            None => assert_eq!(compared?, count),
            Some(_) => {
                let error = compared.unwrap_err().to_string();
                assert!(error.contains(name) && error.contains("the node"), "{name}: {error}");
            }
        }
    }
    Ok(())
}

/// The command itself, with the record and a sequencer's configuration as files.
fn command_says(world: &World, folder: &Path) -> anyhow::Result<()> {
    let record = folder.join("l1.json");
    world.rollup.record.write(&record)?;
    let genesis = folder.join("sequencer.toml");
    let classes = contracts_folder();
    let text =
        format!("[genesis]\nclasses_folder = {:?}\nothers = []\n", classes.display().to_string());
    std::fs::write(&genesis, text)?;
    let run = |record: &Path, state: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidereal"));
        command.arg("rebuild").arg("--from-l1").arg(record);
        command.arg("--data-dir").arg(folder.join(state)).args(arguments);
        command.env_remove("SIDEREAL_L1_URL").env_remove("SIDEREAL_BEACON_URL").output()
    };
    let genesis = genesis.display().to_string();
    let done = run(&record, "state", &["--genesis", &genesis])?;
    let said = String::from_utf8(done.stdout)?;
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let root = CHAIN.witnesses[7].header.state_root.0;
    for line in [
        "equal to the root that the contract was deployed with",
        "rebuilt      8 blocks from 3 updates",
        &format!("root         {root:#x} after block 8, equal to L1's stateRoot"),
    ] {
        assert!(said.contains(line), "{said}");
    }
    let again = run(&record, "state", &[])?;
    let said = String::from_utf8(again.stdout)?;
    assert!(said.contains("state        is there up to block 8"), "{said}");
    let other = folder.join("other.json");
    let rollup_core = Address::repeat_byte(1);
    DeploymentRecord { rollup_core, ..world.rollup.record.clone() }.write(&other)?;
    let nobody = folder.join("nobody.json");
    DeploymentRecord { beacon_url: None, ..world.rollup.record.clone() }.write(&nobody)?;
    // URLs, which may hold a key, are not shown.
    let secret = "http://127.0.0.1:1/5eed";
    let refused: [(&Path, &str, &[&str], &str); 6] = [
        (&other, "state", &[], "holds the state of the rollup 31337:"),
        (&nobody, "state", &[], "the record names no Beacon API"),
        // A dev chain declares more classes.
        (&record, "dev", &[], "the genesis has the root"),
        (&record, "dev", &["--seed", "1"], "the genesis has the root"),
        (&record, "state", &["--l1-url", secret], "the node cannot be reached"),
        (&record, "state", &["--beacon-url", secret], "the beacon node cannot be reached"),
    ];
    for (record, state, arguments, message) in refused {
        let failed = run(record, state, arguments)?;
        let said = String::from_utf8(failed.stderr)?;
        assert!(!failed.status.success() && said.contains(message), "{said}");
        assert!(!said.contains("5eed"), "{said}");
    }
    Ok(())
}

/// Pins down what is asked of a real beacon node, by slot, and that nothing else than the blob is taken for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_node_is_asked_by_slot_and_not_believed() -> anyhow::Result<()> {
    let made = |value: u64| Box::new(blobs(&[Felt::from(value)]).unwrap().remove(0));
    let (good, other) = (made(7), made(8));
    let hash = versioned_hash(&good)?;
    let text = |blob: &Blob| format!("0x{}", hex::encode(&blob[..]));
    let (good_text, other_text) = (text(&good), text(&other));
    let asked = format!("?versioned_hashes={hash}");
    let url = node::serve(move |path, _| {
        let data = |blobs: &[&str]| (200, json!({ "data": blobs }).to_string().into_bytes());
        let Some(slot) = path.strip_prefix("/key/eth/v1/beacon/blobs/") else {
            return match path {
                "/key/eth/v1/config/spec" => {
                    (200, json!({ "data": { "SECONDS_PER_SLOT": "12" } }).to_string().into_bytes())
                }
                "/key/eth/v1/beacon/genesis" => (
                    200,
                    json!({ "data": { "genesis_time": "1606824023" } }).to_string().into_bytes(),
                ),
                _ => (400, Vec::new()),
            };
        };
        match slot.strip_suffix(&asked) {
            Some("1") => data(&[&good_text]),
            Some("2") => data(&[&other_text, &good_text]),
            Some("3") => data(&[&other_text]),
            Some("4") => data(&[]),
            Some("5") => {
                (404, json!({ "code": 404, "message": "not found" }).to_string().into_bytes())
            }
            Some("6") => data(&["0x00"]),
            Some("7") => (200, b"no JSON".to_vec()),
            Some("8") => (200, vec![b' '; 9_000_000]),
            _ => (503, Vec::new()),
        }
    })
    .await?;
    let beacon = beacon(&format!("{url}/key/"));
    let ids = beacon.block_ids().await?;
    assert_eq!(ids, BlockIds::Slots { genesis_time: 1_606_824_023, slot_ms: 12_000 });
    assert_eq!(*beacon.blob(1, hash).await?, *good);
    assert_eq!(*beacon.blob(2, hash).await?, *good);
    let refused = async |slot| beacon.blob(slot, hash).await.unwrap_err().source;
    assert!(matches!(refused(3).await, BeaconFailure::OtherBlob { hash: h } if h == hash));
    for slot in [4, 5] {
        let missing = refused(slot).await;
        assert!(matches!(missing, BeaconFailure::NoBlob { block_id, .. } if block_id == slot));
    }
    for slot in [6, 7] {
        assert!(matches!(refused(slot).await, BeaconFailure::Malformed(_)));
    }
    assert!(matches!(refused(8).await, BeaconFailure::TooLarge));
    assert!(matches!(refused(9).await, BeaconFailure::Http(503)));
    let nobody = self::beacon("http://127.0.0.1:1/key").blob(1, B256::ZERO).await.unwrap_err();
    assert!(matches!(nobody.source, BeaconFailure::Unreachable(_)));
    assert!(!format!("{nobody:?}").contains("key"));
    Ok(())
}
