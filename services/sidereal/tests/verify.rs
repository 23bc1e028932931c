//! Pins down that `sidereal verify` refuses: for each link, a bundle in which exactly that link is broken; for the
//! node's, which is in no bundle, a node that lies.
//!
//! `data/transfer.bundle` is a real one: five transfers in block 1 of a dev chain, proven by this project's
//! prover and saved by `sidereal verify --save`. `data/blobs.bundle` is one of a chain that was started with
//! `--blobs`, from the time when such blocks were proven with KZG commitments to the state diff in place of the state
//! diff: a sound proof in another form.

#[path = "settled/node.rs"]
mod node;

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sidereal::verify::{BrokenLink, Bundle, walk};
use sidereal_block_prover::BlockProof;
use sidereal_execution::witness::{BlockWitness, WitnessLimits};
use sidereal_starknet_os::{CheckError, Committed, OsOutput, OutputForm};
use starknet_api::block::BlockTimestamp;
use starknet_api::transaction::fields::Tip;
use starknet_api::transaction::{InvokeTransaction, Transaction, TransactionHash};
use starknet_types_core::felt::Felt;

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| read("transfer.bundle"));

fn read(name: &str) -> Bundle {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    Bundle::read(&folder.join(name)).unwrap()
}

fn broken(bundle: &Bundle) -> BrokenLink {
    walk(bundle, &mut |_| {}).unwrap_err()
}

/// The bundle with a changed witness, written anew so that its own checksum holds.
fn with_witness(change: impl FnOnce(&mut BlockWitness)) -> Bundle {
    let mut witness = BlockWitness::decode(&BUNDLE.witness, WitnessLimits::default()).unwrap();
    change(&mut witness);
    Bundle { witness: witness.encode().unwrap(), ..BUNDLE.clone() }
}

/// The bundle with a changed proof, written anew.
fn with_proof(change: impl FnOnce(&mut BlockProof)) -> Bundle {
    let mut proof = BlockProof::decode(&BUNDLE.proof).unwrap();
    change(&mut proof);
    Bundle { proof: proof.encode().unwrap(), ..BUNDLE.clone() }
}

#[test]
fn the_untouched_bundle_holds() {
    let walked = walk(&BUNDLE, &mut |_| {}).unwrap();
    assert_eq!((walked.links.len(), walked.block), (5, 1));
    let proof = BlockProof::decode(&BUNDLE.proof).unwrap();
    assert_eq!(walked.output, proof.output);
}

/// A proof in the KZG form does not say what the state diff is, and StarknetOS takes the commitments as given: only the
/// comparison with the replay's state diff refuses another.
#[test]
fn a_proof_whose_blobs_hold_another_state_diff() {
    let bundle = read("blobs.bundle");
    let proof = BlockProof::decode(&bundle.proof).unwrap();
    let run = sidereal_block_prover::verify(&proof).unwrap();
    let output = OsOutput::decode(&run.output).unwrap();
    assert!(output.state_update.is_none());
    let witness = BlockWitness::decode(&bundle.witness, WitnessLimits::default()).unwrap();
    let committed = Committed::of_block(&witness).unwrap();
    let committed = Committed { form: OutputForm::Kzg, ..committed };
    output.check(&committed).unwrap();

    let mut other = committed.clone();
    let cells = other.state_diff.storage_diffs.values_mut().flat_map(|cells| cells.values_mut());
    *cells.into_iter().last().unwrap() += Felt::ONE;
    assert!(matches!(output.check(&other), Err(CheckError::Commitment { blob: 0 })));
    let mut lie = output.clone();
    lie.blobs.as_mut().unwrap().commitments[0].low += Felt::ONE;
    assert!(matches!(lie.check(&committed), Err(CheckError::Commitment { blob: 0 })));
    let mut lie = output;
    lie.blobs.as_mut().unwrap().evaluations[0] += 1_u8;
    assert!(matches!(lie.check(&committed), Err(CheckError::Evaluation { blob: 0 })));
}

