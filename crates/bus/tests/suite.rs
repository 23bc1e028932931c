//! One suite over both implementations. Each test opens with what it pins down. The bus on NATS needs a real
//! server (`nats-server` on `PATH` or in `$SIDEREAL_CACHE/bin`, which `scripts/setup` builds), and fails without one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidereal_bus::test_support::NatsServer;
use sidereal_bus::{
    Bus, BusConfig, BusError, Delivery, Enqueued, Event, FailOutcome, Headers, JobFilter, JobState,
    Lease, NewJob, Published, QueueDepth, Subscribe, Subscription, open,
};
use tempfile::TempDir;

const LEASE_MS: u64 = 700;
const NOW: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(10);

enum Kind {
    Embedded,
    Nats,
}

/// A bus of its own for one test, with the means to open it once more.
struct World {
    config: BusConfig,
    nats: Option<NatsServer>,
    _folder: TempDir,
}

impl World {
    fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let nats = matches!(kind, Kind::Nats)
            .then(|| NatsServer::start(&folder.path().join("nats")).unwrap());
        let url = match &nats {
            Some(server) => server.url(),
            None => format!("sqlite:{}", folder.path().join("deep/bus.db").display()),
        };
        let config = BusConfig {
            url,
            lease_ms: LEASE_MS,
            ack_wait_ms: LEASE_MS,
            max_deliveries: 3,
            max_queue_jobs: 20,
            max_events: 50,
            max_payload_bytes: 1_000,
            poll_interval_ms: 50,
            ..BusConfig::default()
        };
        Self { config, nats, _folder: folder }
    }

    async fn open(&self) -> Arc<dyn Bus> {
        open(&self.config).await.unwrap()
    }
}

fn job(id: &str) -> NewJob {
    let headers = Headers::from([("traceparent".to_owned(), format!("trace of {id}"))]);
    NewJob {
        queue: "prove-block".into(),
        job_id: id.into(),
        payload: Bytes::from(format!("payload of {id}")),
        headers,
    }
}

fn event(subject: &str, id: &str) -> Event {
    let headers = Headers::from([("traceparent".to_owned(), format!("trace of {id}"))]);
    Event {
        subject: subject.into(),
        message_id: id.into(),
        payload: Bytes::from(id.to_owned()),
        headers,
    }
}

async fn pull(bus: &Arc<dyn Bus>) -> Option<Lease> {
    bus.pull("prove-block", NOW).await.unwrap()
}

async fn pull_soon(bus: &Arc<dyn Bus>) -> Lease {
    let started = Instant::now();
    while started.elapsed() < SOON {
        if let Some(lease) = bus.pull("prove-block", Duration::from_secs(1)).await.unwrap() {
            return lease;
        }
    }
    panic!("no job in {SOON:?}; depth {:?}", bus.depth("prove-block").await);
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    tokio::time::timeout(SOON, subscription.next()).await.expect("no event in time").unwrap()
}

async fn nothing(subscription: &mut Box<dyn Subscription>) {
    if let Ok(delivery) = tokio::time::timeout(NOW, subscription.next()).await {
        panic!("unexpected {delivery:?}");
    }
}

fn depth(waiting: u64, leased: u64, parked: u64) -> QueueDepth {
    QueueDepth { waiting, leased, parked }
}

