//! The state after a closed block, from the chain store, with the values that blocks keep reading in memory.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError, StoredBlock};
use sidereal_execution::block::{BlockEnvironment, OLD_BLOCK_HASH_DISTANCE};
use sidereal_execution::state::{StateValueError, StateValues};
use starknet_api::block::{BlockHash, BlockHashAndNumber, BlockNumber};
use starknet_api::core::{ChainId, ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;
use tokio::runtime::Handle;

/// A value of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Storage(ContractAddress, StorageKey),
    Nonce(ContractAddress),
    ClassHash(ContractAddress),
    CompiledClassHash(ClassHash),
}

/// Values of the state after the latest block that this executor has seen closed, and after the one before it: while a
/// block is being filled on top of the one, transactions are validated over the other. Moves on with the chain.
pub(crate) struct ValueCache {
    current: Mutex<Current>,
}

struct Current {
    /// The block after which the values hold.
    block: Option<BlockHash>,
    values: LruCache<Key, Felt>,
    /// The block before, if its values are known by `changed`.
    parent: Option<BlockHash>,
    /// What `block` changed: the value after `parent`, where it is known. All else is the same after both.
    changed: HashMap<Key, Option<Felt>>,
}

impl ValueCache {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            current: Mutex::new(Current {
                block: None,
                values: LruCache::new(capacity),
                parent: None,
                changed: HashMap::new(),
            }),
        }
    }

    /// Says that `block` is the one to remember values of. Block `parent` with `diff` applied is `block`; when
    /// the cache is not at `parent`, it starts empty.
    pub(crate) fn advance(&self, parent: BlockHash, block: BlockHash, diff: &ThinStateDiff) {
        let mut current = self.locked();
        if current.block == Some(block) {
            return;
        }
        if current.block != Some(parent) {
            current.values.clear();
        }
        current.step(parent, block, diff);
    }

    /// Moves on to `block` if the cache is at its parent.
    pub(crate) fn follow(&self, parent: BlockHash, block: BlockHash, diff: &ThinStateDiff) {
        let mut current = self.locked();
        if current.block == Some(parent) {
            current.step(parent, block, diff);
        }
    }

    /// Whether [`Self::follow`] would move on.
    pub(crate) fn is_at(&self, block: BlockHash) -> bool {
        self.locked().block == Some(block)
    }

    fn get(&self, block: BlockHash, key: Key) -> Option<Felt> {
        let mut current = self.locked();
        if current.block == Some(block) {
            return current.values.get(&key).copied();
        }
        if current.parent != Some(block) {
            return None;
        }
        match current.changed.get(&key) {
            Some(before) => *before,
            None => current.values.get(&key).copied(),
        }
    }

    fn put(&self, block: BlockHash, key: Key, value: Felt) {
        let mut current = self.locked();
        if current.block == Some(block) {
            current.values.put(key, value);
        } else if current.parent == Some(block) {
            match current.changed.get_mut(&key) {
                Some(before) => *before = Some(value),
                None => drop(current.values.put(key, value)),
            }
        }
    }

    /// A holder that panicked left at worst a value out, never a wrong one in.
    fn locked(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn step(&mut self, parent: BlockHash, block: BlockHash, diff: &ThinStateDiff) {
        self.changed.clear();
        for (key, value) in changes(diff) {
            let before = self.values.put(key, value);
            self.changed.insert(key, before);
        }
        self.block = Some(block);
        self.parent = Some(parent);
    }
}

fn changes(diff: &ThinStateDiff) -> impl Iterator<Item = (Key, Felt)> + '_ {
    let storage = diff.storage_diffs.iter().flat_map(|(contract, cells)| {
        cells.iter().map(|(key, value)| (Key::Storage(*contract, *key), *value))
    });
    let nonces = diff.nonces.iter().map(|(contract, nonce)| (Key::Nonce(*contract), nonce.0));
    let classes = diff
        .deployed_contracts
        .iter()
        .map(|(contract, class)| (Key::ClassHash(*contract), class.0));
    let declared = diff
        .class_hash_to_compiled_class_hash
        .iter()
        .map(|(class, compiled)| (Key::CompiledClassHash(*class), compiled.0));
    storage.chain(nonces).chain(classes).chain(declared)
}

/// The values after one block. Called from execution threads, which block on it.
pub(crate) struct StoredValues {
    store: ChainStore,
    cache: Arc<ValueCache>,
    number: BlockNumber,
    hash: BlockHash,
    runtime: Handle,
}

impl StoredValues {
    pub(crate) fn new(
        store: ChainStore,
        cache: Arc<ValueCache>,
        block: &StoredBlock,
        runtime: Handle,
    ) -> Self {
        Self { store, cache, number: block.number(), hash: block.hash, runtime }
    }

