//! What the sequencer makes of what the settler says: finality, and prices.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sidereal_chain_store::{BlockSelector, ChainStore, StoredBlock};
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::genesis::DevAccount;
use sidereal_execution::testing::{invoke, sign, transfer};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::felt::felt_bytes;
use sidereal_proto::payload;
use sidereal_proto::sequencer::{GetPreConfirmedBlockRequest, GetPreConfirmedStateRequest};
use sidereal_proto::settlement::SettledState;
use sidereal_proto::types::FinalityStatus;
use sidereal_sequencer::SequencerConfig;
use sidereal_sequencer::gas_prices::{BlockGasPrices, GasPriceSource};
use sidereal_service::admin::AdminConfig;
use starknet_api::block::{BlockNumber, GasPrice};
use starknet_api::transaction::fields::ValidResourceBounds;
use starknet_api::transaction::{InvokeTransaction, Transaction};
use starknet_types_core::felt::Felt;
use tempfile::TempDir;

use crate::support::{
    self, Fault, Sequencer, TestExecutor, TestSettler, check_blocks, reader, store_url,
};
use crate::{accounts, receiver, refusal};

/// Of a sequencer that listens to this settler.
fn config(folder: &Path, executor: SocketAddr, settler: SocketAddr) -> SequencerConfig {
    let mut config = support::config(folder, &[executor]);
    config.l1_settlement.enabled = true;
    config.l1_settlement.settler.url = format!("http://{settler}");
    config.l1_settlement.poll_ms = 20;
    config
}

async fn stored(store: &ChainStore, number: u64) -> StoredBlock {
    store.block(BlockSelector::Number(BlockNumber(number))).await.unwrap().unwrap()
}

async fn last_on_l1(store: &ChainStore) -> Option<u64> {
    let block = store.block(BlockSelector::LatestAcceptedOnL1).await.unwrap();
    block.map(|block| block.number().0)
}

/// A block as the contract holds it.
fn held(block: &StoredBlock) -> SettledState {
    SettledState {
        block_number: block.number().0,
        block_hash: felt_bytes(&block.hash.0),
        root: felt_bytes(&block.header.state_root.0),
        l1_block_number: 7,
    }
}

/// Pins that a block is accepted on L1 exactly when the contract holds it with our hash and our root, with all before it;
/// that what is accepted stays so whatever L1 or the settler do then; and that a contract which holds something else
/// takes readiness until it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_l1_holds_is_accepted_and_stays_so() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let (settler, address) = TestSettler::start().await;
    let mut config = config(folder.path(), executor, address);
    let admin = support::free_port();
    config.admin = AdminConfig::on(admin);
    let sequencer = Sequencer::start(config.clone()).await;
    let mut sent = Vec::new();
    for nonce in 0..3 {
        let one = invoke(&accounts()[0], nonce, &[transfer(receiver(0), 1)]);
        sequencer.submit(&one).await.unwrap();
        sequencer.wait_for(&one.hash, FinalityStatus::AcceptedOnL2).await;
        sent.push(one.hash);
    }
    let store = reader(folder.path()).await;
    let (first, third) = (stored(&store, 1).await, stored(&store, 3).await);
    let ready = || support::http_status(admin, "/ready");

    settler.says(None).await;
    settler.says_settled(None).await;
    assert_eq!(last_on_l1(&store).await, None);
    assert_eq!(ready().await, 200);

    settler.says_settled(Some(held(&first))).await;
    sequencer.wait_for(&sent[0], FinalityStatus::AcceptedOnL1).await;
    assert_eq!(last_on_l1(&store).await, Some(1));
    let second = sequencer.status(&sent[1]).await.unwrap();
    assert_eq!(second.finality(), FinalityStatus::AcceptedOnL2);

    let other = felt_bytes(&Felt::from(0x0dd));
    let beyond = SettledState { block_number: 4, ..held(&third) };
    let wrong = [
        ("another hash", SettledState { block_hash: other.clone(), ..held(&third) }),
        ("another root", SettledState { root: other.clone(), ..held(&third) }),
        ("another block that is accepted", SettledState { block_hash: other, ..held(&first) }),
        ("a block that is not there", beyond),
    ];
    for (what, settled) in wrong {
        settler.says_settled(Some(settled)).await;
        assert_eq!(last_on_l1(&store).await, Some(1), "{what}");
        assert_eq!(ready().await, 503, "{what}");
        settler.says_settled(Some(held(&first))).await;
        assert_eq!(ready().await, 200, "{what}");
    }
    let malformed = SettledState { root: vec![1], ..held(&third) };
    settler.says_settled(Some(malformed)).await;
    assert_eq!(last_on_l1(&store).await, Some(1));

    settler.says_settled(Some(held(&third))).await;
    sequencer.wait_for(&sent[2], FinalityStatus::AcceptedOnL1).await;
    // L1 goes back, deeper than it should; then nobody can say what it holds.
    settler.says_settled(Some(held(&first))).await;
    assert_eq!(ready().await, 200);
    settler.says_settled(None).await;
    settler.says(None).await;
    sequencer.stop().await.unwrap();
    let sequencer = Sequencer::start(config).await;
    settler.says(None).await;
    for hash in &sent {
        let status = sequencer.status(hash).await.unwrap();
        assert_eq!(status.finality(), FinalityStatus::AcceptedOnL1);
    }
    // The next block is as far as any new one.
    let one = invoke(&accounts()[0], 3, &[transfer(receiver(0), 1)]);
    sequencer.submit(&one).await.unwrap();
    sequencer.wait_for(&one.hash, FinalityStatus::AcceptedOnL2).await;
    assert_eq!(last_on_l1(&store).await, Some(3));
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// A transfer that pays at most this for a unit of L2 gas, in FRI.
fn offering(account: &DevAccount, nonce: u64, max_l2_gas_price: u128) -> BlockTransaction {
    let mut one = invoke(account, nonce, &[transfer(receiver(0), 1)]);
    if let Transaction::Invoke(InvokeTransaction::V3(tx)) = &mut one.transaction
        && let ValidResourceBounds::AllResources(bounds) = &mut tx.resource_bounds
    {
        bounds.l2_gas.max_price_per_unit = GasPrice(max_l2_gas_price);
    }
    sign(one.transaction, account.private_key)
}

