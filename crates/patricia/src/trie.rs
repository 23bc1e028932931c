//! The part of a trie that a set of keys touches, and how it is loaded.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::ops::Range;

use starknet_types_core::felt::Felt;

use crate::TRIE_HEIGHT;
use crate::bits::{Bits, KeyError};
use crate::hash::TrieHash;
use crate::node::Node;
use crate::source::NodeSource;

/// Why a trie could not be loaded, read or updated.
#[derive(Debug, thiserror::Error)]
pub enum TrieError {
    /// The node source failed.
    #[error("reading {count} trie nodes failed")]
    Source {
        /// How many nodes were asked for.
        count: usize,
        /// What the source said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The source does not have a node, or the key was not among those the trie was loaded for.
    #[error("node {hash:#x} of the trie with root {root:#x} is missing")]
    MissingNode {
        /// The node's hash.
        hash: Felt,
        /// Root of the trie.
        root: Felt,
    },
    /// The preimage of a contract leaf is missing.
    #[error("the preimage of contract leaf {hash:#x} is missing")]
    MissingContractLeaf {
        /// The leaf's hash.
        hash: Felt,
    },
    /// A node cannot stand where it stands: the store is damaged.
    #[error(
        "node {hash:#x} at height {height} is malformed: an edge of {length} bits with path {path:#x}"
    )]
    MalformedEdge {
        /// The node's hash.
        hash: Felt,
        /// Levels between the node and the leaves.
        height: u8,
        /// Length of the edge, in bits.
        length: u8,
        /// Path of the edge.
        path: Felt,
    },
    /// A key has more than 251 bits.
    #[error("a key is out of range")]
    Key(#[source] KeyError),
}

/// What to load of one trie.
#[derive(Debug, Clone, Default)]
pub struct TrieRequest {
    /// Root of the trie; 0 is the empty trie.
    pub root: Felt,
    /// All keys that will be read, written or proven.
    pub keys: Vec<Felt>,
    /// The keys that may be set to 0. The nodes beside their paths are loaded too, because a fork that loses
    /// a branch becomes an edge, which merges with the edge below it. They need not be repeated in `keys`.
    pub deletions: Vec<Felt>,
}

/// The nodes of one trie on the paths of a set of keys. Everything on it is free of I/O.
#[derive(Debug, Clone)]
pub struct PartialTrie<H> {
    pub(crate) root: Felt,
    pub(crate) nodes: HashMap<Felt, Node>,
    hash: PhantomData<H>,
}

impl<H: TrieHash> PartialTrie<H> {
    /// A trie of nodes that are at hand. Nodes that are missing show when a key needs them.
    pub fn new(root: Felt, nodes: HashMap<Felt, Node>) -> Self {
        Self { root, nodes, hash: PhantomData }
    }

    /// The empty trie.
    pub fn empty() -> Self {
        Self::new(Felt::ZERO, HashMap::new())
    }

    /// The root's hash; 0 for the empty trie.
    pub fn root(&self) -> Felt {
        self.root
    }

    /// The loaded nodes by hash.
    pub fn nodes(&self) -> &HashMap<Felt, Node> {
        &self.nodes
    }

    /// The value of a leaf; 0 when it is absent.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] when the trie was not loaded for this key.
    pub fn get(&self, key: &Felt) -> Result<Felt, TrieError> {
        self.walk(key, |_, _| ())
    }

    /// Goes from the root towards a leaf, shows every node on the way, and returns the leaf's value.
    pub(crate) fn walk(
        &self,
        key: &Felt,
        mut visit: impl FnMut(Felt, Node),
    ) -> Result<Felt, TrieError> {
        let key = Bits::key(key).map_err(TrieError::Key)?;
        let (mut hash, mut height) = (self.root, TRIE_HEIGHT);
        while height > 0 && hash != Felt::ZERO {
            let node = self.node(&hash, height)?;
            visit(hash, node.into());
            match node {
                OpenNode::Binary { left, right } => {
                    height -= 1;
                    hash = if key.bit_from_end(height) { right } else { left };
                }
                OpenNode::Edge { child, path } => {
                    if key.suffix(height).prefix(path.len()) != path {
                        return Ok(Felt::ZERO);
                    }
                    height -= path.len();
                    hash = child;
                }
            }
        }
        Ok(hash)
    }

    /// The node with this hash, which stands `height` levels above the leaves.
    pub(crate) fn node(&self, hash: &Felt, height: u8) -> Result<OpenNode, TrieError> {
        let node =
            self.nodes.get(hash).ok_or(TrieError::MissingNode { hash: *hash, root: self.root })?;
        open(hash, node, height)
    }
}

/// A node whose edge is known to fit its place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OpenNode {
    Binary { left: Felt, right: Felt },
    Edge { child: Felt, path: Bits },
}

impl From<OpenNode> for Node {
    fn from(node: OpenNode) -> Self {
        match node {
            OpenNode::Binary { left, right } => Self::Binary { left, right },
            OpenNode::Edge { child, path } => {
                Self::Edge { child, path: path.to_felt(), length: path.len() }
            }
        }
    }
}

pub(crate) fn open(hash: &Felt, node: &Node, height: u8) -> Result<OpenNode, TrieError> {
    match *node {
        Node::Binary { left, right } => Ok(OpenNode::Binary { left, right }),
        Node::Edge { child, path, length } => match Bits::new(&path, length) {
            Ok(bits) if (1..=height).contains(&length) => Ok(OpenNode::Edge { child, path: bits }),
            _ => Err(TrieError::MalformedEdge { hash: *hash, height, length, path }),
        },
    }
}

