//! Puts the sequencer together.

use std::sync::Arc;
use std::time::Duration;

use sidereal_bus::BusError;
use sidereal_chain_store::{ChainStore, ChainStoreError};
use sidereal_object_store::ObjectStoreError;
use sidereal_proto::sequencer::sequencer_service_server::SequencerServiceServer;
use sidereal_service::admin::{self, AdminError};
use sidereal_service::grpc::{GrpcError, Server};
use sidereal_service::{
    Pass, Readiness, Reconciler, RetryPolicy, ServiceFuture, Shutdown, Waker, error_chain,
};
use tonic::service::Routes;

use crate::admission::{Admission, Validator, removal};
use crate::classes::StoredClasses;
use crate::clock::now_ms;
use crate::config::SequencerConfig;
use crate::disputes::{Disputed, Disputes};
use crate::gas_prices::GasPricer;
use crate::genesis::{self, GenesisBlockError};
use crate::grpc::SequencerApi;
use crate::l1_tracker::L1Tracker;
use crate::mempool::Removed;
use crate::next_block::NextBlock;
use crate::production::{ChainRules, Committer, Executor, Producer, ProductionError};
use crate::shared::Shared;
use crate::{outbox, recovery};

/// How often the mempool is searched for what has waited too long.
const EXPIRY_PERIOD: Duration = Duration::from_secs(10);

