//! Starknet's Merkle-Patricia tries: bulk update, proofs, commitment facts.
//!
//! Nodes are content-addressed: a [`NodeSource`] maps a node's hash to its preimage, and nothing is ever
//! overwritten. Work goes in three steps, of which only the first one does I/O:
//!
//! ```text
//!   load_paths ──> PartialTrie ──update──> TrieUpdate (new root, new nodes)
//!   (batched per level)  │
//!                        ├── prove / proof_nodes      (membership and absence)
//!                        └── commitment_facts         (what StarknetOS' hints ask for)
//! ```
//!
//! [`state`] puts the contract trie, the class trie and the storage tries together into the global state
//! commitment of a block.
//!
//! Assumptions: hashes do not collide, and a source returns the node it was asked for. Proofs from outside are
//! checked node by node with [`verify`].

mod bits;
mod facts;
mod hash;
mod node;
mod proof;
mod source;
pub mod state;
mod trie;
mod update;

pub use bits::{Bits, KeyError};
pub use facts::CommitmentFacts;
pub use hash::{PedersenTrie, PoseidonTrie, TrieHash};
pub use node::{ContractLeaf, Node};
pub use proof::{ProofError, verify};
pub use source::{MemoryNodes, NodeSource};
pub use trie::{PartialTrie, TrieError, TrieRequest, load_many, load_paths};
pub use update::TrieUpdate;

/// The height of every trie of Starknet: keys have 251 bits.
pub const TRIE_HEIGHT: u8 = 251;
