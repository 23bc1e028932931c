//! Which block has which proof, and which batch which steps: tables in PostgreSQL or SQLite.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use starknet_types_core::felt::Felt;

use crate::config::DatabaseConfig;

/// A proof that was verified and is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredProof {
    pub block_number: u64,
    pub block_hash: Felt,
    /// SHA-256 of the serialised proof, in hexadecimal.
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
    /// What an aggregation needs of the output that the proof binds.
    pub aggregation: AggregatedBlock,
}

/// A block to be aggregated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregatedBlock {
    /// The felt that the bootloader wrote: the hash of StarknetOS' program and output.
    pub claim: Felt,
    /// What the block adds to the aggregator's proof: see `AggregatorLoad`.
    pub values: u64,
    /// As `values`.
    pub blake: u64,
    /// Felts of the compressed state diff.
    pub data_felts: u64,
    /// Felts of the messages to L1, three and the payload each.
    #[serde(default)]
    pub message_felts: u64,
}

/// A failure of the index's database.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("opening the proof index failed")]
    Open(#[source] sqlx::Error),
    #[error("migrating the proof index failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("{operation} failed")]
    Query {
        operation: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("the entry of block {block_number} in the proof index cannot be read")]
    Damaged {
        block_number: i64,
        #[source]
        source: serde_json::Error,
    },
    #[error("the entry of step {name} in the proof index cannot be read")]
    DamagedStep {
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("block number {0} is out of range")]
    OutOfRange(u64),
    #[error("a batch in the proof index has the number {0}")]
    Negative(i64),
}

#[derive(Clone, Debug)]
enum Backend {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// The table of proofs.
#[derive(Clone, Debug)]
pub struct ProofIndex {
    backend: Backend,
}

/// The same statement for either database: both know `$1` and `ON CONFLICT`.
macro_rules! on_backend {
    ($index:expr, |$pool:ident| $body:expr) => {
        match &$index.backend {
            Backend::Postgres($pool) => $body,
            Backend::Sqlite($pool) => $body,
        }
    };
}

mod batches;

pub use batches::{BatchProgress, StoredBatch, StoredStep};

type Row = (i64, String);

impl ProofIndex {
    /// Opens the database, creating the table if it is not there.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, IndexError> {
        let backend = if config.url.starts_with("postgres://") {
            let pool = PgPoolOptions::new()
                .max_connections(config.connections)
                .connect(&config.url)
                .await
                .map_err(IndexError::Open)?;
            sqlx::migrate!("migrations/postgres").run(&pool).await.map_err(IndexError::Migrate)?;
            Backend::Postgres(pool)
        } else {
            let options = SqliteConnectOptions::from_str(&config.url)
                .map_err(IndexError::Open)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // What was acknowledged must survive the machine, not only the process.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(std::time::Duration::from_secs(10));
            let pool = SqlitePoolOptions::new()
                .max_connections(config.connections)
                .connect_with(options)
                .await
                .map_err(IndexError::Open)?;
            sqlx::migrate!("migrations/sqlite").run(&pool).await.map_err(IndexError::Migrate)?;
            Backend::Sqlite(pool)
        };
        Ok(Self { backend })
    }

    /// Adds a proof; a block that has one keeps the first. Whether it was added.
    pub async fn insert(&self, proof: &StoredProof) -> Result<bool, IndexError> {
        let number = number(proof.block_number)?;
        let hash = proof.block_hash.to_bytes_be().to_vec();
        let json = serde_json::to_string(proof)
            .map_err(|source| IndexError::Damaged { block_number: number, source })?;
        on_backend!(self, |pool| {
            sqlx::query(
                "INSERT INTO proofs (block_number, block_hash, proof) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(number)
            .bind(hash)
            .bind(json)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() == 1)
        })
        .map_err(failed("adding a proof to the index"))
    }

