//! Pins down, for arbitrary histories of a trie: its root is the one that the definition gives; every node
//! that the next update needs is found; proofs show exactly what is there; and the commitment facts carry
//! StarknetOS through both traversals with the same siblings.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use crate::support::{OsTraversal, load, naive_root};
use proptest::prelude::*;
use sidereal_patricia::{MemoryNodes, PedersenTrie, PoseidonTrie, TrieHash, TrieUpdate, verify};
use starknet_types_core::felt::Felt;

/// Keys that collide in long prefixes, so that edges split and merge at every height.
fn key() -> impl Strategy<Value = Felt> {
    let near_leaves = (0_u64..24).prop_map(Felt::from);
    let near_root = (0_u64..8).prop_map(|top| Felt::from(top) * Felt::TWO.pow(248_u32));
    let mixed = (0_u64..4, 0_u32..248, 0_u64..4)
        .prop_map(|(top, shift, low)| {
            Felt::from(top) * Felt::TWO.pow(248_u32) + Felt::from(low) * Felt::TWO.pow(shift)
        })
        .prop_filter("251 bits", |key| key.bits() <= 251);
    prop_oneof![near_leaves, near_root, mixed]
}

/// Zero, which deletes, is as likely as anything else.
fn value() -> impl Strategy<Value = Felt> {
    prop_oneof![Just(Felt::ZERO), (1_u64..4).prop_map(Felt::from)]
}

type Step = (BTreeMap<Felt, Felt>, BTreeSet<Felt>);

/// The writes of a block, and the keys it only read.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop::collection::btree_map(key(), value(), 0..16),
        prop::collection::btree_set(key(), 0..6),
    );
    prop::collection::vec(step, 1..6)
}

fn check_history<H: TrieHash>(steps: &[Step]) {
    let mut nodes = MemoryNodes::default();
    let mut leaves: BTreeMap<Felt, Felt> = BTreeMap::new();
    let mut root = Felt::ZERO;
    for (writes, reads) in steps {
        let accessed: BTreeSet<Felt> = writes.keys().chain(reads).copied().collect();
        let accessed: Vec<Felt> = accessed.into_iter().collect();
        let deletions: Vec<Felt> =
            writes.iter().filter(|(_, value)| **value == Felt::ZERO).map(|(key, _)| *key).collect();
        let trie = load::<H>(&nodes, root, &accessed, &deletions).unwrap();
        let before = accessed.iter().map(|key| leaf(&leaves, key)).collect::<Vec<_>>();
        for (key, value) in accessed.iter().zip(&before) {
            assert_eq!(trie.get(key).unwrap(), *value);
            assert_eq!(verify::<H>(&root, key, &trie.prove(key).unwrap()).unwrap(), *value);
        }

        let update = trie.update(writes).unwrap();
        leaves.extend(writes);
        assert_eq!(update.root, naive_root::<H>(&leaves));
        for (hash, node) in &update.new_nodes {
            assert_eq!(node.hash::<H>(), *hash);
        }

        check_os_update::<H>(&trie, &update, &accessed, &before, &leaves);

        nodes.nodes.extend(&update.new_nodes);
        root = update.root;
    }
    // The nodes in the store are the whole trie: every leaf is still there at the end.
    let keys: Vec<Felt> = leaves.keys().copied().collect();
    let trie = load::<H>(&nodes, root, &keys, &[]).unwrap();
    for key in &keys {
        assert_eq!(trie.get(key).unwrap(), leaf(&leaves, key));
    }
}

fn leaf(leaves: &BTreeMap<Felt, Felt>, key: &Felt) -> Felt {
    leaves.get(key).copied().unwrap_or_default()
}

