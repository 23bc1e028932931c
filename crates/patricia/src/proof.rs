//! Proofs that a leaf has a value, or is absent, and their verification.

use std::collections::BTreeMap;

use starknet_types_core::felt::Felt;

use crate::TRIE_HEIGHT;
use crate::bits::{Bits, KeyError};
use crate::hash::TrieHash;
use crate::node::Node;
use crate::trie::{OpenNode, PartialTrie, TrieError, open};

/// Why a proof does not show what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The key has more than 251 bits.
    #[error("the key of the proof is out of range")]
    Key(#[source] KeyError),
    /// A node is not the one that its parent (or the root) names.
    #[error(
        "node {position} of the proof hashes to {actual:#x}, but its parent names {expected:#x}"
    )]
    HashMismatch {
        /// Position in the proof, from the root, counted from 0.
        position: usize,
        /// The hash in the parent.
        expected: Felt,
        /// The hash of the node in the proof.
        actual: Felt,
    },
    /// A node that no trie contains.
    #[error("node {position} of the proof is malformed")]
    Malformed {
        /// Position in the proof, from the root, counted from 0.
        position: usize,
    },
    /// The path does not reach a leaf.
    #[error("the proof ends after {length} nodes, {height} levels above the leaves")]
    TooShort {
        /// Number of nodes in the proof.
        length: usize,
        /// Levels that are left.
        height: u8,
    },
    /// There are nodes behind the end of the path.
    #[error("the proof has {length} nodes, but its path ends after {needed}")]
    TooLong {
        /// Number of nodes in the proof.
        length: usize,
        /// Number of nodes on the path.
        needed: usize,
    },
}

impl<H: TrieHash> PartialTrie<H> {
    /// The nodes from the root to the key's leaf, or to the edge that leads past it. Empty for the empty trie.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] when the trie was not loaded for this key.
    pub fn prove(&self, key: &Felt) -> Result<Vec<Node>, TrieError> {
        let mut path_nodes = Vec::new();
        self.walk(key, |_, node| path_nodes.push(node))?;
        Ok(path_nodes)
    }

    /// The nodes of the proofs of several keys, each once, by hash.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn proof_nodes(&self, keys: &[Felt]) -> Result<BTreeMap<Felt, Node>, TrieError> {
        let mut nodes = BTreeMap::new();
        for key in keys {
            self.walk(key, |hash, node| {
                nodes.insert(hash, node);
            })?;
        }
        Ok(nodes)
    }
}

/// The value that `proof` shows for `key` under `root`; 0 when it shows that the leaf is absent.
///
/// # Errors
/// When any node does not hash to what its parent names, is not canonical, or the path does not end where
/// the proof ends.
pub fn verify<H: TrieHash>(root: &Felt, key: &Felt, proof: &[Node]) -> Result<Felt, ProofError> {
    let key = Bits::key(key).map_err(ProofError::Key)?;
    let (mut expected, mut height) = (*root, TRIE_HEIGHT);
    let mut ends = expected == Felt::ZERO;
    for (position, node) in proof.iter().enumerate() {
        if ends {
            return Err(ProofError::TooLong { length: proof.len(), needed: position });
        }
        let malformed = ProofError::Malformed { position };
        let actual = node.hash::<H>();
        if actual != expected {
            return Err(ProofError::HashMismatch { position, expected, actual });
        }
        match open(&actual, node, height) {
            Ok(OpenNode::Binary { left, right }) if left != Felt::ZERO && right != Felt::ZERO => {
                height -= 1;
                expected = if key.bit_from_end(height) { right } else { left };
            }
            Ok(OpenNode::Edge { child, path }) if child != Felt::ZERO => {
                if key.suffix(height).prefix(path.len()) == path {
                    height -= path.len();
                    expected = child;
                } else {
                    expected = Felt::ZERO;
                    ends = true;
                }
            }
            _ => return Err(malformed),
        }
        ends |= height == 0;
    }
    if ends { Ok(expected) } else { Err(ProofError::TooShort { length: proof.len(), height }) }
}
