//! Updates from what a proof store has, over gRPC: those of the two real blocks, and what is told when it has less, or
//! something else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use sidereal_block_prover::{BlockProof, MAX_ENCODED_BYTES};
use sidereal_l1_settler::{Batches as _, ProofStoreBatches};
use sidereal_os_aggregator::AggregatedOutput;
use sidereal_proto::aggregation::aggregation_service_server::{
    AggregationService, AggregationServiceServer,
};
use sidereal_proto::aggregation::{
    Batch, CutBatchRequest, CutBatchResponse, GetBatchRequest, GetBatchResponse, GetStepRequest,
    GetStepResponse, ListBatchesRequest, ListBatchesResponse, PutStepRequest, PutStepResponse,
    StepInfo, get_step_response,
};
use sidereal_proto::proofs::proof_store_service_server::{
    ProofStoreService, ProofStoreServiceServer,
};
use sidereal_proto::proofs::{
    GetProofInfoRequest, GetProofInfoResponse, GetProofRequest, GetProofResponse, ListJobsRequest,
    ListJobsResponse, ProofInfo, PutProofRequest, PutProofResponse, ReportProgressRequest,
    ReportProgressResponse, RequeueJobRequest, RequeueJobResponse, WatchJobsRequest,
    WatchJobsResponse, get_proof_response, proof_selector,
};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, ListenConfig, Server};
use sidereal_service::{Readiness, Shutdown, error_chain};
use sidereal_settlement::Update;
use sidereal_starknet_os::StateUpdate;
use starknet_types_core::felt::Felt;
use tokio_stream::Iter;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::aggregated::Aggregated;

/// The longest chunk of a proof on the wire.
const CHUNK_BYTES: usize = 1 << 20;

/// Pins down that the update of a whole batch is what its steps and its blocks say: the joined output, the blocks' data
/// in order, the last proof; and that this is all that is asked for.
#[tokio::test]
async fn proof_store_gives_the_update_of_a_whole_batch() -> anyhow::Result<()> {
    let store = Store::start(Content::whole()?).await?;
    let update = store.batches.next_after(0).await?.context("there is no update")?;
    let real = Aggregated::load()?.update;
    assert_eq!(update.output, real.output);
    assert_eq!(update.data, real.data);
    assert_eq!(update.proof, real.proof);
    let asked = ["batch of 1", "step last-1-2", "step program-1-2", "proof of 1", "proof of 2"];
    assert_eq!(store.asked(), asked);
    Ok(())
}

/// Pins down that what is not there yet is no error and no update, and that no proof is downloaded in vain.
#[tokio::test]
async fn proof_store_without_a_whole_batch_gives_nothing() -> anyhow::Result<()> {
    let whole = Content::whole()?;
    let no_batch = Content { batch: None, ..whole.clone() };
    let without = |step: &str| {
        let mut content = whole.clone();
        content.steps.remove(step).with_context(|| format!("there is no {step}"))?;
        anyhow::Ok(content)
    };
    for (content, asked) in [
        (no_batch, &["batch of 1"][..]),
        (without("last-1-2")?, &["batch of 1", "step last-1-2"]),
        (without("program-1-2")?, &["batch of 1", "step last-1-2", "step program-1-2"]),
    ] {
        let store = Store::start(content).await?;
        assert!(store.batches.next_after(0).await?.is_none(), "{asked:?}");
        assert_eq!(store.asked(), asked);
    }
    Ok(())
}

/// Pins down that a batch which begins elsewhere is to be cut where the contract stands, and is not settled.
#[tokio::test]
async fn proof_store_is_told_where_a_batch_has_to_begin() -> anyhow::Result<()> {
    let store = Store::start(Content::whole()?).await?;
    assert!(store.batches.next_after(1).await?.is_none());
    assert_eq!(store.asked(), ["batch of 2", "cut before 2"]);
    Ok(())
}

/// Pins down that each thing that is wrong is an error which names it.
#[tokio::test]
async fn proof_store_with_something_else_is_named() -> anyhow::Result<()> {
    let whole = Content::whole()?;
    let too_large = vec![0; MAX_ENCODED_BYTES + 1];
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let program = whole.steps["program-1-2"].clone();
    let block = whole.proofs[&2].clone();
    let cases: [(&str, Change); 8] = [
        ("last-1-2 has more than 16777216 bytes", {
            let bytes = too_large.clone();
            Box::new(move |content| content.step("last-1-2", bytes))
        }),
        ("the proof of block 2 has more than 16777216 bytes", {
            Box::new(move |content| content.proof(2, too_large))
        }),
        ("the proof store's batch is of the blocks 2 to 1", {
            Box::new(|content| content.batch = Some((2, 1)))
        }),
        ("read program-1-2: decompress a block proof", {
            let bytes = cut(&program);
            Box::new(move |content| content.step("program-1-2", bytes))
        }),
        ("read the proof of block 2: decompress a block proof", {
            let bytes = cut(&block);
            Box::new(move |content| content.proof(2, bytes))
        }),
        // In these two, proofs of the other kind: StarknetOS' output is none of the aggregator's, and the other way round.
        ("read the output of the aggregator over blocks 1 to 2: ", {
            Box::new(move |content| content.step("program-1-2", block))
        }),
        ("join the data of blocks 1 to 2: read output 1 of StarknetOS", {
            Box::new(move |content| content.proof(2, program))
        }),
        ("ask the proof store for the proof of block 2: ", {
            Box::new(|content| content.proofs.retain(|number, _| *number != 2))
        }),
    ];
    for (expected, change) in cases {
        let mut content = whole.clone();
        change(&mut content);
        let store = Store::start(content).await?;
        let Err(error) = store.batches.next_after(0).await else {
            anyhow::bail!("no error: {expected}");
        };
        let text = error_chain(&error).to_string();
        let expected = format!("get the batch after block 0: {expected}");
        assert!(text.starts_with(&expected), "{text}\n{expected}");
    }
    Ok(())
}

