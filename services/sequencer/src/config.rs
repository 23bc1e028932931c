//! The sequencer's configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sidereal_bus::BusConfig;
use sidereal_chain_store::ChainStoreLimits;
use sidereal_execution::limits::BlockLimits;
use sidereal_object_store::ObjectStoreConfig;
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{Problems, ServiceConfig};
use sidereal_service::grpc::{ConnectConfig, ListenConfig};
use starknet_api::core::{ChainId, ContractAddress, PatriciaKey};
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_types_core::felt::Felt;

use crate::gas_prices::{GasPriceSource, GasPricesConfig};
use crate::genesis::GenesisSection;
use crate::mempool::PoolLimits;
use crate::production::ClosingRule;

/// Everything the sequencer can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SequencerConfig {
    /// `/live`, `/ready`, `/metrics`.
    pub admin: AdminConfig,
    /// The token that services share.
    pub auth: AuthConfig,
    /// Where `sidereal.sequencer.v1` is served.
    pub grpc: ListenConfig,
    /// The chain.
    pub chain: ChainConfig,
    /// What block 0 allocates; read once, on an empty chain store.
    pub genesis: GenesisSection,
    /// Prices of gas.
    pub gas_prices: GasPricesConfig,
    /// When a block is closed.
    pub block: BlockConfig,
    /// What fits into a block.
    pub block_limits: BlockLimits,
    /// The mempool's bounds.
    pub mempool: MempoolConfig,
    /// Who executes.
    pub executors: ExecutorsConfig,
    /// The chain store, of which the sequencer is the only writer.
    pub chain_store: ChainStoreConfig,
    /// Witnesses and classes.
    pub object_store: ObjectStoreConfig,
    /// Where `block.closed` is published.
    pub bus: BusConfig,
    /// Who knows what L1 holds and charges.
    pub l1_settlement: L1SettlementConfig,
    /// What becomes of blocks that provers came to another result of.
    pub disputes: DisputesConfig,
}

impl Default for SequencerConfig {
    fn default() -> Self {
        Self {
            admin: AdminConfig::on(9110),
            auth: AuthConfig::default(),
            grpc: ListenConfig::on(9010),
            chain: ChainConfig::default(),
            genesis: GenesisSection::default(),
            gas_prices: GasPricesConfig::default(),
            block: BlockConfig::default(),
            block_limits: BlockLimits::default(),
            mempool: MempoolConfig::default(),
            executors: ExecutorsConfig::default(),
            chain_store: ChainStoreConfig::default(),
            object_store: ObjectStoreConfig::default(),
            bus: BusConfig::default(),
            l1_settlement: L1SettlementConfig::default(),
            disputes: DisputesConfig::default(),
        }
    }
}

/// The `disputes` section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DisputesConfig {
    /// Hashes of disputed blocks that somebody has looked into and found in order: for them the chain does not halt.
    pub overruled: Vec<String>,
}

impl DisputesConfig {
    /// The hashes, as far as they are some.
    pub fn overruled(&self) -> impl Iterator<Item = Option<Felt>> + '_ {
        self.overruled.iter().map(|hash| Felt::from_hex(hash).ok())
    }
}

/// The `chain` section: what never changes in a chain's life.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain's id, 1 to 31 ASCII characters; transactions are signed for it.
    pub id: String,
    /// Who receives the fees, as `0x…`.
    pub sequencer_address: String,
    /// Whether state diffs go to L1 as blobs, and not as calldata.
    pub blob_data: bool,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            id: "SN_SIDEREAL".to_owned(),
            // "sequencer" in ASCII; nothing is deployed there.
            sequencer_address: "0x73657175656e636572".to_owned(),
            blob_data: true,
        }
    }
}

impl ChainConfig {
    /// The id as Starknet's type.
    pub fn chain_id(&self) -> ChainId {
        ChainId::from(self.id.clone())
    }

    /// The address, or `None` if it is not one.
    pub fn sequencer_address(&self) -> Option<ContractAddress> {
        let felt = Felt::from_hex(&self.sequencer_address).ok()?;
        PatriciaKey::try_from(felt).ok().map(ContractAddress)
    }

    /// How state diffs go to L1.
    pub fn l1_da_mode(&self) -> L1DataAvailabilityMode {
        L1DataAvailabilityMode::from_use_kzg_da(self.blob_data)
    }
}

/// The `block` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlockConfig {
    /// A block is closed so long after its first transaction was taken.
    pub close_after_ms: u64,
    /// Transactions that may be with the executor without an answer.
    pub max_unanswered: u64,
    /// An empty block is closed when the last one is so old; 0: there are no empty blocks.
    pub empty_after_ms: u64,
}

