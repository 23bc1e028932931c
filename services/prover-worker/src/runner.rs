//! Joins picker, executor and saver, and decides what a failure means for the job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sidereal_bus::BusError;
use sidereal_object_store::{ObjectStore, ObjectStoreError};
use sidereal_service::{Classified, RetryPolicy, Shutdown, error_chain, telemetry};
use tracing::Instrument;

use crate::config::WorkerConfig;
use crate::disputes::Disputes;
use crate::executor::{ExecuteError, Executor};
use crate::heartbeat::{DELIVER, Heartbeat, Lifeline, Reporter};
use crate::job::ProveJob;
use crate::picker::{Assignment, Picker};
use crate::saver::{SaveError, Saver};

/// What became of a job in our hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Proven, delivered, done.
    Done,
    /// This attempt failed; the bus decides whether there is another.
    Retried,
    /// It cannot succeed and was parked.
    Parked,
    /// Handed back because we are stopping.
    Released,
    /// Someone else has it.
    Lost,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Parked => "parked",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// Why an attempt did not end with a delivered proof.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("get what the proof is made from")]
    Input(#[source] ObjectStoreError),
    #[error("make the proof")]
    Execute(#[source] ExecuteError),
    #[error("hand over the proof")]
    Save(#[source] SaveError),
    #[error("no proof within {} s; it was in stage {stage}", .limit.as_secs())]
    TimeLimit { limit: Duration, stage: &'static str },
    #[error("the worker is stopping")]
    Stopping,
    #[error("the lease is lost")]
    LeaseLost,
}

/// A worker.
pub struct Runner {
    /// Gives jobs.
    pub picker: Arc<dyn Picker>,
    /// Holds witnesses and proofs.
    pub objects: Arc<dyn ObjectStore>,
    /// Makes proofs.
    pub executor: Arc<dyn Executor>,
    /// Takes proofs.
    pub saver: Arc<dyn Saver>,
    /// Is told the stages.
    pub reporter: Arc<dyn Reporter>,
    /// Is told of blocks that proving came to another result of.
    pub disputes: Arc<dyn Disputes>,
    /// Sends heartbeats.
    pub lifeline: Arc<Lifeline>,
    /// Times and limits.
    pub config: WorkerConfig,
}

impl Runner {
    /// Works until shutdown. A bus that does not answer is waited for.
    pub async fn run(&self, shutdown: &Shutdown) {
        let _guard = shutdown.guard("prover worker");
        let backoff = RetryPolicy { max_attempts: u32::MAX, ..RetryPolicy::default() };
        let mut failures = 0_u32;
        while !shutdown.is_triggered() {
            // Never cancelled, because a job may be on its way: pulls are short.
            match self.picker.pick(self.config.pull_wait()).await {
                Ok(Some(assignment)) => {
                    failures = 0;
                    self.work(assignment, shutdown).await;
                }
                Ok(None) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = %error_chain(&error), failures, "no job could be taken");
                    tokio::select! {
                        () = tokio::time::sleep(backoff.delay(failures)) => {}
                        () = shutdown.triggered() => {}
                    }
                }
            }
        }
    }

    /// Does one job, whatever happens, and answers for it.
    pub async fn work(&self, assignment: Assignment, shutdown: &Shutdown) -> Outcome {
        let span = tracing::info_span!(
            "prove",
            target = %assignment.job.target,
            job = assignment.job.id,
            attempt = assignment.lease.job().attempt,
        );
        telemetry::follow_headers(&span, &assignment.headers);
        let begun = Instant::now();
        let outcome = self.attempt_and_answer(&assignment, shutdown).instrument(span).await;
        metrics::counter!("prover_jobs_total", "outcome" => outcome.name()).increment(1);
        metrics::histogram!("prover_job_seconds", "outcome" => outcome.name())
            .record(begun.elapsed().as_secs_f64());
        outcome
    }

    async fn attempt_and_answer(&self, assignment: &Assignment, shutdown: &Shutdown) -> Outcome {
        let Assignment { job, lease, .. } = assignment;
        let heartbeat = Heartbeat::start(&self.lifeline, lease.clone(), job, self.reporter.clone());
        let result = self.supervise(assignment, &heartbeat, shutdown).await;
        let delay = self.config.retry_delay();
        let (outcome, cause) = match &result {
            Ok(()) => (Outcome::Done, String::new()),
            Err(error) if is_dispute(error) => self.dispute(job, error_chain(error)).await,
            Err(AttemptError::LeaseLost) => (Outcome::Lost, String::new()),
            Err(AttemptError::Stopping) => (Outcome::Released, String::new()),
            Err(error) if is_permanent(error) => (Outcome::Parked, error_chain(error)),
            Err(error) => (Outcome::Retried, error_chain(error)),
        };
        if cause.is_empty() {
            tracing::info!(outcome = outcome.name(), "job ended");
        } else {
            tracing::error!(outcome = outcome.name(), cause, "job failed");
        }
        let answer = {
            let lease = lease.clone();
            async move {
                match outcome {
                    Outcome::Done => lease.ack().await,
                    Outcome::Retried => lease.nak(delay, &cause).await.map(|_| ()),
                    Outcome::Parked => lease.fail(&cause).await,
                    // At once where we are stopping, which is no cause.
                    Outcome::Released if cause.is_empty() => lease.release(Duration::ZERO).await,
                    Outcome::Released => lease.release(delay).await,
                    Outcome::Lost => Ok(()),
                }
            }
        };
        match self.lifeline.run(answer).await {
            Ok(Ok(())) => outcome,
            Ok(Err(error)) => {
                // The bus will deliver it again; whoever gets it finds the proof stored, or makes it.
                tracing::warn!(error = %error_chain(&error), "the job could not be answered for");
                if matches!(error, BusError::LeaseLost { .. }) { Outcome::Lost } else { outcome }
            }
            Err(error) => {
                tracing::warn!(%error, "the job could not be answered for");
                outcome
            }
        }
    }

    /// A job is parked only once somebody will hear why: until then it comes again, and with it the dispute.
    async fn dispute(&self, job: &ProveJob, cause: String) -> (Outcome, String) {
        metrics::counter!("prover_disputes_total").increment(1);
        match self.disputes.raise(job, &cause).await {
            Ok(()) => (Outcome::Parked, cause),
            Err(error) => {
                tracing::error!(error = %error_chain(&error), "a dispute could not be told");
                // Not counted as a failure, of which the last one would park it.
                (Outcome::Released, cause)
            }
        }
    }

    /// The attempt, under everything that may end it early. What loses is dropped, and with it the child.
    async fn supervise(
        &self,
        assignment: &Assignment,
        heartbeat: &Heartbeat,
        shutdown: &Shutdown,
    ) -> Result<(), AttemptError> {
        let limit = self.config.time_limit();
        let drained = async {
            shutdown.triggered().await;
            tokio::time::sleep(self.config.drain()).await;
        };
        tokio::select! {
            result = self.attempt(assignment, heartbeat) => result,
            () = heartbeat.lost() => Err(AttemptError::LeaseLost),
            () = drained => Err(AttemptError::Stopping),
            () = tokio::time::sleep(limit) => {
                Err(AttemptError::TimeLimit { limit, stage: heartbeat.stage() })
            }
        }
    }

    async fn attempt(
        &self,
        assignment: &Assignment,
        heartbeat: &Heartbeat,
    ) -> Result<(), AttemptError> {
        let job = &assignment.job;
        let mut inputs = Vec::with_capacity(job.inputs.len());
        for key in &job.inputs {
            inputs.push(self.objects.get(key).await.map_err(AttemptError::Input)?);
        }
        let enter = |stage| heartbeat.enter(stage);
        let executed = self
            .executor
            .execute(job.target, inputs, &enter)
            .await
            .map_err(AttemptError::Execute)?;
        heartbeat.enter_named(DELIVER);
        tracing::info!(
            bytes = executed.proof.len(),
            steps = executed.figures.cairo_steps,
            total_ms = executed.figures.total_ms,
            "proof made"
        );
        self.saver.save(job, executed.proof, executed.figures).await.map_err(AttemptError::Save)
    }
}

fn is_dispute(error: &AttemptError) -> bool {
    matches!(error, AttemptError::Execute(error) if error.is_dispute())
}

fn is_permanent(error: &AttemptError) -> bool {
    use sidereal_service::ErrorClass;
    match error {
        // Inputs are durable before the job is queued; one that is missing may be late on another replica.
        AttemptError::Input(error) => error.class() == ErrorClass::Exhausted,
        AttemptError::Execute(error) => !error.is_retryable(),
        // The proof store refuses what does not verify or does not belong to the block.
        AttemptError::Save(error) => error.class() == ErrorClass::Invalid,
        AttemptError::TimeLimit { .. } | AttemptError::Stopping | AttemptError::LeaseLost => false,
    }
}
