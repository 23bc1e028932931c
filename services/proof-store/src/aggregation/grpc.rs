//! `sidereal.aggregation.v1`.

use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures::{Stream, StreamExt as _};
use sidereal_aggregation::Step;
use sidereal_bus::{Bus, BusError};
use sidereal_object_store::{ObjectKey, ObjectStore};
use sidereal_proto::aggregation::aggregation_service_server::AggregationService;
use sidereal_proto::aggregation::{
    Batch, CutBatchRequest, CutBatchResponse, GetBatchRequest, GetBatchResponse, GetStepRequest,
    GetStepResponse, ListBatchesRequest, ListBatchesResponse, PutStepRequest, PutStepResponse,
    StepInfo, get_step_response, put_step_request,
};
use sidereal_proto::proofs::ProvingFigures;
use sidereal_proto::{AGGREGATION_QUEUE, PROOF_CHUNK_BYTES};
use sidereal_service::{Waker, error_chain, to_status};
use tonic::{Request, Response, Status, Streaming};

use super::intake::{StepIntake, StepIntakeError, StepOffer};
use crate::grpc::index_status;
use crate::index::{ProofIndex, StoredBatch, StoredStep};
use crate::watch::Watch;

/// Batches that one list holds, unless the caller says fewer or more.
const DEFAULT_LIST: u32 = 100;
const MAX_LIST: u32 = 1_000;
/// Longest worker name that is kept, in characters.
const MAX_WORKER_CHARS: usize = 32;

/// The service.
pub struct AggregationGrpc {
    pub intake: Arc<StepIntake>,
    pub index: ProofIndex,
    pub objects: Arc<dyn ObjectStore>,
    pub bus: Arc<dyn Bus>,
    pub watch: Arc<Watch>,
    /// Wakes the planner: a step that was stored makes others possible.
    pub planner: Waker,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregationService for AggregationGrpc {
    async fn put_step(
        &self,
        request: Request<Streaming<PutStepRequest>>,
    ) -> Result<Response<PutStepResponse>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|request| request.message);
        let Some(put_step_request::Message::Header(header)) = first else {
            return Err(Status::invalid_argument("the first message must be the header"));
        };
        let step = parse("header.step", &header.step)?;
        let figures = header.figures.unwrap_or_default();
        let offer = StepOffer {
            step,
            size_bytes: header.size_bytes,
            worker: header.worker.chars().take(MAX_WORKER_CHARS).collect(),
            cairo_steps: figures.cairo_steps,
            total_ms: figures.total_ms,
            prove_ms: figures.prove_ms,
            peak_memory_bytes: figures.peak_memory_bytes,
        };
        offer.check_size().map_err(|error| to_status(&error))?;
        let mut bytes = BytesMut::new();
        while let Some(request) = stream.message().await? {
            let Some(put_step_request::Message::Chunk(chunk)) = request.message else {
                return Err(Status::invalid_argument("after the header only chunks may come"));
            };
            let received = bytes.len() + chunk.len();
            // The announced size is below the bound: nothing that is longer is gathered.
            if received as u64 > offer.size_bytes {
                let announced = offer.size_bytes;
                return Err(to_status(&StepIntakeError::Size { step, announced, received }));
            }
            bytes.extend_from_slice(&chunk);
        }
        let taken = self.intake.take(offer, bytes.freeze()).await.map_err(|error| {
            tracing::warn!(%step, error = %error_chain(&error), "the proof of a step was not taken");
            to_status(&error)
        });
        let (stored, is_new) = taken?;
        self.watch.step_stored(&stored, is_new);
        self.planner.wake();
        if let Err(error) = self.settle(step).await {
            tracing::warn!(%step, error = %error_chain(&error), "a parked job was not taken away");
        }
        Ok(Response::new(PutStepResponse { info: Some(info(&stored)?) }))
    }

    type GetStepStream = Answers<GetStepResponse>;

    async fn get_step(
        &self,
        request: Request<GetStepRequest>,
    ) -> Result<Response<Self::GetStepStream>, Status> {
        let step = parse("step", &request.into_inner().step)?;
        let stored = self.index.step(step).await.map_err(index_status)?;
        let stored = stored.ok_or_else(|| Status::not_found(format!("step {step} is not done")))?;
        let key = ObjectKey::parse(&stored.key)
            .map_err(|error| Status::data_loss(error_chain(&error)))?;
        let bytes = self.objects.get(&key).await.map_err(|error| to_status(&error))?;
        let first =
            GetStepResponse { message: Some(get_step_response::Message::Info(info(&stored)?)) };
        let chunks = (0..bytes.len()).step_by(PROOF_CHUNK_BYTES).map(move |start| {
            let end = (start + PROOF_CHUNK_BYTES).min(bytes.len());
            let chunk = bytes.slice(start..end).to_vec();
            GetStepResponse { message: Some(get_step_response::Message::Chunk(chunk)) }
        });
        let answers = futures::stream::iter(std::iter::once(first).chain(chunks).map(Ok));
        Ok(Response::new(answers.boxed()))
    }

    async fn get_batch(
        &self,
        request: Request<GetBatchRequest>,
    ) -> Result<Response<GetBatchResponse>, Status> {
        let block = request.into_inner().block_number;
        let found = self.index.batch_of(block).await.map_err(index_status)?;
        let found =
            found.ok_or_else(|| Status::not_found(format!("block {block} is in no batch yet")))?;
        Ok(Response::new(GetBatchResponse { batch: Some(self.batch(&found).await?) }))
    }

    async fn list_batches(
        &self,
        request: Request<ListBatchesRequest>,
    ) -> Result<Response<ListBatchesResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => DEFAULT_LIST,
            limit if limit <= MAX_LIST => limit,
            limit => {
                return Err(Status::invalid_argument(format!(
                    "a list of {limit} batches is more than {MAX_LIST}"
                )));
            }
        };
        let stored = self.index.batches(request.from_block, limit).await.map_err(index_status)?;
        let mut batches = Vec::with_capacity(stored.len());
        for batch in &stored {
            batches.push(self.batch(batch).await?);
        }
        Ok(Response::new(ListBatchesResponse { batches }))
    }

    async fn cut_batch(
        &self,
        request: Request<CutBatchRequest>,
    ) -> Result<Response<CutBatchResponse>, Status> {
        let first_block = request.into_inner().first_block;
        if self.index.cut_batch(first_block).await.map_err(index_status)? {
            tracing::warn!(first_block, "a batch was cut: L1 has settled another part of it");
            self.planner.wake();
        }
        Ok(Response::new(CutBatchResponse {}))
    }
}

