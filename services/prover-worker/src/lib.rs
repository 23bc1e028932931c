//! Pulls proving jobs, runs the prover in a process of its own, delivers proofs.