type Change = Box<dyn FnOnce(&mut Content)>;

/// What a store has.
#[derive(Clone, Debug, Default)]
struct Content {
    /// First and last block of the batch of whatever block.
    batch: Option<(u64, u64)>,
    /// By name, encoded.
    steps: BTreeMap<String, Vec<u8>>,
    /// By block, encoded.
    proofs: BTreeMap<u64, Vec<u8>>,
    /// What was asked, in order.
    asked: Vec<String>,
}

impl Content {
    /// All that there is of the two real blocks. Of their Cairo proofs the outputs are real, but for the root and the
    /// hash between them; the rest of each is the stored proof of another block, as nobody verifies it here.
    fn whole() -> anyhow::Result<Self> {
        let Update { output, data, proof } = Aggregated::load()?.update;
        let stored = stored_proof()?;
        let encoded = |output| BlockProof { output, ..stored.clone() }.encode();
        let (_, length) = StateUpdate::decode_first(&data)?;
        let (first, second) = data.split_at(length);
        let mut content = Self { batch: Some((1, 2)), ..Self::default() };
        for (block, data) in [(1, first), (2, second)] {
            content.proof(block, encoded(block_output(&output, block, data))?);
        }
        content.step("program-1-2", encoded(output.encode())?);
        content.step("last-1-2", proof.to_vec());
        Ok(content)
    }

    fn step(&mut self, name: &str, bytes: Vec<u8>) {
        self.steps.insert(name.to_owned(), bytes);
    }

    fn proof(&mut self, block: u64, bytes: Vec<u8>) {
        self.proofs.insert(block, bytes);
    }
}

/// What StarknetOS writes over one of the two blocks.
fn block_output(joined: &AggregatedOutput, block: u64, data: &[Felt]) -> Vec<Felt> {
    let (root_between, hash_between) = (Felt::from(0x100), Felt::from(0x200));
    let (roots, hashes) = if block == 1 {
        ([joined.initial_root, root_between], [joined.previous_block_hash, hash_between])
    } else {
        ([root_between, joined.final_root], [hash_between, joined.block_hash])
    };
    let mut words = roots.to_vec();
    words.extend([Felt::from(block - 1), Felt::from(block)]);
    words.extend(hashes);
    // Not under the aggregator, neither blobs nor the whole state diff; no messages.
    words.extend([Felt::ZERO, joined.config_hash, Felt::ZERO, Felt::ZERO]);
    words.extend([Felt::ZERO, Felt::ZERO]);
    words.extend(data);
    words
}

/// The proof in the bundle that the walk's tests have.
fn stored_proof() -> anyhow::Result<BlockProof> {
    let file = "../sidereal/tests/data/transfer.bundle";
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
    // A name with a version, a transaction's hash, then witness and proof after their lengths.
    let length = |at: usize| -> anyhow::Result<usize> {
        let length = bytes.get(at..at + 8).context("the bundle is cut off")?;
        Ok(usize::try_from(u64::from_be_bytes(length.try_into()?))?)
    };
    let witness_at = 8 + 32;
    let proof_at = witness_at + 8 + length(witness_at)?;
    let proof = bytes.get(proof_at + 8..).context("the bundle is cut off")?;
    anyhow::ensure!(proof.len() == length(proof_at)?, "something else follows the proof");
    Ok(BlockProof::decode(proof)?)
}

/// A proof store that has what a test puts into it, and the settler's view of it.
struct Store {
    served: Served,
    batches: ProofStoreBatches,
    shutdown: Shutdown,
}

impl Store {
    async fn start(content: Content) -> anyhow::Result<Self> {
        let served = Served(Arc::new(Mutex::new(content)));
        let auth = AuthConfig::default();
        let server = Server::bind(&ListenConfig::on(0), &auth).await?;
        let to = ConnectConfig::to(server.local_addr().port());
        let routes = Routes::new(AggregationServiceServer::new(served.clone()))
            .add_service(ProofStoreServiceServer::new(served.clone()));
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        tokio::spawn(async move { server.serve(routes, &Readiness::new(), &stop).await });
        Ok(Self { served, batches: ProofStoreBatches::new(&to, &auth)?, shutdown })
    }

