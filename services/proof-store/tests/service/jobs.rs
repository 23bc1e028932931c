//! Jobs: planned for every block without a proof, retried within bounds, parked with their cause, put back.

use std::time::{Duration, Instant};

use prost::Message as _;
use sidereal_bus::{Event, FailOutcome, Headers};
use sidereal_proto::events::{self, proof_job};
use sidereal_proto::proofs::{Job, JobState, ListJobsRequest, RequeueJobRequest};
use sidereal_proto::{BLOCK_CLOSED_SUBJECT, PROVING_QUEUE};
use starknet_types_core::felt::Felt;
use tonic::Code;

use crate::world::{Client, MAX_DELIVERIES, PROVEN, SOON, World, block_hash, job_id, pull};

async fn list(client: &Client, state: JobState, limit: u32) -> Vec<Job> {
    let request = ListJobsRequest { state: state.into(), limit };
    client.clone().list_jobs(request).await.unwrap().into_inner().jobs
}

fn blocks(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.block_number).collect()
}

/// Waits until the list is about these blocks, in this order.
async fn list_of(client: &Client, state: JobState, expected: &[u64]) -> Vec<Job> {
    let started = Instant::now();
    loop {
        let jobs = list(client, state, 0).await;
        if blocks(&jobs) == expected {
            return jobs;
        }
        assert!(started.elapsed() < SOON, "{jobs:?} are not of {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Longer than several periods of the planner.
async fn some_passes() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Every closed block without a proof gets a job, though no event ever came: those that were closed before the start
/// and those after it; genesis does not. A job says which block it is and where the witness is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_planned_without_events() {
    let world = World::new().await;
    let second = world.close_block().await;
    let service = world.start().await;
    let jobs = list_of(&service.client, JobState::Queued, &[1, 2]).await;
    let mut hashes = vec![block_hash(), second.hash.0];
    for _ in 3..=5 {
        hashes.push(world.close_block().await.hash.0);
    }
    let later = list_of(&service.client, JobState::Queued, &[1, 2, 3, 4, 5]).await;
    assert_eq!(later[..2], jobs);
    for (job, hash) in later.iter().zip(&hashes) {
        assert_eq!((&job.id, &job.block_hash), (&job_id(*hash), &hash.to_bytes_be().to_vec()));
        assert_eq!((job.deliveries, job.cause.as_str(), job.worker.as_str()), (0, "", ""));
    }
    let bus = world.bus().await;
    let record = bus.job(PROVING_QUEUE, &job_id(block_hash())).await.unwrap().unwrap();
    let payload = events::ProofJob::decode(&record.payload[..]).unwrap();
    let Some(proof_job::Work::Block(payload)) = payload.work else { panic!("{payload:?}") };
    let objects = world.open_objects().await;
    let witness = objects.get(&payload.witness_key.parse().unwrap()).await.unwrap();
    assert!(payload.block_number == 1 && witness == PROVEN.witness_bytes);
    some_passes().await;
    assert_eq!(bus.depth(PROVING_QUEUE).await.unwrap().waiting, 5, "each planned once");
}

/// An event brings the job at once, long before the planner's timer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_brings_the_job_at_once() {
    let mut world = World::new().await;
    world.config.planner.period_ms = 3_600_000;
    let service = world.start().await;
    list_of(&service.client, JobState::Queued, &[1]).await;
    let bus = world.bus().await;
    // The subscription begins with the service; an event from before it would be missed.
    for number in 2.. {
        world.close_block().await;
        let event = Event {
            subject: BLOCK_CLOSED_SUBJECT.to_owned(),
            message_id: format!("block-{number}"),
            payload: events::BlockClosed::default().encode_to_vec().into(),
            headers: Headers::new(),
        };
        bus.publish(event).await.unwrap();
        some_passes().await;
        if list(&service.client, JobState::Queued, 0).await.len() == number {
            return;
        }
        assert!(number < 20, "no event wakes the planner");
    }
}

/// Jobs past the window are planned when the blocks before them have their proofs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planning_stays_within_its_window() {
    let mut world = World::new().await;
    world.config.planner.window_blocks = 2;
    for _ in 2..=5 {
        world.close_block().await;
    }
    let service = world.start().await;
    list_of(&service.client, JobState::Unspecified, &[1, 2]).await;
    some_passes().await;
    list_of(&service.client, JobState::Unspecified, &[1, 2]).await;
    let bus = world.bus().await;
    let lease = pull(&bus).await;
    assert_eq!(lease.job().job_id, job_id(block_hash()));
    service.put(PROVEN.proof.clone()).await.unwrap();
    lease.ack().await.unwrap();
    list_of(&service.client, JobState::Unspecified, &[2, 3]).await;
}

