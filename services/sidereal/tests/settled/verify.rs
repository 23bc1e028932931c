//! The links from a block to L1: all hold for two real blocks, their real aggregated proof and the contracts as they are
//! deployed; and each is broken alone.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U64, U256};
use anyhow::Context as _;
use serde_json::{Value, json};
use sidereal::verify::Bundle;
use sidereal::verify::gather::{Chain, gather, pins};
use sidereal::verify::settled::{BrokenL1Link, Evidence, L1Link, Pins, walk};
use sidereal_block_prover::BlockProof;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::replay::replay;
use sidereal_execution::testing::{TestChain, invoke, transfer};
use sidereal_execution::witness::{BlockWitness, WitnessLimits};
use sidereal_l1_settler::{Delays, DeploymentRecord};
use sidereal_os_aggregator::claims::{block_claim, wrap_output};
use sidereal_os_aggregator::{AggregatedOutput, joined_data};
use sidereal_settlement::RollupCore::ProofSystem;
use sidereal_settlement::Update;
use sidereal_settlement::deployment::Genesis;
use sidereal_starknet_os::{OsInput, OutputForm, run_os};
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;

use crate::node;
use crate::world::{Proofs, World, chain_id, update};

/// What StarknetOS writes for the two blocks of the stored proof: ten transfers each.
static OUTPUTS: LazyLock<Vec<Vec<Felt>>> = LazyLock::new(|| {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let mut block = |first: u64| {
        let transfers: Vec<_> = (first..first + 10)
            .map(|nonce| invoke(&alice, nonce, &[transfer(bob.address, 1 + u128::from(nonce))]))
            .collect();
        let witness = chain.block(&transfers).witness;
        let input = OsInput::of_block(&witness, replay(&witness).unwrap()).unwrap();
        run_os(&input, OutputForm::PROVEN).unwrap().output
    };
    vec![block(0), block(10)]
});

/// The stored proof over them, as an update.
fn stored_update() -> Update {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contracts/solidity/test/fixtures/aggregation");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let fixture: serde_json::Value = serde_json::from_slice(&read("update.json")).unwrap();
    let words: Vec<Felt> = serde_json::from_value(fixture["output"].clone()).unwrap();
    Update {
        output: AggregatedOutput::decode(&words).unwrap(),
        data: joined_data(&OUTPUTS).unwrap(),
        proof: read("proof.bin").into(),
    }
}

struct Stored;

fn genesis(output: &AggregatedOutput) -> Genesis {
    let block_hash = output.previous_block_hash;
    Genesis { root: output.initial_root, block_number: 0, block_hash }
}

impl Chain for Stored {
    async fn genesis(&self) -> anyhow::Result<Genesis> {
        Ok(genesis(&stored_update().output))
    }

    async fn output(&self, block: u64) -> anyhow::Result<Vec<Felt>> {
        Ok(OUTPUTS[usize::try_from(block)? - 1].clone())
    }
}

/// The contracts of a release over the fixture's genesis.
async fn world(update: &Update) -> anyhow::Result<World> {
    World::new(&chain_id(), genesis(&update.output), Proofs::Verified).await
}

async fn evidence(world: &World, block: u64) -> anyhow::Result<Evidence> {
    gather(&world.rollup, block, Duration::ZERO, &Stored).await
}

fn broken(evidence: &Evidence, pins: &Pins) -> BrokenL1Link {
    walk(evidence, 1, pins, &mut |_| {}).unwrap_err()
}

/// Changes one thing, and returns the link that breaks by that.
fn breaks(honest: &Evidence, change: impl FnOnce(&mut Evidence)) -> BrokenL1Link {
    let mut evidence = honest.clone();
    change(&mut evidence);
    broken(&evidence, &pins(&chain_id()).unwrap())
}

