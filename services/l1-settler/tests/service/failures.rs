//! Death at any point, reorganisations, transactions that no block takes.

use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::primitives::{Address, B256, U256, address, bytes};
use alloy::rpc::types::{Transaction, TransactionRequest};
use sidereal_l1_settler::{Sent, SettlerStore};
use sidereal_settlement::Fees;

use crate::anvil::KEYS;
use crate::world::{World, account, config, until};

/// Where a contract is that takes all the gas of a block.
const GAS_BURNER: Address = address!("0x00000000000000000000000000000000000b0b1e");
/// Some passes of the configuration's.
const PASSES: Duration = Duration::from_millis(500);

/// Pins down that a settler which was killed after it has sent, and that one which even lost its database, settles each
/// batch once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_sending_it_settles_once() -> anyhow::Result<()> {
    for database in ["settler.db", "another.db"] {
        let world = World::new().await?;
        world.anvil.automine(false).await?;
        let killed = world.run("settler.db", config())?;
        world.until_nonces(0, 1).await?;
        killed.kill().await;

        let config = config();
        let lease = Duration::from_millis(config.lease_ms);
        let again = world.run(database, config)?;
        // Until the lease of the killed one is over, and some passes more.
        tokio::time::sleep(lease + PASSES).await;
        assert_eq!(world.anvil.nonces(world.operator.address()).await?, (0, 1), "{database}");
        world.anvil.mine(1).await?;
        world.until_held(3).await?;
        world.until_nonces(1, 2).await?;
        world.anvil.mine(1).await?;
        world.until_held(4).await?;
        world.anvil.mine(3).await?;
        tokio::time::sleep(PASSES).await;
        assert_eq!(world.updates().await?.len(), 2, "{database}");
        assert_eq!(world.anvil.nonces(world.operator.address()).await?, (2, 2), "{database}");
        again.stop().await?;
    }
    Ok(())
}

/// Pins down that a settler without its database, which meets a transaction in the pool that offers more than it would
/// itself, takes its place instead of waiting beside it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transaction_in_the_pool_is_replaced() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.anvil.automine(false).await?;
    small_blocks(&world).await?;
    let killed = world.run("settler.db", config())?;
    world.until_nonces(0, 1).await?;
    killed.kill().await;
    let unknown = pending(&world).await?;

    // Gas has become cheaper, so that the same batch would be offered for less.
    let cheap = U256::from(300_000_000);
    world.anvil.ask::<_, ()>("anvil_setNextBlockBaseFeePerGas", (cheap,)).await?;
    full_blocks(&world, 1).await?;
    let again = world.run("another.db", config())?;
    until("it has taken its place", async || {
        Ok(pending(&world).await?.inner.tx_hash() != unknown.inner.tx_hash())
    })
    .await?;
    let replaced = pending(&world).await?;
    assert!(replaced.max_fee_per_gas() > unknown.max_fee_per_gas());
    assert_eq!(replaced.input(), unknown.input());
    world.anvil.mine(1).await?;
    world.until_held(3).await?;
    world.until_nonces(1, 2).await?;
    assert_eq!(world.updates().await?.len(), 1);
    again.stop().await
}

/// Pins down that a transaction which was written down and never sent is sent by the next settler, for no less.
#[tokio::test(flavor = "multi_thread")]
async fn killed_before_sending_it_settles_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    let store = SettlerStore::open(&world.database("settler.db")).await?;
    let lease = store.lead("killed", Duration::from_secs(60)).await?;
    let lease = lease.expect("nobody else leads");
    let written = Fees {
        max_fee_per_gas: 40_000_000_000,
        max_priority_fee_per_gas: 3_000_000_000,
        max_fee_per_blob_gas: 50_000_000_000,
    };
    let sent = Sent {
        nonce: 0,
        hash: B256::repeat_byte(0xde),
        previous_block: 0,
        new_block: 3,
        fees: written,
        sent_at_block: 1,
    };
    store.record(&lease, 31_337, world.operator.address(), &sent).await?;
    store.resign("killed").await?;
    let again = world.run("settler.db", config())?;
    world.until_held(4).await?;
    let updates = world.updates().await?;
    assert_eq!(updates.len(), 2);
    let first = world.transaction(updates[0].transaction).await?;
    assert_eq!(first.max_fee_per_gas(), written.max_fee_per_gas);
    assert_eq!(first.max_fee_per_blob_gas(), Some(written.max_fee_per_blob_gas));
    again.stop().await
}