/// A job that fails is tried again so often and not more, then parked with its cause, where it stays; put back it
/// begins anew, and when its proof is stored it is done and never planned again, also not after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_retried_parked_put_back_and_done() {
    let world = World::new().await;
    world.close_block().await;
    let service = world.start().await;
    let bus = world.bus().await;
    list_of(&service.client, JobState::Queued, &[1, 2]).await;
    let id = job_id(block_hash());
    for delivery in 1..=MAX_DELIVERIES {
        let lease = pull(&bus).await;
        assert_eq!((&lease.job().job_id, lease.job().attempt), (&id, delivery));
        let running = list_of(&service.client, JobState::Running, &[1]).await;
        assert_eq!(running[0].deliveries, delivery);
        let outcome = lease.nak(Duration::ZERO, &format!("broken {delivery}")).await.unwrap();
        if delivery < MAX_DELIVERIES {
            assert_eq!(outcome, FailOutcome::Retried { delay: Duration::ZERO });
            let queued = list_of(&service.client, JobState::Queued, &[1, 2]).await;
            assert_eq!(queued[0].cause, format!("broken {delivery}"));
        } else {
            assert_eq!(outcome, FailOutcome::Parked);
        }
    }
    let parked = list_of(&service.client, JobState::Parked, &[1]).await;
    assert_eq!((parked[0].deliveries, parked[0].cause.as_str()), (3, "broken 3"));
    some_passes().await;
    list_of(&service.client, JobState::Queued, &[2]).await;

    // A restart keeps what is parked, and why, and what is queued.
    service.stop().await;
    let service = world.start().await;
    assert_eq!(list_of(&service.client, JobState::Parked, &[1]).await, parked);
    list_of(&service.client, JobState::Unspecified, &[1, 2]).await;

    let requeue = |id: &str| {
        let request = RequeueJobRequest { id: id.to_owned() };
        let mut client = service.client.clone();
        async move { client.requeue_job(request).await }
    };
    let job = requeue(&id).await.unwrap().into_inner().job.unwrap();
    assert_eq!((job.id.as_str(), job.state(), job.deliveries), (id.as_str(), JobState::Queued, 0));
    for (wrong, code) in [
        (id.as_str(), Code::NotFound),
        (&job_id(Felt::ONE), Code::NotFound),
        ("no.id", Code::InvalidArgument),
    ] {
        assert_eq!(requeue(wrong).await.unwrap_err().code(), code, "{wrong}");
    }

    let lease = loop {
        let lease = pull(&bus).await;
        if lease.job().job_id == id {
            break lease;
        }
        lease.release(Duration::from_secs(1)).await.unwrap();
    };
    assert_eq!(lease.job().attempt, 1);
    service.put(PROVEN.proof.clone()).await.unwrap();
    lease.ack().await.unwrap();
    list_of(&service.client, JobState::Unspecified, &[2]).await;
    let done = list_of(&service.client, JobState::Done, &[1]).await;
    assert_eq!((done[0].id.as_str(), done[0].worker.as_str()), (id.as_str(), "worker-1"));
    service.stop().await;
    let service = world.start().await;
    some_passes().await;
    list_of(&service.client, JobState::Unspecified, &[2]).await;
    list_of(&service.client, JobState::Done, &[1]).await;
}

/// A job that was parked although its proof came in the end has nothing left to do: it does not stay parked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_job_whose_proof_comes_is_gone() {
    let world = World::new().await;
    let service = world.start().await;
    let bus = world.bus().await;
    pull(&bus).await.fail("gave up too early").await.unwrap();
    list_of(&service.client, JobState::Parked, &[1]).await;
    service.put(PROVEN.proof.clone()).await.unwrap();
    list_of(&service.client, JobState::Unspecified, &[]).await;
    some_passes().await;
    list_of(&service.client, JobState::Unspecified, &[]).await;
}

/// A list is of the first blocks that are in the state asked for; its length is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_of_the_first_blocks() {
    let world = World::new().await;
    for _ in 2..=12 {
        world.close_block().await;
    }
    let service = world.start().await;
    list_of(&service.client, JobState::Queued, &(1..=12).collect::<Vec<_>>()).await;
    let bus = world.bus().await;
    let leases = [pull(&bus).await, pull(&bus).await, pull(&bus).await];
    leases[2].fail("x").await.unwrap();
    for state in [JobState::Unspecified, JobState::Running] {
        assert_eq!(blocks(&list(&service.client, state, 2).await), [1, 2]);
    }
    assert_eq!(blocks(&list(&service.client, JobState::Parked, 1).await), [3]);
    assert_eq!(blocks(&list(&service.client, JobState::Queued, 3).await), [4, 5, 6]);
    assert_eq!(blocks(&list(&service.client, JobState::Unspecified, 1_000).await).len(), 12);
    let too_many = ListJobsRequest { state: 0, limit: 1_001 };
    let status = service.client.clone().list_jobs(too_many).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
