//! The two hash functions of Starknet's tries.

use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Pedersen, Poseidon, StarkHash};

/// The hash function of a trie's inner nodes.
pub trait TrieHash: Send + Sync + 'static {
    /// The hash of two felts.
    fn pair(left: &Felt, right: &Felt) -> Felt;
}

/// Pedersen: the contract trie and the storage tries.
#[derive(Debug, Clone, Copy)]
pub struct PedersenTrie;

/// Poseidon: the class trie.
#[derive(Debug, Clone, Copy)]
pub struct PoseidonTrie;

impl TrieHash for PedersenTrie {
    fn pair(left: &Felt, right: &Felt) -> Felt {
        Pedersen::hash(left, right)
    }
}

impl TrieHash for PoseidonTrie {
    fn pair(left: &Felt, right: &Felt) -> Felt {
        Poseidon::hash(left, right)
    }
}
