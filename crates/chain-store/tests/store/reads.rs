//! What is read is what was written.

use sidereal_chain_store::{BlockSelector, DeclaredClass, TransactionStatus};
use sidereal_patricia::state::StateRoots;
use sidereal_patricia::{MemoryNodes, Node, NodeSource};
use starknet_api::block::BlockNumber;
use starknet_api::core::{ClassHash, CompiledClassHash, Nonce};
use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;

use crate::Database;
use crate::chain::{Chain, address, block_hash, cell, commit, state_diff, transaction_hash};

pub async fn a_block_reads_back_as_it_was_written(database: Database) {
    let store = database.open().await;
    let mut chain = Chain::new();
    let genesis = chain.block(&store, 0).await;
    store.commit_block(genesis.clone()).await.unwrap();
    let block = chain.block(&store, 12).await;
    store.commit_block(block.clone()).await.unwrap();
    // And so it does from a new handle, after the first one is gone.
    store.close().await;
    let store = database.open().await;

    let head = store.head().await.unwrap().unwrap();
    assert_eq!((head.number, head.hash), (BlockNumber(1), block_hash(1)));
    assert_eq!(head.state_roots, block.block.state_roots);
    for selector in [
        BlockSelector::Latest,
        BlockSelector::Number(BlockNumber(1)),
        BlockSelector::Hash(block_hash(1)),
    ] {
        assert_eq!(store.block(selector).await.unwrap().as_ref(), Some(&block.block));
    }
    let both = store.blocks_from(BlockNumber(0), 10).await.unwrap();
    assert_eq!(both, [genesis.block, block.block.clone()]);
    let last = store.blocks_from(BlockNumber(1), 10).await.unwrap();
    assert_eq!(last.as_slice(), std::slice::from_ref(&block.block));
    assert_eq!(store.blocks_from(BlockNumber(0), 1).await.unwrap().len(), 1);

    assert_eq!(store.transactions(BlockNumber(1)).await.unwrap(), block.transactions);
    assert_eq!(store.receipts(BlockNumber(1)).await.unwrap(), block.receipts);
    let hashes: Vec<_> = block.transactions.iter().map(|transaction| transaction.hash).collect();
    assert_eq!(store.transaction_hashes(BlockNumber(1)).await.unwrap(), hashes);
    for (index, hash) in hashes.iter().enumerate() {
        let located = store.transaction(hash).await.unwrap().unwrap();
        assert_eq!(located.transaction, block.transactions[index]);
        assert_eq!(located.receipt, block.receipts[index]);
        let position = located.position;
        assert_eq!(position.block_number, BlockNumber(1));
        assert_eq!(position.block_hash, block_hash(1));
        assert_eq!(usize::try_from(position.index).unwrap(), index);
        assert_eq!(store.transaction_position(hash).await.unwrap(), Some(position));
        let by_place = store.transaction_at(BlockNumber(1), position.index).await.unwrap();
        assert_eq!(by_place, Some(located));
        assert_eq!(
            store.transaction_status(hash).await.unwrap(),
            Some(TransactionStatus::InBlock(position))
        );
    }
    assert_eq!(store.state_diff(BlockNumber(1)).await.unwrap(), Some(block.state_diff));
    for (hash, node) in &block.new_nodes.nodes {
        assert_eq!(store.nodes(&[*hash]).await.unwrap(), [Some(*node)]);
    }
}

pub async fn the_state_has_a_history(database: Database) {
    const BLOCKS: u64 = 8;
    let store = database.open().await;
    let mut chain = Chain::new();
    for _ in 0..BLOCKS {
        let block = chain.block(&store, 1).await;
        store.commit_block(block).await.unwrap();
    }
    let (token, account) = (address(0x70), address(0xacc));
    // The state after each block, put together from the diffs.
    let mut cells = std::collections::BTreeMap::new();
    let mut class = None;
    for number in 0..BLOCKS {
        let block = BlockNumber(number);
        let diff = state_diff(number);
        cells.extend(diff.storage_diffs[&token].clone());
        class = diff.deployed_contracts.get(&token).copied().or(class);
        let wanted: Vec<_> = (0..3)
            .chain(1_000..1_000 + BLOCKS)
            .map(|key| (token, cell(key)))
            .chain([(account, cell(1))])
            .collect();
        let expected: Vec<Felt> = wanted
            .iter()
            .map(|(contract, key)| {
                if *contract == token {
                    cells.get(key).copied().unwrap_or_default()
                } else {
                    Felt::ZERO
                }
            })
            .collect();
        assert_eq!(store.storage_many(&wanted, block).await.unwrap(), expected);
        for ((contract, key), value) in wanted.iter().zip(expected) {
            assert_eq!(store.storage_at(contract, key, block).await.unwrap(), value);
        }
        let nonce = store.nonce_at(&account, block).await.unwrap();
        assert_eq!(nonce, Nonce(Felt::from(number + 1)));
        assert_eq!(store.class_hash_at(&token, block).await.unwrap(), class);
        let later = ClassHash(Felt::from(0xc3));
        let expected = (number >= 3).then_some(CompiledClassHash(Felt::from(4)));
        assert_eq!(store.compiled_class_hash_at(&later, block).await.unwrap(), expected);
    }
    assert_eq!(
        store.declared_class(&ClassHash(Felt::from(0xc6))).await.unwrap(),
        Some(DeclaredClass {
            class_hash: ClassHash(Felt::from(0xc6)),
            compiled_class_hash: Some(CompiledClassHash(Felt::from(7))),
            block_number: BlockNumber(6),
        })
    );
    // Asked for a block far ahead, or beyond any column, the last value holds.
    let last = store.storage_at(&token, &cell(1), BlockNumber(u64::MAX)).await.unwrap();
    assert_eq!(last, Felt::from(BLOCKS - 1 + 100));
}