/// Loads the paths of `request`'s keys, one batch a level.
///
/// # Errors
/// When the source fails, or does not have a node that the paths lead through.
pub async fn load_paths<H: TrieHash, S: NodeSource>(
    source: &S,
    request: &TrieRequest,
) -> Result<PartialTrie<H>, TrieError> {
    let mut tries = load_many(source, std::slice::from_ref(request)).await?;
    Ok(tries.pop().unwrap_or_else(PartialTrie::empty))
}

/// Loads the paths of several tries together, in the order of `requests`: one batch a level for all of them.
///
/// # Errors
/// As [`load_paths`].
pub async fn load_many<H: TrieHash, S: NodeSource>(
    source: &S,
    requests: &[TrieRequest],
) -> Result<Vec<PartialTrie<H>>, TrieError> {
    let nodes = load_nodes(source, requests).await?;
    Ok(requests
        .iter()
        .zip(nodes)
        .map(|(request, nodes)| PartialTrie::new(request.root, nodes))
        .collect())
}

/// A node that the next batch asks for.
struct Wanted {
    /// Index of the trie.
    trie: usize,
    hash: Felt,
    /// Levels between the node and the leaves; never 0.
    height: u8,
    /// The keys below the node. None: the node stands beside a path, and only its shape is wanted.
    keys: Range<usize>,
}

/// As [`load_many`], whatever the hash functions of the tries are.
pub(crate) async fn load_nodes<S: NodeSource>(
    source: &S,
    requests: &[TrieRequest],
) -> Result<Vec<HashMap<Felt, Node>>, TrieError> {
    let keys = requests.iter().map(SortedKeys::new).collect::<Result<Vec<_>, _>>()?;
    let mut loaded = vec![HashMap::new(); requests.len()];
    let mut wanted: Vec<Wanted> = requests
        .iter()
        .enumerate()
        .map(|(trie, request)| Wanted {
            trie,
            hash: request.root,
            height: TRIE_HEIGHT,
            keys: 0..keys[trie].keys.len(),
        })
        .filter(|root| root.hash != Felt::ZERO && !root.keys.is_empty())
        .collect();

    // Every round goes at least one level down, so that there are at most 251.
    while !wanted.is_empty() {
        let unique: HashSet<Felt> = wanted.iter().map(|wanted| wanted.hash).collect();
        let hashes: Vec<Felt> = unique.into_iter().collect();
        let answer = source.nodes(&hashes).await.map_err(|source| TrieError::Source {
            count: hashes.len(),
            source: Box::new(source),
        })?;
        let nodes: HashMap<Felt, Node> = hashes
            .iter()
            .zip(answer)
            .filter_map(|(hash, node)| node.map(|node| (*hash, node)))
            .collect();

        let mut next = Vec::new();
        for item in wanted {
            let root = requests[item.trie].root;
            let node =
                nodes.get(&item.hash).ok_or(TrieError::MissingNode { hash: item.hash, root })?;
            loaded[item.trie].insert(item.hash, *node);
            keys[item.trie].below(&item, node, &mut next)?;
        }
        wanted = next;
    }
    Ok(loaded)
}

struct SortedKeys {
    keys: Vec<Bits>,
    deleted: HashSet<Bits>,
}

impl SortedKeys {
    fn new(request: &TrieRequest) -> Result<Self, TrieError> {
        let bits = |keys: &[Felt]| keys.iter().map(Bits::key).collect::<Result<Vec<_>, _>>();
        let deletions = bits(&request.deletions).map_err(TrieError::Key)?;
        let mut keys = bits(&request.keys).map_err(TrieError::Key)?;
        keys.extend(&deletions);
        keys.sort_unstable();
        keys.dedup();
        Ok(Self { keys, deleted: deletions.into_iter().collect() })
    }

    /// Which nodes below `item`, which turned out to be `node`, are wanted.
    fn below(&self, item: &Wanted, node: &Node, next: &mut Vec<Wanted>) -> Result<(), TrieError> {
        let below = |hash, height, keys| Wanted { trie: item.trie, hash, height, keys };
        match open(&item.hash, node, item.height)? {
            OpenNode::Binary { left, right } => {
                let height = item.height - 1;
                if height == 0 || item.keys.is_empty() {
                    return Ok(());
                }
                let (start, end) = (item.keys.start, item.keys.end);
                let middle =
                    start + self.keys[start..end].partition_point(|key| !key.bit_from_end(height));
                for (child, keys, beside) in
                    [(left, start..middle, middle..end), (right, middle..end, start..middle)]
                {
                    // A branch without keys is wanted only when the other one may vanish.
                    let sibling_may_vanish =
                        self.keys[beside].iter().any(|key| self.deleted.contains(key));
                    if !keys.is_empty() || sibling_may_vanish {
                        next.push(below(child, height, keys));
                    }
                }
            }
            OpenNode::Edge { child, path } => {
                let height = item.height - path.len();
                if height == 0 {
                    return Ok(());
                }
                let part = |key: &Bits| key.suffix(item.height).prefix(path.len());
                let keys = &self.keys[item.keys.clone()];
                let start = item.keys.start + keys.partition_point(|key| part(key) < path);
                let end = item.keys.start + keys.partition_point(|key| part(key) <= path);
                // The child is wanted even when no key leads to it: StarknetOS has it opened, to see that
                // the edge could not be longer.
                next.push(below(child, height, start..end));
            }
        }
        Ok(())
    }
}
