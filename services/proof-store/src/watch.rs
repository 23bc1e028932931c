//! What becomes of each job, told to everybody who watches.
//!
//! Jobs change on the bus, by workers that this service does not hear of. So while somebody watches, the queue is read
//! at an interval, and at once after what this service itself did or was told; what is different from the read before
//! is told, each change once and in order:
//!
//! ```text
//!   (planned) ──> QUEUED ──> RUNNING ──> DONE and `stored`
//!                   ^           │
//!                   ├── cause ──┤ failed, or handed back
//!                   │           v
//!                   └──────── PARKED, with its cause
//! ```
//!
//! Between two reads a job may go round more than once; then its last round is told, and the number of deliveries says
//! how many there were. In between come the stages that workers report: RUNNING with a stage.
//!
//! Nobody waits for a watcher: one that is [`WATCH_BUFFER`] messages behind is told so, and its stream ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message as _;
use sidereal_aggregation::Step;
use sidereal_bus::{Bus, BusError, JobFilter, JobRecord, JobState as BusState};
use sidereal_proto::events::{self, proof_job};
use sidereal_proto::proofs::watch_jobs_response::Message;
use sidereal_proto::proofs::{Job, JobState, ProofInfo, WatchJobsResponse};
use sidereal_proto::{AGGREGATION_QUEUE, PROVING_QUEUE, felt};
use sidereal_service::{Classified, ErrorClass, Pass, Reconciler, Shutdown, Waker, error_chain};
use tokio::sync::broadcast;

use crate::grpc::info;
use crate::index::{IndexError, ProofIndex, StoredStep};
use crate::progress::{Progress, Running};

/// Jobs that are read from the queues at the most: those with the lowest ids, when a backlog is longer. Parked ones are
/// read alone when they are asked for: no backlog hides them.
const MAX_JOBS: usize = 5_000;
/// Messages that a watcher may be behind: what a read tells in which every job took its three steps fits.
const WATCH_BUFFER: usize = 16_384;
/// Watchers at the same time.
const MAX_WATCHERS: usize = 64;
/// The longest time between two reads while somebody watches.
const PERIOD: Duration = Duration::from_millis(500);
/// Jobs of one page of the queue.
const PAGE: usize = 1_000;

/// The jobs could not be read, or may not be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("reading the queue of proving jobs failed")]
    Bus(#[source] BusError),
    #[error("looking for the proof of a job that is gone failed")]
    Index(#[source] IndexError),
    #[error("there are {MAX_WATCHERS} watchers already")]
    TooMany,
}

impl Classified for WatchError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Bus(error) => error.class(),
            Self::Index(_) => ErrorClass::Unavailable,
            Self::TooMany => ErrorClass::Exhausted,
        }
    }
}

/// A new watcher: the jobs as they are, and then what changes.
pub struct Watcher {
    pub present: Vec<Job>,
    pub changes: broadcast::Receiver<WatchJobsResponse>,
}

/// The queue as it was read last, and those who watch it.
pub struct Watch {
    bus: Arc<dyn Bus>,
    index: ProofIndex,
    progress: Progress,
    board: Mutex<Board>,
    /// One read after the other: an older one must not undo a newer one.
    reading: tokio::sync::Mutex<()>,
    waker: Waker,
    /// [`MAX_JOBS`].
    max_jobs: usize,
}

struct Board {
    /// By id; kept only while somebody watches.
    jobs: HashMap<String, Known>,
    watchers: broadcast::Sender<WatchJobsResponse>,
}

struct Known {
    job: Job,
    /// Its proof is stored, and that was told. It is still in the queue until its worker has answered.
    done: bool,
}

impl Board {
    fn tell(&self, message: Message) {
        // That the last watcher has just left is fine.
        let _ = self.watchers.send(WatchJobsResponse { message: Some(message) });
    }

    fn is_watched(&self) -> bool {
        self.watchers.receiver_count() > 0
    }

