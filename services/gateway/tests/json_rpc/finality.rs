//! What L1 accepted: the tag that names it, and how it is told wherever a status is told.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sidereal_proto::executor::StateAt;
use starknet_api::block::BlockNumber;

use crate::chain::*;
use crate::stack::{Answer, SPEC, Stack, number};
use crate::submission::{counter_hashes, declare_transaction, invoke_transaction};

/// A call of every method that takes a block id, with this one.
fn calls_at(id: &Value, class: &str) -> Vec<(&'static str, Value)> {
    let call = json!({
        "contract_address": hex(TOKEN),
        "entry_point_selector": "0x1",
        "calldata": ["0x7"],
    });
    let message = json!({
        "from_address": format!("0x{}", "11".repeat(20)),
        "to_address": hex(ACCOUNT),
        "entry_point_selector": "0x1",
        "payload": [],
    });
    let transactions = json!([invoke_transaction()]);
    vec![
        ("starknet_getBlockWithTxHashes", json!([id])),
        ("starknet_getBlockWithTxs", json!([id])),
        ("starknet_getBlockWithReceipts", json!([id])),
        ("starknet_getBlockTransactionCount", json!([id])),
        ("starknet_getStateUpdate", json!([id])),
        ("starknet_getStorageAt", json!([hex(TOKEN), hex(BALANCE_KEY), id])),
        ("starknet_getNonce", json!([id, hex(ACCOUNT)])),
        ("starknet_getClassHashAt", json!([id, hex(OTHER)])),
        ("starknet_getClass", json!([id, class])),
        ("starknet_getClassAt", json!([id, hex(0x9999)])),
        ("starknet_getStorageProof", json!([id, [], [hex(ACCOUNT)]])),
        ("starknet_getTransactionByBlockIdAndIndex", json!([id, 2])),
        ("starknet_call", json!([call, id])),
        ("starknet_estimateFee", json!([transactions, [], id])),
        ("starknet_estimateMessageFee", json!([message, id])),
        ("starknet_simulateTransactions", json!([id, transactions, []])),
        ("starknet_traceBlockTransactions", json!([id])),
    ]
}

/// Every method takes the tag: it is the block by its number, in whose state and environment executors answer, and no
/// block as long as nothing is accepted.
#[tokio::test]
async fn every_method_knows_the_last_block_on_l1() {
    let stack = Stack::with(|_| (), Some(counter_hashes())).await;
    let declared = json!([declare_transaction()]);
    let class = stack.result("starknet_addDeclareTransaction", declared).await;
    let class = class["class_hash"].as_str().unwrap();
    let tag = json!("l1_accepted");
    let called: BTreeSet<_> = calls_at(&tag, class).iter().map(|(method, _)| *method).collect();
    let take_one = |name: &&str| SPEC.parameters(name).iter().any(|name| name == "block_id");
    let methods = SPEC.methods();
    let expected = methods.iter().map(|method| method.name).filter(take_one).collect();
    assert_eq!(called, expected);

    for (method, params) in calls_at(&tag, class) {
        assert_eq!(stack.code(method, params).await, 24, "{method}");
    }
    let ends = [json!({"from_block": tag}), json!({"to_block": tag})];
    for end in &ends {
        let mut filter = end.clone();
        filter["chunk_size"] = json!(10);
        assert_eq!(stack.code("starknet_getEvents", json!([filter])).await, 24);
    }

    stack.store.accept_on_l1(BlockNumber(1)).await.unwrap();
    for ((method, by_tag), (_, by_number)) in
        calls_at(&tag, class).into_iter().zip(calls_at(&number(1), class))
    {
        let by_tag = format!("{:?}", stack.call(method, by_tag).await);
        assert_eq!(by_tag, format!("{:?}", stack.call(method, by_number).await), "{method}");
        // Nothing but messages from L1 fails here, which this chain does not have.
        assert_eq!(by_tag.contains("Error"), method == "starknet_estimateMessageFee", "{by_tag}");
    }
    let places: Vec<_> = {
        let asked = stack.executor.0.lock().unwrap();
        let calls = asked.calls.iter().map(|request| request.at.clone());
        calls.chain(asked.simulations.iter().map(|request| request.at.clone())).collect()
    };
    assert_eq!(places.len(), 6);
    for place in places {
        assert_eq!(place, Some(StateAt { block_number: Some(1), pending: None }));
    }
    for (from, to, events) in [(json!(null), tag.clone(), 4), (tag, json!(null), 5)] {
        let mut filter = json!({"chunk_size": 10});
        for (name, id) in [("from_block", from), ("to_block", to)] {
            if !id.is_null() {
                filter[name] = id;
            }
        }
        let page = stack.result("starknet_getEvents", json!([filter])).await;
        assert_eq!(page["events"].as_array().unwrap().len(), events);
    }
}

/// Blocks, receipts and statuses say what L1 accepted as soon as it has, and the blocks after it say nothing of it.
#[tokio::test]
async fn statuses_say_what_l1_accepted() {
    let stack = Stack::start().await;
    let statuses = async |block: u64, hash: u64| {
        let mut said = Vec::new();
        for method in ["TxHashes", "Txs", "Receipts"] {
            let method = format!("starknet_getBlockWith{method}");
            let found = stack.result(&method, json!([number(block)])).await;
            said.push(found["status"].clone());
            if method.ends_with("Receipts") {
                let receipts = found["transactions"].as_array().unwrap().iter();
                said.extend(receipts.map(|item| item["receipt"]["finality_status"].clone()));
            }
        }
        let hash = json!([hex(hash)]);
        for method in ["starknet_getTransactionReceipt", "starknet_getTransactionStatus"] {
            said.push(stack.result(method, hash.clone()).await["finality_status"].clone());
        }
        said.dedup();
        said
    };
    for (block, hash) in [(1, INVOKE), (2, REVERTED)] {
        assert_eq!(statuses(block, hash).await, ["ACCEPTED_ON_L2"]);
    }
    stack.store.accept_on_l1(BlockNumber(1)).await.unwrap();
    assert_eq!(statuses(1, INVOKE).await, ["ACCEPTED_ON_L1"]);
    assert_eq!(statuses(2, REVERTED).await, ["ACCEPTED_ON_L2"]);
    stack.store.accept_on_l1(BlockNumber(2)).await.unwrap();
    assert_eq!(statuses(2, REVERTED).await, ["ACCEPTED_ON_L1"]);
    let Answer::Result(genesis) =
        stack.call("starknet_getBlockWithTxHashes", json!([number(0)])).await
    else {
        panic!("the first block is there")
    };
    assert_eq!(genesis["status"], "ACCEPTED_ON_L1");
}
