//! A proof store as it runs, over stores of its own: a chain whose block 1 is a real one with a real proof.
//!
//! Block and proof are those of `sidereal verify`'s tests: five transfers, proven by this project's prover. Its parent
//! and its children are headers only, which is all that the proof store looks at.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sidereal_bus::{Bus, BusConfig, Lease};
use sidereal_chain_store::{
    BlockCommit, BlockFinality, ChainStore, ChainStoreLimits, FeeUnit, StoredBlock, StoredReceipt,
    StoredTransaction,
};
use sidereal_execution::witness::{BlockWitness, WitnessLimits};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreConfig};
use sidereal_patricia::MemoryNodes;
use sidereal_patricia::state::StateRoots;
use sidereal_proof_store::{ProofStoreConfig, ProofStoreError};
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::put_proof_request::Message;
use sidereal_proto::proofs::{
    GetProofInfoRequest, ListJobsRequest, ProofInfo, ProofSelector, ProvingFigures, PutProofHeader,
    PutProofRequest, proof_selector,
};
use sidereal_proto::{PROOF_CHUNK_BYTES, PROVING_QUEUE};
use sidereal_service::admin::AdminConfig;
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, ListenConfig, ServiceChannel, channel};
use sidereal_service::{Secret, Shutdown};
use starknet_api::block::{BlockHash, BlockHeaderWithoutHash, BlockNumber, StarknetVersion};
use starknet_api::core::{ChainId, GlobalRoot, SequencerContractAddress};
use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Status;

pub type Client = ProofStoreServiceClient<ServiceChannel>;

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(60);
pub const MAX_DELIVERIES: u32 = 3;

/// The real block with its proof.
pub struct Proven {
    pub witness_bytes: Bytes,
    pub witness: BlockWitness,
    pub proof: Bytes,
    /// One of its transactions.
    pub transaction: Felt,
}

pub static PROVEN: LazyLock<Proven> = LazyLock::new(|| {
    let file = "../sidereal/tests/data/transfer.bundle";
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    // A name with a version, the transaction's hash, and two parts after their lengths.
    let rest = bytes.strip_prefix(b"SIDBUND\x01").unwrap();
    let (hash, rest) = rest.split_first_chunk::<32>().unwrap();
    let part = |bytes: &[u8]| {
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (part, rest) = rest.split_at(usize::try_from(u64::from_be_bytes(*length)).unwrap());
        (Bytes::copy_from_slice(part), rest.to_vec())
    };
    let (witness_bytes, rest) = part(rest);
    let (proof, rest) = part(&rest);
    assert!(rest.is_empty());
    let witness = BlockWitness::decode(&witness_bytes, WitnessLimits::default()).unwrap();
    assert_eq!(witness.header.number, BlockNumber(1));
    Proven { witness_bytes, witness, proof, transaction: Felt::from_bytes_be(hash) }
});

pub fn block_hash() -> Felt {
    PROVEN.witness.header.hash.0
}

/// The id of a block's job.
pub fn job_id(hash: Felt) -> String {
    hex::encode(hash.to_bytes_be())
}

pub struct World {
    pub config: ProofStoreConfig,
    /// The chain's only writer.
    pub chain: ChainStore,
    _folder: TempDir,
}

impl World {
    /// A chain of genesis and the real block.
    pub async fn new() -> Self {
        Self::with_block(|_| {}).await
    }

    /// The same with a changed block 1, in the chain store and in its witness.
    pub async fn with_block(change: impl FnOnce(&mut BlockCommit)) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config = ProofStoreConfig {
            admin: AdminConfig::off(),
            grpc: ListenConfig { listen: free_address(), ..ListenConfig::default() },
            object_store: ObjectStoreConfig {
                url: format!("file:{}", path("objects")),
                ..ObjectStoreConfig::default()
            },
            bus: BusConfig {
                url: format!("sqlite:{}", path("bus.db")),
                lease_ms: 20_000,
                max_deliveries: MAX_DELIVERIES,
                poll_interval_ms: 50,
                ..BusConfig::default()
            },
            ..ProofStoreConfig::default()
        };
        config.http.listen = free_address();
        config.database.url = format!("sqlite://{}", path("proofs.db"));
        config.chain_store.url = format!("sqlite://{}", path("chain.db"));
        config.chain.id = PROVEN.witness.environment.chain_id.to_string();
        config.planner.period_ms = 200;

