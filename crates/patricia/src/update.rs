//! Setting many leaves at once.

use std::collections::{BTreeMap, HashMap};

use starknet_types_core::felt::Felt;

use crate::TRIE_HEIGHT;
use crate::bits::Bits;
use crate::hash::TrieHash;
use crate::node::Node;
use crate::trie::{OpenNode, PartialTrie, TrieError};

/// Below this number of changes, a subtree is hashed by one thread: a join costs about as much as a hash.
const PARALLEL_CHANGES: usize = 4;

/// What an update of a trie yields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrieUpdate {
    /// The new root; 0 when the trie is empty.
    pub root: Felt,
    /// The nodes of the new trie that the old one did not have on the changed paths, by hash.
    pub new_nodes: HashMap<Felt, Node>,
}

impl<H: TrieHash> PartialTrie<H> {
    /// Sets leaves (key to value; the value 0 removes the leaf) and returns the new root and the new nodes.
    /// The trie itself stays as it was. Wide levels are hashed by all threads of the current Rayon pool.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] when the trie was not loaded for one of these keys, or a leaf is removed
    /// that was not among the deletions of the [`TrieRequest`](crate::TrieRequest).
    pub fn update(&self, changes: &BTreeMap<Felt, Felt>) -> Result<TrieUpdate, TrieError> {
        let mut effective = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            // Writing the value that is there already costs no hash.
            if self.get(key)? != *value {
                effective.push((Bits::key(key).map_err(TrieError::Key)?, *value));
            }
        }
        if effective.is_empty() {
            return Ok(TrieUpdate { root: self.root, new_nodes: HashMap::new() });
        }
        let root =
            if self.root == Felt::ZERO { Subtree::Empty } else { Subtree::Closed(self.root) };
        let mut new_nodes = Vec::new();
        let subtree = self.apply(root, TRIE_HEIGHT, &effective, &mut new_nodes)?;
        let root = seal::<H>(subtree, &mut new_nodes);
        Ok(TrieUpdate { root, new_nodes: new_nodes.into_iter().collect() })
    }

    /// The trie after `update`, with the nodes of both.
    pub fn updated(&self, update: &TrieUpdate) -> Self {
        let mut nodes = self.nodes.clone();
        nodes.extend(&update.new_nodes);
        Self::new(update.root, nodes)
    }

    /// `changes` are sorted and all lie below `subtree`, which stands `height` levels above the leaves.
    fn apply(
        &self,
        subtree: Subtree,
        height: u8,
        changes: &[(Bits, Felt)],
        new_nodes: &mut Vec<(Felt, Node)>,
    ) -> Result<Subtree, TrieError> {
        let [(key, value), rest @ ..] = changes else {
            return Ok(subtree);
        };
        if height == 0 {
            return Ok(if *value == Felt::ZERO { Subtree::Empty } else { Subtree::Bottom(*value) });
        }
        let (left, right) = match subtree {
            Subtree::Empty if rest.is_empty() => {
                // The common case of a new leaf in an empty place.
                return Ok(match *value == Felt::ZERO {
                    true => Subtree::Empty,
                    false => Subtree::Edge { child: *value, path: key.suffix(height) },
                });
            }
            Subtree::Empty => (Subtree::Empty, Subtree::Empty),
            Subtree::Edge { child, path } => split_edge(child, path),
            Subtree::Closed(hash) | Subtree::Bottom(hash) => match self.node(&hash, height)? {
                OpenNode::Binary { left, right } => (Subtree::Closed(left), Subtree::Closed(right)),
                OpenNode::Edge { child, path } => split_edge(child, path),
            },
        };
        let below = height - 1;
        let (to_left, to_right) =
            changes.split_at(changes.partition_point(|(key, _)| !key.bit_from_end(below)));
        let (left, right) =
            if to_left.len() >= PARALLEL_CHANGES && to_right.len() >= PARALLEL_CHANGES {
                let mut right_nodes = Vec::new();
                let (left, right) = rayon::join(
                    || self.apply(left, below, to_left, new_nodes),
                    || self.apply(right, below, to_right, &mut right_nodes),
                );
                new_nodes.append(&mut right_nodes);
                (left?, right?)
            } else {
                (
                    self.apply(left, below, to_left, new_nodes)?,
                    self.apply(right, below, to_right, new_nodes)?,
                )
            };
        self.join(left, right, below, new_nodes)
    }

    /// The subtree over two children that stand `below` levels above the leaves.
    fn join(
        &self,
        left: Subtree,
        right: Subtree,
        below: u8,
        new_nodes: &mut Vec<(Felt, Node)>,
    ) -> Result<Subtree, TrieError> {
        let (bit, only) = match (left, right) {
            (Subtree::Empty, Subtree::Empty) => return Ok(Subtree::Empty),
            (only, Subtree::Empty) => (false, only),
            (Subtree::Empty, only) => (true, only),
            (left, right) => {
                let node = Node::Binary {
                    left: seal::<H>(left, new_nodes),
                    right: seal::<H>(right, new_nodes),
                };
                let hash = node.hash::<H>();
                new_nodes.push((hash, node));
                return Ok(Subtree::Bottom(hash));
            }
        };
        Ok(match only {
            Subtree::Empty => Subtree::Empty,
            Subtree::Edge { child, path } => Subtree::Edge { child, path: path.prepend(bit) },
            Subtree::Bottom(hash) => Subtree::Edge { child: hash, path: Bits::EMPTY.prepend(bit) },
            Subtree::Closed(hash) if below == 0 => {
                Subtree::Edge { child: hash, path: Bits::EMPTY.prepend(bit) }
            }
            Subtree::Closed(hash) => match self.node(&hash, below)? {
                OpenNode::Binary { .. } => {
                    Subtree::Edge { child: hash, path: Bits::EMPTY.prepend(bit) }
                }
                OpenNode::Edge { child, path } => Subtree::Edge { child, path: path.prepend(bit) },
            },
        })
    }
}

/// A subtree while the update is under way. Edges are hashed late, because they may still grow.
#[derive(Debug, Clone, Copy)]
enum Subtree {
    Empty,
    /// An untouched node (or leaf) of the old trie. Whether it is an edge is not known yet.
    Closed(Felt),
    /// A binary node or a leaf.
    Bottom(Felt),
    /// An edge of at least one bit, not hashed yet.
    Edge {
        child: Felt,
        path: Bits,
    },
}

/// The two children of an edge seen as a node with one branch.
fn split_edge(child: Felt, path: Bits) -> (Subtree, Subtree) {
    let rest = path.suffix(path.len().saturating_sub(1));
    // The child of an edge is never an edge.
    let branch =
        if rest.is_empty() { Subtree::Bottom(child) } else { Subtree::Edge { child, path: rest } };
    if path.first() == Some(true) { (Subtree::Empty, branch) } else { (branch, Subtree::Empty) }
}

/// The subtree's hash. An edge becomes a node.
fn seal<H: TrieHash>(subtree: Subtree, new_nodes: &mut Vec<(Felt, Node)>) -> Felt {
    match subtree {
        Subtree::Empty => Felt::ZERO,
        Subtree::Closed(hash) | Subtree::Bottom(hash) => hash,
        Subtree::Edge { child, path } => {
            let node = Node::Edge { child, path: path.to_felt(), length: path.len() };
            let hash = node.hash::<H>();
            new_nodes.push((hash, node));
            hash
        }
    }
}
