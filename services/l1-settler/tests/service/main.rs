//! The settler against a real Anvil. In most tests the verifier is a double that takes its own public output for a
//! proof, while everything else of the contract, the blobs and the KZG proofs is real; in `real_proof` and
//! `differential` the verifier and the proof are real, too.

mod aggregated;
mod anvil;
mod deployment;
mod differential;
mod failures;
mod looking;
mod proof_store;
mod real_proof;
mod settling;
mod store;
mod world;
