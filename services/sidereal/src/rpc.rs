//! A small JSON-RPC client for the operator's commands: they see of a chain what any wallet sees.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Largest answer that is read, in bytes: a full block with its receipts.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A call that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    #[error("cannot reach {url} for {method}; is the chain running?")]
    Unreachable {
        url: String,
        method: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{method} answered {message} (code {code}){}", data_suffix(.data))]
    Refused { method: String, code: i64, message: String, data: Value },
    #[error("{method} answered what does not fit: {problem}")]
    Malformed { method: String, problem: String },
}

fn data_suffix(data: &Value) -> String {
    if data.is_null() { String::new() } else { format!(": {data}") }
}

impl RpcError {
    /// The error code of the Starknet specification, when the node answered one.
    pub fn code(&self) -> Option<i64> {
        match self {
            RpcError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Value,
}

/// A JSON-RPC endpoint.
#[derive(Clone, Debug)]
pub struct Rpc {
    url: String,
    http: reqwest::Client,
}

impl Rpc {
    pub fn new(url: impl Into<String>) -> Self {
        // The builder fails only when no TLS backend can be loaded, and none is asked for.
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap_or_default();
        Self { url: url.into(), http }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `method` and reads its result as a `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let unreachable = |source| RpcError::Unreachable {
            url: self.url.clone(),
            method: method.to_owned(),
            source,
        };
        let malformed =
            |problem: String| RpcError::Malformed { method: method.to_owned(), problem };
        let mut response =
            self.http.post(&self.url).json(&body).send().await.map_err(unreachable)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(malformed(format!("more than {MAX_ANSWER_BYTES} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if let Some(error) = answer.error {
            return Err(RpcError::Refused {
                method: method.to_owned(),
                code: error.code,
                message: error.message,
                data: error.data,
            });
        }
        serde_json::from_value(answer.result.unwrap_or(Value::Null))
            .map_err(|error| malformed(error.to_string()))
    }
}
