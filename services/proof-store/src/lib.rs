//! Verifies, keeps and serves proofs; plans a job for every block without one.
