//! What must not pass: outputs that are not the committed ones, and inputs that are not what the block did.

mod common;

use common::{accepted, chain, check, check_in_full, input};
use num_bigint::BigUint;
use sidereal_execution::block::STRK_TOKEN_ADDRESS;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::{TestBlock, TestChain, invoke, transfer};
use sidereal_starknet_os::{
    BlobCommitments, CheckError, Committed, KzgCommitment, MessageToL1, OsInput, OsOutput,
    OutputError, OutputForm, run_os,
};
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

fn transfer_block() -> TestBlock {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let block = chain.block(&[invoke(&alice, 0, &[transfer(bob.address, 5)])]);
    accepted(&block);
    block
}

/// Each check of an output notices what it is for.
#[test]
fn another_commitment_is_refused() {
    let block = transfer_block();
    let run = check_in_full(&block.witness);
    let output = OsOutput::decode(&run.output).unwrap();
    let honest =
        Committed { form: OutputForm::Full, ..Committed::of_block(&block.witness).unwrap() };
    output.check(&honest).unwrap();

    type Change = fn(&mut Committed);
    let fields: [(&str, Change); 7] = [
        ("state root before the block", |committed| committed.previous_root += Felt::ONE),
        ("state root", |committed| committed.root += Felt::ONE),
        ("parent block number", |committed| committed.block_number += 1),
        ("parent hash", |committed| committed.previous_block_hash += Felt::ONE),
        ("block hash", |committed| committed.block_hash += Felt::ONE),
        ("config hash", |committed| committed.chain.chain_id += Felt::ONE),
        ("config hash", |committed| committed.chain.fee_token_address = Default::default()),
    ];
    for (name, change) in fields {
        let mut committed = honest.clone();
        change(&mut committed);
        match output.check(&committed) {
            Err(CheckError::Field { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }

    // Not zero only under the aggregator, whose program this is not; and L1 handlers are not executed by this chain.
    let mut aggregated = output.clone();
    aggregated.os_program_hash = Felt::ONE;
    assert!(matches!(aggregated.check(&honest), Err(CheckError::Field { .. })));
    let mut with_handlers = output.clone();
    with_handlers.messages_to_l2.push(Felt::ONE);
    assert!(matches!(with_handlers.check(&honest), Err(CheckError::Field { .. })));

    let mut committed = honest.clone();
    let message = MessageToL1 { from_address: Felt::ONE, to_address: Felt::TWO, payload: vec![] };
    committed.messages_to_l1.push(message);
    assert!(matches!(output.check(&committed), Err(CheckError::Messages)));

    let changes: [(&str, Change); 6] = [
        ("storage cell", |committed| {
            let cells = committed.state_diff.storage_diffs.get_mut(&*STRK_TOKEN_ADDRESS).unwrap();
            *cells.values_mut().next().unwrap() += Felt::ONE;
        }),
        ("storage cell", |committed| {
            committed.state_diff.storage_diffs.shift_remove(&*STRK_TOKEN_ADDRESS);
        }),
        ("nonce", |committed| {
            committed.state_diff.nonces.values_mut().next().unwrap().0 += Felt::ONE;
        }),
        ("nonce", |committed| {
            committed.state_diff.nonces.insert(*STRK_TOKEN_ADDRESS, Nonce(Felt::ONE));
        }),
        ("class", |committed| {
            let class_hash = ClassHash(Felt::ONE);
            committed.state_diff.deployed_contracts.insert(*STRK_TOKEN_ADDRESS, class_hash);
        }),
        ("compiled class", |committed| {
            let classes = &mut committed.state_diff.class_hash_to_compiled_class_hash;
            classes.insert(ClassHash(Felt::ONE), CompiledClassHash(Felt::TWO));
        }),
    ];
    for (name, change) in changes {
        let mut committed = honest.clone();
        change(&mut committed);
        match output.check(&committed) {
            Err(CheckError::StateDiff { what, .. }) => assert_eq!(what, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// An output that was cut off, or that something follows, is none.
#[test]
fn a_damaged_output_is_refused() {
    let run = check_in_full(&transfer_block().witness);
    for length in 0..run.output.len() {
        assert!(OsOutput::decode(&run.output[..length]).is_err(), "{length} words");
    }
    let longer = [&run.output[..], &[Felt::ZERO]].concat();
    assert_eq!(OsOutput::decode(&longer), Err(OutputError::Excess(1)));
    let mut both_forms = run.output;
    both_forms[8] = Felt::ONE;
    assert!(matches!(OsOutput::decode(&both_forms), Err(OutputError::OutOfRange { .. })));
}

/// Inputs that are not what the block did make no output; the error says where the run stopped.
#[test]
fn a_changed_input_makes_no_output() {
    let block = transfer_block();
    type Change = fn(&mut OsInput);
    let changes: [(&str, Change, &str); 6] = [
        (
            "a storage value",
            |input| {
                let cells = input.storage.get_mut(&*STRK_TOKEN_ADDRESS).unwrap();
                *cells.values_mut().find(|value| **value != Felt::ZERO).unwrap() += Felt::ONE;
            },
            "in transaction 0",
        ),
        (
            "a missing storage value",
            |input| {
                input.storage.remove(&*STRK_TOKEN_ADDRESS);
            },
            "has no value for storage cell",
        ),
        (
            "a nonce",
            |input| {
                for leaf in input.facts.contract_leaves.values_mut() {
                    leaf.previous.nonce += Felt::ONE;
                }
            },
            "in transaction 0",
        ),
        (
            "a root",
            |input| input.facts.contracts.updated_root += Felt::ONE,
            "outside any transaction",
        ),
        ("the chain", |input| input.chain.chain_id += Felt::ONE, "transaction hash"),
        (
            "the call trees",
            |input| {
                input.execution_infos.pop();
            },
            "no execution info left",
        ),
    ];
    for (name, change, expected) in changes {
        let mut changed = input(&block.witness);
        change(&mut changed);
        let Err(error) = run_os(&changed, OutputForm::Full) else { panic!("{name} was accepted") };
        let text = chain(&error);
        assert!(text.contains(expected), "{name}: {text}");
    }
}

/// What was committed, for an output in the form that goes to L1.
fn kzg(committed: Committed) -> Committed {
    Committed { form: OutputForm::Kzg, ..committed }
}

/// StarknetOS takes the commitments to the blobs as given. So the output of a run whose prover lied about them is
/// right in all else, point and evaluation included, and only the comparison with the state diff refuses it.
#[test]
fn a_wrong_kzg_commitment_is_refused() {
    let block = transfer_block();
    let committed = kzg(Committed::of_block(&block.witness).unwrap());
    let run = check(&block.witness, OutputForm::Kzg);
    let data = run.blob_data.unwrap();
    let honest = OsOutput::decode(&run.output).unwrap();

    // What StarknetOS computes from commitments that it is told.
    let told = |commitments: Vec<KzgCommitment>| {
        let words: Vec<Felt> = commitments.iter().flat_map(|it| [it.low, it.high]).collect();
        let point = Poseidon::hash(&Poseidon::hash_array(&data), &Poseidon::hash_array(&words));
        let digits = b"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
        let prime = BigUint::parse_bytes(digits, 16).unwrap();
        let value = data.iter().rev().fold(BigUint::ZERO, |value, felt| {
            (value * point.to_biguint() + felt.to_biguint()) % &prime
        });
        BlobCommitments { point, commitments, evaluations: vec![value] }
    };
    let commitments = honest.blobs.as_ref().unwrap().commitments.clone();
    assert_eq!(honest.blobs.as_ref(), Some(&told(commitments.clone())));
    for (low, high) in [(Felt::ONE, Felt::ZERO), (Felt::ZERO, Felt::ONE)] {
        let lie = KzgCommitment { low: commitments[0].low + low, high: commitments[0].high + high };
        let output = OsOutput { blobs: Some(told(vec![lie])), ..honest.clone() };
        let refused = output.check(&committed);
        assert!(matches!(refused, Err(CheckError::Commitment { blob: 0 })), "{refused:?}");
    }
}

/// A KZG output is about one state diff only, and each of its parts is looked at.
#[test]
fn a_kzg_output_of_another_state_diff_is_refused() {
    let block = transfer_block();
    let committed = kzg(Committed::of_block(&block.witness).unwrap());
    let run = check(&block.witness, OutputForm::Kzg);
    let honest = OsOutput::decode(&run.output).unwrap();

    type Change = fn(&mut Committed);
    let changes: [(&str, Change); 6] = [
        ("a cell", |committed| {
            let cells = committed.state_diff.storage_diffs.get_mut(&*STRK_TOKEN_ADDRESS).unwrap();
            *cells.values_mut().next().unwrap() += Felt::ONE;
        }),
        ("no cells", |committed| {
            committed.state_diff.storage_diffs.shift_remove(&*STRK_TOKEN_ADDRESS);
        }),
        ("a nonce", |committed| {
            committed.state_diff.nonces.values_mut().next().unwrap().0 += Felt::ONE;
        }),
        ("a class of the token", |committed| {
            let class_hash = ClassHash(Felt::ONE);
            committed.state_diff.deployed_contracts.insert(*STRK_TOKEN_ADDRESS, class_hash);
        }),
        ("a class", |committed| {
            let classes = &mut committed.state_diff.class_hash_to_compiled_class_hash;
            classes.insert(ClassHash(Felt::ONE), CompiledClassHash(Felt::TWO));
        }),
        ("an alias", |committed| {
            let aliases = ContractAddress::try_from(Felt::TWO).unwrap();
            let cells = committed.state_diff.storage_diffs.get_mut(&aliases).unwrap();
            *cells.values_mut().last().unwrap() += Felt::ONE;
        }),
    ];
    for (name, change) in changes {
        let mut other = committed.clone();
        change(&mut other);
        let refused = honest.check(&other);
        assert!(matches!(refused, Err(CheckError::Commitment { .. })), "{name}: {refused:?}");
    }
    let mut no_alias = committed.clone();
    let aliases = ContractAddress::try_from(Felt::TWO).unwrap();
    no_alias.state_diff.storage_diffs.shift_remove(&aliases);
    assert!(matches!(honest.check(&no_alias), Err(CheckError::NoAlias(_))));
    let in_full = Committed { form: OutputForm::Full, ..committed.clone() };
    assert!(matches!(honest.check(&in_full), Err(CheckError::Form { .. })));

    let changed = |change: fn(&mut BlobCommitments)| {
        let mut output = honest.clone();
        change(output.blobs.as_mut().unwrap());
        output.check(&committed).unwrap_err()
    };
    let error = changed(|blobs| blobs.evaluations[0] += 1_u8);
    assert!(matches!(error, CheckError::Evaluation { blob: 0 }), "{error:?}");
    let error = changed(|blobs| blobs.point += Felt::ONE);
    assert!(matches!(error, CheckError::Field { .. }), "{error:?}");
    let error = changed(|blobs| {
        blobs.commitments.push(blobs.commitments[0]);
        blobs.evaluations.push(blobs.evaluations[0].clone());
    });
    assert!(matches!(error, CheckError::BlobCount { expected: 1, found: 2 }), "{error:?}");
    let empty = OsOutput { blobs: None, ..honest.clone() };
    assert!(matches!(empty.check(&committed), Err(CheckError::NoStateDiff)));
}
