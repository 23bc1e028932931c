//! Keeping the hold on a job, and saying where it is, whatever the rest of the process does.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sidereal_block_prover::Stage;
use sidereal_bus::{BusError, Lease};
use sidereal_service::error_chain;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::job::ProveJob;

/// A thread with a runtime of its own. The bus connection lives on it, and heartbeats are sent from it.
#[derive(Debug)]
pub struct Lifeline {
    handle: Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Lifeline {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (started, running) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("lifeline".to_owned()).spawn(move || {
            // The starter waits for this, so it cannot be gone.
            let _ = started.send(());
            runtime.block_on(stopped.cancelled());
            // Whatever is left must not hold the process up.
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        running.recv().map_err(|_| std::io::Error::other("the lifeline thread did not start"))?;
        Ok(Self { handle, stop, thread: Some(thread) })
    }

    /// Runs a future on the thread. If the caller is cancelled the future goes on.
    pub async fn run<F>(&self, future: F) -> Result<F::Output, JoinError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future).await
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the lifeline thread panicked");
        }
    }
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The job's id in the queue.
    pub job_id: String,
    /// The block that is proven, or the first one that a step is about.
    pub block_number: u64,
    /// Name of the stage: a [`Stage`], `fetch` before or `deliver` after them.
    pub stage: &'static str,
    /// Since the job was taken.
    pub running_for: Duration,
}

/// Is told where jobs are. What is lost is lost: reports are for people.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// Must return within a few seconds, whatever happens.
    async fn report(&self, report: Report);
}

/// Stages before and after the prover's own.
pub(crate) const FETCH: &str = "fetch";
pub(crate) const DELIVER: &str = "deliver";

/// The heartbeats of one job; they end when it is dropped.
pub struct Heartbeat {
    stage: watch::Sender<&'static str>,
    lost: CancellationToken,
    end: CancellationToken,
}

impl Heartbeat {
    /// Starts heartbeats on `lifeline`, three in each lease.
    pub fn start(
        lifeline: &Lifeline,
        lease: Lease,
        job: &ProveJob,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        let (stage, stages) = watch::channel(FETCH);
        let lost = CancellationToken::new();
        let end = CancellationToken::new();
        let report = Report {
            job_id: job.id.clone(),
            block_number: job.target.block_number(),
            stage: FETCH,
            running_for: Duration::ZERO,
        };
        let keep = keep_lease(lease, lost.clone());
        let tell = tell_stages(reporter, report, stages);
        let ended = end.clone();
        lifeline.handle.spawn(async move {
            // Two loops: a reporter that hangs must not cost the lease.
            tokio::select! {
                ((), ()) = async { tokio::join!(keep, tell) } => {}
                () = ended.cancelled() => {}
            }
        });
        Self { stage, lost, end }
    }

    /// Says that a stage of the prover has begun.
    pub fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage.name());
    }

    /// Says that something else has begun.
    pub(crate) fn enter_named(&self, stage: &'static str) {
        self.stage.send_replace(stage);
    }

    /// The present stage.
    pub fn stage(&self) -> &'static str {
        *self.stage.borrow()
    }

    /// Waits until the lease is lost, which may be never.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn keep_lease(lease: Lease, lost: CancellationToken) {
    let interval = lease.duration() / 3;
    let mut held_until = Instant::now() + lease.duration();
    loop {
        tokio::time::sleep(interval).await;
        let sent = Instant::now();
        match tokio::time::timeout(interval, lease.heartbeat()).await {
            Ok(Ok(())) => held_until = sent + lease.duration(),
            Ok(Err(error @ BusError::LeaseLost { .. })) => {
                tracing::warn!(job = lease.job().job_id, error = %error, "lease lost");
                break;
            }
            Ok(Err(error)) => {
                tracing::warn!(job = lease.job().job_id, error = %error_chain(&error), "heartbeat failed");
            }
            Err(_) => tracing::warn!(job = lease.job().job_id, "heartbeat not answered in time"),
        }
        // Unanswered heartbeats may have arrived; only time says for sure that the lease is over.
        if Instant::now() >= held_until {
            tracing::warn!(job = lease.job().job_id, "lease over: no heartbeat was answered");
            break;
        }
    }
    lost.cancel();
}

/// How often an unchanged stage is told again, so that whoever restarted learns of it.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

async fn tell_stages(
    reporter: Arc<dyn Reporter>,
    mut report: Report,
    mut stages: watch::Receiver<&'static str>,
) {
    let begun = Instant::now();
    loop {
        report.stage = *stages.borrow_and_update();
        report.running_for = begun.elapsed();
        reporter.report(report.clone()).await;
        if let Ok(Err(_)) = tokio::time::timeout(REPORT_INTERVAL, stages.changed()).await {
            return;
        }
    }
}