    fn cached(
        &self,
        key: Key,
        read: impl Future<Output = Result<Felt, ChainStoreError>>,
    ) -> Result<Felt, StateValueError> {
        if let Some(value) = self.cache.get(self.hash, key) {
            return Ok(value);
        }
        let value = self.runtime.block_on(read).map_err(|source| StateValueError {
            what: format!("{key:?} after block {}", self.number),
            source: Box::new(source),
        })?;
        self.cache.put(self.hash, key, value);
        Ok(value)
    }
}

impl StateValues for StoredValues {
    fn storage(&self, contract: ContractAddress, key: StorageKey) -> Result<Felt, StateValueError> {
        self.cached(
            Key::Storage(contract, key),
            self.store.storage_at(&contract, &key, self.number),
        )
    }

    fn nonce(&self, contract: ContractAddress) -> Result<Nonce, StateValueError> {
        let read = async { Ok(self.store.nonce_at(&contract, self.number).await?.0) };
        self.cached(Key::Nonce(contract), read).map(Nonce)
    }

    fn class_hash(&self, contract: ContractAddress) -> Result<ClassHash, StateValueError> {
        let read = async {
            let class = self.store.class_hash_at(&contract, self.number).await?;
            Ok(class.unwrap_or_default().0)
        };
        self.cached(Key::ClassHash(contract), read).map(ClassHash)
    }

    fn compiled_class_hash(&self, class: ClassHash) -> Result<CompiledClassHash, StateValueError> {
        let read = async {
            let compiled = self.store.compiled_class_hash_at(&class, self.number).await?;
            Ok(compiled.unwrap_or_default().0)
        };
        self.cached(Key::CompiledClassHash(class), read).map(CompiledClassHash)
    }
}

/// The environment in which a closed block was executed.
pub(crate) async fn environment_of(
    store: &ChainStore,
    block: &StoredBlock,
    chain_id: &ChainId,
) -> Result<BlockEnvironment, ChainStoreError> {
    let header = &block.header;
    let old_block = match header.block_number.0.checked_sub(OLD_BLOCK_HASH_DISTANCE) {
        Some(old) => {
            let old = BlockNumber(old);
            store
                .block(BlockSelector::Number(old))
                .await?
                .map(|block| BlockHashAndNumber { number: old, hash: block.hash })
        }
        None => None,
    };
    Ok(BlockEnvironment {
        number: header.block_number,
        timestamp: header.timestamp,
        sequencer_address: header.sequencer.0,
        l1_gas_price: header.l1_gas_price,
        l1_data_gas_price: header.l1_data_gas_price,
        l2_gas_price: header.l2_gas_price,
        l1_da_mode: header.l1_da_mode,
        chain_id: chain_id.clone(),
        parent_hash: header.parent_hash,
        old_block,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(nonce: u64) -> ThinStateDiff {
        let mut diff = ThinStateDiff::default();
        diff.nonces.insert(ContractAddress::default(), Nonce(Felt::from(nonce)));
        diff
    }

    /// Pins down that no value is answered for a block other than the two it holds after, and that what the later one
    /// changed is not mixed up.
    #[test]
    fn values_belong_to_their_block() {
        let block = |number: u64| BlockHash(Felt::from(number));
        let cache = ValueCache::new(NonZeroUsize::new(8).expect("not zero"));
        let (alice, other) =
            (Key::Nonce(ContractAddress::default()), Key::CompiledClassHash(ClassHash::default()));
        cache.advance(block(0), block(1), &diff(1));
        cache.put(block(1), other, Felt::TWO);
        cache.put(block(9), other, Felt::THREE);
        assert_eq!(cache.get(block(1), alice), Some(Felt::ONE));
        assert_eq!(cache.get(block(1), other), Some(Felt::TWO));
        // What block 1 changed is not known as it was before; what it did not change is.
        assert_eq!(cache.get(block(0), alice), None);
        assert_eq!(cache.get(block(0), other), Some(Felt::TWO));
        assert_eq!(cache.get(block(9), other), None);

        cache.advance(block(1), block(2), &diff(2));
        assert_eq!(cache.get(block(1), alice), Some(Felt::ONE));
        assert_eq!(cache.get(block(2), alice), Some(Felt::TWO));
        assert_eq!(cache.get(block(0), alice), None);
        cache.put(block(1), alice, Felt::THREE);
        assert_eq!(cache.get(block(1), alice), Some(Felt::THREE));
        assert_eq!(cache.get(block(2), alice), Some(Felt::TWO));

        // It follows only from where it is, and starts empty anywhere else.
        cache.follow(block(5), block(6), &diff(6));
        assert_eq!(cache.get(block(6), alice), None);
        cache.follow(block(2), block(3), &diff(3));
        assert_eq!(cache.get(block(3), alice), Some(Felt::THREE));
        assert_eq!(cache.get(block(2), alice), Some(Felt::TWO));
        cache.advance(block(7), block(8), &diff(8));
        assert_eq!(cache.get(block(8), alice), Some(Felt::from(8)));
        assert_eq!(cache.get(block(8), other), None);
        assert_eq!(cache.get(block(7), alice), None);
    }
}
