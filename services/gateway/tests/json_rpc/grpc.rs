//! `sidereal.gateway.v1` as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use sidereal_gateway::GatewayConfig;
use sidereal_proto::gateway::gateway_service_client::GatewayServiceClient;
use sidereal_proto::gateway::{
    GetBlockRequest, GetTransactionStatusRequest, GetTransactionStatusResponse,
    SubmitTransactionRequest, WatchBlocksRequest, WatchFinalityRequest,
    WatchTransactionStatusRequest, get_block_request,
};
use sidereal_proto::sequencer::SubmitError;
use sidereal_proto::types::{FinalityStatus, TransactionStatus};
use sidereal_proto::{felt as wire_felt, transaction as wire};
use starknet_api::block::BlockNumber;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::fields::Calldata;
use starknet_api::transaction::{InvokeTransaction, Transaction};
use tokio::sync::Barrier;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::chain::{self, *};
use crate::stack::Stack;

async fn client(stack: &Stack) -> GatewayServiceClient<Channel> {
    GatewayServiceClient::connect(format!("http://{}", stack.running.grpc)).await.unwrap()
}

fn status_request(hash: u64) -> GetTransactionStatusRequest {
    GetTransactionStatusRequest { transaction_hash: wire_felt::felt_bytes(&felt(hash)) }
}

fn watch_request(hash: u64, until: FinalityStatus) -> WatchTransactionStatusRequest {
    let transaction_hash = wire_felt::felt_bytes(&felt(hash));
    WatchTransactionStatusRequest { transaction_hash, until: until.into() }
}

/// The next message of a stream; `None` at its end.
async fn next<T>(stream: &mut Streaming<T>) -> Option<T> {
    let message = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
    message.expect("the stream says nothing").unwrap()
}

#[tokio::test]
async fn blocks_are_read_and_watched() {
    let stack = Stack::start().await;
    let mut client = client(&stack).await;
    let request = |block| GetBlockRequest { block, with_transactions: true };
    let latest = client.get_block(request(None)).await.unwrap().into_inner();
    assert_eq!(latest.header.as_ref().unwrap().number, 2);
    assert_eq!(latest.transactions.len(), 1);
    let hash = wire_felt::felt_bytes(&block_hash(2));
    let by_hash = client.get_block(request(Some(get_block_request::Block::Hash(hash)))).await;
    assert_eq!(by_hash.unwrap().into_inner(), latest);
    let missing = request(Some(get_block_request::Block::Number(9)));
    assert_eq!(client.get_block(missing).await.unwrap_err().code(), Code::NotFound);
    let malformed = request(Some(get_block_request::Block::Hash(vec![1])));
    assert_eq!(client.get_block(malformed).await.unwrap_err().code(), Code::InvalidArgument);

    let request = WatchBlocksRequest { first_block_number: Some(1) };
    let mut blocks = client.watch_blocks(request).await.unwrap().into_inner();
    for expected in [1, 2] {
        let block = blocks.message().await.unwrap().unwrap();
        assert_eq!(block.header.unwrap().number, expected);
    }
    let roots = stack.store.head().await.unwrap().unwrap().state_roots;
    chain::commit(&stack.store, 3, roots, vec![], vec![], ThinStateDiff::default()).await;
    let block = tokio::time::timeout(Duration::from_secs(10), blocks.message()).await.unwrap();
    assert_eq!(block.unwrap().unwrap().header.unwrap().number, 3);
}

