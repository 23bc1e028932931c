//! The executor's configuration.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sidereal_chain_store::ChainStoreLimits;
use sidereal_execution::classes::ExecutionMode;
use sidereal_object_store::ObjectStoreConfig;
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{Problems, ServiceConfig};
use sidereal_service::grpc::ListenConfig;
use starknet_api::core::ChainId;

/// Everything the executor can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorConfig {
    /// `/live`, `/ready`, `/metrics`.
    pub admin: AdminConfig,
    /// The token that services share.
    pub auth: AuthConfig,
    /// Where `sidereal.executor.v1` is served.
    pub grpc: ListenConfig,
    /// The chain.
    pub chain: ChainConfig,
    /// How code runs.
    pub execution: ExecutionConfig,
    /// Bounds of calls, simulations, validations and traces.
    pub queries: QueriesConfig,
    /// The chain store, which the executor only reads.
    pub chain_store: ChainStoreConfig,
    /// Classes.
    pub object_store: ObjectStoreConfig,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        let grpc = ListenConfig {
            max_message_bytes: sidereal_proto::MAX_MESSAGE_BYTES,
            ..ListenConfig::on(9020)
        };
        Self {
            admin: AdminConfig::on(9120),
            auth: AuthConfig::default(),
            grpc,
            chain: ChainConfig::default(),
            execution: ExecutionConfig::default(),
            queries: QueriesConfig::default(),
            chain_store: ChainStoreConfig::default(),
            object_store: ObjectStoreConfig::default(),
        }
    }
}

/// The `chain` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain's id, 1 to 31 ASCII characters; transactions are signed for it.
    pub id: String,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self { id: "SN_SIDEREAL".to_owned() }
    }
}

impl ChainConfig {
    /// The id as Starknet's type.
    pub fn chain_id(&self) -> ChainId {
        ChainId::from(self.id.clone())
    }
}

/// The `execution` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// `native` (needs a build with Cairo Native) or `vm`.
    pub mode: ExecutionMode,
    /// Where natively compiled classes are kept.
    pub native_cache: PathBuf,
    /// Classes kept in memory, in runnable form.
    pub cached_classes: u64,
    /// Values of the latest state kept in memory.
    pub cached_values: u64,
    /// Blocks that may be open at the same time; more streams are refused. Two streams of one sequencer overlap
    /// when it gives one up and begins again.
    pub open_blocks: u64,
    /// Transactions executed before their outcomes are answered.
    pub outcomes_per_answer: u64,
}

impl Default for ExecutionConfig {
    fn default() -> Self {
        Self {
            mode: if cfg!(feature = "native") { ExecutionMode::Native } else { ExecutionMode::Vm },
            native_cache: PathBuf::from("sidereal-data/native-classes"),
            cached_classes: 512,
            cached_values: 1 << 20,
            open_blocks: 4,
            outcomes_per_answer: 16,
        }
    }
}

/// The `queries` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueriesConfig {
    /// Queries that run at the same time.
    pub threads: u64,
    /// Queries that may wait for a thread; more are refused.
    pub waiting: u64,
    /// How long one may wait.
    pub wait_ms: u64,
    /// Transactions in one simulation.
    pub simulated_transactions: u64,
}

impl Default for QueriesConfig {
    fn default() -> Self {
        Self { threads: 4, waiting: 1_024, wait_ms: 10_000, simulated_transactions: 100 }
    }
}

/// The `chain_store` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainStoreConfig {
    /// `sqlite://<file>` or `postgres://…`.
    pub url: String,
    /// How long a start waits for the sequencer to create the store.
    pub wait_for_schema_ms: u64,
    /// Its bounds.
    pub limits: ChainStoreLimits,
}

impl Default for ChainStoreConfig {
    fn default() -> Self {
        Self {
            url: "sqlite://sidereal-data/chain.db".to_owned(),
            wait_for_schema_ms: 120_000,
            limits: ChainStoreLimits::default(),
        }
    }
}

impl ServiceConfig for ExecutorConfig {
    fn validate(&self, problems: &mut Problems) {
        self.admin.validate("admin", problems);
        self.auth.validate("auth", problems);
        self.grpc.validate("grpc", &self.auth, problems);
        self.object_store.validate("object_store", problems);
        let id = &self.chain.id;
        problems.require(
            "chain",
            "id",
            (1..=31).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()),
            "must have 1 to 31 visible ASCII characters",
        );
        let execution = &self.execution;
        let section = "execution";
        problems.require(
            section,
            "mode",
            cfg!(feature = "native") || execution.mode == ExecutionMode::Vm,
            "is native, and this build has no Cairo Native",
        );
        problems.in_range(section, "cached_classes", execution.cached_classes, 1..=100_000);
        problems.in_range(section, "cached_values", execution.cached_values, 1..=1 << 30);
        problems.in_range(section, "open_blocks", execution.open_blocks, 1..=64);
        problems.in_range(
            section,
            "outcomes_per_answer",
            execution.outcomes_per_answer,
            1..=10_000,
        );
        let queries = &self.queries;
        problems.in_range("queries", "threads", queries.threads, 1..=256);
        problems.in_range("queries", "waiting", queries.waiting, 0..=100_000);
        problems.in_range("queries", "wait_ms", queries.wait_ms, 1..=600_000);
        problems.in_range(
            "queries",
            "simulated_transactions",
            queries.simulated_transactions,
            1..=10_000,
        );
        let url = &self.chain_store.url;
        problems.require(
            "chain_store",
            "url",
            url.starts_with("sqlite://") || url.starts_with("postgres://"),
            "is neither sqlite://<file> nor postgres://…",
        );
        problems.in_range(
            "chain_store",
            "wait_for_schema_ms",
            self.chain_store.wait_for_schema_ms,
            0..=3_600_000,
        );
    }
}

/// A bound of the configuration as a number of things in memory. Validation keeps it in range.
pub(crate) fn count(bound: u64) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}

/// The same for a cache, which holds at least one.
pub(crate) fn capacity(bound: u64) -> NonZeroUsize {
    NonZeroUsize::new(count(bound)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that the defaults are a configuration that can run.
    #[test]
    fn the_defaults_are_in_order() {
        let mut problems = Problems::default();
        ExecutorConfig::default().validate(&mut problems);
        assert_eq!(problems.found(), []);
    }

    /// Pins down that everything wrong is said at once.
    #[test]
    fn every_wrong_value_is_named() {
        let mut config = ExecutorConfig::default();
        config.chain.id = String::new();
        config.execution.open_blocks = 0;
        config.queries.threads = 0;
        config.chain_store.url = "chain.db".to_owned();
        let mut problems = Problems::default();
        config.validate(&mut problems);
        let keys: Vec<&str> = problems.found().iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            ["chain.id", "execution.open_blocks", "queries.threads", "chain_store.url"]
        );
    }
}
