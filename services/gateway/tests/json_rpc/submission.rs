//! What can be sent and executed: stateless checks, classes, the sequencer's and the executor's refusals.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};
use sidereal_execution::classes::DeclaredClass;
use sidereal_execution::outcome::RejectionReason;
use sidereal_execution::query::QueryError;
use sidereal_proto::sequencer::SubmitError;
use starknet_api::core::{ClassHash, CompiledClassHash};
use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;

use crate::chain::*;
use crate::stack::{SPEC, Stack, felt as read_felt, number};

const INVOKE_METHOD: &str = "starknet_addInvokeTransaction";
const DECLARE_METHOD: &str = "starknet_addDeclareTransaction";
const DEPLOY_METHOD: &str = "starknet_addDeployAccountTransaction";

/// Computed by starknet.js 10.8 (`hash.calculate…`) for the transactions below under `SN_SIDEREAL`.
const INVOKE_HASH: &str = "0x5b6a02314e8806da1b6e87e7ee825ee819b8d8a3e2ac6880e50afda96d26550";
const INVOKE_QUERY_HASH: &str = "0x23b37bdb4dd395867c67cbddd312610f83ed11c172e99b313363fb0205bdb0c";
const DEPLOY_HASH: &str = "0x5861d3a8f240844d774052cff27823ac94e70ab384dfd0a704fc907e8ae4fc";
const DEPLOY_ADDRESS: &str = "0x38878551022ecab00f2db7514676cf55e51a0e1087e7b430c34764458b961fa";
const QUERY_VERSION: &str = "0x100000000000000000000000000000003";

fn common(kind: &str) -> Value {
    json!({
        "type": kind,
        "version": "0x3",
        "signature": ["0x1", "0x2"],
        "nonce": "0x3",
        "resource_bounds": {
            "l1_gas": {"max_amount": "0xa", "max_price_per_unit": "0x3e8"},
            "l1_data_gas": {"max_amount": "0xa", "max_price_per_unit": "0x3e8"},
            "l2_gas": {"max_amount": "0x989680", "max_price_per_unit": "0x3b9aca00"},
        },
        "tip": "0x0",
        "paymaster_data": [],
        "nonce_data_availability_mode": "L1",
        "fee_data_availability_mode": "L1",
    })
}

fn with(mut value: Value, fields: Value) -> Value {
    let object = value.as_object_mut().unwrap();
    for (name, field) in fields.as_object().unwrap() {
        if field.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), field.clone());
        }
    }
    value
}

pub fn invoke_transaction() -> Value {
    with(
        common("INVOKE"),
        json!({
            "sender_address": hex(ACCOUNT),
            "calldata": ["0x1", "0x2"],
            "account_deployment_data": [],
        }),
    )
}

pub fn deploy_transaction() -> Value {
    with(
        common("DEPLOY_ACCOUNT"),
        json!({
            "nonce": "0x0",
            "class_hash": hex(CLASS),
            "contract_address_salt": "0x5",
            "constructor_calldata": ["0x3"],
        }),
    )
}

/// The counter contract of `contracts/cairo`, compiled by the set-up, in the form of JSON-RPC.
static COUNTER: LazyLock<(Value, Value)> = LazyLock::new(|| {
    let cache = std::env::var_os("SIDEREAL_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/sidereal"),
        PathBuf::from,
    );
    let read = |kind: &str| -> Value {
        let path = cache.join("contracts").join(format!("counter.{kind}.json"));
        let text = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/setup makes it", path.display()));
        serde_json::from_slice(&text).unwrap()
    };
    let compiled = read("sierra");
    let class = json!({
        "sierra_program": compiled["sierra_program"],
        "contract_class_version": compiled["contract_class_version"],
        "entry_points_by_type": compiled["entry_points_by_type"],
        "abi": compiled["abi"].to_string(),
    });
    (class, read("casm"))
});

/// The hashes of the counter, computed from the set-up's own CASM and not by the gateway's compiler.
pub fn counter_hashes() -> (ClassHash, CompiledClassHash) {
    use sidereal_execution::classes::{compiled_class_hash, parse_sierra};

    let (class, casm) = &*COUNTER;
    let sierra = parse_sierra(class.to_string().as_bytes()).unwrap();
    let casm = serde_json::from_value(casm.clone()).unwrap();
    (sierra.calculate_class_hash(), compiled_class_hash(&casm).unwrap())
}

pub fn declare_transaction() -> Value {
    with(
        common("DECLARE"),
        json!({
            "sender_address": hex(ACCOUNT),
            "compiled_class_hash": format!("{:#x}", counter_hashes().1.0),
            "contract_class": COUNTER.0,
            "account_deployment_data": [],
        }),
    )
}

