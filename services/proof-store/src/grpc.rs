//! `sidereal.proofs.v1`.

use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use sidereal_bus::{Bus, BusError};
use sidereal_chain_store::ChainStore;
use sidereal_object_store::{ObjectKey, ObjectStore};
use sidereal_proto::proofs::proof_store_service_server::ProofStoreService;
use sidereal_proto::proofs::{
    GetProofInfoRequest, GetProofInfoResponse, GetProofRequest, GetProofResponse, Job, JobState,
    ListJobsRequest, ListJobsResponse, ProofInfo, ProofSelector, ProvingFigures, PutProofHeader,
    PutProofRequest, PutProofResponse, ReportProgressRequest, ReportProgressResponse,
    RequeueJobRequest, RequeueJobResponse, WatchJobsRequest, WatchJobsResponse, get_proof_response,
    proof_selector, put_proof_request, watch_jobs_response,
};
use sidereal_proto::{PROOF_CHUNK_BYTES, PROOF_STORED_SUBJECT, PROVING_QUEUE, events, felt};
use sidereal_service::{Shutdown, Waker, error_chain, to_status};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status, Streaming};

use crate::index::{IndexError, ProofIndex, StoredProof};
use crate::intake::{Intake, IntakeError, Offer};
use crate::progress::Running;
use crate::watch::{Watch, queue_of};

