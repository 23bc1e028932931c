//! The state that blocks and queries are executed over.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use blockifier::execution::contract_class::RunnableCompiledClass;
use blockifier::state::errors::StateError;
use blockifier::state::state_api::{StateReader, StateResult};
use starknet_api::contract_class::ClassInfo;
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

use crate::classes::{
    ClassError, Classes, ExecutionMode, MemoryClasses, RunnableClasses, RunnableClassesConfig,
};
use crate::outcome::InitialReads;

/// Why a value of the state cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the state's {what} cannot be read")]
pub struct StateValueError {
    /// What was asked for.
    pub what: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The values of Starknet's state after one block. What was never written is zero. Implementations may
/// block: they are called from execution threads.
pub trait StateValues: Send + Sync {
    /// The value at `key` in the storage of `contract`.
    fn storage(&self, contract: ContractAddress, key: StorageKey) -> Result<Felt, StateValueError>;
    /// The nonce of `contract`.
    fn nonce(&self, contract: ContractAddress) -> Result<Nonce, StateValueError>;
    /// The class hash of `contract`; zero if it is not deployed.
    fn class_hash(&self, contract: ContractAddress) -> Result<ClassHash, StateValueError>;
    /// The compiled class hash of `class`; zero if it is not declared.
    fn compiled_class_hash(&self, class: ClassHash) -> Result<CompiledClassHash, StateValueError>;
}

/// Values and classes together, as blockifier reads them. Cheap to clone.
///
/// Blockifier may take a read that failed for the failure of the contract that asked: a transaction would be
/// reverted or rejected because a disk was full. So the first failure is remembered, by all clones, and whoever
/// executes asks for it before believing a result.
#[derive(Clone)]
pub struct BlockState {
    values: Arc<dyn StateValues>,
    classes: Arc<dyn Classes>,
    failure: Arc<OnceLock<String>>,
}

impl BlockState {
    /// The state with these values, whose classes come from `classes`.
    pub fn new(values: Arc<dyn StateValues>, classes: Arc<dyn Classes>) -> Self {
        Self { values, classes, failure: Arc::default() }
    }

    /// The same state, with no failure to remember.
    #[must_use]
    pub(crate) fn afresh(&self) -> Self {
        Self { failure: Arc::default(), ..self.clone() }
    }

    /// The first read that failed, if one did. Nothing executed since [`Self::afresh`] is then to be believed.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        match self.failure.get() {
            Some(failure) => Err(StateError::StateReadError(failure.clone())),
            None => Ok(()),
        }
    }

    /// Blockifier's error for a failed read is a string.
    fn failed(&self, error: &dyn std::error::Error) -> StateError {
        let failure = with_causes(error);
        // A later failure is not remembered: the first one says enough.
        let _ = self.failure.set(failure.clone());
        StateError::StateReadError(failure)
    }

    /// The classes.
    pub fn classes(&self) -> &Arc<dyn Classes> {
        &self.classes
    }

    /// The values.
    pub fn values(&self) -> &Arc<dyn StateValues> {
        &self.values
    }
}

impl StateReader for BlockState {
    fn get_storage_at(&self, contract: ContractAddress, key: StorageKey) -> StateResult<Felt> {
        self.values.storage(contract, key).map_err(|error| self.failed(&error))
    }

    fn get_nonce_at(&self, contract: ContractAddress) -> StateResult<Nonce> {
        self.values.nonce(contract).map_err(|error| self.failed(&error))
    }

    fn get_class_hash_at(&self, contract: ContractAddress) -> StateResult<ClassHash> {
        self.values.class_hash(contract).map_err(|error| self.failed(&error))
    }

