//! Getting the bundle from a running chain, and holding the node's own answer against it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sidereal_block_prover::BlockProof;
use sidereal_execution::witness::{BlockWitness, WitnessLimits};
use sidereal_settlement::deployment::Genesis;
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

use super::VerifyOptions;
use super::bundle::{Bundle, MAX_PART_BYTES};
use super::gather;
use super::walk::{Link, Walked};
use crate::rpc::Rpc;

const POLL: Duration = Duration::from_secs(2);
/// How often a proof store that is busy is asked again.
const BUSY_TRIES: u32 = 15;

/// Asks the chain for the block that holds the transaction, and the proof store for witness and proof.
pub async fn fetch(options: &VerifyOptions, hash: TransactionHash) -> anyhow::Result<Bundle> {
    #[derive(Deserialize)]
    struct Receipt {
        block_number: Option<u64>,
        block_hash: Option<Felt>,
    }
    let receipt: Receipt = Rpc::new(&options.rpc)
        .call("starknet_getTransactionReceipt", json!({ "transaction_hash": hash }))
        .await
        .with_context(|| format!("cannot find transaction {:#x}", hash.0))?;
    let (Some(number), Some(_)) = (receipt.block_number, receipt.block_hash) else {
        bail!("transaction {:#x} is not in a closed block yet; try again in a moment", hash.0);
    };
    let http = client()?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(options.wait_s);
    let base = options.proofs.trim_end_matches('/');
    let proof = loop {
        match download(&http, &format!("{base}/proofs/{number}/raw")).await? {
            Some(proof) => break proof,
            None if tokio::time::Instant::now() < deadline => tokio::time::sleep(POLL).await,
            None => bail!(
                "block {number} is closed and has no proof yet; `sidereal jobs list` shows how far it is, \
                 --wait-s waits for it"
            ),
        }
    };
    let witness = download(&http, &format!("{base}/witnesses/{number}/raw"))
        .await?
        .with_context(|| format!("the proof store has no witness of block {number}"))?;
    Ok(Bundle { transaction_hash: hash, witness, proof })
}

/// What the chain's services say; of what StarknetOS wrote for the blocks of a batch: for one the verified proof, for the
/// others the proof store's unverified ones.
pub struct Chain<'a> {
    rpc: Rpc,
    http: reqwest::Client,
    base: String,
    walked: &'a Walked,
}

impl<'a> Chain<'a> {
    pub fn new(options: &VerifyOptions, walked: &'a Walked) -> anyhow::Result<Self> {
        let base = options.proofs.trim_end_matches('/').to_owned();
        Ok(Self { rpc: Rpc::new(&options.rpc), http: client()?, base, walked })
    }
}

impl gather::Chain for Chain<'_> {
    async fn genesis(&self) -> anyhow::Result<Genesis> {
        let header = header(&self.rpc, 0).await?;
        let (root, block_hash) = (felt(&header, "new_root")?, felt(&header, "block_hash")?);
        Ok(Genesis { root, block_number: 0, block_hash })
    }

    async fn output(&self, block: u64) -> anyhow::Result<Vec<Felt>> {
        if block == self.walked.block {
            return Ok(self.walked.output.clone());
        }
        let url = format!("{}/proofs/{block}/raw", self.base);
        let bytes = download(&self.http, &url)
            .await?
            .with_context(|| format!("the proof store has no proof of block {block}"))?;
        let decoded = tokio::task::spawn_blocking(move || BlockProof::decode(&bytes)).await?;
        Ok(decoded.with_context(|| format!("the proof of block {block} cannot be read"))?.output)
    }
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(Duration::from_secs(120)).build()
}

/// `None` when the server says that there is nothing.
async fn download(http: &reqwest::Client, url: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut tries = BUSY_TRIES;
    let mut response = loop {
        let response = http
            .get(url)
            .send()
            .await
            .with_context(|| format!("cannot reach {url}; is the proof store running?"))?;
        // Others read: it says so instead of letting everybody wait.
        if response.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE || tries == 0 {
            break response;
        }
        tries -= 1;
        tokio::time::sleep(POLL).await;
    };
    if response.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !response.status().is_success() {
        bail!("{url} answered {}", response.status());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.with_context(|| format!("{url} broke off"))? {
        if (bytes.len() + chunk.len()) as u64 > MAX_PART_BYTES {
            bail!("{url} sends more than {MAX_PART_BYTES} bytes");
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// A block by the node.
async fn header(rpc: &Rpc, number: u64) -> anyhow::Result<Value> {
    rpc.call("starknet_getBlockWithTxHashes", json!({ "block_id": { "block_number": number } }))
        .await
        .with_context(|| format!("cannot read block {number}"))
}

fn felt(block: &Value, field: &str) -> anyhow::Result<Felt> {
    serde_json::from_value(block[field].clone())
        .with_context(|| format!("the node's block has no {field}"))
}

/// The node's header of the block, and of the one before it, must be those of the walk.
pub async fn compare_with_node(options: &VerifyOptions, bundle: &Bundle) -> anyhow::Result<Link> {
    let witness = BlockWitness::decode(&bundle.witness, WitnessLimits::default())?;
    let header = &witness.header;
    let rpc = Rpc::new(&options.rpc);
    let number = header.number.0;
    let current = self::header(&rpc, number).await?;
    let parent = self::header(&rpc, number.saturating_sub(1)).await?;
    let pairs = [
        ("the block's hash", felt(&current, "block_hash")?, header.hash.0),
        ("the block's state root", felt(&current, "new_root")?, header.state_root.0),
        ("the parent's hash", felt(&parent, "block_hash")?, header.parent_hash.0),
        ("the parent's state root", felt(&parent, "new_root")?, witness.previous_state_root.0),
    ];
    for (what, node, walked) in pairs {
        if node != walked {
            bail!("the node disagrees about {what}: it says {node:#x}, the proof's is {walked:#x}");
        }
    }
    Ok(Link::Node { block: number })
}
