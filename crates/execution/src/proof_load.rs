//! Predicts what the proof of a block will hold, transaction by transaction, while the block is built.

use std::collections::{BTreeSet, HashSet};

use blockifier::bouncer::get_patricia_update_resources;
use blockifier::execution::contract_class::RunnableCompiledClass;
use blockifier::state::cached_state::{StateMaps, StorageEntry};
use blockifier::state::errors::StateError;
use blockifier::state::state_api::StateReader;
use blockifier::transaction::objects::TransactionExecutionInfo;
use starknet_api::core::ClassHash;

use crate::limits::ProofLoad;

/// What StarknetOS needs for any block, whatever is in it.
const EMPTY_BLOCK_LOAD: ProofLoad = ProofLoad {
    steps: 40_000,
    poseidon: 300,
    pedersen: 500,
    range_check: 5_000,
    range_check96: 0,
    bitwise: 500,
    ec_op: 0,
    keccak: 0,
    modular: 0,
};

/// Sierra gas of one step (`step_gas_cost` of the versioned constants).
const SIERRA_GAS_PER_STEP: u64 = 100;

/// Counts what the block's proof will hold.
pub(crate) struct LoadCounter {
    total: ProofLoad,
    visited: HashSet<StorageEntry>,
    written: HashSet<StorageEntry>,
    classes: BTreeSet<ClassHash>,
}

/// What one transaction adds.
pub(crate) struct AddedLoad {
    load: ProofLoad,
    visited: HashSet<StorageEntry>,
    written: HashSet<StorageEntry>,
    classes: BTreeSet<ClassHash>,
}

impl AddedLoad {
    /// The transaction's own load.
    pub(crate) fn load(&self) -> ProofLoad {
        self.load
    }
}

impl LoadCounter {
    /// The load of the block so far.
    pub(crate) fn total(&self) -> ProofLoad {
        self.total
    }

    /// The classes that the block's calls ran so far.
    pub(crate) fn classes(&self) -> &BTreeSet<ClassHash> {
        &self.classes
    }

    pub(crate) fn of_empty_block() -> Self {
        Self {
            total: EMPTY_BLOCK_LOAD,
            visited: HashSet::new(),
            written: HashSet::new(),
            classes: BTreeSet::new(),
        }
    }

    pub(crate) fn of_transaction(
        &self,
        info: &TransactionExecutionInfo,
        changes: &StateMaps,
        visited: &HashSet<StorageEntry>,
        state: &impl StateReader,
    ) -> Result<AddedLoad, StateError> {
        let mut load = ProofLoad::default();
        let computation = &info.receipt.resources.computation;
        let vm = computation.total_extended_vm_resources().vm_resources;
        let gas = computation.sierra_gas.0.saturating_add(computation.reverted_sierra_gas.0);
        let steps = count(vm.n_steps.saturating_add(computation.n_reverted_steps));
        load.steps = load.steps.saturating_add(steps).saturating_add(gas / SIERRA_GAS_PER_STEP);
        for (primitive, uses) in info.summarize_builtins() {
            if let blockifier::execution::call_info::CairoPrimitiveName::Builtin(builtin) =
                primitive
            {
                load.add_builtin(builtin, count(uses));
            }
        }
        for (builtin, uses) in &computation.os_vm_resources.builtin_instance_counter {
            load.add_builtin(*builtin, count(*uses));
        }

        let visited: HashSet<_> = visited.difference(&self.visited).copied().collect();
        let written: HashSet<_> =
            changes.storage.keys().filter(|key| !self.written.contains(key)).copied().collect();
        let tries = get_patricia_update_resources(visited.len(), written.len());
        load.steps = load.steps.saturating_add(count(tries.n_steps));
        for (builtin, uses) in &tries.builtin_instance_counter {
            load.add_builtin(*builtin, count(*uses));
        }

        let mut classes = BTreeSet::new();
        for call in info.non_optional_call_infos().flat_map(|call| call.iter()) {
            let Some(class_hash) = call.call.class_hash else { continue };
            if !self.classes.contains(&class_hash) && classes.insert(class_hash) {
                load = load.saturating_add(class_load(&state.get_compiled_class(class_hash)?));
            }
        }
        Ok(AddedLoad { load, visited, written, classes })
    }

    /// Adds what a transaction that was included adds.
    pub(crate) fn add(&mut self, added: AddedLoad) {
        self.total = self.total.saturating_add(added.load);
        self.visited.extend(added.visited);
        self.written.extend(added.written);
        self.classes.extend(added.classes);
    }
}

/// StarknetOS hashes the bytecode segments that a block visits, two felts a permutation; of a class some
/// half of the segments is visited. Loading a felt takes some five steps.
fn class_load(class: &RunnableCompiledClass) -> ProofLoad {
    let bytecode = match class {
        RunnableCompiledClass::V0(class) => class.bytecode_length(),
        RunnableCompiledClass::V1(class) => class.bytecode_length(),
        #[cfg(feature = "native")]
        RunnableCompiledClass::V1Native(class) => class.casm().bytecode_length(),
    };
    let hashed = count(bytecode) / 2;
    ProofLoad { steps: hashed.saturating_mul(5), poseidon: hashed / 2, ..ProofLoad::default() }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