/// A job goes out once, with its payload and headers, and is gone when it is acknowledged; until then its id
/// cannot be queued again, afterwards it can.
async fn a_job_is_handed_out_once(world: World) {
    let bus = world.open().await;
    bus.check().await.unwrap();
    assert!(pull(&bus).await.is_none());
    assert_eq!(bus.enqueue(job("a")).await.unwrap(), Enqueued::Added);
    assert_eq!(bus.enqueue(job("a")).await.unwrap(), Enqueued::AlreadyLive);
    assert_eq!(bus.depth("prove-block").await.unwrap(), depth(1, 0, 0));
    let lease = pull_soon(&bus).await;
    assert_eq!(lease.job().job_id, "a");
    assert_eq!(lease.job().payload, "payload of a");
    assert_eq!(lease.job().headers["traceparent"], "trace of a");
    assert_eq!((lease.job().attempt, lease.job().max_attempts), (1, 3));
    assert_eq!(bus.enqueue(job("a")).await.unwrap(), Enqueued::AlreadyLive);
    assert_eq!(bus.depth("prove-block").await.unwrap(), depth(0, 1, 0));
    assert!(matches!(
        bus.job("prove-block", "a").await.unwrap().unwrap().state,
        JobState::Leased { .. }
    ));
    lease.ack().await.unwrap();
    assert!(bus.job("prove-block", "a").await.unwrap().is_none());
    assert_eq!(bus.depth("prove-block").await.unwrap(), depth(0, 0, 0));
    assert_eq!(bus.enqueue(job("a")).await.unwrap(), Enqueued::Added);
    let again = pull_soon(&bus).await;
    assert_eq!(again.job().attempt, 1, "a new job has a new count");
    again.ack().await.unwrap();
}

/// Several workers share the jobs of a queue: each job to exactly one of them.
async fn workers_share_a_queue(world: World) {
    let bus = world.open().await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        bus.enqueue(job(id)).await.unwrap();
    }
    let mut workers = Vec::new();
    for _ in 0..3 {
        let bus = world.open().await;
        workers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            while let Some(lease) =
                bus.pull("prove-block", Duration::from_millis(500)).await.unwrap()
            {
                tokio::time::sleep(Duration::from_millis(30)).await;
                done.push(lease.job().job_id.clone());
                lease.ack().await.unwrap();
            }
            done
        }));
    }
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    done.sort();
    assert_eq!(done, ["a", "b", "c", "d", "e", "f"]);
}

/// A worker that waits is woken by a new job, from another connection too.
async fn a_waiting_worker_gets_the_job_that_comes(world: World) {
    let (bus, other) = (world.open().await, world.open().await);
    let waiting = tokio::spawn(async move {
        bus.pull("prove-block", SOON).await.unwrap().map(|l| l.job().job_id.clone())
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    other.enqueue(job("late")).await.unwrap();
    assert_eq!(waiting.await.unwrap().as_deref(), Some("late"));
}

/// The job of a killed worker comes back when its lease is over, and not before; what the killed one says
/// afterwards is refused.
async fn a_lost_lease_is_redelivered_and_fenced(world: World) {
    let bus = world.open().await;
    bus.enqueue(job("a")).await.unwrap();
    let killed = pull_soon(&bus).await;
    assert!(pull(&bus).await.is_none(), "held");
    let second = pull_soon(&bus).await;
    assert_eq!(second.job().attempt, 2);
    assert!(matches!(killed.heartbeat().await, Err(BusError::LeaseLost { .. })));
    assert!(matches!(killed.ack().await, Err(BusError::LeaseLost { .. })));
    assert!(matches!(killed.nak(Duration::ZERO, "late").await, Err(BusError::LeaseLost { .. })));
    second.heartbeat().await.unwrap();
    second.ack().await.unwrap();
    assert!(matches!(second.ack().await, Err(BusError::LeaseLost { .. })));
}

/// Heartbeats hold a job for longer than one lease, also when they come from a thread with a runtime of its own.
async fn heartbeats_hold_a_job(world: World) {
    let bus = world.open().await;
    bus.enqueue(job("a")).await.unwrap();
    let lease = pull_soon(&bus).await;
    let heart = lease.clone();
    let beating = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..10 {
                heart.heartbeat().await.unwrap();
                tokio::time::sleep(Duration::from_millis(LEASE_MS / 4)).await;
            }
        });
    });
    let other = world.open().await;
    let taken = other.pull("prove-block", Duration::from_millis(LEASE_MS * 2)).await.unwrap();
    assert!(taken.is_none(), "{taken:?}");
    tokio::task::spawn_blocking(move || beating.join().unwrap()).await.unwrap();
    lease.ack().await.unwrap();
}

