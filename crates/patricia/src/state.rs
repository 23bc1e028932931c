//! The global state commitment of a block: contract trie, class trie and storage tries together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, GlobalRoot};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

use crate::facts::CommitmentFacts;
use crate::hash::{PedersenTrie, PoseidonTrie};
use crate::node::{ContractLeaf, Node};
use crate::source::{MemoryNodes, NodeSource};
use crate::trie::{PartialTrie, TrieError, TrieRequest, load_many, load_nodes};
use crate::update::TrieUpdate;

/// Roots of the two tries that the state commitment is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateRoots {
    /// Root of the contract trie (Pedersen).
    pub contracts_root: Felt,
    /// Root of the class trie (Poseidon).
    pub classes_root: Felt,
}

impl StateRoots {
    /// The state root: `poseidon("STARKNET_STATE_V0", contracts_root, classes_root)`; the contract trie's root
    /// while no class is declared, and 0 for the empty state (`calculate_global_state_root` in StarknetOS'
    /// `state/commitment.cairo` of v0.13.5).
    pub fn global_root(&self) -> GlobalRoot {
        if self.classes_root == Felt::ZERO {
            return GlobalRoot(self.contracts_root);
        }
        let version = Felt::from_bytes_be_slice(b"STARKNET_STATE_V0");
        GlobalRoot(Poseidon::hash_array(&[version, self.contracts_root, self.classes_root]))
    }
}

/// The leaf of a declared class: `poseidon("CONTRACT_CLASS_LEAF_V0", compiled_class_hash)`.
pub fn class_leaf(compiled_class_hash: &CompiledClassHash) -> Felt {
    if compiled_class_hash.0 == Felt::ZERO {
        return Felt::ZERO;
    }
    Poseidon::hash(&Felt::from_bytes_be_slice(b"CONTRACT_CLASS_LEAF_V0"), &compiled_class_hash.0)
}

/// All leaves that a block read or wrote. What the block's state diff names need not be repeated here, and the
/// contracts of `storage` need not be repeated in `contracts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessedKeys {
    /// Storage cells.
    pub storage: BTreeSet<(ContractAddress, StorageKey)>,
    /// Contracts whose class hash or nonce was read, and whose code ran.
    pub contracts: BTreeSet<ContractAddress>,
    /// Classes whose compiled class hash was read.
    pub classes: BTreeSet<ClassHash>,
}

impl AccessedKeys {
    fn with_diff(&self, diff: &ThinStateDiff) -> Self {
        let mut all = self.clone();
        for (address, cells) in &diff.storage_diffs {
            all.storage.extend(cells.keys().map(|key| (*address, *key)));
            all.contracts.insert(*address);
        }
        all.contracts.extend(self.storage.iter().map(|(address, _)| *address));
        all.contracts.extend(diff.deployed_contracts.keys());
        all.contracts.extend(diff.nonces.keys());
        all.classes.extend(diff.class_hash_to_compiled_class_hash.keys());
        all
    }
}

/// The leaf of an accessed contract before and after the block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractLeafChange {
    /// Before the block; all zero when the contract did not exist.
    pub previous: ContractLeaf,
    /// After the block.
    pub updated: ContractLeaf,
}

/// The commitment facts of a block: the part of its witness that is about tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCommitmentFacts {
    /// The contract trie.
    pub contracts: CommitmentFacts,
    /// The class trie.
    pub classes: CommitmentFacts,
    /// The storage trie of every accessed contract, those whose storage was not touched included.
    pub storage: BTreeMap<ContractAddress, CommitmentFacts>,
    /// The leaves of all accessed contracts.
    pub contract_leaves: BTreeMap<ContractAddress, ContractLeafChange>,
}

impl StateCommitmentFacts {
    /// Roots before the block.
    pub fn previous_roots(&self) -> StateRoots {
        StateRoots {
            contracts_root: self.contracts.previous_root,
            classes_root: self.classes.previous_root,
        }
    }

    /// Roots after the block.
    pub fn updated_roots(&self) -> StateRoots {
        StateRoots {
            contracts_root: self.contracts.updated_root,
            classes_root: self.classes.updated_root,
        }
    }

    /// A node source from which [`StateTries::load`] can load the tries before the block for the same accessed
    /// keys: what a replay of the block starts from.
    pub fn node_source(&self) -> MemoryNodes {
        let mut nodes = self.contracts.nodes();
        nodes.extend(self.classes.nodes());
        for facts in self.storage.values() {
            nodes.extend(facts.nodes());
        }
        let contract_leaves = self
            .contract_leaves
            .values()
            .flat_map(|change| [change.previous, change.updated])
            .map(|leaf| (leaf.hash(), leaf))
            .collect();
        MemoryNodes { nodes, contract_leaves }
    }
}

