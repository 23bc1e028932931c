//! What must not pass: outputs that are not the committed ones, and inputs that are not what the block did.

mod common;

use common::{accepted, chain, check_in_full, input};
use sidereal_execution::block::STRK_TOKEN_ADDRESS;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::{TestBlock, TestChain, invoke, transfer};
use sidereal_starknet_os::{
    CheckError, Committed, MessageToL1, OsInput, OsOutput, OutputError, OutputForm, run_os,
};
use starknet_api::core::{ClassHash, CompiledClassHash, Nonce};
use starknet_types_core::felt::Felt;

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
    let honest = Committed::of_block(&block.witness).unwrap();
    output.check(&honest, None).unwrap();

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
        match output.check(&committed, None) {
            Err(CheckError::Field { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }

    let mut committed = honest.clone();
    let message = MessageToL1 { from_address: Felt::ONE, to_address: Felt::TWO, payload: vec![] };
    committed.messages_to_l1.push(message);
    assert_eq!(output.check(&committed, None), Err(CheckError::Messages));

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
        match output.check(&committed, None) {
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
