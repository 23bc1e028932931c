//! Boots the sequencer over SQLite, files and the embedded bus, and sends it signed transactions by gRPC.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod settlement;
mod support;

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use sidereal_chain_store::{BlockSelector, ChainStore};
use sidereal_execution::block::{BlockEnvironment, STRK_TOKEN_ADDRESS};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::genesis::{DevAccount, GenesisClasses, GenesisConfig, genesis};
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::testing::{
    TestChain, contract, declare, deploy_account, invoke, new_account, sign, transfer,
};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_object_store::ObjectKey;
use sidereal_proto::events::BlockDisputed;
use sidereal_proto::payload;
use sidereal_proto::sequencer::{
    GetPendingNonceRequest, GetPreConfirmedBlockRequest, GetPreConfirmedStateRequest,
    SubmitTransactionRequest,
};
use sidereal_proto::transaction::to_wire;
use sidereal_proto::types::{self, ExecutionStatus, FinalityStatus};
use sidereal_sequencer::SequencerError;
use sidereal_service::telemetry::{self, TelemetryConfig};
use starknet_api::abi::abi_utils::get_fee_token_var_address;
use starknet_api::block::BlockNumber;
use starknet_api::core::ContractAddress;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::fields::TransactionSignature;
use starknet_api::transaction::{InvokeTransaction, Transaction, TransactionHash};
use starknet_types_core::felt::Felt;
use support::{Fault, Sequencer, TestExecutor, check_blocks, config, reader, store_url};
use tempfile::TempDir;
use tonic::Code;

/// The accounts that the default genesis funds.
fn accounts() -> Vec<DevAccount> {
    let classes = GenesisClasses {
        account: contract("account"),
        erc20: contract("erc20"),
        universal_deployer: Some(contract("udc")),
        others: Vec::new(),
    };
    genesis(&GenesisConfig::default(), classes).unwrap().accounts
}

fn receiver(number: u64) -> ContractAddress {
    ContractAddress::from(0xdead_0000_u128 + u128::from(number))
}

async fn balance(store: &ChainStore, of: ContractAddress) -> Felt {
    let head = store.head().await.unwrap().unwrap().number;
    let key = get_fee_token_var_address(of);
    store.storage_at(&STRK_TOKEN_ADDRESS, &key, head).await.unwrap()
}

/// How often each transaction is in a closed block.
async fn occurrences(store: &ChainStore) -> HashMap<TransactionHash, usize> {
    let head = store.head().await.unwrap().unwrap().number;
    let mut found = HashMap::new();
    for number in 0..=head.0 {
        for hash in store.transaction_hashes(BlockNumber(number)).await.unwrap() {
            *found.entry(hash).or_default() += 1;
        }
    }
    found
}

fn refusal(status: &tonic::Status) -> &str {
    let value = status.metadata().get(sidereal_sequencer::grpc::SUBMIT_ERROR_KEY);
    value.map_or("", |value| value.to_str().unwrap())
}