/// More rows of every kind than one statement can bind.
pub async fn a_block_with_many_rows_is_written_in_one_transaction(database: Database) {
    const TRANSACTIONS: u64 = 7_000;
    const NODES: u64 = 40_000;
    let store = database.open().await;
    let mut diff = ThinStateDiff::default();
    diff.storage_diffs
        .insert(address(0x70), (0..20_000).map(|n| (cell(n), Felt::from(n + 1))).collect());
    let nodes = MemoryNodes {
        nodes: (0..NODES)
            .map(|n| {
                let node = Node::Edge { child: Felt::from(n), path: Felt::ONE, length: 251 };
                (Felt::from(n), node)
            })
            .collect(),
        ..MemoryNodes::default()
    };
    let block = commit(0, 0..TRANSACTIONS, diff, StateRoots::default(), nodes);
    store.insert_waiting(&block.transactions).await.unwrap();
    assert_eq!(store.waiting_count().await.unwrap(), TRANSACTIONS);
    store.commit_block(block.clone()).await.unwrap();
    assert_eq!(store.waiting_count().await.unwrap(), 0);
    assert_eq!(store.transactions(BlockNumber(0)).await.unwrap(), block.transactions);
    assert_eq!(store.receipts(BlockNumber(0)).await.unwrap(), block.receipts);
    let cells: Vec<_> = (0..20_000).map(|n| (address(0x70), cell(n))).collect();
    let values = store.storage_many(&cells, BlockNumber(0)).await.unwrap();
    assert!(values.iter().zip(1_u64..).all(|(value, n)| *value == Felt::from(n)));
    // From a handle whose cache is empty.
    let hashes: Vec<Felt> = (0..NODES + 1).map(Felt::from).collect();
    let read = database.open().await.nodes(&hashes).await.unwrap();
    let found = read.iter().flatten().count();
    assert_eq!(found, block.new_nodes.nodes.len());
    assert_eq!(read.last(), Some(&None));
}

pub async fn absent_things_are_none(database: Database) {
    let store = database.open().await;
    assert_eq!(store.head().await.unwrap(), None);
    for selector in [
        BlockSelector::Latest,
        BlockSelector::LatestAcceptedOnL1,
        BlockSelector::Number(BlockNumber(0)),
        BlockSelector::Number(BlockNumber(u64::MAX)),
        BlockSelector::Hash(block_hash(0)),
    ] {
        assert_eq!(store.block(selector).await.unwrap(), None);
    }
    let hash = transaction_hash(1);
    assert_eq!(store.transaction(&hash).await.unwrap(), None);
    assert_eq!(store.transaction_at(BlockNumber(0), u64::MAX).await.unwrap(), None);
    assert_eq!(store.transaction_status(&hash).await.unwrap(), None);
    assert_eq!(store.state_diff(BlockNumber(u64::MAX)).await.unwrap(), None);
    assert!(store.transactions(BlockNumber(u64::MAX)).await.unwrap().is_empty());
    assert!(store.receipts(BlockNumber(0)).await.unwrap().is_empty());
    assert_eq!(store.storage_at(&address(1), &cell(1), BlockNumber(0)).await.unwrap(), Felt::ZERO);
    assert!(store.storage_many(&[], BlockNumber(0)).await.unwrap().is_empty());
    assert_eq!(store.nonce_at(&address(1), BlockNumber(0)).await.unwrap(), Nonce(Felt::ZERO));
    assert_eq!(store.class_hash_at(&address(1), BlockNumber(0)).await.unwrap(), None);
    assert_eq!(store.declared_class(&ClassHash(Felt::ONE)).await.unwrap(), None);
    assert_eq!(store.nodes(&[Felt::ONE]).await.unwrap(), [None]);
    assert!(store.nodes(&[]).await.unwrap().is_empty());
    assert!(store.pending_outbox(10).await.unwrap().is_empty());
    store.ping().await.unwrap();
}
