//! The real proof store on loopback, with SQLite and files: its jobs, what it takes, what it serves, what it tells.
//! Each test opens with what it pins down.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod jobs;
mod proofs;
mod readers;
mod refusals;
mod watch;
mod world;