impl AggregationGrpc {
    async fn batch(&self, stored: &StoredBatch) -> Result<Batch, Status> {
        let progress = self.index.progress(stored).await.map_err(index_status)?;
        Ok(Batch {
            first_block: stored.blocks.first,
            last_block: stored.blocks.last,
            planned_at: stored.planned_at,
            steps: progress.steps.iter().map(info).collect::<Result<_, _>>()?,
            step_count: u32::try_from(progress.step_count).unwrap_or(u32::MAX),
        })
    }

    /// A job that was parked although its step is done has nothing left to do.
    async fn settle(&self, step: Step) -> Result<(), BusError> {
        let id = step.to_string();
        let record = self.bus.job(AGGREGATION_QUEUE, &id).await?;
        if record.is_some_and(|record| record.state == sidereal_bus::JobState::Parked) {
            self.bus.remove(AGGREGATION_QUEUE, &id).await?;
        }
        Ok(())
    }
}

fn parse(field: &str, name: &str) -> Result<Step, Status> {
    name.parse().map_err(|error| Status::invalid_argument(format!("field `{field}`: {error}")))
}

/// What is told of a step.
fn info(stored: &StoredStep) -> Result<StepInfo, Status> {
    let decoded = |text: &str| {
        hex::decode(text)
            .map_err(|_| Status::data_loss(format!("the entry of {} is damaged", stored.step)))
    };
    let blocks = stored.step.blocks();
    Ok(StepInfo {
        step: stored.step.to_string(),
        first_block: blocks.first,
        last_block: blocks.last,
        output: decoded(&stored.claim)?,
        digest: decoded(&stored.digest)?,
        size_bytes: stored.size_bytes,
        stored_at: stored.stored_at,
        worker: stored.worker.clone(),
        figures: Some(ProvingFigures {
            cairo_steps: stored.cairo_steps,
            total_ms: stored.total_ms,
            prove_ms: stored.prove_ms,
            peak_memory_bytes: stored.peak_memory_bytes,
        }),
    })
}
