//! The store as the tries' node source.

use sidereal_chain_store::ChainStoreLimits;
use sidereal_patricia::MemoryNodes;

use crate::Database;
use crate::chain::Chain;

/// Block after block, from the database and from memory, with a cache that holds next to nothing: the same
/// nodes and the same roots.
pub async fn a_chain_of_blocks_updates_its_tries_from_the_store(database: Database) {
    let limits =
        ChainStoreLimits { cached_nodes: 2, cached_leaves: 0, ..ChainStoreLimits::default() };
    let mut memory = MemoryNodes::default();
    let (mut from_store, mut from_memory) = (Chain::new(), Chain::new());
    for _ in 0..7 {
        // A new handle each time: nothing but the database carries over.
        let store = database.open_with(limits.clone()).await;
        let expected = from_memory.block(&memory, 1).await;
        let block = from_store.block(&store, 1).await;
        assert_eq!(block.new_nodes, expected.new_nodes);
        assert_eq!(block.block.state_roots, expected.block.state_roots);
        memory.absorb(&expected.new_nodes);
        store.commit_block(block).await.unwrap();
        store.close().await;
    }
}