    /// Tells that the job of a step is done, once.
    fn finish_step(&mut self, stored: &StoredStep) {
        let id = stored.step.to_string();
        let known = self.jobs.get(&id);
        if known.is_some_and(|known| known.done) {
            return;
        }
        let mut job = known.map(|known| known.job.clone()).unwrap_or_else(|| Job {
            id: id.clone(),
            block_number: stored.step.blocks().first,
            step: id.clone(),
            ..Job::default()
        });
        job.set_state(JobState::Done);
        job.cause.clear();
        job.worker.clone_from(&stored.worker);
        job.running_for_ms = stored.total_ms;
        self.tell(Message::Job(job.clone()));
        self.jobs.insert(id, Known { job, done: true });
    }

    /// Tells that a job is done, once.
    fn finish(&mut self, id: &str, info: ProofInfo) {
        let known = self.jobs.get(id);
        if known.is_some_and(|known| known.done) {
            return;
        }
        let mut job = known.map(|known| known.job.clone()).unwrap_or_else(|| Job {
            id: id.to_owned(),
            block_number: info.block_number,
            block_hash: info.block_hash.clone(),
            ..Job::default()
        });
        job.set_state(JobState::Done);
        job.cause.clear();
        job.worker.clone_from(&info.worker);
        self.tell(Message::Job(job.clone()));
        self.tell(Message::Stored(info));
        self.jobs.insert(id.to_owned(), Known { job, done: true });
    }
}

/// The queue that a job with this id is in: that of a step is the step's name.
pub fn queue_of(id: &str) -> &'static str {
    if id.parse::<Step>().is_ok() { AGGREGATION_QUEUE } else { PROVING_QUEUE }
}

impl Watch {
    pub fn new(bus: Arc<dyn Bus>, index: ProofIndex) -> Self {
        let watchers = broadcast::channel(WATCH_BUFFER).0;
        Self {
            bus,
            index,
            progress: Progress::default(),
            board: Mutex::new(Board { jobs: HashMap::new(), watchers }),
            reading: tokio::sync::Mutex::default(),
            waker: Waker::new(),
            max_jobs: MAX_JOBS,
        }
    }

    /// Starts the reads.
    pub fn start(self: &Arc<Self>, shutdown: &Shutdown) {
        let watch = Arc::clone(self);
        Reconciler::new("job watch", PERIOD).spawn(shutdown, self.waker.clone(), move || {
            let watch = Arc::clone(&watch);
            async move { watch.pass().await }
        });
    }

    /// A job may have changed.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// The jobs in this state, by block; `Unspecified`: those that are queued, running or parked.
    pub async fn jobs(&self, wanted: JobState) -> Result<Vec<Job>, BusError> {
        let parked_only = wanted == JobState::Parked;
        let mut jobs: Vec<Job> = Vec::new();
        for queue in [AGGREGATION_QUEUE, PROVING_QUEUE] {
            let mut after = None;
            while jobs.len() < self.max_jobs {
                let limit = PAGE.min(self.max_jobs - jobs.len());
                let filter = JobFilter { parked_only, after, limit };
                let page = self.bus.list(queue, filter).await?;
                after = page.last().map(|record| record.job_id.clone());
                jobs.extend(page.iter().map(job_of));
                if page.len() < limit {
                    break;
                }
            }
        }
        jobs.retain(|job| wanted == JobState::Unspecified || job.state() == wanted);
        for job in &mut jobs {
            self.progress.show(job);
        }
        jobs.sort_by(|one, other| {
            (one.block_number, &one.id).cmp(&(other.block_number, &other.id))
        });
        Ok(jobs)
    }

