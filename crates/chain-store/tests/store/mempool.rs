//! The mempool's and the outbox' rows through their lives.

use std::collections::BTreeMap;

use sidereal_chain_store::{
    ChainStoreLimits, MempoolInsertion, OutboxMessage, Removal, TransactionStatus,
};
use starknet_api::block::BlockNumber;

use crate::Database;
use crate::chain::{Chain, transaction, transaction_hash};

fn removal(seed: u64) -> Removal {
    Removal {
        hash: transaction_hash(seed),
        reason: "replaced".to_owned(),
        message: format!("replaced by {seed}"),
    }
}

pub async fn a_transaction_waits_until_its_block_is_committed(database: Database) {
    let store = database.open().await;
    let offered: Vec<_> = (1..=5).rev().map(transaction).collect();
    let answers = store.insert_waiting(&offered).await.unwrap();
    let sequences: Vec<u64> = answers
        .iter()
        .map(|answer| match answer {
            MempoolInsertion::Inserted(sequence) => *sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(sequences.is_sorted_by(|a, b| a < b));
    // Again, with a new one twice.
    let again = [transaction(5), transaction(6), transaction(6)];
    let answers = store.insert_waiting(&again).await.unwrap();
    assert_eq!(answers[0], MempoolInsertion::AlreadyWaiting);
    assert!(matches!(answers[1], MempoolInsertion::Inserted(_)));
    assert_eq!(answers[2], MempoolInsertion::AlreadyWaiting);

    // A restart finds them in the order of arrival, page by page.
    store.close().await;
    let store = database.open().await;
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|entry: &sidereal_chain_store::MempoolEntry| entry.sequence);
        let page = store.waiting(after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    let arrived: Vec<_> = found.iter().map(|entry| entry.transaction.clone()).collect();
    assert_eq!(arrived, [offered, vec![transaction(6)]].concat());
    assert!(found.iter().all(|entry| entry.received_at_ms > 1_600_000_000_000));

    // The block takes four of them, drops the fifth, and leaves the sixth.
    let mut chain = Chain::new();
    let mut block = chain.block(&store, 4).await;
    block.removals = vec![removal(5)];
    store.commit_block(block).await.unwrap();
    let left = store.waiting(None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].transaction, transaction(6));
    let status = |seed| {
        let store = store.clone();
        async move { store.transaction_status(&transaction_hash(seed)).await.unwrap() }
    };
    assert!(matches!(status(4).await, Some(TransactionStatus::InBlock(_))));
    assert_eq!(status(5).await, Some(TransactionStatus::Removed(removal(5))));
    assert_eq!(status(6).await, Some(TransactionStatus::Waiting));
    assert_eq!(status(7).await, None);
    // What is in a block does not come back; what was dropped may.
    let answers = store.insert_waiting(&[transaction(4), transaction(5)]).await.unwrap();
    assert_eq!(answers[0], MempoolInsertion::AlreadyInBlock);
    assert!(
        matches!(answers[1], MempoolInsertion::Inserted(sequence) if sequence > left[0].sequence)
    );
    assert_eq!(status(5).await, Some(TransactionStatus::Waiting));
}

pub async fn removals_are_remembered_up_to_a_bound(database: Database) {
    let limits = ChainStoreLimits { removals_kept: 3, ..ChainStoreLimits::default() };
    let store = database.open_with(limits).await;
    let offered: Vec<_> = (1..=6).map(transaction).collect();
    store.insert_waiting(&offered).await.unwrap();
    for seed in 1..=4 {
        store.remove_waiting(&[removal(seed)]).await.unwrap();
    }
    let mut last_word = removal(5);
    last_word.reason = "expired".to_owned();
    store.remove_waiting(&[removal(5), last_word.clone()]).await.unwrap();
    assert_eq!(store.waiting_count().await.unwrap(), 1);
    for (seed, kept) in [(1, false), (2, false), (3, true), (4, true)] {
        let status = store.transaction_status(&transaction_hash(seed)).await.unwrap();
        assert_eq!(status.is_some(), kept, "{seed}");
    }
    assert_eq!(
        store.transaction_status(&transaction_hash(5)).await.unwrap(),
        Some(TransactionStatus::Removed(last_word))
    );
    store.remove_waiting(&[]).await.unwrap();
}

pub async fn the_outbox_is_read_by_cursor_and_marked(database: Database) {
    let limits = ChainStoreLimits { delivered_kept: 2, ..ChainStoreLimits::default() };
    let store = database.open_with(limits).await;
    let mut chain = Chain::new();
    for _ in 0..4 {
        let mut block = chain.block(&store, 0).await;
        block.outbox.push(OutboxMessage {
            subject: "other".to_owned(),
            payload: Vec::new(),
            headers: BTreeMap::from([("traceparent".to_owned(), "00-1".to_owned())]),
        });
        store.commit_block(block).await.unwrap();
    }
    let all = store.outbox_after(0, 100).await.unwrap();
    assert_eq!(all.len(), 8);
    assert!(all.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(all[2].block_number, BlockNumber(1));
    assert_eq!(all[2].message.payload, 1_u64.to_be_bytes());
    assert_eq!(all[3].message.subject, "other");
    assert_eq!(all[3].message.headers["traceparent"], "00-1");
    assert!(all[2].message.headers.is_empty());
    assert_eq!(store.pending_outbox(3).await.unwrap(), all[..3]);
    assert_eq!(store.outbox_after(all[5].id, 100).await.unwrap(), all[6..]);

    store.mark_delivered(all[4].id).await.unwrap();
    assert_eq!(store.pending_outbox(100).await.unwrap(), all[5..]);
    let kept = store.outbox_after(0, 100).await.unwrap();
    assert_eq!(kept.iter().filter(|row| row.delivered).count(), 2);
    store.mark_delivered(all[7].id).await.unwrap();
    assert!(store.pending_outbox(100).await.unwrap().is_empty());
    // Ids do not start again when old rows are gone.
    let next = chain.block(&store, 0).await;
    store.commit_block(next).await.unwrap();
    assert!(store.pending_outbox(100).await.unwrap()[0].id > all[7].id);
}