/// What a block does to the tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTriesUpdate {
    /// Roots after the block.
    pub roots: StateRoots,
    /// The nodes and contract leaves that did not exist before.
    pub new_nodes: MemoryNodes,
    /// For the witness.
    pub facts: StateCommitmentFacts,
}

/// The tries before a block, as far as the block touches them. [`Self::load`] does the I/O, the rest is pure.
#[derive(Debug, Clone)]
pub struct StateTries {
    accessed: AccessedKeys,
    contracts: PartialTrie<PedersenTrie>,
    classes: PartialTrie<PoseidonTrie>,
    /// Leaf and storage trie of every accessed contract.
    storage: BTreeMap<ContractAddress, (ContractLeaf, PartialTrie<PedersenTrie>)>,
}

impl StateTries {
    /// Loads what a block with this state diff and these accessed keys touches.
    ///
    /// # Errors
    /// When the source fails, or lacks a node or a contract leaf under `roots`.
    pub async fn load<S: NodeSource>(
        source: &S,
        roots: StateRoots,
        diff: &ThinStateDiff,
        accessed: &AccessedKeys,
    ) -> Result<Self, TrieError> {
        let accessed = accessed.with_diff(diff);
        let contract_keys: Vec<Felt> = accessed.contracts.iter().map(address_key).collect();
        // A contract without class and nonce vanishes with its last storage cell.
        let vanishing = diff
            .storage_diffs
            .iter()
            .filter(|(_, cells)| cells.values().all(|value| *value == Felt::ZERO))
            .map(|(address, _)| address_key(address))
            .collect();
        let requests = [
            TrieRequest { root: roots.contracts_root, keys: contract_keys, deletions: vanishing },
            TrieRequest {
                root: roots.classes_root,
                keys: accessed.classes.iter().map(|class| class.0).collect(),
                // Classes cannot be taken back.
                deletions: Vec::new(),
            },
        ];
        let mut nodes = load_nodes(source, &requests).await?.into_iter();
        let mut next = || nodes.next().unwrap_or_default();
        let contracts = PartialTrie::new(roots.contracts_root, next());
        let classes = PartialTrie::new(roots.classes_root, next());

        let leaves = load_contract_leaves(source, &contracts, &accessed.contracts).await?;
        let mut requests: BTreeMap<ContractAddress, TrieRequest> = leaves
            .iter()
            .map(|(address, leaf)| {
                (*address, TrieRequest { root: leaf.storage_root, ..TrieRequest::default() })
            })
            .collect();
        for (address, key) in &accessed.storage {
            if let Some(request) = requests.get_mut(address) {
                request.keys.push(storage_key(key));
            }
        }
        for (address, cells) in &diff.storage_diffs {
            if let Some(request) = requests.get_mut(address) {
                let removed = cells.iter().filter(|(_, value)| **value == Felt::ZERO);
                request.deletions.extend(removed.map(|(key, _)| storage_key(key)));
            }
        }
        let (addresses, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let tries = load_many(source, &requests).await?;
        let storage = addresses
            .into_iter()
            .zip(tries)
            .map(|(address, trie)| {
                let leaf = leaves.get(&address).copied().unwrap_or_default();
                (address, (leaf, trie))
            })
            .collect();
        Ok(Self { accessed, contracts, classes, storage })
    }

    /// The leaf of an accessed contract before the block.
    pub fn contract_leaf(&self, address: &ContractAddress) -> Option<ContractLeaf> {
        self.storage.get(address).map(|(leaf, _)| *leaf)
    }

    /// Applies a state diff, which must be the one that the tries were loaded for.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] when the tries were loaded for other keys.
    pub fn update(&self, diff: &ThinStateDiff) -> Result<StateTriesUpdate, TrieError> {
        let mut keys: HashMap<ContractAddress, Vec<Felt>> = HashMap::new();
        for (address, key) in &self.accessed.storage {
            keys.entry(*address).or_default().push(storage_key(key));
        }
        let contracts: Vec<UpdatedContract> = self
            .storage
            .par_iter()
            .map(|(address, (leaf, trie))| {
                let keys = keys.get(address).map_or(&[][..], Vec::as_slice);
                update_contract(diff, address, leaf, trie, keys)
            })
            .collect::<Result<_, _>>()?;

        let mut new_nodes = MemoryNodes::default();
        let mut contract_changes = BTreeMap::new();
        let mut storage = BTreeMap::new();
        let mut contract_leaves = BTreeMap::new();
        for contract in contracts {
            new_nodes.nodes.extend(contract.storage_nodes);
            if contract.leaf.updated != contract.leaf.previous {
                let hash = contract.leaf.updated.hash();
                contract_changes.insert(address_key(&contract.address), hash);
                if hash != Felt::ZERO {
                    new_nodes.contract_leaves.insert(hash, contract.leaf.updated);
                }
            }
            storage.insert(contract.address, contract.facts);
            contract_leaves.insert(contract.address, contract.leaf);
        }

        let contracts_update = self.contracts.update(&contract_changes)?;
        let contract_keys: Vec<Felt> = self.accessed.contracts.iter().map(address_key).collect();
        let class_changes: BTreeMap<Felt, Felt> = diff
            .class_hash_to_compiled_class_hash
            .iter()
            .map(|(class, compiled)| (class.0, class_leaf(compiled)))
            .collect();
        let classes_update = self.classes.update(&class_changes)?;
        let class_keys: Vec<Felt> = self.accessed.classes.iter().map(|class| class.0).collect();

        let facts = StateCommitmentFacts {
            contracts: self.contracts.commitment_facts(&contracts_update, &contract_keys)?,
            classes: self.classes.commitment_facts(&classes_update, &class_keys)?,
            storage,
            contract_leaves,
        };
        new_nodes.nodes.extend(contracts_update.new_nodes);
        new_nodes.nodes.extend(classes_update.new_nodes);
        Ok(StateTriesUpdate { roots: facts.updated_roots(), new_nodes, facts })
    }
}

struct UpdatedContract {
    address: ContractAddress,
    leaf: ContractLeafChange,
    storage_nodes: HashMap<Felt, Node>,
    facts: CommitmentFacts,
}

fn update_contract(
    diff: &ThinStateDiff,
    address: &ContractAddress,
    previous: &ContractLeaf,
    trie: &PartialTrie<PedersenTrie>,
    keys: &[Felt],
) -> Result<UpdatedContract, TrieError> {
    let storage: TrieUpdate = match diff.storage_diffs.get(address) {
        Some(cells) => {
            trie.update(&cells.iter().map(|(key, value)| (storage_key(key), *value)).collect())?
        }
        None => TrieUpdate { root: trie.root(), new_nodes: HashMap::new() },
    };
    let facts = trie.commitment_facts(&storage, keys)?;
    let updated = ContractLeaf {
        class_hash: diff
            .deployed_contracts
            .get(address)
            .map_or(previous.class_hash, |class_hash| class_hash.0),
        storage_root: storage.root,
        nonce: diff.nonces.get(address).map_or(previous.nonce, |nonce| nonce.0),
    };
    Ok(UpdatedContract {
        address: *address,
        leaf: ContractLeafChange { previous: *previous, updated },
        storage_nodes: storage.new_nodes,
        facts,
    })
}

async fn load_contract_leaves<S: NodeSource>(
    source: &S,
    contracts: &PartialTrie<PedersenTrie>,
    addresses: &BTreeSet<ContractAddress>,
) -> Result<BTreeMap<ContractAddress, ContractLeaf>, TrieError> {
    let mut leaves = BTreeMap::new();
    let mut wanted = Vec::new();
    for address in addresses {
        let hash = contracts.get(&address_key(address))?;
        if hash == Felt::ZERO {
            leaves.insert(*address, ContractLeaf::default());
        } else {
            wanted.push((*address, hash));
        }
    }
    if wanted.is_empty() {
        return Ok(leaves);
    }
    let hashes: Vec<Felt> = wanted.iter().map(|(_, hash)| *hash).collect();
    let answer = source
        .contract_leaves(&hashes)
        .await
        .map_err(|source| TrieError::Source { count: hashes.len(), source: Box::new(source) })?;
    let found: HashMap<Felt, ContractLeaf> = hashes
        .iter()
        .zip(answer)
        .filter_map(|(hash, leaf)| leaf.map(|leaf| (*hash, leaf)))
        .collect();
    for (address, hash) in wanted {
        let leaf = found.get(&hash).ok_or(TrieError::MissingContractLeaf { hash })?;
        leaves.insert(address, *leaf);
    }
    Ok(leaves)
}

/// The contract trie's key of a contract.
pub fn address_key(address: &ContractAddress) -> Felt {
    *address.0.key()
}

/// The storage trie's key of a cell.
pub fn storage_key(key: &StorageKey) -> Felt {
    *key.0.key()
}