    /// The proof of a block, by number.
    pub async fn by_number(&self, block_number: u64) -> Result<Option<StoredProof>, IndexError> {
        let number = number(block_number)?;
        let row: Option<Row> = on_backend!(self, |pool| {
            sqlx::query_as("SELECT block_number, proof FROM proofs WHERE block_number = $1")
                .bind(number)
                .fetch_optional(pool)
                .await
        })
        .map_err(failed("reading a proof's entry"))?;
        row.map(read).transpose()
    }

    /// The proof of a block, by hash.
    pub async fn by_hash(&self, hash: &Felt) -> Result<Option<StoredProof>, IndexError> {
        let hash = hash.to_bytes_be().to_vec();
        let row: Option<Row> = on_backend!(self, |pool| {
            sqlx::query_as("SELECT block_number, proof FROM proofs WHERE block_hash = $1")
                .bind(hash)
                .fetch_optional(pool)
                .await
        })
        .map_err(failed("reading a proof's entry"))?;
        row.map(read).transpose()
    }

    /// Proofs from block `first` on, in order, at most `limit`.
    pub async fn from(&self, first: u64, limit: u32) -> Result<Vec<StoredProof>, IndexError> {
        let first = number(first)?;
        let rows: Vec<Row> = on_backend!(self, |pool| {
            sqlx::query_as(
                "SELECT block_number, proof FROM proofs WHERE block_number >= $1 \
                 ORDER BY block_number LIMIT $2",
            )
            .bind(first)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("listing proofs"))?;
        rows.into_iter().map(read).collect()
    }
}

fn number(block_number: u64) -> Result<i64, IndexError> {
    i64::try_from(block_number).map_err(|_| IndexError::OutOfRange(block_number))
}

fn read((block_number, json): Row) -> Result<StoredProof, IndexError> {
    serde_json::from_str(&json).map_err(|source| IndexError::Damaged { block_number, source })
}

fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> IndexError {
    move |source| IndexError::Query { operation, source }
}

#[cfg(test)]
mod tests {
    use sidereal_chain_store::test_support::PostgresServer;

    use super::*;

    /// Runs a test over an empty database of either kind.
    pub(super) async fn on_both(connections: u32, test: impl AsyncFn(DatabaseConfig)) {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", folder.path().join("proofs.db").display());
        let server = PostgresServer::shared().unwrap();
        for url in [file, server.create_database().await.unwrap()] {
            test(DatabaseConfig { url, connections }).await;
        }
    }

    fn proof(block_number: u64) -> StoredProof {
        StoredProof {
            block_number,
            block_hash: Felt::from(block_number + 1_000),
            digest: "00".repeat(32),
            size_bytes: 5,
            key: format!("proofs/{block_number}-0x1.bin"),
            stored_at: 1,
            worker: "w".into(),
            cairo_steps: 2,
            total_ms: 3,
            prove_ms: 4,
            peak_memory_bytes: 5,
            aggregation: AggregatedBlock {
                claim: Felt::TWO,
                values: 7,
                blake: 8,
                data_felts: 9,
                message_felts: 10,
            },
        }
    }

    /// Pins down that entries survive a restart, that the first of two stays, and the order of lists.
    #[tokio::test]
    async fn entries_are_kept_and_found() {
        on_both(2, keep_and_find).await;
    }

    async fn keep_and_find(config: DatabaseConfig) {
        let index = ProofIndex::open(&config).await.unwrap();
        for block in [3, 1, 2] {
            assert!(index.insert(&proof(block)).await.unwrap());
        }
        let late = StoredProof { worker: "late".into(), ..proof(2) };
        assert!(!index.insert(&late).await.unwrap());
        drop(index);

        let index = ProofIndex::open(&config).await.unwrap();
        assert_eq!(index.by_number(2).await.unwrap(), Some(proof(2)));
        assert_eq!(index.by_hash(&Felt::from(1_003)).await.unwrap(), Some(proof(3)));
        assert_eq!(index.by_number(4).await.unwrap(), None);
        assert_eq!(index.from(2, 10).await.unwrap(), [proof(2), proof(3)]);
        assert_eq!(index.from(0, 1).await.unwrap(), [proof(1)]);
        assert!(matches!(index.by_number(u64::MAX).await, Err(IndexError::OutOfRange(_))));
    }
}