/// Pins down that both blocks lead to L1's state, once they are settled and not before; and each way in which one of
/// the links can fail, with the error that names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_settled_block_is_walked_to_the_state_on_l1() -> anyhow::Result<()> {
    let update = stored_update();
    let world = world(&update).await?;
    let error = evidence(&world, 1).await.unwrap_err().to_string();
    assert!(
        error.starts_with("block 1 is not settled yet: the contract on L1 holds block 0"),
        "{error}"
    );

    world.settle(&update).await?;
    world.anvil.mine(3).await?;
    let pins = pins(&chain_id())?;
    let honest = evidence(&world, 1).await?;
    for block in [1, 2] {
        let mut told = Vec::new();
        let links = walk(&honest, block, &pins, &mut |link| told.push(link.clone()))?;
        assert_eq!(links, told);
        let [L1Link::Batch { first: 1, last: 2, .. }, L1Link::LastProof { .. }, contract] =
            &links[..]
        else {
            anyhow::bail!("{links:?}");
        };
        let address = world.rollup.record.rollup_core;
        let l1_block = honest.update.block;
        let genesis = genesis(&update.output);
        let delays = Delays { operator_silence_s: 86_400, upgrade_delay_s: 172_800 };
        let expected = L1Link::Contract {
            address,
            held: 2,
            l1_block,
            depth: 3,
            genesis,
            delays,
            pending_upgrade: None,
        };
        assert_eq!(*contract, expected);
        let (said, root) = (contract.to_string(), format!("root {:#x} of block 0", genesis.root));
        for part in [&root, "after 86400 s without an update", "172800 s after its announcement"] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(matches!(
        walk(&honest, 3, &pins, &mut |_| {}),
        Err(BrokenL1Link::OtherBlocks { block: 3, first: 1, last: 2 })
    ));
    let error = evidence(&world, 3).await.unwrap_err().to_string();
    assert!(
        error.starts_with("block 3 is not settled yet: the contract on L1 holds block 2"),
        "{error}"
    );

    batch_breaks(&honest);
    last_proof_breaks(&honest);
    contract_breaks(&honest);

    // Another chain's programs are the same, its configuration is not.
    let other = sidereal::verify::gather::pins(&ChainId::Other("ANOTHER".to_owned()))?;
    let error = broken(&honest, &other);
    assert!(
        matches!(error, BrokenL1Link::ProofSystem { what: "chain configuration", .. }),
        "{error}"
    );

    // A contract with another byte; and the verifier with its two parts.
    let address = world.rollup.record.rollup_core;
    let verifier = world.rollup.record.verifier;
    let parts = [1, 2].map(|nonce| verifier.create(nonce));
    for contract in [address, verifier, parts[0], parts[1]] {
        let code: Bytes = world.anvil.ask("eth_getCode", (contract, "latest")).await?;
        let mut other = code.to_vec();
        // Behind the end of the program, where nothing runs into it.
        *other.last_mut().context("it has code")? ^= 1;
        world.anvil.ask::<_, ()>("anvil_setCode", (contract, Bytes::from(other))).await?;
        world.anvil.mine(1).await?;
        let error = broken(&evidence(&world, 1).await?, &pins);
        if contract == address {
            assert!(matches!(error, BrokenL1Link::Code { .. }), "{error}");
        } else {
            assert!(matches!(error, BrokenL1Link::Verifier { .. }), "{contract}: {error}");
        }
        world.anvil.ask::<_, ()>("anvil_setCode", (contract, code)).await?;
        world.anvil.mine(1).await?;
        walk(&evidence(&world, 1).await?, 1, &pins, &mut |_| {})?;
    }

    // What L1 takes back is not settled.
    let head: U64 = world.anvil.ask("eth_blockNumber", ()).await?;
    world.anvil.reorg(head.to::<u64>() - world.rollup.record.l1_block).await?;
    assert!(evidence(&world, 1).await.unwrap_err().to_string().contains("not settled"));
    Ok(())
}

