//! Predicts what the proof of a block will hold, transaction by transaction, while the block is built.
//!
//! The prediction is an upper bound: a block that is closed must have a proof. What it adds up:
//!
//! * what the contracts run, from the gas that they used;
//! * what StarknetOS runs beside them: for the block, a transaction, a system call, a class that it hashes, a path in
//!   a trie, a changed value;
//! * what the bootloader runs beside StarknetOS: the hash of its program, and in Cairo the two builtins that the
//!   prover has no component for, `ec_op` and `keccak`.
//!
//! The constants were measured; the test `load` of `sidereal-block-prover` compares predictions with real runs.

mod bytecode;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use blockifier::blockifier_versioned_constants::VersionedConstants;
use blockifier::execution::call_info::{CairoPrimitiveName, CallInfo};
use blockifier::execution::contract_class::{CompiledClassV1, RunnableCompiledClass};
use blockifier::state::cached_state::{StateMaps, StorageEntry};
use blockifier::state::errors::StateError;
use blockifier::state::state_api::StateReader;
use blockifier::transaction::objects::TransactionExecutionInfo;
use starknet_api::core::{ClassHash, ContractAddress};

use self::bytecode::Segments;
use crate::limits::ProofLoad;

/// The bootloader with StarknetOS over no transactions. The bootloader hashes the program of StarknetOS, and executes
/// Keccak permutations three at a time: two more than are asked for.
const EMPTY_BLOCK: ProofLoad = ProofLoad {
    steps: 265_000,
    rows: 78_000,
    poseidon: 100,
    pedersen: 200,
    range_check: 16_000,
    range_check96: 0,
    bitwise: 2_200,
    ec_op: 0,
    keccak: 0,
    modular: 0,
};

/// Sierra gas of one step (`step_gas_cost` of the versioned constants).
const SIERRA_GAS_PER_STEP: u64 = 100;

/// A component has a row for each step with its opcode. Contracts may repeat one opcode, so all their steps count;
/// the code of StarknetOS is known, and no opcode, nor new value in memory, takes more of it than this, in percent.
const OS_ROWS_PERCENT: u64 = 35;

/// Levels of a trie with 2^24 leaves, evenly spread. The executor does not see how large the tries are; in smaller
/// ones the proof holds fewer Pedersen hashes than predicted.
const TRIE_HEIGHT: u32 = 24;
/// Steps of StarknetOS for a node of a trie, as it was before the block or is after it.
const STEPS_PER_NODE: u64 = 40;

/// Steps of StarknetOS, and other work, beside what is counted otherwise.
struct OsWork {
    steps: u64,
    range_check: u64,
    poseidon: u64,
}

const TRANSACTION: OsWork = OsWork { steps: 1_500, range_check: 80, poseidon: 20 };
const STORAGE_CELL: OsWork = OsWork { steps: 100, range_check: 40, poseidon: 0 };
const CHANGED_CELL: OsWork = OsWork { steps: 400, range_check: 40, poseidon: 1 };
const CONTRACT: OsWork = OsWork { steps: 500, range_check: 40, poseidon: 0 };
const CLASS: OsWork = OsWork { steps: 1_000, range_check: 40, poseidon: 60 };
const ENTRY_POINT: OsWork = OsWork { steps: 150, range_check: 8, poseidon: 4 };
const SEGMENT: OsWork = OsWork { steps: 40, range_check: 2, poseidon: 1 };

/// Steps of StarknetOS for a felt of a segment that is hashed.
const STEPS_PER_FELT: u64 = 8;

/// Counts what the block's proof will hold.
pub(crate) struct LoadCounter {
    total: ProofLoad,
    seen: Seen,
}

/// What StarknetOS does once a block, however many transactions need it.
#[derive(Default)]
struct Seen {
    cells: HashSet<StorageEntry>,
    changed: HashSet<StorageEntry>,
    /// Of each contract: how many of its cells are above, and how many of the changed ones.
    leaves: HashMap<ContractAddress, (u64, u64)>,
    contracts: HashSet<ContractAddress>,
    classes: BTreeSet<ClassHash>,
    /// The code of classes, and which segments of it are counted.
    code: HashMap<ClassHash, (Arc<Segments>, BTreeSet<usize>)>,
    /// Entry points whose code is counted.
    entered: HashSet<(ClassHash, usize)>,
}

