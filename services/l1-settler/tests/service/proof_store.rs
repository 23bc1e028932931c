//! Updates from what a proof store has, over gRPC and over HTTP: those of the two real blocks, and what is told when it
//! has less, or something else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
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
    let real = Aggregated::load()?.update;
    for over in BOTH {
        let store = Store::start(Content::whole()?, over).await?;
        let update = store.batches.next_after(0).await?.context("there is no update")?;
        assert_eq!(update.output, real.output, "{over:?}");
        assert_eq!(update.data, real.data, "{over:?}");
        assert_eq!(update.proof, real.proof, "{over:?}");
        let asked = ["batch of 1", "step last-1-2", "step program-1-2", "proof of 1", "proof of 2"];
        assert_eq!(store.asked(), asked, "{over:?}");
        // The contract did not take it: nothing that was read is read again.
        let again = store.batches.next_after(0).await?.context("there is no update")?;
        assert_eq!(
            (again.output, again.data, again.proof),
            (real.output.clone(), update.data, update.proof)
        );
        assert_eq!(store.asked()[asked.len()..], ["batch of 1", "step last-1-2"], "{over:?}");
    }
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
        for over in BOTH {
            let store = Store::start(content.clone(), over).await?;
            assert!(store.batches.next_after(0).await?.is_none(), "{over:?}: {asked:?}");
            assert_eq!(store.asked(), asked, "{over:?}");
        }
    }
    Ok(())
}

/// Pins down that a batch which begins elsewhere is to be cut where the contract stands, by its operator, and is not
/// settled.
#[tokio::test]
async fn proof_store_is_told_where_a_batch_has_to_begin() -> anyhow::Result<()> {
    for (over, asked) in
        [(Over::Grpc, &["batch of 2", "cut before 2"][..]), (Over::Http, &["batch of 2"])]
    {
        let store = Store::start(Content::whole()?, over).await?;
        assert!(store.batches.next_after(1).await?.is_none(), "{over:?}");
        assert_eq!(store.asked(), asked, "{over:?}");
    }
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
    let cases: [(&str, Change); 9] = [
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
        ("the aggregator has joined other blocks than 1 to 3", {
            let (last, program) = (whole.steps["last-1-2"].clone(), program.clone());
            Box::new(move |content| {
                content.batch = Some((1, 3));
                content.step("last-1-3", last);
                content.step("program-1-3", program);
            })
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
        let expected = format!("get the batch after block 0: {expected}");
        for over in BOTH {
            let store = Store::start(content.clone(), over).await?;
            let Err(error) = store.batches.next_after(0).await else {
                anyhow::bail!("{over:?}: no error: {expected}");
            };
            let text = error_chain(&error).to_string();
            assert!(text.starts_with(&expected), "{over:?}: {text}\n{expected}");
        }
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

/// Pins down that an answer which is none, and a store which is not there, are errors, and nothing that is not there yet.
#[tokio::test]
async fn proof_store_that_fails_is_not_one_without_a_batch() -> anyhow::Result<()> {
    let failing = Router::new().fallback(|| async { StatusCode::SERVICE_UNAVAILABLE });
    let babbling = Router::new().fallback(|| async { "no JSON" });
    for (routes, expected) in [
        (failing, "it answers with HTTP status 503"),
        // Not a proof store that has no batch, but no proof store.
        (Router::new(), "it answers with HTTP status 404"),
        (babbling, "its answer cannot be read: expected ident at line 1 column 2"),
    ] {
        let url = serve(routes).await?;
        let batches = ProofStoreBatches::public(&url, Duration::from_secs(10))?;
        let error = batches.next_after(0).await.err().context("no error")?;
        let whole = format!(
            "get the batch after block 0: ask the proof store for the batch of block 1: {expected}"
        );
        assert_eq!(error_chain(&error).to_string(), whole);
    }
    let nobody = ProofStoreBatches::public("http://127.0.0.1:9", Duration::from_secs(10))?;
    let error = nobody.next_after(0).await.err().context("no error")?;
    assert!(error_chain(&error).to_string().contains("it cannot be reached"), "{error:?}");
    assert!(ProofStoreBatches::public("nowhere", Duration::from_secs(1)).is_err());
    Ok(())
}

/// How a proof store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Grpc,
    Http,
}

const BOTH: [Over; 2] = [Over::Grpc, Over::Http];

/// Serves on a free port for as long as the test runs.
async fn serve(routes: Router) -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

/// What anybody may read of it.
fn public(served: Served) -> Router {
    let absent = || (StatusCode::NOT_FOUND, Json(json!({ "error": "no such thing" })));
    let found = move |bytes: Option<&Vec<u8>>| bytes.cloned().ok_or_else(absent);
    let batch = move |State(served): State<Served>, UrlPath(block): UrlPath<u64>| async move {
        let batch = served.ask(format!("batch of {block}")).batch;
        batch
            .map(|(first, last)| Json(json!({ "first_block": first, "last_block": last })))
            .ok_or_else(absent)
    };
    let step = move |State(served): State<Served>, UrlPath(step): UrlPath<String>| async move {
        found(served.ask(format!("step {step}")).steps.get(&step))
    };
    let proof = move |State(served): State<Served>, UrlPath(block): UrlPath<u64>| async move {
        found(served.ask(format!("proof of {block}")).proofs.get(&block))
    };
    Router::new()
        .route("/batches/{block}", get(batch))
        .route("/steps/{step}/raw", get(step))
        .route("/proofs/{block}/raw", get(proof))
        .with_state(served)
}

/// A proof store that has what a test puts into it, and the settler's view of it.
struct Store {
    served: Served,
    batches: ProofStoreBatches,
    shutdown: Shutdown,
}

impl Store {
    async fn start(content: Content, over: Over) -> anyhow::Result<Self> {
        let served = Served(Arc::new(Mutex::new(content)));
        let shutdown = Shutdown::new();
        if over == Over::Http {
            let url = serve(public(served.clone())).await?;
            let batches = ProofStoreBatches::public(&url, Duration::from_secs(60))?;
            return Ok(Self { served, batches, shutdown });
        }
        let auth = AuthConfig::default();
        let server = Server::bind(&ListenConfig::on(0), &auth).await?;
        let to = ConnectConfig::to(server.local_addr().port());
        let routes = Routes::new(AggregationServiceServer::new(served.clone()))
            .add_service(ProofStoreServiceServer::new(served.clone()));
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
