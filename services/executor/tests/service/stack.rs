//! An executor and the stores that it reads.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sidereal_chain_store::{
    BlockCommit, BlockFinality, ChainStore, ChainStoreLimits, FeeUnit, StoredBlock, StoredReceipt,
    StoredTransaction,
};
use sidereal_execution::block::PROTOCOL_VERSION;
use sidereal_execution::classes::{DeclaredClass, ExecutionMode};
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::{BlockClosing, BlockExecution, TransactionOutcome};
use sidereal_execution::testing::{CHAIN_ID, TestChain};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_executor::ExecutorConfig;
use sidereal_object_store::{ObjectKey, ObjectStoreConfig};
use sidereal_patricia::MemoryNodes;
use sidereal_proto::executor::execute_block_request::Message;
use sidereal_proto::executor::executor_service_client::ExecutorServiceClient;
use sidereal_proto::{executor as wire, payload, transaction, types};
use sidereal_service::Shutdown;
use sidereal_service::admin::AdminConfig;
use sidereal_service::grpc::ListenConfig;
use starknet_api::block::{BlockHash, BlockHeaderWithoutHash};
use starknet_api::core::SequencerContractAddress;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub struct Stack {
    folder: tempfile::TempDir,
    store: ChainStore,
    pub chain: TestChain,
    pub shutdown: Shutdown,
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("chain.db").display())
}

impl Stack {
    /// A chain store with genesis, and its classes as objects.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            ChainStore::connect(&url(folder.path()), ChainStoreLimits::default()).await.unwrap();
        let chain = TestChain::new(ExecutionMode::Vm);
        let stack = Self { folder, store, chain, shutdown: Shutdown::new() };
        for (_, _, class) in &stack.chain.genesis.classes {
            stack.store_class(class).await;
        }
        let genesis = stack.chain.genesis.block(stack.chain.environment());
        stack.commit(0, &genesis).await;
        stack
    }

    pub async fn store_class(&self, class: &DeclaredClass) {
        let objects = sidereal_object_store::open(&self.objects()).await.unwrap();
        let pack = |json: Vec<u8>| Bytes::from(zstd::encode_all(json.as_slice(), 1).unwrap());
        let hash = class.class_hash().0;
        let sierra = pack(serde_json::to_vec(&class.sierra).unwrap());
        let casm = pack(serde_json::to_vec(&class.casm).unwrap());
        objects.put(&ObjectKey::sierra_class(hash), sierra).await.unwrap();
        objects.put(&ObjectKey::casm_class(hash), casm).await.unwrap();
    }

    pub fn objects(&self) -> ObjectStoreConfig {
        ObjectStoreConfig {
            url: format!("file:{}", self.folder.path().join("objects").display()),
            ..ObjectStoreConfig::default()
        }
    }

    /// Writes block `number` of the chain in memory, whose header is known, to the chain store.
    pub async fn commit(&self, number: usize, execution: &BlockExecution) {
        let header = &self.chain.headers[number];
        let block = StoredBlock {
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
                starknet_version: PROTOCOL_VERSION,
                ..BlockHeaderWithoutHash::default()
            },
            commitments: header.commitments.clone(),
            state_roots: self.chain.roots,
            transaction_count: header.transaction_count.try_into().unwrap(),
            event_count: header.event_count.try_into().unwrap(),
            state_diff_length: header.state_diff_length.try_into().unwrap(),
            finality: BlockFinality::AcceptedOnL2,
            witness_key: None,
        };
        let receipts = execution.receipts.iter().map(|receipt| StoredReceipt {
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
        let transactions = execution
            .transactions
            .iter()
            .map(|one| StoredTransaction { hash: one.hash, transaction: one.transaction.clone() });
        self.store
            .commit_block(BlockCommit {
                block,
                transactions: transactions.collect(),
                receipts: receipts.collect(),
                state_diff: execution.state_diff.clone(),
                new_nodes: MemoryNodes::default(),
                outbox: Vec::new(),
                removals: Vec::new(),
            })
            .await
            .unwrap();
    }

    /// Starts an executor and connects to it.
    pub async fn executor(&self, mode: ExecutionMode) -> ExecutorServiceClient<Channel> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = ExecutorConfig {
            admin: AdminConfig::off(),
            grpc: ListenConfig {
                max_message_bytes: sidereal_proto::MAX_MESSAGE_BYTES,
                ..ListenConfig::on(port)
            },
            object_store: self.objects(),
            ..ExecutorConfig::default()
        };
        config.chain.id = CHAIN_ID.to_owned();
        config.chain_store.url = url(self.folder.path());
        config.execution.mode = mode;
        config.execution.native_cache = self.folder.path().join("native");
        config.execution.open_blocks = 2;
        config.execution.outcomes_per_answer = 2;
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move { sidereal_executor::run(config, shutdown).await.unwrap() });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        for _ in 0..100 {
            if let Ok(channel) = endpoint.connect().await {
                let limit = sidereal_proto::MAX_MESSAGE_BYTES;
                return ExecutorServiceClient::new(channel)
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no executor at {address}");
    }

    pub fn begin(&self, limits: BlockLimits) -> Message {
        Message::Begin(wire::BeginBlock {
            environment_json: payload::encode("environment", &self.chain.environment()).unwrap(),
            limits_json: payload::encode("limits", &limits).unwrap(),
            parent_execution_id: Vec::new(),
        })
    }

    /// Begins the next block on a parent that is named by its execution alone.
    pub fn begin_on(&self, execution: &[u8]) -> Message {
        let mut environment = self.chain.environment();
        environment.parent_hash = BlockHash::default();
        Message::Begin(wire::BeginBlock {
            environment_json: payload::encode("environment", &environment).unwrap(),
            limits_json: payload::encode("limits", &BlockLimits::default()).unwrap(),
            parent_execution_id: execution.to_vec(),
        })
    }
}