    fn get_compiled_class(&self, class_hash: ClassHash) -> StateResult<RunnableCompiledClass> {
        // A class may be in the class store before it is declared in the state.
        if self.get_compiled_class_hash(class_hash)?.0 == Felt::ZERO {
            return Err(StateError::UndeclaredClassHash(class_hash));
        }
        match self.classes.runnable(class_hash) {
            Ok(Some(class)) => Ok(class),
            Ok(None) => Err(self.failed(&ClassError::NotFound { class_hash })),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn get_compiled_class_hash(&self, class_hash: ClassHash) -> StateResult<CompiledClassHash> {
        self.values.compiled_class_hash(class_hash).map_err(|error| self.failed(&error))
    }

    fn get_compiled_class_hash_v2(
        &self,
        class_hash: ClassHash,
        _compiled_class: &RunnableCompiledClass,
    ) -> StateResult<CompiledClassHash> {
        // Asked for only by the migration to Blake class hashes, which protocol version 0.13.5 does not have.
        Err(StateError::MissingCompiledClassHashV2(class_hash))
    }
}

/// Some classes of one's own, over those that all know. Their own run in Cairo VM.
pub struct MoreClasses {
    own: RunnableClasses,
    before: Arc<dyn Classes>,
}

impl MoreClasses {
    /// `before`, and these.
    pub fn new(own: MemoryClasses, before: Arc<dyn Classes>) -> Self {
        let config = RunnableClassesConfig {
            mode: ExecutionMode::Vm,
            native_cache: PathBuf::new(),
            compile_in_background: false,
            capacity: NonZeroUsize::new(own.0.len()).unwrap_or(NonZeroUsize::MIN),
        };
        Self { own: RunnableClasses::new(Arc::new(own), config), before }
    }

    fn of(&self, class_hash: ClassHash) -> Result<&dyn Classes, ClassError> {
        let own = self.own.source().class(class_hash)?.is_some();
        Ok(if own { &self.own } else { &*self.before })
    }
}

impl Classes for MoreClasses {
    fn runnable(&self, class_hash: ClassHash) -> Result<Option<RunnableCompiledClass>, ClassError> {
        self.of(class_hash)?.runnable(class_hash)
    }

    fn declared(
        &self,
        class_hash: ClassHash,
        compiled_class_hash: CompiledClassHash,
    ) -> Result<ClassInfo, ClassError> {
        self.of(class_hash)?.declared(class_hash, compiled_class_hash)
    }
}

/// The error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// Applies changes to those before them: what `later` says holds.
pub fn extend_diff(diff: &mut ThinStateDiff, later: &ThinStateDiff) {
    for (contract, entries) in &later.storage_diffs {
        let storage = diff.storage_diffs.entry(*contract).or_default();
        storage.extend(entries.iter().map(|(key, value)| (*key, *value)));
    }
    diff.nonces.extend(later.nonces.iter().map(|(address, nonce)| (*address, *nonce)));
    diff.deployed_contracts
        .extend(later.deployed_contracts.iter().map(|(address, class)| (*address, *class)));
    diff.class_hash_to_compiled_class_hash.extend(
        later.class_hash_to_compiled_class_hash.iter().map(|(class, hash)| (*class, *hash)),
    );
}

/// The changes of one block over the values before it.
pub struct ChangedValues {
    changes: MemoryState,
    before: Arc<dyn StateValues>,
}

impl ChangedValues {
    /// `before` with `diff` applied.
    pub fn new(before: Arc<dyn StateValues>, diff: &ThinStateDiff) -> Self {
        let mut changes = MemoryState::default();
        changes.apply(diff);
        Self { changes, before }
    }
}

impl StateValues for ChangedValues {
    fn storage(&self, contract: ContractAddress, key: StorageKey) -> Result<Felt, StateValueError> {
        let changed = self.changes.values.storage.get(&contract);
        match changed.and_then(|storage| storage.get(&key)) {
            Some(value) => Ok(*value),
            None => self.before.storage(contract, key),
        }
    }

    fn nonce(&self, contract: ContractAddress) -> Result<Nonce, StateValueError> {
        let changed = self.changes.values.nonces.get(&contract);
        changed.map_or_else(|| self.before.nonce(contract), |nonce| Ok(*nonce))
    }

    fn class_hash(&self, contract: ContractAddress) -> Result<ClassHash, StateValueError> {
        let changed = self.changes.values.class_hashes.get(&contract);
        changed.map_or_else(|| self.before.class_hash(contract), |class| Ok(*class))
    }

    fn compiled_class_hash(&self, class: ClassHash) -> Result<CompiledClassHash, StateValueError> {
        let changed = self.changes.values.compiled_class_hashes.get(&class);
        changed.map_or_else(|| self.before.compiled_class_hash(class), |compiled| Ok(*compiled))
    }
}

/// A state in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    values: InitialReads,
}

impl MemoryState {
    /// The state with these values.
    pub fn new(values: InitialReads) -> Self {
        Self { values }
    }

    /// Applies a block's changes.
    pub fn apply(&mut self, diff: &ThinStateDiff) {
        for (contract, entries) in &diff.storage_diffs {
            let storage = self.values.storage.entry(*contract).or_default();
            storage.extend(entries.iter().map(|(key, value)| (*key, *value)));
        }
        self.values.nonces.extend(diff.nonces.iter().map(|(address, nonce)| (*address, *nonce)));
        self.values
            .class_hashes
            .extend(diff.deployed_contracts.iter().map(|(address, class)| (*address, *class)));
        self.values.compiled_class_hashes.extend(
            diff.class_hash_to_compiled_class_hash.iter().map(|(class, hash)| (*class, *hash)),
        );
    }
}

impl StateValues for MemoryState {
    fn storage(&self, contract: ContractAddress, key: StorageKey) -> Result<Felt, StateValueError> {
        let value = self.values.storage.get(&contract).and_then(|storage| storage.get(&key));
        Ok(value.copied().unwrap_or_default())
    }

    fn nonce(&self, contract: ContractAddress) -> Result<Nonce, StateValueError> {
        Ok(copied(&self.values.nonces, contract))
    }

    fn class_hash(&self, contract: ContractAddress) -> Result<ClassHash, StateValueError> {
        Ok(copied(&self.values.class_hashes, contract))
    }

    fn compiled_class_hash(&self, class: ClassHash) -> Result<CompiledClassHash, StateValueError> {
        Ok(copied(&self.values.compiled_class_hashes, class))
    }
}

fn copied<K: Ord, V: Copy + Default>(map: &BTreeMap<K, V>, key: K) -> V {
    map.get(&key).copied().unwrap_or_default()
}