/// A proof in another form is sound, but it cannot be joined with those of other blocks.
#[test]
fn a_proof_in_another_form() {
    let blobs = read("blobs.bundle");
    let BrokenLink::Output(error) = broken(&blobs) else { panic!("the proof is of the block") };
    let (expected, kzg) = (OutputForm::Compressed, OutputForm::Kzg);
    assert!(
        matches!(error, CheckError::Form { expected: e, found: f } if (e, f) == (expected, kzg)),
        "{error}"
    );
    // And the proof of one chain's block is not that of the other's.
    let mixed = Bundle { proof: BUNDLE.proof.clone(), ..blobs };
    assert!(matches!(broken(&mixed), BrokenLink::Output(_)));
}

#[test]
fn a_transaction_that_is_not_in_the_block() {
    let other = Bundle { transaction_hash: TransactionHash(Felt::from(1)), ..BUNDLE.clone() };
    assert!(matches!(broken(&other), BrokenLink::NotInBlock { .. }));
}

#[test]
fn a_transaction_whose_fields_give_another_hash() {
    let changed = with_witness(|witness| {
        for transaction in &mut witness.transactions {
            if let Transaction::Invoke(InvokeTransaction::V3(invoke)) = &mut transaction.transaction
            {
                invoke.tip = Tip(7);
            }
        }
    });
    assert!(matches!(broken(&changed), BrokenLink::TransactionHash { .. }));
}

#[test]
fn a_header_that_was_changed() {
    let later = with_witness(|witness| {
        let timestamp = BlockTimestamp(witness.header.timestamp.0 + 1);
        witness.header.timestamp = timestamp;
        witness.environment.timestamp = timestamp;
    });
    assert!(matches!(broken(&later), BrokenLink::Replay(_)));
    let root = with_witness(|witness| witness.header.state_root.0 += Felt::ONE);
    assert!(matches!(broken(&root), BrokenLink::Replay(_)));
}

#[test]
fn a_state_value_that_was_changed() {
    let richer = with_witness(|witness| {
        let cells = witness.initial_reads.storage.values_mut().flat_map(|cells| cells.values_mut());
        let value = cells.into_iter().find(|value| **value != Felt::ZERO).unwrap();
        *value += Felt::ONE;
    });
    assert!(matches!(broken(&richer), BrokenLink::Replay(_)));
}

#[test]
fn a_transaction_that_was_left_out() {
    let shorter = with_witness(|witness| {
        let last = witness.transactions.last().unwrap().hash;
        assert_ne!(last, BUNDLE.transaction_hash);
        witness.transactions.pop();
        witness.receipts.pop();
    });
    assert!(matches!(broken(&shorter), BrokenLink::Replay(_)));
}

#[test]
fn a_damaged_witness() {
    let mut damaged = BUNDLE.clone();
    let middle = damaged.witness.len() / 2;
    damaged.witness[middle] ^= 1;
    assert!(matches!(broken(&damaged), BrokenLink::Witness(_)));
}

#[test]
fn a_proof_of_another_program() {
    let other = with_proof(|proof| proof.program_hash += Felt::ONE);
    assert!(matches!(broken(&other), BrokenLink::Program { .. }));
}

#[test]
fn a_proof_with_another_output() {
    // Word 1 is the state root after the block.
    let other = with_proof(|proof| proof.output[1] += Felt::ONE);
    assert!(matches!(broken(&other), BrokenLink::Proof(_)));
}

#[test]
fn a_proof_with_a_flipped_byte() {
    // The container has a checksum or the compression notices: either way the bytes are refused.
    for part in 1..8 {
        let mut damaged = BUNDLE.clone();
        let at = damaged.proof.len() * part / 8;
        damaged.proof[at] ^= 1;
        assert!(
            matches!(broken(&damaged), BrokenLink::ProofBytes(_) | BrokenLink::Proof(_)),
            "byte {at}"
        );
    }
}