/// A watched transaction is seen in the mempool, in the open block, in the closed one and on L1; each stream ends as far as
/// it was to go.
#[tokio::test]
async fn statuses_are_followed_to_the_end() {
    let stack = Stack::start().await;
    let mut client = client(&stack).await;
    let unknown = client.get_transaction_status(status_request(UNKNOWN)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(unknown.metadata().get("starknet-error-code").unwrap(), "29");

    let transaction = invoke(0x3001, 3);
    stack.sequencer.0.lock().unwrap().waiting.push(transaction.clone());
    use FinalityStatus::{AcceptedOnL1, AcceptedOnL2, PreConfirmed, Received, Rejected};
    let mut streams = Vec::new();
    // Unspecified is what clients said before there was anything to say.
    for until in [PreConfirmed, FinalityStatus::Unspecified, AcceptedOnL2, AcceptedOnL1] {
        let watched = client.watch_transaction_status(watch_request(0x3001, until)).await;
        streams.push(watched.unwrap().into_inner());
    }
    for refused in [Received, Rejected] {
        let watched = client.watch_transaction_status(watch_request(0x3001, refused)).await;
        assert_eq!(watched.unwrap_err().code(), Code::InvalidArgument);
    }
    let seen = async |streams: &mut [Streaming<GetTransactionStatusResponse>]| {
        let mut seen = Vec::new();
        for stream in streams {
            seen.push(next(stream).await.map(|message| message.status.unwrap()));
        }
        seen
    };
    let finality =
        |status: &Option<TransactionStatus>| status.as_ref().map(|status| status.finality());
    let statuses = seen(&mut streams).await;
    assert!(statuses.iter().all(|status| finality(status) == Some(Received)), "{statuses:?}");
    stack.open_block(0x3001);
    for status in seen(&mut streams).await {
        assert_eq!(finality(&status), Some(PreConfirmed));
        assert_eq!(status.unwrap().block_number, Some(3));
    }
    assert_eq!(next(&mut streams.remove(0)).await, None);
    let roots = stack.store.head().await.unwrap().unwrap().state_roots;
    let receipts = vec![receipt(&transaction, vec![])];
    chain::commit(&stack.store, 3, roots, vec![transaction], receipts, ThinStateDiff::default())
        .await;
    for status in seen(&mut streams).await {
        assert_eq!(finality(&status), Some(AcceptedOnL2));
        assert_eq!(status.unwrap().block_number, Some(3));
    }
    let mut to_l1 = streams.pop().unwrap();
    assert_eq!(seen(&mut streams).await, [None, None]);
    stack.store.accept_on_l1(BlockNumber(3)).await.unwrap();
    let last = next(&mut to_l1).await.unwrap().status.unwrap();
    assert_eq!((last.finality(), last.block_number), (AcceptedOnL1, Some(3)));
    assert_eq!(next(&mut to_l1).await, None);

    // What never will be in a block ends all of them.
    stack.sequencer.0.lock().unwrap().rejected.insert(felt(0x5001), "nonce_too_old".to_owned());
    let watched = client.watch_transaction_status(watch_request(0x5001, AcceptedOnL1)).await;
    let mut watched = watched.unwrap().into_inner();
    assert_eq!(next(&mut watched).await.unwrap().status.unwrap().finality(), Rejected);
    assert_eq!(next(&mut watched).await, None);
}

/// The last block on L1 is told as soon as there is one, to new readers at once, and then each later one.
#[tokio::test]
async fn finality_is_followed() {
    let stack = Stack::start().await;
    let mut client = client(&stack).await;
    let mut early = client.watch_finality(WatchFinalityRequest {}).await.unwrap().into_inner();
    let quiet = tokio::time::timeout(Duration::from_millis(1_500), early.message()).await;
    assert!(quiet.is_err(), "nothing is on L1 yet: {quiet:?}");
    stack.store.accept_on_l1(BlockNumber(1)).await.unwrap();
    let first = next(&mut early).await.unwrap();
    assert_eq!(first.l1_accepted_block_number, 1);
    assert_eq!(first.l1_accepted_block_hash, wire_felt::felt_bytes(&block_hash(1)));
    let mut late = client.watch_finality(WatchFinalityRequest {}).await.unwrap().into_inner();
    assert_eq!(next(&mut late).await.unwrap(), first);
    let finality = async || {
        let latest = GetBlockRequest { block: None, with_transactions: false };
        client.clone().get_block(latest).await.unwrap().into_inner().finality()
    };
    assert_eq!(finality().await, FinalityStatus::AcceptedOnL2);
    stack.store.accept_on_l1(BlockNumber(2)).await.unwrap();
    for stream in [&mut early, &mut late] {
        assert_eq!(next(stream).await.unwrap().l1_accepted_block_number, 2);
    }
    assert_eq!(finality().await, FinalityStatus::AcceptedOnL1);
}

#[tokio::test]
async fn submission() {
    let stack = Stack::start().await;
    let mut client = client(&stack).await;
    let stored = invoke(1, 3);
    let mut transaction = wire::to_wire(&stored.hash, &stored.transaction).unwrap();
    let request =
        |transaction| SubmitTransactionRequest { transaction, sierra_class_json: Vec::new() };
    // A claimed hash that is not the hash.
    let refused = client.submit_transaction(request(Some(transaction.clone()))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    transaction.hash.clear();
    let accepted = client.submit_transaction(request(Some(transaction.clone()))).await.unwrap();
    let submitted = stack.sequencer.0.lock().unwrap().submitted.pop().unwrap();
    assert_eq!(accepted.into_inner().transaction_hash, wire_felt::felt_bytes(&submitted.hash.0));
    let with_class = SubmitTransactionRequest {
        transaction: Some(transaction),
        sierra_class_json: b"{}".to_vec(),
    };
    let refused = client.submit_transaction(with_class).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = client.submit_transaction(request(None)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // More than a message may have, and nobody is asked.
    let oversized = SubmitTransactionRequest {
        transaction: None,
        sierra_class_json: vec![b' '; GatewayConfig::default().grpc.max_message_bytes + 1],
    };
    let refused = client.submit_transaction(oversized).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(stack.sequencer.0.lock().unwrap().submitted.is_empty());
}

/// What JSON-RPC has one code for is told apart: what can never be taken, what the state refuses, and what may be taken
/// later.
#[tokio::test]
async fn refusals_without_a_code_of_their_own_are_told_apart() {
    let request = |calldata: usize| {
        let mut stored = invoke(1, 3);
        if let Transaction::Invoke(InvokeTransaction::V3(fields)) = &mut stored.transaction {
            fields.calldata = Calldata(Arc::new(vec![felt(7); calldata]));
        }
        let transaction = wire::to_wire_unhashed(&stored.transaction).unwrap();
        SubmitTransactionRequest { transaction: Some(transaction), sierra_class_json: Vec::new() }
    };
    let refused = async |stack: &Stack, request: SubmitTransactionRequest| {
        let refused = client(stack).await.submit_transaction(request).await.unwrap_err();
        assert_eq!(refused.metadata().get("starknet-error-code").unwrap(), "63");
        refused.code()
    };
    let stack = Stack::start().await;
    assert_eq!(refused(&stack, request(5_001)).await, Code::InvalidArgument);
    for (refusal, code) in [
        (SubmitError::Unspecified, Code::FailedPrecondition),
        (SubmitError::MempoolFull, Code::ResourceExhausted),
    ] {
        stack.sequencer.0.lock().unwrap().refuse = Some(refusal);
        assert_eq!(refused(&stack, request(2)).await, code);
    }
    let nobody = "http://127.0.0.1:1".to_owned();
    let alone = Stack::with(|config| config.sequencer.url = nobody, None).await;
    assert_eq!(refused(&alone, request(2)).await, Code::Unavailable);
}

/// Too many calls at once are refused, not queued.
#[tokio::test]
async fn calls_are_bounded() {
    let stack = Stack::with(|config| config.limits.max_concurrent_calls = 1, None).await;
    let gate = Arc::new(Barrier::new(2));
    stack.sequencer.0.lock().unwrap().gate = Some(Arc::clone(&gate));
    let mut client = client(&stack).await;
    let mut other = client.clone();
    let first =
        tokio::spawn(async move { other.get_transaction_status(status_request(UNKNOWN)).await });
    // From here to the next wait it is in progress.
    gate.wait().await;
    let latest = GetBlockRequest { block: None, with_transactions: false };
    let refused = client.get_block(latest.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    gate.wait().await;
    assert_eq!(first.await.unwrap().unwrap_err().code(), Code::NotFound);
    client.get_block(latest).await.unwrap();
}

/// A call whose answer does not come ends, and says why.
#[tokio::test]
async fn calls_take_a_bounded_time() {
    let stack = Stack::with(|config| config.limits.request_timeout_ms = 200, None).await;
    stack.sequencer.0.lock().unwrap().gate = Some(Arc::new(Barrier::new(2)));
    let mut client = client(&stack).await;
    let late = client.get_transaction_status(status_request(UNKNOWN)).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
}
