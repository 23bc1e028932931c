//! Mempool and block production; the only writer of the chain store.
pub mod mempool;
