//! Proofs and witnesses over HTTP, for anybody who wants to verify: read only.
//!
//! * `GET /proofs/{block}`: what is known of the block's proof, as JSON.
//! * `GET /proofs/{block}/raw`: the proof, as `sidereal verify` reads it.
//! * `GET /witnesses/{block}/raw`: the witness of the block.
//! * `GET /transactions/{hash}/proof`: what is known of the proof of the transaction's block.
//! * `GET /batches/{block}`: the batch that the block is aggregated in, and the steps that are done, as JSON.
//! * `GET /steps/{step}`: what is known of a step, as JSON; named as in `sidereal_aggregation::Step`.
//! * `GET /steps/{step}/raw`: its proof; of `last-{first}-{last}` the one that Ethereum verifies.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use sidereal_aggregation::{BadStep, Step};
use sidereal_chain_store::{BlockSelector, ChainStore};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use sidereal_service::error_chain;
use starknet_api::block::BlockNumber;
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::index::{ProofIndex, StoredProof, StoredStep};

/// What the handlers read from.
pub struct Readers {
    pub chain: ChainStore,
    pub index: ProofIndex,
    pub objects: Arc<dyn ObjectStore>,
    /// Whose turn it is to have a proof or a witness in memory.
    pub turns: Turns,
}

/// Bounds the proofs and witnesses in memory, a megabyte or more each, and those who wait for one.
pub struct Turns {
    concurrent: Arc<Semaphore>,
    waiting: Semaphore,
    max_wait: Duration,
}

impl Turns {
    /// As many may wait as have theirs.
    pub fn new(max_concurrent: usize, max_wait: Duration) -> Self {
        Self {
            concurrent: Arc::new(Semaphore::new(max_concurrent)),
            waiting: Semaphore::new(max_concurrent),
            max_wait,
        }
    }

    /// `None`: too many wait already, or the wait was too long.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.concurrent).try_acquire_owned() {
            return Some(turn);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        let turn = Arc::clone(&self.concurrent).acquire_owned();
        tokio::time::timeout(self.max_wait, turn).await.ok()?.ok()
    }
}

/// The bytes of an answer. The turn is over when they are dropped: sent, or nobody wants them any more. (The body of
/// the response is dropped before that, as soon as the connection has taken its bytes over.)
struct Held {
    bytes: Bytes,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer that is not the thing asked for.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

impl Refusal {
    fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// Readers may come again, or go to another replica.
    fn busy() -> Self {
        metrics::counter!("proof_reads_refused_total").increment(1);
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "too many are reading: try again later".to_owned(),
        }
    }

    /// The cause goes to the log; the caller learns that it is not its fault.
    fn failed(operation: &'static str, error: &dyn std::error::Error) -> Self {
        tracing::warn!(operation, error = %error_chain(error), "HTTP read failed");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: format!("{operation} failed") }
    }
}

/// A batch, and how far its aggregation is.
#[derive(Serialize)]
struct BatchAnswer {
    first_block: u64,
    last_block: u64,
    /// Seconds since the Unix epoch.
    planned_at: u64,
    /// The steps that it takes, in all.
    step_count: usize,
    /// Those of them that are done.
    steps: Vec<StepAnswer>,
}

/// A step that is done.
#[derive(Serialize)]
struct StepAnswer {
    step: String,
    /// What the proof says, in hexadecimal: see `StoredStep::claim`.
    output: String,
    /// SHA-256 of the encoded proof, in hexadecimal.
    digest: String,
    size_bytes: u64,
    /// Seconds since the Unix epoch.
    stored_at: u64,
    worker: String,
    total_ms: u64,
    peak_memory_bytes: u64,
}

impl From<StoredStep> for StepAnswer {
    fn from(stored: StoredStep) -> Self {
        Self {
            step: stored.step.to_string(),
            output: stored.claim,
            digest: stored.digest,
            size_bytes: stored.size_bytes,
            stored_at: stored.stored_at,
            worker: stored.worker,
            total_ms: stored.total_ms,
            peak_memory_bytes: stored.peak_memory_bytes,
        }
    }
}

/// The routes.
pub fn router(readers: Arc<Readers>) -> Router {
    Router::new()
        .route("/proofs/{block}", get(proof_info))
        .route("/proofs/{block}/raw", get(proof_bytes))
        .route("/witnesses/{block}/raw", get(witness_bytes))
        .route("/transactions/{hash}/proof", get(transaction_proof))
        .route("/batches/{block}", get(batch))
        .route("/steps/{step}", get(step_info))
        .route("/steps/{step}/raw", get(step_bytes))
        .with_state(readers)
}