/// What one transaction adds.
pub(crate) struct AddedLoad {
    load: ProofLoad,
    seen: Seen,
}

impl AddedLoad {
    /// The transaction's own load.
    pub(crate) fn load(&self) -> ProofLoad {
        self.load
    }
}

impl LoadCounter {
    pub(crate) fn of_empty_block() -> Self {
        Self { total: EMPTY_BLOCK, seen: Seen::default() }
    }

    /// The load of the block so far.
    pub(crate) fn total(&self) -> ProofLoad {
        self.total
    }

    /// The classes that the block's transactions looked up so far: StarknetOS hashes each.
    pub(crate) fn into_classes(self) -> BTreeSet<ClassHash> {
        self.seen.classes
    }

    /// What a transaction would add that changed `changes`, visited these storage cells and looked up these classes.
    pub(crate) fn of_transaction(
        &self,
        info: &TransactionExecutionInfo,
        changes: &StateMaps,
        visited: &HashSet<StorageEntry>,
        looked_up: &BTreeSet<ClassHash>,
        state: &impl StateReader,
        constants: &VersionedConstants,
    ) -> Result<AddedLoad, StateError> {
        let mut added = AddedLoad { load: ProofLoad::default(), seen: Seen::default() };
        added.add_execution(info, constants);
        added.add_state(&self.seen, info, changes, visited);
        for class_hash in looked_up {
            if !self.seen.classes.contains(class_hash) {
                added.add_class(*class_hash, &state.get_compiled_class(*class_hash)?);
            }
        }
        for call in info.non_optional_call_infos().flat_map(|call| call.iter()) {
            added.add_entry(&self.seen, call, state)?;
        }
        Ok(added)
    }

    /// Adds what a transaction that was included adds.
    pub(crate) fn add(&mut self, added: AddedLoad) {
        self.total = self.total.saturating_add(added.load);
        let (seen, new) = (&mut self.seen, added.seen);
        seen.cells.extend(new.cells);
        seen.changed.extend(new.changed);
        seen.contracts.extend(new.contracts);
        seen.classes.extend(new.classes);
        seen.entered.extend(new.entered);
        for (contract, (cells, changed)) in new.leaves {
            let leaves = seen.leaves.entry(contract).or_default();
            leaves.0 += cells;
            leaves.1 += changed;
        }
        for (class_hash, (segments, counted)) in new.code {
            let (_, known) = seen.code.entry(class_hash).or_insert((segments, BTreeSet::new()));
            known.extend(counted);
        }
    }
}

impl AddedLoad {
    /// What the transaction ran, and what StarknetOS and the bootloader run for that.
    fn add_execution(&mut self, info: &TransactionExecutionInfo, constants: &VersionedConstants) {
        let computation = &info.receipt.resources.computation;
        let os = &computation.os_vm_resources;
        let gas = computation.sierra_gas.0.saturating_add(computation.reverted_sierra_gas.0);
        // The gas of a system call pays for the code of StarknetOS behind it.
        let calls = || info.non_optional_call_infos().flat_map(|call| call.iter());
        let syscall_gas = calls().map(|call| syscall_gas(call, constants)).sum::<u64>().min(gas);
        let vm = computation.tx_extended_vm_resources.vm_resources.n_steps;
        let contracts = (gas - syscall_gas)
            .div_ceil(SIERRA_GAS_PER_STEP)
            .saturating_add(count(vm.saturating_add(computation.n_reverted_steps)));
        self.load.steps = self.load.steps.saturating_add(contracts);
        self.load.rows = self.load.rows.saturating_add(contracts);
        self.add_os_steps(count(os.n_steps) + syscall_gas / SIERRA_GAS_PER_STEP);
        self.add_work(&TRANSACTION, 1);
        for (builtin, uses) in &os.builtin_instance_counter {
            self.load.add_builtin(*builtin, count(*uses));
        }
        for (primitive, uses) in info.summarize_builtins() {
            if let CairoPrimitiveName::Builtin(builtin) = primitive {
                self.load.add_builtin(builtin, count(uses));
            }
        }
    }

