//! Events: pages that follow each other from closed blocks into open ones, filters, and what is no filter.

use serde_json::{Value, json};
use starknet_api::state::ThinStateDiff;

use crate::chain::*;
use crate::stack::{Stack, environment, felt as read_felt, hash, number};

/// The events of all pages.
async fn paged(stack: &Stack, mut filter: Value) -> Vec<Value> {
    let mut found = Vec::new();
    for _ in 0..20 {
        let page = stack.result("starknet_getEvents", json!([filter])).await;
        found.extend(page["events"].as_array().unwrap().iter().cloned());
        match page.get("continuation_token") {
            Some(token) => filter["continuation_token"] = token.clone(),
            None => return found,
        }
    }
    panic!("the pages do not end")
}

/// Block, transaction and event of each.
fn places(events: &[Value]) -> Vec<(Value, Value, Value)> {
    let place = |event: &Value, name: &str| event[name].clone();
    events
        .iter()
        .map(|event| {
            let block = place(event, "block_number");
            (block, place(event, "transaction_index"), place(event, "event_index"))
        })
        .collect()
}

fn place(block: u64, transaction: u64, event: u64) -> (Value, Value, Value) {
    (json!(block), json!(transaction), json!(event))
}

/// Pages of events follow each other without a gap, into the open block.
#[tokio::test]
async fn events_in_pages() {
    let stack = Stack::start().await;
    stack.open_block(0x3001);
    let filter = json!({"from_block": number(0), "to_block": "pre_confirmed", "chunk_size": 2});
    let found = paged(&stack, filter).await;
    assert_eq!(
        places(&found),
        [
            place(1, 0, 0),
            place(1, 0, 1),
            place(1, 0, 2),
            place(1, 0, 3),
            place(2, 0, 0),
            place(3, 0, 0)
        ]
    );
    assert!(found[5].get("block_hash").is_none());
    assert_eq!(read_felt(&found[4]["block_hash"]), block_hash(2));
}

/// While a block is committed, the next one is being filled: what is executed in either is found, and once. When the first
/// one is in the store, it does not matter whether the sequencer still shows it.
#[tokio::test]
async fn both_open_blocks_are_seen() {
    let stack = Stack::start().await;
    stack.open_block(0x3001);
    let filled = invoke(0x4001, 4);
    let filled_receipt = receipt(&filled, vec![event(TOKEN, &[1, 8]), event(OTHER, &[1])]);
    let (committing, committing_receipt) = {
        let mut sequencer = stack.sequencer.0.lock().unwrap();
        sequencer.filling = Some((environment(4), ThinStateDiff::default()));
        sequencer.filled = vec![(filled, filled_receipt)];
        sequencer.open.as_ref().unwrap().1[0].clone()
    };
    for (hash, block, events) in [(0x3001, 3, 1), (0x4001, 4, 2)] {
        let receipt = stack.result("starknet_getTransactionReceipt", json!([hex(hash)])).await;
        assert_eq!(receipt["transaction_hash"], hex(hash));
        assert_eq!(receipt["finality_status"], "PRE_CONFIRMED");
        assert_eq!(receipt["block_number"], block);
        assert_eq!(receipt["events"].as_array().unwrap().len(), events);
        let found = stack.result("starknet_getTransactionByHash", json!([hex(hash)])).await;
        assert_eq!(found["transaction_hash"], hex(hash));
    }
    let expected = [place(3, 0, 0), place(4, 0, 0), place(4, 0, 1)];
    let events = async |from: Value, chunk_size: u64| {
        let filter =
            json!({"from_block": from, "to_block": "pre_confirmed", "chunk_size": chunk_size});
        paged(&stack, filter).await
    };
    for chunk_size in [1, 2, 3, 4] {
        assert_eq!(places(&events(json!("pre_confirmed"), chunk_size).await), expected);
        assert_eq!(places(&events(number(3), chunk_size).await), expected);
    }
    assert_eq!(places(&events(number(4), 2).await), expected[1..]);
    assert!(events(number(5), 2).await.is_empty());

    let roots = stack.store.head().await.unwrap().unwrap().state_roots;
    let (transactions, receipts) = (vec![committing], vec![committing_receipt]);
    commit(&stack.store, 3, roots, transactions, receipts, ThinStateDiff::default()).await;
    for chunk_size in [1, 2, 3, 4] {
        let found = events(number(3), chunk_size).await;
        assert_eq!(places(&found), expected);
        assert_eq!(read_felt(&found[0]["block_hash"]), block_hash(3));
        assert!(found[1].get("block_hash").is_none());
    }
    let open = stack.result("starknet_getBlockWithTxHashes", json!(["pre_confirmed"])).await;
    assert_eq!((&open["block_number"], &open["transactions"]), (&json!(4), &json!(["0x4001"])));
}

#[tokio::test]
async fn events_by_filter() {
    let stack = Stack::start().await;
    let count = |filter: Value| {
        let stack = &stack;
        async move {
            let page = stack.result("starknet_getEvents", json!([filter])).await;
            page["events"].as_array().unwrap().len()
        }
    };
    assert_eq!(count(json!({"chunk_size": 100})).await, 5);
    assert_eq!(count(json!({"chunk_size": 100, "address": hex(TOKEN)})).await, 3);
    let both = [hex(TOKEN), hex(OTHER)];
    assert_eq!(count(json!({"chunk_size": 100, "address": both})).await, 5);
    assert_eq!(count(json!({"chunk_size": 100, "keys": [["0x1"]]})).await, 4);
    assert_eq!(count(json!({"chunk_size": 100, "keys": [[], ["0x2", "0x3"]]})).await, 3);
    assert_eq!(count(json!({"chunk_size": 100, "from_block": number(2)})).await, 1);
    assert_eq!(count(json!({"chunk_size": 100, "to_block": hash(1)})).await, 4);
    stack.open_block(0x3001);
    assert_eq!(
        count(
            json!({"chunk_size": 100, "from_block": "pre_confirmed", "to_block": "pre_confirmed"})
        )
        .await,
        1
    );

    let code = |filter: Value| {
        let stack = &stack;
        async move { stack.code("starknet_getEvents", json!([filter])).await }
    };
    assert_eq!(code(json!({"chunk_size": 1_000_000})).await, 31);
    assert_eq!(code(json!({"chunk_size": 0})).await, -32602);
    assert_eq!(code(json!({"chunk_size": 5, "continuation_token": "x"})).await, 33);
    assert_eq!(code(json!({"chunk_size": 5, "continuation_token": "closed:x"})).await, 33);
    assert_eq!(code(json!({"chunk_size": 5, "continuation_token": "open:99999-0"})).await, 33);
    assert_eq!(code(json!({"chunk_size": 5, "keys": vec![vec!["0x1"]; 300]})).await, 34);
    assert_eq!(code(json!({"chunk_size": 5, "from_block": hash(9)})).await, 24);
    assert_eq!(code(json!({"chunk_size": 5, "adress": hex(TOKEN)})).await, -32602);
}
