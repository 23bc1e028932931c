//! The worker from outside: what becomes of a job, and of the process that holds the prover.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod jobs;
mod prover_process;
