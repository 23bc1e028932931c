//! Real clients against the real stack, and the named failure scenarios.
//!
//! * [`stack`]: the stack as separate processes on NATS and PostgreSQL; [`dev_stack`]: in one process. Behind the proxy.
//! * [`clients`]: starknet.js and starknet.py, and the proxy that holds every request and response against Starknet's
//!   OpenRPC files.
//! * [`settlement`]: L1, and settlers as processes.
//! * [`load`]: transfers that go on through failures, and the check that each was executed exactly once; and the load
//!   of the command line.
//! * [`process`], [`postgres`], [`poll`], [`ports`], [`rpc`]: what those stand on.
//!
//! Every wait is bounded, and a failed one says what was seen last. Everything of a test lives in one temporary
//! folder, which stays when the test fails.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod clients;
pub mod dev_stack;
pub mod installed;
pub mod load;
pub mod poll;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod rpc;
pub mod settlement;
pub mod stack;
pub mod workspace;
