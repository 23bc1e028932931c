//! Blocks as streams.

use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::{Rejection, RejectionReason, TransactionOutcome};
use sidereal_execution::testing::{invoke, transfer};
use sidereal_proto::executor::execute_block_request::Message;
use sidereal_proto::{executor as wire, felt, payload};
use starknet_types_core::felt::Felt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::stack::{Stack, Streamed, batch, on_wire, read_to_end, stream};

#[tokio::test(flavor = "multi_thread")]
async fn two_executors_build_the_same_block() {
    let mut stack = Stack::new().await;
    let mut first = stack.executor(ExecutionMode::Vm).await;
    let mut second = stack.executor(ExecutionMode::Native).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    for round in 0..3_u64 {
        let mut transactions: Vec<_> = (0..5)
            .map(|n| invoke(&alice, round * 5 + n, &[transfer(bob.address, 1 + u128::from(n))]))
            .collect();
        transactions.push(invoke(&bob, 99, &[]));
        let messages = || {
            vec![
                stack.begin(BlockLimits::default()),
                batch(&transactions[..4]),
                batch(&transactions[4..]),
                Message::Close(wire::CloseBlock::default()),
            ]
        };
        let one = stream(&mut first, messages()).await.unwrap();
        let two = stream(&mut second, messages()).await.unwrap();
        assert_eq!(one.outcomes.len(), 6);
        let rejected = &one.outcomes[5];
        assert!(matches!(
            rejected,
            TransactionOutcome::Rejected(Rejection { reason: RejectionReason::NonceTooHigh, .. })
        ));
        let (one_block, two_block) = (one.block(&transactions), two.block(&transactions));
        assert_eq!(one_block.state_diff, two_block.state_diff);
        assert_eq!(one_block.initial_reads, two_block.initial_reads);
        assert_eq!(one_block.transactions, two_block.transactions);

        // And it is the block that the engine builds without a service; the next round builds on it.
        let expected = stack.chain.block(&transactions);
        assert_eq!(expected.execution, one_block);
        stack.commit(stack.chain.headers.len() - 1, &one_block).await;
    }
    stack.shutdown.trigger();
}

