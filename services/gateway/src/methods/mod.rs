//! The JSON-RPC methods, an area a module. What is not in the table answers "method not found".

mod blocks;
mod chain;
mod classes;
mod events;
mod execution;
mod state;
mod storage_proof;
mod submission;
mod traces;
mod transactions;

use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;

use crate::dispatch::{Registry, Weight};
use crate::gateway::Gateway;

pub use transactions::{KnownStatus, transaction_status};

/// Every method with its parameters, in the order of the OpenRPC files. A test compares them.
pub fn module(gateway: Gateway) -> Result<RpcModule<Gateway>, RegisterMethodError> {
    use Weight::{Execution, Light};
    const AT: &[&str] = &["block_id"];
    const AT_WITH_FLAGS: &[&str] = &["block_id", "response_flags"];
    const TRANSACTION: &[&str] = &["transaction_hash"];
    const CONTRACT_AT: &[&str] = &["block_id", "contract_address"];

    let mut registry = Registry::new(gateway);
    registry
        .method("starknet_specVersion", &[], Light, chain::spec_version)?
        .method("starknet_chainId", &[], Light, chain::chain_id)?
        .method("starknet_syncing", &[], Light, chain::syncing)?
        .method("starknet_blockNumber", &[], Light, chain::block_number)?
        .method("starknet_blockHashAndNumber", &[], Light, chain::block_hash_and_number)?
        .method("starknet_getBlockWithTxHashes", AT, Light, blocks::with_hashes)?
        .method("starknet_getBlockWithTxs", AT_WITH_FLAGS, Light, blocks::with_transactions)?
        .method("starknet_getBlockWithReceipts", AT_WITH_FLAGS, Light, blocks::with_receipts)?
        .method("starknet_getBlockTransactionCount", AT, Light, blocks::transaction_count)?
        .method(
            "starknet_getStateUpdate",
            &["block_id", "contract_addresses"],
            Light,
            state::state_update,
        )?
        .method(
            "starknet_getStorageAt",
            &["contract_address", "key", "block_id", "response_flags"],
            Light,
            state::storage_at,
        )?
        .method("starknet_getNonce", CONTRACT_AT, Light, state::nonce)?
        .method("starknet_getClassHashAt", CONTRACT_AT, Light, state::class_hash_at)?
        .method("starknet_getClass", &["block_id", "class_hash"], Light, classes::class)?
        .method("starknet_getClassAt", CONTRACT_AT, Light, classes::class_at)?
        .method("starknet_getCompiledCasm", &["class_hash"], Light, classes::compiled_casm)?
        .method(
            "starknet_getStorageProof",
            &["block_id", "class_hashes", "contract_addresses", "contracts_storage_keys"],
            Light,
            storage_proof::storage_proof,
        )?
        .method("starknet_getTransactionStatus", TRANSACTION, Light, transactions::status)?
        .method(
            "starknet_getTransactionByHash",
            &["transaction_hash", "response_flags"],
            Light,
            transactions::by_hash,
        )?
        .method(
            "starknet_getTransactionByBlockIdAndIndex",
            &["block_id", "index", "response_flags"],
            Light,
            transactions::by_block_and_index,
        )?
        .method("starknet_getTransactionReceipt", TRANSACTION, Light, transactions::receipt)?
        .method("starknet_getMessagesStatus", TRANSACTION, Light, transactions::messages_status)?
        .method("starknet_getEvents", &["filter"], Light, events::events)?
        .method("starknet_call", &["request", "block_id"], Execution, execution::call)?
        .method(
            "starknet_estimateFee",
            &["request", "simulation_flags", "block_id"],
            Execution,
            execution::estimate_fee,
        )?
        .method(
            "starknet_estimateMessageFee",
            &["message", "block_id"],
            Execution,
            execution::estimate_message_fee,
        )?
        .method(
            "starknet_simulateTransactions",
            &["block_id", "transactions", "simulation_flags"],
            Execution,
            execution::simulate,
        )?
        .method("starknet_traceTransaction", TRANSACTION, Execution, traces::transaction)?
        .method(
            "starknet_traceBlockTransactions",
            &["block_id", "trace_flags"],
            Execution,
            traces::block,
        )?
        .method(
            "starknet_addInvokeTransaction",
            &["invoke_transaction"],
            Light,
            submission::add_invoke,
        )?
        .method(
            "starknet_addDeclareTransaction",
            &["declare_transaction"],
            Light,
            submission::add_declare,
        )?
        .method(
            "starknet_addDeployAccountTransaction",
            &["deploy_account_transaction"],
            Light,
            submission::add_deploy_account,
        )?;
    Ok(registry.into_module())
}
