//! The settler's configuration.

use std::time::Duration;

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use sidereal_service::Secret;
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{Problems, ServiceConfig};
use sidereal_service::grpc::{ConnectConfig, ListenConfig};

use crate::fees::FeeBounds;

const WEI_PER_GWEI: u128 = 1_000_000_000;
/// Fees stay far below what the table of transactions can hold.
const MAX_GWEI: u64 = 1_000_000;

/// Everything the settler can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1SettlerConfig {
    /// `/live`, `/ready`, `/metrics`.
    pub admin: AdminConfig,
    /// The token that services share.
    pub auth: AuthConfig,
    /// Where `sidereal.settlement.v1` is served.
    pub grpc: ListenConfig,
    /// Where batches and proofs are.
    pub proof_store: ConnectConfig,
    /// Where they are for those who settle in a silent operator's stead.
    pub public_proofs: PublicProofsConfig,
    /// Ethereum.
    pub l1: L1Config,
    /// Who pays.
    pub account: AccountConfig,
    /// What was sent, and who sends.
    pub database: DatabaseConfig,
    /// When and for how much is sent.
    pub settlement: SettlementConfig,
}

impl Default for L1SettlerConfig {
    fn default() -> Self {
        Self {
            admin: AdminConfig::on(9140),
            auth: AuthConfig::default(),
            grpc: ListenConfig::on(9040),
            proof_store: ConnectConfig::to(9030),
            public_proofs: PublicProofsConfig::default(),
            l1: L1Config::default(),
            account: AccountConfig::default(),
            database: DatabaseConfig::default(),
            settlement: SettlementConfig::default(),
        }
    }
}

/// The `public_proofs` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublicProofsConfig {
    /// Somebody's proof store as anybody may read it (HTTP), which takes the place of `proof_store`. Empty: none does.
    pub url: String,
    /// How long one answer may take.
    pub timeout_ms: u64,
}

impl Default for PublicProofsConfig {
    fn default() -> Self {
        Self { url: String::new(), timeout_ms: 60_000 }
    }
}

/// The `l1` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1Config {
    /// JSON-RPC over HTTP. A secret: with many providers it holds a key.
    pub url: Secret<String>,
    /// How long to wait for an answer.
    pub timeout_ms: u64,
    /// Address of `RollupCore`.
    pub rollup_core: String,
    /// Blocks on top of the one with an update after which it counts as settled.
    pub depth_blocks: u64,
    /// What was read of L1 longer ago is not told any more: `GetSettlement` is UNAVAILABLE until L1 is read again.
    pub stale_after_ms: u64,
}

impl Default for L1Config {
    fn default() -> Self {
        Self {
            url: Secret::new("http://127.0.0.1:8545".to_owned()),
            timeout_ms: 30_000,
            rollup_core: String::new(),
            depth_blocks: 64,
            stale_after_ms: 120_000,
        }
    }
}

impl L1Config {
    /// The contract's address; none if the configuration is not valid.
    pub fn rollup_core(&self) -> Option<Address> {
        self.rollup_core.parse().ok()
    }

    /// How old what is told may be.
    pub fn stale_after(&self) -> Duration {
        Duration::from_millis(self.stale_after_ms)
    }
}

/// The `account` section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountConfig {
    /// Private key of the account that sends updates, in hexadecimal. Nobody else may send from this account.
    pub private_key: Secret<String>,
}

/// The `database` section.
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
        Self { url: "sqlite://sidereal-data/l1-settler.db".to_owned(), connections: 4 }
    }
}

/// The `settlement` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettlementConfig {
    /// Time between two looks at L1.
    pub poll_ms: u64,
    /// A transaction that is not in a block after so many is sent again for more.
    pub replace_after_blocks: u64,
    /// How long the leader stays leader without a sign of life.
    pub lease_ms: u64,
    /// The most that is paid for a unit of gas, the tip included.
    pub max_fee_per_gas_gwei: u64,
    /// The highest tip.
    pub max_priority_fee_per_gas_gwei: u64,
    /// The most that is paid for a unit of blob gas.
    pub max_fee_per_blob_gas_gwei: u64,
}

impl Default for SettlementConfig {
    fn default() -> Self {
        Self {
            poll_ms: 4_000,
            replace_after_blocks: 5,
            lease_ms: 60_000,
            max_fee_per_gas_gwei: 500,
            max_priority_fee_per_gas_gwei: 50,
            max_fee_per_blob_gas_gwei: 500,
        }
    }
}

impl SettlementConfig {
    /// The bounds, in wei.
    pub fn bounds(&self) -> FeeBounds {
        let wei = |gwei: u64| u128::from(gwei) * WEI_PER_GWEI;
        FeeBounds {
            max_fee_per_gas: wei(self.max_fee_per_gas_gwei),
            max_priority_fee_per_gas: wei(self.max_priority_fee_per_gas_gwei),
            max_fee_per_blob_gas: wei(self.max_fee_per_blob_gas_gwei),
        }
    }

