//! Queries over closed and open blocks.

use std::sync::Arc;

use sidereal_execution::block::{BlockEnvironment, STRK_TOKEN_ADDRESS};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::outcome::{Rejection, RejectionReason};
use sidereal_execution::query::{QueryError, SimulatedTransaction};
use sidereal_execution::testing::{
    Call, contract, declare, deploy_account, invoke, new_account, sign, transfer,
};
use sidereal_execution::trace::TransactionTraceEntry;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::{executor as wire, felt, payload, types};
use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::core::{ChainId, ContractAddress};
use starknet_types_core::felt::Felt;
use tonic::Code;

use crate::stack::{Stack, on_wire, validation};

#[tokio::test(flavor = "multi_thread")]
async fn queries_read_any_closed_block() {
    let mut stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let counter = contract("counter");
    stack.chain.classes.insert(Arc::new(counter.clone()));
    stack.store_class(&counter).await;
    let block = stack
        .chain
        .block(&[invoke(&alice, 0, &[transfer(bob.address, 7)]), declare(&bob, 0, &counter)]);
    stack.commit(1, &block.execution).await;

    let balance = |at: Option<u64>| wire::CallRequest {
        at: Some(wire::StateAt { block_number: at, pending: None }),
        contract_address: felt::felt_bytes(STRK_TOKEN_ADDRESS.0.key()),
        entry_point_selector: felt::felt_bytes(&selector_from_name("balance_of").0),
        calldata: vec![felt::felt_bytes(bob.address.0.key())],
    };
    let read = |answer: wire::CallResponse| felt::felts("result", &answer.result).unwrap()[0];
    let before = read(client.call(balance(Some(0))).await.unwrap().into_inner());
    assert_eq!(before, Felt::from(bob.balance_fri));
    let after = read(client.call(balance(None)).await.unwrap().into_inner());
    let fee = block.execution.receipts[1].actual_fee.0;
    assert_eq!(after, before + Felt::from(7) - Felt::from(fee));
    let future = client.call(balance(Some(9))).await.unwrap_err();
    assert_eq!(future.code(), Code::NotFound);

    let mut wrong = balance(None);
    wrong.entry_point_selector = felt::felt_bytes(&Felt::from(5));
    let status = client.call(wrong).await.unwrap_err();
    let error: QueryError = serde_json::from_slice(status.details()).unwrap();
    assert!(matches!(error, QueryError::EntrypointNotFound { .. }), "{error}");
    let mut wrong = balance(None);
    wrong.contract_address = vec![1, 2, 3];
    assert_eq!(client.call(wrong).await.unwrap_err().code(), Code::InvalidArgument);

    let sent = invoke(&alice, 1, &[transfer(bob.address, 1)]);
    let simulate = |transaction: &BlockTransaction| wire::SimulateRequest {
        at: None,
        transactions: vec![on_wire(transaction)],
        skip_validate: false,
        skip_fee_charge: true,
        with_traces: true,
        fail_on_revert: true,
        classes: Vec::new(),
    };
    let answer = client.simulate(simulate(&sent)).await.unwrap().into_inner();
    let simulated: Vec<SimulatedTransaction> =
        payload::decode("simulated", &answer.simulated_json).unwrap();
    assert!(simulated[0].fee_estimation.overall_fee.0 > 0);
    assert!(simulated[0].transaction_trace.is_some());

    let stolen = sign(invoke(&bob, 1, &[]).transaction, alice.private_key);
    let status = client.validate(validation(&stolen)).await.unwrap_err();
    let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
    assert_eq!(rejection.reason, RejectionReason::ValidationFailed);
    client.validate(validation(&sent)).await.unwrap();

    let answer =
        client.trace_block(wire::TraceBlockRequest { block_number: 1 }).await.unwrap().into_inner();
    let traces: Vec<TransactionTraceEntry> =
        payload::decode("traces", &answer.traces_json).unwrap();
    let hashes: Vec<_> = traces.iter().map(|trace| trace.transaction_hash).collect();
    let committed: Vec<_> = block.execution.transactions.iter().map(|one| one.hash).collect();
    assert_eq!(hashes, committed);
    let none = client.trace_block(wire::TraceBlockRequest { block_number: 5 }).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    stack.shutdown.trigger();
}

