//! The predicted load of a block against what StarknetOS uses for it: a prediction that is too low would close
//! blocks that no proof holds.

use std::sync::Arc;

use cairo_vm::types::builtin_name::BuiltinName;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::limits::ProofLoad;
use sidereal_execution::replay::replay;
use sidereal_execution::testing::{
    Call, TestBlock, TestChain, contract, declare, deploy_account, invoke, new_account, transfer,
};
use sidereal_starknet_os::{OsInput, OutputForm, run_os};
use starknet_api::core::ContractAddress;
use starknet_types_core::felt::Felt;

/// What StarknetOS uses for a block.
fn used(block: &TestBlock) -> ProofLoad {
    let input = OsInput::of_block(&block.witness, replay(&block.witness).unwrap()).unwrap();
    let resources = run_os(&input, OutputForm::Full).unwrap().resources;
    let mut load =
        ProofLoad { steps: u64::try_from(resources.n_steps).unwrap(), ..ProofLoad::default() };
    for (builtin, count) in resources.builtin_instance_counter {
        if builtin != BuiltinName::segment_arena {
            load.add_builtin(builtin, u64::try_from(count).unwrap());
        }
    }
    load
}

fn assert_covers(what: &str, block: &TestBlock) {
    let (predicted, used) = (block.execution.proof_load, used(block));
    eprintln!("{what}\n  predicted {predicted:?}\n  used      {used:?}");
    assert!(used.fits(&predicted), "{what}");
    let loose = ProofLoad { steps: used.steps * 4, ..predicted };
    assert!(predicted.fits(&loose), "{what}: the prediction is useless");
}

#[test]
fn the_predicted_load_covers_what_starknet_os_uses() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let accounts: Vec<_> = (0..10).map(|index| chain.account(index).clone()).collect();
    let (alice, bob) = (&accounts[0], &accounts[1]);
    assert_covers("an empty block", &chain.block(&[]));
    assert_covers("one transfer", &chain.block(&[invoke(alice, 0, &[transfer(bob.address, 1)])]));
    for (round, size) in [(0_u64, 10_u64), (1, 50)] {
        let transfers: Vec<_> = (0..size)
            .map(|index| {
                let from = usize::try_from(index % 10).unwrap();
                let nonce = round + index / 10 + u64::from(from == 0);
                let to = ContractAddress::try_from(Felt::from(0xabc_000 + round * 100 + index));
                invoke(&accounts[from], nonce, &[transfer(to.unwrap(), 1)])
            })
            .collect();
        let block = chain.block(&transfers);
        assert_eq!(block.execution.transactions.len(), transfers.len(), "{:?}", block.executed);
        assert_covers(&format!("{size} transfers to new accounts"), &block);
    }

    let fibonacci = contract("fibonacci");
    let class_hash = fibonacci.class_hash();
    chain.classes.insert(Arc::new(fibonacci.clone()));
    let carol = new_account(3, chain.genesis.state_diff.deployed_contracts[&alice.address]);
    let account_class = chain.genesis.state_diff.deployed_contracts[&alice.address];
    let block = chain.block(&[
        invoke(alice, 7, &[transfer(carol.address, 10_u128.pow(21))]),
        declare(bob, 6, &fibonacci),
        deploy_account(&carol, account_class),
    ]);
    assert_covers("a declare and a new account", &block);
    let deploy = Call {
        to: ContractAddress::try_from(Felt::from_hex_unchecked(
            "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf",
        ))
        .unwrap(),
        function: "deployContract",
        calldata: vec![class_hash.0, Felt::ONE, Felt::ZERO, Felt::ZERO],
    };
    let block = chain.block(&[invoke(&carol, 1, &[deploy])]);
    assert_covers("a deploy", &block);
    let deployed = block
        .execution
        .state_diff
        .deployed_contracts
        .iter()
        .find(|(_, class)| **class == class_hash)
        .map(|(address, _)| *address)
        .unwrap();
    let call = Call { to: deployed, function: "fibonacci", calldata: vec![Felt::from(1_000)] };
    assert_covers("a computation", &chain.block(&[invoke(&carol, 2, &[call])]));
}