    /// The paths of storage cells, contracts and classes in their tries, before and after the block, and what becomes
    /// of changed values: an alias each for key and address, and a place in the output.
    fn add_state(
        &mut self,
        seen: &Seen,
        info: &TransactionExecutionInfo,
        changes: &StateMaps,
        visited: &HashSet<StorageEntry>,
    ) {
        let cells = visited.iter().chain(changes.storage.keys()).copied();
        self.seen.cells = cells.filter(|cell| !seen.cells.contains(cell)).collect();
        let changed = changes.storage.keys().copied();
        self.seen.changed = changed.filter(|cell| !seen.changed.contains(cell)).collect();
        let called = info
            .non_optional_call_infos()
            .flat_map(|call| call.iter())
            .map(|call| call.call.storage_address);
        self.seen.contracts = called
            .chain(changes.get_contract_addresses())
            .chain(visited.iter().map(|(contract, _)| *contract))
            .filter(|contract| !seen.contracts.contains(contract))
            .collect();

        let cells = count(self.seen.cells.len());
        let changed = count(self.seen.changed.len());
        let contracts = count(self.seen.contracts.len());
        self.add_work(&STORAGE_CELL, cells);
        self.add_work(&CHANGED_CELL, changed);
        self.add_work(&CONTRACT, contracts);
        // A changed cell may allocate an alias, a cell that is changed in turn; so may a new contract's address.
        let aliases = changed.saturating_add(contracts);
        self.add_work(&STORAGE_CELL, aliases);
        // A path is hashed as it was before the block, and once more if it changes. Paths share their upper nodes with
        // those of the same trie that are counted already.
        let mut nodes = path_nodes(seen.aliases(), aliases).saturating_mul(2);
        let known = count(seen.contracts.len());
        nodes = nodes.saturating_add(path_nodes(known, contracts).saturating_mul(2));
        for (contract, _) in &self.seen.cells {
            self.seen.leaves.entry(*contract).or_default().0 += 1;
        }
        for (contract, _) in &self.seen.changed {
            self.seen.leaves.entry(*contract).or_default().1 += 1;
        }
        for (contract, (cells, changed)) in &self.seen.leaves {
            let (cells_before, changed_before) =
                seen.leaves.get(contract).copied().unwrap_or_default();
            nodes = nodes
                .saturating_add(path_nodes(cells_before, *cells))
                .saturating_add(path_nodes(changed_before, *changed));
        }
        self.load.pedersen = self.load.pedersen.saturating_add(nodes);
        self.load.range_check = self.load.range_check.saturating_add(nodes);
        self.add_os_steps(nodes.saturating_mul(STEPS_PER_NODE));
    }

    /// A class that was looked up: its entry points are hashed, and the hashes of its segments.
    fn add_class(&mut self, class_hash: ClassHash, class: &RunnableCompiledClass) {
        self.seen.classes.insert(class_hash);
        self.add_work(&CLASS, 1);
        let Some(class) = cairo_1(class) else { return };
        let entry_points = &class.entry_points_by_type;
        let entry_points = entry_points.constructor.len()
            + entry_points.external.len()
            + entry_points.l1_handler.len();
        let segments = Segments::of_class(&class);
        // All of the bytecode is in memory, whether it is hashed or not.
        self.load.rows = self.load.rows.saturating_add(count(class.bytecode_length()));
        self.add_work(&ENTRY_POINT, count(entry_points));
        self.add_work(&SEGMENT, count(segments.count()));
        self.seen.code.insert(class_hash, (Arc::new(segments), BTreeSet::new()));
    }

