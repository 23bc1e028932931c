//! What the tests of this crate share: a naive trie, and StarknetOS' way of checking an update.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sidereal_patricia::{MemoryNodes, PartialTrie, TrieError, TrieHash, TrieRequest, load_paths};
use starknet_types_core::felt::Felt;

/// Runs a future that never waits: nodes in memory are there at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a read from memory waited"),
    }
}

pub fn load<H: TrieHash>(
    nodes: &MemoryNodes,
    root: Felt,
    keys: &[Felt],
    deletions: &[Felt],
) -> Result<PartialTrie<H>, TrieError> {
    let request = TrieRequest { root, keys: keys.to_vec(), deletions: deletions.to_vec() };
    now(load_paths(nodes, &request))
}

pub fn key_bit(key: &Felt, height: u8) -> bool {
    key.to_bits_le()[usize::from(height)]
}

/// Root of the trie with these leaves by the definition in the specification, as triplets (length, path,
/// bottom): no bulk update, no edge that is merged, nothing shared with the crate.
pub fn naive_root<H: TrieHash>(leaves: &BTreeMap<Felt, Felt>) -> Felt {
    let leaves: Vec<_> = leaves.iter().filter(|(_, value)| **value != Felt::ZERO).collect();
    seal::<H>(subtree::<H>(&leaves, 251))
}

fn seal<H: TrieHash>((length, path, bottom): (u8, Felt, Felt)) -> Felt {
    if length == 0 { bottom } else { H::pair(&bottom, &path) + Felt::from(length) }
}

fn subtree<H: TrieHash>(leaves: &[(&Felt, &Felt)], height: u8) -> (u8, Felt, Felt) {
    if leaves.is_empty() {
        return (0, Felt::ZERO, Felt::ZERO);
    }
    if height == 0 {
        return (0, Felt::ZERO, *leaves[0].1);
    }
    let (right, left): (Vec<_>, Vec<_>) =
        leaves.iter().copied().partition(|(key, _)| key_bit(key, height - 1));
    let (left_node, right_node) =
        (subtree::<H>(&left, height - 1), subtree::<H>(&right, height - 1));
    match (left.is_empty(), right.is_empty()) {
        (false, true) => (left_node.0 + 1, left_node.1, left_node.2),
        (true, false) => {
            let path = right_node.1 + Felt::TWO.pow(u128::from(right_node.0));
            (right_node.0 + 1, path, right_node.2)
        }
        _ => (0, Felt::ZERO, H::pair(&seal::<H>(left_node), &seal::<H>(right_node))),
    }
}

/// One traversal of StarknetOS' `patricia.cairo` over the tree under `root` along `keys`: the leaves' values
/// and the siblings beside the path, with nothing to go by but the facts. `new_tree` makes the check of
/// `traverse_edge` that the bottom of an edge is binary where the path leaves the edge.
pub struct OsTraversal<'a, H> {
    pub facts: &'a BTreeMap<Felt, Vec<Felt>>,
    pub new_tree: bool,
    pub values: Vec<Felt>,
    pub siblings: Vec<Felt>,
    pub hash: std::marker::PhantomData<H>,
}

impl<H: TrieHash> OsTraversal<'_, H> {
    pub fn traverse(&mut self, root: Felt, height: u8, keys: &[Felt]) {
        if root == Felt::ZERO {
            return self.empty(height, keys);
        }
        if height == 0 {
            assert_eq!(keys.len(), 1);
            return self.values.push(root);
        }
        let preimage = self.facts.get(&root).unwrap_or_else(|| panic!("no fact for {root:#x}"));
        match preimage.as_slice() {
            [left, right] => {
                assert_eq!(H::pair(left, right), root);
                let (to_left, to_right) = split(keys, height);
                match (to_left.is_empty(), to_right.is_empty()) {
                    (false, true) => {
                        self.siblings.push(*right);
                        self.traverse(*left, height - 1, to_left);
                    }
                    (true, false) => {
                        self.siblings.push(*left);
                        self.traverse(*right, height - 1, to_right);
                    }
                    _ => {
                        self.traverse(*left, height - 1, to_left);
                        self.traverse(*right, height - 1, to_right);
                    }
                }
            }
            [length, path, bottom] => {
                assert_eq!(H::pair(bottom, path) + length, root);
                let length = u8::try_from(*length).unwrap();
                assert!((1..=height).contains(&length));
                self.edge(length, *path, *bottom, height, keys);
            }
            other => panic!("a fact of {} felts", other.len()),
        }
    }

    fn edge(&mut self, length: u8, path: Felt, bottom: Felt, height: u8, keys: &[Felt]) {
        if length == 0 {
            if height > 0 {
                let fact = self.facts.get(&bottom).expect("the bottom of an edge has a fact");
                assert_eq!(fact.len(), 2, "the bottom of an edge is binary");
            }
            return self.traverse(bottom, height, keys);
        }
        let bit = key_bit(&path, length - 1);
        let rest = if bit { path - Felt::TWO.pow(u128::from(length - 1)) } else { path };
        let (to_left, to_right) = split(keys, height);
        let (along, aside) = if bit { (to_right, to_left) } else { (to_left, to_right) };
        match (along.is_empty(), aside.is_empty()) {
            (false, true) => {
                self.siblings.push(Felt::ZERO);
                self.edge(length - 1, rest, bottom, height - 1, along);
            }
            (true, false) => {
                if length > 1 {
                    self.siblings.push(H::pair(&bottom, &rest) + Felt::from(length - 1));
                } else {
                    self.siblings.push(bottom);
                    if self.new_tree && height != 1 {
                        let fact = self.facts.get(&bottom).expect("the sibling has a fact");
                        assert_eq!(fact.len(), 2, "the sibling is binary");
                    }
                }
                self.empty(height - 1, aside);
            }
            _ if bit => {
                self.empty(height - 1, aside);
                self.edge(length - 1, rest, bottom, height - 1, along);
            }
            _ => {
                self.edge(length - 1, rest, bottom, height - 1, along);
                self.empty(height - 1, aside);
            }
        }
    }

    fn empty(&mut self, height: u8, keys: &[Felt]) {
        if height == 0 {
            assert_eq!(keys.len(), 1);
            return self.values.push(Felt::ZERO);
        }
        let (to_left, to_right) = split(keys, height);
        if to_left.is_empty() || to_right.is_empty() {
            self.siblings.push(Felt::ZERO);
        }
        for part in [to_left, to_right] {
            if !part.is_empty() {
                self.empty(height - 1, part);
            }
        }
    }
}

fn split(keys: &[Felt], height: u8) -> (&[Felt], &[Felt]) {
    keys.split_at(keys.partition_point(|key| !key_bit(key, height - 1)))
}