    fn asked(&self) -> Vec<String> {
        self.served.content().asked.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

#[derive(Clone)]
struct Served(Arc<Mutex<Content>>);

impl Served {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content, after the question was written down.
    fn ask(&self, question: String) -> MutexGuard<'_, Content> {
        let mut content = self.content();
        content.asked.push(question);
        content
    }
}

type Messages<M> = Iter<std::vec::IntoIter<Result<M, Status>>>;

/// What is known of it first, then the bytes in chunks.
fn stream<M>(info: M, bytes: &[u8], chunk: impl Fn(Vec<u8>) -> M) -> Response<Messages<M>> {
    let chunks = bytes.chunks(CHUNK_BYTES).map(|bytes| chunk(bytes.to_vec()));
    let messages: Vec<_> = std::iter::once(info).chain(chunks).map(Ok).collect();
    Response::new(tokio_stream::iter(messages))
}

fn not_a_settlers<T>() -> Result<Response<T>, Status> {
    Err(Status::permission_denied("a settler has no need of it"))
}

#[tonic::async_trait]
impl AggregationService for Served {
    type GetStepStream = Messages<GetStepResponse>;

    async fn get_step(
        &self,
        request: Request<GetStepRequest>,
    ) -> Result<Response<Self::GetStepStream>, Status> {
        let step = request.into_inner().step;
        let content = self.ask(format!("step {step}"));
        let bytes = content.steps.get(&step).ok_or_else(|| Status::not_found("no such step"))?;
        let message = |message| GetStepResponse { message: Some(message) };
        let info = StepInfo { step, ..StepInfo::default() };
        Ok(stream(message(get_step_response::Message::Info(info)), bytes, |chunk| {
            message(get_step_response::Message::Chunk(chunk))
        }))
    }

    async fn get_batch(
        &self,
        request: Request<GetBatchRequest>,
    ) -> Result<Response<GetBatchResponse>, Status> {
        let content = self.ask(format!("batch of {}", request.into_inner().block_number));
        let batch = content.batch.ok_or_else(|| Status::not_found("no such batch"))?;
        let (first_block, last_block) = batch;
        let batch = Some(Batch { first_block, last_block, ..Batch::default() });
        Ok(Response::new(GetBatchResponse { batch }))
    }

    async fn cut_batch(
        &self,
        request: Request<CutBatchRequest>,
    ) -> Result<Response<CutBatchResponse>, Status> {
        drop(self.ask(format!("cut before {}", request.into_inner().first_block)));
        Ok(Response::new(CutBatchResponse {}))
    }

    async fn put_step(
        &self,
        _: Request<Streaming<PutStepRequest>>,
    ) -> Result<Response<PutStepResponse>, Status> {
        not_a_settlers()
    }

    async fn list_batches(
        &self,
        _: Request<ListBatchesRequest>,
    ) -> Result<Response<ListBatchesResponse>, Status> {
        not_a_settlers()
    }
}

#[tonic::async_trait]
impl ProofStoreService for Served {
    type GetProofStream = Messages<GetProofResponse>;
    type WatchJobsStream = Messages<WatchJobsResponse>;

    async fn get_proof(
        &self,
        request: Request<GetProofRequest>,
    ) -> Result<Response<Self::GetProofStream>, Status> {
        let Some(proof_selector::By::BlockNumber(block_number)) =
            request.into_inner().selector.and_then(|selector| selector.by)
        else {
            return Err(Status::invalid_argument("blocks are asked for by number"));
        };
        let content = self.ask(format!("proof of {block_number}"));
        let bytes = content.proofs.get(&block_number);
        let bytes = bytes.ok_or_else(|| Status::not_found("no such proof"))?;
        let message = |message| GetProofResponse { message: Some(message) };
        let info = ProofInfo { block_number, ..ProofInfo::default() };
        Ok(stream(message(get_proof_response::Message::Info(info)), bytes, |chunk| {
            message(get_proof_response::Message::Chunk(chunk))
        }))
    }

    async fn put_proof(
        &self,
        _: Request<Streaming<PutProofRequest>>,
    ) -> Result<Response<PutProofResponse>, Status> {
        not_a_settlers()
    }

    async fn get_proof_info(
        &self,
        _: Request<GetProofInfoRequest>,
    ) -> Result<Response<GetProofInfoResponse>, Status> {
        not_a_settlers()
    }

    async fn list_jobs(
        &self,
        _: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        not_a_settlers()
    }

    async fn requeue_job(
        &self,
        _: Request<RequeueJobRequest>,
    ) -> Result<Response<RequeueJobResponse>, Status> {
        not_a_settlers()
    }

    async fn report_progress(
        &self,
        _: Request<ReportProgressRequest>,
    ) -> Result<Response<ReportProgressResponse>, Status> {
        not_a_settlers()
    }

    async fn watch_jobs(
        &self,
        _: Request<WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        not_a_settlers()
    }
}
