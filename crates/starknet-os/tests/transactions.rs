//! StarknetOS over blocks with every kind of transaction of version 3.

mod common;

use std::sync::Arc;

use common::{accepted, check_in_all_forms, check_in_full, contract_of_class, deploy, reverted};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::{
    Call, TestChain, contract, declare, deploy_account, invoke, new_account, transfer,
};
use starknet_types_core::felt::Felt;

/// A transfer: validation, execution and fee.
#[test]
fn a_transfer_runs() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let block = chain.block(&[invoke(&alice, 0, &[transfer(bob.address, 5)])]);
    accepted(&block);
    let run = check_in_full(&block.witness);
    assert!(run.resources.n_steps > 10_000, "{:?}", run.resources);
}

/// Several transfers in each of several blocks: aliases that an earlier block allocated are used again, and
/// tries that have grown are updated.
#[test]
fn transfers_over_several_blocks_run() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let accounts: Vec<_> = (0..3).map(|index| chain.account(index).clone()).collect();
    for nonce in 0..3 {
        let transactions: Vec<_> = accounts
            .iter()
            .zip(accounts.iter().cycle().skip(1))
            .map(|(from, to)| invoke(from, nonce, &[transfer(to.address, 7)]))
            .collect();
        let block = chain.block(&transactions);
        accepted(&block);
        check_in_all_forms(&block.witness);
    }
}

/// A whole balance moves away: the cell becomes zero, and its leaf is removed from the trie.
#[test]
fn a_cell_that_becomes_zero_runs() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let alice = chain.account(0).clone();
    let counter = contract("counter");
    chain.classes.insert(Arc::new(counter.clone()));
    accepted(&chain.block(&[declare(&alice, 0, &counter)]));
    let block =
        chain.block(&[invoke(&alice, 1, &[deploy(counter.class_hash(), 1, &[Felt::ZERO])])]);
    accepted(&block);
    let address = contract_of_class(&block, counter.class_hash());
    let count =
        |function, amount: u64| Call { to: address, function, calldata: vec![Felt::from(amount)] };
    let up = chain.block(&[invoke(&alice, 2, &[count("increment_by", 3)])]);
    let down = chain.block(&[invoke(&alice, 3, &[count("decrement_by", 3)])]);
    for block in [&up, &down] {
        accepted(block);
        check_in_all_forms(&block.witness);
    }
}

/// A class is declared, an account and a contract are deployed, and a transaction is reverted as a whole: it
/// pays and leaves nothing else.
#[test]
fn all_kinds_of_transactions_run() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let account_class = chain.genesis.state_diff.deployed_contracts[&alice.address];
    let counter = contract("counter");
    chain.classes.insert(Arc::new(counter.clone()));
    let carol = new_account(77, account_class);

    let first = chain.block(&[
        invoke(&alice, 0, &[transfer(carol.address, 10_u128.pow(21))]),
        declare(&bob, 0, &counter),
        deploy_account(&carol, account_class),
    ]);
    accepted(&first);
    let second =
        chain.block(&[invoke(&carol, 1, &[deploy(counter.class_hash(), 9, &[Felt::ZERO])])]);
    accepted(&second);
    let address = contract_of_class(&second, counter.class_hash());
    let count =
        |function, amount: u64| Call { to: address, function, calldata: vec![Felt::from(amount)] };
    let third = chain.block(&[
        invoke(&alice, 1, &[count("increment_by", 3)]),
        invoke(&bob, 1, &[count("increment_by", 1), count("decrement_by", 7)]),
        invoke(&alice, 2, &[count("decrement_by", 2)]),
    ]);
    assert_eq!(reverted(&third), [false, true, false]);
    for block in [&first, &second, &third] {
        check_in_all_forms(&block.witness);
    }
}

/// A class is declared, and an instance of it deployed and called, in one block.
#[test]
fn a_class_is_used_in_the_block_that_declares_it() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let counter = contract("counter");
    chain.classes.insert(Arc::new(counter.clone()));
    let block = chain.block(&[
        declare(&bob, 0, &counter),
        invoke(&alice, 0, &[deploy(counter.class_hash(), 9, &[Felt::ZERO])]),
    ]);
    accepted(&block);
    check_in_all_forms(&block.witness);
}
