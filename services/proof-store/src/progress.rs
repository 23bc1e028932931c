//! Where each running job is, as its worker says it; and everybody who watches. In memory only: it is shown,
//! nothing depends on it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sidereal_proto::proofs::{Job, JobState, ProofInfo, WatchJobsResponse, watch_jobs_response};
use tokio::sync::broadcast;

/// Jobs whose stage is remembered at the most; workers are far fewer.
const MAX_RUNNING: usize = 4_096;
/// Messages that a slow watcher may be behind before it misses some.
const WATCH_BUFFER: usize = 1_024;
/// A job whose worker was silent for so long is not shown as running any more.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// One running job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub worker: String,
    pub stage: String,
    pub block_number: u64,
    pub running_for_ms: u64,
    pub said_at: Instant,
}

/// Stages by job id, and the watchers.
pub struct Progress {
    running: Mutex<HashMap<String, Running>>,
    watchers: broadcast::Sender<WatchJobsResponse>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { running: Mutex::default(), watchers: broadcast::channel(WATCH_BUFFER).0 }
    }
}

impl Progress {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a worker said, and tells the watchers.
    pub fn report(&self, job_id: String, running: Running) {
        let job = Job {
            id: job_id.clone(),
            block_number: running.block_number,
            state: JobState::Running.into(),
            worker: running.worker.clone(),
            stage: running.stage.clone(),
            running_for_ms: running.running_for_ms,
            ..Job::default()
        };
        {
            let mut all = self.running();
            all.retain(|_, running| running.said_at.elapsed() < STALE_AFTER);
            if all.len() >= MAX_RUNNING && !all.contains_key(&job_id) {
                return;
            }
            all.insert(job_id, running);
        }
        self.tell(watch_jobs_response::Message::Job(job));
    }

    /// The job's proof is stored.
    pub fn stored(&self, job_id: &str, info: ProofInfo) {
        self.running().remove(job_id);
        self.tell(watch_jobs_response::Message::Stored(info));
    }

    /// A job changed otherwise.
    pub fn changed(&self, job: Job) {
        self.tell(watch_jobs_response::Message::Job(job));
    }

    /// What the worker of a job said last, unless it has been silent for too long.
    pub fn of(&self, job_id: &str) -> Option<Running> {
        let running = self.running().get(job_id).cloned()?;
        (running.said_at.elapsed() < STALE_AFTER).then_some(running)
    }

    /// What happens from now on.
    pub fn watch(&self) -> broadcast::Receiver<WatchJobsResponse> {
        self.watchers.subscribe()
    }

    fn tell(&self, message: watch_jobs_response::Message) {
        // Nobody watching is fine.
        let _ = self.watchers.send(WatchJobsResponse { message: Some(message) });
    }
}
