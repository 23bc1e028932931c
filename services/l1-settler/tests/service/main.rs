//! The settler against a real Anvil. The verifier is a double that takes its own public output for a proof; everything
//! else of the contract, the blobs and the KZG proofs is real.

mod anvil;
mod deployment;
mod failures;
mod settling;
mod store;
mod world;