/// Pins down that what a reorganisation of L1 took away is settled again.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_reorganisation_takes_is_settled_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    let running = world.run("settler.db", config())?;
    world.until_held(4).await?;
    let before = blocks(&world).await?;
    assert_eq!(before.len(), 2);
    world.anvil.automine(false).await?;
    world.anvil.reorg(2).await?;
    world.until_held(0).await?;
    world.anvil.automine(true).await?;
    world.anvil.mine(1).await?;
    world.until_held(4).await?;
    let after = blocks(&world).await?;
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|block| !before.contains(block)));
    assert_eq!(world.anvil.nonces(world.operator.address()).await?, (2, 2));
    running.stop().await
}

/// Pins down that a transaction which blocks leave out is replaced for at least twice as much of everything, not before
/// its time, and that one of them is taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_block_takes_is_replaced_for_more() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.anvil.automine(false).await?;
    small_blocks(&world).await?;
    let running = world.run("settler.db", config())?;
    world.until_nonces(0, 1).await?;
    let first = pending(&world).await?;

    full_blocks(&world, 2).await?;
    tokio::time::sleep(PASSES).await;
    assert_eq!(pending(&world).await?.inner.tx_hash(), first.inner.tx_hash());
    full_blocks(&world, 1).await?;
    until("there is another transaction in the pool", async || {
        Ok(pending(&world).await?.inner.tx_hash() != first.inner.tx_hash())
    })
    .await?;
    let second = pending(&world).await?;
    assert_eq!(second.nonce(), first.nonce());
    assert!(second.max_fee_per_gas() >= 2 * first.max_fee_per_gas());
    assert!(second.max_priority_fee_per_gas() >= first.max_priority_fee_per_gas().map(|it| 2 * it));
    assert!(second.max_fee_per_blob_gas() >= first.max_fee_per_blob_gas().map(|it| 2 * it));

    world.anvil.mine(1).await?;
    world.until_held(3).await?;
    let updates = world.updates().await?;
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].transaction, *second.inner.tx_hash());
    running.stop().await
}

/// Hashes of the blocks with updates.
async fn blocks(world: &World) -> anyhow::Result<Vec<B256>> {
    Ok(world.updates().await?.iter().map(|update| update.block_hash).collect())
}

/// Blocks so small that an update finds no room beside [`full_blocks`]' other transaction.
async fn small_blocks(world: &World) -> anyhow::Result<()> {
    let set: bool = world.anvil.ask("evm_setBlockGasLimit", (U256::from(1_000_000),)).await?;
    anyhow::ensure!(set, "the gas limit of blocks was not set");
    // Jumps back to its beginning until there is no gas left.
    world.anvil.ask::<_, ()>("anvil_setCode", (GAS_BURNER, bytes!("5b5f56"))).await
}

/// Makes blocks of somebody else's transactions, who pays more.
async fn full_blocks(world: &World, count: u64) -> anyhow::Result<()> {
    let other = account(KEYS[2])?.address();
    for _ in 0..count {
        let request = TransactionRequest {
            from: Some(other),
            to: Some(GAS_BURNER.into()),
            gas: Some(900_000),
            max_fee_per_gas: Some(900_000_000_000),
            max_priority_fee_per_gas: Some(400_000_000_000),
            ..Default::default()
        };
        let _: B256 = world.anvil.ask("eth_sendTransaction", (request,)).await?;
        world.anvil.mine(1).await?;
    }
    Ok(())
}

/// The operator's one transaction in the pool.
async fn pending(world: &World) -> anyhow::Result<Transaction> {
    let content: serde_json::Value = world.anvil.ask("txpool_content", ()).await?;
    let mut found = Vec::new();
    for state in ["pending", "queued"] {
        for (_, of_account) in content[state].as_object().into_iter().flatten() {
            found.extend(of_account.as_object().into_iter().flatten().map(|(_, it)| it.clone()));
        }
    }
    anyhow::ensure!(found.len() == 1, "{} transactions are in the pool", found.len());
    Ok(serde_json::from_value(found.remove(0))?)
}
