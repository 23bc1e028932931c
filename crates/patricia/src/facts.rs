//! The preimages with which StarknetOS checks an update of a trie.
//!
//! StarknetOS' `patricia_update_using_update_constants` walks the old and the new trie along *all* accessed
//! keys, read or written, and asks its hints for the preimage of every node it passes. In the new trie it also
//! opens the child of an edge that a key leads past, to see that the edge could not be longer.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use starknet_types_core::felt::Felt;

use crate::TRIE_HEIGHT;
use crate::hash::TrieHash;
use crate::node::Node;
use crate::trie::{PartialTrie, TrieError};
use crate::update::TrieUpdate;

/// What StarknetOS needs to know about one trie in one block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentFacts {
    /// Root before the block; 0 for the empty trie.
    pub previous_root: Felt,
    /// Root after the block.
    pub updated_root: Felt,
    /// Height of the trie: 251.
    pub tree_height: u8,
    /// Node hash to preimage: `[left, right]` of a binary node, `[length, path, child]` of an edge.
    pub facts: BTreeMap<Felt, Vec<Felt>>,
}

impl CommitmentFacts {
    /// Facts of a trie in which nothing was accessed.
    pub fn untouched(root: Felt) -> Self {
        Self {
            previous_root: root,
            updated_root: root,
            tree_height: TRIE_HEIGHT,
            facts: BTreeMap::new(),
        }
    }

    /// The nodes behind the facts, by hash: the previous trie on the accessed paths, the nodes beside them that
    /// an update needed, and the updated trie.
    pub fn nodes(&self) -> HashMap<Felt, Node> {
        self.facts
            .iter()
            .filter_map(|(hash, preimage)| Some((*hash, Node::from_preimage(preimage)?)))
            .collect()
    }
}

impl<H: TrieHash> PartialTrie<H> {
    /// The facts of this trie and of what `update` made of it, for all `keys` that were accessed. The trie
    /// must have been loaded for them.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] when the trie was not loaded for one of the keys.
    pub fn commitment_facts(
        &self,
        update: &TrieUpdate,
        keys: &[Felt],
    ) -> Result<CommitmentFacts, TrieError> {
        // All that was loaded: the paths in the previous trie, and the nodes beside them.
        let mut facts: BTreeMap<Felt, Vec<Felt>> =
            self.nodes.iter().map(|(hash, node)| (*hash, node.preimage())).collect();
        for key in keys {
            self.walk(key, |_, _| ())?;
        }
        if update.root != self.root {
            let updated = self.updated(update);
            for key in keys {
                // The child of an edge that leads past the key is among the facts already: it was loaded
                // with the previous trie, or another key's path made it.
                updated.walk(key, |hash, node| {
                    facts.insert(hash, node.preimage());
                })?;
            }
        }
        Ok(CommitmentFacts {
            previous_root: self.root,
            updated_root: update.root,
            tree_height: TRIE_HEIGHT,
            facts,
        })
    }
}
