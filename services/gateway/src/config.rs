//! The gateway's configuration.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sidereal_chain_store::ChainStoreLimits;
use sidereal_object_store::ObjectStoreConfig;
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{Problems, ServiceConfig};
use sidereal_service::grpc::{ConnectConfig, ListenConfig};
use starknet_api::core::ChainId;

use crate::limits::Limits;

/// Everything the gateway can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// `/live`, `/ready`, `/metrics`.
    pub admin: AdminConfig,
    /// The token that services share; shown to sequencer and executor.
    pub auth: AuthConfig,
    /// The chain.
    pub chain: ChainConfig,
    /// Where JSON-RPC is served.
    pub rpc: RpcConfig,
    /// Where `sidereal.gateway.v1` is served.
    pub grpc: ListenConfig,
    /// The token that callers of `sidereal.gateway.v1` show; never the services' own.
    pub grpc_auth: AuthConfig,
    /// Bounds of requests.
    pub limits: Limits,
    /// The chain store, which the gateway only reads.
    pub chain_store: ChainStoreConfig,
    /// Classes.
    pub object_store: ObjectStoreConfig,
    /// The sequencer.
    pub sequencer: ConnectConfig,
    /// An executor, or what balances between several.
    pub executor: ConnectConfig,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            admin: AdminConfig::on(9100),
            auth: AuthConfig::default(),
            chain: ChainConfig::default(),
            rpc: RpcConfig::default(),
            grpc: ListenConfig::on(9000),
            grpc_auth: AuthConfig::default(),
            limits: Limits::default(),
            chain_store: ChainStoreConfig::default(),
            object_store: ObjectStoreConfig::default(),
            sequencer: ConnectConfig::to(9010),
            executor: ConnectConfig::to(9020),
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

/// The `rpc` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RpcConfig {
    /// Address and port; port 0 takes a free one. There are no secrets behind it: what anybody may read and
    /// send on the chain can be read and sent.
    pub listen: SocketAddr,
    /// Origins of web pages that may call; `*` is any.
    pub allowed_origins: Vec<String>,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9545)),
            allowed_origins: vec!["*".to_owned()],
        }
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

impl ServiceConfig for GatewayConfig {
    fn validate(&self, problems: &mut Problems) {
        self.admin.validate("admin", problems);
        self.auth.validate("auth", problems);
        self.grpc.validate("grpc", &self.grpc_auth, problems);
        self.grpc_auth.validate("grpc_auth", problems);
        self.limits.validate("limits", problems);
        self.object_store.validate("object_store", problems);
        self.sequencer.validate("sequencer", problems);
        self.executor.validate("executor", problems);
        let id = &self.chain.id;
        problems.require(
            "chain",
            "id",
            (1..=31).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()),
            "must have 1 to 31 visible ASCII characters",
        );
        problems.require(
            "chain_store",
            "url",
            ["sqlite://", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| self.chain_store.url.starts_with(scheme)),
            "must be sqlite://<file> or postgres://…",
        );
        for origin in &self.rpc.allowed_origins {
            problems.require(
                "rpc",
                "allowed_origins",
                !origin.is_empty() && origin.bytes().all(|byte| byte.is_ascii_graphic()),
                format!("has {origin:?}, which is no origin of a web page"),
            );
        }
    }
}
