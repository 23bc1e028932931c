//! Start, serve, drain.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidereal_bus::BusError;
use sidereal_chain_store::{ChainStore, ChainStoreError};
use sidereal_final_proof::VerificationKey;
use sidereal_object_store::ObjectStoreError;
use sidereal_proto::aggregation::aggregation_service_server::AggregationServiceServer;
use sidereal_proto::proofs::proof_store_service_server::ProofStoreServiceServer;
use sidereal_service::admin::{self, AdminError};
use sidereal_service::grpc::{GrpcError, Server};
use sidereal_service::{Readiness, ServiceFuture, Shutdown, Waker, error_chain};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::service::Routes;

use crate::aggregation::{AggregationGrpc, AggregationPlanner, StepIntake};
use crate::config::{ChainStoreConfig, ProofStoreConfig};
use crate::grpc::ProofsGrpc;
use crate::http::{self, Readers, Turns};
use crate::index::{IndexError, ProofIndex};
use crate::intake::Intake;
use crate::listener::{self, Bounds};
use crate::planner::{self, Planner, Progress, Traces};
use crate::verifications::Verifications;
use crate::watch::Watch;

/// How often a start looks for the chain store.
const STORE_POLL: Duration = Duration::from_millis(200);
/// The first block that is proven.
const FIRST_PROVEN_BLOCK: u64 = 1;

/// The proof store could not start, or a listener failed.
#[derive(Debug, thiserror::Error)]
pub enum ProofStoreError {
    #[error("starting the admin listener failed")]
    Admin(#[source] AdminError),
    #[error("opening the proof index failed")]
    Index(#[source] IndexError),
    #[error("opening the chain store failed")]
    ChainStore(#[source] ChainStoreError),
    #[error("opening the object store failed")]
    ObjectStore(#[source] ObjectStoreError),
    #[error("opening the bus failed")]
    Bus(#[source] BusError),
    #[error("serving gRPC failed")]
    Grpc(#[source] GrpcError),
    #[error("listening for HTTP on {listen} failed")]
    Http {
        listen: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// Runs the proof store until shutdown.
pub fn run(config: ProofStoreConfig, shutdown: Shutdown) -> ServiceFuture<ProofStoreError> {
    Box::pin(until_shutdown(config, shutdown))
}

async fn until_shutdown(
    config: ProofStoreConfig,
    shutdown: Shutdown,
) -> Result<(), ProofStoreError> {
    // A proof store that ends stops its own parts and not those of the process it runs in.
    let shutdown = shutdown.child();
    let readiness = Readiness::new();
    let starting = readiness.hold("proof-store");
    admin::start(&config.admin, &readiness, &shutdown).await.map_err(ProofStoreError::Admin)?;
    let server = Server::bind(&config.grpc, &config.auth).await.map_err(ProofStoreError::Grpc)?;
    let listen = config.http.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|source| ProofStoreError::Http { listen, source })?;

    let index = ProofIndex::open(&config.database).await.map_err(ProofStoreError::Index)?;
    let objects = sidereal_object_store::open(&config.object_store)
        .await
        .map_err(ProofStoreError::ObjectStore)?;
    let bus = sidereal_bus::open(&config.bus).await.map_err(ProofStoreError::Bus)?;
    let Some(chain) = open_chain_store(&config.chain_store, &shutdown).await? else {
        return Ok(());
    };

    let verifications = usize::try_from(config.planner.verifications).unwrap_or(1);
    let verifications = Verifications::new(verifications);
    let intake = Arc::new(Intake {
        chain_id: config.chain.chain_id(),
        chain: chain.clone(),
        objects: objects.clone(),
        index: index.clone(),
        verifications: verifications.clone(),
    });
    let waker = Waker::new();
    let watch = Arc::new(Watch::new(bus.clone(), index.clone()));
    watch.start(&shutdown);
    let period = Duration::from_millis(config.planner.period_ms);
    let traces = Arc::new(Traces::default());
    let planner = Arc::new(Planner {
        traces: traces.clone(),
        watch: watch.clone(),
        chain: chain.clone(),
        index: index.clone(),
        bus: bus.clone(),
        window_blocks: config.planner.window_blocks,
        period,
        progress: Mutex::new(Progress::new(FIRST_PROVEN_BLOCK)),
    });
    planner.start(waker.clone(), &shutdown);
    planner::wake_on_blocks(bus.clone(), traces, waker, &shutdown);

    let aggregation_waker = Waker::new();
    if config.aggregation.enabled {
        let planner = Arc::new(AggregationPlanner {
            index: index.clone(),
            bus: bus.clone(),
            watch: watch.clone(),
            policy: config.aggregation.policy(),
        });
        planner.start(period, aggregation_waker.clone(), &shutdown);
    }

    let readers = Arc::new(Readers {
        chain: chain.clone(),
        index: index.clone(),
        objects: objects.clone(),
        turns: Turns::new(
            config.http.max_concurrent,
            Duration::from_millis(config.http.max_wait_ms),
        ),
    });
    let bounds = Bounds {
        connections: config.http.max_connections,
        time: Duration::from_millis(config.http.request_timeout_ms),
    };
    let answers = listener::serve(listener, http::router(readers), bounds, shutdown.clone());
    let serving = shutdown.spawn("proof HTTP", answers);

    let aggregation = AggregationServiceServer::new(AggregationGrpc {
        intake: Arc::new(StepIntake {
            objects: objects.clone(),
            index: index.clone(),
            verifications,
            last_key: VerificationKey::ETHEREUM,
        }),
        index: index.clone(),
        objects: objects.clone(),
        bus: bus.clone(),
        watch: watch.clone(),
        planner: aggregation_waker.clone(),
    })
    .max_decoding_message_size(config.grpc.max_message_bytes)
    .max_encoding_message_size(config.grpc.max_message_bytes);
    let service = ProofStoreServiceServer::new(ProofsGrpc {
        intake,
        index,
        chain,
        objects,
        bus,
        watch,
        aggregation: aggregation_waker,
        shutdown: shutdown.clone(),
    })
    .max_decoding_message_size(config.grpc.max_message_bytes)
    .max_encoding_message_size(config.grpc.max_message_bytes);
    tracing::info!(http = %listen, "proof store is ready");
    starting.release();
    let served =
        server.serve(Routes::new(service).add_service(aggregation), &readiness, &shutdown).await;
    shutdown.trigger();
    if let Err(error) = serving.await {
        tracing::warn!(%error, "the HTTP task ended before its time");
    }
    served.map_err(ProofStoreError::Grpc)
}

/// The sequencer creates the store; whoever starts first waits for it. `None`: shut down before it was there.
async fn open_chain_store(
    config: &ChainStoreConfig,
    shutdown: &Shutdown,
) -> Result<Option<ChainStore>, ProofStoreError> {
    let deadline = Instant::now() + Duration::from_millis(config.wait_for_schema_ms);
    loop {
        let error = match ChainStore::connect_reader(&config.url, config.limits.clone()).await {
            Ok(store) => return Ok(Some(store)),
            Err(error) => error,
        };
        let may_come =
            matches!(error, ChainStoreError::Schema { .. } | ChainStoreError::Connect { .. });
        if !may_come || Instant::now() >= deadline {
            return Err(ProofStoreError::ChainStore(error));
        }
        tracing::debug!(error = %error_chain(&error), "waiting for the chain store");
        tokio::select! {
            () = tokio::time::sleep(STORE_POLL) => {}
            () = shutdown.triggered() => return Ok(None),
        }
    }
}