/// What is answered is the hash that the sequencer was given, and a wallet's own hash of the same fields
/// (that of starknet.js 10.8 for this chain id).
#[tokio::test]
async fn an_invoke_reaches_the_sequencer_with_its_hash() {
    let stack = Stack::start().await;
    for params in
        [json!([invoke_transaction()]), json!({"invoke_transaction": invoke_transaction()})]
    {
        let result = stack.result(INVOKE_METHOD, params).await;
        let submitted = stack.sequencer.0.lock().unwrap().submitted.pop().unwrap();
        assert_eq!(result["transaction_hash"], INVOKE_HASH);
        assert_eq!(submitted.hash.0, Felt::from_hex(INVOKE_HASH).unwrap());
    }
}

#[tokio::test]
async fn a_deploy_account_answers_its_address() {
    let stack = Stack::start().await;
    let result = stack.result(DEPLOY_METHOD, json!([deploy_transaction()])).await;
    assert_eq!(result["contract_address"], DEPLOY_ADDRESS);
    assert_eq!(result["transaction_hash"], DEPLOY_HASH);
    assert_eq!(Felt::from_hex(DEPLOY_ADDRESS).unwrap(), *deployed().0.key());
}

/// A declared class goes along to the sequencer, which stores it, and is read back as it was sent.
#[tokio::test]
async fn a_declared_class_is_sent_along_and_served() {
    let hashes = counter_hashes();
    let stack = Stack::with(|_| (), Some(hashes)).await;
    let result = stack.result(DECLARE_METHOD, json!([declare_transaction()])).await;
    assert_eq!(read_felt(&result["class_hash"]), hashes.0.0);
    assert_eq!(stack.sequencer.0.lock().unwrap().submitted.len(), 1);

    let class = json!(["latest", result["class_hash"]]);
    let read = stack.result("starknet_getClass", class).await;
    assert_eq!(read["abi"], COUNTER.0["abi"]);
    assert_eq!(
        read["sierra_program"].as_array().unwrap().len(),
        COUNTER.0["sierra_program"].as_array().unwrap().len()
    );
    let at = stack.result("starknet_getClassAt", json!(["latest", hex(0x9999)])).await;
    assert_eq!(at, read);
    let casm = stack.result("starknet_getCompiledCasm", json!([result["class_hash"]])).await;
    assert_eq!(
        casm["bytecode"].as_array().unwrap().len(),
        COUNTER.1["bytecode"].as_array().unwrap().len()
    );
    assert_eq!(stack.code("starknet_getClass", json!(["latest", hex(UNKNOWN)])).await, 28);
    assert_eq!(stack.code("starknet_getCompiledCasm", json!([hex(UNKNOWN)])).await, 28);
    let open = json!(["pre_confirmed", result["class_hash"]]);
    assert_eq!(stack.result("starknet_getClass", open).await, read);
    // Declared by block 1, so unknown to block 0.
    assert_eq!(stack.code("starknet_getClass", json!([number(0), hex(SECOND_CLASS)])).await, 28);
}

