//! Which leaves of a trie change, as a tree; and the *descents*: the stretches of the walk where the trie
//! before, the trie after and the tree of changes all go one way, which the OS walks in one step.

use std::collections::HashMap;
use std::rc::Rc;

use starknet_types_core::felt::Felt;

use crate::error::HintFailure;
use crate::state::OsState;

/// The paths to all accessed leaves. An absent child is a subtree in which nothing was accessed.
#[derive(Debug)]
pub(super) enum UpdateTree {
    Leaf,
    Inner { left: Option<Rc<UpdateTree>>, right: Option<Rc<UpdateTree>> },
}

/// An update tree, or nothing.
pub(super) type Update = Option<Rc<UpdateTree>>;

/// `(height of a node, its path from the root)` to `(length, path)` of the descent that starts there.
pub(super) type DescentMap = HashMap<(u8, Felt), (u8, Felt)>;

/// Which children of an inner node lead to accessed leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Left,
    Right,
    Both,
}

impl UpdateTree {
    /// The tree over `keys` (sorted, no two alike), of `height` levels.
    pub(super) fn build(height: u8, keys: &[Felt]) -> Update {
        let bits: Vec<[bool; 256]> = keys.iter().map(Felt::to_bits_le).collect();
        Self::build_over(height, &bits)
    }

    fn build_over(height: u8, keys: &[[bool; 256]]) -> Update {
        if keys.is_empty() {
            return None;
        }
        if height == 0 {
            return Some(Rc::new(Self::Leaf));
        }
        let bit = usize::from(height) - 1;
        let right = keys.partition_point(|key| !key[bit]);
        let (left, right) = keys.split_at(right);
        Some(Rc::new(Self::Inner {
            left: Self::build_over(height - 1, left),
            right: Self::build_over(height - 1, right),
        }))
    }

    /// The children and the case of an inner node.
    pub(super) fn decode(update: &Update) -> Result<(Update, Update, Case), HintFailure> {
        let expected = "an inner node";
        match update.as_deref() {
            Some(Self::Inner { left, right }) => {
                let case = match (left, right) {
                    (Some(_), Some(_)) => Case::Both,
                    (Some(_), None) => Case::Left,
                    (None, _) => Case::Right,
                };
                Ok((left.clone(), right.clone(), case))
            }
            Some(Self::Leaf) => Err(HintFailure::UpdateTree { expected, found: "a leaf" }),
            None => Err(HintFailure::UpdateTree { expected, found: "absent" }),
        }
    }
}

/// A node of a trie as the walk sees it.
#[derive(Clone)]
enum TrieNode {
    Empty,
    /// A binary node, or a leaf.
    Full(Felt),
    /// What is left of an edge: its path (first step first) from `at` on, and its child.
    Edge {
        path: Rc<[bool]>,
        at: usize,
        child: Felt,
    },
}

impl TrieNode {
    fn new(hash: Felt, os: &OsState<'_>) -> Result<Self, HintFailure> {
        if hash == Felt::ZERO {
            return Ok(Self::Empty);
        }
        // A node beside the walk, and a leaf, have no preimage: it is enough to know that they are there.
        match os.trie()?.facts.get(&hash).map(Vec::as_slice) {
            Some([length, path, child]) => {
                let length = usize::try_from(*length)
                    .ok()
                    .filter(|length| *length <= 251)
                    .ok_or(HintFailure::OutOfRange { what: "length of an edge", value: *length })?;
                let path: Rc<[bool]> = path.to_bits_le()[..length].iter().rev().copied().collect();
                Ok(Self::Edge { path, at: 0, child: *child })
            }
            _ => Ok(Self::Full(hash)),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn children(&self, os: &OsState<'_>) -> Result<(Self, Self), HintFailure> {
        match self {
            Self::Empty => Ok((Self::Empty, Self::Empty)),
            Self::Full(hash) => match os.preimage(*hash)? {
                [left, right] => Ok((Self::new(*left, os)?, Self::new(*right, os)?)),
                _ => Err(HintFailure::Missing { what: "binary trie node", key: *hash }),
            },
            Self::Edge { path, at, child } => {
                let below = if at + 1 == path.len() {
                    Self::Full(*child)
                } else {
                    Self::Edge { path: path.clone(), at: at + 1, child: *child }
                };
                Ok(if path[*at] { (Self::Empty, below) } else { (below, Self::Empty) })
            }
        }
    }
}

/// All descents of an update from `previous_root` to `new_root`.
pub(super) fn descents(
    os: &OsState<'_>,
    height: u8,
    update: &Update,
    previous_root: Felt,
    new_root: Felt,
) -> Result<DescentMap, HintFailure> {
    let mut map = DescentMap::new();
    let tries = [TrieNode::new(previous_root, os)?, TrieNode::new(new_root, os)?];
    collect(os, height, Felt::ZERO, update.clone(), tries, &mut map)?;
    Ok(map)
}

/// Depth is bounded by the height of the trie.
fn collect(
    os: &OsState<'_>,
    mut height: u8,
    mut path: Felt,
    mut update: Update,
    mut tries: [TrieNode; 2],
    map: &mut DescentMap,
) -> Result<(), HintFailure> {
    if update.is_none() {
        return Ok(());
    }
    let start = (height, path);
    let mut word = Felt::ZERO;
    while height > 0 {
        let (left, right, case) = UpdateTree::decode(&update)?;
        let (previous_left, previous_right) = tries[0].children(os)?;
        let (new_left, new_right) = tries[1].children(os)?;
        let go_right = case == Case::Right && previous_left.is_empty() && new_left.is_empty();
        let go_left = case == Case::Left && previous_right.is_empty() && new_right.is_empty();
        if !go_right && !go_left {
            record(map, start, height, word);
            let below = path.double();
            collect(os, height - 1, below, left, [previous_left, new_left], map)?;
            return collect(
                os,
                height - 1,
                below + Felt::ONE,
                right,
                [previous_right, new_right],
                map,
            );
        }
        let step = Felt::from(go_right);
        path = path.double() + step;
        word = word.double() + step;
        (update, tries) = if go_right {
            (right, [previous_right, new_right])
        } else {
            (left, [previous_left, new_left])
        };
        height -= 1;
    }
    record(map, start, 0, word);
    Ok(())
}

/// A single step is no descent: it saves nothing.
fn record(map: &mut DescentMap, start: (u8, Felt), end_height: u8, word: Felt) {
    let length = start.0 - end_height;
    if length > 1 {
        map.insert(start, (length, word));
    }
}
