//! What a worker does with a job whatever happens to it: a real bus, and fakes for the prover and the proof store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use sidereal_block_prover::Stage;
use sidereal_bus::{Bus, BusConfig, JobFilter, JobState, NewJob, Subscribe};
use sidereal_object_store::{FileSystemStore, ObjectKey};
use sidereal_proto::events::BlockDisputed;
use sidereal_proto::{AGGREGATION_QUEUE, BLOCK_DISPUTED_SUBJECT, PROVING_QUEUE};
use sidereal_prover_worker::child::Verdict;
use sidereal_prover_worker::{
    BusDisputes, BusPicker, DisputeError, Disputes, ExecuteError, Executed, Executor, Figures,
    Lifeline, Outcome, ProveJob, Report, Reporter, Runner, SaveError, Saver, Target, WorkerConfig,
};
use sidereal_service::Shutdown;
use starknet_types_core::felt::Felt;
use tonic::Status;

/// How the fake prover ends.
#[derive(Clone, Copy)]
enum Ending {
    Proof,
    Killed,
    Refused,
    Never,
}

struct FakeProver {
    ending: Ending,
    begun: AtomicUsize,
}

#[async_trait]
impl Executor for FakeProver {
    async fn execute(
        &self,
        _: Target,
        inputs: Vec<Bytes>,
        enter: &(dyn Fn(Stage) + Send + Sync),
    ) -> Result<Executed, ExecuteError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        enter(Stage::Prove);
        match self.ending {
            Ending::Proof => {
                Ok(Executed { proof: inputs.concat().into(), figures: Figures::default() })
            }
            Ending::Killed => Err(ExecuteError::Died {
                how: "was killed by signal 9".to_owned(),
                stage: "prove",
                said: String::new(),
            }),
            Ending::Refused => Err(ExecuteError::Failed {
                stage: "replay",
                cause: "the state diff differs".to_owned(),
                verdict: Verdict::Disputed,
            }),
            Ending::Never => std::future::pending().await,
        }
    }
}

#[derive(Default)]
struct FakeStore {
    saved: Mutex<Vec<(String, Bytes)>>,
    refusal: Mutex<Option<Status>>,
    stages: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl Saver for FakeStore {
    async fn save(&self, job: &ProveJob, proof: Bytes, _: Figures) -> Result<(), SaveError> {
        if let Some(source) = self.refusal.lock().unwrap().clone() {
            return Err(SaveError { target: job.target, source });
        }
        self.saved.lock().unwrap().push((job.target.to_string(), proof));
        Ok(())
    }
}

#[async_trait]
impl Reporter for FakeStore {
    async fn report(&self, report: Report) {
        self.stages.lock().unwrap().push(report.stage);
    }
}

struct Scene {
    runner: Runner,
    bus: Arc<dyn Bus>,
    prover: Arc<FakeProver>,
    store: Arc<FakeStore>,
    shutdown: Shutdown,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(ending: Ending, adjust: impl FnOnce(&mut WorkerConfig, &mut BusConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bus_config = BusConfig {
            url: format!("sqlite:{}", folder.path().join("bus.db").display()),
            lease_ms: 600,
            max_deliveries: 2,
            poll_interval_ms: 10,
            ..BusConfig::default()
        };
        let mut config =
            WorkerConfig { pull_wait_ms: 200, retry_delay_ms: 0, ..Default::default() };
        adjust(&mut config, &mut bus_config);
        let lifeline = Arc::new(Lifeline::start().unwrap());
        let bus = lifeline
            .run(async move { sidereal_bus::open(&bus_config).await })
            .await
            .unwrap()
            .unwrap();
        let objects =
            Arc::new(FileSystemStore::open(&folder.path().join("objects"), 1 << 20).await.unwrap());
        let prover = Arc::new(FakeProver { ending, begun: AtomicUsize::new(0) });
        let store = Arc::new(FakeStore::default());
        let runner = Runner {
            picker: Arc::new(BusPicker::new(bus.clone(), config.queues.clone(), lifeline.clone())),
            objects,
            executor: prover.clone(),
            saver: store.clone(),
            reporter: store.clone(),
            disputes: Arc::new(BusDisputes::new(bus.clone(), lifeline.clone())),
            lifeline,
            config,
        };
        Self { runner, bus, prover, store, shutdown: Shutdown::new(), _folder: folder }
    }

    async fn enqueue(&self, block_number: u64, with_witness: bool) -> ProveJob {
        let block_hash = Felt::from(block_number + 1_000);
        let job = ProveJob {
            id: format!("{block_hash:#x}"),
            target: Target::Block { number: block_number, hash: block_hash },
            inputs: vec![ObjectKey::witness(block_number, block_hash)],
        };
        if with_witness {
            let bytes = Bytes::from(format!("witness {block_number}"));
            self.runner.objects.put(&job.inputs[0], bytes).await.unwrap();
        }
        self.enqueue_payload(&job.id, job.payload()).await;
        job
    }

    async fn enqueue_payload(&self, id: &str, payload: Vec<u8>) {
        self.enqueue_in(PROVING_QUEUE, id, payload).await;
    }

    async fn enqueue_in(&self, queue: &str, id: &str, payload: Vec<u8>) {
        let job = NewJob {
            queue: queue.to_owned(),
            job_id: id.to_owned(),
            payload: payload.into(),
            headers: Default::default(),
        };
        self.bus.enqueue(job).await.unwrap();
    }

    /// Takes the next job and does it.
    async fn work(&self) -> Outcome {
        let wait = Duration::from_secs(5);
        let assignment = self.runner.picker.pick(wait).await.unwrap().expect("there is a job");
        self.runner.work(assignment, &self.shutdown).await
    }

    async fn state(&self, job: &ProveJob) -> Option<(JobState, Option<String>)> {
        let record = self.bus.job(PROVING_QUEUE, &job.id).await.unwrap()?;
        Some((record.state, record.cause))
    }
}

/// What was begun is ended first: a step of an aggregation comes before blocks that have waited for longer.
#[tokio::test]
async fn steps_come_before_blocks() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    let block = scene.enqueue(7, true).await;
    let input = ObjectKey::witness(7, Felt::from(1_007));
    let step = ProveJob {
        id: "wrap-3".to_owned(),
        target: Target::Step("wrap-3".parse().unwrap()),
        inputs: vec![input],
    };
    scene.enqueue_in(AGGREGATION_QUEUE, &step.id, step.payload()).await;
    let wait = Duration::from_secs(5);
    for expected in [&step.id, &block.id] {
        let picked = scene.runner.picker.pick(wait).await.unwrap().expect("there is a job");
        assert_eq!(picked.job.id, *expected);
    }
    let none = scene.runner.picker.pick(Duration::from_millis(50)).await.unwrap();
    assert!(none.is_none());
}

#[tokio::test]
async fn a_block_is_proven_delivered_and_done() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    let job = scene.enqueue(7, true).await;
    assert_eq!(scene.work().await, Outcome::Done);
    assert_eq!(
        *scene.store.saved.lock().unwrap(),
        [("block 7".to_owned(), Bytes::from("witness 7"))]
    );
    assert!(scene.state(&job).await.is_none());
}