/// Pins down that a block which was begun before its parent was committed is the one that is built afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_begins_while_its_parent_is_committed() {
    let mut stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let mut other = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let transfers = |nonce| [invoke(&alice, nonce, &[transfer(bob.address, 5)])];
    let close =
        |hash: Felt| Message::Close(wire::CloseBlock { parent_hash: felt::felt_bytes(&hash) });
    let code = |result: Result<Streamed, Status>| result.err().map(|status| status.code());

    let genesis = stack.chain.head().0;
    let begin = stack.begin(BlockLimits::default());
    let first =
        stream(&mut client, vec![begin, batch(&transfers(0)), close(genesis)]).await.unwrap();
    let expected = stack.chain.block(&transfers(0));
    assert_eq!(first.closed, Some(expected.execution.clone().into()));
    let parent = stack.chain.head().0;

    // Nobody else has that state, and nobody closes a block on what is not in the store.
    let begin = || vec![stack.begin_on(&first.execution_id), batch(&transfers(1)), close(parent)];
    assert_eq!(code(stream(&mut other, begin()).await), Some(Code::FailedPrecondition));
    assert_eq!(code(stream(&mut client, begin()).await), Some(Code::FailedPrecondition));
    let unknown = vec![stack.begin_on(&[7; 16]), close(parent)];
    assert_eq!(code(stream(&mut client, unknown).await), Some(Code::FailedPrecondition));

    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let send = async |message| {
        sender.send(wire::ExecuteBlockRequest { message: Some(message) }).await.unwrap();
    };
    send(stack.begin_on(&first.execution_id)).await;
    send(batch(&transfers(1))).await;
    let answers = client.execute_block(ReceiverStream::new(receiver)).await.unwrap();
    let mut answers = answers.into_inner();
    let outcome = answers.message().await.unwrap().unwrap().message.unwrap();
    let wire::execute_block_response::Message::Outcomes(outcomes) = outcome else {
        panic!("the transfer is answered before its block's parent is committed");
    };
    let outcome = payload::decode("outcome", &outcomes.outcomes_json[0]).unwrap();
    assert!(matches!(outcome, TransactionOutcome::Included(_)));
    stack.commit(1, &expected.execution).await;
    send(close(parent)).await;
    let mut second = read_to_end(answers).await.unwrap();
    second.outcomes.push(outcome);
    let second = second.block(&transfers(1));
    assert_eq!(second, stack.chain.block(&transfers(1)).execution);

    // On another parent than it was begun on, a block is not closed.
    stack.commit(2, &second).await;
    let elsewhere = vec![stack.begin(BlockLimits::default()), close(parent)];
    assert_eq!(code(stream(&mut client, elsewhere).await), Some(Code::FailedPrecondition));
    stack.shutdown.trigger();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_block_is_reported_and_closed() {
    let stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let transactions: Vec<_> =
        (0..5).map(|nonce| invoke(&alice, nonce, &[transfer(bob.address, 1)])).collect();
    let limits = BlockLimits { transactions: 3, ..BlockLimits::default() };
    let streamed = stream(
        &mut client,
        vec![
            stack.begin(limits),
            batch(&transactions),
            batch(&transactions),
            Message::Close(wire::CloseBlock::default()),
        ],
    )
    .await
    .unwrap();
    assert!(streamed.full);
    assert_eq!(streamed.outcomes.len(), 3);
    let included = transactions[..3].iter().map(|one| one.hash);
    assert!(streamed.closed.unwrap().transactions.into_iter().eq(included));
    stack.shutdown.trigger();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_block_is_refused() {
    let stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let code = |result: Result<Streamed, Status>| result.err().map(|status| status.code());

    let unordered = stream(&mut client, vec![batch(&[])]).await;
    assert_eq!(code(unordered), Some(Code::InvalidArgument));
    let twice = vec![stack.begin(BlockLimits::default()), stack.begin(BlockLimits::default())];
    assert_eq!(code(stream(&mut client, twice).await), Some(Code::InvalidArgument));

    let mut environment = stack.chain.environment();
    environment.parent_hash.0 += Felt::ONE;
    let begin = |environment: &sidereal_execution::block::BlockEnvironment| {
        Message::Begin(wire::BeginBlock {
            environment_json: payload::encode("environment", environment).unwrap(),
            limits_json: payload::encode("limits", &BlockLimits::default()).unwrap(),
            parent_execution_id: Vec::new(),
        })
    };
    let orphan = stream(&mut client, vec![begin(&environment)]).await;
    assert_eq!(code(orphan), Some(Code::FailedPrecondition));
    let mut environment = stack.chain.environment();
    environment.chain_id = starknet_api::core::ChainId::Mainnet;
    let foreign = stream(&mut client, vec![begin(&environment)]).await;
    assert_eq!(code(foreign), Some(Code::InvalidArgument));
    let mut environment = stack.chain.environment();
    environment.l2_gas_price.price_in_fri.0 = 0;
    let free = stream(&mut client, vec![begin(&environment)]).await;
    assert_eq!(code(free), Some(Code::InvalidArgument));
    let garbage = Message::Begin(wire::BeginBlock {
        environment_json: b"{".to_vec(),
        limits_json: b"{}".to_vec(),
        parent_execution_id: Vec::new(),
    });
    assert_eq!(code(stream(&mut client, vec![garbage]).await), Some(Code::InvalidArgument));
    let mut nameless = on_wire(&invoke(stack.chain.account(0), 0, &[]));
    nameless.hash.clear();
    let nameless = Message::Transactions(wire::TransactionBatch { transactions: vec![nameless] });
    let nameless = stream(&mut client, vec![stack.begin(BlockLimits::default()), nameless]).await;
    assert_eq!(code(nameless), Some(Code::InvalidArgument));
    // An executor that refused so often still works.
    let empty =
        vec![stack.begin(BlockLimits::default()), Message::Close(wire::CloseBlock::default())];
    assert!(stream(&mut client, empty).await.unwrap().closed.is_some());
    stack.shutdown.trigger();
}