/// Pins the way of a transfer to a closed block: acknowledged, executed, in the state; the block's witness alone leads
/// to the same block, in StarknetOS too; the bus says that it was closed.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_become_blocks_whose_witnesses_replay() {
    // Traces are made where somebody collects them; nobody does here.
    let telemetry = TelemetryConfig {
        otlp_endpoint: Some("http://127.0.0.1:1".to_owned()),
        log_filter: "off".to_owned(),
        ..TelemetryConfig::default()
    };
    let _telemetry = telemetry::init("sequencer", &telemetry).unwrap();
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let config = config(folder.path(), &[executor]);
    let bus = config.bus.clone();
    let sequencer = Sequencer::start(config).await;
    let accounts = accounts();

    let mut sent = Vec::new();
    for nonce in 0..4_u64 {
        for account in &accounts[..3] {
            let one = invoke(account, nonce, &[transfer(receiver(nonce), 7)]);
            sent.push(sequencer.submit(&one).await.unwrap());
        }
    }
    for hash in &sent {
        let status = sequencer.wait_for(hash, FinalityStatus::AcceptedOnL2).await;
        assert_eq!(status.execution(), ExecutionStatus::Succeeded, "{}", status.failure_reason);
    }
    let store = reader(folder.path()).await;
    for number in 0..4 {
        assert_eq!(balance(&store, receiver(number)).await, Felt::from(21));
    }
    assert!(occurrences(&store).await.values().all(|count| *count == 1));
    assert_eq!(store.waiting_count().await.unwrap(), 0);

    // The relay marks what it published; the events are there for a consumer that comes late.
    let bus = sidereal_bus::open(&bus).await.unwrap();
    let subscribe = sidereal_bus::Subscribe::durable("block.closed", "test");
    let mut events = bus.subscribe(subscribe).await.unwrap();
    let head = store.head().await.unwrap().unwrap();
    let mut traces = HashSet::new();
    for number in 0..=head.number.0 {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), events.next());
        let delivery = next.await.unwrap().unwrap();
        let closed: sidereal_proto::events::BlockClosed =
            prost::Message::decode(delivery.event.payload.clone()).unwrap();
        assert_eq!(closed.block_number, number);
        // A block's trace goes on with its event; genesis was nobody's request.
        let trace = delivery.event.headers.get("traceparent").cloned();
        assert_eq!(trace.is_some(), number > 0, "{trace:?}");
        assert!(traces.insert(trace), "each block has a trace of its own");
        delivery.ack().await.unwrap();
    }
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that the chain halts when proving comes to another result than a block, stays halted over a restart, and goes on
/// when somebody has looked into it; and that a dispute about a block it does not have is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_disputed_block_halts_the_chain() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let mut config = config(folder.path(), &[executor]);
    // A block is closed with its second transaction, so that the block of a third one stays open.
    config.block.close_after_ms = 3_600_000;
    config.block_limits.transactions = 2;
    let bus = sidereal_bus::open(&config.bus).await.unwrap();
    let mut sequencer = Sequencer::start(config.clone()).await;
    let account = &accounts()[0];
    let sent: Vec<_> =
        (0..4).map(|nonce| invoke(account, nonce, &[transfer(receiver(0), 1)])).collect();
    sequencer.submit(&sent[0]).await.unwrap();
    sequencer.submit(&sent[1]).await.unwrap();
    sequencer.wait_for(&sent[0].hash, FinalityStatus::AcceptedOnL2).await;
    let store = reader(folder.path()).await;
    let block = store.block(BlockSelector::Number(BlockNumber(1))).await.unwrap().unwrap();

    let dispute = async |hash: Felt, cause: &str| {
        let disputed = BlockDisputed {
            block_number: 1,
            block_hash: sidereal_proto::felt::felt_bytes(&hash),
            cause: cause.to_owned(),
        };
        let event = sidereal_bus::Event {
            subject: sidereal_proto::BLOCK_DISPUTED_SUBJECT.to_owned(),
            message_id: cause.to_owned(),
            payload: disputed.encode_to_vec().into(),
            headers: Default::default(),
        };
        bus.publish(event).await.unwrap();
    };
    dispute(block.hash.0 + Felt::ONE, "of-another-chain").await;
    sequencer.submit(&sent[2]).await.unwrap();
    sequencer.wait_for(&sent[1].hash, FinalityStatus::AcceptedOnL2).await;
    sequencer.wait_for(&sent[2].hash, FinalityStatus::PreConfirmed).await;
    dispute(block.hash.0, "another-root").await;
    let disputed = |ended: Result<(), SequencerError>| {
        let error = ended.unwrap_err();
        assert!(matches!(error, SequencerError::Disputed(_)), "{error:?}");
        let said = sidereal_service::error_chain(&error);
        for part in ["block 1 ", "another-root", "disputes.overruled"] {
            assert!(said.contains(part), "{said}");
        }
    };
    disputed(sequencer.ended().await);
    drop(sequencer);
    let head = store.head().await.unwrap().unwrap().number;
    assert_eq!(head, BlockNumber(1), "the open block is not closed on top of it");
    disputed(sidereal_sequencer::run(config.clone(), sidereal_service::Shutdown::new()).await);

    config.disputes.overruled = vec![format!("{:#x}", block.hash.0)];
    let sequencer = Sequencer::start(config).await;
    sequencer.submit(&sent[3]).await.unwrap();
    sequencer.wait_for(&sent[2].hash, FinalityStatus::AcceptedOnL2).await;
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that a class is stored with the declare that is taken, and that one which is refused leaves nothing: nobody fills
/// the store with what they do not pay for.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_declare_that_is_taken_stores_its_class() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let mut config = config(folder.path(), &[executor]);
    // Nothing is declared at genesis but what accounts need.
    config.genesis.others.clear();
    let sequencer = Sequencer::start(config).await;
    let account = &accounts()[0];
    let counter = contract("counter");
    let pack = |json: Vec<u8>| zstd::encode_all(json.as_slice(), 1).unwrap();
    let class = types::DeclaredClass {
        sierra_json_zstd: pack(serde_json::to_vec(&counter.sierra).unwrap()),
        casm_json_zstd: pack(serde_json::to_vec(&counter.casm).unwrap()),
    };
    let casm = ObjectKey::casm_class(counter.class_hash().0);
    let stored = || folder.path().join("objects").join(casm.as_str()).exists();
    let submit = async |transaction: &BlockTransaction, class: Option<types::DeclaredClass>| {
        let wire = to_wire(&transaction.hash, &transaction.transaction).unwrap();
        let request = SubmitTransactionRequest { transaction: Some(wire), class };
        sequencer.client.clone().submit_transaction(request).await
    };

    let declares = declare(account, 0, &counter);
    let forged = sign(declares.transaction.clone(), Felt::ONE);
    let refused = submit(&forged, Some(class.clone())).await.unwrap_err();
    assert_eq!(refusal(&refused), "SUBMIT_ERROR_VALIDATION_FAILURE", "{refused:?}");
    let absent = submit(&declares, None).await.unwrap_err();
    assert_eq!(absent.code(), Code::FailedPrecondition, "{absent:?}");
    let pays = invoke(account, 0, &[transfer(receiver(0), 1)]);
    let beside = submit(&pays, Some(class.clone())).await.unwrap_err();
    assert_eq!(beside.code(), Code::InvalidArgument, "{beside:?}");
    assert!(!stored());

    submit(&declares, Some(class.clone())).await.unwrap();
    assert!(stored());
    sequencer.wait_for(&declares.hash, FinalityStatus::AcceptedOnL2).await;
    let again = submit(&declare(account, 1, &counter), Some(class)).await.unwrap_err();
    assert_eq!(refusal(&again), "SUBMIT_ERROR_CLASS_ALREADY_DECLARED", "{again:?}");
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that a block is closed long before its time when the next transaction exceeds its gas or its state diff, and that
/// this one begins another block.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_without_room_is_closed_and_the_next_one_goes_on() {
    type Limits = fn(u32) -> BlockLimits;
    let kinds: [(&str, Limits); 2] = [
        ("gas", |limit| BlockLimits { sierra_gas: u64::from(limit), ..BlockLimits::default() }),
        ("state diff", |limit| BlockLimits {
            state_diff_size: usize::try_from(limit).unwrap(),
            ..BlockLimits::default()
        }),
    ];
    let account = &accounts()[0];
    // Each changes a cell of its own.
    let three: Vec<_> =
        (0..3).map(|nonce| invoke(account, nonce, &[transfer(receiver(nonce), 1)])).collect();
    for (what, limits) in kinds {
        let folder = TempDir::new().unwrap();
        let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
        let mut config = config(folder.path(), &[executor]);
        config.block.close_after_ms = 3_600_000;
        // The same accounts and transactions, so that this has room for two.
        let chain = TestChain::new(ExecutionMode::Vm);
        config.block_limits = limits(chain.least_limit(&three[..2], limits));
        let sequencer = Sequencer::start(config).await;
        for one in &three {
            sequencer.submit(one).await.unwrap();
        }
        let first = sequencer.wait_for(&three[0].hash, FinalityStatus::AcceptedOnL2).await;
        assert_eq!(first.block_number, Some(1), "{what}");
        sequencer.wait_for_execution(&three[2].hash).await;
        let last = sequencer.status(&three[2].hash).await.unwrap();
        assert!(last.block_number > Some(1), "{what}: {last:?}");
        sequencer.stop().await.unwrap();
        check_blocks(folder.path()).await;
    }
}