fn batch_breaks(honest: &Evidence) {
    let event = breaks(honest, |it| it.update.event.newRoot += U256::ONE);
    assert!(matches!(event, BrokenL1Link::Event { what: "state root" }), "{event}");
    let event = breaks(honest, |it| it.settled.output.block_hash += Felt::ONE);
    assert!(matches!(event, BrokenL1Link::Event { what: "hash of the last block" }), "{event}");
    let few = breaks(honest, |it| it.outputs.truncate(1));
    assert!(matches!(few, BrokenL1Link::OutputCount { expected: 2, found: 1 }), "{few}");
    let many = breaks(honest, |it| it.outputs.push(it.outputs[0].clone()));
    assert!(matches!(many, BrokenL1Link::OutputCount { expected: 2, found: 3 }), "{many}");
    for (block, word) in [(0, 5), (1, 0), (1, 15)] {
        let other = breaks(honest, |it| it.outputs[block][word] += Felt::ONE);
        assert!(matches!(other, BrokenL1Link::TreeHash { .. }), "{other}");
    }
    let swapped = breaks(honest, |it| it.outputs.swap(0, 1));
    assert!(matches!(swapped, BrokenL1Link::TreeHash { .. }), "{swapped}");
    let tree = breaks(honest, |it| it.settled.output.tree_hash[0] ^= 1);
    assert!(matches!(tree, BrokenL1Link::TreeHash { .. }), "{tree}");
    let wrap = breaks(honest, |it| it.settled.output.wrap_root[9] ^= 1);
    assert!(matches!(wrap, BrokenL1Link::Circuit { circuit: "wrapping" }), "{wrap}");
    let merge = breaks(honest, |it| it.settled.output.merge_root[9] ^= 1);
    assert!(matches!(merge, BrokenL1Link::Circuit { circuit: "merging" }), "{merge}");
}

fn last_proof_breaks(honest: &Evidence) {
    let length = honest.settled.proof.len();
    for at in [0, length / 3, length / 2, length - 1] {
        let flipped = breaks(honest, |it| {
            let mut proof = it.settled.proof.to_vec();
            proof[at] ^= 1;
            it.settled.proof = proof.into();
        });
        assert!(matches!(flipped, BrokenL1Link::LastProof(_)), "byte {at}: {flipped}");
    }
    // Words that neither the event nor the tree has: only the proof binds them.
    let point = breaks(honest, |it| it.settled.output.blobs.point += Felt::ONE);
    assert!(matches!(point, BrokenL1Link::LastProof(_)), "{point}");
    let config = breaks(honest, |it| it.settled.output.config_hash += Felt::ONE);
    assert!(matches!(config, BrokenL1Link::LastProof(_)), "{config}");
}

type Change = fn(&mut ProofSystem);

fn system(evidence: &mut Evidence, now: bool) -> &mut ProofSystem {
    let contract = &mut evidence.contract;
    if now { &mut contract.system } else { &mut contract.in_force[0].system }
}

fn began(evidence: &mut Evidence) -> &mut Genesis {
    evidence.contract.created.as_mut().unwrap()
}