    /// One job as it stands on the bus.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, BusError> {
        let record = self.bus.job(queue_of(id), id).await?;
        Ok(record.map(|record| {
            let mut job = job_of(&record);
            self.progress.show(&mut job);
            job
        }))
    }

    /// The present state, and everything that changes after it: nothing is missed or told twice in between.
    pub async fn watch(&self) -> Result<Watcher, WatchError> {
        let _reading = self.reading.lock().await;
        self.read(true).await?;
        let board = self.board();
        if board.watchers.receiver_count() >= MAX_WATCHERS {
            return Err(WatchError::TooMany);
        }
        let changes = board.watchers.subscribe();
        let live = board.jobs.values().filter(|known| !known.done);
        let mut present: Vec<Job> = live.map(|known| known.job.clone()).collect();
        drop(board);
        for job in &mut present {
            self.progress.show(job);
        }
        present.sort_by_key(|job| job.block_number);
        Ok(Watcher { present, changes })
    }

    /// A worker says where it is. Told of jobs that are known to run; that this one does may not be known yet.
    pub async fn report(&self, job_id: String, running: Running) {
        if !self.progress.report(job_id.clone(), running) || !self.board().is_watched() {
            return;
        }
        if !self.tell_stage(&job_id) {
            match self.pass().await {
                Ok(_) => _ = self.tell_stage(&job_id),
                Err(error) => tracing::debug!(error = %error_chain(&error), "a stage is not told"),
            }
        }
    }

    fn tell_stage(&self, job_id: &str) -> bool {
        let board = self.board();
        let known = board.jobs.get(job_id).filter(|known| !known.done);
        let Some(known) = known.filter(|known| known.job.state() == JobState::Running) else {
            return false;
        };
        let mut job = known.job.clone();
        self.progress.show(&mut job);
        board.tell(Message::Job(job));
        true
    }

    /// The proof of a job's block is stored; `is_new`: by this call.
    pub fn stored(&self, job_id: &str, info: ProofInfo, is_new: bool) {
        self.progress.forget(job_id);
        let mut board = self.board();
        if is_new && board.is_watched() {
            board.finish(job_id, info);
        }
    }

    /// The proof of a step is stored; `is_new`: by this call.
    pub fn step_stored(&self, stored: &StoredStep, is_new: bool) {
        self.progress.forget(&stored.step.to_string());
        let mut board = self.board();
        if is_new && board.is_watched() {
            board.finish_step(stored);
        }
    }

    async fn pass(&self) -> Result<Pass, WatchError> {
        let _reading = self.reading.lock().await;
        self.read(false).await?;
        Ok(Pass::Done)
    }

    /// Reads the queue and tells what changed. With nobody to tell, the board is only made ready for one who comes.
    async fn read(&self, one_comes: bool) -> Result<(), WatchError> {
        if !self.board().is_watched() {
            self.board().jobs.clear();
            if !one_comes {
                return Ok(());
            }
        }
        let jobs = self.jobs(JobState::Unspecified).await.map_err(WatchError::Bus)?;
        let mut jobs: BTreeMap<String, Job> =
            jobs.into_iter().map(|job| (job.id.clone(), without_stage(job))).collect();
        let stored = self.proofs_of_the_gone(&jobs).await?;

        let mut board = self.board();
        let watched = board.is_watched();
        for (id, info) in stored {
            board.finish(&id, info);
        }
        board.jobs.retain(|id, _| jobs.contains_key(id));
        let mut changed: Vec<Job> = Vec::new();
        for (id, known) in &mut board.jobs {
            if let Some(job) = jobs.remove(id)
                && !known.done
            {
                changed.extend(changes(Some(&known.job), &job));
                known.job = job;
            }
        }
        for (id, job) in jobs {
            changed.extend(changes(None, &job));
            board.jobs.insert(id, Known { job, done: false });
        }
        // Stable: the changes of one job stay in order.
        changed.sort_by_key(|job| job.block_number);
        if watched {
            for job in changed {
                board.tell(Message::Job(job));
            }
        }
        Ok(())
    }

    /// Jobs that are not in the queue any more were done, and perhaps another proof store took the proof; or somebody
    /// took them away, which is no change of theirs.
    async fn proofs_of_the_gone(
        &self,
        present: &BTreeMap<String, Job>,
    ) -> Result<Vec<(String, ProofInfo)>, WatchError> {
        let gone: Vec<Job> = {
            let board = self.board();
            let gone =
                board.jobs.iter().filter(|(id, known)| !known.done && !present.contains_key(*id));
            gone.map(|(_, known)| known.job.clone()).collect()
        };
        let mut proofs = Vec::new();
        // Steps of aggregations have no block hash: one that another proof store took is simply gone.
        for job in gone {
            let Ok(hash) = felt::felt("block_hash", &job.block_hash) else { continue };
            let Some(proof) = self.index.by_hash(&hash).await.map_err(WatchError::Index)? else {
                continue;
            };
            match info(&proof) {
                Ok(info) => proofs.push((job.id, info)),
                Err(status) => tracing::warn!(error = %error_chain(&status), "a proof is not told"),
            }
        }
        Ok(proofs)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // What is told is whole after every statement.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn job_of(record: &JobRecord) -> Job {
    // A payload that cannot be read is a job of block 0, which there is no other of: it shows in the list.
    let message = events::ProofJob::decode(&record.payload[..]).unwrap_or_default();
    let (block_number, block_hash, step) = match message.work {
        Some(proof_job::Work::Block(block)) => {
            (block.block_number, block.block_hash, String::new())
        }
        Some(proof_job::Work::Step(work)) => {
            let first = work.step.parse().map_or(0, |step: Step| step.blocks().first);
            (first, Vec::new(), work.step)
        }
        None => Default::default(),
    };
    let state = match record.state {
        BusState::Waiting { .. } => JobState::Queued,
        BusState::Leased { .. } => JobState::Running,
        BusState::Parked => JobState::Parked,
    };
    Job {
        id: record.job_id.clone(),
        block_number,
        block_hash,
        step,
        state: state.into(),
        deliveries: record.attempts,
        cause: record.cause.clone().unwrap_or_default(),
        ..Job::default()
    }
}

