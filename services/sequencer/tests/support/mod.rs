//! A sequencer with real stores, and executors that can be told to fail. They run the real engine over the real chain
//! store; only what they do wrong is made up.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

mod blocks;
mod executor;
mod settler;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use sidereal_chain_store::{ChainStore, ChainStoreLimits};
use sidereal_execution::testing;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::sequencer::sequencer_service_client::SequencerServiceClient;
use sidereal_proto::sequencer::{GetTransactionStatusRequest, SubmitTransactionRequest};
use sidereal_proto::transaction::to_wire;
use sidereal_proto::types::{FinalityStatus, TransactionStatus};
use sidereal_sequencer::SequencerConfig;
use sidereal_service::Shutdown;
use sidereal_service::admin::AdminConfig;
use starknet_api::transaction::TransactionHash;
use tonic::Status;
use tonic::transport::Channel;

pub use blocks::check_blocks;
pub use executor::{Fault, TestExecutor};
pub use settler::TestSettler;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The status of a GET of an admin listener.
pub async fn http_status(port: u16, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The configuration of a sequencer whose stores are in `folder`.
pub fn config(folder: &Path, executors: &[SocketAddr]) -> SequencerConfig {
    let mut config = SequencerConfig { admin: AdminConfig::off(), ..SequencerConfig::default() };
    config.grpc.listen.set_port(free_port());
    config.chain.id = testing::CHAIN_ID.to_owned();
    config.genesis.classes_folder = testing::contracts_folder();
    config.gas_prices.l1_gas_fri = 1_000_000_000_000;
    config.gas_prices.l1_data_gas_fri = 1_000;
    config.gas_prices.l2_gas_fri = 10_000_000;
    config.block.close_after_ms = 300;
    config.executors.urls = executors.iter().map(|address| format!("http://{address}")).collect();
    config.executors.timeout_ms = 20_000;
    config.chain_store.url = store_url(folder);
    config.object_store.url = objects_url(folder);
    config.bus.url = format!("sqlite:{}", folder.join("bus.db").display());
    config
}

pub fn store_url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("chain.db").display())
}

fn objects_url(folder: &Path) -> String {
    format!("file:{}", folder.join("objects").display())
}

/// A handle of the chain store for looking.
pub async fn reader(folder: &Path) -> ChainStore {
    ChainStore::connect_reader(&store_url(folder), ChainStoreLimits::default()).await.unwrap()
}

/// A running sequencer, in a runtime of its own so that it can be killed like a process.
pub struct Sequencer {
    runtime: Option<tokio::runtime::Runtime>,
    running: Option<tokio::task::JoinHandle<Result<(), sidereal_sequencer::SequencerError>>>,
    shutdown: Shutdown,
    pub client: SequencerServiceClient<Channel>,
}

impl Sequencer {
    pub async fn start(config: SequencerConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        let url = format!("http://{}", config.grpc.listen);
        let running = runtime.spawn(sidereal_sequencer::run(config, shutdown.clone()));
        let channel = Channel::from_shared(url).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let client = loop {
            if let Ok(channel) = channel.connect().await {
                break SequencerServiceClient::new(channel);
            }
            assert!(Instant::now() < deadline, "the sequencer does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Self { runtime: Some(runtime), running: Some(running), shutdown, client }
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(mut self) -> Result<(), sidereal_sequencer::SequencerError> {
        self.shutdown.trigger();
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> Result<(), sidereal_sequencer::SequencerError> {
        let running = self.running.take().unwrap();
        tokio::time::timeout(Duration::from_secs(60), running).await.unwrap().unwrap()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    pub async fn submit(&self, transaction: &BlockTransaction) -> Result<TransactionHash, Status> {
        let hash = self.submit_raw(transaction).await?;
        assert_eq!(hash, transaction.hash);
        Ok(hash)
    }

    /// Whatever hash the transaction says it has.
    pub async fn submit_raw(
        &self,
        transaction: &BlockTransaction,
    ) -> Result<TransactionHash, Status> {
        let wire = to_wire(&transaction.hash, &transaction.transaction).unwrap();
        let request = SubmitTransactionRequest { transaction: Some(wire), class: None };
        let answer = self.client.clone().submit_transaction(request).await?.into_inner();
        Ok(sidereal_proto::felt::transaction_hash("hash", &answer.transaction_hash).unwrap())
    }

    pub async fn status(&self, hash: &TransactionHash) -> Result<TransactionStatus, Status> {
        let transaction_hash = sidereal_proto::felt::felt_bytes(&hash.0);
        let request = GetTransactionStatusRequest { transaction_hash, with_receipt: false };
        let answer = self.client.clone().get_transaction_status(request).await?;
        Ok(answer.into_inner().status.unwrap())
    }

    /// Waits until the transaction has this status.
    pub async fn wait_for(
        &self,
        hash: &TransactionHash,
        finality: FinalityStatus,
    ) -> TransactionStatus {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let status = self.status(hash).await;
            if let Ok(status) = &status
                && status.finality() == finality
            {
                return status.clone();
            }
            assert!(Instant::now() < deadline, "waiting for {finality:?}, last: {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the transaction is in a block, open or closed.
    pub async fn wait_for_execution(&self, hash: &TransactionHash) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let status = self.status(hash).await;
            if let Ok(status) = &status
                && matches!(
                    status.finality(),
                    FinalityStatus::PreConfirmed | FinalityStatus::AcceptedOnL2
                )
            {
                return;
            }
            assert!(Instant::now() < deadline, "waiting for execution, last: {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Sequencer {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
