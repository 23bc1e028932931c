//! Batches of blocks that are aggregated together, and the steps that are done.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sidereal_aggregation::{Blocks, Step};

use super::{Backend, IndexError, ProofIndex, failed, number};
use crate::aggregation::FIRST_BLOCK;

/// Consecutive blocks that are aggregated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    pub blocks: Blocks,
    /// Seconds since the Unix epoch.
    pub planned_at: u64,
}

/// How far the aggregation of a batch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchProgress {
    /// The steps that it takes, in all.
    pub step_count: usize,
    /// Those of them that are done.
    pub steps: Vec<StoredStep>,
}

/// The result of a step that was verified and is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStep {
    pub step: Step,
    /// What the proof says, in hexadecimal: the circuit's output, or the felt that the bootloader wrote for the
    /// aggregator's Cairo proof.
    pub claim: String,
    /// SHA-256 of the encoded proof, in hexadecimal.
    pub digest: String,
    pub size_bytes: u64,
    /// Key of the proof in the object store.
    pub key: String,
    /// Seconds since the Unix epoch.
    pub stored_at: u64,
    pub worker: String,
    pub cairo_steps: u64,
    pub total_ms: u64,
    pub prove_ms: u64,
    pub peak_memory_bytes: u64,
}

#[cfg(test)]
impl StoredStep {
    /// Of a step that was done, and says this.
    pub fn done(step: Step, claim: &str) -> Self {
        Self {
            step,
            claim: claim.to_owned(),
            digest: String::new(),
            size_bytes: 1,
            key: format!("steps/{step}.bin"),
            stored_at: 1,
            worker: String::new(),
            cairo_steps: 0,
            total_ms: 1,
            prove_ms: 1,
            peak_memory_bytes: 1,
        }
    }
}

/// Runs `$body` in a transaction besides which nobody changes batches: PostgreSQL has to be told so, SQLite has one writer.
macro_rules! changing_batches {
    ($index:expr, |$transaction:ident| $body:expr) => {{
        let lock = match &$index.backend {
            Backend::Postgres(_) => Some("LOCK TABLE batches IN SHARE ROW EXCLUSIVE MODE"),
            Backend::Sqlite(_) => None,
        };
        on_backend!($index, |pool| {
            let change = async {
                let mut $transaction = pool.begin().await?;
                if let Some(lock) = lock {
                    sqlx::query(lock).execute(&mut *$transaction).await?;
                }
                let outcome: Result<_, sqlx::Error> = async { $body }.await;
                let outcome = outcome?;
                $transaction.commit().await?;
                Ok(outcome)
            };
            change.await
        })
    }};
}

type BatchRow = (i64, i64, i64);
type StepRow = (String, String);

impl ProofIndex {
    /// Adds a batch, if it begins where the last one ends: none overlaps another, and no block is left out, whatever other
    /// proof stores plan or cut in the meantime. Otherwise nothing changes.
    pub async fn insert_batch(&self, batch: &StoredBatch) -> Result<(), IndexError> {
        let (first, last) = (number(batch.blocks.first)?, number(batch.blocks.last)?);
        let planned_at = number(batch.planned_at)?;
        let before_all = number(FIRST_BLOCK - 1)?;
        changing_batches!(self, |transaction| {
            sqlx::query(
                "INSERT INTO batches (first_block, last_block, planned_at) SELECT $1, $2, $3 \
                 WHERE $1 = (SELECT COALESCE(MAX(last_block), $4) FROM batches) + 1",
            )
            .bind(first)
            .bind(last)
            .bind(planned_at)
            .bind(before_all)
            .execute(&mut *transaction)
            .await
            .map(|_| ())
        })
        .map_err(failed("adding a batch to the index"))
    }

    /// Lets the batch that holds `first`, if it does not begin with it, end before it, and forgets the batches behind.
    /// Whether there was something to cut.
    pub async fn cut_batch(&self, first: u64) -> Result<bool, IndexError> {
        let first = number(first)?;
        changing_batches!(self, |transaction| {
            // A write first: SQLite takes its lock with it, so that nobody writes in between.
            let forgotten = sqlx::query(
                "DELETE FROM batches WHERE first_block > $1 \
                 AND NOT EXISTS (SELECT 1 FROM batches WHERE first_block = $1)",
            )
            .bind(first)
            .execute(&mut *transaction)
            .await?;
            let shortened = sqlx::query(
                "UPDATE batches SET last_block = $1 - 1 WHERE first_block < $1 AND last_block >= $1",
            )
            .bind(first)
            .execute(&mut *transaction)
            .await?;
            Ok(forgotten.rows_affected() + shortened.rows_affected() > 0)
        })
        .map_err(failed("cutting a batch"))
    }

