//! What is refused leaves no trace.

use sidereal_chain_store::{
    BlockCommit, BlockSelector, ChainStore, ChainStoreError, ChainStoreLimits, EventFilter,
    Removal, TransactionStatus,
};
use sidereal_patricia::NodeSource;
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_types_core::felt::Felt;

use crate::Database;
use crate::chain::{Chain, address, block_hash, cell, transaction, transaction_hash};

/// Everything that a commit would have changed.
async fn snapshot(store: &ChainStore, refused: &BlockCommit) -> String {
    let hashes: Vec<Felt> = refused.new_nodes.nodes.keys().copied().collect();
    let mut statuses = Vec::new();
    for transaction in &refused.transactions {
        statuses.push(store.transaction_status(&transaction.hash).await.unwrap());
    }
    let number = refused.block.number();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.head().await.unwrap(),
        store.block(BlockSelector::Hash(refused.block.hash)).await.unwrap(),
        store.transaction_hashes(number).await.unwrap(),
        store.receipts(number).await.unwrap(),
        store.state_diff(number).await.unwrap(),
        store.storage_at(&address(0x70), &cell(1), BlockNumber(u64::MAX)).await.unwrap(),
        store.nonce_at(&address(0xacc), BlockNumber(u64::MAX)).await.unwrap(),
        store.nodes(&hashes).await.unwrap(),
        store.events(&EventFilter::default(), None, 1_000).await.unwrap(),
        store.outbox_after(0, 1_000).await.unwrap(),
        store.waiting(None, 1_000).await.unwrap(),
        statuses,
    )
}

async fn refuse(store: &ChainStore, commit: BlockCommit) -> ChainStoreError {
    let before = snapshot(store, &commit).await;
    let error = store.commit_block(commit.clone()).await.unwrap_err();
    assert_eq!(snapshot(store, &commit).await, before);
    error
}

pub async fn a_block_that_does_not_continue_the_head_is_refused(database: Database) {
    let store = database.open().await;
    let mut chain = Chain::new();
    let genesis = chain.block(&store, 2).await;

    let mut not_genesis = genesis.clone();
    not_genesis.block.header.block_number = BlockNumber(1);
    let error = refuse(&store, not_genesis).await;
    assert!(matches!(error, ChainStoreError::Discontinuity { head: None, .. }));
    let mut with_parent = genesis.clone();
    with_parent.block.header.parent_hash = BlockHash(Felt::ONE);
    assert!(matches!(refuse(&store, with_parent).await, ChainStoreError::Discontinuity { .. }));

    store.commit_block(genesis.clone()).await.unwrap();
    assert!(matches!(refuse(&store, genesis).await, ChainStoreError::Discontinuity { .. }));
    let first = chain.block(&store, 2).await;
    let mut skipping = first.clone();
    skipping.block.header.block_number = BlockNumber(2);
    assert!(matches!(refuse(&store, skipping).await, ChainStoreError::Discontinuity { .. }));
    let mut forked = first.clone();
    forked.block.header.parent_hash = block_hash(77);
    match refuse(&store, forked).await {
        ChainStoreError::Discontinuity { number, parent_hash, head } => {
            assert_eq!(number, BlockNumber(1));
            assert_eq!(parent_hash, block_hash(77));
            assert_eq!(head, Some((BlockNumber(0), block_hash(0))));
        }
        other => panic!("{other}"),
    }
    store.commit_block(first).await.unwrap();
}

pub async fn a_block_that_contradicts_itself_is_refused(database: Database) {
    let store = database.open().await;
    let mut chain = Chain::new();
    let genesis = chain.block(&store, 3).await;
    let changes: [fn(&mut BlockCommit); 6] = [
        |commit| drop(commit.receipts.pop()),
        |commit| drop((commit.receipts.pop(), commit.transactions.pop())),
        |commit| commit.receipts[0].transaction_hash = transaction_hash(999),
        |commit| commit.block.event_count += 1,
        |commit| commit.block.state_roots.contracts_root += Felt::ONE,
        |commit| commit.receipts.swap(0, 1),
    ];
    for change in changes {
        let mut commit = genesis.clone();
        change(&mut commit);
        let error = refuse(&store, commit).await;
        assert!(matches!(error, ChainStoreError::Inconsistent { .. }), "{error}");
        assert!(!error.is_retryable());
    }
    store.commit_block(genesis).await.unwrap();
}

/// The database refuses a transaction that is in a block already, after the header is written and before the
/// rest is: all of it is taken back, the mempool's rows included.
pub async fn a_constraint_that_fails_in_the_middle_leaves_nothing(database: Database) {
    let store = database.open().await;
    let mut chain = Chain::new();
    let genesis = chain.block(&store, 2).await;
    store.commit_block(genesis.clone()).await.unwrap();
    let good = chain.block(&store, 4).await;
    store.insert_waiting(&good.transactions).await.unwrap();
    let waits = transaction(5_000);
    store.insert_waiting(std::slice::from_ref(&waits)).await.unwrap();

    let mut bad = good.clone();
    bad.transactions[3] = genesis.transactions[0].clone();
    bad.receipts[3].transaction_hash = genesis.transactions[0].hash;
    bad.removals = vec![Removal {
        hash: waits.hash,
        reason: "nonce_too_old".to_owned(),
        message: String::new(),
    }];
    let error = refuse(&store, bad).await;
    assert!(matches!(error, ChainStoreError::Query { operation: "committing a block", .. }));
    assert!(!error.is_retryable());
    assert_eq!(
        store.transaction_status(&waits.hash).await.unwrap(),
        Some(TransactionStatus::Waiting)
    );
    // Nor did the node cache take what was never written.
    let hashes: Vec<Felt> = good.new_nodes.nodes.keys().copied().collect();
    let other = database.open().await;
    assert_eq!(store.nodes(&hashes).await.unwrap(), other.nodes(&hashes).await.unwrap());
    // The store is as good as before.
    store.commit_block(good).await.unwrap();
    assert_eq!(store.waiting_count().await.unwrap(), 1);
}

pub async fn a_reader_does_not_write(database: Database) {
    let store = database.open().await;
    let mut chain = Chain::new();
    let genesis = chain.block(&store, 2).await;
    store.commit_block(genesis.clone()).await.unwrap();
    let reader =
        ChainStore::connect_reader(&database.url, ChainStoreLimits::default()).await.unwrap();
    assert_eq!(reader.head().await.unwrap(), store.head().await.unwrap());
    let next = chain.block(&store, 1).await;
    let refused = |error| matches!(error, ChainStoreError::ReadOnly { .. });
    assert!(refused(reader.commit_block(next.clone()).await.unwrap_err()));
    assert!(refused(reader.insert_waiting(&next.transactions).await.unwrap_err()));
    assert!(refused(reader.remove_waiting(&[]).await.unwrap_err()));
    assert!(refused(reader.mark_delivered(1).await.unwrap_err()));
    assert!(refused(reader.accept_on_l1(BlockNumber(0)).await.unwrap_err()));
    // It sees what the writer commits.
    store.commit_block(next.clone()).await.unwrap();
    assert_eq!(reader.head().await.unwrap().unwrap().number, BlockNumber(1));
    assert_eq!(reader.transactions(BlockNumber(1)).await.unwrap(), next.transactions);
}
