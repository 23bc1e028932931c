//! Where each running job is, as its worker says it. In memory only: it is shown, nothing depends on it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sidereal_proto::proofs::{Job, JobState};

/// Jobs whose stage is remembered at the most; workers are far fewer.
const MAX_RUNNING: usize = 4_096;
/// A job whose worker was silent for so long is not shown with a stage any more.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// One running job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub worker: String,
    pub stage: String,
    pub running_for_ms: u64,
    pub said_at: Instant,
}

/// Stages by job id.
#[derive(Default)]
pub struct Progress {
    running: Mutex<HashMap<String, Running>>,
}

impl Progress {
    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a worker said. False when there is no room for another job.
    pub fn report(&self, job_id: String, running: Running) -> bool {
        let mut all = self.running();
        all.retain(|_, running| running.said_at.elapsed() < STALE_AFTER);
        if all.len() >= MAX_RUNNING && !all.contains_key(&job_id) {
            return false;
        }
        all.insert(job_id, running);
        true
    }

    /// Nobody works on the job any more.
    pub fn forget(&self, job_id: &str) {
        self.running().remove(job_id);
    }

    /// Adds to a running job what its worker said last, unless it has been silent for too long.
    pub fn show(&self, job: &mut Job) {
        if job.state() != JobState::Running {
            return;
        }
        let running = self.running();
        let said = running.get(&job.id).filter(|said| said.said_at.elapsed() < STALE_AFTER);
        if let Some(said) = said {
            job.worker.clone_from(&said.worker);
            job.stage.clone_from(&said.stage);
            job.running_for_ms = said.running_for_ms;
        }
    }
}
