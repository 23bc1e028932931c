//! Bodies that are malformed, oversized and of the wrong type, on every method: never a panic, never a
//! connection that breaks, always the right code.

use serde_json::{Value, json};

use crate::stack::{SPEC, Stack};

/// The response's error code; a result is `None`. Of a batch, that of its first response.
fn code(text: &str) -> Option<i64> {
    let response: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    let response = response.get(0).unwrap_or(&response);
    response.get("error").map(|error| error["code"].as_i64().unwrap())
}

/// Wrong values for any parameter. No method takes one of these for every parameter it has.
fn wrong_values() -> Vec<Value> {
    let deep = (0..100).fold(json!("0x1"), |inner, _| json!([inner]));
    let wide = (0..50).fold(json!({"block_number": 1}), |inner, _| json!({ "calls": inner }));
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("0x"),
        json!("0xg"),
        json!("pending"),
        json!("0x800000000000011000000000000000000000000000000000000000000000001"),
        json!("\u{0}\u{ffff}é"),
        json!("0x1".repeat(10_000)),
        json!([[[]]]),
        json!({}),
        json!({"block_number": -1}),
        json!({"block_hash": "0x"}),
        json!({"type": "INVOKE", "version": "0x3"}),
        json!({"type": "DECLARE", "version": "0x3", "contract_class": {}}),
        deep,
        wide,
    ]
}

/// Every value in every position of every method: an error of the caller, which is said to be one.
#[tokio::test]
async fn wrong_types_in_every_parameter_of_every_method() {
    let stack = Stack::start().await;
    for method in SPEC.methods() {
        let parameters = SPEC.parameters(method.name);
        for wrong in wrong_values() {
            for position in 0..parameters.len() {
                let mut positional = vec![json!("latest"); parameters.len()];
                positional[position] = wrong.clone();
                let named = json!({ &parameters[position]: wrong });
                for params in [json!(positional), named, wrong.clone()] {
                    let request =
                        json!({"jsonrpc": "2.0", "id": 1, "method": method.name, "params": params});
                    let (status, text) = stack.post(request.to_string()).await;
                    assert_eq!(status, 200, "{request}");
                    let code = code(&text);
                    // Only wrong values that happen to be right may pass (an empty object for a method
                    // whose parameters are optional), or be a correct request for something that is not there.
                    let fine = matches!(code, None | Some(-32600 | -32602))
                        || code.is_some_and(|code| SPEC.errors(method.name).contains_key(&code));
                    assert!(fine, "{request}: {text}");
                }
            }
        }
    }
}

/// A required parameter that is left out is missed.
#[tokio::test]
async fn missing_parameters() {
    let stack = Stack::start().await;
    for method in SPEC.methods() {
        for params in [json!([]), json!({}), Value::Null] {
            let request =
                json!({"jsonrpc": "2.0", "id": 1, "method": method.name, "params": params});
            let (status, text) = stack.post(request.to_string()).await;
            assert_eq!(status, 200);
            let needed = !SPEC.parameters(method.name).is_empty();
            assert_eq!(code(&text) == Some(-32602), needed, "{request}: {text}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_requests() {
    let stack = Stack::start().await;
    for (body, expected) in [
        ("", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        ("\u{0}", -32700),
        ("{}", -32600),
        (r#"{"jsonrpc": "2.0"}"#, -32600),
        (r#"{"jsonrpc": "1.0", "id": 1, "method": "starknet_chainId"}"#, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": 7}"#, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "starknet_nothing"}"#, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"}"#, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "starknet_subscribeNewHeads"}"#, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": ""}"#, -32601),
    ] {
        let (status, text) = stack.post(body).await;
        let found = code(&text);
        // jsonrpsee answers a body that is no request at all as one that cannot be parsed.
        assert!(
            found == Some(expected) || (expected == -32600 && found == Some(-32700)),
            "{body}: {status} {text}"
        );
    }
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let (_, text) = stack.post(deep.clone()).await;
    assert!(code(&text).is_some());
    let nested = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"starknet_getBlockWithTxs","params":{deep}}}"#
    );
    let (_, text) = stack.post(nested).await;
    assert!(matches!(code(&text), Some(-32602 | -32700)), "{text}");
    // After all of that it still answers.
    stack.result("starknet_blockNumber", json!([])).await;
}

#[tokio::test]
async fn oversized_bodies_and_batches() {
    let stack = Stack::with(|config| config.limits.max_request_bytes = 100_000, None).await;
    let (status, _) = stack.post("x".repeat(100_001)).await;
    assert_eq!(status, 413);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "starknet_blockNumber", "params": []});
    let (_, text) = stack.post(json!(vec![&call; 101]).to_string()).await;
    assert_eq!(code(&text), Some(-32010), "{text}");
    let (_, text) = stack.post(json!(vec![&call; 100]).to_string()).await;
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer["result"] == 2));
    let (_, text) = stack.post("[]").await;
    assert_eq!(code(&text), Some(-32600), "{text}");
}

#[tokio::test]
async fn paths_methods_and_origins() {
    let stack = Stack::start().await;
    let base = format!("http://{}", stack.running.rpc);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "starknet_blockNumber"}).to_string();
    for (path, expected) in [
        ("", 200),
        ("/", 200),
        ("/rpc/v0_10", 200),
        ("/rpc/v0_10/", 200),
        ("/rpc/v0_9", 404),
        ("/rpc", 404),
        ("/rpc/v0_10/../..//etc/passwd", 404),
    ] {
        let request = stack.client().post(format!("{base}{path}"));
        let request = request.header("content-type", "application/json").body(call.clone());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected, "{path}");
    }
    assert_eq!(stack.client().get(&base).send().await.unwrap().status(), 405);
    // WebSocket is on the same port and paths.
    let upgrade = stack
        .client()
        .get(format!("{base}/rpc/v0_10"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(upgrade.send().await.unwrap().status(), 101);
    let preflight = stack
        .client()
        .request(reqwest::Method::OPTIONS, &base)
        .header("origin", "https://example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let response = preflight.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

/// Too many executions at once are refused, not queued.
#[tokio::test]
async fn executions_are_bounded() {
    let stack = Stack::with(|config| config.limits.max_concurrent_executions = 1, None).await;
    let request = json!({
        "jsonrpc": "2.0", "id": 1, "method": "starknet_call",
        "params": [{"contract_address": "0x1", "entry_point_selector": "0x1", "calldata": []}, "latest"],
    })
    .to_string();
    let calls = (0..64).map(|_| stack.post(request.clone()));
    let answers = futures::future::join_all(calls).await;
    let codes: Vec<Option<i64>> = answers.iter().map(|(_, text)| code(text)).collect();
    assert!(codes.contains(&None), "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, None | Some(-32005))), "{codes:?}");
}
