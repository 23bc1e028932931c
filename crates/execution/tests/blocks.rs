//! Blocks with all kinds of transactions: what is included, what is rejected and why, what a replay accepts.

use sidereal_execution::block::{OLD_BLOCK_HASH_DISTANCE, STRK_TOKEN_ADDRESS};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::engine::{BlockExecutor, opening_changes};
use sidereal_execution::genesis::DevAccount;
use sidereal_execution::limits::{BlockLimits, ProofLoad};
use sidereal_execution::outcome::{
    RejectionReason, TransactionOutcome, TransactionReceipt, shorten,
};
use sidereal_execution::query::{self, QueryError, SimulationFlags};
use sidereal_execution::replay::{ReplayError, replay};
use sidereal_execution::state::{ChangedValues, StateValues, extend_diff};
use sidereal_execution::testing::{
    Call, TestBlock, TestChain, contract, declare, deploy_account, invoke, new_account, sign,
    transfer,
};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_execution::witness::{BlockWitness, WitnessError, WitnessLimits};
use starknet_api::abi::abi_utils::{get_fee_token_var_address, selector_from_name};
use starknet_api::core::ContractAddress;
use starknet_api::transaction::{InvokeTransaction, Transaction, TransactionExecutionStatus};
use starknet_types_core::felt::Felt;
use std::sync::Arc;

fn receipts(block: &TestBlock) -> Vec<&TransactionReceipt> {
    block
        .executed
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            TransactionOutcome::Included(receipt) => &**receipt,
            TransactionOutcome::Rejected(rejection) => panic!("{rejection}"),
        })
        .collect()
}

fn rejections(block: &TestBlock) -> Vec<Option<RejectionReason>> {
    block
        .executed
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            TransactionOutcome::Included(_) => None,
            TransactionOutcome::Rejected(rejection) => Some(rejection.reason),
        })
        .collect()
}

fn balance(chain: &TestChain, address: ContractAddress) -> Felt {
    chain.state.storage(*STRK_TOKEN_ADDRESS, get_fee_token_var_address(address)).unwrap()
}

/// One transaction of each kind, one that reverts, and the class that makes it possible.
fn varied(chain: &mut TestChain) -> Vec<TestBlock> {
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let account_class = chain.genesis.state_diff.deployed_contracts[&alice.address];
    let counter = contract("counter");
    let counter_class = counter.class_hash();
    chain.classes.insert(Arc::new(counter.clone()));
    let carol = new_account(77, account_class);

    let first = chain.block(&[
        invoke(&alice, 0, &[transfer(bob.address, 5), transfer(carol.address, 10_u128.pow(21))]),
        declare(&bob, 0, &counter),
        deploy_account(&carol, account_class),
    ]);
    let deployer: ContractAddress = ContractAddress::try_from(Felt::from_hex_unchecked(
        "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf",
    ))
    .unwrap();
    let deploy = Call {
        to: deployer,
        function: "deployContract",
        calldata: vec![counter_class.0, Felt::from(9), Felt::ZERO, Felt::ONE, Felt::from(10)],
    };
    let second = chain.block(&[invoke(&carol, 1, &[deploy])]);
    let deployed = *second
        .execution
        .state_diff
        .deployed_contracts
        .iter()
        .find(|(_, class)| **class == counter_class)
        .expect("the counter is deployed")
        .0;
    let count =
        |function, amount: u64| Call { to: deployed, function, calldata: vec![Felt::from(amount)] };
    let third = chain.block(&[
        invoke(&alice, 1, &[count("increment_by", 3)]),
        invoke(&bob, 1, &[count("increment_by", 1), count("decrement_by", 70)]),
        invoke(&alice, 2, &[count("decrement_by", 2)]),
    ]);
    vec![first, second, third]
}

