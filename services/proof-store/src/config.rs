//! The proof store's configuration.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sidereal_bus::BusConfig;
use sidereal_chain_store::ChainStoreLimits;
use sidereal_object_store::ObjectStoreConfig;
use sidereal_os_aggregator::{MAX_BLOBS, MAX_BLOCKS};
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{Problems, ServiceConfig};
use sidereal_service::grpc::ListenConfig;
use starknet_api::core::ChainId;

use crate::aggregation::Policy;

/// Everything the proof store can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProofStoreConfig {
    /// `/live`, `/ready`, `/metrics`.
    pub admin: AdminConfig,
    /// The token that services share.
    pub auth: AuthConfig,
    /// Where `sidereal.proofs.v1` is served.
    pub grpc: ListenConfig,
    /// Where proofs are served to anybody.
    pub http: HttpConfig,
    /// The chain whose proofs these are.
    pub chain: ChainConfig,
    /// Which block has which proof.
    pub database: DatabaseConfig,
    /// The bytes of the proofs, and the witnesses.
    pub object_store: ObjectStoreConfig,
    /// The blocks, which the proof store only reads.
    pub chain_store: ChainStoreConfig,
    /// Where jobs go.
    pub bus: BusConfig,
    /// How jobs are planned.
    pub planner: PlannerConfig,
    /// Which blocks are aggregated together.
    pub aggregation: AggregationConfig,
}

impl Default for ProofStoreConfig {
    fn default() -> Self {
        Self {
            admin: AdminConfig::on(9130),
            auth: AuthConfig::default(),
            grpc: ListenConfig::on(9030),
            http: HttpConfig::default(),
            chain: ChainConfig::default(),
            database: DatabaseConfig::default(),
            object_store: ObjectStoreConfig::default(),
            chain_store: ChainStoreConfig::default(),
            bus: BusConfig::default(),
            planner: PlannerConfig::default(),
            aggregation: AggregationConfig::default(),
        }
    }
}

/// The `http` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port. What is served is public: blocks, witnesses and proofs.
    pub listen: SocketAddr,
    /// Allows an address that others can reach.
    pub allow_remote: bool,
    /// Connections at the same time, each for one request; more wait to be accepted.
    pub max_connections: usize,
    /// Proofs and witnesses in memory at the same time, until they are sent. As many requests may wait, and more are
    /// refused.
    pub max_concurrent: usize,
    /// A request that has waited so long is refused.
    pub max_wait_ms: u64,
    /// Of one request, sending the answer included; then the connection is cut.
    pub request_timeout_ms: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9031)),
            allow_remote: false,
            max_connections: 512,
            max_concurrent: 64,
            max_wait_ms: 5_000,
            request_timeout_ms: 120_000,
        }
    }
}

/// The `chain` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain's id, 1 to 31 ASCII characters.
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

/// The `database` section: the proof store's own tables.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://<file>` or `postgres://…`.
    pub url: String,
    /// Connections at the same time.
    pub connections: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: "sqlite://sidereal-data/proofs.db".to_owned(), connections: 8 }
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

/// The `planner` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlannerConfig {
    /// So long after a look at all blocks without a proof, the next event or timer begins another one.
    pub period_ms: u64,
    /// Jobs are planned for at most so many blocks past the first one that was found without a proof in that look.
    pub window_blocks: u64,
    /// Proofs that are verified at the same time.
    pub verifications: u32,
}

impl Default for PlannerConfig {
    fn default() -> Self {
        Self { period_ms: 5_000, window_blocks: 10_000, verifications: 2 }
    }
}

/// The `aggregation` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AggregationConfig {
    /// Whether proven blocks are aggregated at all; each step takes a worker some half a minute and up to 16 GB.
    pub enabled: bool,
    /// Fewer blocks are not aggregated, unless the next one does not fit beside them.
    pub min_blocks: u64,
    /// More blocks are not aggregated together.
    pub max_blocks: u64,
    /// Blobs that the data of a batch may fill.
    pub max_blobs: u64,
    /// Enough blocks wait this long, from when the first one was proven, for more.
    pub max_wait_ms: u64,
}

