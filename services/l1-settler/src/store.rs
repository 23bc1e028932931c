//! The settler's tables: who sends, and what was sent. PostgreSQL or SQLite.
//!
//! L1 is the truth. Losing these tables costs no more than a doubled fee: without them, the settler does not know what
//! it offered for the transaction that is in the pool, and finds out by offering more.

use std::str::FromStr as _;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use sidereal_settlement::Fees;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::config::DatabaseConfig;
use crate::step::Sent;

/// Transactions with so much lower a nonce are forgotten.
const KEPT_NONCES: u64 = 1_000;

/// A failure of the settler's database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("opening the settler's database failed")]
    Open(#[source] sqlx::Error),
    /// Its tables cannot be made.
    #[error("migrating the settler's database failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("{operation} failed")]
    Query {
        /// What it was for.
        operation: &'static str,
        /// Its cause.
        #[source]
        source: sqlx::Error,
    },
    /// A number is none of ours.
    #[error("{what} in the settler's database is out of range")]
    OutOfRange {
        /// Which.
        what: &'static str,
    },
    /// Another settler is the leader now.
    #[error("the lease was lost: another settler sends")]
    LeaseLost,
}

#[derive(Clone, Debug)]
enum Backend {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// The tables.
#[derive(Clone, Debug)]
pub struct SettlerStore {
    backend: Backend,
}

/// The right to send, as of when it was given. Every write of what is sent shows it (a fencing token).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    holder: String,
    token: i64,
}

/// Milliseconds since the Unix epoch by the database's clock: settlers on several machines have several clocks.
macro_rules! pg_now {
    () => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
}
macro_rules! sqlite_now {
    () => {
        "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    };
}

macro_rules! acquire {
    ($now:expr) => {
        concat!(
            "INSERT INTO leader (id, holder, token, until_ms) VALUES (1, $1, 1, ",
            $now,
            " + $2) ON CONFLICT (id) DO UPDATE SET token = leader.token + \
             CASE WHEN leader.holder = excluded.holder THEN 0 ELSE 1 END, \
             holder = excluded.holder, until_ms = excluded.until_ms \
             WHERE leader.holder = excluded.holder OR leader.until_ms < ",
            $now,
            " RETURNING token"
        )
    };
}

macro_rules! record {
    ($now:expr) => {
        concat!(
            "INSERT INTO transactions (chain_id, account, nonce, hash, previous_block, new_block, \
             max_fee_per_gas, max_priority_fee_per_gas, max_fee_per_blob_gas, sent_at_block) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE EXISTS (SELECT 1 FROM leader \
             WHERE holder = $11 AND token = $12 AND until_ms >= ",
            $now,
            ") ON CONFLICT (chain_id, account, nonce, hash) \
             DO UPDATE SET sent_at_block = excluded.sent_at_block"
        )
    };
}

macro_rules! on_backend {
    ($store:expr, |$pool:ident, $sql:ident = ($postgres:expr, $sqlite:expr)| $body:expr) => {
        match &$store.backend {
            Backend::Postgres($pool) => {
                let $sql = $postgres;
                $body
            }
            Backend::Sqlite($pool) => {
                let $sql = $sqlite;
                $body
            }
        }
    };
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.backend {
            Backend::Postgres($pool) => $body,
            Backend::Sqlite($pool) => $body,
        }
    };
}

type Row = (i64, Vec<u8>, i64, i64, i64, i64, i64, i64);