/// Pins each refusal that a wallet must be able to tell from the others, and that none of them leaves a trace.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_executed_is_refused_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let sequencer = Sequencer::start(config(folder.path(), &[executor])).await;
    let accounts = accounts();
    let account = &accounts[0];
    let fund = transfer(*STRK_TOKEN_ADDRESS, 10_u128.pow(20));
    let good = invoke(account, 0, &[transfer(receiver(0), 1), fund]);
    sequencer.submit(&good).await.unwrap();
    sequencer.wait_for(&good.hash, FinalityStatus::AcceptedOnL2).await;

    // It could pay, but nobody can send from it.
    let token = DevAccount { address: *STRK_TOKEN_ADDRESS, ..account.clone() };
    let token = invoke(&token, 0, &[transfer(receiver(0), 1)]);
    let token = sequencer.submit(&token).await.unwrap_err();
    assert_eq!(
        (token.code(), refusal(&token)),
        (Code::FailedPrecondition, "SUBMIT_ERROR_NON_ACCOUNT"),
        "{token:?}"
    );

    let again = sequencer.submit(&good).await.unwrap_err();
    assert_eq!(
        (again.code(), refusal(&again)),
        (Code::FailedPrecondition, "SUBMIT_ERROR_INVALID_NONCE")
    );

    let far = invoke(account, 1_000, &[transfer(receiver(0), 1)]);
    let far = sequencer.submit(&far).await.unwrap_err();
    assert_eq!(refusal(&far), "SUBMIT_ERROR_INVALID_NONCE");

    let waits = invoke(account, 5, &[transfer(receiver(0), 1)]);
    sequencer.submit(&waits).await.unwrap();
    let twice = sequencer.submit(&waits).await.unwrap_err();
    assert_eq!((twice.code(), refusal(&twice)), (Code::AlreadyExists, "SUBMIT_ERROR_DUPLICATE"));
    let same_nonce = invoke(account, 5, &[transfer(receiver(1), 1)]);
    let same_nonce = sequencer.submit(&same_nonce).await.unwrap_err();
    assert_eq!(refusal(&same_nonce), "SUBMIT_ERROR_REPLACEMENT_UNDERPRICED");
    assert_eq!(sequencer.status(&waits.hash).await.unwrap().finality(), FinalityStatus::Received);

    let mut forged = invoke(account, 1, &[transfer(receiver(0), 1)]);
    if let Transaction::Invoke(InvokeTransaction::V3(tx)) = &mut forged.transaction {
        let signature = tx.signature.0.iter().map(|felt| *felt + Felt::ONE).collect::<Vec<_>>();
        tx.signature = TransactionSignature(signature.into());
    }
    let forged = sequencer.submit(&forged).await.unwrap_err();
    assert_eq!(refusal(&forged), "SUBMIT_ERROR_VALIDATION_FAILURE", "{forged:?}");

    let mut cheap = invoke(account, 1, &[transfer(receiver(0), 1)]);
    if let Transaction::Invoke(InvokeTransaction::V3(tx)) = &mut cheap.transaction
        && let starknet_api::transaction::fields::ValidResourceBounds::AllResources(bounds) =
            &mut tx.resource_bounds
    {
        bounds.l2_gas.max_price_per_unit.0 = 1;
    }
    let cheap = sign(cheap.transaction, account.private_key);
    let cheap = sequencer.submit(&cheap).await.unwrap_err();
    assert_eq!(refusal(&cheap), "SUBMIT_ERROR_FEE_BELOW_MINIMUM");

    let mut misnamed = invoke(account, 1, &[transfer(receiver(0), 1)]);
    misnamed.hash = TransactionHash(Felt::ONE);
    let misnamed = sequencer.submit_raw(&misnamed).await.unwrap_err();
    assert_eq!(misnamed.code(), Code::InvalidArgument);

    let store = reader(folder.path()).await;
    assert_eq!(store.waiting_count().await.unwrap(), 1);
    assert_eq!(occurrences(&store).await.len(), 1);
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that a wallet can send the deployment of its account and the first transaction from it at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_deployed_and_used_in_one_go() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let sequencer = Sequencer::start(config(folder.path(), &[executor])).await;
    let accounts = accounts();
    let class_hash = contract("account").class_hash();
    let fresh = new_account(77, class_hash);

    let unfunded = sequencer.submit(&deploy_account(&fresh, class_hash)).await.unwrap_err();
    assert_eq!(refusal(&unfunded), "SUBMIT_ERROR_INSUFFICIENT_BALANCE", "{unfunded:?}");
    let undeployed = invoke(&fresh, 1, &[transfer(receiver(0), 3)]);
    let undeployed = sequencer.submit(&undeployed).await.unwrap_err();
    assert_eq!(refusal(&undeployed), "SUBMIT_ERROR_VALIDATION_FAILURE", "{undeployed:?}");

    let fund = invoke(&accounts[0], 0, &[transfer(fresh.address, 10_u128.pow(20))]);
    sequencer.submit(&fund).await.unwrap();
    sequencer.wait_for(&fund.hash, FinalityStatus::AcceptedOnL2).await;
    let deploy = deploy_account(&fresh, class_hash);
    let first = invoke(&fresh, 1, &[transfer(receiver(0), 3)]);
    sequencer.submit(&deploy).await.unwrap();
    sequencer.submit(&first).await.unwrap();
    let status = sequencer.wait_for(&first.hash, FinalityStatus::AcceptedOnL2).await;
    assert_eq!(status.execution(), ExecutionStatus::Succeeded, "{}", status.failure_reason);
    let store = reader(folder.path()).await;
    assert_eq!(balance(&store, receiver(0)).await, Felt::from(3));
    let request =
        GetPendingNonceRequest { address: sidereal_proto::felt::felt_bytes(fresh.address.0.key()) };
    let nonce = sequencer.client.clone().get_pending_nonce(request).await.unwrap().into_inner();
    assert_eq!(Felt::from_bytes_be_slice(&nonce.nonce), Felt::TWO);
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that a block goes on elsewhere when its executor breaks in the middle of it, and comes to what was
/// pre-confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_executor_is_replaced_in_the_middle_of_a_block() {
    let folder = TempDir::new().unwrap();
    let url = store_url(folder.path());
    let (breaking, first) = TestExecutor::start(url.clone(), Fault::BreakAfter(3)).await;
    let (healthy, second) = TestExecutor::start(url, Fault::None).await;
    let mut config = config(folder.path(), &[first, second]);
    config.block.close_after_ms = 1_500;
    let sequencer = Sequencer::start(config).await;
    let account = &accounts()[0];
    let mut sent = Vec::new();
    for nonce in 0..8 {
        let one = invoke(account, nonce, &[transfer(receiver(1), 1)]);
        sent.push(sequencer.submit(&one).await.unwrap());
    }
    let mut blocks = std::collections::BTreeSet::new();
    for hash in &sent {
        let status = sequencer.wait_for(hash, FinalityStatus::AcceptedOnL2).await;
        blocks.insert(status.block_number.unwrap());
    }
    assert_eq!(blocks.len(), 1, "one block, whoever executed it");
    assert_eq!((breaking.streams(), healthy.streams()), (1, 1));
    let store = reader(folder.path()).await;
    assert!(occurrences(&store).await.values().all(|count| *count == 1));
    assert_eq!(balance(&store, receiver(1)).await, Felt::from(8));
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins the promise behind a returned hash: a sequencer that is killed before the block is closed executes every
/// acknowledged transaction exactly once after its restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sequencer_loses_nothing_acknowledged() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let mut first = config(folder.path(), &[executor]);
    first.block.close_after_ms = 60_000;
    let sequencer = Sequencer::start(first).await;
    let accounts = accounts();
    let mut sent = Vec::new();
    for nonce in 0..3 {
        for account in &accounts[..2] {
            let one = invoke(account, nonce, &[transfer(receiver(2), 5)]);
            sent.push(sequencer.submit(&one).await.unwrap());
        }
    }
    sequencer.wait_for(&sent[0], FinalityStatus::PreConfirmed).await;
    let mut client = sequencer.client.clone();
    let open = client.get_pre_confirmed_block(GetPreConfirmedBlockRequest {});
    let open = open.await.unwrap().into_inner().block.unwrap();
    assert_eq!(open.number, 1);
    assert_eq!(open.transactions.len(), open.receipts_json.len());
    assert!(!open.transactions.is_empty());
    sequencer.kill();

    let sequencer = Sequencer::start(config(folder.path(), &[executor])).await;
    for hash in &sent {
        sequencer.wait_for(hash, FinalityStatus::AcceptedOnL2).await;
    }
    let store = reader(folder.path()).await;
    let found = occurrences(&store).await;
    assert_eq!(found.len(), sent.len());
    assert!(found.values().all(|count| *count == 1));
    assert_eq!(balance(&store, receiver(2)).await, Felt::from(30));
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that nothing is written on top of a contradiction.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_contradicts_itself_halts_the_chain() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::LieAtClose).await;
    let mut sequencer = Sequencer::start(config(folder.path(), &[executor])).await;
    let one: BlockTransaction = invoke(&accounts()[0], 0, &[transfer(receiver(3), 5)]);
    sequencer.submit(&one).await.unwrap();
    let ended = sequencer.ended().await;
    assert!(matches!(ended, Err(SequencerError::Halted(_))), "{ended:?}");
    let store = reader(folder.path()).await;
    assert_eq!(store.head().await.unwrap().unwrap().number, BlockNumber(0));
    assert_eq!(store.waiting_count().await.unwrap(), 1);
}

