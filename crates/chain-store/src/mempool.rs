//! The durable mempool: a transaction is here from before its hash is returned until its block is committed.

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use starknet_api::transaction::TransactionHash;

use crate::backend::{MAX_BOUND_VALUES, failed, reading, writing};
use crate::encoding::{bytes, felt, json, number, read_json, read_number};
use crate::error::ChainStoreError;
use crate::store::ChainStore;
use crate::transaction::{StoredTransaction, TransactionPosition};

type Result<T> = std::result::Result<T, ChainStoreError>;

/// A waiting transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolEntry {
    /// Grows with every arrival; the order in which a restart takes them up again.
    pub sequence: u64,
    /// When it arrived, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// The transaction.
    pub transaction: StoredTransaction,
}

/// What became of an offered transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MempoolInsertion {
    /// It is durable now, under this sequence number.
    Inserted(u64),
    /// It waits already.
    AlreadyWaiting,
    /// It is in a closed block.
    AlreadyInBlock,
}

/// Why a transaction left the mempool without a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The transaction.
    pub hash: TransactionHash,
    /// A short machine-readable reason of the caller's own, such as `nonce_too_old` or `replaced`.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What the store knows about a transaction hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionStatus {
    /// It waits in the mempool.
    Waiting,
    /// It left the mempool without a block. Kept for the last `ChainStoreLimits::removals_kept` of them.
    Removed(Removal),
    /// It is in a closed block.
    InBlock(TransactionPosition),
}

/// Deletes from the mempool by hash, inside a transaction.
macro_rules! delete_waiting {
    ($tx:ident, $Db:ident, $operation:expr, $hashes:expr) => {
        for chunk in $hashes.chunks($crate::backend::MAX_BOUND_VALUES) {
            let mut query = sqlx::QueryBuilder::<$Db>::new("DELETE FROM mempool WHERE hash IN (");
            let mut values = query.separated(", ");
            for hash in chunk {
                values.push_bind(hash.as_slice());
            }
            query.push(")");
            query
                .build()
                .persistent(false)
                .execute(&mut *$tx)
                .await
                .map_err($crate::backend::failed($operation))?;
        }
    };
}

/// Remembers removals and forgets the oldest, inside a transaction. The rows' hashes are unique.
macro_rules! remember_removals {
    ($tx:ident, $Db:ident, $operation:expr, $rows:expr, $kept:expr) => {
        if !$rows.is_empty() {
            $crate::backend::insert_rows!(
                $tx,
                $Db,
                $operation,
                3,
                "INSERT INTO removals (hash, reason, message) ",
                " ON CONFLICT (hash) DO UPDATE SET reason = excluded.reason, \
                 message = excluded.message",
                $rows,
                |row, item| {
                    row.push_bind(item.0.as_slice())
                        .push_bind(item.1.as_str())
                        .push_bind(item.2.as_str());
                }
            );
            sqlx::query::<$Db>(
                "DELETE FROM removals WHERE sequence <= (SELECT MAX(sequence) FROM removals) - $1",
            )
            .bind($kept)
            .execute(&mut *$tx)
            .await
            .map_err($crate::backend::failed($operation))?;
        }
    };
}

pub(crate) use {delete_waiting, remember_removals};

/// Hash, reason, message. One row a hash: the last word counts.
pub(crate) type RemovalRow = (Vec<u8>, String, String);