async fn proof_info(
    State(readers): State<Arc<Readers>>,
    Path(block): Path<String>,
) -> Result<Json<StoredProof>, Refusal> {
    readers.proof(block_number(&block)?).await.map(Json)
}

async fn proof_bytes(
    State(readers): State<Arc<Readers>>,
    Path(block): Path<String>,
) -> Result<Response, Refusal> {
    let proof = readers.proof(block_number(&block)?).await?;
    readers.bytes(&proof.key).await
}

async fn witness_bytes(
    State(readers): State<Arc<Readers>>,
    Path(block): Path<String>,
) -> Result<Response, Refusal> {
    let number = block_number(&block)?;
    let stored = readers
        .chain
        .block(BlockSelector::Number(BlockNumber(number)))
        .await
        .map_err(|error| Refusal::failed("reading the block", &error))?
        .ok_or_else(|| Refusal::not_found(format!("there is no block {number}")))?;
    let key = stored
        .witness_key
        .ok_or_else(|| Refusal::not_found(format!("block {number} has no witness")))?;
    readers.bytes(&key).await
}

async fn transaction_proof(
    State(readers): State<Arc<Readers>>,
    Path(hash): Path<String>,
) -> Result<Json<StoredProof>, Refusal> {
    let hash = Felt::from_hex(&hash)
        .map_err(|_| Refusal::bad_request("a transaction hash is 0x and up to 64 digits"))?;
    let position = readers
        .chain
        .transaction_position(&TransactionHash(hash))
        .await
        .map_err(|error| Refusal::failed("finding the transaction", &error))?
        .ok_or_else(|| Refusal::not_found(format!("no closed block holds {hash:#x}")))?;
    readers.proof(position.block_number.0).await.map(Json)
}

async fn batch(
    State(readers): State<Arc<Readers>>,
    Path(block): Path<String>,
) -> Result<Json<BatchAnswer>, Refusal> {
    let block = block_number(&block)?;
    let failed = |error| Refusal::failed("reading the batches", &error);
    let batch = readers.index.batch_of(block).await.map_err(failed)?;
    let batch =
        batch.ok_or_else(|| Refusal::not_found(format!("block {block} is in no batch yet")))?;
    let progress = readers.index.progress(&batch).await.map_err(failed)?;
    Ok(Json(BatchAnswer {
        first_block: batch.blocks.first,
        last_block: batch.blocks.last,
        planned_at: batch.planned_at,
        step_count: progress.step_count,
        steps: progress.steps.into_iter().map(StepAnswer::from).collect(),
    }))
}

async fn step_info(
    State(readers): State<Arc<Readers>>,
    Path(step): Path<String>,
) -> Result<Json<StepAnswer>, Refusal> {
    readers.step(&step).await.map(|stored| Json(stored.into()))
}

async fn step_bytes(
    State(readers): State<Arc<Readers>>,
    Path(step): Path<String>,
) -> Result<Response, Refusal> {
    let step = readers.step(&step).await?;
    readers.bytes(&step.key).await
}

fn block_number(text: &str) -> Result<u64, Refusal> {
    // The databases' numbers are signed.
    let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        Refusal::bad_request(format!("{text:?} is no block number"))
    })
}

impl Readers {
    async fn proof(&self, block: u64) -> Result<StoredProof, Refusal> {
        self.index
            .by_number(block)
            .await
            .map_err(|error| Refusal::failed("reading the proof index", &error))?
            .ok_or_else(|| Refusal::not_found(format!("block {block} has no proof yet")))
    }

    async fn step(&self, name: &str) -> Result<StoredStep, Refusal> {
        let step: Step =
            name.parse().map_err(|error: BadStep| Refusal::bad_request(error.to_string()))?;
        self.index
            .step(step)
            .await
            .map_err(|error| Refusal::failed("reading the steps", &error))?
            .ok_or_else(|| Refusal::not_found(format!("step {step} is not done")))
    }

    async fn bytes(&self, key: &str) -> Result<Response, Refusal> {
        let key =
            ObjectKey::parse(key).map_err(|error| Refusal::failed("reading a key", &error))?;
        let turn = self.turns.take().await.ok_or_else(Refusal::busy)?;
        match self.objects.get(&key).await {
            Ok(bytes) => {
                let bytes = Bytes::from_owner(Held { bytes, _turn: turn });
                Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
            }
            Err(ObjectStoreError::NotFound { .. }) => {
                Err(Refusal::not_found(format!("{key} is not in the object store")))
            }
            Err(error) => Err(Refusal::failed("reading the object store", &error)),
        }
    }
}