/// The environment of the pre-confirmed block, which is that of the pre-confirmed state as well.
async fn pre_confirmed(sequencer: &Sequencer) -> BlockEnvironment {
    let mut client = sequencer.client.clone();
    let block = client.get_pre_confirmed_block(GetPreConfirmedBlockRequest {}).await.unwrap();
    let block = block.into_inner().block.unwrap();
    let read = |json: &[u8]| -> BlockEnvironment { payload::decode("environment", json).unwrap() };
    let environment = read(&block.environment_json);
    let state = client.get_pre_confirmed_state(GetPreConfirmedStateRequest {}).await.unwrap();
    let state = read(&state.into_inner().state.unwrap().environment_json);
    assert_eq!(BlockGasPrices::from(&state), BlockGasPrices::from(&environment));
    environment
}

/// L1 gas, L1 data gas and L2 gas, in FRI.
fn in_fri(prices: BlockGasPrices) -> [u128; 3] {
    [prices.l1_gas, prices.l1_data_gas, prices.l2_gas].map(|price| price.price_in_fri.0)
}

/// Pins that blocks follow L1's prices by bounded steps from block to block; that an open block keeps its own; that
/// transactions are priced and validated for the block they get into, whether prices rise or fall; and that prices hold
/// through a restart while the settler is away.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_follow_the_prices_of_l1() {
    let folder = TempDir::new().unwrap();
    let (_, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let (settler, address) = TestSettler::start().await;
    let mut config = config(folder.path(), executor, address);
    config.block.close_after_ms = 2_000;
    config.gas_prices.source = GasPriceSource::L1;
    config.gas_prices.from_l1.strk_per_eth = 50;
    config.gas_prices.from_l1.l2_gas_per_l1_gas = 100_000;
    config.gas_prices.from_l1.max_change_permille = 50;
    let sequencer = Sequencer::start(config.clone()).await;
    let account = &accounts()[0];
    let before = [1_000_000_000_000, 1_000, 10_000_000];
    let higher = [1_050_000_000_000, 1_050, 10_500_000];
    let lower = [997_500_000_000, 998, 9_975_000];

    // Nothing is known of L1 yet.
    settler.says(None).await;
    let store = reader(folder.path()).await;
    let to_come = pre_confirmed(&sequencer).await;
    assert_eq!((to_come.number, in_fri((&to_come).into())), (BlockNumber(1), before));

    settler.says_prices(21_000_000_000, 1_000_000_000, 22).await;
    assert_eq!(in_fri((&pre_confirmed(&sequencer).await).into()), higher);
    let cheap = sequencer.submit(&offering(account, 0, higher[2] - 1)).await.unwrap_err();
    assert_eq!(refusal(&cheap), "SUBMIT_ERROR_FEE_BELOW_MINIMUM", "{cheap:?}");
    let enough = offering(account, 0, higher[2]);
    sequencer.submit(&enough).await.unwrap();
    sequencer.wait_for(&enough.hash, FinalityStatus::PreConfirmed).await;

    // The block is open.
    settler.says_prices(400_000_000_000, 0, 1_000).await;
    let open = pre_confirmed(&sequencer).await;
    assert_eq!((open.number, in_fri((&open).into())), (BlockNumber(1), higher));
    sequencer.wait_for(&enough.hash, FinalityStatus::AcceptedOnL2).await;
    let first = stored(&store, 1).await;
    assert_eq!(in_fri((&first.header).into()), higher);
    let after = in_fri((&pre_confirmed(&sequencer).await).into());
    assert_eq!(after, [1_102_500_000_000, 1_102, 11_025_000]);

    // Nobody says what L1 charges now: the next block's prices are those of the last one.
    settler.says(None).await;
    assert_eq!(in_fri((&pre_confirmed(&sequencer).await).into()), higher);
    sequencer.stop().await.unwrap();
    let sequencer = Sequencer::start(config).await;
    settler.says(None).await;
    let to_come = pre_confirmed(&sequencer).await;
    assert_eq!((to_come.number, in_fri((&to_come).into())), (BlockNumber(2), higher));

    // Less than the last block would have taken is enough for the next one.
    settler.says_prices(0, 0, 0).await;
    assert_eq!(in_fri((&pre_confirmed(&sequencer).await).into()), lower);
    let short = sequencer.submit(&offering(account, 1, lower[2] - 1)).await.unwrap_err();
    assert_eq!(refusal(&short), "SUBMIT_ERROR_FEE_BELOW_MINIMUM", "{short:?}");
    let enough = offering(account, 1, lower[2]);
    sequencer.submit(&enough).await.unwrap();
    let status = sequencer.wait_for(&enough.hash, FinalityStatus::AcceptedOnL2).await;
    assert_eq!(status.block_number, Some(2));
    assert_eq!(in_fri((&stored(&store, 2).await.header).into()), lower);
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}

