//! What can be read: each answer is checked against its schema by [`Stack::call`], and for its content here.

use indexmap::IndexMap;
use serde_json::{Value, json};
use sidereal_execution::block::BlockEnvironment;
use sidereal_proto::executor::StateAt;
use sidereal_proto::payload;
use starknet_api::core::{ClassHash, CompiledClassHash, Nonce};
use starknet_api::state::ThinStateDiff;

use crate::chain::*;
use crate::stack::{Answer, SPEC, Stack, environment, felt as read_felt, hash, number};

/// The methods are those of the files, with the same parameters in the same order.
#[tokio::test]
async fn methods_and_parameters_are_those_of_the_specification() {
    let stack = Stack::start().await;
    for method in SPEC.methods() {
        let (code, data) = stack.error(method.name, json!({"no such parameter": 1})).await;
        assert_eq!(code, -32602, "{} is not served ({})", method.name, method.file);
        let data = data.unwrap();
        let (_, names) = data.as_str().unwrap().rsplit_once("there are: ").unwrap();
        assert_eq!(names, SPEC.parameters(method.name).join(", "), "{}", method.name);
    }
    assert_eq!(stack.result("starknet_specVersion", json!([])).await, SPEC.version());
}

#[tokio::test]
async fn the_chain_as_a_whole() {
    let stack = Stack::start().await;
    assert_eq!(
        stack.result("starknet_chainId", json!([])).await,
        format!("0x{}", CHAIN.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
    );
    assert_eq!(stack.result("starknet_blockNumber", json!([])).await, 2);
    assert_eq!(stack.result("starknet_syncing", json!([])).await, false);
    let head = stack.result("starknet_blockHashAndNumber", json!({})).await;
    assert_eq!(head["block_number"], 2);
    assert_eq!(read_felt(&head["block_hash"]), block_hash(2));
}

/// A block by number, hash and tag is one block, in all three forms.
#[tokio::test]
async fn blocks_in_all_forms() {
    let stack = Stack::start().await;
    let forms = [
        "starknet_getBlockWithTxHashes",
        "starknet_getBlockWithTxs",
        "starknet_getBlockWithReceipts",
    ];
    for method in forms {
        let by_number = stack.result(method, json!([number(2)])).await;
        assert_eq!(by_number["status"], "ACCEPTED_ON_L2");
        assert_eq!(by_number["starknet_version"], "0.13.5");
        assert_eq!(by_number["block_number"], 2);
        assert_eq!(by_number["transaction_count"], 1);
        assert_eq!(stack.result(method, json!([hash(2)])).await, by_number);
        assert_eq!(stack.result(method, json!(["latest"])).await, by_number);
        assert_eq!(stack.result(method, json!({"block_id": "latest"})).await, by_number);
        assert_eq!(stack.code(method, json!([number(3)])).await, 24);
        assert_eq!(stack.code(method, json!([hash(3)])).await, 24);
        assert_eq!(stack.code(method, json!(["l1_accepted"])).await, 24);
        assert_eq!(stack.code(method, json!(["pending"])).await, -32602);
        let genesis = stack.result(method, json!([number(0)])).await;
        assert_eq!(genesis["transactions"], json!([]));
    }
    let hashes = stack.result(forms[0], json!([number(1)])).await;
    assert_eq!(hashes["transactions"], json!([hex(INVOKE), hex(DECLARE), hex(DEPLOY)]));
    let full = stack.result(forms[1], json!([number(1), ["INCLUDE_PROOF_FACTS"]])).await;
    let full = full["transactions"].as_array().unwrap();
    let kinds: Vec<&Value> = full.iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["INVOKE", "DECLARE", "DEPLOY_ACCOUNT"]);
    assert_eq!(full[0]["proof_facts"], json!([]));
    for transaction in full {
        SPEC.check_component("TXN_HASH", &transaction["transaction_hash"]).unwrap();
        let mut bare = transaction.clone();
        bare.as_object_mut().unwrap().remove("transaction_hash");
        SPEC.check_component("TXN", &bare).unwrap();
    }
    let receipts = stack.result(forms[2], json!([number(2)])).await;
    let receipt = &receipts["transactions"][0]["receipt"];
    assert_eq!(receipt["execution_status"], "REVERTED");
    assert_eq!(receipt["revert_reason"], "0x1 ('no')");
    for (block, count) in [(0, 0), (1, 3), (2, 1)] {
        let counted =
            stack.result("starknet_getBlockTransactionCount", json!([number(block)])).await;
        assert_eq!(counted, count);
    }
}