    /// Time between two looks at L1.
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

impl ServiceConfig for L1SettlerConfig {
    fn validate(&self, problems: &mut Problems) {
        self.admin.validate("admin", problems);
        self.auth.validate("auth", problems);
        self.grpc.validate("grpc", &self.auth, problems);
        self.proof_store.validate("proof_store", problems);
        const URL: &str = "must be http://host:port or https://host:port";
        let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        problems.require("l1", "url", is_url(self.l1.url.expose()), URL);
        let public = &self.public_proofs;
        let is_valid = public.url.is_empty() || is_url(&public.url);
        problems.require("public_proofs", "url", is_valid, URL);
        problems.in_range("public_proofs", "timeout_ms", public.timeout_ms, 100..=600_000);
        problems.in_range("l1", "timeout_ms", self.l1.timeout_ms, 100..=600_000);
        problems.in_range("l1", "depth_blocks", self.l1.depth_blocks, 0..=10_000);
        // Sooner than the next look, it would be stale without a fault of L1's.
        let soonest = self.settlement.poll_ms.max(1_000);
        problems.in_range("l1", "stale_after_ms", self.l1.stale_after_ms, soonest..=86_400_000);
        problems.require(
            "l1",
            "rollup_core",
            self.l1.rollup_core().is_some(),
            "must be the address of the rollup's contract, 0x and 40 hexadecimal digits",
        );
        problems.require(
            "account",
            "private_key",
            !self.account.private_key.is_empty(),
            "must be the key of the account that sends updates",
        );
        problems.require(
            "database",
            "url",
            self.database.url.starts_with("sqlite://")
                || self.database.url.starts_with("postgres://"),
            "is neither sqlite://<file> nor postgres://…",
        );
        problems.in_range("database", "connections", self.database.connections.into(), 1..=1_000);
        let settlement = &self.settlement;
        let section = "settlement";
        problems.in_range(section, "poll_ms", settlement.poll_ms, 10..=600_000);
        let blocks = settlement.replace_after_blocks;
        problems.in_range(section, "replace_after_blocks", blocks, 1..=1_000);
        // Shorter than three looks, a leader would lose its lease between them.
        let shortest = settlement.poll_ms.saturating_mul(3);
        problems.in_range(section, "lease_ms", settlement.lease_ms, shortest..=3_600_000);
        for (key, gwei) in [
            ("max_fee_per_gas_gwei", settlement.max_fee_per_gas_gwei),
            ("max_priority_fee_per_gas_gwei", settlement.max_priority_fee_per_gas_gwei),
            ("max_fee_per_blob_gas_gwei", settlement.max_fee_per_blob_gas_gwei),
        ] {
            problems.in_range(section, key, gwei, 1..=MAX_GWEI);
        }
        problems.require(
            section,
            "max_priority_fee_per_gas_gwei",
            settlement.max_priority_fee_per_gas_gwei <= settlement.max_fee_per_gas_gwei,
            "is more than max_fee_per_gas_gwei, of which it is a part",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &L1SettlerConfig) -> Vec<String> {
        let mut problems = Problems::default();
        config.validate(&mut problems);
        problems.found().iter().map(|(path, _)| path.clone()).collect()
    }

    /// Pins down that the defaults want a contract and a key, and nothing else.
    #[test]
    fn contract_and_key_must_be_given() {
        let mut config = L1SettlerConfig::default();
        assert_eq!(problems(&config), ["l1.rollup_core", "account.private_key"]);
        config.l1.rollup_core = format!("0x{}", "11".repeat(20));
        config.account.private_key = Secret::new("1".repeat(64));
        assert_eq!(problems(&config), Vec::<String>::new());
    }

    /// Pins down that another proof store is one that can be connected to.
    #[test]
    fn a_public_proof_store_has_an_address() {
        let mut config = L1SettlerConfig::default();
        for (url, is_valid) in
            [("", true), ("https://proofs.example/x", true), ("proofs.example:9031", false)]
        {
            config.public_proofs.url = url.to_owned();
            let found = problems(&config).contains(&"public_proofs.url".to_owned());
            assert_eq!(found, !is_valid, "{url}");
        }
    }

    /// Pins down that what is told may become stale only after the next look at L1.
    #[test]
    fn nothing_is_stale_before_the_next_look() {
        let mut config = L1SettlerConfig::default();
        config.l1.rollup_core = format!("0x{}", "11".repeat(20));
        config.account.private_key = Secret::new("1".repeat(64));
        for (poll_ms, stale_after_ms, is_valid) in [
            (10, 999, false),
            (10, 1_000, true),
            (4_000, 3_999, false),
            (4_000, 4_000, true),
            (4_000, 86_400_000, true),
            (4_000, 86_400_001, false),
        ] {
            config.settlement.poll_ms = poll_ms;
            config.l1.stale_after_ms = stale_after_ms;
            let found = problems(&config);
            assert_eq!(found.is_empty(), is_valid, "{poll_ms}, {stale_after_ms}: {found:?}");
            assert!(found.iter().all(|path| path == "l1.stale_after_ms"), "{found:?}");
        }
    }

    /// Pins down that neither the key nor the URL, which may hold one, is ever printed.
    #[test]
    fn secrets_are_not_printed() {
        let mut config = L1SettlerConfig::default();
        config.account.private_key = Secret::new("5eed".to_owned());
        config.l1.url = Secret::new("https://l1.example/5eed".to_owned());
        assert!(!format!("{config:?}").contains("5eed"));
        assert!(!serde_json::to_string(&config).unwrap().contains("5eed"));
    }
}
