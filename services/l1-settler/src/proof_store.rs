//! Batches from a proof store.

mod grpc;
mod http;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sidereal_aggregation::{Blocks, Step};
use sidereal_block_prover::{BlockProof, DecodeError, MAX_ENCODED_BYTES};
use sidereal_os_aggregator::{
    AggregatedOutput, AggregatedOutputError, JoinError, MAX_BLOBS, joined_data,
};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, GrpcError};
use sidereal_settlement::Update;
use sidereal_starknet_os::BLOB_LENGTH;

use self::grpc::GrpcProofs;
use self::http::HttpProofs;
use crate::batches::{Batches, BatchesError};

/// The batches of a proof store. What it says is not believed: an update is simulated before it is sent, and the
/// contract verifies it.
pub struct ProofStoreBatches {
    proofs: Box<dyn Proofs>,
    /// The last one, which is asked for again while the contract does not take it.
    last: Mutex<Option<(Blocks, Update)>>,
}

/// More than the outputs of StarknetOS over all blocks of an update have: the blobs' felts, and of each block a header and
/// the messages.
const MAX_OUTPUT_FELTS: usize = 2 * MAX_BLOBS * BLOB_LENGTH;

/// The public proof store's URL cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("public_proofs.url is not an address to connect to")]
pub struct BadProofsUrl;

/// What a proof store is asked for; proofs are encoded.
#[async_trait]
trait Proofs: Send + Sync {
    /// The blocks of the batch that holds `block`.
    async fn batch(&self, block: u64) -> Result<Option<Blocks>, ReadError>;

    /// Says that there has to be a batch that begins with this block.
    async fn begin_batch_with(&self, first: u64) -> Result<(), ReadError>;

    /// The proof of a step; none while it is not made.
    async fn step(&self, step: Step) -> Result<Option<Vec<u8>>, ReadError>;

    /// The proof of a block.
    async fn block(&self, number: u64) -> Result<Vec<u8>, ReadError>;
}

/// No update can be made of what the proof store has.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("ask the proof store for {what}")]
    Call {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{what} has more than {MAX_ENCODED_BYTES} bytes")]
    TooLarge { what: String },
    #[error("the proof store's batch is of the blocks {first} to {last}")]
    NoBlocks { first: u64, last: u64 },
    #[error("read {what}")]
    Decode {
        what: String,
        #[source]
        source: DecodeError,
    },
    #[error("the aggregator has joined other blocks than {} to {}", .blocks.first, .blocks.last)]
    OtherBlocks { blocks: Blocks },
    #[error("the outputs of blocks {} to {} have more felts than an update holds", .blocks.first, .blocks.last)]
    TooMuchData { blocks: Blocks },
    #[error("read the output of the aggregator over blocks {} to {}", .blocks.first, .blocks.last)]
    Output {
        blocks: Blocks,
        #[source]
        source: AggregatedOutputError,
    },
    #[error("join the data of blocks {} to {}", .blocks.first, .blocks.last)]
    Join {
        blocks: Blocks,
        #[source]
        source: JoinError,
    },
}

impl ProofStoreBatches {
    /// Of our proof store, over gRPC. Connects when it is first asked.
    ///
    /// # Errors
    /// When the configuration is not one to connect with.
    pub fn new(config: &ConnectConfig, auth: &AuthConfig) -> Result<Self, GrpcError> {
        Ok(Self::over(Box::new(GrpcProofs::new(config, auth)?)))
    }

    /// Of somebody's proof store, over HTTP, as anybody may read it. Connects when it is first asked.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn public(url: &str, timeout: Duration) -> Result<Self, BadProofsUrl> {
        Ok(Self::over(Box::new(HttpProofs::new(url, timeout)?)))
    }

    fn over(proofs: Box<dyn Proofs>) -> Self {
        Self { proofs, last: Mutex::default() }
    }

    async fn update(&self, first: u64) -> Result<Option<Update>, ReadError> {
        let Some(blocks) = self.proofs.batch(first).await? else { return Ok(None) };
        if blocks.first != first {
            // Somebody else has settled a part of it.
            self.proofs.begin_batch_with(first).await?;
            return Ok(None);
        }
        let Some(proof) = self.proofs.step(Step::Last(blocks)).await? else { return Ok(None) };
        if let Some((known, update)) = &*self.last()
            && (*known, &update.proof[..]) == (blocks, &proof[..])
        {
            return Ok(Some(update.clone()));
        }
        let program = Step::Program(blocks);
        let Some(joined) = self.proofs.step(program).await? else { return Ok(None) };
        let joined = decode(program.to_string(), &joined)?;
        let output = AggregatedOutput::decode(&joined.output)
            .map_err(|source| ReadError::Output { blocks, source })?;
        // From here on the aggregator's bounds hold.
        if output.blocks().and_then(|count| u64::try_from(count).ok()) != Some(blocks.count()) {
            return Err(ReadError::OtherBlocks { blocks });
        }
        let mut outputs = Vec::new();
        let mut felts = 0;
        for number in blocks.numbers() {
            let proof = self.proofs.block(number).await?;
            let output = decode(block_of(number), &proof)?.output;
            felts += output.len();
            if felts > MAX_OUTPUT_FELTS {
                return Err(ReadError::TooMuchData { blocks });
            }
            outputs.push(output);
        }
        let data = joined_data(&outputs).map_err(|source| ReadError::Join { blocks, source })?;
        let update = Update { output, data, proof: proof.into() };
        *self.last() = Some((blocks, update.clone()));
        Ok(Some(update))
    }

    fn last(&self) -> MutexGuard<'_, Option<(Blocks, Update)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What errors call it.
fn batch_of(block: u64) -> String {
    format!("the batch of block {block}")
}

/// What errors call it.
fn block_of(number: u64) -> String {
    format!("the proof of block {number}")
}

fn blocks(first: u64, last: u64) -> Result<Blocks, ReadError> {
    Blocks::new(first, last).ok_or(ReadError::NoBlocks { first, last })
}

fn decode(what: String, bytes: &[u8]) -> Result<BlockProof, ReadError> {
    BlockProof::decode(bytes).map_err(|source| ReadError::Decode { what, source })
}

#[async_trait]
impl Batches for ProofStoreBatches {
    async fn next_after(&self, block: u64) -> Result<Option<Update>, BatchesError> {
        let failed = |source| BatchesError { block, source: Box::new(source) };
        self.update(block.saturating_add(1)).await.map_err(failed)
    }
}
