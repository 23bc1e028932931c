//! `sidereal.gateway.v1` as a client sees it.

use std::time::Duration;

use sidereal_proto::gateway::gateway_service_client::GatewayServiceClient;
use sidereal_proto::gateway::{
    GetBlockRequest, GetTransactionStatusRequest, SubmitTransactionRequest, WatchBlocksRequest,
    get_block_request,
};
use sidereal_proto::types::FinalityStatus;
use sidereal_proto::{felt as wire_felt, transaction as wire};
use starknet_api::state::ThinStateDiff;
use tonic::Code;
use tonic::transport::Channel;

use crate::chain::{self, *};
use crate::stack::Stack;

async fn client(stack: &Stack) -> GatewayServiceClient<Channel> {
    GatewayServiceClient::connect(format!("http://{}", stack.running.grpc)).await.unwrap()
}

fn status_request(hash: u64) -> GetTransactionStatusRequest {
    GetTransactionStatusRequest { transaction_hash: wire_felt::felt_bytes(&felt(hash)) }
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

/// A watched transaction is seen in the mempool, in the open block and in the closed one; then it ends.
#[tokio::test]
async fn statuses_are_followed_to_the_end() {
    let stack = Stack::start().await;
    let mut client = client(&stack).await;
    let unknown = client.get_transaction_status(status_request(UNKNOWN)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(unknown.metadata().get("starknet-error-code").unwrap(), "29");

    let transaction = invoke(0x3001, 3);
    stack.sequencer.0.lock().unwrap().waiting.push(transaction.clone());
    let mut watched =
        client.watch_transaction_status(status_request(0x3001)).await.unwrap().into_inner();
    let mut next = async || {
        let message = tokio::time::timeout(Duration::from_secs(10), watched.message()).await;
        message.unwrap().unwrap().map(|message| message.status.unwrap())
    };
    assert_eq!(next().await.unwrap().finality(), FinalityStatus::Received);
    stack.open_block(0x3001);
    assert_eq!(next().await.unwrap().finality(), FinalityStatus::PreConfirmed);
    let roots = stack.store.head().await.unwrap().unwrap().state_roots;
    let receipts = vec![receipt(&transaction, vec![])];
    chain::commit(&stack.store, 3, roots, vec![transaction], receipts, ThinStateDiff::default())
        .await;
    let last = next().await.unwrap();
    assert_eq!(last.finality(), FinalityStatus::AcceptedOnL2);
    assert_eq!(last.block_number, Some(3));
    assert_eq!(next().await, None);
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
}
