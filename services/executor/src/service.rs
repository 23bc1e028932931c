//! The executor as a service.

use std::sync::Arc;
use std::time::Duration;

use sidereal_chain_store::{ChainStore, ChainStoreError};
use sidereal_execution::classes::{Classes, RunnableClasses, RunnableClassesConfig};
use sidereal_object_store::ObjectStoreError;
use sidereal_proto::executor::executor_service_server::ExecutorServiceServer;
use sidereal_service::admin::{self, AdminError};
use sidereal_service::grpc::{GrpcError, Server};
use sidereal_service::{Readiness, ServiceFuture, Shutdown, error_chain};
use starknet_api::core::ChainId;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::service::Routes;

use crate::block_stream::LastClosed;
use crate::classes::StoredClasses;
use crate::config::{ChainStoreConfig, ExecutorConfig, capacity, count};
use crate::grpc::ExecutorGrpc;
use crate::queries::{Contexts, QueryPool};
use crate::state::ValueCache;

/// How often a start looks for the chain store.
const STORE_POLL: Duration = Duration::from_millis(200);

/// What blocks and queries share.
pub(crate) struct Shared {
    pub(crate) chain_id: ChainId,
    pub(crate) store: ChainStore,
    pub(crate) values: Arc<ValueCache>,
    pub(crate) classes: Arc<dyn Classes>,
    pub(crate) queries: QueryPool,
    pub(crate) contexts: Contexts,
    pub(crate) last_closed: LastClosed,
    pub(crate) outcomes_per_answer: usize,
    /// Drives reads for threads that block on them.
    pub(crate) runtime: Handle,
}

/// The executor could not start, or its listener failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The admin listener.
    #[error("start the admin listener")]
    Admin(#[source] AdminError),
    /// The chain store.
    #[error("open the chain store")]
    ChainStore(#[source] ChainStoreError),
    /// The object store.
    #[error("open the object store")]
    ObjectStore(#[source] ObjectStoreError),
    /// The threads for queries.
    #[error("start the threads for queries")]
    Threads(#[source] std::io::Error),
    /// The gRPC listener.
    #[error("serve gRPC")]
    Grpc(#[source] GrpcError),
}

/// Runs an executor until shutdown. Open blocks may end; new ones are refused.
pub fn run(config: ExecutorConfig, shutdown: Shutdown) -> ServiceFuture<ExecutorError> {
    Box::pin(until_shutdown(config, shutdown))
}

async fn until_shutdown(config: ExecutorConfig, shutdown: Shutdown) -> Result<(), ExecutorError> {
    let readiness = Readiness::new();
    let starting = readiness.hold("executor");
    admin::start(&config.admin, &readiness, &shutdown).await.map_err(ExecutorError::Admin)?;
    let server = Server::bind(&config.grpc, &config.auth).await.map_err(ExecutorError::Grpc)?;

    let Some(store) = open_chain_store(&config.chain_store, &shutdown).await? else {
        return Ok(());
    };
    let objects = sidereal_object_store::open(&config.object_store)
        .await
        .map_err(ExecutorError::ObjectStore)?;
    let runtime = Handle::current();
    let execution = &config.execution;
    let classes = RunnableClasses::new(
        Arc::new(StoredClasses::new(objects, runtime.clone())),
        RunnableClassesConfig {
            mode: execution.mode,
            native_cache: execution.native_cache.clone(),
            compile_in_background: true,
            capacity: capacity(execution.cached_classes),
        },
    );
    let shared = Arc::new(Shared {
        chain_id: config.chain.chain_id(),
        store,
        values: Arc::new(ValueCache::new(capacity(execution.cached_values))),
        classes: Arc::new(classes),
        queries: QueryPool::start(&config.queries).map_err(ExecutorError::Threads)?,
        contexts: Contexts::new(),
        last_closed: LastClosed::default(),
        outcomes_per_answer: count(execution.outcomes_per_answer),
        runtime,
    });
    let service = ExecutorServiceServer::new(ExecutorGrpc {
        shared,
        open_blocks: Arc::new(Semaphore::new(count(execution.open_blocks))),
        shutdown: shutdown.clone(),
    })
    .max_decoding_message_size(config.grpc.max_message_bytes)
    .max_encoding_message_size(config.grpc.max_message_bytes);
    tracing::info!(mode = ?execution.mode, "executor is ready");
    starting.release();
    server.serve(Routes::new(service), &readiness, &shutdown).await.map_err(ExecutorError::Grpc)
}

/// The sequencer creates the store; whoever starts first waits for it. `None`: shut down before it was there.
async fn open_chain_store(
    config: &ChainStoreConfig,
    shutdown: &Shutdown,
) -> Result<Option<ChainStore>, ExecutorError> {
    let deadline = Instant::now() + Duration::from_millis(config.wait_for_schema_ms);
    let mut said = false;
    loop {
        let error = match ChainStore::connect_reader(&config.url, config.limits.clone()).await {
            Ok(store) => return Ok(Some(store)),
            Err(error) => error,
        };
        let may_come =
            matches!(error, ChainStoreError::Schema { .. } | ChainStoreError::Connect { .. });
        if !may_come || Instant::now() >= deadline {
            return Err(ExecutorError::ChainStore(error));
        }
        if !said {
            tracing::info!(error = %error_chain(&error), "waiting for the chain store");
            said = true;
        }
        tokio::select! {
            () = tokio::time::sleep(STORE_POLL) => {}
            () = shutdown.triggered() => return Ok(None),
        }
    }
}
