//! Inner nodes, and the preimage of a contract trie's leaf.

use serde::{Deserialize, Serialize};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Pedersen, StarkHash};

use crate::TRIE_HEIGHT;
use crate::hash::TrieHash;

/// An inner node of a trie. The empty subtree is the felt 0 and has no node; leaves are felts and have none either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Node {
    /// Both subtrees are non-empty. Hash: `H(left, right)`.
    Binary {
        /// Hash (or leaf value) of the subtree whose next key bit is 0.
        left: Felt,
        /// Hash (or leaf value) of the subtree whose next key bit is 1.
        right: Felt,
    },
    /// A maximal path without a fork. Hash: `H(child, path) + length`.
    Edge {
        /// Hash of the binary node, or the leaf value, at the end of the path.
        child: Felt,
        /// The path's bits, most significant first, as a number below 2^length.
        path: Felt,
        /// Number of bits, from 1 to 251.
        length: u8,
    },
}

impl Node {
    /// The node's hash, by which it is addressed.
    pub fn hash<H: TrieHash>(&self) -> Felt {
        match self {
            Self::Binary { left, right } => H::pair(left, right),
            Self::Edge { child, path, length } => H::pair(child, path) + Felt::from(*length),
        }
    }

    /// The node in the form of StarknetOS' hints: `[left, right]` or `[length, path, child]`.
    pub fn preimage(&self) -> Vec<Felt> {
        match self {
            Self::Binary { left, right } => vec![*left, *right],
            Self::Edge { child, path, length } => vec![Felt::from(*length), *path, *child],
        }
    }

    /// The inverse of [`Self::preimage`]. `None` when the felts are no node.
    pub fn from_preimage(felts: &[Felt]) -> Option<Self> {
        match felts {
            [left, right] => Some(Self::Binary { left: *left, right: *right }),
            [length, path, child] => {
                let length = u8::try_from(*length).ok().filter(|length| *length <= TRIE_HEIGHT)?;
                Some(Self::Edge { child: *child, path: *path, length })
            }
            _ => None,
        }
    }
}

/// What a leaf of the contract trie commits to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContractLeaf {
    /// Class of the contract; 0 for the system contracts 0x1 and 0x2, which have storage but no class.
    pub class_hash: Felt,
    /// Root of the contract's storage trie; 0 when it is empty.
    pub storage_root: Felt,
    /// The contract's nonce.
    pub nonce: Felt,
}

impl ContractLeaf {
    /// `pedersen(pedersen(pedersen(class_hash, storage_root), nonce), 0)`, and 0 for the contract that does
    /// not exist (`get_contract_state_hash` in StarknetOS' `state/commitment.cairo`).
    pub fn hash(&self) -> Felt {
        if *self == Self::default() {
            return Felt::ZERO;
        }
        let class_and_storage = Pedersen::hash(&self.class_hash, &self.storage_root);
        Pedersen::hash(&Pedersen::hash(&class_and_storage, &self.nonce), &Felt::ZERO)
    }
}
