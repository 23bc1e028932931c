//! Nonces as the mempool counts them.

use sidereal_chain_store::{ChainStore, ChainStoreError};
use starknet_api::block::BlockNumber;
use starknet_api::core::{ContractAddress, Nonce};

/// A nonce as a number; `None` above 64 bits, which no account reaches by counting from zero.
pub fn to_u64(nonce: &Nonce) -> Option<u64> {
    u64::try_from(nonce.0).ok()
}

/// The account's nonce after `block`.
pub async fn chain_nonce(
    store: &ChainStore,
    account: &ContractAddress,
    block: BlockNumber,
) -> Result<u64, ChainStoreError> {
    let nonce = store.nonce_at(account, block).await?;
    to_u64(&nonce).ok_or_else(|| ChainStoreError::Damaged {
        object: format!("the nonce of {:#x} after block {block}", account.0.key()),
        reason: format!("{:#x} has more than 64 bits", nonce.0),
    })
}
