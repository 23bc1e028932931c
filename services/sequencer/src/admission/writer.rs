//! Group commit: whatever waits is made durable in one database transaction.

use std::collections::HashSet;

use sidereal_chain_store::{ChainStore, MempoolInsertion, Removal, StoredTransaction};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_service::{Shutdown, error_chain};
use starknet_api::transaction::TransactionHash;
use tokio::sync::{mpsc, oneshot};

use super::{SubmitRefusal, removal};
use crate::mempool::{Candidate, Refusal, Removed};
use crate::shared::Shared;

/// A transaction that passed all checks, and who waits for it to be durable.
pub struct Submission {
    pub candidate: Candidate<BlockTransaction>,
    /// The nonce of its account that was due when it was checked.
    pub due: u64,
    pub done: oneshot::Sender<Result<TransactionHash, SubmitRefusal>>,
}

/// In the pool, not yet in the store.
struct Placed {
    hash: TransactionHash,
    stored: StoredTransaction,
    removed: Vec<(Candidate<BlockTransaction>, Removed)>,
    done: oneshot::Sender<Result<TransactionHash, SubmitRefusal>>,
}

pub struct Writer {
    shared: Shared,
    store: ChainStore,
    submissions: mpsc::Receiver<Submission>,
    max_batch: usize,
}

impl Writer {
    pub fn new(
        shared: Shared,
        store: ChainStore,
        submissions: mpsc::Receiver<Submission>,
        max_batch: usize,
    ) -> Self {
        Self { shared, store, submissions, max_batch }
    }

    /// Runs until shutdown; what was queued by then is still committed and answered.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                received = self.submissions.recv_many(&mut batch, self.max_batch) => {
                    if received == 0 {
                        return;
                    }
                }
                () = shutdown.triggered(), if !self.submissions.is_closed() => {
                    // From here on `recv_many` hands out what is queued and then says that nothing comes.
                    self.submissions.close();
                    continue;
                }
            }
            self.commit(std::mem::take(&mut batch)).await;
        }
    }

    async fn commit(&self, batch: Vec<Submission>) {
        let placed = self.place(batch);
        if placed.is_empty() {
            return;
        }
        let stored: Vec<_> = placed.iter().map(|one| one.stored.clone()).collect();
        let started = std::time::Instant::now();
        let answers = self.store.insert_waiting(&stored).await;
        metrics::histogram!("mempool_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("mempool_commit_transactions").record(count(stored.len()));
        let removals = match answers {
            Ok(answers) if answers.len() == placed.len() => self.confirm(placed, answers),
            Ok(_) => {
                let short = sidereal_chain_store::ChainStoreError::Damaged {
                    object: "the answer to an insertion into the mempool".to_owned(),
                    reason: "it is not one answer a transaction".to_owned(),
                };
                return self.undo(placed, short);
            }
            Err(error) => return self.undo(placed, error),
        };
        self.shared.work.wake();
        self.record(removals).await;
    }

    fn place(&self, batch: Vec<Submission>) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(batch.len());
        let mut pool = self.shared.pool();
        for Submission { candidate, due, done } in batch {
            let hash = candidate.hash;
            let stored =
                StoredTransaction { hash, transaction: candidate.payload.transaction.clone() };
            match pool.insert(candidate, due) {
                Ok(inserted) => {
                    placed.push(Placed { hash, stored, removed: inserted.removed, done });
                }
                // Nobody listens when the caller went away.
                Err(refusal) => drop(done.send(Err(refusal.into()))),
            }
        }
        placed
    }

    fn confirm(&self, placed: Vec<Placed>, answers: Vec<MempoolInsertion>) -> Vec<Removal> {
        let mut removals = Vec::new();
        let mut pool = self.shared.pool();
        for (one, answer) in placed.into_iter().zip(answers) {
            let answer = match answer {
                // A record without its transaction in the pool is of a commit that was carried out although it failed here,
                // or of one that the pool let go and nobody removed: it is durable either way.
                MempoolInsertion::Inserted(_) | MempoolInsertion::AlreadyWaiting => {
                    pool.confirm(&one.hash);
                    removals.extend(one.removed.iter().map(|(gone, why)| removal(gone.hash, *why)));
                    Ok(one.hash)
                }
                MempoolInsertion::AlreadyInBlock => {
                    pool.withdraw(&one.hash, one.removed);
                    Err(Refusal::Duplicate(one.hash).into())
                }
            };
            drop(one.done.send(answer));
        }
        metrics::gauge!("mempool_transactions").set(count(pool.len()));
        removals
    }

    /// Nobody knows whether the batch is durable: the pool goes back to what it was. Who sends a transaction of it again
    /// is answered its hash.
    fn undo(&self, placed: Vec<Placed>, error: sidereal_chain_store::ChainStoreError) {
        tracing::error!(
            error = %error_chain(&error),
            transactions = placed.len(),
            "submissions could not be made durable"
        );
        let failed: HashSet<_> = placed.iter().map(|one| one.hash).collect();
        let error = std::sync::Arc::new(error);
        let mut pool = self.shared.pool();
        for one in placed.into_iter().rev() {
            // What a submission of the same batch displaced was never durable either.
            let before = one.removed.into_iter().filter(|(gone, _)| !failed.contains(&gone.hash));
            pool.withdraw(&one.hash, before.collect());
            pool.left([&one.hash]);
            drop(one.done.send(Err(SubmitRefusal::NotDurable(std::sync::Arc::clone(&error)))));
        }
    }

    /// A removal that is not recorded before the next start comes back, and the same rules apply to it; so a failure here
    /// loses nothing.
    async fn record(&self, removals: Vec<Removal>) {
        if removals.is_empty() {
            return;
        }
        if let Err(error) = self.shared.record(&self.store, removals).await {
            tracing::warn!(error = %error_chain(&error), "removals from the mempool were not recorded yet");
        }
    }
}