fn contract_breaks(honest: &Evidence) {
    let failed = breaks(honest, |it| it.contract.succeeded = false);
    assert!(matches!(failed, BrokenL1Link::Transaction { .. }), "{failed}");
    let code = breaks(honest, |it| it.contract.our_code = None);
    assert!(matches!(code, BrokenL1Link::Code { .. }), "{code}");
    let created = breaks(honest, |it| it.contract.created = None);
    assert!(matches!(created, BrokenL1Link::Creation { .. }), "{created}");
    let genesis = breaks(honest, |it| began(it).root += Felt::ONE);
    assert!(matches!(genesis, BrokenL1Link::Genesis { what: "state root", .. }), "{genesis}");
    let genesis = breaks(honest, |it| it.genesis.block_hash += Felt::ONE);
    assert!(matches!(genesis, BrokenL1Link::Genesis { what: "hash", .. }), "{genesis}");
    let first = breaks(honest, |it| began(it).block_number = 1);
    assert!(matches!(first, BrokenL1Link::FirstBlock { block: 1 }), "{first}");
    let nothing = breaks(honest, |it| it.contract.in_force.clear());
    assert!(matches!(nothing, BrokenL1Link::NoProofSystem { .. }), "{nothing}");

    assert_eq!(honest.contract.in_force.len(), 1);
    for now in [false, true] {
        let when = if now { "now" } else { "at the update" };
        let changes: [(&str, Change); 7] = [
            ("StarknetOS", |it| it.osProgramHash += U256::ONE),
            ("aggregator", |it| it.aggregatorProgramHash += U256::ONE),
            ("chain configuration", |it| it.configHash += U256::ONE),
            ("circuit that wraps", |it| it.wrapRoot += U256::ONE),
            ("circuit that merges", |it| it.mergeRoot += U256::ONE),
            ("circuit that shrinks", |it| it.shrinkRoots[0] += U256::ONE),
            ("circuit that compacts", |it| it.shrinkRoots[1] += U256::ONE),
        ];
        for (name, change) in changes {
            let error = breaks(honest, |it| change(system(it, now)));
            let BrokenL1Link::ProofSystem { when: w, what, .. } = error else { panic!("{error}") };
            assert_eq!((w, what), (when, name));
        }
        let short = breaks(honest, |it| system(it, now).shrinkRoots.truncate(1));
        assert!(matches!(short, BrokenL1Link::ShrinkCount { found: 1, .. }), "{short}");
    }
    // A system that came later than the update, and is not in force any more, says nothing about the update's state.
    let mut later = honest.clone();
    let mut system = later.contract.in_force[0].clone();
    system.block = later.update.block + 1;
    system.system.configHash += U256::ONE;
    later.contract.in_force.push(system.clone());
    let pins = pins(&chain_id()).unwrap();
    walk(&later, 1, &pins, &mut |_| {}).unwrap();
    // The later state, it could have made: that system, or its verifier.
    later.contract.in_force.push(honest.contract.in_force[0].clone());
    later.contract.held.block_number = 3;
    let error = broken(&later, &pins);
    assert!(matches!(error, BrokenL1Link::ProofSystem { when: "since the update", .. }), "{error}");
    let other = Address::repeat_byte(7);
    later.contract.in_force[1].system = honest.contract.system.clone();
    walk(&later, 1, &pins, &mut |_| {}).unwrap();
    later.contract.in_force[1].system.verifier = other;
    let error = broken(&later, &pins);
    assert!(matches!(error, BrokenL1Link::Verifier { verifier } if verifier == other), "{error}");
    // In the update's own block, or right before it, it does.
    for block in [honest.update.block, honest.update.block - 1] {
        system.block = block;
        let other = breaks(honest, |it| it.contract.in_force.push(system.clone()));
        assert!(
            matches!(other, BrokenL1Link::ProofSystem { when: "at the update", .. }),
            "{other}"
        );
    }

    let verifier = breaks(honest, |it| it.contract.our_verifiers.clear());
    assert!(matches!(verifier, BrokenL1Link::Verifier { .. }), "{verifier}");

    let behind = breaks(honest, |it| it.contract.held.block_number = 1);
    assert!(matches!(behind, BrokenL1Link::Behind { held: 1, last: 2 }), "{behind}");
    let hash = breaks(honest, |it| it.contract.held.block_hash += Felt::ONE);
    assert!(matches!(hash, BrokenL1Link::Held { what: "hash", .. }), "{hash}");
    let root = breaks(honest, |it| it.contract.held.root += Felt::ONE);
    assert!(matches!(root, BrokenL1Link::Held { what: "state root", .. }), "{root}");
    // Past the update, L1 holds another state: the later one.
    let mut past = honest.clone();
    past.contract.held.block_number = 9;
    past.contract.held.root += Felt::ONE;
    walk(&past, 1, &pins, &mut |_| {}).unwrap();
    // An upgrade that waits breaks no link, and is told.
    past.contract.pending_upgrade = Some(1_800_000_000);
    let links = walk(&past, 1, &pins, &mut |_| {}).unwrap();
    let said = links.last().unwrap().to_string();
    assert!(said.ends_with(": one is announced, for the Unix time 1800000000"), "{said}");
}