/// A failed attempt waits out its delay with its cause on show; the last one parks the job, which keeps payload and
/// cause, is not queued again by itself, and can be put back with a fresh count.
async fn failures_are_bounded_and_parked_with_their_cause(world: World) {
    let bus = world.open().await;
    bus.enqueue(job("a")).await.unwrap();
    for attempt in 1..=2 {
        let lease = pull_soon(&bus).await;
        assert_eq!(lease.job().attempt, attempt);
        let delay = Duration::from_millis(600);
        let outcome = lease.nak(delay, &format!("cause {attempt}\nsecond line")).await.unwrap();
        assert_eq!(outcome, FailOutcome::Retried { delay });
        let record = bus.job("prove-block", "a").await.unwrap().unwrap();
        assert!(matches!(record.state, JobState::Waiting { not_before: Some(_) }), "{record:?}");
        assert_eq!(record.cause, Some(format!("cause {attempt}\nsecond line")));
        assert!(pull(&bus).await.is_none(), "not before the delay is over");
    }
    assert_eq!(
        pull_soon(&bus).await.nak(Duration::ZERO, "cause 3").await.unwrap(),
        FailOutcome::Parked
    );
    let record = bus.job("prove-block", "a").await.unwrap().unwrap();
    assert_eq!((record.state, record.attempts), (JobState::Parked, 3));
    assert_eq!(record.cause.as_deref(), Some("cause 3"));
    assert_eq!(record.payload, "payload of a");
    assert_eq!(bus.depth("prove-block").await.unwrap(), depth(0, 0, 1));
    assert_eq!(bus.enqueue(job("a")).await.unwrap(), Enqueued::Parked);
    assert!(pull(&bus).await.is_none());

    bus.requeue("prove-block", "a").await.unwrap();
    let record = bus.job("prove-block", "a").await.unwrap().unwrap();
    assert_eq!((record.state, record.attempts), (JobState::Waiting { not_before: None }, 0));
    assert_eq!(record.cause, None, "of the attempts before");
    assert!(matches!(bus.requeue("prove-block", "a").await, Err(BusError::NoSuchJob { .. })));
    assert!(matches!(bus.requeue("prove-block", "a.b").await, Err(BusError::BadName { .. })));
    let lease = pull_soon(&bus).await;
    assert_eq!((lease.job().attempt, lease.job().payload.as_ref()), (1, "payload of a".as_bytes()));
    assert_eq!(lease.job().headers["traceparent"], "trace of a");
    lease.ack().await.unwrap();
    assert!(bus.job("prove-block", "a").await.unwrap().is_none());
}

/// A cause that is final parks the job at once; no other job waits for it.
async fn a_final_failure_parks_at_once_and_holds_nobody_back(world: World) {
    let bus = world.open().await;
    for id in ["a", "b"] {
        bus.enqueue(job(id)).await.unwrap();
    }
    let first = pull_soon(&bus).await;
    let failed = first.job().job_id.clone();
    first.fail("no such witness").await.unwrap();
    let second = pull_soon(&bus).await;
    assert_ne!(second.job().job_id, failed);
    second.ack().await.unwrap();
    let parked = bus
        .list("prove-block", JobFilter { parked_only: true, ..JobFilter::default() })
        .await
        .unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (parked[0].job_id.as_str(), parked[0].cause.as_deref()),
        (failed.as_str(), Some("no such witness"))
    );
}

/// A job whose workers die every time is parked, with that as its cause.
async fn a_job_that_kills_its_workers_is_parked(world: World) {
    let bus = world.open().await;
    bus.enqueue(job("killer")).await.unwrap();
    for attempt in 1..=3 {
        let lease = pull_soon(&bus).await;
        assert_eq!(lease.job().attempt, attempt);
        drop(lease);
    }
    let started = Instant::now();
    loop {
        assert!(bus.pull("prove-block", NOW).await.unwrap().is_none());
        let record = bus.job("prove-block", "killer").await.unwrap().unwrap();
        if record.state == JobState::Parked {
            assert!(record.cause.unwrap().contains("went away without an answer in delivery 3"));
            assert_eq!(record.payload, "payload of killer");
            return;
        }
        assert!(started.elapsed() < SOON, "{record:?}");
    }
}

