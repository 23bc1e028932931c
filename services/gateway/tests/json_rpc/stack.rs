//! The gateway under test, and calls of it that are checked against the specification.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use sidereal_chain_store::ChainStore;
use sidereal_gateway::{GatewayConfig, Running, start};
use sidereal_service::Shutdown;
use sidereal_service::admin::AdminConfig;
use starknet_api::block::{BlockNumber, BlockTimestamp};
use starknet_api::core::{ChainId, ClassHash, CompiledClassHash};
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_types_core::felt::Felt;
use tempfile::TempDir;

use crate::chain;
use crate::openrpc::OpenRpc;
use crate::peers::{self, Executor, Sequencer};
use sidereal_execution::block::BlockEnvironment;

pub static SPEC: LazyLock<OpenRpc> = LazyLock::new(OpenRpc::load);

/// Codes of JSON-RPC 2.0 and of the server, which any method may answer.
const INVALID_PARAMS: i64 = -32602;
const METHOD_NOT_FOUND: i64 = -32601;

pub struct Stack {
    pub running: Running,
    pub sequencer: Sequencer,
    pub executor: Executor,
    pub store: ChainStore,
    pub folder: TempDir,
    shutdown: Shutdown,
    client: reqwest::Client,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// An answer that is a well-formed JSON-RPC response.
#[derive(Debug)]
pub enum Answer {
    Result(Value),
    Error { code: i64, data: Option<Value> },
}

impl Stack {
    pub async fn start() -> Self {
        Self::with(|_| (), None).await
    }

    pub async fn with(
        change: impl FnOnce(&mut GatewayConfig),
        class: Option<(ClassHash, CompiledClassHash)>,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let store = chain::write(folder.path(), class).await;
        let (sequencer, executor) = (Sequencer::default(), Executor::default());
        sequencer.0.lock().unwrap().objects = folder.path().join("objects");
        let peers = peers::serve(sequencer.clone(), executor.clone()).await;
        let mut config = GatewayConfig { admin: AdminConfig::off(), ..GatewayConfig::default() };
        config.rpc.listen.set_port(0);
        config.grpc.listen.set_port(0);
        config.chain_store.url = format!("sqlite://{}", folder.path().join("chain.db").display());
        config.object_store.url = format!("file:{}", folder.path().join("objects").display());
        config.sequencer.url = format!("http://{peers}");
        config.executor.url = format!("http://{peers}");
        change(&mut config);
        let shutdown = Shutdown::new();
        let running = start(config, shutdown.clone()).await.unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { running, sequencer, executor, store, folder, shutdown, client }
    }

    pub fn url(&self) -> String {
        format!("http://{}/rpc/v0_10", self.running.rpc)
    }

    /// Sends a body as it is.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let response = self
            .client
            .post(self.url())
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Calls a method. Whatever it answers is checked: a result against its schema, an error against those
    /// that the specification gives the method.
    pub async fn call(&self, method: &str, params: Value) -> Answer {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let (status, text) = self.post(request.to_string()).await;
        assert_eq!(status, 200, "{method} {params}: {text}");
        let response: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(response["jsonrpc"], "2.0", "{text}");
        assert_eq!(response["id"], 7, "{text}");
        if let Some(result) = response.get("result") {
            if let Err(complaint) = SPEC.check_result(method, result) {
                panic!("{method} {params}: {complaint}\n{result:#}");
            }
            return Answer::Result(result.clone());
        }
        let error = &response["error"];
        let code = error["code"].as_i64().unwrap();
        let message = error["message"].as_str().unwrap().to_owned();
        let data = error.get("data").cloned();
        if code == INVALID_PARAMS {
            assert_eq!(message, "Invalid params");
        } else if code != METHOD_NOT_FOUND {
            let specified = SPEC.errors(method);
            assert_eq!(specified.get(&code), Some(&message), "{method} {params}: {text}");
        }
        Answer::Error { code, data }
    }

    /// The result of a call that must succeed.
    pub async fn result(&self, method: &str, params: Value) -> Value {
        match self.call(method, params.clone()).await {
            Answer::Result(result) => result,
            error => panic!("{method} {params}: {error:?}"),
        }
    }

    /// The code and data of a call that must fail.
    pub async fn error(&self, method: &str, params: Value) -> (i64, Option<Value>) {
        match self.call(method, params.clone()).await {
            Answer::Error { code, data, .. } => (code, data),
            Answer::Result(result) => panic!("{method} {params}: {result}"),
        }
    }

    /// The code of a call that must fail.
    pub async fn code(&self, method: &str, params: Value) -> i64 {
        self.error(method, params).await.0
    }

    /// Opens block 3 with one transaction, which has one event.
    pub fn open_block(&self, hash: u64) {
        let transaction = chain::invoke(hash, 3);
        let receipt = chain::receipt(&transaction, vec![chain::event(chain::TOKEN, &[1, 9])]);
        self.sequencer.0.lock().unwrap().open =
            Some((environment(3), vec![(transaction, receipt)]));
    }
}

pub fn environment(number: u64) -> BlockEnvironment {
    BlockEnvironment {
        number: BlockNumber(number),
        timestamp: BlockTimestamp(1_700_000_100),
        sequencer_address: chain::address(0x5e9),
        l1_gas_price: chain::price(1),
        l1_data_gas_price: chain::price(2),
        l2_gas_price: chain::price(3),
        l1_da_mode: L1DataAvailabilityMode::Blob,
        chain_id: ChainId::from(chain::CHAIN.to_owned()),
        parent_hash: starknet_api::block::BlockHash(chain::block_hash(number - 1)),
        old_block: None,
    }
}

pub fn number(number: u64) -> Value {
    json!({"block_number": number})
}

pub fn hash(number: u64) -> Value {
    json!({"block_hash": format!("{:#x}", chain::block_hash(number))})
}

/// The felt of a JSON text.
pub fn felt(value: &Value) -> Felt {
    Felt::from_hex(value.as_str().unwrap()).unwrap()
}