    /// The segments that a call can reach and no call before it could.
    fn add_entry(
        &mut self,
        seen: &Seen,
        call: &CallInfo,
        state: &impl StateReader,
    ) -> Result<(), StateError> {
        let Some(class_hash) = call.call.class_hash else { return Ok(()) };
        let Some(class) = cairo_1(&state.get_compiled_class(class_hash)?) else { return Ok(()) };
        let selector = call.call.entry_point_selector;
        let entry_points = &class.entry_points_by_type[call.call.entry_point_type];
        let Some(entry) = entry_points.iter().find(|entry| entry.selector == selector) else {
            return Ok(());
        };
        let offset = entry.offset.0;
        let entered = (class_hash, offset);
        if seen.entered.contains(&entered) || !self.seen.entered.insert(entered) {
            return Ok(());
        }
        let none = BTreeSet::new();
        let known = seen.code.get(&class_hash);
        let before = known.map_or(&none, |(_, counted)| counted);
        let (segments, counted) = match self.seen.code.entry(class_hash) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let segments = known.map(|(segments, _)| segments.clone());
                let segments = segments.unwrap_or_else(|| Arc::new(Segments::of_class(&class)));
                entry.insert((segments, BTreeSet::new()))
            }
        };
        let reachable = segments.reachable(offset);
        let new: Vec<_> =
            reachable.iter().filter(|it| !before.contains(it) && counted.insert(**it)).collect();
        let felts: usize = new.iter().map(|segment| segments.felts(**segment)).sum();
        let permutations = count(felts / 2).saturating_add(count(new.len()));
        self.load.poseidon = self.load.poseidon.saturating_add(permutations);
        self.add_os_steps(count(felts).saturating_mul(STEPS_PER_FELT));
        Ok(())
    }

    fn add_work(&mut self, work: &OsWork, times: u64) {
        self.add_os_steps(work.steps.saturating_mul(times));
        let load = &mut self.load;
        load.range_check = load.range_check.saturating_add(work.range_check.saturating_mul(times));
        load.poseidon = load.poseidon.saturating_add(work.poseidon.saturating_mul(times));
    }

    fn add_os_steps(&mut self, steps: u64) {
        self.load.steps = self.load.steps.saturating_add(steps);
        let rows = steps.saturating_mul(OS_ROWS_PERCENT).div_ceil(100);
        self.load.rows = self.load.rows.saturating_add(rows);
    }
}

impl Seen {
    /// How many aliases may have been allocated.
    fn aliases(&self) -> u64 {
        count(self.changed.len()).saturating_add(count(self.contracts.len()))
    }
}

/// Most nodes of a trie on the paths to `more` leaves that are not on those to `leaves` others.
fn path_nodes(leaves: u64, more: u64) -> u64 {
    nodes_above(leaves.saturating_add(more)).saturating_sub(nodes_above(leaves))
}

/// Most nodes on the paths to so many leaves: as many on each level, or all that the level has.
fn nodes_above(leaves: u64) -> u64 {
    let Some(last_full) = leaves.checked_ilog2() else { return 0 };
    let full = (last_full + 1).min(TRIE_HEIGHT);
    leaves.saturating_mul(u64::from(TRIE_HEIGHT - full)).saturating_add((1 << full) - 1)
}

fn syscall_gas(call: &CallInfo, constants: &VersionedConstants) -> u64 {
    let costs = &constants.os_constants.gas_costs.syscalls;
    call.syscalls_usage
        .iter()
        .filter_map(|(selector, usage)| {
            let cost = costs.get_syscall_gas_cost(selector).ok()?;
            Some(cost.get_syscall_cost(0).saturating_mul(count(usage.call_count)))
        })
        .sum()
}

fn cairo_1(class: &RunnableCompiledClass) -> Option<CompiledClassV1> {
    match class {
        // StarknetOS runs none here.
        RunnableCompiledClass::V0(_) => None,
        RunnableCompiledClass::V1(class) => Some(class.clone()),
        #[cfg(feature = "native")]
        RunnableCompiledClass::V1Native(class) => Some(class.casm()),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One leaf has a path of its own; a full trie has all its nodes; paths that are added one by one come to as many.
    #[test]
    fn paths_share_their_upper_nodes() {
        assert_eq!(nodes_above(0), 0);
        assert_eq!(nodes_above(1), u64::from(TRIE_HEIGHT));
        assert_eq!(nodes_above(2), 1 + 2 * u64::from(TRIE_HEIGHT - 1));
        assert_eq!(nodes_above(1 << TRIE_HEIGHT), (1 << TRIE_HEIGHT) - 1);
        let one_by_one: u64 = (0..1_000).map(|leaves| path_nodes(leaves, 1)).sum();
        assert_eq!(one_by_one, nodes_above(1_000));
        for leaves in 0..1_000 {
            assert!(nodes_above(leaves + 1) > nodes_above(leaves));
        }
    }
}