/// Pins that what is pre-confirmed is in the state that the sequencer shows, through an executor that breaks and while a
/// block is being committed; and that accounts which only the open block knows can send.
#[tokio::test(flavor = "multi_thread")]
async fn the_open_state_holds_what_is_pre_confirmed() {
    let folder = TempDir::new().unwrap();
    let url = store_url(folder.path());
    let (_, first) = TestExecutor::start(url.clone(), Fault::BreakAfter(4)).await;
    let (_, second) = TestExecutor::start(url, Fault::None).await;
    let mut config = config(folder.path(), &[first, second]);
    config.block.close_after_ms = 4_000;
    let sequencer = Sequencer::start(config).await;
    let accounts = accounts();
    let class_hash = contract("account").class_hash();
    let fresh = new_account(77, class_hash);
    let state = async || {
        let mut client = sequencer.client.clone();
        client.get_pre_confirmed_state(GetPreConfirmedStateRequest {}).await.unwrap().into_inner()
    };
    // No block is open: the one to come is seen, as it begins.
    let to_come = state().await.state.unwrap();
    assert_eq!((to_come.base_number, to_come.state_diffs_json.len()), (0, 1));
    let opening: ThinStateDiff = payload::decode("diff", &to_come.state_diffs_json[0]).unwrap();
    assert!(opening.is_empty());
    let store = reader(folder.path()).await;
    // The value of a cell after all open blocks, and the number of the last one.
    let balance = async |of: ContractAddress| {
        let state = state().await.state.unwrap();
        let environment: BlockEnvironment =
            payload::decode("environment", &state.environment_json).unwrap();
        let blocks = u64::try_from(state.state_diffs_json.len()).unwrap();
        assert_eq!(environment.number.0, state.base_number + blocks);
        let key = get_fee_token_var_address(of);
        let base = BlockNumber(state.base_number);
        assert!(store.block(BlockSelector::Number(base)).await.unwrap().is_some());
        let mut value = store.storage_at(&STRK_TOKEN_ADDRESS, &key, base).await.unwrap();
        for diff in &state.state_diffs_json {
            let diff: ThinStateDiff = payload::decode("diff", diff).unwrap();
            let changed = diff.storage_diffs.get(&*STRK_TOKEN_ADDRESS);
            value = changed.and_then(|cells| cells.get(&key)).copied().unwrap_or(value);
        }
        value
    };

    let fund = invoke(&accounts[0], 0, &[transfer(fresh.address, 10_u128.pow(20))]);
    sequencer.submit(&fund).await.unwrap();
    sequencer.wait_for(&fund.hash, FinalityStatus::PreConfirmed).await;
    assert_eq!(balance(fresh.address).await, Felt::from(10_u128.pow(20)));
    // The closed state has neither the funds nor, then, the account.
    let deploy = deploy_account(&fresh, class_hash);
    sequencer.submit(&deploy).await.unwrap();
    sequencer.wait_for(&deploy.hash, FinalityStatus::PreConfirmed).await;
    let mut forged = invoke(&fresh, 1, &[transfer(receiver(9), 1)]);
    if let Transaction::Invoke(InvokeTransaction::V3(tx)) = &mut forged.transaction {
        tx.signature = TransactionSignature(vec![Felt::ONE, Felt::TWO].into());
    }
    let forged = sequencer.submit(&forged).await.unwrap_err();
    assert_eq!(refusal(&forged), "SUBMIT_ERROR_VALIDATION_FAILURE", "{forged:?}");
    let head = store.head().await.unwrap().unwrap().number;
    assert_eq!(head, BlockNumber(0), "the block was open all the time");

    // Over several blocks and replays, nothing that was seen goes away.
    for round in 0..12 {
        let one = invoke(&fresh, 1 + round, &[transfer(receiver(9), 1)]);
        sequencer.submit(&one).await.unwrap();
        sequencer.wait_for_execution(&one.hash).await;
        assert_eq!(balance(receiver(9)).await, Felt::from(1 + round));
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(balance(receiver(9)).await, Felt::from(1 + round));
    }
    assert!(store.head().await.unwrap().unwrap().number > BlockNumber(0));
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that what is no transaction, or too much of one, is refused with its place, and that the service goes on.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_submissions_are_refused() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let mut config = config(folder.path(), &[executor]);
    config.grpc.max_message_bytes = 64 * 1024;
    let sequencer = Sequencer::start(config).await;
    let good = invoke(&accounts()[0], 0, &[transfer(receiver(0), 1)]);
    let wire = to_wire(&good.hash, &good.transaction).unwrap();
    let submit = async |transaction: Option<types::Transaction>| {
        let request = SubmitTransactionRequest { transaction, class: None };
        sequencer.client.clone().submit_transaction(request).await
    };
    let changed = |change: fn(&mut types::InvokeV3)| {
        let mut wire = wire.clone();
        let Some(types::transaction::Kind::Invoke(invoke)) = &mut wire.kind else { panic!() };
        change(invoke);
        Some(wire)
    };
    for (transaction, place) in [
        (None, "transaction"),
        (Some(types::Transaction { kind: None, ..wire.clone() }), "transaction"),
        (changed(|invoke| invoke.common = None), "common"),
        (changed(|invoke| invoke.calldata.push(vec![0; 31])), "calldata"),
        (changed(|invoke| invoke.calldata.push(vec![0xff; 32])), "calldata"),
    ] {
        let refused = submit(transaction).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(place), "{place}: {refused:?}");
    }
    let oversized = changed(|invoke| invoke.calldata = vec![vec![0; 32]; 3_000]);
    assert_eq!(submit(oversized).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(reader(folder.path()).await.waiting_count().await.unwrap(), 0);
    submit(Some(wire.clone())).await.unwrap();
    sequencer.stop().await.unwrap();
}
