//! A proof store over gRPC: ours.

use async_trait::async_trait;
use sidereal_aggregation::{Blocks, Step};
use sidereal_block_prover::MAX_ENCODED_BYTES;
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
use tonic::{Code, Status, Streaming};

use super::{Proofs, ReadError, batch_of, block_of, blocks};

pub(super) struct GrpcProofs {
    steps: AggregationServiceClient<ServiceChannel>,
    proofs: ProofStoreServiceClient<ServiceChannel>,
}

impl GrpcProofs {
    pub(super) fn new(config: &ConnectConfig, auth: &AuthConfig) -> Result<Self, GrpcError> {
        let channel = channel(config, auth)?;
        let steps = AggregationServiceClient::new(channel.clone())
            .max_decoding_message_size(config.max_message_bytes);
        let proofs = ProofStoreServiceClient::new(channel)
            .max_decoding_message_size(config.max_message_bytes);
        Ok(Self { steps, proofs })
    }
}

#[async_trait]
impl Proofs for GrpcProofs {
    async fn batch(&self, block: u64) -> Result<Option<Blocks>, ReadError> {
        let request = GetBatchRequest { block_number: block };
        let batch = match self.steps.clone().get_batch(request).await {
            Ok(answer) => answer.into_inner().batch.unwrap_or_default(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(call(batch_of(block))(status)),
        };
        blocks(batch.first_block, batch.last_block).map(Some)
    }

    async fn begin_batch_with(&self, first: u64) -> Result<(), ReadError> {
        let request = CutBatchRequest { first_block: first };
        let cut = self.steps.clone().cut_batch(request).await;
        cut.map(|_| ()).map_err(call(format!("a batch that begins with block {first}")))
    }

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

    async fn block(&self, number: u64) -> Result<Vec<u8>, ReadError> {
        let by = Some(proof_selector::By::BlockNumber(number));
        let request = GetProofRequest { selector: Some(ProofSelector { by }) };
        let answer = self.proofs.clone().get_proof(request).await;
        let stream = answer.map_err(call(block_of(number)))?.into_inner();
        let chunk = |message: GetProofResponse| match message.message {
            Some(get_proof_response::Message::Chunk(chunk)) => chunk,
            _ => Vec::new(),
        };
        gather(block_of(number), stream, chunk).await
    }
}

fn call(what: String) -> impl FnOnce(Status) -> ReadError {
    |status| ReadError::Call { what, source: Box::new(status) }
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