/// A step of an aggregation gets the proofs that it takes, in order.
#[tokio::test]
async fn a_step_is_made_from_its_inputs() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    let keys = ["left", "right"].map(|key| ObjectKey::parse(key).unwrap());
    for key in &keys {
        scene.runner.objects.put(key, Bytes::from(format!("<{key}>"))).await.unwrap();
    }
    let job = ProveJob {
        id: "merge-1-2".to_owned(),
        target: Target::Step("merge-1-2".parse().unwrap()),
        inputs: keys.to_vec(),
    };
    scene.enqueue_payload(&job.id, job.payload()).await;
    assert_eq!(scene.work().await, Outcome::Done);
    let expected = ("step merge-1-2".to_owned(), Bytes::from("<left><right>"));
    assert_eq!(*scene.store.saved.lock().unwrap(), [expected]);
    assert!(scene.state(&job).await.is_none());
}

#[tokio::test]
async fn a_killed_prover_is_retried_and_then_parked_with_its_cause() {
    let scene = Scene::new(Ending::Killed, |_, _| {}).await;
    let job = scene.enqueue(1, true).await;
    assert_eq!(scene.work().await, Outcome::Retried);
    assert_eq!(scene.work().await, Outcome::Retried);
    let (state, cause) = scene.state(&job).await.unwrap();
    assert_eq!(state, JobState::Parked);
    assert!(cause.unwrap().contains("killed by signal 9"));
}

#[tokio::test]
async fn a_failed_block_does_not_hold_the_next_one_back() {
    let scene = Scene::new(Ending::Refused, |_, _| {}).await;
    let subscribe = Subscribe::durable(BLOCK_DISPUTED_SUBJECT, "test");
    let mut disputes = scene.bus.subscribe(subscribe).await.unwrap();
    let bad = scene.enqueue(1, true).await;
    assert_eq!(scene.work().await, Outcome::Parked);
    scene.enqueue(2, true).await;
    assert_eq!(scene.work().await, Outcome::Parked);
    let (state, cause) = scene.state(&bad).await.unwrap();
    assert_eq!(state, JobState::Parked);
    assert!(cause.unwrap().contains("the state diff differs"));
    for number in [1, 2] {
        let delivery = disputes.next().await.unwrap();
        let told = BlockDisputed::decode(delivery.event.payload.clone()).unwrap();
        assert_eq!(told.block_number, number);
        assert!(told.cause.contains("the state diff differs"), "{}", told.cause);
        delivery.ack().await.unwrap();
    }
    let filter = JobFilter { parked_only: true, ..JobFilter::default() };
    assert_eq!(scene.bus.list(PROVING_QUEUE, filter).await.unwrap().len(), 2);
}

/// Nobody can be told of disputes.
struct Deaf;

#[async_trait]
impl Disputes for Deaf {
    async fn raise(&self, _: &ProveJob, _: &str) -> Result<(), DisputeError> {
        Err(DisputeError::Lifeline)
    }
}

