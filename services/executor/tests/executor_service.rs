//! The real service on a SQLite chain store and a folder of classes, spoken to over gRPC: blocks as streams, the
//! same block from two executors, queries, and what is refused.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sidereal_chain_store::{
    BlockCommit, BlockFinality, ChainStore, ChainStoreLimits, FeeUnit, StoredBlock, StoredReceipt,
    StoredTransaction,
};
use sidereal_execution::block::{BlockEnvironment, PROTOCOL_VERSION, STRK_TOKEN_ADDRESS};
use sidereal_execution::classes::{DeclaredClass, ExecutionMode};
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::{BlockExecution, Rejection, RejectionReason, TransactionOutcome};
use sidereal_execution::query::{QueryError, SimulatedTransaction};
use sidereal_execution::testing::{
    CHAIN_ID, Call, TestChain, contract, declare, deploy_account, invoke, new_account, sign,
    transfer,
};
use sidereal_execution::trace::TransactionTraceEntry;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_executor::ExecutorConfig;
use sidereal_object_store::{ObjectKey, ObjectStoreConfig};
use sidereal_patricia::MemoryNodes;
use sidereal_proto::executor as wire;
use sidereal_proto::executor::execute_block_request::Message;
use sidereal_proto::executor::executor_service_client::ExecutorServiceClient;
use sidereal_proto::{felt, payload, transaction, types};
use sidereal_service::Shutdown;
use sidereal_service::admin::AdminConfig;
use sidereal_service::grpc::ListenConfig;
use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::block::{BlockHash, BlockHeaderWithoutHash};
use starknet_api::core::{ChainId, ContractAddress, SequencerContractAddress};
use starknet_types_core::felt::Felt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

struct Stack {
    folder: tempfile::TempDir,
    store: ChainStore,
    chain: TestChain,
    shutdown: Shutdown,
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("chain.db").display())
}

