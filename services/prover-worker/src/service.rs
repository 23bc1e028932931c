//! The worker as a service.

use std::sync::Arc;

use sidereal_bus::BusError;
use sidereal_object_store::ObjectStoreError;
use sidereal_service::admin::{self, AdminError};
use sidereal_service::grpc::{self, GrpcError};
use sidereal_service::{Readiness, ServiceFuture, Shutdown};
use tokio::task::JoinError;

use crate::config::ProverWorkerConfig;
use crate::disputes::BusDisputes;
use crate::executor::{ChildExecutor, ChildProgram};
use crate::heartbeat::Lifeline;
use crate::picker::BusPicker;
use crate::runner::Runner;
use crate::saver::{GrpcReporter, GrpcSaver};

/// The worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProverWorkerError {
    /// The admin listener.
    #[error("start the admin listener")]
    Admin(#[source] AdminError),
    /// The thread for heartbeats.
    #[error("start the thread for heartbeats")]
    Lifeline(#[source] std::io::Error),
    /// Its work panicked.
    #[error("use the thread for heartbeats")]
    LifelineEnded(#[source] JoinError),
    /// The bus.
    #[error("open the bus")]
    Bus(#[source] BusError),
    /// The object store.
    #[error("open the object store")]
    ObjectStore(#[source] ObjectStoreError),
    /// The proof store's address.
    #[error("reach the proof store")]
    ProofStore(#[source] GrpcError),
    /// Our own program, which is to be the child's.
    #[error("find this program's own file")]
    Program(#[source] std::io::Error),
}

/// Runs a worker until shutdown. The binary that calls this must call
/// [`crate::child::main_if_requested`] first in its `main`, or name another in `worker.program`.
pub fn run(config: ProverWorkerConfig, shutdown: Shutdown) -> ServiceFuture<ProverWorkerError> {
    Box::pin(until_shutdown(config, shutdown))
}

async fn until_shutdown(
    config: ProverWorkerConfig,
    shutdown: Shutdown,
) -> Result<(), ProverWorkerError> {
    let readiness = Readiness::new();
    let starting = readiness.hold("prover-worker");
    admin::start(&config.admin, &readiness, &shutdown).await.map_err(ProverWorkerError::Admin)?;

    let name = config.worker.display_name();
    let program = match &config.worker.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(ProverWorkerError::Program)?,
    };
    let lifeline = Arc::new(Lifeline::start().map_err(ProverWorkerError::Lifeline)?);
    let bus_config = config.bus.clone();
    let bus = lifeline
        .run(async move { sidereal_bus::open(&bus_config).await })
        .await
        .map_err(ProverWorkerError::LifelineEnded)?
        .map_err(ProverWorkerError::Bus)?;
    let (connect, auth) = (config.proof_store.clone(), config.auth.clone());
    // A channel works on the runtime on which it was made.
    let reports = lifeline
        .run(async move { grpc::channel(&connect, &auth) })
        .await
        .map_err(ProverWorkerError::LifelineEnded)?
        .map_err(ProverWorkerError::ProofStore)?;
    let proofs =
        grpc::channel(&config.proof_store, &config.auth).map_err(ProverWorkerError::ProofStore)?;
    let objects = sidereal_object_store::open(&config.object_store)
        .await
        .map_err(ProverWorkerError::ObjectStore)?;

    let program = ChildProgram::prover(program, config.worker.threads, config.worker.niceness);
    let runner = Runner {
        disputes: Arc::new(BusDisputes::new(bus.clone(), lifeline.clone())),
        picker: Arc::new(BusPicker::new(bus, config.worker.queues.clone(), lifeline.clone())),
        objects,
        executor: Arc::new(ChildExecutor::new(program, config.worker.scratch.clone())),
        saver: Arc::new(GrpcSaver::new(proofs, name.clone(), config.retry, shutdown.clone())),
        reporter: Arc::new(GrpcReporter::new(reports, name.clone())),
        lifeline,
        config: config.worker,
    };
    tracing::info!(worker = name, queues = ?runner.config.queues, "prover-worker takes jobs");
    starting.release();
    runner.run(&shutdown).await;
    Ok(())
}
