//! The named scenarios: a file each. What each pins down stands at its top.
//!
//! Each boots a stack of its own, so they run one at a time (`--test-threads=1`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod clients;
mod crash;
mod dev_settles;
mod one_process;
mod separate_processes;
mod settled_on_l1;
mod specification;

mod executor_killed;
mod gateway_killed;
mod nats_restarted;
mod postgres_restarted;
mod proof_store_killed;
mod prover_worker_killed;
mod sequencer_killed;