#[tokio::test]
async fn the_open_block() {
    let stack = Stack::start().await;
    for method in [
        "starknet_getBlockWithTxHashes",
        "starknet_getBlockWithTxs",
        "starknet_getBlockWithReceipts",
    ] {
        // Nothing is open: the block to come is empty.
        let empty = stack.result(method, json!(["pre_confirmed"])).await;
        assert_eq!((&empty["block_number"], &empty["transactions"]), (&json!(3), &json!([])));
        assert!(empty.get("block_hash").is_none());
        // It has the prices of the block to come, as the sequencer says, and not those of the latest.
        assert_eq!(empty["l2_gas_price"]["price_in_fri"], "0x3");
        assert_eq!(empty["l1_gas_price"]["price_in_fri"], "0x1");
    }
    stack.open_block(0x3001);
    let open = stack.result("starknet_getBlockWithReceipts", json!(["pre_confirmed"])).await;
    assert_eq!(open["l2_gas_price"]["price_in_fri"], "0x3");
    let receipt = &open["transactions"][0]["receipt"];
    assert_eq!(receipt["finality_status"], "PRE_CONFIRMED");
    let count = stack.result("starknet_getBlockTransactionCount", json!(["pre_confirmed"])).await;
    assert_eq!(count, 1);
    let found =
        stack.result("starknet_getTransactionByBlockIdAndIndex", json!(["pre_confirmed", 0])).await;
    assert_eq!(found["transaction_hash"], "0x3001");
    stack.sequencer.0.lock().unwrap().pending_nonce = felt(9);
    let nonce = json!(["pre_confirmed", hex(ACCOUNT)]);
    assert_eq!(stack.result("starknet_getNonce", nonce).await, "0x9");
}

/// Block 3, which is being committed: a value, a class, a declared class, a contract; and block 4 on top of it.
fn open_changes() -> (ThinStateDiff, ThinStateDiff) {
    let class = |class: u64| ClassHash(felt(class));
    let cells = |cells: &[(u64, u64)]| {
        IndexMap::from([(
            address(TOKEN),
            cells.iter().map(|(key, value)| (storage_key(*key), felt(*value))).collect(),
        )])
    };
    let committing = ThinStateDiff {
        storage_diffs: cells(&[(BALANCE_KEY, 77), (1, 0)]),
        deployed_contracts: IndexMap::from([
            (address(OPEN_CONTRACT), class(OPEN_CLASS)),
            (address(OTHER), class(CLASS)),
        ]),
        class_hash_to_compiled_class_hash: IndexMap::from([(
            class(OPEN_CLASS),
            CompiledClassHash(felt(COMPILED)),
        )]),
        nonces: IndexMap::from([(address(ACCOUNT), Nonce(felt(4)))]),
        ..ThinStateDiff::default()
    };
    let filling = ThinStateDiff {
        storage_diffs: cells(&[(BALANCE_KEY, 78), (2, 5)]),
        ..ThinStateDiff::default()
    };
    (committing, filling)
}

const OPEN_CONTRACT: u64 = 0x0e17;
const OPEN_CLASS: u64 = 0x0c1a55;

