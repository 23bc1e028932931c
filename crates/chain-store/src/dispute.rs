//! Blocks that a prover came to another result of than the sequencer.

use starknet_api::block::{BlockHash, BlockNumber};

use crate::backend::{failed, reading, writing};
use crate::encoding::{bytes, felt, number, read_number};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

/// A block, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Its number.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: BlockHash,
    /// The prover's error with its causes.
    pub cause: String,
}

impl ChainStore {
    /// Writes down a dispute; of a block that is disputed already the first one stays.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::ReadOnly`].
    pub async fn record_dispute(&self, dispute: &Dispute) -> Result<()> {
        const OPERATION: &str = "writing down a dispute";
        let block = number(dispute.number.0, "a block number")?;
        writing!(self, OPERATION, |tx, Db| {
            sqlx::query::<Db>(
                "INSERT INTO disputes (block_number, block_hash, cause) VALUES ($1, $2, $3) \
                 ON CONFLICT (block_number) DO NOTHING",
            )
            .bind(block)
            .bind(bytes(&dispute.hash.0))
            .bind(dispute.cause.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed(OPERATION))?;
        });
        Ok(())
    }

    /// The disputes about the first `limit` disputed blocks, in the order of their numbers.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::Damaged`].
    pub async fn disputes(&self, limit: u32) -> Result<Vec<Dispute>> {
        const OPERATION: &str = "reading disputes";
        let rows: Vec<(i64, Vec<u8>, String)> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, (i64, Vec<u8>, String)>(
                "SELECT block_number, block_hash, cause FROM disputes \
                 ORDER BY block_number LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed(OPERATION))?;
        rows.into_iter()
            .map(|(block, hash, cause)| {
                Ok(Dispute {
                    number: BlockNumber(read_number(block, "a dispute")?),
                    hash: BlockHash(felt(&hash, "a dispute")?),
                    cause,
                })
            })
            .collect()
    }
}