impl Stack {
    /// A chain store with genesis, and its classes as objects.
    async fn new() -> Self {
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

    async fn store_class(&self, class: &DeclaredClass) {
        let objects = sidereal_object_store::open(&self.objects()).await.unwrap();
        let pack = |json: Vec<u8>| Bytes::from(zstd::encode_all(json.as_slice(), 1).unwrap());
        let hash = class.class_hash().0;
        let sierra = pack(serde_json::to_vec(&class.sierra).unwrap());
        let casm = pack(serde_json::to_vec(&class.casm).unwrap());
        objects.put(&ObjectKey::sierra_class(hash), sierra).await.unwrap();
        objects.put(&ObjectKey::casm_class(hash), casm).await.unwrap();
    }

    fn objects(&self) -> ObjectStoreConfig {
        ObjectStoreConfig {
            url: format!("file:{}", self.folder.path().join("objects").display()),
            ..ObjectStoreConfig::default()
        }
    }

    /// Writes block `number` of the chain in memory, whose header is known, to the chain store.
    async fn commit(&self, number: usize, execution: &BlockExecution) {
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
    async fn executor(&self, mode: ExecutionMode) -> ExecutorServiceClient<Channel> {
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

    fn begin(&self, limits: BlockLimits) -> Message {
        Message::Begin(wire::BeginBlock {
            environment_json: payload::encode("environment", &self.chain.environment()).unwrap(),
            limits_json: payload::encode("limits", &limits).unwrap(),
            parent_execution_id: Vec::new(),
        })
    }

    /// Begins the next block on a parent that is named by its execution alone.
    fn begin_on(&self, execution: &[u8]) -> Message {
        let mut environment = self.chain.environment();
        environment.parent_hash = BlockHash::default();
        Message::Begin(wire::BeginBlock {
            environment_json: payload::encode("environment", &environment).unwrap(),
            limits_json: payload::encode("limits", &BlockLimits::default()).unwrap(),
            parent_execution_id: execution.to_vec(),
        })
    }
}

fn on_wire(transaction: &BlockTransaction) -> types::Transaction {
    transaction::to_wire(&transaction.hash, &transaction.transaction).unwrap()
}

/// Over the latest closed block.
fn validation(transaction: &BlockTransaction) -> wire::ValidateRequest {
    wire::ValidateRequest { transaction: Some(on_wire(transaction)), at: None, class: None }
}

fn batch(transactions: &[BlockTransaction]) -> Message {
    let transactions = transactions.iter().map(on_wire).collect();
    Message::Transactions(wire::TransactionBatch { transactions })
}

#[derive(Default)]
struct Streamed {
    outcomes: Vec<TransactionOutcome>,
    full: bool,
    closed: Option<BlockExecution>,
    execution_id: Vec<u8>,
}

/// Sends messages, and reads answers to the end.
async fn stream(
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

async fn read_to_end(
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
                let json = zstd::decode_all(closed.execution_json_zstd.as_slice()).unwrap();
                streamed.closed = Some(serde_json::from_slice(&json).unwrap());
                streamed.execution_id = closed.execution_id;
            }
        }
    }
    Ok(streamed)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_executors_build_the_same_block() {
    let mut stack = Stack::new().await;
    let mut first = stack.executor(ExecutionMode::Vm).await;
    let mut second = stack.executor(ExecutionMode::Native).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    for round in 0..3_u64 {
        let mut transactions: Vec<_> = (0..5)
            .map(|n| invoke(&alice, round * 5 + n, &[transfer(bob.address, 1 + u128::from(n))]))
            .collect();
        transactions.push(invoke(&bob, 99, &[]));
        let messages = || {
            vec![
                stack.begin(BlockLimits::default()),
                batch(&transactions[..4]),
                batch(&transactions[4..]),
                Message::Close(wire::CloseBlock::default()),
            ]
        };
        let one = stream(&mut first, messages()).await.unwrap();
        let two = stream(&mut second, messages()).await.unwrap();
        let one_block = one.closed.expect("the block is closed");
        let two_block = two.closed.expect("the block is closed");
        assert_eq!(one.outcomes.len(), 6);
        let rejected = &one.outcomes[5];
        assert!(matches!(
            rejected,
            TransactionOutcome::Rejected(Rejection { reason: RejectionReason::NonceTooHigh, .. })
        ));
        assert_eq!(one_block.state_diff, two_block.state_diff);
        assert_eq!(one_block.initial_reads, two_block.initial_reads);
        assert_eq!(one_block.transactions, two_block.transactions);

        // And it is the block that the engine builds without a service; the next round builds on it.
        let expected = stack.chain.block(&transactions);
        assert_eq!(expected.execution, one_block);
        stack.commit(stack.chain.headers.len() - 1, &one_block).await;
    }
    stack.shutdown.trigger();
}

/// Pins down that a block which was begun before its parent was committed is the one that is built afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_begins_while_its_parent_is_committed() {
    let mut stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let mut other = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let transfers = |nonce| [invoke(&alice, nonce, &[transfer(bob.address, 5)])];
    let close =
        |hash: Felt| Message::Close(wire::CloseBlock { parent_hash: felt::felt_bytes(&hash) });
    let code = |result: Result<Streamed, Status>| result.err().map(|status| status.code());

    let genesis = stack.chain.head().0;
    let begin = stack.begin(BlockLimits::default());
    let first =
        stream(&mut client, vec![begin, batch(&transfers(0)), close(genesis)]).await.unwrap();
    let expected = stack.chain.block(&transfers(0));
    assert_eq!(first.closed.as_ref(), Some(&expected.execution));
    let parent = stack.chain.head().0;

    // Nobody else has that state, and nobody closes a block on what is not in the store.
    let begin = || vec![stack.begin_on(&first.execution_id), batch(&transfers(1)), close(parent)];
    assert_eq!(code(stream(&mut other, begin()).await), Some(Code::FailedPrecondition));
    assert_eq!(code(stream(&mut client, begin()).await), Some(Code::FailedPrecondition));
    let unknown = vec![stack.begin_on(&[7; 16]), close(parent)];
    assert_eq!(code(stream(&mut client, unknown).await), Some(Code::FailedPrecondition));

    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let send = async |message| {
        sender.send(wire::ExecuteBlockRequest { message: Some(message) }).await.unwrap();
    };
    send(stack.begin_on(&first.execution_id)).await;
    send(batch(&transfers(1))).await;
    let answers = client.execute_block(ReceiverStream::new(receiver)).await.unwrap();
    let mut answers = answers.into_inner();
    let outcome = answers.message().await.unwrap().unwrap().message.unwrap();
    let wire::execute_block_response::Message::Outcomes(outcomes) = outcome else {
        panic!("the transfer is answered before its block's parent is committed");
    };
    let outcome = payload::decode("outcome", &outcomes.outcomes_json[0]).unwrap();
    assert!(matches!(outcome, TransactionOutcome::Included(_)));
    stack.commit(1, &expected.execution).await;
    send(close(parent)).await;
    let second = read_to_end(answers).await.unwrap().closed.expect("the block is closed");
    assert_eq!(second, stack.chain.block(&transfers(1)).execution);

    // On another parent than it was begun on, a block is not closed.
    stack.commit(2, &second).await;
    let elsewhere = vec![stack.begin(BlockLimits::default()), close(parent)];
    assert_eq!(code(stream(&mut client, elsewhere).await), Some(Code::FailedPrecondition));
    stack.shutdown.trigger();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_block_is_reported_and_closed() {
    let stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let transactions: Vec<_> =
        (0..5).map(|nonce| invoke(&alice, nonce, &[transfer(bob.address, 1)])).collect();
    let limits = BlockLimits { transactions: 3, ..BlockLimits::default() };
    let streamed = stream(
        &mut client,
        vec![
            stack.begin(limits),
            batch(&transactions),
            batch(&transactions),
            Message::Close(wire::CloseBlock::default()),
        ],
    )
    .await
    .unwrap();
    assert!(streamed.full);
    assert_eq!(streamed.outcomes.len(), 3);
    assert_eq!(streamed.closed.unwrap().transactions, transactions[..3]);
    stack.shutdown.trigger();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_block_is_refused() {
    let stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let code = |result: Result<Streamed, Status>| result.err().map(|status| status.code());

    let unordered = stream(&mut client, vec![batch(&[])]).await;
    assert_eq!(code(unordered), Some(Code::InvalidArgument));
    let twice = vec![stack.begin(BlockLimits::default()), stack.begin(BlockLimits::default())];
    assert_eq!(code(stream(&mut client, twice).await), Some(Code::InvalidArgument));

    let mut environment = stack.chain.environment();
    environment.parent_hash.0 += Felt::ONE;
    let begin = |environment: &sidereal_execution::block::BlockEnvironment| {
        Message::Begin(wire::BeginBlock {
            environment_json: payload::encode("environment", environment).unwrap(),
            limits_json: payload::encode("limits", &BlockLimits::default()).unwrap(),
            parent_execution_id: Vec::new(),
        })
    };
    let orphan = stream(&mut client, vec![begin(&environment)]).await;
    assert_eq!(code(orphan), Some(Code::FailedPrecondition));
    let mut environment = stack.chain.environment();
    environment.chain_id = starknet_api::core::ChainId::Mainnet;
    let foreign = stream(&mut client, vec![begin(&environment)]).await;
    assert_eq!(code(foreign), Some(Code::InvalidArgument));
    let mut environment = stack.chain.environment();
    environment.l2_gas_price.price_in_fri.0 = 0;
    let free = stream(&mut client, vec![begin(&environment)]).await;
    assert_eq!(code(free), Some(Code::InvalidArgument));
    let garbage = Message::Begin(wire::BeginBlock {
        environment_json: b"{".to_vec(),
        limits_json: b"{}".to_vec(),
        parent_execution_id: Vec::new(),
    });
    assert_eq!(code(stream(&mut client, vec![garbage]).await), Some(Code::InvalidArgument));
    // An executor that refused so often still works.
    let empty =
        vec![stack.begin(BlockLimits::default()), Message::Close(wire::CloseBlock::default())];
    assert!(stream(&mut client, empty).await.unwrap().closed.is_some());
    stack.shutdown.trigger();
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_read_any_closed_block() {
    let mut stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let counter = contract("counter");
    stack.chain.classes.insert(Arc::new(counter.clone()));
    stack.store_class(&counter).await;
    let block = stack
        .chain
        .block(&[invoke(&alice, 0, &[transfer(bob.address, 7)]), declare(&bob, 0, &counter)]);
    stack.commit(1, &block.execution).await;

    let balance = |at: Option<u64>| wire::CallRequest {
        at: Some(wire::StateAt { block_number: at, pending: None }),
        contract_address: felt::felt_bytes(STRK_TOKEN_ADDRESS.0.key()),
        entry_point_selector: felt::felt_bytes(&selector_from_name("balance_of").0),
        calldata: vec![felt::felt_bytes(bob.address.0.key())],
    };
    let read = |answer: wire::CallResponse| felt::felts("result", &answer.result).unwrap()[0];
    let before = read(client.call(balance(Some(0))).await.unwrap().into_inner());
    assert_eq!(before, Felt::from(bob.balance_fri));
    let after = read(client.call(balance(None)).await.unwrap().into_inner());
    let fee = block.execution.receipts[1].actual_fee.0;
    assert_eq!(after, before + Felt::from(7) - Felt::from(fee));
    let future = client.call(balance(Some(9))).await.unwrap_err();
    assert_eq!(future.code(), Code::NotFound);

    let mut wrong = balance(None);
    wrong.entry_point_selector = felt::felt_bytes(&Felt::from(5));
    let status = client.call(wrong).await.unwrap_err();
    let error: QueryError = serde_json::from_slice(status.details()).unwrap();
    assert!(matches!(error, QueryError::EntrypointNotFound { .. }), "{error}");
    let mut wrong = balance(None);
    wrong.contract_address = vec![1, 2, 3];
    assert_eq!(client.call(wrong).await.unwrap_err().code(), Code::InvalidArgument);

    let sent = invoke(&alice, 1, &[transfer(bob.address, 1)]);
    let simulate = |transaction: &BlockTransaction| wire::SimulateRequest {
        at: None,
        transactions: vec![on_wire(transaction)],
        skip_validate: false,
        skip_fee_charge: true,
        with_traces: true,
        fail_on_revert: true,
        classes: Vec::new(),
    };
    let answer = client.simulate(simulate(&sent)).await.unwrap().into_inner();
    let simulated: Vec<SimulatedTransaction> =
        payload::decode("simulated", &answer.simulated_json).unwrap();
    assert!(simulated[0].fee_estimation.overall_fee.0 > 0);
    assert!(simulated[0].transaction_trace.is_some());

    let stolen = sign(invoke(&bob, 1, &[]).transaction, alice.private_key);
    let status = client.validate(validation(&stolen)).await.unwrap_err();
    let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
    assert_eq!(rejection.reason, RejectionReason::ValidationFailed);
    client.validate(validation(&sent)).await.unwrap();

    let answer =
        client.trace_block(wire::TraceBlockRequest { block_number: 1 }).await.unwrap().into_inner();
    let traces: Vec<TransactionTraceEntry> =
        payload::decode("traces", &answer.traces_json).unwrap();
    let hashes: Vec<_> = traces.iter().map(|trace| trace.transaction_hash).collect();
    let committed: Vec<_> = block.execution.transactions.iter().map(|one| one.hash).collect();
    assert_eq!(hashes, committed);
    let none = client.trace_block(wire::TraceBlockRequest { block_number: 5 }).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    stack.shutdown.trigger();
}

/// Pins down that a query over open blocks sees what they changed, in their environment, and that what is not the state
/// of open blocks is refused.
#[tokio::test(flavor = "multi_thread")]
async fn queries_read_the_open_blocks() {
    let mut stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Vm).await;
    let (alice, bob) = (stack.chain.account(0).clone(), stack.chain.account(1).clone());
    let account_class = stack.chain.genesis.state_diff.deployed_contracts[&alice.address];
    let carol = new_account(77, account_class);
    // Neither block is in the store.
    let fund = transfer(carol.address, 10_u128.pow(20));
    let first = stack.chain.block(&[invoke(&alice, 0, &[fund, transfer(bob.address, 7)])]);
    let environment = stack.chain.environment();
    let second = stack.chain.block(&[
        invoke(&alice, 1, &[transfer(bob.address, 30)]),
        deploy_account(&carol, account_class),
    ]);
    let diffs: Vec<Vec<u8>> = [&first, &second]
        .iter()
        .map(|block| payload::encode("diff", &block.execution.state_diff).unwrap())
        .collect();
    let pending = wire::PendingState {
        environment_json: payload::encode("environment", &environment).unwrap(),
        state_diffs_json: diffs.clone(),
    };
    let at = |block_number: Option<u64>, pending: &wire::PendingState| {
        Some(wire::StateAt { block_number, pending: Some(pending.clone()) })
    };
    let open = || at(Some(0), &pending);

    let call = |at, function: &str, calldata: Vec<Vec<u8>>| wire::CallRequest {
        at,
        contract_address: felt::felt_bytes(STRK_TOKEN_ADDRESS.0.key()),
        entry_point_selector: felt::felt_bytes(&selector_from_name(function).0),
        calldata,
    };
    let balance = |at| call(at, "balance_of", vec![felt::felt_bytes(bob.address.0.key())]);
    let read = |answer: wire::CallResponse| felt::felts("result", &answer.result).unwrap()[0];
    let closed = Some(wire::StateAt { block_number: Some(0), pending: None });
    let before = read(client.call(balance(closed)).await.unwrap().into_inner());
    // The second time it is remembered; in between another view is asked about.
    let one = wire::PendingState {
        environment_json: payload::encode("environment", &first.execution.environment).unwrap(),
        state_diffs_json: vec![diffs[0].clone()],
    };
    for (view, more) in [(&pending, 37), (&one, 7), (&pending, 37)] {
        let after = read(client.call(balance(at(Some(0), view))).await.unwrap().into_inner());
        assert_eq!(after, before + Felt::from(more));
    }

    // The next transactions of an account that only the open blocks know.
    let next = invoke(&carol, 1, &[transfer(bob.address, 1)]);
    let simulate = |at| wire::SimulateRequest {
        at,
        transactions: vec![on_wire(&next)],
        skip_fee_charge: true,
        fail_on_revert: true,
        ..wire::SimulateRequest::default()
    };
    client.simulate(simulate(open())).await.unwrap();
    client.simulate(simulate(None)).await.unwrap_err();
    let validate = |at| wire::ValidateRequest { at, ..validation(&next) };
    client.validate(validate(open())).await.unwrap();
    let status = client.validate(validate(None)).await.unwrap_err();
    let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
    assert_eq!(rejection.reason, RejectionReason::InvalidAccount);

    let mut code = async |at| client.call(balance(at)).await.map_err(|status| status.code());
    let garbage = |change: fn(&mut wire::PendingState)| {
        let mut garbage = pending.clone();
        change(&mut garbage);
        at(Some(0), &garbage)
    };
    let invalid = [
        at(None, &pending),
        garbage(|pending| pending.environment_json = b"{".to_vec()),
        garbage(|pending| pending.environment_json.clear()),
        garbage(|pending| pending.state_diffs_json[1].truncate(50)),
        garbage(|pending| pending.state_diffs_json.clear()),
        garbage(|pending| drop(pending.state_diffs_json.pop())),
        garbage(|pending| pending.state_diffs_json.push(b"{}".to_vec())),
        garbage(|pending| pending.state_diffs_json[0] = vec![b' '; 33 << 20]),
    ];
    for at in invalid {
        assert_eq!(code(at).await.unwrap_err(), Code::InvalidArgument);
    }
    let foreign = BlockEnvironment { chain_id: ChainId::Mainnet, ..environment.clone() };
    let mut of_another_chain = pending.clone();
    of_another_chain.environment_json = payload::encode("environment", &foreign).unwrap();
    assert_eq!(code(at(Some(0), &of_another_chain)).await.unwrap_err(), Code::InvalidArgument);
    let mut far = environment.clone();
    far.number.0 += 7;
    let mut ahead = pending.clone();
    ahead.environment_json = payload::encode("environment", &far).unwrap();
    // Not the blocks on top of that one; and on top of one that is not there.
    assert_eq!(code(at(Some(0), &ahead)).await.unwrap_err(), Code::InvalidArgument);
    assert_eq!(code(at(Some(7), &ahead)).await.unwrap_err(), Code::NotFound);
    code(open()).await.unwrap();
    stack.shutdown.trigger();
}

/// Pins down that a declare can be simulated and validated with a class that is nowhere but in the request, that what it
/// declares can be used in the same simulation, and that nothing of it stays.
#[tokio::test(flavor = "multi_thread")]
async fn classes_of_a_request_stay_in_it() {
    let stack = Stack::new().await;
    let mut client = stack.executor(ExecutionMode::Native).await;
    let alice = stack.chain.account(0).clone();
    let counter = contract("counter");
    let pack = |json: Vec<u8>| zstd::encode_all(json.as_slice(), 1).unwrap();
    let class = types::DeclaredClass {
        sierra_json_zstd: pack(serde_json::to_vec(&counter.sierra).unwrap()),
        casm_json_zstd: pack(serde_json::to_vec(&counter.casm).unwrap()),
    };
    let deployer: ContractAddress = ContractAddress::try_from(Felt::from_hex_unchecked(
        "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf",
    ))
    .unwrap();
    let calldata = vec![counter.class_hash().0, Felt::ONE, Felt::ZERO, Felt::ONE, Felt::from(10)];
    let deploy = Call { to: deployer, function: "deployContract", calldata };
    let transactions = [declare(&alice, 0, &counter), invoke(&alice, 1, &[deploy])];
    let simulate = |classes: Vec<types::DeclaredClass>| wire::SimulateRequest {
        transactions: transactions.iter().map(on_wire).collect(),
        fail_on_revert: true,
        classes,
        ..wire::SimulateRequest::default()
    };
    for _ in 0..2 {
        let status = client.simulate(simulate(Vec::new())).await.unwrap_err();
        let error: QueryError = serde_json::from_slice(status.details()).unwrap();
        let reason = Some(RejectionReason::InvalidClass);
        let QueryError::TransactionExecution { index: 0, reason: found, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(found, reason);
        let answer = client.simulate(simulate(vec![class.clone()])).await.unwrap().into_inner();
        let simulated: Vec<SimulatedTransaction> =
            payload::decode("simulated", &answer.simulated_json).unwrap();
        assert_eq!(simulated.len(), 2);

        let [declares, uses] = transactions.each_ref().map(validation);
        let status = client.validate(declares.clone()).await.unwrap_err();
        let rejection: Rejection = serde_json::from_slice(status.details()).unwrap();
        assert_eq!(rejection.reason, RejectionReason::InvalidClass);
        let with = |request| wire::ValidateRequest { class: Some(class.clone()), ..request };
        client.validate(with(declares)).await.unwrap();
        let status = client.validate(with(uses)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "it declares nothing");
    }

    let mut garbage = class.clone();
    garbage.casm_json_zstd = pack(b"{}".to_vec());
    let mut cut = class.clone();
    cut.sierra_json_zstd.truncate(100);
    let many = vec![class.clone(); 3];
    for classes in [vec![garbage], vec![cut], many] {
        let status = client.simulate(simulate(classes)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    stack.shutdown.trigger();
}