/// What is executed and not committed is over what is: in values, classes, the state update, and for executors.
#[tokio::test]
async fn the_open_state() {
    let stack = Stack::start().await;
    let read = |key: u64| {
        let stack = &stack;
        async move {
            let params = json!([hex(TOKEN), hex(key), "pre_confirmed"]);
            stack.result("starknet_getStorageAt", params).await
        }
    };
    let class_at = |contract: u64| {
        let stack = &stack;
        async move {
            let params = json!(["pre_confirmed", hex(contract)]);
            stack.call("starknet_getClassHashAt", params).await
        }
    };
    let call = || async {
        let request = json!({
            "contract_address": hex(TOKEN),
            "entry_point_selector": "0x1",
            "calldata": ["0x7"],
        });
        let answer = stack.result("starknet_call", json!([request, "pre_confirmed"])).await;
        assert_eq!(answer, json!(["0x7"]));
        stack.executor.0.lock().unwrap().calls.pop().unwrap().at.unwrap()
    };
    // Nothing is open: the state is the latest, and queries run in the block to come.
    assert_eq!(read(BALANCE_KEY).await, "0x0");
    let StateAt { block_number, pending } = call().await;
    let pending = pending.unwrap();
    assert_eq!((block_number, pending.state_diffs_json.len()), (Some(2), 1));
    let to_come: BlockEnvironment =
        payload::decode("environment_json", &pending.environment_json).unwrap();
    assert_eq!(to_come, environment(3));
    let empty = stack.result("starknet_getStateUpdate", json!(["pre_confirmed"])).await;
    let latest = stack.result("starknet_getStateUpdate", json!(["latest"])).await;
    assert_eq!(empty["old_root"], latest["new_root"]);
    assert_eq!(empty["state_diff"]["storage_diffs"], json!([]));

    stack.open_block(0x3001);
    let (committing, filling) = open_changes();
    stack.sequencer.0.lock().unwrap().changes = committing;
    assert_eq!(read(BALANCE_KEY).await, hex(77));
    let wire = call().await;
    assert_eq!(wire.block_number, Some(2));
    assert_eq!(wire.pending.unwrap().state_diffs_json.len(), 1);

    // What the state update says is the block's alone, and says which contracts are new.
    let update = stack.result("starknet_getStateUpdate", json!(["pre_confirmed"])).await;
    SPEC.check_component("PRE_CONFIRMED_STATE_UPDATE", &update).unwrap();
    assert_eq!(update["old_root"], latest["new_root"]);
    assert!(update.get("block_hash").is_none() && update.get("new_root").is_none());
    let diff = &update["state_diff"];
    assert_eq!(
        diff["storage_diffs"],
        json!([{
            "address": hex(TOKEN),
            "storage_entries": [
                {"key": hex(BALANCE_KEY), "value": hex(77)}, {"key": "0x1", "value": "0x0"},
            ],
        }])
    );
    assert_eq!(
        diff["deployed_contracts"],
        json!([{"address": hex(OPEN_CONTRACT), "class_hash": hex(OPEN_CLASS)}])
    );
    assert_eq!(
        diff["replaced_classes"],
        json!([{"contract_address": hex(OTHER), "class_hash": hex(CLASS)}])
    );
    assert_eq!(diff["nonces"], json!([{"contract_address": hex(ACCOUNT), "nonce": "0x4"}]));
    let only = json!(["pre_confirmed", [hex(ACCOUNT)]]);
    let only = stack.result("starknet_getStateUpdate", only).await;
    assert_eq!(only["state_diff"]["storage_diffs"], json!([]));
    assert_eq!(only["state_diff"]["nonces"].as_array().unwrap().len(), 1);

    // The block that is being filled is on top of it; in its environment queries run.
    stack.sequencer.0.lock().unwrap().filling = Some((environment(4), filling));
    assert_eq!(read(BALANCE_KEY).await, hex(78));
    assert_eq!(read(1).await, "0x0");
    assert_eq!(read(2).await, "0x5");
    assert_eq!(read(9).await, "0x0");
    for (key, block) in [(BALANCE_KEY, 4), (1, 3), (9, 0)] {
        let flags = ["INCLUDE_LAST_UPDATE_BLOCK"];
        let params = json!([hex(TOKEN), hex(key), "pre_confirmed", flags]);
        let found = stack.result("starknet_getStorageAt", params).await;
        assert_eq!(found["last_update_block"], block, "{key:#x}");
    }
    let latest = json!([hex(TOKEN), hex(2), "latest"]);
    assert_eq!(stack.result("starknet_getStorageAt", latest).await, "0x0");
    for (contract, class) in [(OPEN_CONTRACT, OPEN_CLASS), (OTHER, CLASS), (ACCOUNT, CLASS)] {
        let Answer::Result(found) = class_at(contract).await else { panic!("{contract:#x}") };
        assert_eq!(found, hex(class));
    }
    assert!(matches!(class_at(UNKNOWN).await, Answer::Error { code: 20, .. }));
    let new = json!([hex(OPEN_CONTRACT), "0x5", "pre_confirmed"]);
    assert_eq!(stack.result("starknet_getStorageAt", new).await, "0x0");
    let nonce = json!(["pre_confirmed", hex(OPEN_CONTRACT)]);
    assert_eq!(stack.result("starknet_getNonce", nonce).await, "0x0");
    let wire = call().await;
    let pending = wire.pending.unwrap();
    assert_eq!((wire.block_number, pending.state_diffs_json.len()), (Some(2), 2));
    let seen: BlockEnvironment =
        payload::decode("environment_json", &pending.environment_json).unwrap();
    assert_eq!(seen, environment(4));
    // The block itself is still the one that is being committed.
    let block = stack.result("starknet_getBlockWithTxHashes", json!(["pre_confirmed"])).await;
    assert_eq!(block["block_number"], 3);
}

