//! The outbox: messages that are committed with their block, and published after.

use std::collections::BTreeMap;

use starknet_api::block::BlockNumber;

use crate::backend::{failed, reading, writing};
use crate::encoding::{number, read_json, read_number};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

/// A message to publish once the block is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Subject on the bus.
    pub subject: String,
    /// The serialised event.
    pub payload: Vec<u8>,
    /// Headers on the bus, such as the trace context of what the message tells of.
    pub headers: BTreeMap<String, String>,
}

/// A committed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Grows with every message: the cursor.
    pub id: u64,
    /// The block it came with.
    pub block_number: BlockNumber,
    /// The message.
    pub message: OutboxMessage,
    /// Whether it was marked as delivered.
    pub delivered: bool,
}

/// Id, block number, subject, payload, headers, delivered.
type Row = (i64, i64, String, Vec<u8>, Vec<u8>, bool);

fn read_rows(rows: Vec<Row>) -> Result<Vec<OutboxRow>> {
    rows.into_iter()
        .map(|(id, block, subject, payload, headers, delivered)| {
            let headers = read_json(&headers, || format!("the headers of message {id}"))?;
            Ok(OutboxRow {
                id: read_number(id, "an outbox row")?,
                block_number: BlockNumber(read_number(block, "an outbox row")?),
                message: OutboxMessage { subject, payload, headers },
                delivered,
            })
        })
        .collect()
}

impl ChainStore {
    /// Messages after `after_id`, delivered ones included, at most `limit`. Delivered ones older than
    /// `ChainStoreLimits::delivered_kept` messages are gone.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::Damaged`]; so for every read of this type.
    pub async fn outbox_after(&self, after_id: u64, limit: u32) -> Result<Vec<OutboxRow>> {
        let Ok(after_id) = i64::try_from(after_id) else { return Ok(Vec::new()) };
        let rows: Vec<Row> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, Row>(
                "SELECT id, block_number, subject, payload, headers, delivered FROM outbox \
                 WHERE id > $1 ORDER BY id LIMIT $2",
            )
            .bind(after_id)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading the outbox"))?;
        read_rows(rows)
    }

    /// Messages that were not marked as delivered, in order, at most `limit`.
    pub async fn pending_outbox(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        let rows: Vec<Row> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, Row>(
                "SELECT id, block_number, subject, payload, headers, delivered FROM outbox \
                 WHERE NOT delivered ORDER BY id LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading the outbox"))?;
        read_rows(rows)
    }

    /// Marks all messages up to `last_id` as delivered.
    ///
    /// # Errors
    /// As the reads, and [`ChainStoreError::ReadOnly`].
    pub async fn mark_delivered(&self, last_id: u64) -> Result<()> {
        const OPERATION: &str = "marking messages as delivered";
        let oldest_kept = number(last_id.saturating_sub(self.limits().delivered_kept), "a cursor")?;
        let last_id = number(last_id, "a cursor")?;
        writing!(self, OPERATION, |tx, Db| {
            sqlx::query::<Db>(
                "UPDATE outbox SET delivered = TRUE WHERE id <= $1 AND NOT delivered",
            )
            .bind(last_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(OPERATION))?;
            sqlx::query::<Db>("DELETE FROM outbox WHERE id <= $1 AND delivered")
                .bind(oldest_kept)
                .execute(&mut *tx)
                .await
                .map_err(failed(OPERATION))?;
        });
        Ok(())
    }
}