#[tokio::test]
async fn a_dispute_that_cannot_be_told_is_not_lost_with_its_job() {
    let mut scene = Scene::new(Ending::Refused, |_, _| {}).await;
    scene.runner.disputes = Arc::new(Deaf);
    let job = scene.enqueue(1, true).await;
    // More often than a job may fail.
    for _ in 0..3 {
        assert_eq!(scene.work().await, Outcome::Released);
    }
    let (state, _) = scene.state(&job).await.unwrap();
    assert!(matches!(state, JobState::Waiting { .. }), "{state:?}");
}

#[tokio::test]
async fn a_missing_witness_is_named_and_retried() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    let job = scene.enqueue(3, false).await;
    assert_eq!(scene.work().await, Outcome::Retried);
    assert_eq!(scene.prover.begun.load(Ordering::SeqCst), 0);
    let (_, cause) = scene.state(&job).await.unwrap();
    assert!(cause.unwrap().contains(job.inputs[0].as_str()));
}

#[tokio::test]
async fn a_payload_that_is_no_job_is_parked_by_the_picker() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    scene.enqueue_payload("broken", vec![0xff; 20]).await;
    assert!(scene.runner.picker.pick(Duration::from_secs(5)).await.unwrap().is_none());
    let record = scene.bus.job(PROVING_QUEUE, "broken").await.unwrap().unwrap();
    assert_eq!(record.state, JobState::Parked);
}

#[tokio::test]
async fn a_proof_that_the_store_refuses_parks_its_job() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    *scene.store.refusal.lock().unwrap() = Some(Status::invalid_argument("does not verify"));
    let job = scene.enqueue(4, true).await;
    assert_eq!(scene.work().await, Outcome::Parked);
    let (_, cause) = scene.state(&job).await.unwrap();
    assert!(cause.unwrap().contains("does not verify"));
}

#[tokio::test]
async fn a_store_that_does_not_answer_costs_one_attempt() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    *scene.store.refusal.lock().unwrap() = Some(Status::unavailable("starting"));
    let job = scene.enqueue(5, true).await;
    assert_eq!(scene.work().await, Outcome::Retried);
    *scene.store.refusal.lock().unwrap() = None;
    assert_eq!(scene.work().await, Outcome::Done);
    assert!(scene.state(&job).await.is_none());
}

#[tokio::test]
async fn the_time_limit_ends_an_attempt_and_names_the_stage() {
    let scene = Scene::new(Ending::Never, |worker, _| worker.time_limit_ms = 300).await;
    let job = scene.enqueue(6, true).await;
    assert_eq!(scene.work().await, Outcome::Retried);
    let (_, cause) = scene.state(&job).await.unwrap();
    assert!(cause.unwrap().contains("in stage prove"));
}

/// Heartbeats hold a lease for many times its length, and the stages are told.
#[tokio::test]
async fn heartbeats_keep_the_lease_while_the_prover_works() {
    let scene = Scene::new(Ending::Never, |worker, _| worker.time_limit_ms = 2_500).await;
    scene.enqueue(8, true).await;
    let (outcome, stolen) = tokio::join!(scene.work(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.bus.pull(PROVING_QUEUE, Duration::from_millis(2_000)).await.unwrap()
    });
    assert!(stolen.is_none(), "the job was given to another worker during its lease");
    assert_eq!(outcome, Outcome::Retried);
    assert!(scene.store.stages.lock().unwrap().contains(&"prove"));
}

#[tokio::test]
async fn a_lost_lease_ends_the_work() {
    let scene = Scene::new(Ending::Never, |_, _| {}).await;
    let job = scene.enqueue(9, true).await;
    let (outcome, ()) = tokio::join!(scene.work(), async {
        while scene.prover.begun.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(scene.bus.remove(PROVING_QUEUE, &job.id).await.unwrap());
    });
    assert_eq!(outcome, Outcome::Lost);
}

#[tokio::test]
async fn shutdown_hands_the_job_back_uncounted() {
    let scene = Scene::new(Ending::Never, |worker, _| worker.drain_ms = 100).await;
    let job = scene.enqueue(10, true).await;
    let shutdown = scene.shutdown.clone();
    let ((), ()) = tokio::join!(scene.runner.run(&scene.shutdown), async {
        while scene.prover.begun.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        shutdown.trigger();
    });
    let record = scene.bus.job(PROVING_QUEUE, &job.id).await.unwrap().unwrap();
    assert!(matches!(record.state, JobState::Waiting { .. }), "{record:?}");
    assert_eq!(record.attempts, 0);
}

#[tokio::test]
async fn shutdown_lets_a_short_job_finish_and_takes_no_other() {
    let scene = Scene::new(Ending::Proof, |_, _| {}).await;
    for block in 1..=3 {
        scene.enqueue(block, true).await;
    }
    let shutdown = scene.shutdown.clone();
    let ((), ()) = tokio::join!(scene.runner.run(&scene.shutdown), async {
        while scene.store.saved.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shutdown.trigger();
    });
    let saved = scene.store.saved.lock().unwrap();
    let blocks: Vec<&str> = saved.iter().map(|saved| saved.0.as_str()).collect();
    assert_eq!(blocks, ["block 1", "block 2", "block 3"]);
}