/// RECEIVED, PRE_CONFIRMED and ACCEPTED_ON_L2, as `waitForTransaction` follows them.
#[tokio::test]
async fn statuses_from_the_mempool_to_the_block() {
    let stack = Stack::start().await;
    let status = |hash: u64| {
        let stack = &stack;
        async move { stack.result("starknet_getTransactionStatus", json!([hex(hash)])).await }
    };
    stack.sequencer.0.lock().unwrap().waiting.push(invoke(0x4001, 4));
    assert_eq!(status(0x4001).await, json!({"finality_status": "RECEIVED"}));
    stack.open_block(0x3001);
    let open = json!({"finality_status": "PRE_CONFIRMED", "execution_status": "SUCCEEDED"});
    assert_eq!(status(0x3001).await, open);
    let closed = json!({"finality_status": "ACCEPTED_ON_L2", "execution_status": "SUCCEEDED"});
    assert_eq!(status(INVOKE).await, closed);
    assert_eq!(
        status(REVERTED).await,
        json!({
            "finality_status": "ACCEPTED_ON_L2",
            "execution_status": "REVERTED",
            "failure_reason": "0x1 ('no')",
        })
    );
    stack.sequencer.0.lock().unwrap().rejected.insert(felt(0x5001), "nonce_too_old".to_owned());
    let (code, data) = stack.error("starknet_getTransactionStatus", json!([hex(0x5001)])).await;
    assert_eq!((code, data), (29, Some(json!("rejected: nonce_too_old"))));
    assert_eq!(stack.code("starknet_getTransactionStatus", json!([hex(UNKNOWN)])).await, 29);

    for hash in [0x4001, 0x3001, INVOKE] {
        let found = stack.result("starknet_getTransactionByHash", json!([hex(hash)])).await;
        assert_eq!(found["transaction_hash"], hex(hash));
        assert!(found.get("proof_facts").is_none());
    }
    assert_eq!(stack.code("starknet_getTransactionByHash", json!([hex(UNKNOWN)])).await, 29);
}

#[tokio::test]
async fn receipts() {
    let stack = Stack::start().await;
    let receipt = |hash: u64| {
        let stack = &stack;
        async move { stack.result("starknet_getTransactionReceipt", json!([hex(hash)])).await }
    };
    let invoked = receipt(INVOKE).await;
    assert_eq!(invoked["block_number"], 1);
    assert_eq!(invoked["events"].as_array().unwrap().len(), 4);
    assert_eq!(invoked["messages_sent"].as_array().unwrap().len(), 1);
    assert_eq!(invoked["actual_fee"], json!({"amount": "0x10000000000000004", "unit": "FRI"}));
    assert_eq!(receipt(DECLARE).await["type"], "DECLARE");
    let created = receipt(DEPLOY).await;
    assert_eq!(read_felt(&created["contract_address"]), *deployed().0.key());
    assert_eq!(receipt(REVERTED).await["revert_reason"], "0x1 ('no')");
    stack.open_block(0x3001);
    let open = receipt(0x3001).await;
    assert_eq!(open["finality_status"], "PRE_CONFIRMED");
    assert_eq!(open["block_number"], 3);
    assert!(open.get("block_hash").is_none());
    // Waiting transactions have no receipt yet.
    stack.sequencer.0.lock().unwrap().waiting.push(invoke(0x4001, 4));
    for hash in [0x4001, UNKNOWN] {
        assert_eq!(stack.code("starknet_getTransactionReceipt", json!([hex(hash)])).await, 29);
    }
    let l1_hash = format!("0x{}", "1".repeat(64));
    assert_eq!(stack.code("starknet_getMessagesStatus", json!([l1_hash])).await, 29);
}

