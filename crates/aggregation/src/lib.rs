//! Circuits that verify proofs.