/// A job's state alone, without where its worker is.
fn without_stage(job: Job) -> Job {
    Job { worker: String::new(), stage: String::new(), running_for_ms: 0, ..job }
}

/// The changes that led from one read to the next, the last of them to `new`.
fn changes(old: Option<&Job>, new: &Job) -> Vec<Job> {
    let step = |state: JobState, deliveries: u32, cause: &str| Job {
        state: state.into(),
        deliveries,
        cause: cause.to_owned(),
        ..new.clone()
    };
    let mut told = Vec::new();
    let unchanged = |job: &Job| (job.state, job.deliveries) == (new.state, new.deliveries);
    if old.is_some_and(unchanged) {
        return told;
    }
    let before = new.deliveries.saturating_sub(1);
    // A release takes one delivery back; otherwise they grow, except when the job is queued anew.
    let released = |job: &Job| {
        job.state() == JobState::Running
            && new.state() == JobState::Queued
            && new.deliveries == job.deliveries.saturating_sub(1)
    };
    let (mut state, mut deliveries) = match old {
        Some(job)
            if job.state() != JobState::Parked
                && (new.deliveries >= job.deliveries || released(job)) =>
        {
            (job.state(), job.deliveries.min(new.deliveries))
        }
        _ => {
            told.push(step(JobState::Queued, 0, ""));
            (JobState::Queued, 0)
        }
    };
    if state == JobState::Running && deliveries < new.deliveries {
        // The delivery that ran failed, and there was another.
        let cause = if new.state() == JobState::Running { new.cause.as_str() } else { "" };
        told.push(step(JobState::Queued, before, cause));
        (state, deliveries) = (JobState::Queued, before);
    }
    if state == JobState::Queued && deliveries < new.deliveries && new.state() != JobState::Running
    {
        told.push(step(JobState::Running, new.deliveries, ""));
        state = JobState::Running;
    }
    if state != new.state() {
        told.push(new.clone());
    }
    told
}

#[cfg(test)]
mod tests {
    use sidereal_bus::{BusConfig, NewJob};

    use super::*;
    use crate::config::DatabaseConfig;

