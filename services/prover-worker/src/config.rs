//! Configuration of a prover-worker.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sidereal_bus::BusConfig;
use sidereal_object_store::ObjectStoreConfig;
use sidereal_proto::{AGGREGATION_QUEUE, PROVING_QUEUE};
use sidereal_service::RetryPolicy;
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{Problems, ServiceConfig};
use sidereal_service::grpc::ConnectConfig;

/// All sections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProverWorkerConfig {
    /// The token that services share.
    pub auth: AuthConfig,
    /// Probes and metrics.
    pub admin: AdminConfig,
    /// Where jobs come from.
    pub bus: BusConfig,
    /// Where witnesses and proofs are.
    pub object_store: ObjectStoreConfig,
    /// Where proofs go.
    pub proof_store: ConnectConfig,
    /// The work itself.
    pub worker: WorkerConfig,
    /// How the proof store is called again when it does not answer.
    pub retry: RetryPolicy,
}

/// The `worker` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// How the worker calls itself; empty: host name and process id.
    pub name: String,
    /// The work queues, the one that is looked into first before the others. Of two workers, one with little memory can
    /// be kept to `["prove"]`: the steps of an aggregation take up to 16 GB, blocks some 10.
    pub queues: Vec<String>,
    /// How long one pull waits for a job, in the last queue: so much later may a job of another one be seen.
    pub pull_wait_ms: u64,
    /// How long one proof may take, everything included.
    pub time_limit_ms: u64,
    /// How long the proof in hand may go on after shutdown has begun.
    pub drain_ms: u64,
    /// Wait before a failed job is delivered again.
    pub retry_delay_ms: u64,
    /// Folder for what a proof is made from, and the proof, while a job runs; unset: the system's.
    pub scratch: Option<PathBuf>,
    /// The program that holds the prover, which must call [`crate::child::main_if_requested`]; unset: this one.
    pub program: Option<PathBuf>,
    /// Threads of the prover; 0: one a core.
    pub threads: u32,
    /// How much the prover yields to other processes on this machine: 0 (not at all) to 19.
    pub niceness: u32,
}

impl Default for ProverWorkerConfig {
    fn default() -> Self {
        Self {
            auth: AuthConfig::default(),
            admin: AdminConfig::default(),
            bus: BusConfig::default(),
            object_store: ObjectStoreConfig::default(),
            proof_store: ConnectConfig { timeout_ms: 60_000, ..ConnectConfig::to(9030) },
            worker: WorkerConfig::default(),
            retry: RetryPolicy { initial_ms: 250, factor: 2.0, max_ms: 15_000, max_attempts: 12 },
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            queues: [AGGREGATION_QUEUE, PROVING_QUEUE].map(str::to_owned).to_vec(),
            pull_wait_ms: 1_000,
            time_limit_ms: 30 * 60 * 1_000,
            drain_ms: 20_000,
            retry_delay_ms: 2_000,
            scratch: None,
            program: None,
            threads: 0,
            niceness: 10,
        }
    }
}

impl ServiceConfig for ProverWorkerConfig {
    fn validate(&self, problems: &mut Problems) {
        self.auth.validate("auth", problems);
        self.admin.validate("admin", problems);
        self.bus.validate("bus", problems);
        self.object_store.validate("object_store", problems);
        self.proof_store.validate("proof_store", problems);
        self.retry.validate("retry", problems);
        let worker = &self.worker;
        problems.require("worker", "name", worker.name.len() <= 128, "has more than 128 bytes");
        problems.require(
            "worker",
            "queues",
            (1..=8).contains(&worker.queues.len()),
            "must name one to eight queues",
        );
        problems.in_range("worker", "pull_wait_ms", worker.pull_wait_ms, 10..=60_000);
        problems.in_range("worker", "time_limit_ms", worker.time_limit_ms, 1_000..=86_400_000);
        problems.in_range("worker", "drain_ms", worker.drain_ms, 0..=3_600_000);
        problems.in_range("worker", "retry_delay_ms", worker.retry_delay_ms, 0..=3_600_000);
        problems.in_range("worker", "threads", u64::from(worker.threads), 0..=1_024);
        problems.in_range("worker", "niceness", u64::from(worker.niceness), 0..=19);
    }
}

impl WorkerConfig {
    /// The configured name, or one that tells workers of several machines apart.
    pub(crate) fn display_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let host = if host.is_empty() { "worker" } else { host };
        format!("{host}-{}", std::process::id())
    }

    pub(crate) fn pull_wait(&self) -> Duration {
        Duration::from_millis(self.pull_wait_ms)
    }

    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_millis(self.time_limit_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    pub(crate) fn retry_delay(&self) -> Duration {
        Duration::from_millis(self.retry_delay_ms)
    }
}