/// Jobs that one list holds, unless the caller says fewer or more.
const DEFAULT_LIST: u32 = 100;
const MAX_LIST: u32 = 1_000;
/// Longest text that is taken from a worker, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// The service.
pub struct ProofsGrpc {
    pub intake: Arc<Intake>,
    pub index: ProofIndex,
    pub chain: ChainStore,
    pub objects: Arc<dyn ObjectStore>,
    pub bus: Arc<dyn Bus>,
    pub watch: Arc<Watch>,
    /// Wakes who plans aggregations.
    pub aggregation: Waker,
    /// Streams that never end by themselves end with it.
    pub shutdown: Shutdown,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ProofStoreService for ProofsGrpc {
    async fn put_proof(
        &self,
        request: Request<Streaming<PutProofRequest>>,
    ) -> Result<Response<PutProofResponse>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|request| request.message);
        let Some(put_proof_request::Message::Header(header)) = first else {
            return Err(Status::invalid_argument("the first message must be the header"));
        };
        let offer = offer(header)?;
        offer.check_size().map_err(|error| to_status(&error))?;
        let block = offer.block_number;
        let mut bytes = BytesMut::new();
        while let Some(request) = stream.message().await? {
            let Some(put_proof_request::Message::Chunk(chunk)) = request.message else {
                return Err(Status::invalid_argument("after the header only chunks may come"));
            };
            let size = bytes.len() + chunk.len();
            // The announced size is below the bound: nothing that is longer is gathered.
            if size as u64 > offer.size_bytes {
                return Err(to_status(&IntakeError::Size {
                    block,
                    announced: offer.size_bytes,
                    received: size,
                }));
            }
            bytes.extend_from_slice(&chunk);
        }
        let job_id = hex::encode(offer.block_hash.to_bytes_be());
        let taken = self.intake.take(offer, bytes.freeze()).await.map_err(|error| {
            tracing::warn!(block, error = %error_chain(&error), "proof not taken");
            to_status(&error)
        })?;
        let info = info(&taken.stored)?;
        self.watch.stored(&job_id, info.clone(), taken.is_new);
        self.aggregation.wake();
        self.announce(&taken.stored).await;
        if let Err(error) = self.settle(&job_id).await {
            tracing::warn!(block, error = %error_chain(&error), "a parked job was not taken away");
        }
        Ok(Response::new(PutProofResponse { info: Some(info) }))
    }

    type GetProofStream = Answers<GetProofResponse>;

    async fn get_proof(
        &self,
        request: Request<GetProofRequest>,
    ) -> Result<Response<Self::GetProofStream>, Status> {
        let stored = self.select(request.into_inner().selector).await?;
        let key = ObjectKey::parse(&stored.key)
            .map_err(|error| Status::data_loss(error_chain(&error)))?;
        let bytes = self.objects.get(&key).await.map_err(|error| to_status(&error))?;
        let first =
            GetProofResponse { message: Some(get_proof_response::Message::Info(info(&stored)?)) };
        let chunks = (0..bytes.len()).step_by(PROOF_CHUNK_BYTES).map(move |start| {
            let end = (start + PROOF_CHUNK_BYTES).min(bytes.len());
            let chunk = bytes.slice(start..end).to_vec();
            GetProofResponse { message: Some(get_proof_response::Message::Chunk(chunk)) }
        });
        let answers = futures::stream::iter(std::iter::once(first).chain(chunks).map(Ok));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_proof_info(
        &self,
        request: Request<GetProofInfoRequest>,
    ) -> Result<Response<GetProofInfoResponse>, Status> {
        let stored = self.select(request.into_inner().selector).await?;
        Ok(Response::new(GetProofInfoResponse { info: Some(info(&stored)?) }))
    }

    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        let request = request.into_inner();
        let wanted = request.state();
        let limit = match request.limit {
            0 => DEFAULT_LIST,
            limit if limit <= MAX_LIST => limit,
            limit => {
                return Err(Status::invalid_argument(format!(
                    "a list of {limit} jobs is more than {MAX_LIST}"
                )));
            }
        };
        if wanted == JobState::Done {
            let proofs = self.index.from(0, limit).await.map_err(index_status)?;
            let jobs = proofs.iter().map(done).collect();
            return Ok(Response::new(ListJobsResponse { jobs }));
        }
        let mut jobs = self.watch.jobs(wanted).await.map_err(|error| to_status(&error))?;
        jobs.truncate(limit as usize);
        Ok(Response::new(ListJobsResponse { jobs }))
    }

    async fn requeue_job(
        &self,
        request: Request<RequeueJobRequest>,
    ) -> Result<Response<RequeueJobResponse>, Status> {
        let id = request.into_inner().id;
        let failed = |error: BusError| to_status(&error);
        self.bus.requeue(queue_of(&id), &id).await.map_err(failed)?;
        self.watch.wake();
        let job = self.watch.job(&id).await.map_err(failed)?;
        Ok(Response::new(RequeueJobResponse { job }))
    }

    async fn report_progress(
        &self,
        request: Request<ReportProgressRequest>,
    ) -> Result<Response<ReportProgressResponse>, Status> {
        let report = request.into_inner();
        for (field, text) in
            [("worker", &report.worker), ("job_id", &report.job_id), ("stage", &report.stage)]
        {
            if text.len() > MAX_TEXT_BYTES {
                return Err(Status::invalid_argument(format!(
                    "field `{field}` has more than {MAX_TEXT_BYTES} bytes"
                )));
            }
        }
        let running = Running {
            worker: report.worker,
            stage: report.stage,
            running_for_ms: report.running_for_ms,
            said_at: std::time::Instant::now(),
        };
        self.watch.report(report.job_id, running).await;
        Ok(Response::new(ReportProgressResponse {}))
    }

    type WatchJobsStream = Answers<WatchJobsResponse>;

    async fn watch_jobs(
        &self,
        _request: Request<WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        let watcher = self.watch.watch().await.map_err(|error| to_status(&error))?;
        let present = watcher.present.into_iter().map(|job| {
            Ok(WatchJobsResponse { message: Some(watch_jobs_response::Message::Job(job)) })
        });
        let mut lagged = false;
        let changes = BroadcastStream::new(watcher.changes)
            .map(|change| change.map_err(|BroadcastStreamRecvError::Lagged(missed)| lag(missed)))
            // What comes after a gap would look like the whole story.
            .take_while(move |change| {
                let told = lagged;
                lagged = change.is_err();
                std::future::ready(!told)
            });
        let answers = futures::stream::iter(present)
            .chain(changes)
            .take_until(self.shutdown.triggered_owned());
        Ok(Response::new(Box::pin(answers)))
    }
}