#[test]
fn every_kind_of_transaction_is_included_and_charged() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let before = balance(&chain, chain.account(0).address);
    let blocks = varied(&mut chain);
    for block in &blocks {
        for receipt in receipts(block) {
            assert!(receipt.actual_fee.0 > 0);
            assert!(receipt.gas_consumed.l2_gas.0 > 0);
        }
    }
    let statuses: Vec<bool> = receipts(&blocks[2])
        .iter()
        .map(|receipt| receipt.execution_status == TransactionExecutionStatus::Succeeded)
        .collect();
    assert_eq!(statuses, [true, false, true], "the second decrements below zero");
    let alice = chain.account(0).address;
    let fees: u128 = receipts(&blocks[0])[0].actual_fee.0
        + receipts(&blocks[2])[0].actual_fee.0
        + receipts(&blocks[2])[2].actual_fee.0;
    assert_eq!(before - balance(&chain, alice), Felt::from(fees + 5 + 10_u128.pow(21)));
    assert_eq!(chain.state.nonce(alice).unwrap().0, Felt::from(3));
    // The sequencer has all fees.
    let all: u128 = blocks.iter().flat_map(|b| receipts(b)).map(|r| r.actual_fee.0).sum();
    assert_eq!(balance(&chain, chain.environment().sequencer_address), Felt::from(all));
}

#[test]
fn a_witness_survives_its_file_form_and_replays_to_the_same_block() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let mut blocks = varied(&mut chain);
    // Far enough for the old block hash.
    for _ in 0..9 {
        blocks.push(chain.block(&[]));
    }
    assert!(blocks.last().unwrap().witness.environment.old_block.is_some());
    for block in &blocks {
        let encoded = block.witness.encode().unwrap();
        let decoded = BlockWitness::decode(&encoded, WitnessLimits::default()).unwrap();
        assert_eq!(decoded, block.witness);
        let replayed = replay(&decoded).unwrap();
        assert_eq!(replayed.header, block.header);
        assert_eq!(replayed.execution.state_diff, block.execution.state_diff);
        assert_eq!(replayed.execution_infos.len(), block.witness.transactions.len());
    }
}

#[test]
fn native_and_vm_agree() {
    let mut vm = TestChain::new(ExecutionMode::Vm);
    let mut native = TestChain::new(ExecutionMode::Native);
    let strip = |block: &TestBlock| {
        receipts(block)
            .into_iter()
            .cloned()
            .map(|receipt| TransactionReceipt { proof_load: ProofLoad::default(), ..receipt })
            .collect::<Vec<_>>()
    };
    for (vm, native) in varied(&mut vm).iter().zip(varied(&mut native)) {
        assert_eq!(vm.execution.state_diff, native.execution.state_diff);
        assert_eq!(strip(vm), strip(&native));
        assert_eq!(vm.execution.initial_reads, native.execution.initial_reads);
        assert_eq!(vm.header, native.header);
        replay(&native.witness).unwrap();
    }
}

#[test]
fn a_rejected_transaction_changes_nothing() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let good = invoke(&alice, 0, &[transfer(bob.address, 1)]);
    let mut stolen = invoke(&bob, 0, &[transfer(alice.address, 1)]);
    stolen = sign(stolen.transaction, alice.private_key);
    let mut other_hash = invoke(&bob, 0, &[transfer(alice.address, 2)]);
    other_hash.hash.0 += Felt::ONE;
    let mut cheap = invoke(&bob, 0, &[transfer(alice.address, 3)]);
    if let Transaction::Invoke(InvokeTransaction::V3(tx)) = &mut cheap.transaction
        && let starknet_api::transaction::fields::ValidResourceBounds::AllResources(bounds) =
            &mut tx.resource_bounds
    {
        bounds.l2_gas.max_price_per_unit.0 = 1;
    }
    let cheap = sign(cheap.transaction, bob.private_key);
    let unknown = new_account(5, chain.genesis.state_diff.deployed_contracts[&alice.address]);
    let undeclared = contract("fibonacci");

    let block = chain.block(&[
        good.clone(),
        good.clone(),
        invoke(&alice, 5, &[]),
        stolen,
        other_hash,
        cheap,
        invoke(&unknown, 0, &[]),
        deploy_account(&unknown, chain.genesis.state_diff.deployed_contracts[&alice.address]),
        declare(&bob, 0, &undeclared),
    ]);
    assert_eq!(
        rejections(&block),
        [
            None,
            Some(RejectionReason::NonceTooOld),
            Some(RejectionReason::NonceTooHigh),
            Some(RejectionReason::ValidationFailed),
            // The account's signature is of the other hash.
            Some(RejectionReason::ValidationFailed),
            Some(RejectionReason::InsufficientResourceBounds),
            // No balance.
            Some(RejectionReason::InsufficientBalance),
            Some(RejectionReason::InsufficientBalance),
            Some(RejectionReason::InvalidClass),
        ]
    );
    let mut other = TestChain::new(ExecutionMode::Vm);
    let alone = other.block(&[good]);
    assert_eq!(alone.execution.state_diff, block.execution.state_diff);
    assert_eq!(alone.header, block.header);
    replay(&block.witness).unwrap();
}

