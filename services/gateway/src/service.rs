//! Start, serve, drain.

use std::net::SocketAddr;
use std::time::Duration;

use jsonrpsee::server::ServerHandle;
use sidereal_chain_store::{ChainStore, ChainStoreError};
use sidereal_object_store::ObjectStoreError;
use sidereal_proto::executor::executor_service_client::ExecutorServiceClient;
use sidereal_proto::sequencer::sequencer_service_client::SequencerServiceClient;
use sidereal_service::admin::{self, AdminError};
use sidereal_service::grpc::{self as transport, GrpcError};
use sidereal_service::{Readiness, ServiceFuture, Shutdown, error_chain};
use tokio::task::JoinHandle;

use crate::config::GatewayConfig;
use crate::gateway::{Gateway, GatewayParts, chain_id_felt};
use crate::grpc::GatewayGrpc;
use crate::http::{HttpError, Listener};
use crate::methods;

/// How often a store that is not there yet is tried again: the sequencer may still be creating it.
const RETRY_STORE: Duration = Duration::from_millis(250);

/// Why the gateway could not be started or had to end.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("opening the chain store failed")]
    ChainStore(#[source] ChainStoreError),
    #[error("opening the object store failed")]
    ObjectStore(#[source] ObjectStoreError),
    #[error("chain.id {0:?} cannot be written as a field element")]
    ChainId(String),
    #[error("setting up gRPC failed")]
    Grpc(#[source] GrpcError),
    #[error("setting up the JSON-RPC listener failed")]
    Http(#[source] HttpError),
    #[error("registering the JSON-RPC methods failed")]
    Methods(#[source] jsonrpsee::core::RegisterMethodError),
    #[error("setting up the admin listener failed")]
    Admin(#[source] AdminError),
    #[error("the gRPC server's task ended before its time")]
    Task(#[source] tokio::task::JoinError),
    #[error("stopped before the chain store was there")]
    Stopped,
}

/// A gateway that answers.
#[derive(Debug)]
pub struct Running {
    /// Where JSON-RPC is answered.
    pub rpc: SocketAddr,
    /// Where gRPC is answered.
    pub grpc: SocketAddr,
    rpc_server: ServerHandle,
    grpc_server: JoinHandle<Result<(), GrpcError>>,
    shutdown: Shutdown,
}

/// Runs the gateway until shutdown.
pub fn run(config: GatewayConfig, shutdown: Shutdown) -> ServiceFuture<GatewayError> {
    Box::pin(until_shutdown(config, shutdown))
}

async fn until_shutdown(config: GatewayConfig, shutdown: Shutdown) -> Result<(), GatewayError> {
    match start(config, shutdown).await {
        Ok(running) => running.until_shutdown().await,
        // Told to stop while waiting for the others: nothing was begun.
        Err(GatewayError::Stopped) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Starts the gateway; for those who want to know its addresses. Ports are bound first, so that a second
/// gateway on the same ones fails at once.
pub async fn start(config: GatewayConfig, shutdown: Shutdown) -> Result<Running, GatewayError> {
    let chain_id = config.chain.chain_id();
    if chain_id_felt(&chain_id).is_none() {
        return Err(GatewayError::ChainId(config.chain.id.clone()));
    }
    let readiness = Readiness::new();
    let latch = readiness.hold("chain store");
    let listener = Listener::bind(config.rpc.listen).await.map_err(GatewayError::Http)?;
    let grpc_server = transport::Server::bind(&config.grpc, &config.grpc_auth)
        .await
        .map_err(GatewayError::Grpc)?;
    admin::start(&config.admin, &readiness, &shutdown).await.map_err(GatewayError::Admin)?;

    let channel = |to| transport::channel(to, &config.auth).map_err(GatewayError::Grpc);
    let sequencer = SequencerServiceClient::new(channel(&config.sequencer)?)
        .max_decoding_message_size(config.sequencer.max_message_bytes)
        .max_encoding_message_size(config.sequencer.max_message_bytes);
    let executor = ExecutorServiceClient::new(channel(&config.executor)?)
        .max_decoding_message_size(config.executor.max_message_bytes)
        .max_encoding_message_size(config.executor.max_message_bytes);
    let objects = sidereal_object_store::open(&config.object_store)
        .await
        .map_err(GatewayError::ObjectStore)?;
    let store = open_store(&config, &shutdown).await?;

    let gateway = Gateway::new(GatewayParts {
        chain_id,
        limits: config.limits.clone(),
        store,
        objects,
        sequencer,
        executor,
    });
    let (rpc, grpc) = (listener.local_addr(), grpc_server.local_addr());
    let module = methods::module(gateway.clone()).map_err(GatewayError::Methods)?;
    let rpc_server =
        listener.serve(&config.rpc, &config.limits, module).map_err(GatewayError::Http)?;
    let routes = GatewayGrpc::new(gateway, shutdown.clone()).routes(config.grpc.max_message_bytes);
    let grpc_server = tokio::spawn({
        let (readiness, shutdown) = (readiness.clone(), shutdown.clone());
        async move { grpc_server.serve(routes, &readiness, &shutdown).await }
    });
    latch.release();
    Ok(Running { rpc, grpc, rpc_server, grpc_server, shutdown })
}

impl Running {
    /// Waits for shutdown, then lets the calls in hand end.
    pub async fn until_shutdown(self) -> Result<(), GatewayError> {
        let _guard = self.shutdown.guard("gateway");
        // Ends on shutdown, or earlier with what broke it.
        let served = self.grpc_server.await.map_err(GatewayError::Task)?;
        // An error says that it is stopped already.
        let _ = self.rpc_server.stop();
        self.rpc_server.stopped().await;
        served.map_err(GatewayError::Grpc)
    }
}

/// Opens the chain store for reading; waits while the sequencer has not created it.
async fn open_store(
    config: &GatewayConfig,
    shutdown: &Shutdown,
) -> Result<ChainStore, GatewayError> {
    let mut waiting = false;
    loop {
        let store =
            ChainStore::connect_reader(&config.chain_store.url, config.chain_store.limits.clone())
                .await;
        let error = match store {
            Ok(store) => {
                return match store.ensure_chain(&config.chain.chain_id()).await {
                    // A reader cannot pin an id that the writer has not pinned yet.
                    Ok(()) | Err(ChainStoreError::ReadOnly { .. }) => Ok(store),
                    Err(error) => Err(GatewayError::ChainStore(error)),
                };
            }
            Err(error @ (ChainStoreError::Url { .. } | ChainStoreError::OtherChain { .. })) => {
                return Err(GatewayError::ChainStore(error));
            }
            Err(error) => error,
        };
        if !waiting {
            tracing::info!(error = %error_chain(&error), "waiting for the chain store");
            waiting = true;
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_STORE) => {}
            () = shutdown.triggered() => return Err(GatewayError::Stopped),
        }
    }
}