/// Pins down that a query over open blocks sees what they changed, in their environment, and that what is not the state
/// of open blocks is refused.
#[tokio::test(flavor = "multi_thread")]
async fn queries_read_the_open_blocks() {
    let mut stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let account_class = stack.chain.genesis.state_diff.deployed_contracts[&alice.address];
    let carol = new_account(77, account_class);
    // Neither block is in the store.
    let fund = transfer(carol.address, 10_u128.pow(20));
    let first = stack.chain.block(&[invoke(&alice, 0, &[fund, transfer(bob.address, 7)])]);
    let environment = stack.chain.environment();
    let second = stack.chain.block(&[
        invoke(&alice, 1, &[transfer(bob.address, 30)]),
        deploy_account(&carol, account_class),
    ]);
    let diffs: Vec<Vec<u8>> = [&first, &second]
        .iter()
        .map(|block| payload::encode("diff", &block.execution.state_diff).unwrap())
        .collect();
    let pending = wire::PendingState {
        environment_json: payload::encode("environment", &environment).unwrap(),
        state_diffs_json: diffs.clone(),
    };
    let at = |block_number: Option<u64>, pending: &wire::PendingState| {
        Some(wire::StateAt { block_number, pending: Some(pending.clone()) })
    };
    let open = || at(Some(0), &pending);

    let call = |at, function: &str, calldata: Vec<Vec<u8>>| wire::CallRequest {
        at,
        contract_address: felt::felt_bytes(STRK_TOKEN_ADDRESS.0.key()),
        entry_point_selector: felt::felt_bytes(&selector_from_name(function).0),
        calldata,
    };
    let balance = |at| call(at, "balance_of", vec![felt::felt_bytes(bob.address.0.key())]);
    let read = |answer: wire::CallResponse| felt::felts("result", &answer.result).unwrap()[0];
    let closed = Some(wire::StateAt { block_number: Some(0), pending: None });
    let before = read(client.call(balance(closed)).await.unwrap().into_inner());
    // The second time it is remembered; in between another view is asked about.
    let one = wire::PendingState {
        environment_json: payload::encode("environment", &first.execution.environment).unwrap(),
        state_diffs_json: vec![diffs[0].clone()],
    };
    for (view, more) in [(&pending, 37), (&one, 7), (&pending, 37)] {
        let after = read(client.call(balance(at(Some(0), view))).await.unwrap().into_inner());
        assert_eq!(after, before + Felt::from(more));
    }

    // The next transactions of an account that only the open blocks know.
    let next = invoke(&carol, 1, &[transfer(bob.address, 1)]);
    let simulate = |at| wire::SimulateRequest {
        at,
        transactions: vec![on_wire(&next)],
        skip_fee_charge: true,
        fail_on_revert: true,
        ..wire::SimulateRequest::default()
    };
    client.simulate(simulate(open())).await.unwrap();
    client.simulate(simulate(None)).await.unwrap_err();
    let validate = |at| wire::ValidateRequest { at, ..validation(&next) };
    client.validate(validate(open())).await.unwrap();
    let status = client.validate(validate(None)).await.unwrap_err();
    let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
    assert_eq!(rejection.reason, RejectionReason::InvalidAccount);

    let mut code = async |at| client.call(balance(at)).await.map_err(|status| status.code());
    let garbage = |change: fn(&mut wire::PendingState)| {
        let mut garbage = pending.clone();
        change(&mut garbage);
        at(Some(0), &garbage)
    };
    let invalid = [
        at(None, &pending),
        garbage(|pending| pending.environment_json = b"{".to_vec()),
        garbage(|pending| pending.environment_json.clear()),
        garbage(|pending| pending.state_diffs_json[1].truncate(50)),
        garbage(|pending| pending.state_diffs_json.clear()),
        garbage(|pending| drop(pending.state_diffs_json.pop())),
        garbage(|pending| pending.state_diffs_json.push(b"{}".to_vec())),
        garbage(|pending| pending.state_diffs_json[0] = vec![b' '; 33 << 20]),
    ];
    for at in invalid {
        assert_eq!(code(at).await.unwrap_err(), Code::InvalidArgument);
    }
    let foreign = BlockEnvironment { chain_id: ChainId::Mainnet, ..environment.clone() };
    let mut of_another_chain = pending.clone();
    of_another_chain.environment_json = payload::encode("environment", &foreign).unwrap();
    assert_eq!(code(at(Some(0), &of_another_chain)).await.unwrap_err(), Code::InvalidArgument);
    let mut far = environment.clone();
    far.number.0 += 7;
    let mut ahead = pending.clone();
    ahead.environment_json = payload::encode("environment", &far).unwrap();
    // Not the blocks on top of that one; and on top of one that is not there.
    assert_eq!(code(at(Some(0), &ahead)).await.unwrap_err(), Code::InvalidArgument);
    assert_eq!(code(at(Some(7), &ahead)).await.unwrap_err(), Code::NotFound);
    code(open()).await.unwrap();
    stack.shutdown.trigger();
}