#[tokio::test]
async fn transactions_by_place() {
    let stack = Stack::start().await;
    const METHOD: &str = "starknet_getTransactionByBlockIdAndIndex";
    let found = stack.result(METHOD, json!([number(1), 2])).await;
    assert_eq!(found["transaction_hash"], hex(DEPLOY));
    assert_eq!(stack.code(METHOD, json!([number(1), 3])).await, 27);
    assert_eq!(stack.code(METHOD, json!([number(1), u64::MAX])).await, 27);
    assert_eq!(stack.code(METHOD, json!([number(1), -1])).await, -32602);
    assert_eq!(stack.code(METHOD, json!(["pre_confirmed", 0])).await, 27);
    assert_eq!(stack.code(METHOD, json!([number(9), 0])).await, 24);
}

#[tokio::test]
async fn state_by_block() {
    let stack = Stack::start().await;
    let at = |block: u64| {
        let stack = &stack;
        async move {
            let params = json!([hex(TOKEN), hex(BALANCE_KEY), number(block)]);
            stack.result("starknet_getStorageAt", params).await
        }
    };
    assert_eq!(at(0).await, hex(BALANCE));
    assert_eq!(at(1).await, hex(BALANCE));
    assert_eq!(at(2).await, "0x0");
    // Clients pad keys to 64 digits.
    let padded = json!([format!("{TOKEN:#066x}"), format!("{BALANCE_KEY:#066x}"), "l1_accepted"]);
    assert_eq!(stack.code("starknet_getStorageAt", padded).await, 24);
    let flags = ["INCLUDE_LAST_UPDATE_BLOCK"];
    let with_block = json!([hex(TOKEN), hex(BALANCE_KEY), number(1), flags]);
    assert_eq!(
        stack.result("starknet_getStorageAt", with_block).await,
        json!({"value": hex(BALANCE), "last_update_block": 0})
    );
    let with_block = json!([hex(TOKEN), hex(BALANCE_KEY), "latest", flags]);
    assert_eq!(
        stack.result("starknet_getStorageAt", with_block).await,
        json!({"value": "0x0", "last_update_block": 2})
    );
    let nowhere = json!([hex(UNKNOWN), "0x1", "latest"]);
    assert_eq!(stack.code("starknet_getStorageAt", nowhere).await, 20);

    for (block, nonce) in [(0, "0x0"), (1, "0x2"), (2, "0x3")] {
        let found = stack.result("starknet_getNonce", json!([number(block), hex(ACCOUNT)])).await;
        assert_eq!(found, nonce);
    }
    for method in ["starknet_getNonce", "starknet_getClassHashAt", "starknet_getClassAt"] {
        assert_eq!(stack.code(method, json!(["latest", hex(UNKNOWN)])).await, 20, "{method}");
        assert_eq!(stack.code(method, json!([number(7), hex(ACCOUNT)])).await, 24, "{method}");
    }
    for (block, class) in [(1, CLASS), (2, SECOND_CLASS)] {
        let params = json!([number(block), hex(OTHER)]);
        assert_eq!(stack.result("starknet_getClassHashAt", params).await, hex(class));
    }
}

/// A diff says which contracts are new and which only got another class, and its roots are the headers'.
#[tokio::test]
async fn state_updates() {
    let stack = Stack::start().await;
    let genesis = stack.result("starknet_getStateUpdate", json!([number(0)])).await;
    assert_eq!(genesis["old_root"], "0x0");
    assert_eq!(genesis["state_diff"]["deployed_contracts"].as_array().unwrap().len(), 3);
    let second = stack.result("starknet_getStateUpdate", json!(["latest"])).await;
    assert_eq!(
        second["state_diff"]["replaced_classes"],
        json!([{"contract_address": hex(OTHER), "class_hash": hex(SECOND_CLASS)}])
    );
    assert_eq!(second["state_diff"]["deployed_contracts"], json!([]));
    let first = stack.result("starknet_getStateUpdate", json!([number(1)])).await;
    assert_eq!(second["old_root"], first["new_root"]);
    let header = stack.result("starknet_getBlockWithTxHashes", json!(["latest"])).await;
    assert_eq!(second["new_root"], header["new_root"]);
    let only = stack.result("starknet_getStateUpdate", json!(["latest", [hex(ACCOUNT)]])).await;
    assert_eq!(only["state_diff"]["storage_diffs"], json!([]));
    assert_eq!(only["state_diff"]["nonces"].as_array().unwrap().len(), 1);
}