/// Pins down what the command itself does: it says that a block is not settled; and of one whose update the contract
/// took without a proof (the double is its verifier), that the batch holds the block, and that there is no proof.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_goes_on_to_l1() -> anyhow::Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let bundle = Bundle::read(&data.join("transfer.bundle"))?;
    let witness = BlockWitness::decode(&bundle.witness, WitnessLimits::default())?;
    let header = witness.header.clone();
    let genesis = Genesis {
        root: witness.previous_state_root.0,
        block_number: 0,
        block_hash: header.parent_hash.0,
    };
    let chain_id = witness.environment.chain_id.clone();
    let world = World::new(&chain_id, genesis, Proofs::TakenAtTheirWord).await?;

    let hash = format!("{:#x}", bundle.transaction_hash.0);
    let output = BlockProof::decode(&bundle.proof)?.output;
    let url = node::serve(move |path, body| match path {
        "/proofs/1/raw" => (200, bundle.proof.clone()),
        "/witnesses/1/raw" => (200, bundle.witness.clone()),
        _ => {
            let request: Value = serde_json::from_slice(body).unwrap();
            if request["method"] == "starknet_getTransactionReceipt" {
                return node::result(&json!({ "block_number": 1, "block_hash": header.hash.0 }));
            }
            let (hash, root) = match request["params"]["block_id"]["block_number"].as_u64() {
                Some(1) => (header.hash.0, header.state_root.0),
                _ => (genesis.block_hash, genesis.root),
            };
            node::result(&json!({ "block_hash": hash, "new_root": root }))
        }
    })
    .await?;
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("l1.json");
    world.rollup.record.write(&record)?;
    let run = async || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidereal"));
        command.args(["verify", &hash, "--rpc", &url, "--proofs", &url, "--l1"]).arg(&record);
        let done = command.env_remove("SIDEREAL_L1_URL").output().await?;
        assert!(!done.status.success());
        anyhow::Ok((String::from_utf8(done.stdout)?, String::from_utf8(done.stderr)?))
    };
    let (said, failed) = run().await?;
    assert!(said.contains("node ") && !said.contains("batch "), "{said}{failed}");
    assert!(
        failed.contains("block 1 is not settled yet: the contract on L1 holds block 0"),
        "{failed}"
    );

    world.settle(&update(&[witness], wrap_output(block_claim(&output)))?).await?;
    let (said, failed) = run().await?;
    assert!(
        said.contains("batch        the proof of block 1 is in the tree over blocks 1 to 1"),
        "{said}{failed}"
    );
    assert!(!said.contains("last proof"), "{said}");
    assert!(failed.contains("the proof on L1 does not verify"), "{failed}");

    // Another chain's contract.
    let other = DeploymentRecord { chain_id: "ANOTHER".to_owned(), ..world.rollup.record.clone() };
    other.write(&record)?;
    let (_, failed) = run().await?;
    assert!(failed.contains("is of chain ANOTHER"), "{failed}");
    let other = DeploymentRecord { l1_chain_id: 1, ..world.rollup.record.clone() };
    other.write(&record)?;
    let (_, failed) = run().await?;
    assert!(
        failed.contains("the node of L1 is of chain 31337; the rollup is on chain 1"),
        "{failed}"
    );
    std::fs::remove_file(&record)?;
    let (_, failed) = run().await?;
    assert!(failed.contains("l1.json does not exist"), "{failed}");
    // What the contract holds cannot be shown without a connection.
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidereal"));
    let both = command.args(["verify", "--offline", "a.bundle", "--l1"]).output().await?;
    let failed = String::from_utf8(both.stderr)?;
    assert!(!both.status.success() && failed.contains("cannot be used with"), "{failed}");
    Ok(())
}
