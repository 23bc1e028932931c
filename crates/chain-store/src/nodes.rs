//! Trie nodes by hash, with a bounded cache. They never change, so that the cache cannot be stale.
//!
//! The preimages of the contract trie's leaves are stored beside the inner nodes. So the root of a contract's
//! storage trie needs no table of its own: it is read from the leaf, at any state root that was ever reached.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use sidereal_patricia::{ContractLeaf, MemoryNodes, Node, NodeSource};
use starknet_types_core::felt::Felt;

use crate::backend::{Backend, MAX_BOUND_VALUES, failed};
use crate::encoding::{bytes, felt, read_leaf, read_node};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

const OPERATION: &str = "reading trie nodes";

#[derive(Debug)]
pub(crate) struct NodeCache {
    nodes: Mutex<LruCache<Felt, Node>>,
    leaves: Mutex<LruCache<Felt, ContractLeaf>>,
}

impl NodeCache {
    pub(crate) fn new(nodes: usize, leaves: usize) -> Self {
        let cache = |size| NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        Self {
            nodes: Mutex::new(LruCache::new(cache(nodes))),
            leaves: Mutex::new(LruCache::new(cache(leaves))),
        }
    }

    /// What the next block most likely reads: the nodes that the last one wrote.
    pub(crate) fn absorb(&self, new: &MemoryNodes) {
        let mut nodes = lock(&self.nodes);
        for (hash, node) in &new.nodes {
            nodes.put(*hash, *node);
        }
        drop(nodes);
        let mut leaves = lock(&self.leaves);
        for (hash, leaf) in &new.contract_leaves {
            leaves.put(*hash, *leaf);
        }
    }
}

/// A cache is whole whatever a thread that panicked did with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChainStore {
    /// Reads through a cache: what is not in it comes from the database in one query.
    async fn cached<T: Copy>(
        &self,
        cache: &Mutex<LruCache<Felt, T>>,
        hashes: &[Felt],
        read: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let mut answer: Vec<Option<T>> = {
            let mut cache = lock(cache);
            hashes.iter().map(|hash| cache.get(hash).copied()).collect()
        };
        let missing: Vec<Felt> = hashes
            .iter()
            .zip(&answer)
            .filter(|(_, known)| known.is_none())
            .map(|(hash, _)| *hash)
            .collect();
        if missing.is_empty() {
            return Ok(answer);
        }
        let mut found = HashMap::with_capacity(missing.len());
        for (hash, node) in self.node_rows(&missing).await? {
            found.insert(felt(&hash, "a trie node's hash")?, read(&node)?);
        }
        let mut cache = lock(cache);
        for (hash, slot) in hashes.iter().zip(&mut answer) {
            if slot.is_none()
                && let Some(value) = found.get(hash)
            {
                *slot = Some(*value);
                cache.put(*hash, *value);
            }
        }
        Ok(answer)
    }

    async fn node_rows(&self, hashes: &[Felt]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let hashes: Vec<Vec<u8>> = hashes.iter().map(bytes).collect();
        match self.backend() {
            Backend::Postgres { pool, .. } => {
                sqlx::query_as("SELECT hash, node FROM trie_nodes WHERE hash = ANY($1)")
                    .bind(hashes)
                    .fetch_all(pool)
                    .await
                    .map_err(failed(OPERATION))
            }
            Backend::Sqlite { reader, .. } => {
                let mut rows = Vec::with_capacity(hashes.len());
                for chunk in hashes.chunks(MAX_BOUND_VALUES) {
                    let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(
                        "SELECT hash, node FROM trie_nodes WHERE hash IN (",
                    );
                    let mut values = query.separated(", ");
                    for hash in chunk {
                        values.push_bind(hash.as_slice());
                    }
                    query.push(")");
                    let some: Vec<(Vec<u8>, Vec<u8>)> = query
                        .build_query_as()
                        .persistent(false)
                        .fetch_all(reader)
                        .await
                        .map_err(failed(OPERATION))?;
                    rows.extend(some);
                }
                Ok(rows)
            }
        }
    }
}

impl NodeSource for ChainStore {
    type Error = ChainStoreError;

    async fn nodes(&self, hashes: &[Felt]) -> Result<Vec<Option<Node>>> {
        self.cached(&self.cache().nodes, hashes, read_node).await
    }

    async fn contract_leaves(&self, hashes: &[Felt]) -> Result<Vec<Option<ContractLeaf>>> {
        self.cached(&self.cache().leaves, hashes, read_leaf).await
    }
}