    /// The batch with the highest blocks.
    pub async fn last_batch(&self) -> Result<Option<StoredBatch>, IndexError> {
        let row: Option<BatchRow> = on_backend!(self, |pool| {
            sqlx::query_as(
                "SELECT first_block, last_block, planned_at FROM batches \
                 ORDER BY first_block DESC LIMIT 1",
            )
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading the last batch"))?;
        row.map(batch).transpose()
    }

    /// Batches from the one that holds block `from` on, in order, at most `limit`.
    pub async fn batches(&self, from: u64, limit: u32) -> Result<Vec<StoredBatch>, IndexError> {
        let from = number(from)?;
        let rows: Vec<BatchRow> = on_backend!(self, |pool| {
            sqlx::query_as(
                "SELECT first_block, last_block, planned_at FROM batches \
                 WHERE last_block >= $1 ORDER BY first_block LIMIT $2",
            )
            .bind(from)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("listing batches"))?;
        rows.into_iter().map(batch).collect()
    }

    /// The batch that holds a block.
    pub async fn batch_of(&self, block: u64) -> Result<Option<StoredBatch>, IndexError> {
        let found = self.batches(block, 1).await?;
        Ok(found.into_iter().find(|batch| batch.blocks.first <= block))
    }

    /// How far a batch is.
    pub async fn progress(&self, batch: &StoredBatch) -> Result<BatchProgress, IndexError> {
        let all: HashSet<Step> = Step::all(batch.blocks).into_iter().collect();
        // What was made for batches that were cut is about the same blocks.
        let mut steps = self.steps(batch.blocks).await?;
        steps.retain(|stored| all.contains(&stored.step));
        Ok(BatchProgress { step_count: all.len(), steps })
    }

    /// Batches whose last proof is not there, in order, at most `limit`.
    pub async fn open_batches(&self, limit: u32) -> Result<Vec<StoredBatch>, IndexError> {
        let rows: Vec<BatchRow> = on_backend!(self, |pool| {
            sqlx::query_as(
                "SELECT first_block, last_block, planned_at FROM batches b WHERE NOT EXISTS ( \
                   SELECT 1 FROM steps s WHERE s.first_block = b.first_block \
                   AND s.last_block = b.last_block AND s.name LIKE 'last-%') \
                 ORDER BY first_block LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("listing open batches"))?;
        rows.into_iter().map(batch).collect()
    }

    /// Adds the result of a step; one that is there stays. Whether it was added.
    pub async fn insert_step(&self, stored: &StoredStep) -> Result<bool, IndexError> {
        let blocks = stored.step.blocks();
        let (first, last) = (number(blocks.first)?, number(blocks.last)?);
        let json = serde_json::to_string(stored)
            .map_err(|source| IndexError::Damaged { block_number: first, source })?;
        on_backend!(self, |pool| {
            sqlx::query(
                "INSERT INTO steps (name, first_block, last_block, step) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(stored.step.to_string())
            .bind(first)
            .bind(last)
            .bind(json)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() == 1)
        })
        .map_err(failed("adding a step to the index"))
    }

    /// The result of a step.
    pub async fn step(&self, step: Step) -> Result<Option<StoredStep>, IndexError> {
        let row: Option<StepRow> = on_backend!(self, |pool| {
            sqlx::query_as("SELECT name, step FROM steps WHERE name = $1")
                .bind(step.to_string())
                .fetch_optional(pool)
                .await
        })
        .map_err(failed("reading a step's entry"))?;
        row.map(stored_step).transpose()
    }

    /// The results of all steps that are about blocks of a batch.
    pub async fn steps(&self, blocks: Blocks) -> Result<Vec<StoredStep>, IndexError> {
        let (first, last) = (number(blocks.first)?, number(blocks.last)?);
        let rows: Vec<StepRow> = on_backend!(self, |pool| {
            sqlx::query_as(
                "SELECT name, step FROM steps WHERE first_block >= $1 AND last_block <= $2 \
                 ORDER BY first_block, last_block, name",
            )
            .bind(first)
            .bind(last)
            .fetch_all(pool)
            .await
        })
        .map_err(failed("listing the steps of a batch"))?;
        rows.into_iter().map(stored_step).collect()
    }
}

fn batch((first, last, planned_at): BatchRow) -> Result<StoredBatch, IndexError> {
    let unsigned = |value: i64| u64::try_from(value).map_err(|_| IndexError::Negative(value));
    let blocks = Blocks::new(unsigned(first)?, unsigned(last)?);
    let blocks = blocks.ok_or(IndexError::Negative(last))?;
    Ok(StoredBatch { blocks, planned_at: unsigned(planned_at)? })
}

fn stored_step((name, json): StepRow) -> Result<StoredStep, IndexError> {
    serde_json::from_str(&json).map_err(|source| IndexError::DamagedStep { name, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DatabaseConfig;
    use crate::index::tests::on_both;

    fn step(name: &str) -> StoredStep {
        StoredStep {
            step: name.parse().unwrap(),
            claim: "11".repeat(32),
            digest: "22".repeat(32),
            size_bytes: 5,
            key: format!("steps/{name}.bin"),
            stored_at: 1,
            worker: "w".into(),
            cairo_steps: 0,
            total_ms: 3,
            prove_ms: 4,
            peak_memory_bytes: 5,
        }
    }

    fn batch(first: u64, last: u64) -> StoredBatch {
        StoredBatch { blocks: Blocks::new(first, last).unwrap(), planned_at: 9 }
    }

    /// Pins down that batches follow each other, whoever plans them, and that one is open until its last proof is there.
    #[tokio::test]
    async fn batches_follow_each_other_and_end() {
        on_both(2, plan_and_end).await;
    }

    async fn plan_and_end(database: DatabaseConfig) {
        let index = ProofIndex::open(&database).await.unwrap();
        assert_eq!(index.last_batch().await.unwrap(), None);
        // Each but the second and the last one begins elsewhere than where the one before has ended.
        for planned in
            [batch(2, 3), batch(1, 4), batch(1, 2), batch(3, 6), batch(6, 9), batch(5, 5)]
        {
            index.insert_batch(&planned).await.unwrap();
        }
        let all = [batch(1, 4), batch(5, 5)];
        assert_eq!(index.batches(0, 10).await.unwrap(), all);
        assert_eq!(index.batches(4, 10).await.unwrap(), all);
        assert_eq!(index.batches(5, 10).await.unwrap(), all[1..]);
        assert_eq!(index.last_batch().await.unwrap(), Some(all[1]));
        assert_eq!(index.open_batches(1).await.unwrap(), all[..1]);

        for name in ["wrap-1", "merge-1-2", "compact-1-4", "wrap-5"] {
            assert!(index.insert_step(&step(name)).await.unwrap());
        }
        assert!(
            !index
                .insert_step(&StoredStep { worker: "late".into(), ..step("wrap-1") })
                .await
                .unwrap()
        );
        assert_eq!(index.step("wrap-1".parse().unwrap()).await.unwrap(), Some(step("wrap-1")));
        assert_eq!(index.step("wrap-2".parse().unwrap()).await.unwrap(), None);
        assert_eq!(index.steps(all[0].blocks).await.unwrap().len(), 3);
        assert_eq!(index.open_batches(10).await.unwrap(), all);
        index.insert_step(&step("last-1-4")).await.unwrap();
        assert_eq!(index.open_batches(10).await.unwrap(), all[1..]);
    }

    /// Pins down that a batch is cut only in its middle, and that what was behind it can be planned anew.
    #[tokio::test]
    async fn a_batch_is_cut_where_l1_begins() {
        on_both(2, cut).await;
    }

    async fn cut(database: DatabaseConfig) {
        let index = ProofIndex::open(&database).await.unwrap();
        for planned in [batch(1, 4), batch(5, 8), batch(9, 12), batch(13, 13)] {
            index.insert_batch(&planned).await.unwrap();
        }
        for border in [1, 5, 13, 14, 99] {
            assert!(!index.cut_batch(border).await.unwrap(), "{border}");
        }
        assert_eq!(index.batches(0, 10).await.unwrap().len(), 4);
        assert!(index.cut_batch(7).await.unwrap());
        assert_eq!(index.batches(0, 10).await.unwrap(), [batch(1, 4), batch(5, 6)]);
        assert!(!index.cut_batch(7).await.unwrap());
        // A planner that had seen the batches of before.
        index.insert_batch(&batch(14, 20)).await.unwrap();
        assert_eq!(index.last_batch().await.unwrap(), Some(batch(5, 6)));
        index.insert_batch(&batch(7, 13)).await.unwrap();
        assert_eq!(index.last_batch().await.unwrap(), Some(batch(7, 13)));
    }

    /// Pins down that planners and cuts at the same time leave no block out and none in two batches.
    #[tokio::test(flavor = "multi_thread")]
    async fn batches_stay_without_gaps_whoever_changes_them() {
        on_both(6, plan_and_cut).await;
    }

    async fn plan_and_cut(database: DatabaseConfig) {
        let index = ProofIndex::open(&database).await.unwrap();
        let planners = (0..3_u64).map(|planner| {
            let index = index.clone();
            tokio::spawn(async move {
                for round in 0..60 {
                    let last = index.last_batch().await.unwrap().map_or(0, |last| last.blocks.last);
                    tokio::task::yield_now().await;
                    let count = 1 + (round + planner) % 4;
                    index.insert_batch(&batch(last + 1, last + count)).await.unwrap();
                    if round % 5 == planner {
                        index.cut_batch(last.saturating_sub(2).max(1)).await.unwrap();
                    }
                }
            })
        });
        for planner in planners.collect::<Vec<_>>() {
            planner.await.unwrap();
        }
        let batches = index.batches(0, 1_000).await.unwrap();
        assert!(!batches.is_empty());
        let mut next = 1;
        for batch in batches {
            assert_eq!(batch.blocks.first, next);
            next = batch.blocks.last + 1;
        }
    }
}
