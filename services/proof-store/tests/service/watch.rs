//! Watching jobs: each change once, to everybody, and nobody waits for who is slow.

use std::sync::Arc;
use std::time::Duration;

use sidereal_bus::Bus;
use sidereal_proto::proofs::watch_jobs_response::Message;
use sidereal_proto::proofs::{
    Job, JobState, ProofInfo, ReportProgressRequest, RequeueJobRequest, WatchJobsRequest,
    WatchJobsResponse,
};
use tonic::{Code, Streaming};

use crate::world::{Client, MAX_DELIVERIES, PROVEN, SOON, World, block_hash, job_id, pull};

/// Longer than two reads of the queue.
const QUIET: Duration = Duration::from_millis(1_500);

struct Watcher(Streaming<WatchJobsResponse>);

#[derive(Debug, PartialEq)]
enum Told {
    /// State, deliveries, cause.
    State(JobState, u32, String),
    Stage(String),
    Stored(Box<ProofInfo>),
}

fn state(state: JobState, deliveries: u32, cause: &str) -> Told {
    Told::State(state, deliveries, cause.to_owned())
}

impl Watcher {
    async fn new(client: &Client) -> Self {
        Self(client.clone().watch_jobs(WatchJobsRequest {}).await.unwrap().into_inner())
    }

    async fn next(&mut self) -> (u64, Told) {
        let message = tokio::time::timeout(SOON, self.0.message()).await;
        let message = message.expect("nothing is told").unwrap().expect("the stream ended");
        told(message)
    }

    async fn expect(&mut self, block: u64, expected: Told) {
        assert_eq!(self.next().await, (block, expected));
    }

    async fn nothing(&mut self) {
        if let Ok(told) = tokio::time::timeout(QUIET, self.0.message()).await {
            panic!("unexpected {told:?}");
        }
    }
}

fn told(message: WatchJobsResponse) -> (u64, Told) {
    match message.message.unwrap() {
        Message::Job(job) if !job.stage.is_empty() => {
            assert_eq!((job.state(), job.worker.as_str()), (JobState::Running, "worker-1"));
            (job.block_number, Told::Stage(job.stage))
        }
        Message::Job(job) => {
            assert_eq!(job.id, hex::encode(&job.block_hash));
            (job.block_number, Told::State(job.state(), job.deliveries, job.cause))
        }
        Message::Stored(info) => (info.block_number, Told::Stored(Box::new(info))),
    }
}

async fn report(client: &Client, stage: &str) {
    let request = ReportProgressRequest {
        worker: "worker-1".to_owned(),
        job_id: job_id(block_hash()),
        block_number: 1,
        stage: stage.to_owned(),
        running_for_ms: 5,
    };
    client.clone().report_progress(request).await.unwrap();
}

/// The whole life of a job is told to every watcher, each change once and in order, first the present state: queued,
/// running, queued again with the cause, parked with its cause, put back, running with its stages, done and stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_told_once() {
    use JobState::{Done, Parked, Queued, Running};
    let world = World::new().await;
    let service = world.start().await;
    let bus = world.bus().await;
    let mut watchers = vec![Watcher::new(&service.client).await];
    let expect = async |watchers: &mut Vec<Watcher>, block: u64, expected: &dyn Fn() -> Told| {
        for watcher in watchers {
            watcher.expect(block, expected()).await;
        }
    };
    // The planner's first pass may be before or after this watcher: it is told of the job either way, once.
    expect(&mut watchers, 1, &|| state(Queued, 0, "")).await;
    watchers.push(Watcher::new(&service.client).await);
    watchers[1].expect(1, state(Queued, 0, "")).await;
    let mut before = String::new();
    for delivery in 1..=MAX_DELIVERIES {
        let lease = pull(&bus).await;
        expect(&mut watchers, 1, &|| state(Running, delivery, &before)).await;
        let cause = format!("broken {delivery}");
        lease.nak(Duration::ZERO, &cause).await.unwrap();
        let then = if delivery < MAX_DELIVERIES { Queued } else { Parked };
        expect(&mut watchers, 1, &|| state(then, delivery, &cause)).await;
        before = cause;
    }
    let second = world.close_block().await.hash.0;
    expect(&mut watchers, 2, &|| state(Queued, 0, "")).await;
    let lease = pull(&bus).await;
    assert_eq!(lease.job().job_id, job_id(second));
    expect(&mut watchers, 2, &|| state(Running, 1, "")).await;
    lease.release(Duration::from_secs(3_600)).await.unwrap();
    expect(&mut watchers, 2, &|| state(Queued, 0, "")).await;

    let id = job_id(block_hash());
    service.client.clone().requeue_job(RequeueJobRequest { id: id.clone() }).await.unwrap();
    let mut late = Watcher::new(&service.client).await;
    late.expect(1, state(Queued, 0, "")).await;
    expect(&mut watchers, 1, &|| state(Queued, 0, "")).await;
    late.expect(2, state(Queued, 0, "")).await;
    watchers.push(late);

    let lease = pull(&bus).await;
    // That the job runs is told before its stages, though the report is what the service hears first.
    report(&service.client, "replay").await;
    expect(&mut watchers, 1, &|| state(Running, 1, "")).await;
    expect(&mut watchers, 1, &|| Told::Stage("replay".to_owned())).await;
    report(&service.client, "prove").await;
    expect(&mut watchers, 1, &|| Told::Stage("prove".to_owned())).await;
    let info = service.put(PROVEN.proof.clone()).await.unwrap();
    expect(&mut watchers, 1, &|| state(Done, 1, "")).await;
    expect(&mut watchers, 1, &|| Told::Stored(Box::new(info.clone()))).await;
    // The proof again, a report that comes late, and the worker's answer are no changes.
    service.put(PROVEN.proof.clone()).await.unwrap();
    report(&service.client, "deliver").await;
    lease.ack().await.unwrap();
    for watcher in &mut watchers {
        watcher.nothing().await;
    }
    // Streams that are open do not hold up the end.
    service.stop().await;
    for watcher in &mut watchers {
        let end = tokio::time::timeout(SOON, watcher.0.message()).await.unwrap();
        assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    }
}

