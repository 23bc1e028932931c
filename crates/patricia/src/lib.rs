//! Starknet's Merkle-Patricia tries: bulk update, proofs, commitment facts.
