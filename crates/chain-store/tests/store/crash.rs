//! A writer that is killed while it commits: every block is there as a whole, or not at all.

use std::process::{Command, Stdio};
use std::time::Duration;

use sidereal_chain_store::test_support::PostgresServer;
use sidereal_chain_store::{ChainStore, ChainStoreLimits, EventFilter};
use starknet_api::block::BlockNumber;

use crate::Database;
use crate::chain::{Chain, state_diff};

const URL_VARIABLE: &str = "SIDEREAL_CHAIN_STORE_CRASH_URL";
const TRANSACTIONS_PER_BLOCK: u64 = 40;

/// Continues whatever chain the store holds, without an end, each block's transactions first in the mempool.
async fn write_blocks(store: &ChainStore) -> Result<(), sidereal_chain_store::ChainStoreError> {
    loop {
        let mut chain = Chain::new();
        if let Some(head) = store.head().await? {
            chain.next = head.number.0 + 1;
            chain.roots = head.state_roots;
            chain.next_seed = 1 + chain.next * TRANSACTIONS_PER_BLOCK;
        }
        let block = chain.block(store, TRANSACTIONS_PER_BLOCK).await;
        store.insert_waiting(&block.transactions).await?;
        store.commit_block(block).await?;
    }
}

/// Every block up to the head is complete, and there is nothing of a block beyond it. Returns the next number.
async fn check_whole(store: &ChainStore) -> u64 {
    let next = store.head().await.unwrap().map_or(0, |head| head.number.0 + 1);
    let mut events = 0;
    for number in 0..next {
        let block = BlockNumber(number);
        let receipts = store.receipts(block).await.unwrap();
        assert_eq!(receipts.len() as u64, TRANSACTIONS_PER_BLOCK);
        events += receipts.iter().map(|receipt| receipt.events.len()).sum::<usize>();
        assert_eq!(store.state_diff(block).await.unwrap(), Some(state_diff(number)));
    }
    assert!(store.receipts(BlockNumber(next)).await.unwrap().is_empty());
    let filter = EventFilter::default();
    let mut found = store.events(&filter, None, 1_000_000).await.unwrap();
    let mut counted = found.events.len();
    while let Some(token) = found.continuation_token {
        found = store.events(&filter, Some(&token), 1_000_000).await.unwrap();
        counted += found.events.len();
    }
    assert_eq!(counted, events);
    let outbox = store.outbox_after(0, u32::MAX).await.unwrap();
    let announced: Vec<u64> = outbox.iter().map(|row| row.block_number.0).collect();
    assert_eq!(announced, (0..next).collect::<Vec<_>>());
    // Waiting is what belongs to no block yet.
    for entry in store.waiting(None, 10_000).await.unwrap() {
        let position = store.transaction_position(&entry.transaction.hash).await.unwrap();
        assert_eq!(position, None);
    }
    // The tries are whole: the next block can be built on them.
    let mut chain = Chain::new();
    if let Some(head) = store.head().await.unwrap() {
        (chain.next, chain.roots) = (next, head.state_roots);
        chain.next_seed = 1 + next * TRANSACTIONS_PER_BLOCK;
    }
    chain.block(store, 1).await;
    next
}

pub async fn a_killed_writer_leaves_whole_blocks(database: Database) {
    let mut blocks = 0;
    for round in 1..=5_u64 {
        // This program again, as the writer: see `writer_that_is_killed`.
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writer_that_is_killed", "--ignored", "--nocapture"])
            .env(URL_VARIABLE, &database.url)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(700 + round * 37)).await;
        assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
        writer.kill().unwrap();
        writer.wait().unwrap();
        database.forget_the_dead().await;
        let store = database.open().await;
        blocks = check_whole(&store).await;
        store.close().await;
    }
    assert!(blocks > 0, "no block was written in any round");
}

/// The writer of `a_killed_writer_leaves_whole_blocks`. Not a test of its own.
#[tokio::test]
#[ignore = "only as the child process of another test"]
async fn writer_that_is_killed() {
    let Ok(url) = std::env::var(URL_VARIABLE) else { return };
    let store = ChainStore::connect(&url, ChainStoreLimits::default()).await.unwrap();
    write_blocks(&store).await.unwrap();
}

/// The server is killed under the writer and comes back: the same handle goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_server_that_is_killed_loses_nothing_committed() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.create_database().await.unwrap();
    let limits = ChainStoreLimits { busy_timeout_ms: 3_000, ..ChainStoreLimits::default() };
    let store = ChainStore::connect(&url, limits).await.unwrap();
    let mut committed = 0;
    for _ in 0..3 {
        let writer = tokio::spawn({
            let store = store.clone();
            async move { write_blocks(&store).await }
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        let acknowledged = store.head().await.unwrap().map_or(0, |head| head.number.0 + 1);
        server.kill().unwrap();
        let error = writer.await.unwrap().unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        server.restart().unwrap();
        let next = check_whole(&store).await;
        assert!(next >= acknowledged && next > committed, "{committed} {acknowledged} {next}");
        committed = next;
    }
}