#[test]
fn a_full_block_says_where_the_next_one_begins() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let transfers: Vec<BlockTransaction> =
        (0..4).map(|nonce| invoke(&alice, nonce, &[transfer(bob.address, 1)])).collect();
    let two = BlockLimits { transactions: 2, ..BlockLimits::default() };
    let block = chain.limited_block(&transfers, two);
    assert!(block.executed.block_full);
    assert_eq!(block.executed.outcomes.len(), 2);

    let load = block.execution.proof_load;
    assert!(load.steps > 20_000 && load.pedersen > 50 && load.poseidon > 10, "{load:?}");
    let rest = &transfers[2..];
    // What two transfers came to in the first block, less a little: the second does not fit.
    let under_two = ProofLoad { steps: load.steps - 1_000, ..BlockLimits::default().proof };
    let limits = BlockLimits { proof: under_two, ..BlockLimits::default() };
    let block = chain.limited_block(rest, limits);
    assert!(block.executed.block_full);
    assert_eq!(block.executed.outcomes.len(), 1);

    let none = BlockLimits {
        proof: ProofLoad { steps: 1, ..BlockLimits::default().proof },
        ..BlockLimits::default()
    };
    let block = chain.limited_block(&transfers[3..], none);
    assert_eq!(rejections(&block), [Some(RejectionReason::TooLarge)]);
    let block = chain.block(&transfers[3..]);
    assert_eq!(rejections(&block), [None]);

    type Limits = fn(u32) -> BlockLimits;
    let kinds: [(&str, Limits); 2] = [
        ("gas", |limit| BlockLimits { sierra_gas: u64::from(limit), ..BlockLimits::default() }),
        ("state diff", |limit| BlockLimits {
            state_diff_size: usize::try_from(limit).unwrap(),
            ..BlockLimits::default()
        }),
    ];
    let mut nonce = 4_u64;
    for (what, limits) in kinds {
        // To accounts that have nothing, so that each changes a cell of its own.
        let to_three: Vec<BlockTransaction> = (nonce..nonce + 3)
            .map(|nonce| {
                let receiver = ContractAddress::from(0xf00_u128 + u128::from(nonce));
                invoke(&alice, nonce, &[transfer(receiver, 1)])
            })
            .collect();
        let block = chain.limited_block(&to_three[..1], limits(1));
        assert_eq!(rejections(&block), [Some(RejectionReason::TooLarge)], "{what}");
        let two = chain.least_limit(&to_three[..2], limits);
        assert_eq!(chain.fitting(&to_three, limits(two - 1)), (1, true), "{what}");
        let block = chain.limited_block(&to_three, limits(two));
        assert!(block.executed.block_full, "{what}");
        assert_eq!(rejections(&block), [None, None], "{what}");
        let block = chain.limited_block(&to_three[2..], limits(two));
        assert!(!block.executed.block_full, "{what}");
        assert_eq!(rejections(&block), [None], "{what}");
        nonce += 3;
    }
}

/// Breaks one thing in a good witness, and expects the replay to refuse it for that reason.
fn refused(
    witness: &BlockWitness,
    what: &str,
    change: impl FnOnce(&mut BlockWitness),
) -> ReplayError {
    let mut changed = witness.clone();
    change(&mut changed);
    assert_ne!(changed, *witness, "{what}");
    replay(&changed).expect_err(what)
}

