//! Proofs of state in the Merkle-Patricia tries.

use serde::Serialize;
use sidereal_patricia::Node;

use super::number::FeltHex;

/// `MERKLE_NODE`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum MerkleNode {
    Binary { left: FeltHex, right: FeltHex },
    Edge { path: FeltHex, length: u8, child: FeltHex },
}

impl From<Node> for MerkleNode {
    fn from(node: Node) -> Self {
        match node {
            Node::Binary { left, right } => {
                Self::Binary { left: FeltHex(left), right: FeltHex(right) }
            }
            Node::Edge { child, path, length } => {
                Self::Edge { path: FeltHex(path), length, child: FeltHex(child) }
            }
        }
    }
}

/// An item of `NODE_HASH_TO_NODE_MAPPING`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NodeItem {
    pub node_hash: FeltHex,
    pub node: MerkleNode,
}

/// Result of `starknet_getStorageProof`.
#[derive(Clone, Debug, Serialize)]
pub struct StorageProof {
    pub classes_proof: Vec<NodeItem>,
    pub contracts_proof: ContractsProof,
    /// One mapping for each requested contract, in the order of the request.
    pub contracts_storage_proofs: Vec<Vec<NodeItem>>,
    pub global_roots: GlobalRoots,
}

#[derive(Clone, Debug, Serialize)]
pub struct ContractsProof {
    pub nodes: Vec<NodeItem>,
    pub contract_leaves_data: Vec<ContractLeafData>,
}

/// What the leaf of a requested contract is made of; all zero for a contract that does not exist.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ContractLeafData {
    pub nonce: FeltHex,
    pub class_hash: FeltHex,
    pub storage_root: FeltHex,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct GlobalRoots {
    pub contracts_tree_root: FeltHex,
    pub classes_tree_root: FeltHex,
    pub block_hash: FeltHex,
}