    /// Pins down that a job that was parked is listed however long the queue is, and that the other lists are bounded.
    #[tokio::test]
    async fn no_backlog_hides_what_is_parked() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let url = format!("sqlite:{}", path("bus.db"));
        let bus = sidereal_bus::open(&BusConfig { url, ..BusConfig::default() }).await.unwrap();
        let url = format!("sqlite://{}", path("proofs.db"));
        let index = ProofIndex::open(&DatabaseConfig { url, connections: 2 }).await.unwrap();
        let watch = Watch { max_jobs: 3, ..Watch::new(Arc::clone(&bus), index) };
        // The first one is parked; by id it is the last one of its queue.
        let ids = ["z", "a", "b", "c", "d"];
        for (block_number, id) in (1..).zip(ids) {
            let block = events::ProveBlock { block_number, ..events::ProveBlock::default() };
            let work = Some(proof_job::Work::Block(block));
            let job = NewJob {
                queue: PROVING_QUEUE.to_owned(),
                job_id: id.to_owned(),
                payload: events::ProofJob { work }.encode_to_vec().into(),
                headers: sidereal_bus::Headers::new(),
            };
            bus.enqueue(job).await.unwrap();
        }
        let lease = bus.pull(PROVING_QUEUE, Duration::from_secs(10)).await.unwrap().unwrap();
        lease.fail("no such witness").await.unwrap();
        let ids = async |state: JobState| -> Vec<String> {
            watch.jobs(state).await.unwrap().into_iter().map(|job| job.id).collect()
        };
        assert_eq!(ids(JobState::Parked).await, ["z"]);
        assert_eq!(ids(JobState::Unspecified).await, ["a", "b", "c"]);
        assert_eq!(ids(JobState::Queued).await, ["a", "b", "c"]);
    }

    fn job(state: JobState, deliveries: u32, cause: &str) -> Job {
        Job {
            id: "a".into(),
            state: state.into(),
            deliveries,
            cause: cause.into(),
            ..Job::default()
        }
    }

    /// Pins down that every way from one read to the next is told as the steps that a job can take, each once.
    #[test]
    fn changes_between_two_reads() {
        use JobState::{Parked, Queued, Running};
        let queued = |deliveries, cause: &str| job(Queued, deliveries, cause);
        let running = |deliveries, cause: &str| job(Running, deliveries, cause);
        let parked = |deliveries, cause: &str| job(Parked, deliveries, cause);
        let cases = [
            (None, queued(0, ""), vec![queued(0, "")]),
            (None, running(1, ""), vec![queued(0, ""), running(1, "")]),
            (None, queued(1, "x"), vec![queued(0, ""), running(1, ""), queued(1, "x")]),
            (None, parked(1, "x"), vec![queued(0, ""), running(1, ""), parked(1, "x")]),
            (Some(queued(0, "")), queued(0, ""), vec![]),
            (Some(queued(0, "")), running(1, ""), vec![running(1, "")]),
            (Some(running(1, "")), running(1, ""), vec![]),
            (Some(running(1, "")), queued(1, "x"), vec![queued(1, "x")]),
            (Some(running(2, "x")), queued(2, "x"), vec![queued(2, "x")]),
            (Some(queued(1, "x")), running(2, "x"), vec![running(2, "x")]),
            // Missed in between: a retry, a whole delivery, several.
            (Some(running(1, "")), running(2, "x"), vec![queued(1, "x"), running(2, "x")]),
            (Some(queued(0, "")), queued(1, "x"), vec![running(1, ""), queued(1, "x")]),
            (Some(queued(1, "w")), queued(3, "x"), vec![running(3, ""), queued(3, "x")]),
            (
                Some(running(1, "")),
                parked(3, "x"),
                vec![queued(2, ""), running(3, ""), parked(3, "x")],
            ),
            (Some(running(3, "w")), parked(3, "x"), vec![parked(3, "x")]),
            // Its worker went away in the last delivery: it was seen waiting, and then parked.
            (Some(queued(3, "w")), parked(3, "x"), vec![parked(3, "x")]),
            // Handed back unharmed.
            (Some(running(1, "")), queued(0, ""), vec![queued(0, "")]),
            (Some(running(3, "w")), queued(2, "w"), vec![queued(2, "w")]),
            // Put back by an operator.
            (Some(parked(3, "x")), queued(0, ""), vec![queued(0, "")]),
            (Some(parked(3, "x")), running(1, ""), vec![queued(0, ""), running(1, "")]),
            (
                Some(parked(1, "x")),
                queued(1, "y"),
                vec![queued(0, ""), running(1, ""), queued(1, "y")],
            ),
            (Some(queued(3, "x")), running(1, ""), vec![queued(0, ""), running(1, "")]),
        ];
        for (old, new, expected) in cases {
            assert_eq!(changes(old.as_ref(), &new), expected, "{old:?} -> {new:?}");
        }
    }
}