#[test]
fn a_changed_witness_is_refused() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let blocks = varied(&mut chain);
    let witness = &blocks[2].witness;
    replay(witness).unwrap();
    let token = *STRK_TOKEN_ADDRESS;
    let (alice, bob) = (chain.account(0).address, chain.account(1).address);

    let error = refused(witness, "storage", |witness| {
        let key = get_fee_token_var_address(alice);
        *witness.initial_reads.storage.get_mut(&token).unwrap().get_mut(&key).unwrap() += Felt::ONE;
    });
    assert!(matches!(error, ReplayError::ForgedValue { .. }), "{error}");

    let error = refused(witness, "storage and its trie", |witness| {
        let key = get_fee_token_var_address(alice);
        let value = witness.initial_reads.storage.get_mut(&token).unwrap().get_mut(&key).unwrap();
        let old = *value;
        *value += Felt::ONE;
        let new = *value;
        for preimage in witness.commitment.storage.get_mut(&token).unwrap().facts.values_mut() {
            for felt in preimage {
                if *felt == old {
                    *felt = new;
                }
            }
        }
    });
    assert!(matches!(error, ReplayError::ForgedNode { .. }), "{error}");

    let error = refused(witness, "nonce", |witness| {
        witness.initial_reads.nonces.get_mut(&bob).unwrap().0 += Felt::ONE;
    });
    assert!(matches!(error, ReplayError::ForgedValue { .. }), "{error}");

    let error = refused(witness, "a missing read", |witness| {
        witness.initial_reads.storage.remove(&token);
    });
    assert!(matches!(error, ReplayError::Engine { .. }), "{error}");

    let error = refused(witness, "bytecode", |witness| {
        let class = witness.classes.values_mut().next().unwrap();
        let mut casm = (*class.casm).clone();
        casm.bytecode[3].value += 1_u8;
        class.casm = casm.into();
    });
    assert!(matches!(error, ReplayError::Class { .. }), "{error}");

    let other_calldata = |witness: &mut BlockWitness| {
        let Transaction::Invoke(InvokeTransaction::V3(tx)) =
            &mut witness.transactions[0].transaction
        else {
            panic!("not an invoke");
        };
        let mut calldata = tx.calldata.0.to_vec();
        *calldata.last_mut().unwrap() += Felt::ONE;
        tx.calldata = starknet_api::transaction::fields::Calldata(Arc::new(calldata));
    };
    let error = refused(witness, "calldata", other_calldata);
    assert!(matches!(error, ReplayError::Transaction { .. }), "{error}");
    // With the hash that it has now, the account refuses its signature.
    let error = refused(witness, "calldata and hash", |witness| {
        other_calldata(witness);
        let chain_id = &witness.environment.chain_id;
        let hash = witness.transactions[0].compute_hash(chain_id).unwrap();
        witness.transactions[0].hash = hash;
    });
    assert!(matches!(error, ReplayError::Rejected { .. }), "{error}");

    let error = refused(witness, "a dropped transaction", |witness| {
        witness.transactions.pop();
        witness.receipts.pop();
    });
    assert!(matches!(error, ReplayError::Mismatch { .. }), "{error}");

    let error = refused(witness, "the fee", |witness| {
        witness.receipts[0].actual_fee.0 += 1;
    });
    assert!(matches!(error, ReplayError::Receipt { .. }), "{error}");

    let error = refused(witness, "the state root", |witness| {
        witness.header.state_root.0 += Felt::ONE;
        witness.header.hash = witness.header.compute_hash().unwrap();
    });
    assert!(matches!(error, ReplayError::Mismatch { .. }), "{error}");

    let error = refused(witness, "the block hash", |witness| {
        witness.header.hash.0 += Felt::ONE;
    });
    assert!(matches!(error, ReplayError::Mismatch { .. }), "{error}");

    let error = refused(witness, "the timestamp", |witness| {
        witness.environment.timestamp.0 += 1;
        witness.header.timestamp.0 += 1;
    });
    assert!(matches!(error, ReplayError::Mismatch { .. }), "{error}");
}

