//! The transaction that carries an update.

use alloy::consensus::{TxEip4844, TxEip4844WithSidecar};
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use alloy::primitives::{Address, U256};

use crate::update::PreparedUpdate;

/// The most that a blob transaction pays, each in wei a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// For execution, the tip included.
    pub max_fee_per_gas: u128,
    /// Tip for the block's proposer.
    pub max_priority_fee_per_gas: u128,
    /// For blob gas.
    pub max_fee_per_blob_gas: u128,
}

/// One transaction with everything: calldata of `updateState`, and the blobs in `sidecar`, which the update made.
pub fn blob_transaction(
    update: &PreparedUpdate,
    sidecar: BlobTransactionSidecarVariant,
    rollup_core: Address,
    chain_id: u64,
    nonce: u64,
    gas_limit: u64,
    fees: Fees,
) -> TxEip4844WithSidecar {
    let transaction = TxEip4844 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: fees.max_fee_per_gas,
        max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
        to: rollup_core,
        value: U256::ZERO,
        access_list: Default::default(),
        blob_versioned_hashes: update.blobs.versioned_hashes().to_vec(),
        max_fee_per_blob_gas: fees.max_fee_per_blob_gas,
        input: update.calldata.clone(),
    };
    TxEip4844WithSidecar::from_tx_and_sidecar(transaction, sidecar)
}
