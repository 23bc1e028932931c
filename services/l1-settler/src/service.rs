//! Start, serve, drain.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use sidereal_proto::settlement::settlement_service_server::SettlementServiceServer;
use sidereal_service::admin::{self, AdminError};
use sidereal_service::grpc::{GrpcError, Server};
use sidereal_service::{
    Readiness, Reconciler, RetryPolicy, ServiceFuture, Shutdown, Waker, error_chain,
};
use tokio::sync::watch;
use tonic::service::Routes;

use crate::account::{Account, AccountError};
use crate::batches::Batches;
use crate::config::L1SettlerConfig;
use crate::grpc::SettlementGrpc;
use crate::l1::{BadUrl, L1, L1Error};
use crate::proof_store::{BadProofsUrl, ProofStoreBatches};
use crate::settler::Settler;
use crate::store::{SettlerStore, StoreError};

/// The settler could not start, or a listener failed.
#[derive(Debug, thiserror::Error)]
pub enum L1SettlerError {
    /// The admin listener.
    #[error("starting the admin listener failed")]
    Admin(#[source] AdminError),
    /// The listener of gRPC.
    #[error("serving gRPC failed")]
    Grpc(#[source] GrpcError),
    /// The source of batches.
    #[error("connecting to the proof store failed")]
    ProofStore(#[source] GrpcError),
    /// The public source of batches.
    #[error("connecting to the public proof store failed")]
    PublicProofs(#[source] BadProofsUrl),
    /// The node's address.
    #[error("connecting to L1 failed")]
    Url(#[source] BadUrl),
    /// The node.
    #[error("reading L1 failed")]
    L1(#[source] L1Error),
    /// The key.
    #[error("opening the account failed")]
    Account(#[source] AccountError),
    /// The database.
    #[error("opening the settler's database failed")]
    Store(#[source] StoreError),
    /// The contract's address is none.
    #[error("l1.rollup_core is no address")]
    NoAddress,
    /// There is nothing at the contract's address.
    #[error("there is no contract at {rollup_core} on chain {chain_id}")]
    NoContract {
        /// As configured.
        rollup_core: Address,
        /// The node's.
        chain_id: u64,
    },
}

/// Runs the settler over what the proof store has until shutdown.
pub fn run(config: L1SettlerConfig, shutdown: Shutdown) -> ServiceFuture<L1SettlerError> {
    Box::pin(async move {
        let public = &config.public_proofs;
        let batches = if public.url.is_empty() {
            ProofStoreBatches::new(&config.proof_store, &config.auth)
                .map_err(L1SettlerError::ProofStore)?
        } else {
            let timeout = Duration::from_millis(public.timeout_ms);
            ProofStoreBatches::public(&public.url, timeout).map_err(L1SettlerError::PublicProofs)?
        };
        until_shutdown(config, Arc::new(batches), shutdown).await
    })
}

/// Runs the settler over `batches` until shutdown.
pub fn run_over(
    config: L1SettlerConfig,
    batches: Arc<dyn Batches>,
    shutdown: Shutdown,
) -> ServiceFuture<L1SettlerError> {
    Box::pin(until_shutdown(config, batches, shutdown))
}

async fn until_shutdown(
    config: L1SettlerConfig,
    batches: Arc<dyn Batches>,
    shutdown: Shutdown,
) -> Result<(), L1SettlerError> {
    // A settler that ends stops its own parts and not those of the process it runs in.
    let shutdown = shutdown.child();
    let readiness = Readiness::new();
    let starting = readiness.hold("l1-settler");
    admin::start(&config.admin, &readiness, &shutdown).await.map_err(L1SettlerError::Admin)?;
    let server = Server::bind(&config.grpc, &config.auth).await.map_err(L1SettlerError::Grpc)?;

    let account = Account::new(&config.account.private_key).map_err(L1SettlerError::Account)?;
    let rollup_core = config.l1.rollup_core().ok_or(L1SettlerError::NoAddress)?;
    let timeout = Duration::from_millis(config.l1.timeout_ms);
    let l1 = L1::new(&config.l1.url, timeout).map_err(L1SettlerError::Url)?;
    let store = SettlerStore::open(&config.database).await.map_err(L1SettlerError::Store)?;
    let (chain_id, is_there) = RetryPolicy::default()
        .run("find the contract", &shutdown, || async {
            let chain_id = l1.chain_id().await?;
            let head = l1.head().await?;
            Ok((chain_id, l1.has_code(rollup_core, head.hash).await?))
        })
        .await
        .map_err(L1SettlerError::L1)?;
    if !is_there {
        return Err(L1SettlerError::NoContract { rollup_core, chain_id });
    }

    let (status, watched) = watch::channel(None);
    let settler = Arc::new(Settler {
        l1,
        account,
        store,
        batches,
        rollup_core,
        chain_id,
        holder: format!("{}-{}", std::process::id(), uuid::Uuid::new_v4()),
        depth_blocks: config.l1.depth_blocks,
        config: config.settlement.clone(),
        status,
    });
    let address = settler.account.address();
    tracing::info!(%rollup_core, chain_id, account = %address, "settler is ready");
    let passing = settler.clone();
    let passes = Reconciler::new("l1-settler", config.settlement.poll()).spawn(
        &shutdown,
        Waker::new(),
        move || {
            let settler = passing.clone();
            async move { settler.pass().await }
        },
    );
    let service = SettlementServiceServer::new(SettlementGrpc {
        status: watched,
        stale_after: config.l1.stale_after(),
    });
    starting.release();
    let served = server.serve(Routes::new(service), &readiness, &shutdown).await;
    shutdown.trigger();
    if let Err(error) = passes.await {
        tracing::warn!(error = %error_chain(&error), "the settler's task ended before its time");
    }
    settler.resign().await;
    served.map_err(L1SettlerError::Grpc)
}