impl Default for BlockConfig {
    fn default() -> Self {
        Self { close_after_ms: 2_000, max_unanswered: 64, empty_after_ms: 0 }
    }
}

impl BlockConfig {
    /// The rule for the open block.
    pub fn closing_rule(&self, limits: &BlockLimits) -> ClosingRule {
        ClosingRule {
            after_ms: self.close_after_ms,
            max_transactions: limits.transactions,
            max_unanswered: usize::try_from(self.max_unanswered).unwrap_or(usize::MAX),
            allow_empty: false,
        }
    }
}

/// The `mempool` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MempoolConfig {
    /// Transactions at the same time.
    pub max_transactions: u64,
    /// Their bytes together.
    pub max_bytes: u64,
    /// Bytes of one transaction.
    pub max_transaction_bytes: u64,
    /// How far a nonce may be ahead of the account's next one.
    pub max_nonces_ahead: u64,
    /// How much more a transaction must offer to replace another one, in percent.
    pub replacement_bump_percent: u32,
    /// How long a transaction may wait.
    pub expire_after_ms: u64,
    /// Accounts whose nonce is remembered although nothing of theirs waits.
    pub max_idle_accounts: u64,
    /// Submissions that are made durable in one database transaction.
    pub max_commit_batch: u64,
    /// Submissions in hand at the same time; more are refused.
    pub max_submissions: u64,
    /// Whether the account's validation is run by an executor before a transaction is accepted. Without it, an
    /// invalid signature shows only at execution.
    pub validate: bool,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 50_000,
            max_bytes: 256 * 1024 * 1024,
            max_transaction_bytes: 256 * 1024,
            max_nonces_ahead: 200,
            replacement_bump_percent: 10,
            expire_after_ms: 60 * 60 * 1_000,
            max_idle_accounts: 100_000,
            max_commit_batch: 256,
            max_submissions: 4_096,
            validate: true,
        }
    }
}

impl MempoolConfig {
    /// The pool's bounds.
    pub fn pool_limits(&self) -> PoolLimits {
        let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        PoolLimits {
            max_transactions: count(self.max_transactions),
            max_bytes: self.max_bytes,
            max_nonces_ahead: self.max_nonces_ahead,
            replacement_bump_percent: self.replacement_bump_percent,
            expire_after_ms: self.expire_after_ms,
            max_idle_accounts: count(self.max_idle_accounts),
        }
    }
}

/// The `executors` section: who executes blocks, in the order in which they are tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorsConfig {
    /// `http://host:port` of each.
    pub urls: Vec<String>,
    /// How long to wait for a connection.
    pub connect_timeout_ms: u64,
    /// How long to wait for an answer; an executor that says nothing for so long is given up for the next one.
    pub timeout_ms: u64,
    /// Size of one message, in bytes.
    pub max_message_bytes: usize,
}

impl Default for ExecutorsConfig {
    fn default() -> Self {
        Self {
            urls: vec!["http://127.0.0.1:9020".to_owned()],
            connect_timeout_ms: 5_000,
            timeout_ms: 30_000,
            max_message_bytes: sidereal_proto::MAX_MESSAGE_BYTES,
        }
    }
}

impl ExecutorsConfig {
    /// How to reach each of them.
    pub fn connections(&self) -> Vec<ConnectConfig> {
        let connect = |url: &String| ConnectConfig {
            url: url.clone(),
            connect_timeout_ms: self.connect_timeout_ms,
            timeout_ms: self.timeout_ms,
            max_message_bytes: self.max_message_bytes,
        };
        self.urls.iter().map(connect).collect()
    }

    /// How long to wait for an answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// The `chain_store` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainStoreConfig {
    /// `sqlite://<file>` or `postgres://…`.
    pub url: String,
    /// Its bounds.
    pub limits: ChainStoreLimits,
}

impl Default for ChainStoreConfig {
    fn default() -> Self {
        Self {
            url: "sqlite://sidereal-data/chain.db".to_owned(),
            limits: ChainStoreLimits::default(),
        }
    }
}

/// The `l1_settlement` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1SettlementConfig {
    /// Whether the chain settles. Without, nothing is ever accepted on L1.
    pub enabled: bool,
    /// Where `sidereal.settlement.v1` is.
    pub settler: ConnectConfig,
    /// Time between two looks.
    pub poll_ms: u64,
}

impl Default for L1SettlementConfig {
    fn default() -> Self {
        Self { enabled: false, settler: ConnectConfig::to(9040), poll_ms: 4_000 }
    }
}

