//! Events against a plain loop over all of them.

use sidereal_chain_store::{
    ChainStore, ChainStoreError, ChainStoreLimits, EmittedEvent, EventFilter,
};
use starknet_api::block::BlockNumber;
use starknet_api::transaction::EventKey;
use starknet_types_core::felt::Felt;

use crate::Database;
use crate::chain::{Chain, address};

async fn build(store: &ChainStore) -> Vec<EmittedEvent> {
    let mut chain = Chain::new();
    let mut all = Vec::new();
    for _ in 0..6 {
        let commit = chain.block(store, 11).await;
        for (index, receipt) in commit.receipts.iter().enumerate() {
            for (event_index, event) in receipt.events.iter().enumerate() {
                all.push(EmittedEvent {
                    block_number: commit.block.number(),
                    block_hash: commit.block.hash,
                    transaction_hash: receipt.transaction_hash,
                    transaction_index: index as u64,
                    event_index: event_index as u64,
                    event: event.clone(),
                });
            }
        }
        store.commit_block(commit).await.unwrap();
    }
    assert!(all.len() > 50);
    all
}

/// All pages of a filter, put together.
async fn read_all(
    store: &ChainStore,
    filter: &EventFilter,
    limit: u32,
) -> (Vec<EmittedEvent>, usize) {
    let (mut events, mut token, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let page = store.events(filter, token.as_deref(), limit).await.unwrap();
        assert!(page.events.len() <= limit as usize);
        events.extend(page.events);
        pages += 1;
        assert!(pages < 1_000, "the pages have no end");
        match page.continuation_token {
            Some(next) => token = Some(next),
            None => return (events, pages),
        }
    }
}

fn keys(positions: &[&[u64]]) -> Vec<Vec<EventKey>> {
    let position = |values: &&[u64]| values.iter().map(|n| EventKey(Felt::from(*n))).collect();
    positions.iter().map(position).collect()
}

pub async fn every_filter_and_page_size_agrees_with_a_plain_loop(database: Database) {
    let store = database.open().await;
    let all = build(&store).await;
    let blocks =
        [(None, None), (Some(2), None), (None, Some(3)), (Some(2), Some(4)), (Some(9), None)];
    let addresses: [&[u64]; 4] = [&[], &[0x70], &[0x71, 0x72], &[0xdead]];
    let wanted: [&[&[u64]]; 7] = [
        &[],
        &[&[]],
        &[&[0]],
        &[&[0, 2]],
        &[&[], &[1]],
        &[&[1], &[2], &[0]],
        &[&[], &[], &[], &[]],
    ];
    for (from, to) in blocks {
        for emitters in addresses {
            for positions in wanted {
                let filter = EventFilter {
                    from_block: from.map(BlockNumber),
                    to_block: to.map(BlockNumber),
                    addresses: emitters.iter().map(|n| address(*n)).collect(),
                    keys: keys(positions),
                };
                let expected: Vec<_> =
                    all.iter().filter(|event| matches(&filter, event)).cloned().collect();
                for limit in [1, 7, 1_000] {
                    let (found, pages) = read_all(&store, &filter, limit).await;
                    assert_eq!(found, expected, "{filter:?} by {limit}");
                    // No page is empty but the only one.
                    assert_eq!(pages, expected.len().div_ceil(limit as usize).max(1));
                }
            }
        }
    }
}

fn matches(filter: &EventFilter, event: &EmittedEvent) -> bool {
    let keys = &event.event.content.keys;
    filter.from_block.is_none_or(|from| event.block_number >= from)
        && filter.to_block.is_none_or(|to| event.block_number <= to)
        && (filter.addresses.is_empty() || filter.addresses.contains(&event.event.from_address))
        && filter.keys.iter().enumerate().all(|(position, wanted)| {
            keys.get(position).is_some_and(|key| wanted.is_empty() || wanted.contains(key))
        })
}

pub async fn a_page_ends_at_its_scan_limit_and_the_next_one_goes_on(database: Database) {
    let limits = ChainStoreLimits { events_scanned_per_page: 5, ..ChainStoreLimits::default() };
    let store = database.open_with(limits).await;
    let all = build(&store).await;
    let filter = EventFilter { keys: keys(&[&[], &[1]]), ..EventFilter::default() };
    let expected: Vec<_> = all.iter().filter(|event| matches(&filter, event)).cloned().collect();
    let (found, pages) = read_all(&store, &filter, 1_000).await;
    assert_eq!(found, expected);
    assert!(pages >= all.len() / 5);

    // A token stays good while the chain grows.
    let first = store.events(&EventFilter::default(), None, 3).await.unwrap();
    let mut chain = Chain::new();
    (chain.next, chain.next_seed) = (6, 1_000);
    chain.roots = store.head().await.unwrap().unwrap().state_roots;
    let more = chain.block(&store, 5).await;
    store.commit_block(more).await.unwrap();
    let token = first.continuation_token.unwrap();
    let second = store.events(&EventFilter::default(), Some(&token), 2).await.unwrap();
    assert_eq!([first.events, second.events].concat(), all[..5]);
}

pub async fn a_token_that_is_not_ours_is_refused(database: Database) {
    let store = database.open().await;
    for token in ["", "abc", "1-2", "1-2-3-4", "-1-0-0", "1-2-3; DROP TABLE events"] {
        let error = store.events(&EventFilter::default(), Some(token), 10).await.unwrap_err();
        assert!(matches!(error, ChainStoreError::ContinuationToken { .. }), "{token:?}");
    }
    // A place behind the head is an empty last page.
    let page = store.events(&EventFilter::default(), Some("99-0-0"), 10).await.unwrap();
    assert_eq!(page, Default::default());
}