fn check_os_update<H: TrieHash>(
    trie: &sidereal_patricia::PartialTrie<H>,
    update: &TrieUpdate,
    accessed: &[Felt],
    before: &[Felt],
    leaves: &BTreeMap<Felt, Felt>,
) {
    if accessed.is_empty() {
        return;
    }
    let facts = trie.commitment_facts(update, accessed).unwrap();
    assert_eq!((facts.previous_root, facts.updated_root), (trie.root(), update.root));
    let traversal = |root, new_tree| {
        let mut traversal = OsTraversal::<H> {
            facts: &facts.facts,
            new_tree,
            values: Vec::new(),
            siblings: Vec::new(),
            hash: PhantomData,
        };
        traversal.traverse(root, 251, accessed);
        (traversal.values, traversal.siblings)
    };
    let (old_values, old_siblings) = traversal(facts.previous_root, false);
    let (new_values, new_siblings) = traversal(facts.updated_root, true);
    assert_eq!(old_values, before);
    assert_eq!(new_values, accessed.iter().map(|key| leaf(leaves, key)).collect::<Vec<_>>());
    assert_eq!(old_siblings, new_siblings);

    // A replay that has only the facts reaches the same root.
    let replay = sidereal_patricia::PartialTrie::<H>::new(facts.previous_root, facts.nodes());
    let changes = accessed.iter().map(|key| (*key, leaf(leaves, key))).collect();
    assert_eq!(replay.update(&changes).unwrap().root, update.root);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pedersen_histories_follow_the_definition(steps in steps()) {
        check_history::<PedersenTrie>(&steps);
    }

    #[test]
    fn poseidon_histories_follow_the_definition(steps in steps()) {
        check_history::<PoseidonTrie>(&steps);
    }

    // A proof shows one value for one key under one root: change any of them, or any node, and it fails or
    // shows something else.
    #[test]
    fn a_proof_that_is_changed_does_not_hold(
        leaves in prop::collection::btree_map(key(), (1_u64..9).prop_map(Felt::from), 1..12),
        asked in key(),
        at in any::<prop::sample::Index>(),
        field in 0_usize..3,
    ) {
        use sidereal_patricia::{Node, PartialTrie};
        let trie = PartialTrie::<PoseidonTrie>::empty();
        let update = trie.update(&leaves).unwrap();
        let trie = trie.updated(&update);
        let root = update.root;
        let proof = trie.prove(&asked).unwrap();
        let shown = leaf(&leaves, &asked);
        prop_assert_eq!(verify::<PoseidonTrie>(&root, &asked, &proof).unwrap(), shown);

        prop_assert!(verify::<PoseidonTrie>(&(root + Felt::ONE), &asked, &proof).is_err());
        prop_assert!(verify::<PoseidonTrie>(&root, &asked, &proof[..proof.len() - 1]).is_err());
        let mut longer = proof.clone();
        longer.push(proof[0]);
        prop_assert!(verify::<PoseidonTrie>(&root, &asked, &longer).is_err());
        let mut changed = proof.clone();
        let index = at.index(proof.len());
        changed[index] = match (changed[index], field) {
            (Node::Binary { left, right }, 0) => Node::Binary { left: left + Felt::ONE, right },
            (Node::Binary { left, right }, _) => Node::Binary { left, right: right + Felt::ONE },
            (Node::Edge { child, path, length }, 0) => {
                Node::Edge { child: child + Felt::ONE, path, length }
            }
            (Node::Edge { child, path, length }, 1) => {
                Node::Edge { child, path: path + Felt::ONE, length }
            }
            (Node::Edge { child, path, length }, _) => Node::Edge { child, path, length: length - 1 },
        };
        prop_assert!(verify::<PoseidonTrie>(&root, &asked, &changed).is_err());
    }
}

#[test]
fn wide_updates_are_hashed_in_parallel_and_agree() {
    // Enough changes that every upper level forks into threads.
    let leaves: BTreeMap<Felt, Felt> = (1_u64..600)
        .map(|n| {
            let key = PoseidonTrie::pair(&Felt::from(n), &Felt::ZERO);
            (
                Felt::from_bytes_be(&{
                    let mut bytes = key.to_bytes_be();
                    bytes[0] &= 0x03;
                    bytes
                }),
                Felt::from(n),
            )
        })
        .collect();
    let trie = sidereal_patricia::PartialTrie::<PedersenTrie>::empty();
    let update = trie.update(&leaves).unwrap();
    assert_eq!(update.root, naive_root::<PedersenTrie>(&leaves));
    // And all of them can be taken out again.
    let gone = leaves.keys().map(|key| (*key, Felt::ZERO)).collect();
    assert_eq!(trie.updated(&update).update(&gone).unwrap().root, Felt::ZERO);
}

#[test]
fn an_edge_of_length_zero_or_with_a_long_path_is_refused() {
    use sidereal_patricia::{Node, PartialTrie, TrieError};
    for (path, length) in [(Felt::ZERO, 0), (Felt::from(4), 2), (Felt::ZERO, 252)] {
        let node = Node::Edge { child: Felt::ONE, path, length };
        let root = node.hash::<PedersenTrie>();
        let trie = PartialTrie::<PedersenTrie>::new(root, [(root, node)].into());
        assert!(matches!(trie.get(&Felt::ONE), Err(TrieError::MalformedEdge { .. })));
        assert!(verify::<PedersenTrie>(&root, &Felt::ONE, &[node]).is_err());
    }
}

#[test]
fn a_missing_node_and_a_key_out_of_range_are_typed_errors() {
    use sidereal_patricia::TrieError;
    let nodes = MemoryNodes::default();
    let missing = load::<PedersenTrie>(&nodes, Felt::THREE, &[Felt::ONE], &[]);
    assert!(matches!(missing, Err(TrieError::MissingNode { hash, .. }) if hash == Felt::THREE));
    let key = load::<PedersenTrie>(&nodes, Felt::ZERO, &[Felt::TWO.pow(251_u32)], &[]);
    assert!(matches!(key, Err(TrieError::Key(_))));
}
