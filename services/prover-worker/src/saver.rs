//! Delivering proofs, and saying where jobs are.

use std::iter::once;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::iter;
use serde::{Deserialize, Serialize};
use sidereal_proto::PROOF_CHUNK_BYTES;
use sidereal_proto::aggregation::aggregation_service_client::AggregationServiceClient;
use sidereal_proto::aggregation::{PutStepHeader, PutStepRequest, put_step_request};
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::put_proof_request::Message;
use sidereal_proto::proofs::{
    ProvingFigures, PutProofHeader, PutProofRequest, ReportProgressRequest,
};
use sidereal_service::grpc::ServiceChannel;
use sidereal_service::{Classified, ErrorClass, RetryPolicy, Shutdown};
use tonic::Status;

use crate::heartbeat::{Report, Reporter};
use crate::job::{ProveJob, Target};

/// What a proof took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Cairo steps that were proven.
    pub cairo_steps: u64,
    /// From inputs to proof.
    pub total_ms: u64,
    /// The part of it in which S-two worked.
    pub prove_ms: u64,
    /// The most memory that the prover's process has had so far.
    pub peak_memory_bytes: u64,
}

/// The proof was not taken.
#[derive(Debug, thiserror::Error)]
#[error("deliver the proof of {target}")]
pub struct SaveError {
    /// Whose proof.
    pub target: Target,
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
    proofs: ProofStoreServiceClient<ServiceChannel>,
    steps: AggregationServiceClient<ServiceChannel>,
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
        Self {
            proofs: ProofStoreServiceClient::new(channel.clone()),
            steps: AggregationServiceClient::new(channel),
            worker,
            retry,
            shutdown,
        }
    }
}

#[async_trait]
impl Saver for GrpcSaver {
    async fn save(&self, job: &ProveJob, proof: Bytes, figures: Figures) -> Result<(), SaveError> {
        let target = job.target;
        let (worker, size_bytes) = (self.worker.clone(), proof.len() as u64);
        let figures = Some(ProvingFigures {
            cairo_steps: figures.cairo_steps,
            total_ms: figures.total_ms,
            prove_ms: figures.prove_ms,
            peak_memory_bytes: figures.peak_memory_bytes,
        });
        let deliver = || async {
            let (worker, proof) = (worker.clone(), proof.clone());
            let put = match target {
                Target::Block { number: block_number, hash } => {
                    let block_hash = hash.to_bytes_be().to_vec();
                    let header =
                        PutProofHeader { block_number, block_hash, worker, size_bytes, figures };
                    let messages =
                        once(Message::Header(header)).chain(chunks(proof).map(Message::Chunk));
                    let request =
                        messages.map(|message| PutProofRequest { message: Some(message) });
                    self.proofs.clone().put_proof(iter(request)).await.map(|_| ())
                }
                Target::Step(step) => {
                    let header =
                        PutStepHeader { step: step.to_string(), worker, size_bytes, figures };
                    let messages = once(put_step_request::Message::Header(header))
                        .chain(chunks(proof).map(put_step_request::Message::Chunk));
                    let request = messages.map(|message| PutStepRequest { message: Some(message) });
                    self.steps.clone().put_step(iter(request)).await.map(|_| ())
                }
            };
            put.map_err(|source| SaveError { target, source })
        };
        self.retry.run("deliver proof", &self.shutdown, deliver).await
    }
}

/// The proof in pieces that fit a message.
fn chunks(mut proof: Bytes) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || {
        let size = proof.len().min(PROOF_CHUNK_BYTES);
        (size > 0).then(|| proof.split_to(size).to_vec())
    })
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
    fn a_proof_is_cut_into_chunks() {
        let proof =
            Bytes::from((0..=255).cycle().take(2 * PROOF_CHUNK_BYTES + 7).collect::<Vec<u8>>());
        let chunks: Vec<Vec<u8>> = chunks(proof.clone()).collect();
        assert_eq!(
            chunks.iter().map(Vec::len).collect::<Vec<_>>(),
            [PROOF_CHUNK_BYTES, PROOF_CHUNK_BYTES, 7]
        );
        assert_eq!(chunks.concat(), proof);
    }
}
