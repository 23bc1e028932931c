//! A JSON-RPC client with no opinion.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::poll::{Seen, until};

/// An endpoint.
#[derive(Clone)]
pub struct Rpc {
    url: String,
    http: reqwest::Client,
}

impl Rpc {
    /// `url` as in `http://127.0.0.1:9545`.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .context("building the HTTP client")?;
        Ok(Self { url: url.to_owned(), http })
    }

    /// The result of a call; an error that the server answers is an error here.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let answer = self.answer(method, params).await?;
        if let Some(error) = answer.get("error") {
            anyhow::bail!("{method} answered {error}");
        }
        answer.get("result").cloned().with_context(|| format!("{method} answered {answer}"))
    }

    /// The whole response.
    pub async fn answer(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self
            .http
            .post(&self.url)
            .json(&body)
            .send()
            .await
            .with_context(|| format!("calling {method}"))?;
        response.json().await.with_context(|| format!("reading the answer to {method}"))
    }

    /// Number of the newest closed block.
    pub async fn block_number(&self) -> anyhow::Result<u64> {
        let number = self.call("starknet_blockNumber", json!([])).await?;
        number.as_u64().with_context(|| format!("starknet_blockNumber answered {number}"))
    }

    /// Hashes of the transactions of a block, in order.
    pub async fn transactions_of(&self, block: u64) -> anyhow::Result<Vec<String>> {
        let block_id = json!({ "block_number": block });
        hashes_in(&self.call("starknet_getBlockWithTxHashes", json!([block_id])).await?)
    }

    /// The open block: its number, and the hashes of the transactions that are in it so far, in order.
    pub async fn open_block(&self) -> anyhow::Result<(u64, Vec<String>)> {
        let block = self.call("starknet_getBlockWithTxHashes", json!(["pre_confirmed"])).await?;
        let number = block["block_number"].as_u64().context("an open block without its number")?;
        Ok((number, hashes_in(&block)?))
    }

    /// Waits until the block is closed.
    pub async fn until_closed(&self, block: u64, limit: Duration) -> anyhow::Result<()> {
        until(&format!("block {block} closed"), limit, || async {
            let newest = self.block_number().await?;
            anyhow::Ok(if newest >= block { Seen::Done(()) } else { Seen::NotYet(newest) })
        })
        .await
    }

    /// STRK that an address holds; the upper half of the number is zero for amounts of a test.
    pub async fn balance(&self, address: &str) -> anyhow::Result<u128> {
        let request = json!({
            "contract_address": STRK,
            "entry_point_selector": BALANCE_OF,
            "calldata": [address],
        });
        let answer = self.call("starknet_call", json!([request, "latest"])).await?;
        let low = answer[0].as_str().context("balance_of answered no number")?;
        u128::from_str_radix(low.trim_start_matches("0x"), 16).context("reading a balance")
    }
}

fn hashes_in(block: &Value) -> anyhow::Result<Vec<String>> {
    let hashes = block["transactions"].as_array().context("a block without transactions")?;
    Ok(hashes.iter().filter_map(|hash| hash.as_str().map(str::to_owned)).collect())
}

/// The fee token.
const STRK: &str = "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d";
/// The selector of `balance_of`.
const BALANCE_OF: &str = "0x35a73cd311a05d46deda634c5ee045db92f811b4e74bca4437fcb5302b7af33";
