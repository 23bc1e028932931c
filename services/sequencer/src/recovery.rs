//! Takes up, at the start, what the store's mempool holds.

use std::collections::HashMap;

use sidereal_chain_store::{ChainStore, ChainStoreError, Removal};
use sidereal_execution::transaction::BlockTransaction;
use starknet_api::core::{ChainId, ContractAddress};

use crate::admission::{SubmitRefusal, candidate, removal};
use crate::mempool::Removed;
use crate::nonce::chain_nonce;
use crate::shared::Shared;

/// Rows read at once.
const PAGE: u32 = 1_000;

/// Fills the pool from the store, in the order of arrival. Returns how many transactions wait.
///
/// What cannot be executed any more (its nonce was consumed, or the row was damaged) is removed and recorded. The bounds of
/// the pool do not apply: all of this was acknowledged.
pub async fn recover(
    store: &ChainStore,
    shared: &Shared,
    chain_id: &ChainId,
) -> Result<usize, ChainStoreError> {
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
            // Executors take a hash as given.
            let checked = transaction.check_hash(chain_id).map_err(SubmitRefusal::Malformed);
            let candidate = checked.and_then(|()| candidate(transaction, entry.received_at_ms));
            let candidate = match candidate {
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

#[cfg(test)]
mod tests {
    use sidereal_chain_store::{ChainStoreLimits, StoredTransaction, TransactionStatus};
    use sidereal_execution::testing::{CHAIN_ID, invoke, new_account};
    use starknet_api::core::ClassHash;
    use starknet_types_core::felt::Felt;

    use super::*;
    use crate::config::MempoolConfig;
    use crate::production::ChainRules;
    use crate::shared::Tip;

    /// Pins that a row whose fields are not what its hash says never comes before an executor, which would believe it.
    #[tokio::test]
    async fn a_damaged_row_is_removed_and_the_others_wait() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("chain.db").display());
        let store = ChainStore::connect(&url, ChainStoreLimits::default()).await.unwrap();
        let account = new_account(1, ClassHash(Felt::ONE));
        let (good, mut damaged) = (invoke(&account, 0, &[]), invoke(&account, 1, &[]));
        damaged.hash.0 += Felt::ONE;
        let rows = [&good, &damaged].map(|BlockTransaction { hash, transaction }| {
            StoredTransaction { hash: *hash, transaction: transaction.clone() }
        });
        store.insert_waiting(&rows).await.unwrap();

        let tip = Tip::genesis(&ChainRules::of_the_defaults());
        let shared = Shared::new(MempoolConfig::default().pool_limits(), tip);
        let chain_id = ChainId::Other(CHAIN_ID.to_owned());
        assert_eq!(recover(&store, &shared, &chain_id).await.unwrap(), 1);
        assert!(shared.pool().at_nonce(&account.address, 0).is_some());
        let status = store.transaction_status(&damaged.hash).await.unwrap();
        assert!(matches!(status, Some(TransactionStatus::Removed(_))), "{status:?}");
    }
}