impl Default for AggregationConfig {
    fn default() -> Self {
        Self { enabled: false, min_blocks: 1, max_blocks: 64, max_blobs: 3, max_wait_ms: 600_000 }
    }
}

impl AggregationConfig {
    /// The same as the planner takes it.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            min_blocks: self.min_blocks,
            max_blocks: self.max_blocks,
            max_blobs: self.max_blobs,
            max_wait: Duration::from_millis(self.max_wait_ms),
        }
    }
}

impl ServiceConfig for ProofStoreConfig {
    fn validate(&self, problems: &mut Problems) {
        self.admin.validate("admin", problems);
        self.auth.validate("auth", problems);
        self.grpc.validate("grpc", &self.auth, problems);
        self.object_store.validate("object_store", problems);
        self.bus.validate("bus", problems);
        let http = &self.http;
        problems.require(
            "http",
            "listen",
            http.listen.ip().is_loopback() || http.allow_remote,
            format!("is {}, which others can reach; that needs http.allow_remote", http.listen),
        );
        problems.in_range("http", "max_connections", http.max_connections as u64, 1..=100_000);
        problems.in_range("http", "max_concurrent", http.max_concurrent as u64, 1..=10_000);
        let timeout_ms = http.request_timeout_ms;
        problems.in_range("http", "max_wait_ms", http.max_wait_ms, 0..=timeout_ms);
        problems.in_range("http", "request_timeout_ms", timeout_ms, 1_000..=3_600_000);
        let id = &self.chain.id;
        problems.require(
            "chain",
            "id",
            (1..=31).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()),
            "must have 1 to 31 visible ASCII characters",
        );
        for (section, url) in
            [("database", &self.database.url), ("chain_store", &self.chain_store.url)]
        {
            problems.require(
                section,
                "url",
                url.starts_with("sqlite://") || url.starts_with("postgres://"),
                "is neither sqlite://<file> nor postgres://…",
            );
        }
        problems.in_range("database", "connections", self.database.connections.into(), 1..=1_000);
        let planner = &self.planner;
        problems.in_range("planner", "period_ms", planner.period_ms, 100..=3_600_000);
        problems.in_range("planner", "window_blocks", planner.window_blocks, 1..=1_000_000);
        problems.in_range("planner", "verifications", planner.verifications.into(), 1..=64);
        let aggregation = &self.aggregation;
        let most = MAX_BLOCKS as u64;
        problems.in_range("aggregation", "max_blocks", aggregation.max_blocks, 1..=most);
        problems.in_range(
            "aggregation",
            "min_blocks",
            aggregation.min_blocks,
            1..=aggregation.max_blocks.max(1),
        );
        problems.in_range("aggregation", "max_blobs", aggregation.max_blobs, 1..=MAX_BLOBS as u64);
        problems.in_range("aggregation", "max_wait_ms", aggregation.max_wait_ms, 0..=86_400_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that the defaults are a configuration that can run.
    #[test]
    fn the_defaults_are_in_order() {
        let mut problems = Problems::default();
        ProofStoreConfig::default().validate(&mut problems);
        assert_eq!(problems.found(), []);
    }

    /// Pins down that proofs are served to others only when that was said.
    #[test]
    fn a_public_address_needs_to_be_meant() {
        let mut config = ProofStoreConfig::default();
        config.http.listen = SocketAddr::from(([0, 0, 0, 0], 80));
        let mut problems = Problems::default();
        config.validate(&mut problems);
        assert_eq!(problems.found().len(), 1);
        config.http.allow_remote = true;
        let mut problems = Problems::default();
        config.validate(&mut problems);
        assert_eq!(problems.found(), []);
    }
}