/// The sequencer could not start, or had to halt.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// The configuration was not checked before.
    #[error("{key} cannot be used")]
    Config {
        /// The key.
        key: &'static str,
    },
    /// The admin listener.
    #[error("the admin listener cannot be started")]
    Admin(#[source] AdminError),
    /// The gRPC listener, or the address of an executor or of the settler.
    #[error("gRPC failed")]
    Grpc(#[source] GrpcError),
    /// The chain store.
    #[error("{operation} failed")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: ChainStoreError,
    },
    /// The object store.
    #[error("opening the object store failed")]
    Objects(#[source] ObjectStoreError),
    /// The bus.
    #[error("connecting to the bus failed")]
    Bus(#[source] BusError),
    /// Block 0.
    #[error("the chain cannot begin")]
    Genesis(#[source] GenesisBlockError),
    /// Block production halted.
    #[error("block production halted")]
    Halted(#[source] ProductionError),
    /// Proving came to another result than a block.
    #[error("execution and proving disagree")]
    Disputed(#[source] Disputed),
    /// Block production panicked.
    #[error("block production panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

/// Runs the sequencer until shutdown, or until it must halt.
pub fn run(config: SequencerConfig, shutdown: Shutdown) -> ServiceFuture<SequencerError> {
    Box::pin(until_shutdown(config, shutdown))
}

async fn until_shutdown(config: SequencerConfig, shutdown: Shutdown) -> Result<(), SequencerError> {
    // A sequencer that halts stops its own parts and not those of the process it runs in.
    let shutdown = shutdown.child();
    let readiness = Readiness::new();
    let starting = readiness.hold("start");
    admin::start(&config.admin, &readiness, &shutdown).await.map_err(SequencerError::Admin)?;
    let server = Server::bind(&config.grpc, &config.auth).await.map_err(SequencerError::Grpc)?;

    let store_failed = |operation| move |source| SequencerError::Store { operation, source };
    let chain_store = &config.chain_store;
    let store = ChainStore::connect(&chain_store.url, chain_store.limits.clone())
        .await
        .map_err(store_failed("opening the chain store"))?;
    let chain_id = config.chain.chain_id();
    store.ensure_chain(&chain_id).await.map_err(store_failed("pinning the chain's id"))?;
    let objects =
        sidereal_object_store::open(&config.object_store).await.map_err(SequencerError::Objects)?;
    let bus = sidereal_bus::open(&config.bus).await.map_err(SequencerError::Bus)?;
    let disputes = Disputes::new(store.clone(), config.disputes.overruled().flatten());
    let standing = disputes.standing().await.map_err(store_failed("reading disputes"))?;
    if let Some(disputed) = standing {
        return Err(SequencerError::Disputed(disputed));
    }
    let executors = config
        .executors
        .connections()
        .iter()
        .map(|connection| Executor::new(connection, &config.auth, config.executors.timeout()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(SequencerError::Grpc)?;

    let pricer = GasPricer::new(&config.gas_prices);
    let rules = ChainRules {
        chain_id: chain_id.clone(),
        sequencer_address: config
            .chain
            .sequencer_address()
            .ok_or(SequencerError::Config { key: "chain.sequencer_address" })?,
        l1_da_mode: config.chain.l1_da_mode(),
        pricer: pricer.clone(),
    };
    let classes = StoredClasses::new(objects.clone());
    let committer = Committer::new(store.clone(), objects.clone(), classes.clone());
    let tip = genesis::ensure(&config.genesis, &rules, &store, &classes, &committer)
        .await
        .map_err(SequencerError::Genesis)?;
    let shared = Shared::new(config.mempool.pool_limits(), tip);
    let waiting = recovery::recover(&store, &shared, &chain_id)
        .await
        .map_err(store_failed("taking up the mempool"))?;
    tracing::info!(head = tip.head.number.0, waiting, "chain taken up");

    let validator =
        config.mempool.validate.then(|| Validator::new(&executors, config.executors.timeout()));
    let rules = Arc::new(rules);
    let next = NextBlock::new(rules.clone(), shared.clone(), store.clone());
    let (admission, _) = Admission::start(
        &config.mempool,
        next.clone(),
        shared.clone(),
        store.clone(),
        objects,
        validator,
        &shutdown,
    );
    let committed = Waker::new();
    outbox::start(store.clone(), bus.clone(), chain_id.to_string(), committed.clone(), &shutdown);
    start_expiry(&shared, &store, &shutdown);
    if config.l1_settlement.enabled {
        if config.block.empty_after_ms == 0 {
            tracing::warn!(
                "block.empty_after_ms is 0: an idle chain settles nothing, and once its contract calls that silence, \
                 anybody can settle blocks of their own"
            );
        }
        L1Tracker::new(&config.l1_settlement, &config.auth, store.clone(), pricer, &readiness)
            .map_err(SequencerError::Grpc)?
            .start(config.l1_settlement.poll(), &shutdown);
    }

    let producer = Arc::new(Producer {
        shared: shared.clone(),
        store: store.clone(),
        committer,
        executors,
        rules,
        closing: config.block.closing_rule(&config.block_limits),
        limits: config.block_limits,
        empty_after_ms: config.block.empty_after_ms,
        retry: RetryPolicy { max_ms: 2_000, ..RetryPolicy::default() },
        committed,
        readiness: readiness.clone(),
        shutdown: shutdown.clone(),
    });
    let mut production =
        shutdown.spawn("block production", async move { Box::pin(producer.run()).await });
    let api = SequencerServiceServer::new(SequencerApi::new(shared, admission, next, store))
        .max_decoding_message_size(config.grpc.max_message_bytes)
        .max_encoding_message_size(config.grpc.max_message_bytes);
    let serving = async {
        let served = Box::pin(server.serve(Routes::new(api), &readiness, &shutdown)).await;
        shutdown.trigger();
        served.map_err(SequencerError::Grpc)
    };
    let producing = async {
        let ended = tokio::select! {
            produced = &mut production => match produced {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => SequencerError::Halted(error),
                Err(error) => SequencerError::Panicked(error),
            },
            Some(disputed) = disputes.raised(bus.as_ref(), &shutdown) => {
                // Not even the open block is closed on top of it. Its transactions are in the mempool.
                production.abort();
                SequencerError::Disputed(disputed)
            }
        };
        // Nothing may be sent to a sequencer that does not know what is true.
        let halted = readiness.hold("halted");
        tracing::error!(error = %error_chain(&ended), "the sequencer halts");
        shutdown.trigger();
        Err((ended, halted))
    };
    starting.release();
    let (served, produced) = tokio::join!(serving, producing);
    produced.map_err(|(error, _halted)| error)?;
    served
}

fn start_expiry(shared: &Shared, store: &ChainStore, shutdown: &Shutdown) {
    let (shared, store) = (shared.clone(), store.clone());
    Reconciler::new("mempool expiry", EXPIRY_PERIOD).spawn(shutdown, Waker::new(), move || {
        let (shared, store) = (shared.clone(), store.clone());
        async move {
            let expired = shared.pool().expire(now_ms());
            let removals = expired.iter().map(|gone| removal(gone.hash, Removed::Expired));
            shared.record(&store, removals.collect()).await?;
            Ok::<_, ChainStoreError>(Pass::Done)
        }
    });
}
