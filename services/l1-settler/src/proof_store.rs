//! Batches from the proof store.

use async_trait::async_trait;
use sidereal_aggregation::{Blocks, Step};
use sidereal_block_prover::{BlockProof, DecodeError, MAX_ENCODED_BYTES};
use sidereal_os_aggregator::{AggregatedOutput, AggregatedOutputError, JoinError, joined_data};
use sidereal_proto::aggregation::aggregation_service_client::AggregationServiceClient;
use sidereal_proto::aggregation::{
    CutBatchRequest, GetBatchRequest, GetStepRequest, GetStepResponse, get_step_response,
};
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::{
    GetProofRequest, GetProofResponse, ProofSelector, get_proof_response, proof_selector,
};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, GrpcError, ServiceChannel, channel};
use sidereal_settlement::Update;
use tonic::{Code, Status, Streaming};

use crate::batches::{Batches, BatchesError};

/// The proof store, over gRPC. What it says is not believed: an update is simulated before it is sent, and the contract
/// verifies it.
pub struct ProofStoreBatches {
    steps: AggregationServiceClient<ServiceChannel>,
    proofs: ProofStoreServiceClient<ServiceChannel>,
}

/// No update can be made of what the proof store has.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("ask the proof store for {what}")]
    Call {
        what: String,
        #[source]
        source: Box<Status>,
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
    /// Connects when it is first asked.
    ///
    /// # Errors
    /// When the configuration is not one to connect with.
    pub fn new(config: &ConnectConfig, auth: &AuthConfig) -> Result<Self, GrpcError> {
        let channel = channel(config, auth)?;
        let steps = AggregationServiceClient::new(channel.clone())
            .max_decoding_message_size(config.max_message_bytes);
        let proofs = ProofStoreServiceClient::new(channel)
            .max_decoding_message_size(config.max_message_bytes);
        Ok(Self { steps, proofs })
    }

    async fn update(&self, first: u64) -> Result<Option<Update>, ReadError> {
        let Some(blocks) = self.batch(first).await? else { return Ok(None) };
        if blocks.first != first {
            // Somebody else has settled a part of it. There will be a batch that begins here.
            let request = CutBatchRequest { first_block: first };
            let cut = self.steps.clone().cut_batch(request).await;
            cut.map_err(call(format!("a batch that begins with block {first}")))?;
            return Ok(None);
        }
        let Some(proof) = self.step(Step::Last(blocks)).await? else { return Ok(None) };
        let program = Step::Program(blocks);
        let Some(joined) = self.step(program).await? else { return Ok(None) };
        let joined = decode(&program.to_string(), &joined)?;
        let output = AggregatedOutput::decode(&joined.output)
            .map_err(|source| ReadError::Output { blocks, source })?;
        let mut outputs = Vec::new();
        for number in blocks.numbers() {
            outputs.push(self.block(number).await?.output);
        }
        let data = joined_data(&outputs).map_err(|source| ReadError::Join { blocks, source })?;
        Ok(Some(Update { output, data, proof: proof.into() }))
    }

    /// The blocks of the batch that holds `block`.
    async fn batch(&self, block: u64) -> Result<Option<Blocks>, ReadError> {
        let request = GetBatchRequest { block_number: block };
        let batch = match self.steps.clone().get_batch(request).await {
            Ok(answer) => answer.into_inner().batch.unwrap_or_default(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(call(format!("the batch of block {block}"))(status)),
        };
        let (first, last) = (batch.first_block, batch.last_block);
        Blocks::new(first, last).map(Some).ok_or(ReadError::NoBlocks { first, last })
    }

    /// The proof of a step, encoded; none while it is not made.
    async fn step(&self, step: Step) -> Result<Option<Vec<u8>>, ReadError> {
        let what = step.to_string();
        let request = GetStepRequest { step: what.clone() };
        let stream = match self.steps.clone().get_step(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(call(what)(status)),
        };
        let chunk = |message: GetStepResponse| match message.message {
            Some(get_step_response::Message::Chunk(chunk)) => chunk,
            _ => Vec::new(),
        };
        gather(what, stream, chunk).await.map(Some)
    }

    async fn block(&self, number: u64) -> Result<BlockProof, ReadError> {
        let what = format!("the proof of block {number}");
        let by = Some(proof_selector::By::BlockNumber(number));
        let request = GetProofRequest { selector: Some(ProofSelector { by }) };
        let answer = self.proofs.clone().get_proof(request).await;
        let stream = answer.map_err(call(what.clone()))?.into_inner();
        let chunk = |message: GetProofResponse| match message.message {
            Some(get_proof_response::Message::Chunk(chunk)) => chunk,
            _ => Vec::new(),
        };
        decode(&what, &gather(what.clone(), stream, chunk).await?)
    }
}

fn call(what: String) -> impl FnOnce(Status) -> ReadError {
    |status| ReadError::Call { what, source: Box::new(status) }
}

fn decode(what: &str, bytes: &[u8]) -> Result<BlockProof, ReadError> {
    BlockProof::decode(bytes).map_err(|source| ReadError::Decode { what: what.to_owned(), source })
}

/// The chunks of a stream in one piece.
async fn gather<M>(
    what: String,
    mut stream: Streaming<M>,
    chunk: impl Fn(M) -> Vec<u8>,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(bytes),
            Err(status) => return Err(call(what)(status)),
        };
        let chunk = chunk(message);
        if bytes.len() + chunk.len() > MAX_ENCODED_BYTES {
            return Err(ReadError::TooLarge { what });
        }
        bytes.extend(chunk);
    }
}

#[async_trait]
impl Batches for ProofStoreBatches {
    async fn next_after(&self, block: u64) -> Result<Option<Update>, BatchesError> {
        let failed = |source| BatchesError { block, source: Box::new(source) };
        self.update(block.saturating_add(1)).await.map_err(failed)
    }
}