pub fn on_wire(transaction: &BlockTransaction) -> types::Transaction {
    transaction::to_wire(&transaction.hash, &transaction.transaction).unwrap()
}

/// Over the latest closed block.
pub fn validation(transaction: &BlockTransaction) -> wire::ValidateRequest {
    wire::ValidateRequest { transaction: Some(on_wire(transaction)), at: None, class: None }
}

pub fn batch(transactions: &[BlockTransaction]) -> Message {
    let transactions = transactions.iter().map(on_wire).collect();
    Message::Transactions(wire::TransactionBatch { transactions })
}

#[derive(Default)]
pub struct Streamed {
    pub outcomes: Vec<TransactionOutcome>,
    pub full: bool,
    pub closed: Option<BlockClosing>,
    pub execution_id: Vec<u8>,
}

impl Streamed {
    /// The block that a sequencer puts together, which sent `transactions`.
    pub fn block(self, transactions: &[BlockTransaction]) -> BlockExecution {
        let closing = self.closed.expect("the block is closed");
        let mut receipts = Vec::new();
        for outcome in self.outcomes {
            if let TransactionOutcome::Included(receipt) = outcome {
                receipts.push(*receipt);
            }
        }
        let is_in = |one: &&BlockTransaction| closing.transactions.contains(&one.hash);
        let included = transactions.iter().filter(is_in).cloned().collect();
        closing.with(included, receipts)
    }
}

/// Sends messages, and reads answers to the end.
pub async fn stream(
    client: &mut ExecutorServiceClient<Channel>,
    messages: Vec<Message>,
) -> Result<Streamed, Status> {
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    for message in messages {
        sender.send(wire::ExecuteBlockRequest { message: Some(message) }).await.unwrap();
    }
    drop(sender);
    let answers = client.execute_block(ReceiverStream::new(receiver)).await?.into_inner();
    read_to_end(answers).await
}

pub async fn read_to_end(
    mut answers: Streaming<wire::ExecuteBlockResponse>,
) -> Result<Streamed, Status> {
    use wire::execute_block_response::Message as Answer;

    let mut streamed = Streamed::default();
    while let Some(answer) = answers.message().await? {
        match answer.message.unwrap() {
            Answer::Outcomes(batch) => {
                for json in &batch.outcomes_json {
                    streamed.outcomes.push(payload::decode("outcome", json).unwrap());
                }
                streamed.full |= batch.block_full;
            }
            Answer::Closed(closed) => {
                let json = zstd::decode_all(closed.closing_json_zstd.as_slice()).unwrap();
                streamed.closed = Some(serde_json::from_slice(&json).unwrap());
                streamed.execution_id = closed.execution_id;
            }
        }
    }
    Ok(streamed)
}
