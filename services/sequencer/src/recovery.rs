//! Takes up, at the start, what the store's mempool holds.

use std::collections::HashMap;

use sidereal_chain_store::{ChainStore, ChainStoreError, Removal};
use sidereal_execution::transaction::BlockTransaction;
use starknet_api::core::ContractAddress;

use crate::admission::{candidate, removal};
use crate::mempool::Removed;
use crate::nonce::chain_nonce;
use crate::shared::Shared;

/// Rows read at once.
const PAGE: u32 = 1_000;

/// Fills the pool from the store, in the order of arrival. Returns how many transactions wait.
///
/// What cannot be executed any more (its nonce was consumed) is removed and recorded. The bounds of the pool do not apply:
/// all of this was acknowledged.
pub async fn recover(store: &ChainStore, shared: &Shared) -> Result<usize, ChainStoreError> {
    let head = shared.head().number;
    let mut nonces: HashMap<ContractAddress, u64> = HashMap::new();
    let mut after = None;
    loop {
        let page = store.waiting(after, PAGE).await?;
        let Some(last) = page.last().map(|entry| entry.sequence) else { break };
        after = Some(last);
        let mut removals = Vec::new();
        for entry in page {
            let hash = entry.transaction.hash;
            let transaction = BlockTransaction { hash, transaction: entry.transaction.transaction };
            let candidate = match candidate(transaction, entry.received_at_ms) {
                Ok(candidate) => candidate,
                Err(refusal) => {
                    removals.push(Removal {
                        hash,
                        reason: "malformed".to_owned(),
                        message: sidereal_service::error_chain(&refusal),
                    });
                    continue;
                }
            };
            let nonce = match nonces.get(&candidate.sender) {
                Some(nonce) => *nonce,
                None => {
                    let nonce = chain_nonce(store, &candidate.sender, head).await?;
                    nonces.insert(candidate.sender, nonce);
                    nonce
                }
            };
            if candidate.nonce < nonce {
                removals.push(removal(hash, Removed::NonceConsumed));
                continue;
            }
            // Two rows with one nonce are a replacement that was not finished: the later one stays.
            let before = shared.pool().at_nonce(&candidate.sender, candidate.nonce).cloned();
            if let Some(before) = before {
                removals.push(removal(before.hash, Removed::Replaced { by: hash }));
                shared.pool().discard(&before.hash);
            }
            shared.pool().restore(candidate, nonce);
        }
        if !removals.is_empty() {
            store.remove_waiting(&removals).await?;
        }
    }
    Ok(shared.pool().len())
}
