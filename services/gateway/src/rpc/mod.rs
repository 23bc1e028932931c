//! The shapes of Starknet's JSON-RPC 0.10, a module an area. Names of fields are the specification's.

pub mod block;
pub mod block_id;
pub mod class;
pub mod event;
pub mod fee;
pub mod number;
pub mod proof;
pub mod receipt;
pub mod state;
pub mod transaction;