#[tokio::test]
async fn classes_that_are_refused() {
    let stack = Stack::with(|config| config.limits.max_sierra_felts = 60_000, None).await;
    let declare = |change: Value| {
        let stack = &stack;
        let transaction = with(declare_transaction(), change);
        async move { stack.code(DECLARE_METHOD, json!([transaction])).await }
    };
    let class = |change: Value| json!({"contract_class": with(COUNTER.0.clone(), change)});
    assert_eq!(declare(json!({"compiled_class_hash": "0x1"})).await, 60);
    assert_eq!(declare(class(json!({"contract_class_version": "0.2.0"}))).await, 62);
    assert_eq!(declare(class(json!({"sierra_program": vec!["0x1"; 7]}))).await, 56);
    assert_eq!(declare(class(json!({"sierra_program": []}))).await, 56);
    // A program that is cut in the middle.
    let program = COUNTER.0["sierra_program"].as_array().unwrap();
    let cut: Vec<&Value> = program.iter().take(program.len() / 2).collect();
    assert_eq!(declare(class(json!({"sierra_program": cut}))).await, 56);
    // Entry points that lead outside the program.
    let wild = json!({
        "CONSTRUCTOR": [],
        "EXTERNAL": [{"selector": "0x1", "function_idx": 1_000_000}],
        "L1_HANDLER": [],
    });
    assert_eq!(declare(class(json!({"entry_points_by_type": wild}))).await, 56);
    assert_eq!(declare(class(json!({"sierra_program": vec!["0x1"; 60_001]}))).await, 57);
    assert_eq!(declare(class(json!({"sierra_program": ["0xzz"]}))).await, -32602);
    assert_eq!(declare(class(json!({"sierra_program": null}))).await, -32602);
    assert_eq!(declare(json!({"contract_class": 7})).await, -32602);
    assert!(stack.sequencer.0.lock().unwrap().submitted.is_empty());
    // Nothing of a refused class was stored; nor of one that the sequencer refuses.
    stack.sequencer.0.lock().unwrap().refuse = Some(SubmitError::ValidationFailure);
    assert_eq!(declare(json!({})).await, 55);
    let objects = stack.folder.path().join("objects");
    let stored = std::fs::read_dir(objects.join("classes/casm")).map_or(0, Iterator::count);
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn transactions_that_are_refused_without_looking_at_the_state() {
    let stack = Stack::start().await;
    let invoke = |change: Value| {
        let stack = &stack;
        let transaction = with(invoke_transaction(), change);
        async move { stack.code(INVOKE_METHOD, json!([transaction])).await }
    };
    for version in ["0x0", "0x1", "0x2", "0x4", QUERY_VERSION] {
        assert_eq!(invoke(json!({"version": version})).await, 61, "{version}");
    }
    assert_eq!(invoke(json!({"version": 3})).await, -32602);
    assert_eq!(invoke(json!({"version": null})).await, -32602);
    for kind in ["DECLARE", "DEPLOY_ACCOUNT", "L1_HANDLER", "invoke", ""] {
        assert_eq!(invoke(json!({"type": kind})).await, -32602, "{kind}");
    }
    for field in invoke_transaction().as_object().unwrap().keys() {
        assert_eq!(invoke(json!({field: null})).await, -32602, "without {field}");
        assert_eq!(invoke(json!({field: {"a": [1]}})).await, -32602, "wrong {field}");
    }
    assert_eq!(invoke(json!({"calldata": vec!["0x1"; 5_001]})).await, 63);
    assert_eq!(invoke(json!({"signature": vec!["0x1"; 4_001]})).await, 63);
    assert_eq!(invoke(json!({"paymaster_data": ["0x1"]})).await, 63);
    assert_eq!(invoke(json!({"account_deployment_data": ["0x1"]})).await, 63);
    assert_eq!(invoke(json!({"nonce_data_availability_mode": "L2"})).await, 63);
    assert_eq!(invoke(json!({"fee_data_availability_mode": "L2"})).await, 63);
    assert_eq!(invoke(json!({"sender_address": "0x0"})).await, 63);
    assert_eq!(invoke(json!({"sender_address": "0x1"})).await, 63);
    assert_eq!(invoke(json!({"proof_facts": ["0x1"]})).await, 69);
    assert_eq!(invoke(json!({"proof": "AAAA"})).await, 69);
    let bounds = |amount: &str, price: &str| {
        let one = json!({"max_amount": amount, "max_price_per_unit": price});
        json!({"resource_bounds": {"l1_gas": one, "l1_data_gas": one, "l2_gas": one}})
    };
    assert_eq!(invoke(bounds("0x0", "0x0")).await, 53);
    assert_eq!(invoke(bounds("0xffffffffffffffff", "0x1")).await, 63);
    assert_eq!(invoke(bounds("0x100000", "0xffffffffffffffffffffffffffffffff")).await, 63);
    assert_eq!(invoke(bounds("0x10000000000000000", "0x1")).await, -32602);
    assert_eq!(invoke(bounds("0x1", "0x100000000000000000000000000000000")).await, -32602);
    assert!(stack.sequencer.0.lock().unwrap().submitted.is_empty());
    // The proof fields may be there when there is nothing in them.
    let empty = with(invoke_transaction(), json!({"proof_facts": [], "proof": ""}));
    stack.result(INVOKE_METHOD, json!([empty])).await;
}

/// Each refusal of the sequencer has its code.
#[tokio::test]
async fn refusals_of_the_sequencer() {
    let stack = Stack::start().await;
    for (refusal, code) in [
        (SubmitError::Duplicate, 59),
        (SubmitError::InvalidNonce, 52),
        (SubmitError::InsufficientResources, 53),
        (SubmitError::InsufficientBalance, 54),
        (SubmitError::ValidationFailure, 55),
        (SubmitError::NonAccount, 58),
        (SubmitError::ReplacementUnderpriced, 64),
        (SubmitError::FeeBelowMinimum, 65),
        (SubmitError::MempoolFull, 63),
        (SubmitError::Unspecified, 63),
    ] {
        stack.sequencer.0.lock().unwrap().refuse = Some(refusal);
        assert_eq!(stack.code(INVOKE_METHOD, json!([invoke_transaction()])).await, code);
    }
    for (refusal, code) in
        [(SubmitError::ClassAlreadyDeclared, 51), (SubmitError::CompiledClassHashMismatch, 60)]
    {
        stack.sequencer.0.lock().unwrap().refuse = Some(refusal);
        assert_eq!(stack.code(DECLARE_METHOD, json!([declare_transaction()])).await, code);
    }
}

#[tokio::test]
async fn calls() {
    let stack = Stack::start().await;
    let request = json!({
        "contract_address": hex(TOKEN),
        "entry_point_selector": "0x1",
        "calldata": ["0x7", "0x0"],
    });
    for id in [json!("latest"), json!("pre_confirmed"), number(1)] {
        let result = stack.result("starknet_call", json!([request, id])).await;
        assert_eq!(result, json!(["0x7", "0x0"]));
    }
    assert_eq!(stack.code("starknet_call", json!([request, number(9)])).await, 24);
    let refused = |error: QueryError| {
        let (stack, request) = (&stack, &request);
        async move {
            stack.executor.0.lock().unwrap().refuse = Some(error);
            stack.error("starknet_call", json!([request, "latest"])).await
        }
    };
    let contract = address(TOKEN);
    assert_eq!(refused(QueryError::ContractNotFound { contract }).await.0, 20);
    let missing = QueryError::EntrypointNotFound { contract, selector: Felt::ONE };
    assert_eq!(refused(missing).await.0, 21);
    let failed = QueryError::ContractError {
        contract,
        message: "0x1 ('no')".to_owned(),
        panic_data: vec![Felt::ONE],
    };
    let (code, data) = refused(failed).await;
    assert_eq!((code, data.clone()), (40, Some(json!({"revert_error": "0x1 ('no')"}))));
    SPEC.check_component("CONTRACT_EXECUTION_ERROR", &data.unwrap()["revert_error"]).unwrap();
}

/// A class that the open block declares can be read at once, and nowhere else.
#[tokio::test]
async fn a_class_that_is_declared_in_the_open_block_is_served() {
    let (class_hash, compiled) = counter_hashes();
    let stack = Stack::start().await;
    stack.result(DECLARE_METHOD, json!([declare_transaction()])).await;
    stack.open_block(0x3001);
    let class = |block: &str| json!([block, format!("{:#x}", class_hash.0)]);
    // It waits, and is not executed.
    assert_eq!(stack.code("starknet_getClass", class("pre_confirmed")).await, 28);
    let mut changes = ThinStateDiff::default();
    changes.class_hash_to_compiled_class_hash.insert(class_hash, compiled);
    changes.deployed_contracts.insert(address(0x0e17), class_hash);
    stack.sequencer.0.lock().unwrap().changes = changes;
    let read = stack.result("starknet_getClass", class("pre_confirmed")).await;
    assert_eq!(read["abi"], COUNTER.0["abi"]);
    let at = json!(["pre_confirmed", hex(0x0e17)]);
    assert_eq!(stack.result("starknet_getClassAt", at).await, read);
    assert_eq!(stack.code("starknet_getClass", class("latest")).await, 28);
}

#[tokio::test]
async fn estimates_and_simulations() {
    let stack = Stack::start().await;
    let query = with(invoke_transaction(), json!({"version": QUERY_VERSION}));
    let transactions = json!([query, deploy_transaction(), declare_transaction()]);
    let flags = json!(["SKIP_VALIDATE"]);
    let estimates =
        stack.result("starknet_estimateFee", json!([transactions, flags, "latest"])).await;
    assert_eq!(estimates.as_array().unwrap().len(), 3);
    assert_eq!(estimates[0]["overall_fee"], format!("{:#x}", u128::MAX));
    let request = stack.executor.0.lock().unwrap().simulations.pop().unwrap();
    assert!(request.skip_validate && request.skip_fee_charge && request.fail_on_revert);
    // What wallets sign for an estimate is not the transaction that can be sent.
    let query_hash = Felt::from_hex(INVOKE_QUERY_HASH).unwrap();
    assert_eq!(request.transactions[0].hash, query_hash.to_bytes_be());

    // The class goes along, and is nowhere else; once it is declared, executors find it.
    let hash = |class: &sidereal_proto::types::DeclaredClass| {
        let sierra = zstd::decode_all(class.sierra_json_zstd.as_slice()).unwrap();
        let casm = zstd::decode_all(class.casm_json_zstd.as_slice()).unwrap();
        DeclaredClass::from_json(&sierra, &casm).unwrap().class_hash()
    };
    assert_eq!(request.classes.iter().map(hash).collect::<Vec<_>>(), [counter_hashes().0]);
    let classes = stack.folder.path().join("objects/classes");
    assert!(!classes.exists(), "an estimate stores nothing");
    stack.result(DECLARE_METHOD, json!([declare_transaction()])).await;
    assert!(classes.exists());

    let flags = json!(["SKIP_FEE_CHARGE"]);
    let params = json!([number(1), transactions, flags]);
    let simulated = stack.result("starknet_simulateTransactions", params).await;
    assert_eq!(simulated[2]["transaction_trace"]["type"], "INVOKE");
    let request = stack.executor.0.lock().unwrap().simulations.pop().unwrap();
    assert!(!request.skip_validate && request.skip_fee_charge && !request.fail_on_revert);
    assert!(request.classes.is_empty());
    assert_eq!(request.at.unwrap().block_number, Some(1));

    stack.executor.0.lock().unwrap().refuse = Some(QueryError::TransactionExecution {
        index: 1,
        reason: Some(RejectionReason::ValidationFailed),
        message: "no".to_owned(),
    });
    let (code, data) =
        stack.error("starknet_estimateFee", json!([transactions, [], "latest"])).await;
    assert_eq!((code, data), (41, Some(json!({"transaction_index": 1, "execution_error": "no"}))));

    let code = |method: &'static str, params: Value| {
        let stack = &stack;
        async move { stack.code(method, params).await }
    };
    let one = json!([invoke_transaction()]);
    assert_eq!(code("starknet_estimateFee", json!([one, [], number(9)])).await, 24);
    assert_eq!(
        code("starknet_estimateFee", json!([one, ["SKIP_FEE_CHARGE"], "latest"])).await,
        -32602
    );
    assert_eq!(code("starknet_estimateFee", json!([one, "latest"])).await, -32602);
    let old = json!([with(invoke_transaction(), json!({"version": "0x1"}))]);
    assert_eq!(code("starknet_estimateFee", json!([old, [], "latest"])).await, -32602);
    let many = json!(vec![invoke_transaction(); 101]);
    assert_eq!(code("starknet_estimateFee", json!([many, [], "latest"])).await, -32602);
    let broken = json!([with(declare_transaction(), json!({"compiled_class_hash": "0x1"}))]);
    assert_eq!(code("starknet_estimateFee", json!([broken, [], "latest"])).await, 41);
    let reads = json!(["RETURN_INITIAL_READS"]);
    assert_eq!(code("starknet_simulateTransactions", json!(["latest", one, reads])).await, -32602);

    let message = json!({
        "from_address": format!("0x{}", "a".repeat(40)),
        "to_address": hex(TOKEN),
        "entry_point_selector": "0x1",
        "payload": [],
    });
    let (code, data) = stack.error("starknet_estimateMessageFee", json!([message, "latest"])).await;
    assert_eq!(code, 40);
    assert!(data.unwrap()["revert_error"].as_str().unwrap().contains("messages from L1"));
    let nowhere = with(message, json!({"to_address": hex(UNKNOWN)}));
    assert_eq!(stack.code("starknet_estimateMessageFee", json!([nowhere, "latest"])).await, 20);
}