pub(crate) fn removal_rows(removals: &[Removal]) -> Vec<RemovalRow> {
    let mut last: HashMap<TransactionHash, usize> = HashMap::new();
    for (index, removal) in removals.iter().enumerate() {
        last.insert(removal.hash, index);
    }
    removals
        .iter()
        .enumerate()
        .filter(|(index, removal)| last.get(&removal.hash) == Some(index))
        .map(|(_, removal)| {
            (bytes(&removal.hash.0), removal.reason.clone(), removal.message.clone())
        })
        .collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl ChainStore {
    /// Makes transactions durable, in this order, in one database transaction. One answer each. Calling it with
    /// several at once is what makes many a second possible: each call waits for the disk once.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::ReadOnly`]; then all or none of them are stored, and who asks again
    /// is told which.
    pub async fn insert_waiting(
        &self,
        transactions: &[StoredTransaction],
    ) -> Result<Vec<MempoolInsertion>> {
        const OPERATION: &str = "inserting into the mempool";
        const COLUMNS: usize = 3;
        if transactions.is_empty() {
            return Ok(Vec::new());
        }
        let received_at_ms = number(now_ms(), "the time")?;
        let mut seen = HashSet::new();
        let mut rows = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let hash = bytes(&transaction.hash.0);
            if seen.insert(hash.clone()) {
                let object = || format!("transaction {}", transaction.hash);
                rows.push((hash, json(transaction, object)?));
            }
        }
        let (in_block, inserted) = writing!(self, OPERATION, |tx, Db| {
            let mut in_block: HashSet<Vec<u8>> = HashSet::new();
            for chunk in rows.chunks(MAX_BOUND_VALUES) {
                let mut query =
                    sqlx::QueryBuilder::<Db>::new("SELECT hash FROM transactions WHERE hash IN (");
                let mut values = query.separated(", ");
                for (hash, _) in chunk {
                    values.push_bind(hash.as_slice());
                }
                query.push(")");
                let found: Vec<Vec<u8>> = query
                    .build_query_scalar()
                    .persistent(false)
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(failed(OPERATION))?;
                in_block.extend(found);
            }
            rows.retain(|(hash, _)| !in_block.contains(hash));
            let mut inserted: HashMap<Vec<u8>, i64> = HashMap::new();
            for chunk in rows.chunks(MAX_BOUND_VALUES / COLUMNS) {
                let mut query = sqlx::QueryBuilder::<Db>::new(
                    "INSERT INTO mempool (hash, received_at_ms, body) ",
                );
                query.push_values(chunk, |mut row, (hash, body)| {
                    row.push_bind(hash.as_slice())
                        .push_bind(received_at_ms)
                        .push_bind(body.as_slice());
                });
                query.push(" ON CONFLICT (hash) DO NOTHING RETURNING hash, sequence");
                let new: Vec<(Vec<u8>, i64)> = query
                    .build_query_as()
                    .persistent(false)
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(failed(OPERATION))?;
                inserted.extend(new);
            }
            (in_block, inserted)
        });
        let mut inserted = inserted;
        transactions
            .iter()
            .map(|transaction| {
                let hash = bytes(&transaction.hash.0);
                // Taken out, so that a second one of the same call finds it waiting.
                if let Some(sequence) = inserted.remove(&hash) {
                    return Ok(MempoolInsertion::Inserted(read_number(sequence, "a sequence")?));
                }
                Ok(match in_block.contains(&hash) {
                    true => MempoolInsertion::AlreadyInBlock,
                    false => MempoolInsertion::AlreadyWaiting,
                })
            })
            .collect()
    }

    /// The mempool in the order of arrival, after `after_sequence`, at most `limit`: for a restart.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::Damaged`]; so for every read of this type.
    pub async fn waiting(
        &self,
        after_sequence: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MempoolEntry>> {
        let after = number(after_sequence.unwrap_or(0), "a sequence")?;
        let rows: Vec<(i64, i64, Vec<u8>)> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, (i64, i64, Vec<u8>)>(
                "SELECT sequence, received_at_ms, body FROM mempool \
                 WHERE sequence > $1 ORDER BY sequence LIMIT $2",
            )
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading the mempool"))?;
        rows.into_iter()
            .map(|(sequence, received_at_ms, body)| {
                Ok(MempoolEntry {
                    sequence: read_number(sequence, "a mempool row")?,
                    received_at_ms: read_number(received_at_ms, "a mempool row")?,
                    transaction: read_json(&body, || format!("mempool row {sequence}"))?,
                })
            })
            .collect()
    }

    /// Number of waiting transactions.
    pub async fn waiting_count(&self) -> Result<u64> {
        let count: i64 = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, i64>("SELECT COUNT(*) FROM mempool").fetch_one(pool).await
        })
        .map_err(failed("counting the mempool"))?;
        read_number(count, "the mempool's size")
    }

    /// Takes transactions out of the mempool without a block, and remembers why.
    ///
    /// # Errors
    /// As the reads, and [`ChainStoreError::ReadOnly`].
    pub async fn remove_waiting(&self, removals: &[Removal]) -> Result<()> {
        const OPERATION: &str = "removing from the mempool";
        let rows = removal_rows(removals);
        let hashes: Vec<&Vec<u8>> = rows.iter().map(|row| &row.0).collect();
        let kept = number(self.limits().removals_kept, "a limit")?;
        writing!(self, OPERATION, |tx, Db| {
            delete_waiting!(tx, Db, OPERATION, hashes);
            remember_removals!(tx, Db, OPERATION, rows, kept);
        });
        Ok(())
    }

    /// What the store knows about a hash: waiting, in a block, or removed.
    pub async fn transaction_status(
        &self,
        hash: &TransactionHash,
    ) -> Result<Option<TransactionStatus>> {
        const OPERATION: &str = "reading a transaction's status";
        // The mempool first: a transaction moves from it into a block, so that the other order could miss it.
        let waiting: Option<i64> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, i64>("SELECT sequence FROM mempool WHERE hash = $1")
                .bind(bytes(&hash.0))
                .fetch_optional(pool)
                .await
        })
        .map_err(failed(OPERATION))?;
        if waiting.is_some() {
            return Ok(Some(TransactionStatus::Waiting));
        }
        if let Some(position) = self.transaction_position(hash).await? {
            return Ok(Some(TransactionStatus::InBlock(position)));
        }
        let removal: Option<RemovalRow> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, RemovalRow>(
                "SELECT hash, reason, message FROM removals WHERE hash = $1",
            )
            .bind(bytes(&hash.0))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed(OPERATION))?;
        removal
            .map(|(hash, reason, message)| {
                let hash = TransactionHash(felt(&hash, "a removal")?);
                Ok(TransactionStatus::Removed(Removal { hash, reason, message }))
            })
            .transpose()
    }
}