        let chain = ChainStore::connect(&config.chain_store.url, ChainStoreLimits::default());
        let chain = chain.await.unwrap();
        chain.ensure_chain(&ChainId::from(config.chain.id.clone())).await.unwrap();
        let mut block = real_block();
        change(&mut block);
        chain.commit_block(genesis()).await.unwrap();
        chain.commit_block(block).await.unwrap();
        let world = Self { config, chain, _folder: folder };
        let key = ObjectKey::witness(1, block_hash());
        world.open_objects().await.put(&key, PROVEN.witness_bytes.clone()).await.unwrap();
        world
    }

    /// A block that follows the head, without anything in it.
    pub async fn close_block(&self) -> StoredBlock {
        let head = self.chain.head().await.unwrap().unwrap();
        let number = head.number.next().unwrap();
        let hash = BlockHash(Felt::from(0xb10c_0000 + number.0));
        let header = BlockHeaderWithoutHash {
            parent_hash: head.hash,
            block_number: number,
            ..BlockHeaderWithoutHash::default()
        };
        let witness = Some(ObjectKey::witness(number.0, hash.0).to_string());
        let commit = empty_block(header, hash, head.state_roots, witness);
        self.chain.commit_block(commit.clone()).await.unwrap();
        commit.block
    }

    /// The service, once it answers.
    pub async fn start(&self) -> Service {
        let shutdown = Shutdown::new();
        let running =
            tokio::spawn(sidereal_proof_store::run(self.config.clone(), shutdown.clone()));
        let mut service = Service { shutdown, running, client: self.client(&self.config.auth) };
        let mut last = None;
        let started = Instant::now();
        while started.elapsed() < SOON {
            let asked = service.client.clone().list_jobs(ListJobsRequest::default()).await;
            match asked {
                Ok(_) => return service,
                Err(status) => last = Some(status),
            }
            if service.running.is_finished() {
                panic!("the proof store ended: {:?}", (&mut service.running).await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the proof store does not answer: {last:?}");
    }

    pub fn client(&self, auth: &AuthConfig) -> Client {
        let url = format!("http://{}", self.config.grpc.listen);
        // A proof is verified in the call, and the machine may have other work.
        let config = ConnectConfig { url, timeout_ms: 120_000, ..ConnectConfig::default() };
        ProofStoreServiceClient::new(channel(&config, auth).unwrap())
    }

    pub fn with_token(mut self, token: &str) -> Self {
        self.config.auth.token = Secret::new(token.to_owned());
        self
    }

    pub async fn bus(&self) -> Arc<dyn Bus> {
        sidereal_bus::open(&self.config.bus).await.unwrap()
    }

    pub async fn open_objects(&self) -> Arc<dyn ObjectStore> {
        sidereal_object_store::open(&self.config.object_store).await.unwrap()
    }

    /// Status and body of a public read.
    pub async fn http(&self, path: &str) -> (u16, Bytes) {
        let url = format!("http://{}{path}", self.config.http.listen);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    }

    /// Every proof that is in the object store, whether or not anybody refers to it.
    pub async fn kept_proofs(&self) -> Vec<ObjectKey> {
        self.open_objects().await.list("proofs/", None, 100).await.unwrap()
    }
}

/// A running proof store; stops when it is dropped.
pub struct Service {
    shutdown: Shutdown,
    running: JoinHandle<Result<(), ProofStoreError>>,
    pub client: Client,
}

impl Service {
    /// Stops it as a signal would, and waits until all of it has ended.
    pub async fn stop(mut self) {
        self.shutdown.trigger();
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.running).await;
        ended.expect("the proof store does not stop").unwrap().unwrap();
        self.shutdown.drained(Duration::from_secs(20)).await.unwrap();
    }

    /// Hands over a proof of block 1.
    pub async fn put(&self, bytes: Bytes) -> Result<ProofInfo, Status> {
        self.put_as(header(&bytes), bytes).await
    }

    pub async fn put_as(&self, header: PutProofHeader, bytes: Bytes) -> Result<ProofInfo, Status> {
        let messages = futures::stream::iter(messages(header, &bytes));
        let answer = self.client.clone().put_proof(messages).await?;
        Ok(answer.into_inner().info.unwrap())
    }

    pub async fn info(&self, by: proof_selector::By) -> Result<ProofInfo, Status> {
        let selector = Some(ProofSelector { by: Some(by) });
        let answer = self.client.clone().get_proof_info(GetProofInfoRequest { selector }).await?;
        Ok(answer.into_inner().info.unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// What a worker says about a proof of block 1.
pub fn header(bytes: &[u8]) -> PutProofHeader {
    PutProofHeader {
        block_number: 1,
        block_hash: block_hash().to_bytes_be().to_vec(),
        worker: "worker-1".to_owned(),
        size_bytes: bytes.len() as u64,
        figures: Some(ProvingFigures {
            cairo_steps: 1,
            total_ms: 2,
            prove_ms: 3,
            peak_memory_bytes: 4,
        }),
    }
}

pub fn messages(header: PutProofHeader, bytes: &[u8]) -> Vec<PutProofRequest> {
    let header = PutProofRequest { message: Some(Message::Header(header)) };
    let chunks = bytes
        .chunks(PROOF_CHUNK_BYTES)
        .map(|chunk| PutProofRequest { message: Some(Message::Chunk(chunk.to_vec())) });
    std::iter::once(header).chain(chunks).collect()
}

pub fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// A job for a worker.
pub async fn pull(bus: &Arc<dyn Bus>) -> Lease {
    bus.pull(PROVING_QUEUE, SOON).await.unwrap().expect("no job came")
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn genesis() -> BlockCommit {
    let witness = &PROVEN.witness;
    let header = BlockHeaderWithoutHash {
        parent_hash: BlockHash::GENESIS_PARENT_HASH,
        state_root: witness.previous_state_root,
        ..BlockHeaderWithoutHash::default()
    };
    empty_block(header, witness.header.parent_hash, witness.commitment.previous_roots(), None)
}

fn empty_block(
    header: BlockHeaderWithoutHash,
    hash: BlockHash,
    state_roots: StateRoots,
    witness_key: Option<String>,
) -> BlockCommit {
    let state_root: GlobalRoot = state_roots.global_root();
    BlockCommit {
        block: StoredBlock {
            hash,
            header: BlockHeaderWithoutHash { state_root, ..header },
            commitments: PROVEN.witness.header.commitments.clone(),
            state_roots,
            transaction_count: 0,
            event_count: 0,
            state_diff_length: 0,
            finality: BlockFinality::AcceptedOnL2,
            witness_key,
        },
        transactions: Vec::new(),
        receipts: Vec::new(),
        state_diff: ThinStateDiff::default(),
        new_nodes: MemoryNodes::default(),
        outbox: Vec::new(),
        removals: Vec::new(),
    }
}

fn real_block() -> BlockCommit {
    let witness = &PROVEN.witness;
    let header = &witness.header;
    let transactions = witness
        .transactions
        .iter()
        .cloned()
        .map(|one| StoredTransaction { hash: one.hash, transaction: one.transaction });
    let receipts = witness.receipts.iter().map(|receipt| StoredReceipt {
        transaction_hash: receipt.hash,
        execution_status: receipt.execution_status.clone(),
        actual_fee: receipt.actual_fee,
        fee_unit: FeeUnit::Fri,
        events: receipt.events.clone(),
        messages_sent: receipt.messages_sent.clone(),
        gas_consumed: receipt.gas_consumed,
        da_gas: receipt.da_gas,
        contract_address: receipt.contract_address,
    });
    BlockCommit {
        block: StoredBlock {
            hash: header.hash,
            header: BlockHeaderWithoutHash {
                parent_hash: header.parent_hash,
                block_number: header.number,
                l1_gas_price: header.l1_gas_price,
                l1_data_gas_price: header.l1_data_gas_price,
                l2_gas_price: header.l2_gas_price,
                state_root: header.state_root,
                sequencer: SequencerContractAddress(header.sequencer_address),
                timestamp: header.timestamp,
                l1_da_mode: header.l1_da_mode,
                starknet_version: StarknetVersion::V0_13_5,
                ..BlockHeaderWithoutHash::default()
            },
            commitments: header.commitments.clone(),
            state_roots: witness.commitment.updated_roots(),
            transaction_count: header.transaction_count as u64,
            event_count: header.event_count as u64,
            state_diff_length: header.state_diff_length as u64,
            finality: BlockFinality::AcceptedOnL2,
            witness_key: Some(ObjectKey::witness(1, header.hash.0).to_string()),
        },
        transactions: transactions.collect(),
        receipts: receipts.collect(),
        state_diff: witness.state_diff.clone(),
        new_nodes: MemoryNodes::default(),
        outbox: Vec::new(),
        removals: Vec::new(),
    }
}