/// A worker that dies is told as what it is: the job waits again, and after the last time it is parked with a cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_is_told() {
    use JobState::{Parked, Queued, Running};
    let mut world = World::new().await;
    world.config.bus.lease_ms = 2_000;
    world.config.bus.max_deliveries = 1;
    let service = world.start().await;
    let bus = world.bus().await;
    let mut watcher = Watcher::new(&service.client).await;
    watcher.expect(1, state(Queued, 0, "")).await;
    drop(pull(&bus).await);
    watcher.expect(1, state(Running, 1, "")).await;
    watcher.expect(1, state(Queued, 1, "")).await;
    assert!(nobody_gets_it(&bus).await);
    let (1, Told::State(Parked, 1, cause)) = watcher.next().await else { panic!("not parked") };
    assert!(cause.contains("went away without an answer"), "{cause}");
    watcher.nothing().await;
}

async fn nobody_gets_it(bus: &Arc<dyn Bus>) -> bool {
    let wait = Duration::from_millis(100);
    bus.pull(sidereal_proto::PROVING_QUEUE, wait).await.unwrap().is_none()
}

/// A watcher that does not read holds up nobody: neither who reports nor who watches beside it. It is told that it
/// missed something, its stream ends there, and watching again gives the present state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_is_told_that_it_lagged() {
    // More than the service keeps for a watcher, and the connection beside it, of messages of this size.
    const REPORTS: usize = 24_000;
    let world = World::new().await;
    let service = world.start().await;
    let bus = world.bus().await;
    let lease = pull(&bus).await;
    // On connections of their own: one connection's window is shared by its streams.
    let mut slow = Watcher::new(&world.client(&world.config.auth)).await;
    let mut fast = Watcher::new(&world.client(&world.config.auth)).await;
    let reading = tokio::spawn(async move {
        let mut stages = 0;
        while stages < REPORTS {
            if let (1, Told::Stage(_)) = fast.next().await {
                stages += 1;
            }
        }
        fast
    });
    let client = service.client.clone();
    let reports = futures::stream::iter(0..REPORTS);
    futures::StreamExt::for_each_concurrent(reports, 32, |number| {
        let client = client.clone();
        async move { report(&client, &format!("stage {number:0240}")).await }
    })
    .await;
    let mut fast = tokio::time::timeout(SOON, reading).await.expect("held up").unwrap();
    let mut read = 0;
    let lagged = loop {
        match tokio::time::timeout(SOON, slow.0.message()).await.unwrap() {
            Ok(message) => {
                assert!(message.is_some(), "ended without a word after {read}");
                read += 1;
            }
            Err(status) => break status,
        }
    };
    assert_eq!(lagged.code(), Code::ResourceExhausted, "{lagged:?}");
    assert!(lagged.message().contains("missed"), "{lagged:?}");
    assert!(read < REPORTS);
    let mut again = Watcher::new(&service.client).await;
    let Message::Job(Job { state, .. }) =
        again.0.message().await.unwrap().unwrap().message.unwrap()
    else {
        panic!("not a job");
    };
    assert_eq!(state, i32::from(JobState::Running));
    lease.fail("enough").await.unwrap();
    fast.expect(1, Told::State(JobState::Parked, 1, "enough".to_owned())).await;
}

/// The number of watchers is bounded; one that leaves makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_bounded() {
    let world = World::new().await;
    let service = world.start().await;
    let mut watchers = Vec::new();
    for _ in 0..64 {
        watchers.push(Watcher::new(&service.client).await);
    }
    let refused = service.client.clone().watch_jobs(WatchJobsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    drop(watchers.pop());
    let started = std::time::Instant::now();
    while service.client.clone().watch_jobs(WatchJobsRequest {}).await.is_err() {
        assert!(started.elapsed() < SOON, "no room again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