/// A worker that takes a job in the moment in which operators put it back, several at a time, has it: nothing of the
/// putting back takes its lease away.
async fn putting_back_does_not_disturb_who_takes_it(world: World) {
    let bus = world.open().await;
    let operators = [world.open().await, world.open().await, world.open().await];
    bus.enqueue(job("a")).await.unwrap();
    pull_soon(&bus).await.fail("first").await.unwrap();
    for round in 0..60 {
        let putting_back: Vec<_> = (0..)
            .zip(operators.clone())
            .map(|(number, operator)| {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_micros(number * round * 30)).await;
                    operator.requeue("prove-block", "a").await
                })
            })
            .collect();
        let lease = pull_soon(&bus).await;
        let mut put_back = 0;
        for operator in putting_back {
            match operator.await.unwrap() {
                Ok(()) => put_back += 1,
                // Another one was first.
                Err(error) => assert!(matches!(error, BusError::NoSuchJob { .. }), "{error:?}"),
            }
        }
        assert!(put_back > 0);
        lease.heartbeat().await.expect("the lease is lost");
        assert_eq!(lease.job().attempt, 1);
        assert_eq!(bus.depth("prove-block").await.unwrap(), depth(0, 1, 0));
        lease.fail("again").await.unwrap();
    }
}

/// A job that is queued anew in the moment in which its last run is acknowledged is another job: nothing of the
/// acknowledgement takes it, or its worker's lease, away.
async fn an_acknowledgement_does_not_disturb_the_next_job(world: World) {
    let (bus, planner) = (world.open().await, world.open().await);
    planner.enqueue(job("a")).await.unwrap();
    let mut lease = pull_soon(&bus).await;
    for _ in 0..60 {
        let next = async {
            while planner.enqueue(job("a")).await.unwrap() != Enqueued::Added {}
            pull_soon(&planner).await
        };
        let (acknowledged, next) = tokio::join!(lease.ack(), next);
        acknowledged.unwrap();
        next.heartbeat().await.expect("the lease is lost");
        assert_eq!(next.job().attempt, 1);
        lease = next;
    }
}

/// A job that is parked stays parked, also when a planner queues it again all the time, and one operator can put it
/// back.
async fn a_planner_does_not_wake_what_is_parked(world: World) {
    let (bus, planner) = (world.open().await, world.open().await);
    planner.enqueue(job("a")).await.unwrap();
    for round in 0..40 {
        let lease = pull_soon(&bus).await;
        let planning =
            async { while planner.enqueue(job("a")).await.unwrap() == Enqueued::AlreadyLive {} };
        let (failed, ()) = tokio::join!(lease.fail("broken"), planning);
        failed.unwrap();
        let taken = bus.pull("prove-block", Duration::from_millis(30)).await.unwrap();
        assert!(taken.is_none(), "round {round}: {taken:?}");
        let record = bus.job("prove-block", "a").await.unwrap().unwrap();
        assert_eq!((record.state, record.cause.as_deref()), (JobState::Parked, Some("broken")));
        assert_eq!(record.payload, "payload of a");
        bus.requeue("prove-block", "a").await.unwrap();
    }
}

/// A worker that drains hands its job back without a mark against it.
async fn a_released_job_is_not_charged(world: World) {
    let bus = world.open().await;
    bus.enqueue(job("a")).await.unwrap();
    for _ in 0..5 {
        let lease = pull_soon(&bus).await;
        assert_eq!(lease.job().attempt, 1);
        lease.release(Duration::ZERO).await.unwrap();
    }
    pull_soon(&bus).await.ack().await.unwrap();
}