/// For metrics, where a count beyond 2^53 does not occur.
#[allow(clippy::cast_precision_loss)]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sidereal_chain_store::ChainStoreLimits;
    use starknet_api::core::ContractAddress;
    use starknet_api::transaction::{InvokeTransaction, InvokeTransactionV0, Transaction};
    use starknet_types_core::felt::Felt;

    use super::*;
    use crate::config::MempoolConfig;
    use crate::mempool::{Disposition, FeeOffer, GasPrices};
    use crate::production::ChainRules;
    use crate::shared::Tip;

    fn shared() -> Shared {
        let tip = Tip::genesis(&ChainRules::of_the_defaults());
        Shared::new(MempoolConfig::default().pool_limits(), tip)
    }

    fn candidate(hash: TransactionHash) -> Candidate<BlockTransaction> {
        let invoke = InvokeTransaction::V0(InvokeTransactionV0::default());
        let payload = BlockTransaction { hash, transaction: Transaction::Invoke(invoke) };
        Candidate {
            hash,
            sender: ContractAddress::from(5_u128),
            nonce: 0,
            fee: FeeOffer { tip: 0, max_prices: GasPrices::default() },
            size_bytes: 10,
            received_at_ms: 0,
            payload: Arc::new(payload),
        }
    }

    /// Pins that what was made durable by a commit that seemed to fail is answered its hash when it is sent again, and
    /// gets into a block; and that nothing comes in again while its record is about to be removed.
    #[tokio::test]
    async fn what_is_durable_already_is_taken_in_unless_it_is_leaving() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("chain.db").display());
        let store = ChainStore::connect(&url, ChainStoreLimits::default()).await.unwrap();
        let hash = TransactionHash(Felt::from(7));
        let transaction = candidate(hash).payload.transaction.clone();
        store.insert_waiting(&[StoredTransaction { hash, transaction }]).await.unwrap();

        let shared = shared();
        let (queue, submissions) = mpsc::channel(1);
        let shutdown = Shutdown::new();
        let writer = Writer::new(shared.clone(), store.clone(), submissions, 4);
        let writing = tokio::spawn(writer.run(shutdown.clone()));
        let submit = async || {
            let (done, answered) = oneshot::channel();
            let submission = Submission { candidate: candidate(hash), due: 0, done };
            assert!(queue.send(submission).await.is_ok());
            answered.await.unwrap()
        };
        assert_eq!(submit().await.unwrap(), hash);
        assert_eq!(shared.pool().take(4, &GasPrices::default()).len(), 1);

        assert_eq!(shared.pool().rejected(&hash), Disposition::Dropped);
        let again = submit().await;
        assert!(matches!(again, Err(SubmitRefusal::Pool(Refusal::Duplicate(_)))), "{again:?}");
        shared.record(&store, vec![removal(hash, Removed::Expired)]).await.unwrap();
        assert_eq!(submit().await.unwrap(), hash);
        assert_eq!(store.waiting_count().await.unwrap(), 1);
        shutdown.trigger();
        writing.await.unwrap();
    }
}