/// The proof is sound and of StarknetOS, and the block is sound: they are not of each other. A chain of the same
/// contracts with another id has such blocks; here the witness's chain id stands for one.
#[test]
fn a_proof_of_another_block() {
    let proof = BlockProof::decode(&BUNDLE.proof).unwrap();
    let run = sidereal_block_prover::verify(&proof).unwrap();
    let witness = BlockWitness::decode(&BUNDLE.witness, WitnessLimits::default()).unwrap();
    let output = OsOutput::decode(&run.output).unwrap();
    let committed = Committed::of_block(&witness).unwrap();
    output.check(&committed).unwrap();
    for change in [
        |c: &mut Committed| c.previous_root += Felt::ONE,
        |c: &mut Committed| c.root += Felt::ONE,
        |c: &mut Committed| c.block_number += 1,
        |c: &mut Committed| c.previous_block_hash += Felt::ONE,
        |c: &mut Committed| c.block_hash += Felt::ONE,
        |c: &mut Committed| c.chain.chain_id += Felt::ONE,
        |c: &mut Committed| {
            c.state_diff.nonces.clear();
        },
    ] {
        let mut other = committed.clone();
        change(&mut other);
        assert!(output.check(&other).is_err());
    }
}

/// Runs the command against a chain whose proof store has the bundle, and whose node says this of the block's hash and
/// state root, and of the parent's.
async fn verified_with_node(says: [Felt; 4]) -> Output {
    let [hash, root, parent_hash, parent_root] = says;
    let url = node::serve(move |path, body| match path {
        "/proofs/1/raw" => (200, BUNDLE.proof.clone()),
        "/witnesses/1/raw" => (200, BUNDLE.witness.clone()),
        _ => {
            let call: Value = serde_json::from_slice(body).unwrap();
            node::result(&match call["params"]["block_id"]["block_number"].as_u64() {
                Some(1) => json!({ "block_hash": hash, "new_root": root }),
                Some(0) => json!({ "block_hash": parent_hash, "new_root": parent_root }),
                // The transaction's receipt.
                _ => json!({ "block_hash": hash, "block_number": 1 }),
            })
        }
    })
    .await
    .unwrap();
    let transaction = format!("{:#x}", BUNDLE.transaction_hash.0);
    let rpc = format!("{url}/rpc");
    tokio::process::Command::new(env!("CARGO_BIN_EXE_sidereal"))
        .args(["verify", &transaction, "--rpc", &rpc, "--proofs", &url])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

/// The node agrees when all that it says of the block and its parent is true, and is refused for each single lie, which
/// the failure names.
#[tokio::test]
async fn a_node_that_says_something_else() {
    let witness = BlockWitness::decode(&BUNDLE.witness, WitnessLimits::default()).unwrap();
    let header = &witness.header;
    let truth =
        [header.hash.0, header.state_root.0, header.parent_hash.0, witness.previous_state_root.0];
    let honest = verified_with_node(truth).await;
    assert_eq!(String::from_utf8_lossy(&honest.stderr), "");
    let said = String::from_utf8(honest.stdout).unwrap();
    assert!(said.ends_with("of the one before agree\nverified: 6 links hold\n"), "{said}");
    assert!(honest.status.success());

    let names = [
        "the block's hash",
        "the block's state root",
        "the parent's hash",
        "the parent's state root",
    ];
    for (index, what) in names.into_iter().enumerate() {
        let mut says = truth;
        says[index] += Felt::ONE;
        let (lie, proven) = (says[index], truth[index]);
        let refused = verified_with_node(says).await;
        let complaint = String::from_utf8(refused.stderr).unwrap();
        let differs = format!("it says {lie:#x}, the proof's is {proven:#x}");
        assert_eq!(complaint, format!("sidereal: the node disagrees about {what}: {differs}\n"));
        assert_eq!(refused.status.code(), Some(1));
        // The bundle's links hold, and nothing is said to be verified.
        let said = String::from_utf8(refused.stdout).unwrap();
        assert_eq!(said.matches('\u{2713}').count(), 5, "{said}");
        assert!(!said.contains("verified"), "{said}");
    }
}