#[test]
fn a_damaged_file_is_refused() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let witness = chain.block(&[]).witness.encode().unwrap();
    let decode = |bytes: &[u8]| BlockWitness::decode(bytes, WitnessLimits::default());
    decode(&witness).unwrap();
    assert!(matches!(decode(&[]), Err(WitnessError::NotAWitness { length: 0 })));
    assert!(matches!(decode(&witness[..60]), Err(WitnessError::WrongLength { .. })));
    for position in [0, 7] {
        let mut bytes = witness.clone();
        bytes[position] ^= 1;
        assert!(matches!(decode(&bytes), Err(WitnessError::NotAWitness { .. })));
    }
    let mut bytes = witness.clone();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(decode(&bytes), Err(WitnessError::Damaged)));
    let small = WitnessLimits { encoded: witness.len() - 1, ..WitnessLimits::default() };
    assert!(matches!(BlockWitness::decode(&witness, small), Err(WitnessError::TooLarge { .. })));
    let small = WitnessLimits { decoded: 1_000, ..WitnessLimits::default() };
    assert!(matches!(BlockWitness::decode(&witness, small), Err(WitnessError::TooLarge { .. })));
}

#[test]
fn queries_answer_without_a_trace() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let blocks = varied(&mut chain);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let query = chain.query();
    let token = *STRK_TOKEN_ADDRESS;
    let selector = selector_from_name;
    let asked = query::call(&query, token, selector("balance_of"), vec![*alice.address.0.key()]);
    assert_eq!(asked.unwrap(), [balance(&chain, alice.address), Felt::ZERO]);
    let nobody = ContractAddress::try_from(Felt::from(12345)).unwrap();
    assert!(matches!(
        query::call(&query, nobody, selector("balance_of"), vec![]),
        Err(QueryError::ContractNotFound { .. })
    ));
    assert!(matches!(
        query::call(&query, token, selector("no_such_function"), vec![]),
        Err(QueryError::EntrypointNotFound { .. })
    ));
    assert!(matches!(
        query::call(&query, token, selector("transfer"), vec![Felt::ONE, Felt::ONE, Felt::ZERO]),
        Err(QueryError::ContractError { .. })
    ));

    // What an estimate says is what the block charges.
    let sent = invoke(&alice, 3, &[transfer(bob.address, 9)]);
    let estimate = query::simulate(
        &query,
        std::slice::from_ref(&sent),
        SimulationFlags { skip_fee_charge: true, fail_on_revert: true, ..Default::default() },
    )
    .unwrap();
    assert_eq!(query::validate(&query, &sent).unwrap(), Ok(()));
    let block = chain.block(&[sent]);
    assert_eq!(receipts(&block)[0].actual_fee, estimate[0].fee_estimation.overall_fee);

    // The trace of a closed block has the state diffs of its transactions.
    let stolen =
        sign(invoke(&bob, 2, &[transfer(alice.address, 1)]).transaction, alice.private_key);
    let rejection = query::validate(&chain.query(), &stolen).unwrap().unwrap_err();
    assert_eq!(rejection.reason, RejectionReason::ValidationFailed);
    let simulated = query::simulate(
        &chain.query(),
        &[stolen],
        SimulationFlags { skip_validate: true, with_traces: true, ..Default::default() },
    )
    .unwrap();
    assert!(simulated[0].transaction_trace.is_some());

    let again = TestChain::new(ExecutionMode::Vm);
    again.classes.insert(Arc::new(contract("counter")));
    let traces = query::trace_block(
        again.block_state(),
        &again.environment(),
        &blocks[0].execution.transactions,
    )
    .unwrap();
    let hashes: Vec<_> = traces.iter().map(|trace| trace.transaction_hash).collect();
    let sent: Vec<_> = blocks[0].execution.transactions.iter().map(|tx| tx.hash).collect();
    assert_eq!(hashes, sent);
}