impl ProofsGrpc {
    async fn select(&self, selector: Option<ProofSelector>) -> Result<StoredProof, Status> {
        let by = selector
            .and_then(|selector| selector.by)
            .ok_or_else(|| Status::invalid_argument("field `selector.by` is missing"))?;
        let found = match by {
            proof_selector::By::BlockNumber(number) => self.index.by_number(number).await,
            proof_selector::By::BlockHash(bytes) => {
                let hash = felt::felt("selector.block_hash", &bytes)?;
                self.index.by_hash(&hash).await
            }
            proof_selector::By::TransactionHash(bytes) => {
                let hash = felt::transaction_hash("selector.transaction_hash", &bytes)?;
                let position = self
                    .chain
                    .transaction_position(&hash)
                    .await
                    .map_err(|error| Status::unavailable(error_chain(&error)))?
                    .ok_or_else(|| Status::not_found("no closed block holds this transaction"))?;
                self.index.by_number(position.block_number.0).await
            }
        };
        found.map_err(index_status)?.ok_or_else(|| Status::not_found("the block has no proof yet"))
    }

    /// A job that was parked although its block has a proof has nothing left to do.
    async fn settle(&self, job_id: &str) -> Result<(), BusError> {
        let record = self.bus.job(PROVING_QUEUE, job_id).await?;
        if record.is_some_and(|record| record.state == sidereal_bus::JobState::Parked) {
            self.bus.remove(PROVING_QUEUE, job_id).await?;
        }
        Ok(())
    }

    /// Tells the bus. Only a wake for others: the proof is stored whether or not anybody hears of it.
    async fn announce(&self, stored: &StoredProof) {
        let hash = stored.block_hash.to_bytes_be();
        let event = sidereal_bus::Event {
            subject: PROOF_STORED_SUBJECT.to_owned(),
            message_id: format!("{PROOF_STORED_SUBJECT}-{}", hex::encode(hash)),
            payload: events::ProofStored {
                block_number: stored.block_number,
                block_hash: hash.to_vec(),
            }
            .encode_to_vec()
            .into(),
            headers: sidereal_bus::Headers::new(),
        };
        if let Err(error) = self.bus.publish(event).await {
            tracing::warn!(block = stored.block_number, error = %error_chain(&error), "proof.stored was not published");
        }
    }
}

fn lag(missed: u64) -> Status {
    metrics::counter!("job_watchers_lagged_total").increment(1);
    Status::resource_exhausted(format!(
        "this watcher was too slow and missed {missed} messages; watch again for the present state"
    ))
}

fn offer(header: PutProofHeader) -> Result<Offer, Status> {
    let figures = header.figures.unwrap_or_default();
    Ok(Offer {
        block_number: header.block_number,
        block_hash: felt::felt("header.block_hash", &header.block_hash)?,
        size_bytes: header.size_bytes,
        worker: header.worker,
        cairo_steps: figures.cairo_steps,
        total_ms: figures.total_ms,
        prove_ms: figures.prove_ms,
        peak_memory_bytes: figures.peak_memory_bytes,
    })
}

/// What is told of a proof.
pub(crate) fn info(stored: &StoredProof) -> Result<ProofInfo, Status> {
    Ok(ProofInfo {
        block_number: stored.block_number,
        block_hash: stored.block_hash.to_bytes_be().to_vec(),
        digest: hex::decode(&stored.digest).map_err(|_| {
            Status::data_loss(format!("the digest of block {} is damaged", stored.block_number))
        })?,
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

fn done(stored: &StoredProof) -> Job {
    Job {
        id: hex::encode(stored.block_hash.to_bytes_be()),
        block_number: stored.block_number,
        block_hash: stored.block_hash.to_bytes_be().to_vec(),
        state: JobState::Done.into(),
        worker: stored.worker.clone(),
        running_for_ms: stored.total_ms,
        ..Job::default()
    }
}

pub(crate) fn index_status(error: IndexError) -> Status {
    match error {
        IndexError::OutOfRange(_) => Status::invalid_argument(error.to_string()),
        IndexError::Damaged { .. } => Status::data_loss(error_chain(&error)),
        _ => Status::unavailable(error_chain(&error)),
    }
}