impl SettlerStore {
    /// Opens the database, creating the tables if they are not there.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let backend = if config.url.starts_with("postgres://") {
            let pool = PgPoolOptions::new()
                .max_connections(config.connections)
                .connect(&config.url)
                .await
                .map_err(StoreError::Open)?;
            sqlx::migrate!("migrations/postgres").run(&pool).await.map_err(StoreError::Migrate)?;
            Backend::Postgres(pool)
        } else {
            let options = SqliteConnectOptions::from_str(&config.url)
                .map_err(StoreError::Open)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // What was written down must survive the machine, not only the process.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(10));
            let pool = SqlitePoolOptions::new()
                .max_connections(config.connections)
                .connect_with(options)
                .await
                .map_err(StoreError::Open)?;
            sqlx::migrate!("migrations/sqlite").run(&pool).await.map_err(StoreError::Migrate)?;
            Backend::Sqlite(pool)
        };
        Ok(Self { backend })
    }

    /// Takes the lease, or takes it for longer. None while somebody else holds it.
    pub async fn lead(
        &self,
        holder: &str,
        duration: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let duration = number("a lease's duration", duration.as_millis())?;
        let row: Option<(i64,)> = on_backend!(
            self,
            |pool, sql = (acquire!(pg_now!()), acquire!(sqlite_now!()))| {
                sqlx::query_as(sql).bind(holder).bind(duration).fetch_optional(pool).await
            }
        )
        .map_err(failed("taking the lease"))?;
        Ok(row.map(|(token,)| Lease { holder: holder.to_owned(), token }))
    }

    /// Gives the lease back, so that the next settler need not wait for its end.
    pub async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        on_backend!(self, |pool| {
            sqlx::query("UPDATE leader SET until_ms = 0 WHERE holder = $1")
                .bind(holder)
                .execute(pool)
                .await
                .map(|_| ())
        })
        .map_err(failed("giving the lease back"))
    }

    /// Writes a transaction down that is about to be sent.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when another settler has the lease by now: then it must not be sent.
    pub async fn record(
        &self,
        lease: &Lease,
        chain_id: u64,
        account: Address,
        sent: &Sent,
    ) -> Result<(), StoreError> {
        let fees = &sent.fees;
        let chain = number("a chain id", chain_id)?;
        let nonce = number("a nonce", sent.nonce)?;
        let previous_block = number("a block number", sent.previous_block)?;
        let new_block = number("a block number", sent.new_block)?;
        let fee = number("a fee", fees.max_fee_per_gas)?;
        let tip = number("a fee", fees.max_priority_fee_per_gas)?;
        let blob_fee = number("a fee", fees.max_fee_per_blob_gas)?;
        let at = number("a block number", sent.sent_at_block)?;
        let written = on_backend!(
            self,
            |pool, sql = (record!(pg_now!()), record!(sqlite_now!()))| {
                sqlx::query(sql)
                    .bind(chain)
                    .bind(account.to_vec())
                    .bind(nonce)
                    .bind(sent.hash.to_vec())
                    .bind(previous_block)
                    .bind(new_block)
                    .bind(fee)
                    .bind(tip)
                    .bind(blob_fee)
                    .bind(at)
                    .bind(&lease.holder)
                    .bind(lease.token)
                    .execute(pool)
                    .await
                    .map(|done| done.rows_affected())
            }
        )
        .map_err(failed("writing a transaction down"))?;
        if written == 0 {
            return Err(StoreError::LeaseLost);
        }
        let oldest = number("a nonce", sent.nonce.saturating_sub(KEPT_NONCES))?;
        on_backend!(self, |pool| {
            sqlx::query(
                "DELETE FROM transactions WHERE chain_id = $1 AND account = $2 AND nonce < $3",
            )
            .bind(chain)
            .bind(account.to_vec())
            .bind(oldest)
            .execute(pool)
            .await
            .map(|_| ())
        })
        .map_err(failed("forgetting old transactions"))
    }

    /// The transaction of that nonce that offers the most, which is the last one.
    pub async fn last_sent(
        &self,
        chain_id: u64,
        account: Address,
        nonce: u64,
    ) -> Result<Option<Sent>, StoreError> {
        let chain = number("a chain id", chain_id)?;
        let wanted = number("a nonce", nonce)?;
        let row: Option<Row> = on_backend!(self, |pool| {
            sqlx::query_as(
                "SELECT nonce, hash, previous_block, new_block, max_fee_per_gas, \
                 max_priority_fee_per_gas, max_fee_per_blob_gas, sent_at_block FROM transactions \
                 WHERE chain_id = $1 AND account = $2 AND nonce = $3 \
                 ORDER BY max_priority_fee_per_gas DESC, max_fee_per_gas DESC, \
                 max_fee_per_blob_gas DESC, sent_at_block DESC LIMIT 1",
            )
            .bind(chain)
            .bind(account.to_vec())
            .bind(wanted)
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading what was sent"))?;
        let Some((_, hash, previous, new, fee, tip, blob_fee, at)) = row else { return Ok(None) };
        Ok(Some(Sent {
            nonce,
            hash: B256::try_from(&hash[..])
                .map_err(|_| StoreError::OutOfRange { what: "a hash" })?,
            previous_block: back("a block number", previous)?,
            new_block: back("a block number", new)?,
            fees: Fees {
                max_fee_per_gas: back("a fee", fee)?,
                max_priority_fee_per_gas: back("a fee", tip)?,
                max_fee_per_blob_gas: back("a fee", blob_fee)?,
            },
            sent_at_block: back("a block number", at)?,
        }))
    }
}

fn number(what: &'static str, value: impl TryInto<i64>) -> Result<i64, StoreError> {
    value.try_into().map_err(|_| StoreError::OutOfRange { what })
}

fn back<T: TryFrom<i64>>(what: &'static str, value: i64) -> Result<T, StoreError> {
    value.try_into().map_err(|_| StoreError::OutOfRange { what })
}

fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Query { operation, source }
}