/// Pins that what a block's answers say was changed, put together, is what the closed block changed: whatever the
/// batches, but for values that are what they were, and for what only closing writes (the aliases of keys).
#[test]
fn the_changes_of_batches_are_those_of_the_block() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    for _ in 0..OLD_BLOCK_HASH_DISTANCE {
        chain.block(&[]);
    }
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let account_class = chain.genesis.state_diff.deployed_contracts[&alice.address];
    let counter = contract("counter");
    chain.classes.insert(Arc::new(counter.clone()));
    let carol = new_account(77, account_class);
    let transactions = [
        invoke(&alice, 0, &[transfer(carol.address, 10_u128.pow(21)), transfer(bob.address, 5)]),
        invoke(&alice, 7, &[]),
        declare(&bob, 0, &counter),
        // The receiver has what it had when both are done.
        invoke(&alice, 1, &[transfer(ContractAddress::from(0xbeef_u128), 0)]),
        deploy_account(&carol, account_class),
        invoke(&carol, 1, &[transfer(alice.address, 3)]),
    ];
    let (state, environment) = (chain.block_state(), chain.environment());
    assert!(environment.old_block.is_some());
    for size in 1..=transactions.len() {
        let mut executor =
            BlockExecutor::begin(state.clone(), environment.clone(), BlockLimits::default())
                .unwrap();
        let mut view = opening_changes(&environment);
        assert_eq!(view.storage_diffs.len(), 1);
        for batch in transactions.chunks(size) {
            extend_diff(&mut view, &executor.execute(batch).unwrap().state_diff);
        }
        assert_eq!(executor.included(), 5);
        let closed = executor.close().unwrap().state_diff;
        assert_eq!(view.nonces.len(), 3);
        assert_eq!(
            view.class_hash_to_compiled_class_hash,
            closed.class_hash_to_compiled_class_hash
        );
        let seen = ChangedValues::new(Arc::new(chain.state.clone()), &view);
        let after = ChangedValues::new(Arc::new(chain.state.clone()), &closed);
        let aliases = ContractAddress::from(2_u128);
        for (contract, entries) in closed.storage_diffs.iter().chain(&view.storage_diffs) {
            for key in entries.keys().filter(|_| *contract != aliases) {
                assert_eq!(
                    seen.storage(*contract, *key).unwrap(),
                    after.storage(*contract, *key).unwrap()
                );
            }
        }
        for contract in closed.nonces.keys().chain(view.nonces.keys()) {
            assert_eq!(seen.nonce(*contract).unwrap(), after.nonce(*contract).unwrap());
        }
        assert_eq!(view.deployed_contracts, closed.deployed_contracts);
    }
}

/// Pins down what is told apart from an account that refuses: a contract that has no function to ask.
#[test]
fn a_contract_that_validates_nothing_is_no_account() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let alice = chain.account(0).clone();
    let token = DevAccount { address: *STRK_TOKEN_ADDRESS, ..alice.clone() };
    chain.block(&[invoke(&alice, 0, &[transfer(token.address, 10_u128.pow(21))])]);
    let reason = |transaction: &BlockTransaction| {
        query::validate(&chain.query(), transaction).unwrap().unwrap_err().reason
    };
    assert_eq!(reason(&invoke(&token, 0, &[])), RejectionReason::NotAnAccount);
    let counter = contract("counter");
    chain.classes.insert(Arc::new(counter.clone()));
    assert_eq!(reason(&declare(&token, 0, &counter)), RejectionReason::NotAnAccount);
    let forged = sign(invoke(&alice, 1, &[]).transaction, Felt::from(5));
    assert_eq!(reason(&forged), RejectionReason::ValidationFailed);
}

/// Pins down that words are cut in their middle, between characters.
#[test]
fn words_are_shortened_in_the_middle() {
    assert_eq!(shorten("short", 5), "short");
    let long = shorten("äääääbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbööööö", 11);
    assert_eq!(long, "ää … (58 bytes left out) … öö");
    let error = QueryError::ContractError {
        contract: ContractAddress::default(),
        message: "x".repeat(100_000),
        panic_data: vec![Felt::ONE; 10_000],
    };
    let QueryError::ContractError { message, panic_data, .. } = error.shortened(1_024) else {
        panic!("another error")
    };
    assert!(
        message.len() < 1_100 && panic_data.len() < 20,
        "{} {}",
        message.len(),
        panic_data.len()
    );
}