impl L1SettlementConfig {
    /// Time between two looks.
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

impl ServiceConfig for SequencerConfig {
    fn validate(&self, problems: &mut Problems) {
        self.admin.validate("admin", problems);
        self.auth.validate("auth", problems);
        self.grpc.validate("grpc", &self.auth, problems);
        self.object_store.validate("object_store", problems);
        self.bus.validate("bus", problems);
        self.genesis.validate("genesis", problems);

        let id = &self.chain.id;
        problems.require(
            "chain",
            "id",
            (1..=31).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()),
            "must have 1 to 31 visible ASCII characters",
        );
        problems.require(
            "chain",
            "sequencer_address",
            self.chain.sequencer_address().is_some(),
            "is no Starknet address (0x… below 2^251)",
        );

        self.gas_prices.validate("gas_prices", problems);
        problems.require(
            "gas_prices",
            "source",
            self.gas_prices.source == GasPriceSource::Fixed || self.l1_settlement.enabled,
            "is l1, of which only l1_settlement.enabled brings word",
        );
        let settlement = &self.l1_settlement;
        settlement.settler.validate("l1_settlement.settler", problems);
        problems.in_range("l1_settlement", "poll_ms", settlement.poll_ms, 10..=3_600_000);

        problems.require(
            "disputes",
            "overruled",
            self.disputes.overruled().all(|hash| hash.is_some()),
            "has something that is no block's hash (0x…)",
        );

        let block = &self.block;
        problems.in_range("block", "close_after_ms", block.close_after_ms, 10..=3_600_000);
        problems.in_range("block", "max_unanswered", block.max_unanswered, 1..=10_000);
        if block.empty_after_ms != 0 {
            problems.in_range("block", "empty_after_ms", block.empty_after_ms, 100..=86_400_000);
        }
        problems.require(
            "block_limits",
            "transactions",
            (1..=100_000).contains(&self.block_limits.transactions),
            "must be from 1 to 100000",
        );

        let pool = &self.mempool;
        let section = "mempool";
        problems.in_range(section, "max_transactions", pool.max_transactions, 1..=10_000_000);
        problems.in_range(section, "max_bytes", pool.max_bytes, 1_024..=1 << 40);
        problems.in_range(
            section,
            "max_transaction_bytes",
            pool.max_transaction_bytes,
            1_024..=pool.max_bytes,
        );
        problems.in_range(section, "max_nonces_ahead", pool.max_nonces_ahead, 0..=1_000_000);
        let bump = u64::from(pool.replacement_bump_percent);
        problems.in_range(section, "replacement_bump_percent", bump, 1..=1_000);
        problems.in_range(section, "expire_after_ms", pool.expire_after_ms, 1_000..=1 << 40);
        problems.in_range(section, "max_idle_accounts", pool.max_idle_accounts, 0..=10_000_000);
        problems.in_range(section, "max_commit_batch", pool.max_commit_batch, 1..=10_000);
        problems.in_range(section, "max_submissions", pool.max_submissions, 1..=1_000_000);

        let executors = &self.executors;
        problems.require("executors", "urls", !executors.urls.is_empty(), "must name at least one");
        for connection in executors.connections() {
            connection.validate("executors", problems);
        }

        let url = &self.chain_store.url;
        problems.require(
            "chain_store",
            "url",
            url.starts_with("sqlite://") || url.starts_with("postgres://"),
            "is neither sqlite://<file> nor postgres://…",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that the defaults are a configuration that can run.
    #[test]
    fn the_defaults_are_in_order() {
        let mut problems = Problems::default();
        SequencerConfig::default().validate(&mut problems);
        assert_eq!(problems.found(), []);
    }

    /// Pins down that everything wrong is said at once.
    #[test]
    fn every_wrong_value_is_named() {
        let mut config = SequencerConfig::default();
        config.chain.id = "much too long for a chain id of Starknet".to_owned();
        config.chain.sequencer_address = "here".to_owned();
        config.gas_prices.l2_gas_fri = 0;
        config.gas_prices.from_l1.min_l1_gas_wei = 2_000_000_000_000;
        config.gas_prices.source = GasPriceSource::L1;
        config.l1_settlement.settler.url = "settler".to_owned();
        config.disputes.overruled = vec!["0x1".to_owned(), "block 7".to_owned()];
        config.block.close_after_ms = 0;
        config.executors.urls.clear();
        config.chain_store.url = "chain.db".to_owned();
        let mut problems = Problems::default();
        config.validate(&mut problems);
        let keys: Vec<&str> = problems.found().iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "chain.id",
                "chain.sequencer_address",
                "gas_prices.l2_gas_fri",
                "gas_prices.from_l1.max_l1_gas_wei",
                "gas_prices.source",
                "l1_settlement.settler.url",
                "disputes.overruled",
                "block.close_after_ms",
                "executors.urls",
                "chain_store.url",
            ]
        );
    }
}