#[tokio::test]
async fn traces() {
    let stack = Stack::start().await;
    let block = stack.result("starknet_traceBlockTransactions", json!([number(1)])).await;
    assert_eq!(block.as_array().unwrap().len(), 3);
    let one = stack.result("starknet_traceTransaction", json!([hex(REVERTED)])).await;
    assert!(one["execute_invocation"]["calls"][0]["events"][0].get("from_address").is_none());
    let genesis = stack.result("starknet_traceBlockTransactions", json!([number(0)])).await;
    assert_eq!(genesis, json!([]));
    stack.sequencer.0.lock().unwrap().waiting.push(invoke(0x4001, 4));
    stack.sequencer.0.lock().unwrap().rejected.insert(felt(0x5001), "no".to_owned());
    for (hash, status) in [(0x4001, "RECEIVED"), (0x5001, "REJECTED")] {
        let (code, data) = stack.error("starknet_traceTransaction", json!([hex(hash)])).await;
        assert_eq!((code, data), (10, Some(json!({"status": status}))));
    }
    assert_eq!(stack.code("starknet_traceTransaction", json!([hex(UNKNOWN)])).await, 29);
    assert_eq!(
        stack.code("starknet_traceBlockTransactions", json!(["pre_confirmed"])).await,
        -32602
    );
    assert_eq!(stack.code("starknet_traceBlockTransactions", json!([number(9)])).await, 24);
}