/// Names, sizes and numbers are bounded; a refused job leaves nothing behind.
async fn jobs_are_bounded(world: World) {
    let bus = world.open().await;
    assert!(matches!(bus.enqueue(job("a.b")).await, Err(BusError::BadName { .. })));
    assert!(matches!(
        bus.enqueue(NewJob { queue: "x>".into(), ..job("a") }).await,
        Err(BusError::BadName { .. })
    ));
    let large = NewJob { payload: Bytes::from(vec![0; 1_001]), ..job("a") };
    assert!(matches!(
        bus.enqueue(large).await,
        Err(BusError::TooLarge { size: 1_001, limit: 1_000, .. })
    ));
    for index in 0..20 {
        assert_eq!(bus.enqueue(job(&format!("job-{index:02}"))).await.unwrap(), Enqueued::Added);
    }
    assert!(matches!(
        bus.enqueue(job("one-more")).await,
        Err(BusError::QueueFull { limit: 20, .. })
    ));
    let page =
        bus.list("prove-block", JobFilter { limit: 3, ..JobFilter::default() }).await.unwrap();
    let ids: Vec<&str> = page.iter().map(|record| record.job_id.as_str()).collect();
    assert_eq!(ids, ["job-00", "job-01", "job-02"]);
    let after = JobFilter { after: Some("job-17".into()), ..JobFilter::default() };
    assert_eq!(bus.list("prove-block", after).await.unwrap().len(), 2);
    assert!(bus.remove("prove-block", "job-05").await.unwrap());
    assert!(!bus.remove("prove-block", "job-05").await.unwrap());
    assert!(bus.job("prove-block", "job-05").await.unwrap().is_none());
    assert_eq!(bus.depth("prove-block").await.unwrap(), depth(19, 0, 0));
    assert_eq!(bus.depth("other").await.unwrap(), depth(0, 0, 0));
}

/// An event is stored once for its id, reaches a durable consumer that comes later, and only what its filter says.
async fn events_reach_durable_consumers_once(world: World) {
    let bus = world.open().await;
    assert!(matches!(
        bus.publish(event("block.closed", "1")).await.unwrap(),
        Published::Stored { .. }
    ));
    assert_eq!(bus.publish(event("block.closed", "1")).await.unwrap(), Published::Duplicate);
    bus.publish(event("transaction.accepted", "2")).await.unwrap();
    bus.publish(event("block.closed", "3")).await.unwrap();
    let mut blocks = bus.subscribe(Subscribe::durable("block.*", "planner")).await.unwrap();
    let first = next(&mut blocks).await;
    assert_eq!(first.event, event("block.closed", "1"));
    assert_eq!(first.attempt, 1);
    first.ack().await.unwrap();
    next(&mut blocks).await.ack().await.unwrap();
    nothing(&mut blocks).await;
    let mut all = bus.subscribe(Subscribe::durable(">", "audit")).await.unwrap();
    for id in ["1", "2", "3"] {
        let delivery = next(&mut all).await;
        assert_eq!(delivery.event.message_id, id);
        delivery.ack().await.unwrap();
    }
}

/// A durable consumer goes on where it was; what was not acknowledged comes again.
async fn an_unacknowledged_event_comes_again(world: World) {
    let bus = world.open().await;
    for id in ["1", "2"] {
        bus.publish(event("block.closed", id)).await.unwrap();
    }
    let mut first = bus.subscribe(Subscribe::durable("block.closed", "planner")).await.unwrap();
    next(&mut first).await.ack().await.unwrap();
    let lost = next(&mut first).await;
    assert_eq!(lost.event.message_id, "2");
    drop((lost, first, bus));
    let bus = world.open().await;
    let mut second = bus.subscribe(Subscribe::durable("block.closed", "planner")).await.unwrap();
    let again = next(&mut second).await;
    assert_eq!((again.event.message_id.as_str(), again.attempt), ("2", 2));
    again.ack().await.unwrap();
    tokio::time::sleep(Duration::from_millis(LEASE_MS + 200)).await;
    nothing(&mut second).await;
}

/// An ephemeral consumer sees what is published from then on, each of them for itself.
async fn ephemeral_consumers_see_what_comes(world: World) {
    let (bus, other) = (world.open().await, world.open().await);
    bus.publish(event("block.closed", "before")).await.unwrap();
    let mut one = bus.subscribe(Subscribe::ephemeral("block.closed")).await.unwrap();
    let mut two = other.subscribe(Subscribe::ephemeral("block.closed")).await.unwrap();
    other.publish(event("block.closed", "after")).await.unwrap();
    for subscription in [&mut one, &mut two] {
        let delivery = next(subscription).await;
        assert_eq!(delivery.event.message_id, "after");
        delivery.ack().await.unwrap();
        nothing(subscription).await;
    }
}