/// Pins that a transaction which prices have outgrown waits, without a block being opened for it, and is in the first
/// block that it can pay for, whether another block or word from L1 has brought prices down.
#[tokio::test(flavor = "multi_thread")]
async fn what_prices_have_outgrown_waits_for_them_to_fall() {
    let folder = TempDir::new().unwrap();
    let (blocks, executor) = TestExecutor::start(store_url(folder.path()), Fault::None).await;
    let (settler, address) = TestSettler::start().await;
    let mut config = config(folder.path(), executor, address);
    config.gas_prices.source = GasPriceSource::L1;
    config.gas_prices.from_l1.strk_per_eth = 50;
    config.gas_prices.from_l1.l2_gas_per_l1_gas = 100_000;
    config.gas_prices.from_l1.max_change_permille = 50;
    let longer_than_a_block = 2 * Duration::from_millis(config.block.close_after_ms);
    let sequencer = Sequencer::start(config).await;
    let store = reader(folder.path()).await;
    let (poor, rich) = (&accounts()[0], &accounts()[1]);
    let in_block = async |one: &BlockTransaction| {
        let status = sequencer.wait_for(&one.hash, FinalityStatus::AcceptedOnL2).await;
        let number = status.block_number.unwrap();
        (number, stored(&store, number).await.header.l2_gas_price.price_in_fri.0)
    };
    let send = async |one: &BlockTransaction| sequencer.submit(one).await.map(|_| ()).unwrap();

    settler.says(None).await;
    // Good for the block to come, but not the account's next one.
    let waiting = offering(poor, 1, 10_000_000);
    send(&waiting).await;
    settler.says_prices(21_000_000_000, 1_000_000_000, 22).await;
    for (one, expected) in [
        (offering(poor, 0, 20_000_000), (1, 10_500_000)),
        (offering(rich, 0, 20_000_000), (2, 11_000_000)),
    ] {
        send(&one).await;
        assert_eq!(in_block(&one).await, expected);
    }
    // On their way down, but not down enough.
    settler.says_prices(0, 0, 0).await;
    let opened = blocks.streams();
    tokio::time::sleep(longer_than_a_block).await;
    let status = sequencer.status(&waiting.hash).await.unwrap();
    assert_eq!((status.finality(), blocks.streams()), (FinalityStatus::Received, opened));
    let other = offering(rich, 1, 20_000_000);
    send(&other).await;
    assert_eq!(in_block(&other).await, (3, 10_450_000));
    assert_eq!(in_block(&waiting).await, (4, 9_927_500));

    settler.says(None).await;
    let waiting = offering(poor, 3, 9_927_500);
    send(&waiting).await;
    settler.says_prices(21_000_000_000, 1_000_000_000, 22).await;
    let before = offering(poor, 2, 20_000_000);
    send(&before).await;
    assert_eq!(in_block(&before).await, (5, 10_423_875));
    settler.says_prices(0, 0, 0).await;
    assert_eq!(in_block(&waiting).await, (6, 9_902_682));
    sequencer.stop().await.unwrap();
    check_blocks(folder.path()).await;
}
