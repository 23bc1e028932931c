//! Delivering proofs, and saying where jobs are.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sidereal_proto::PROOF_CHUNK_BYTES;
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::put_proof_request::Message;
use sidereal_proto::proofs::{
    ProvingFigures, PutProofHeader, PutProofRequest, ReportProgressRequest,
};
use sidereal_service::grpc::ServiceChannel;
use sidereal_service::{Classified, ErrorClass, RetryPolicy, Shutdown};
use tonic::Status;

use crate::heartbeat::{Report, Reporter};
use crate::job::ProveJob;

/// What a proof took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Cairo steps that were proven.
    pub cairo_steps: u64,
    /// From witness to proof.
    pub total_ms: u64,
    /// The part of it in which S-two worked.
    pub prove_ms: u64,
    /// The most memory that the prover's process has had so far.
    pub peak_memory_bytes: u64,
}

/// The proof was not taken.
#[derive(Debug, thiserror::Error)]
#[error("deliver the proof of block {block_number}")]
pub struct SaveError {
    /// Whose proof.
    pub block_number: u64,
    /// What the proof store said.
    #[source]
    pub source: Status,
}

impl Classified for SaveError {
    fn class(&self) -> ErrorClass {
        ErrorClass::of_status(&self.source)
    }
}

/// Delivers proofs.
#[async_trait]
pub trait Saver: Send + Sync {
    /// Returns when the proof has been verified and is durable. Repeating it is harmless.
    async fn save(&self, job: &ProveJob, proof: Bytes, figures: Figures) -> Result<(), SaveError>;
}

/// Delivers to the proof store.
pub struct GrpcSaver {
    client: ProofStoreServiceClient<ServiceChannel>,
    worker: String,
    retry: RetryPolicy,
    shutdown: Shutdown,
}

impl GrpcSaver {
    /// `shutdown` ends the waiting between tries, never a try.
    pub fn new(
        channel: ServiceChannel,
        worker: String,
        retry: RetryPolicy,
        shutdown: Shutdown,
    ) -> Self {
        Self { client: ProofStoreServiceClient::new(channel), worker, retry, shutdown }
    }
}

#[async_trait]
impl Saver for GrpcSaver {
    async fn save(&self, job: &ProveJob, proof: Bytes, figures: Figures) -> Result<(), SaveError> {
        let header = PutProofHeader {
            block_number: job.block_number,
            block_hash: job.block_hash.to_bytes_be().to_vec(),
            worker: self.worker.clone(),
            size_bytes: proof.len() as u64,
            figures: Some(ProvingFigures {
                cairo_steps: figures.cairo_steps,
                total_ms: figures.total_ms,
                prove_ms: figures.prove_ms,
                peak_memory_bytes: figures.peak_memory_bytes,
            }),
        };
        let deliver = || async {
            let request = futures::stream::iter(messages(header.clone(), proof.clone()));
            match self.client.clone().put_proof(request).await {
                Ok(_) => Ok(()),
                Err(source) => Err(SaveError { block_number: job.block_number, source }),
            }
        };
        self.retry.run("deliver proof", &self.shutdown, deliver).await
    }
}

fn messages(header: PutProofHeader, mut proof: Bytes) -> impl Iterator<Item = PutProofRequest> {
    let header = std::iter::once(PutProofRequest { message: Some(Message::Header(header)) });
    header.chain(std::iter::from_fn(move || {
        if proof.is_empty() {
            return None;
        }
        let chunk = proof.split_to(proof.len().min(PROOF_CHUNK_BYTES));
        Some(PutProofRequest { message: Some(Message::Chunk(chunk.to_vec())) })
    }))
}

/// Tells the proof store where jobs are.
pub struct GrpcReporter {
    client: ProofStoreServiceClient<ServiceChannel>,
    worker: String,
}

/// A report that takes longer is given up.
const REPORT_TIMEOUT: Duration = Duration::from_secs(3);

impl GrpcReporter {
    /// The channel must belong to the runtime on which reports are made.
    pub fn new(channel: ServiceChannel, worker: String) -> Self {
        Self { client: ProofStoreServiceClient::new(channel), worker }
    }
}

#[async_trait]
impl Reporter for GrpcReporter {
    async fn report(&self, report: Report) {
        let request = ReportProgressRequest {
            worker: self.worker.clone(),
            job_id: report.job_id,
            block_number: report.block_number,
            stage: report.stage.to_owned(),
            running_for_ms: u64::try_from(report.running_for.as_millis()).unwrap_or(u64::MAX),
        };
        let mut client = self.client.clone();
        match tokio::time::timeout(REPORT_TIMEOUT, client.report_progress(request)).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => tracing::debug!(%status, "progress was not reported"),
            Err(_) => tracing::debug!("progress was not reported in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_cut_into_chunks_behind_its_header() {
        let proof =
            Bytes::from((0..=255).cycle().take(2 * PROOF_CHUNK_BYTES + 7).collect::<Vec<u8>>());
        let header = PutProofHeader { block_number: 9, ..Default::default() };
        let mut messages = messages(header.clone(), proof.clone());
        assert_eq!(messages.next().unwrap().message, Some(Message::Header(header)));
        let chunks: Vec<Vec<u8>> = messages
            .map(|message| match message.message {
                Some(Message::Chunk(chunk)) => chunk,
                other => panic!("{other:?} instead of a chunk"),
            })
            .collect();
        assert_eq!(
            chunks.iter().map(Vec::len).collect::<Vec<_>>(),
            [PROOF_CHUNK_BYTES, PROOF_CHUNK_BYTES, 7]
        );
        assert_eq!(chunks.concat(), proof);
    }
}