/// Old events give way to new ones; sizes are bounded.
async fn events_are_bounded(world: World) {
    let bus = world.open().await;
    let large = Event { payload: Bytes::from(vec![0; 1_001]), ..event("block.closed", "large") };
    assert!(matches!(bus.publish(large).await, Err(BusError::TooLarge { .. })));
    assert!(matches!(
        bus.publish(event("block..closed", "x")).await,
        Err(BusError::BadName { .. })
    ));
    for index in 0..60 {
        bus.publish(event("block.closed", &index.to_string())).await.unwrap();
    }
    let mut late = bus.subscribe(Subscribe::durable("block.closed", "late")).await.unwrap();
    assert_eq!(next(&mut late).await.event.message_id, "10", "fifty are kept");
}

/// What was acknowledged to a publisher is there after the bus was killed and started again.
async fn nothing_acknowledged_is_lost_by_a_restart(mut world: World) {
    let bus = world.open().await;
    bus.publish(event("block.closed", "1")).await.unwrap();
    bus.enqueue(job("waiting")).await.unwrap();
    let lease = pull_soon(&bus).await;
    lease.nak(Duration::ZERO, "first try").await.unwrap();
    bus.enqueue(job("parked")).await.unwrap();
    loop {
        let lease = pull_soon(&bus).await;
        if lease.job().job_id == "parked" {
            lease.fail("broken").await.unwrap();
            break;
        }
        lease.release(Duration::from_millis(500)).await.unwrap();
    }
    drop(bus);
    if let Some(server) = &mut world.nats {
        server.restart().unwrap();
    }
    let bus = world.open().await;
    let mut events = bus.subscribe(Subscribe::durable(">", "after")).await.unwrap();
    assert_eq!(next(&mut events).await.event.message_id, "1");
    let parked = bus.job("prove-block", "parked").await.unwrap().unwrap();
    assert_eq!((parked.state, parked.cause.as_deref()), (JobState::Parked, Some("broken")));
    let lease = pull_soon(&bus).await;
    assert_eq!((lease.job().job_id.as_str(), lease.job().attempt), ("waiting", 2));
    lease.ack().await.unwrap();
}

macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::World::new(super::Kind::Embedded)).await; })*
        }
        mod nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::World::new(super::Kind::Nats)).await; })*
        }
    };
}

over_both!(
    a_job_is_handed_out_once,
    workers_share_a_queue,
    a_waiting_worker_gets_the_job_that_comes,
    a_lost_lease_is_redelivered_and_fenced,
    heartbeats_hold_a_job,
    failures_are_bounded_and_parked_with_their_cause,
    a_final_failure_parks_at_once_and_holds_nobody_back,
    a_job_that_kills_its_workers_is_parked,
    putting_back_does_not_disturb_who_takes_it,
    an_acknowledgement_does_not_disturb_the_next_job,
    a_planner_does_not_wake_what_is_parked,
    a_released_job_is_not_charged,
    jobs_are_bounded,
    events_reach_durable_consumers_once,
    an_unacknowledged_event_comes_again,
    ephemeral_consumers_see_what_comes,
    events_are_bounded,
    nothing_acknowledged_is_lost_by_a_restart,
);

/// A server that restarts under open connections costs waiting, not jobs: the same bus goes on with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_that_restarts_is_found_again() {
    let mut world = World::new(Kind::Nats);
    let bus = world.open().await;
    let mut events = bus.subscribe(Subscribe::durable("block.closed", "planner")).await.unwrap();
    bus.enqueue(job("a")).await.unwrap();
    world.nats.as_mut().unwrap().restart().unwrap();
    let started = Instant::now();
    while bus.publish(event("block.closed", "1")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the bus does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    loop {
        assert!(started.elapsed() < Duration::from_secs(60), "the event does not come");
        // After a break one call may fail; the next one connects anew.
        if let Ok(Ok(delivery)) = tokio::time::timeout(SOON, events.next()).await {
            assert_eq!(delivery.event.message_id, "1");
            delivery.ack().await.unwrap();
            break;
        }
    }
    pull_soon(&bus).await.ack().await.unwrap();
}
