//! What one caller may ask for, and how much may go on at once.

use serde::{Deserialize, Serialize};
use sidereal_service::config::Problems;

/// Bounds of requests. All of them are counts unless their name says bytes or milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Of one HTTP request or WebSocket message. A declared class has to fit in.
    pub max_request_bytes: u32,
    /// Of one response.
    pub max_response_bytes: u32,
    /// Open connections, HTTP and WebSocket together.
    pub max_connections: u32,
    /// Calls in one batch.
    pub max_batch: u32,
    /// Calls in progress, all methods of JSON-RPC together; and as many over gRPC, streams not counted.
    pub max_concurrent_calls: usize,
    /// Calls, estimates, simulations and traces in progress: each keeps an executor busy.
    pub max_concurrent_executions: usize,
    /// Classes being compiled.
    pub max_concurrent_compilations: usize,
    /// Of one call, compilation and execution included.
    pub request_timeout_ms: u64,
    /// Events in one page of `starknet_getEvents`.
    pub max_event_chunk: u64,
    /// Keys in one event filter, over all positions.
    pub max_event_keys: usize,
    /// Addresses in one event filter.
    pub max_event_addresses: usize,
    /// Classes, contracts and storage keys in one `starknet_getStorageProof`, together.
    pub max_proof_keys: usize,
    /// Blocks that `INCLUDE_LAST_UPDATE_BLOCK` of `starknet_getStorageAt` looks back.
    pub max_history_blocks: usize,
    /// Transactions in one estimate or simulation.
    pub max_simulated_transactions: usize,
    /// Felts of calldata (of constructor calldata for a deploy-account).
    pub max_calldata: usize,
    /// Felts of signature.
    pub max_signature: usize,
    /// Felts of a Sierra program.
    pub max_sierra_felts: usize,
    /// Bytes of a class written as JSON, the ABI included.
    pub max_class_bytes: usize,
    /// Felts of compiled bytecode.
    pub max_bytecode: usize,
    /// L2 gas that one transaction may ask for.
    pub max_l2_gas: u64,
    /// Streams of statuses and blocks over gRPC in progress.
    pub max_streams: usize,
}

impl Default for Limits {
    /// Calldata, signature, bytecode and class sizes are Starknet's own.
    fn default() -> Self {
        Self {
            max_request_bytes: 6 << 20,
            max_response_bytes: 64 << 20,
            max_connections: 1_024,
            max_batch: 100,
            max_concurrent_calls: 512,
            max_concurrent_executions: 32,
            max_concurrent_compilations: 2,
            request_timeout_ms: 60_000,
            max_event_chunk: 1_024,
            max_event_keys: 256,
            max_event_addresses: 256,
            max_proof_keys: 1_024,
            max_history_blocks: 1_000,
            max_simulated_transactions: 100,
            max_calldata: 5_000,
            max_signature: 4_000,
            max_sierra_felts: 81_920,
            max_class_bytes: 4_089_446,
            max_bytecode: 81_920,
            max_l2_gas: 10_000_000_000,
            max_streams: 1_024,
        }
    }
}

impl Limits {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        let mut positive =
            |name: &str, value: u64| problems.in_range(section, name, value, 1..=u64::MAX);
        positive("max_request_bytes", self.max_request_bytes.into());
        positive("max_response_bytes", self.max_response_bytes.into());
        positive("max_connections", self.max_connections.into());
        positive("max_batch", self.max_batch.into());
        positive("request_timeout_ms", self.request_timeout_ms);
        positive("max_event_chunk", self.max_event_chunk);
        positive("max_l2_gas", self.max_l2_gas);
        for (name, value) in [
            ("max_concurrent_calls", self.max_concurrent_calls),
            ("max_concurrent_executions", self.max_concurrent_executions),
            ("max_concurrent_compilations", self.max_concurrent_compilations),
            ("max_event_keys", self.max_event_keys),
            ("max_event_addresses", self.max_event_addresses),
            ("max_proof_keys", self.max_proof_keys),
            ("max_history_blocks", self.max_history_blocks),
            ("max_simulated_transactions", self.max_simulated_transactions),
            ("max_calldata", self.max_calldata),
            ("max_signature", self.max_signature),
            ("max_sierra_felts", self.max_sierra_felts),
            ("max_class_bytes", self.max_class_bytes),
            ("max_bytecode", self.max_bytecode),
            ("max_streams", self.max_streams),
        ] {
            if value == 0 {
                problems.add(section, name, "must be at least 1");
            }
        }
    }
}