/// The nodes answered lead from the roots to the leaves, by the tries' own verifier.
#[tokio::test]
async fn storage_proofs_verify() {
    use sidereal_patricia::{ContractLeaf, Node, PedersenTrie, verify};

    let stack = Stack::start().await;
    let params = json!({
        "block_id": number(1),
        "class_hashes": [hex(CLASS), hex(UNKNOWN)],
        "contract_addresses": [hex(TOKEN), hex(UNKNOWN)],
        "contracts_storage_keys": [
            {"contract_address": hex(TOKEN), "storage_keys": [hex(BALANCE_KEY), "0x77"]}
        ],
    });
    let proof = stack.result("starknet_getStorageProof", params).await;
    let nodes = |items: &Value| -> Vec<(starknet_types_core::felt::Felt, Node)> {
        items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| {
                let node = &item["node"];
                let parsed = match node.get("left") {
                    Some(left) => {
                        Node::Binary { left: read_felt(left), right: read_felt(&node["right"]) }
                    }
                    None => Node::Edge {
                        child: read_felt(&node["child"]),
                        path: read_felt(&node["path"]),
                        length: u8::try_from(node["length"].as_u64().unwrap()).unwrap(),
                    },
                };
                (read_felt(&item["node_hash"]), parsed)
            })
            .collect()
    };
    // Walks from a root along the nodes by hash, as a verifier of a mapping does.
    let path = |nodes: &[(starknet_types_core::felt::Felt, Node)], root, key| {
        let mut proof = Vec::new();
        for _ in 0..=nodes.len() {
            match verify::<PedersenTrie>(&root, &key, &proof) {
                Ok(value) => return value,
                Err(sidereal_patricia::ProofError::TooShort { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            let expected = next(&root, &key, &proof);
            let (_, node) = nodes.iter().find(|(hash, _)| *hash == expected).unwrap();
            proof.push(*node);
        }
        panic!("the nodes lead nowhere")
    };
    let leaf = &proof["contracts_proof"]["contract_leaves_data"][0];
    let expected = ContractLeaf {
        class_hash: read_felt(&leaf["class_hash"]),
        storage_root: read_felt(&leaf["storage_root"]),
        nonce: read_felt(&leaf["nonce"]),
    };
    assert_eq!(expected.class_hash, felt(CLASS));
    let contracts = nodes(&proof["contracts_proof"]["nodes"]);
    let root = read_felt(&proof["global_roots"]["contracts_tree_root"]);
    assert_eq!(path(&contracts, root, felt(TOKEN)), expected.hash());
    assert_eq!(path(&contracts, root, felt(UNKNOWN)), felt(0));
    let storage = nodes(&proof["contracts_storage_proofs"][0]);
    assert_eq!(path(&storage, expected.storage_root, felt(BALANCE_KEY)), felt(BALANCE));
    assert_eq!(path(&storage, expected.storage_root, felt(0x77)), felt(0));
    assert!(!proof["classes_proof"].as_array().unwrap().is_empty());

    let code = |params: Value| {
        let stack = &stack;
        async move { stack.code("starknet_getStorageProof", params).await }
    };
    assert_eq!(code(json!(["pre_confirmed"])).await, -32602);
    assert_eq!(code(json!([number(9)])).await, 24);
    assert_eq!(code(json!(["latest", vec!["0x1"; 5_000]])).await, -32602);
}

/// The hash that the node after `proof` must have on the way to `key`.
fn next(
    root: &starknet_types_core::felt::Felt,
    key: &starknet_types_core::felt::Felt,
    proof: &[sidereal_patricia::Node],
) -> starknet_types_core::felt::Felt {
    let mut height = 251_usize;
    let mut hash = *root;
    let bits = key.to_bits_le();
    for node in proof {
        match node {
            sidereal_patricia::Node::Binary { left, right } => {
                height -= 1;
                hash = if bits[height] { *right } else { *left };
            }
            sidereal_patricia::Node::Edge { child, length, .. } => {
                height -= usize::from(*length);
                hash = *child;
            }
        }
    }
    hash
}
