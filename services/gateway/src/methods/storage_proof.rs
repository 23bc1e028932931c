//! Proofs of state, from the tries of any closed block: nodes are content-addressed and never go away.

use std::sync::Arc;

use sidereal_patricia::state::{address_key, storage_key};
use sidereal_patricia::{
    ContractLeaf, NodeSource as _, PartialTrie, PedersenTrie, PoseidonTrie, TrieError, TrieHash,
    TrieRequest, load_many, load_paths,
};
use starknet_types_core::felt::Felt;

use crate::error::RpcError;
use crate::gateway::{Gateway, Resolved};
use crate::params::Arguments;
use crate::rpc::block_id::{BlockId, BlockTag};
use crate::rpc::number::{AddressHex, FeltHex};
use crate::rpc::proof::{ContractLeafData, ContractsProof, GlobalRoots, NodeItem, StorageProof};
use crate::rpc::state::ContractStorageKeys;

const OPERATION: &str = "prove state";

pub async fn storage_proof(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<StorageProof, RpcError> {
    let id = arguments.required(0)?;
    if id == BlockId::Tag(BlockTag::PreConfirmed) {
        return Err(RpcError::invalid("block_id", "the open block has no tries yet"));
    }
    let classes: Vec<FeltHex> = arguments.optional(1)?.unwrap_or_default();
    let contracts: Vec<AddressHex> = arguments.optional(2)?.unwrap_or_default();
    let storage: Vec<ContractStorageKeys> = arguments.optional(3)?.unwrap_or_default();
    let asked = classes.len()
        + contracts.len()
        + storage.iter().map(|item| item.storage_keys.len().max(1)).sum::<usize>();
    let limit = gateway.limits().max_proof_keys;
    if asked > limit {
        return Err(RpcError::invalid("params", format!("{asked} keys, {limit} are allowed")));
    }

    let block = match gateway.resolve(id).await? {
        Resolved::Closed(block) => block,
        Resolved::PreConfirmed(_) => return Err(RpcError::BlockNotFound),
    };
    let roots = block.state_roots;
    let class_keys: Vec<Felt> = classes.iter().map(|class| class.0).collect();
    let class_trie: PartialTrie<PoseidonTrie> =
        load(&gateway, roots.classes_root, class_keys.clone()).await?;

    // Roots of storage tries stand in the leaves of the contract trie, so all contracts are looked up there;
    // the proof answered covers only those asked for.
    let contract_keys: Vec<Felt> =
        contracts.iter().map(|address| address_key(&address.0)).collect();
    let storage_owners: Vec<Felt> =
        storage.iter().map(|item| address_key(&item.contract_address.0)).collect();
    let all_contracts = [contract_keys.clone(), storage_owners.clone()].concat();
    let contract_trie: PartialTrie<PedersenTrie> =
        load(&gateway, roots.contracts_root, all_contracts.clone()).await?;
    let leaves = leaves(&gateway, &contract_trie, &all_contracts).await?;
    let (asked_leaves, owner_leaves) = leaves.split_at(contract_keys.len());

    let requests: Vec<TrieRequest> = storage
        .iter()
        .zip(owner_leaves)
        .map(|(item, leaf)| TrieRequest {
            root: leaf.storage_root,
            keys: item.storage_keys.iter().map(|key| storage_key(&key.0)).collect(),
            deletions: Vec::new(),
        })
        .collect();
    let storage_tries: Vec<PartialTrie<PedersenTrie>> =
        load_many(gateway.store(), &requests).await.map_err(trie_error)?;
    let contracts_storage_proofs = storage_tries
        .iter()
        .zip(&requests)
        .map(|(trie, request)| nodes(trie, &request.keys))
        .collect::<Result<_, _>>()?;

    Ok(StorageProof {
        classes_proof: nodes(&class_trie, &class_keys)?,
        contracts_proof: ContractsProof {
            nodes: nodes(&contract_trie, &contract_keys)?,
            contract_leaves_data: asked_leaves
                .iter()
                .map(|leaf| ContractLeafData {
                    nonce: FeltHex(leaf.nonce),
                    class_hash: FeltHex(leaf.class_hash),
                    storage_root: FeltHex(leaf.storage_root),
                })
                .collect(),
        },
        contracts_storage_proofs,
        global_roots: GlobalRoots {
            contracts_tree_root: FeltHex(roots.contracts_root),
            classes_tree_root: FeltHex(roots.classes_root),
            block_hash: FeltHex(block.hash.0),
        },
    })
}

async fn load<H: TrieHash>(
    gateway: &Gateway,
    root: Felt,
    keys: Vec<Felt>,
) -> Result<PartialTrie<H>, RpcError> {
    // A class hash may be any felt; one above the trie's height cannot be declared.
    let request = TrieRequest { root, keys, deletions: Vec::new() };
    load_paths(gateway.store(), &request).await.map_err(trie_error)
}

fn nodes<H: TrieHash>(trie: &PartialTrie<H>, keys: &[Felt]) -> Result<Vec<NodeItem>, RpcError> {
    let nodes = trie.proof_nodes(keys).map_err(trie_error)?;
    Ok(nodes
        .into_iter()
        .map(|(hash, node)| NodeItem { node_hash: FeltHex(hash), node: node.into() })
        .collect())
}

/// What the contracts' leaves are made of; all zero for contracts that do not exist.
async fn leaves(
    gateway: &Gateway,
    trie: &PartialTrie<PedersenTrie>,
    contracts: &[Felt],
) -> Result<Vec<ContractLeaf>, RpcError> {
    let hashes = contracts
        .iter()
        .map(|key| trie.get(key).map_err(trie_error))
        .collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<Felt> = hashes.iter().copied().filter(|hash| *hash != Felt::ZERO).collect();
    let found = gateway.store().contract_leaves(&wanted).await;
    let mut found = found.map_err(|error| RpcError::store(OPERATION, &error))?.into_iter();
    hashes
        .iter()
        .map(|hash| {
            if *hash == Felt::ZERO {
                return Ok(ContractLeaf::default());
            }
            found
                .next()
                .flatten()
                .ok_or_else(|| trie_error(TrieError::MissingContractLeaf { hash: *hash }))
        })
        .collect()
}

fn trie_error(error: TrieError) -> RpcError {
    match error {
        TrieError::Key(_) => RpcError::invalid("params", "a key has more than 251 bits"),
        error => RpcError::internal(OPERATION, &error),
    }
}