/// Pins down that a declare can be simulated and validated with a class that is nowhere but in the request, that what it
/// declares can be used in the same simulation, and that nothing of it stays.
#[tokio::test(flavor = "multi_thread")]
async fn classes_of_a_request_stay_in_it() {
    let stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Native).await;
    let alice = stack.chain.account(0).clone();
    let counter = contract("counter");
    let pack = |json: Vec<u8>| zstd::encode_all(json.as_slice(), 1).unwrap();
    let class = types::DeclaredClass {
        sierra_json_zstd: pack(serde_json::to_vec(&counter.sierra).unwrap()),
        casm_json_zstd: pack(serde_json::to_vec(&counter.casm).unwrap()),
    };
    let deployer: ContractAddress = ContractAddress::try_from(Felt::from_hex_unchecked(
        "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf",
    ))
    .unwrap();
    let calldata = vec![counter.class_hash().0, Felt::ONE, Felt::ZERO, Felt::ONE, Felt::from(10)];
    let deploy = Call { to: deployer, function: "deployContract", calldata };
    let transactions = [declare(&alice, 0, &counter), invoke(&alice, 1, &[deploy])];
    let simulate = |classes: Vec<types::DeclaredClass>| wire::SimulateRequest {
        transactions: transactions.iter().map(on_wire).collect(),
        fail_on_revert: true,
        classes,
        ..wire::SimulateRequest::default()
    };
    for _ in 0..2 {
        let status = client.simulate(simulate(Vec::new())).await.unwrap_err();
        let error: QueryError = serde_json::from_slice(status.details()).unwrap();
        let reason = Some(RejectionReason::InvalidClass);
        let QueryError::TransactionExecution { index: 0, reason: found, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(found, reason);
        let answer = client.simulate(simulate(vec![class.clone()])).await.unwrap().into_inner();
        let simulated: Vec<SimulatedTransaction> =
            payload::decode("simulated", &answer.simulated_json).unwrap();
        assert_eq!(simulated.len(), 2);

        let [declares, uses] = transactions.each_ref().map(validation);
        let status = client.validate(declares.clone()).await.unwrap_err();
        let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
        assert_eq!(rejection.reason, RejectionReason::InvalidClass);
        let with = |request| wire::ValidateRequest { class: Some(class.clone()), ..request };
        client.validate(with(declares)).await.unwrap();
        let status = client.validate(with(uses)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "it declares nothing");
    }

    let mut garbage = class.clone();
    garbage.casm_json_zstd = pack(b"{}".to_vec());
    let mut cut = class.clone();
    cut.sierra_json_zstd.truncate(100);
    let many = vec![class.clone(); 3];
    for classes in [vec![garbage], vec![cut], many] {
        let status = client.simulate(simulate(classes)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    stack.shutdown.trigger();
}
