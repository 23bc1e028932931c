//! The handle: opening, bounds, and signs of life.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use starknet_api::core::ChainId;

use crate::backend::{Backend, failed, reading, writing};
use crate::error::ChainStoreError;
use crate::nodes::NodeCache;

type Result<T> = std::result::Result<T, ChainStoreError>;

static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Bounds of a store handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainStoreLimits {
    /// Connections to PostgreSQL, or readers of SQLite (which has one writer besides).
    pub connections: u32,
    /// How long a call waits for a connection, in milliseconds; for SQLite also for a lock.
    pub busy_timeout_ms: u64,
    /// Trie nodes kept in memory (some 150 bytes each).
    pub cached_nodes: usize,
    /// Contract leaves kept in memory (some 150 bytes each).
    pub cached_leaves: usize,
    /// Most events that one page looks at.
    pub events_scanned_per_page: u32,
    /// Removals from the mempool that are remembered.
    pub removals_kept: u64,
    /// Delivered outbox rows that are kept.
    pub delivered_kept: u64,
}

impl Default for ChainStoreLimits {
    fn default() -> Self {
        Self {
            connections: 8,
            busy_timeout_ms: 10_000,
            cached_nodes: 262_144,
            cached_leaves: 65_536,
            events_scanned_per_page: 10_000,
            removals_kept: 100_000,
            delivered_kept: 10_000,
        }
    }
}

/// A handle of the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct ChainStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Backend,
    limits: ChainStoreLimits,
    cache: NodeCache,
}

impl ChainStore {
    /// Opens a database for writing and brings its schema up to date: `postgres://…`, or `sqlite://path`, whose
    /// file is created when it is not there. Only one process may write a chain.
    ///
    /// # Errors
    /// [`ChainStoreError::Url`], [`ChainStoreError::Connect`], [`ChainStoreError::Migrate`].
    pub async fn connect(url: &str, limits: ChainStoreLimits) -> Result<Self> {
        let store = Self::open(url, limits, false).await?;
        let migrated = match store.backend() {
            Backend::Postgres { pool, .. } => POSTGRES_MIGRATIONS.run(pool).await,
            Backend::Sqlite { writer: Some(pool), .. } => SQLITE_MIGRATIONS.run(pool).await,
            Backend::Sqlite { writer: None, .. } => Ok(()),
        };
        migrated.map_err(ChainStoreError::Migrate)?;
        Ok(store)
    }

    /// Opens a database for reading only.
    ///
    /// # Errors
    /// [`ChainStoreError::Schema`] while the writer has not created the schema that this version reads, and as
    /// [`Self::connect`]. A SQLite file that does not exist is a [`ChainStoreError::Connect`].
    pub async fn connect_reader(url: &str, limits: ChainStoreLimits) -> Result<Self> {
        let store = Self::open(url, limits, true).await?;
        let migrations = match store.backend() {
            Backend::Postgres { .. } => &POSTGRES_MIGRATIONS,
            Backend::Sqlite { .. } => &SQLITE_MIGRATIONS,
        };
        let expected = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
        let found: std::result::Result<Option<i64>, sqlx::Error> = reading!(store, |pool, Db| {
            sqlx::query_scalar::<Db, Option<i64>>(
                "SELECT MAX(version) FROM _sqlx_migrations WHERE success",
            )
            .fetch_one(pool)
            .await
        });
        match found {
            Ok(Some(version)) if version >= expected => Ok(store),
            Ok(found) => Err(ChainStoreError::Schema { found, expected }),
            // There is no such table before the first migration.
            Err(sqlx::Error::Database(_)) => Err(ChainStoreError::Schema { found: None, expected }),
            Err(source) => Err(failed("reading the schema's version")(source)),
        }
    }

    async fn open(url: &str, limits: ChainStoreLimits, read_only: bool) -> Result<Self> {
        let wait = Duration::from_millis(limits.busy_timeout_ms);
        let backend = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|error| ChainStoreError::Url { reason: error.to_string() })?
                // Whatever the server's default is: what a commit acknowledged is on disk.
                .options([("synchronous_commit", "on")])
                .options(read_only.then_some(("default_transaction_read_only", "on")));
            let pool = PgPoolOptions::new()
                .max_connections(limits.connections.max(1))
                .acquire_timeout(wait)
                .connect_with(options)
                .await
                .map_err(|source| ChainStoreError::Connect { backend: "PostgreSQL", source })?;
            Backend::Postgres { pool, read_only }
        } else if url.starts_with("sqlite://") {
            open_sqlite(url, &limits, read_only).await?
        } else {
            let scheme = url.split("://").next().unwrap_or_default();
            let reason = format!("its scheme is {scheme:?}, not postgres:// or sqlite://");
            return Err(ChainStoreError::Url { reason });
        };
        let cache = NodeCache::new(limits.cached_nodes, limits.cached_leaves);
        Ok(Self { inner: Arc::new(Inner { backend, limits, cache }) })
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.inner.backend
    }

    pub(crate) fn limits(&self) -> &ChainStoreLimits {
        &self.inner.limits
    }

    pub(crate) fn cache(&self) -> &NodeCache {
        &self.inner.cache
    }

    /// Pins the chain id on first use, and refuses another one ever after.
    ///
    /// # Errors
    /// [`ChainStoreError::OtherChain`] when the database holds another chain.
    pub async fn ensure_chain(&self, chain_id: &ChainId) -> Result<()> {
        const OPERATION: &str = "pinning the chain id";
        const SELECT: &str = "SELECT chain_id FROM chain WHERE singleton = 1";
        let expected = chain_id.to_string();
        let stored: Option<String> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, String>(SELECT).fetch_optional(pool).await
        })
        .map_err(failed(OPERATION))?;
        let stored = match stored {
            Some(stored) => stored,
            None => writing!(self, OPERATION, |tx, Db| {
                sqlx::query::<Db>(
                    "INSERT INTO chain (singleton, chain_id) VALUES (1, $1) ON CONFLICT DO NOTHING",
                )
                .bind(expected.as_str())
                .execute(&mut *tx)
                .await
                .map_err(failed(OPERATION))?;
                sqlx::query_scalar::<Db, String>(SELECT)
                    .fetch_one(&mut *tx)
                    .await
                    .map_err(failed(OPERATION))?
            }),
        };
        if stored == expected {
            Ok(())
        } else {
            Err(ChainStoreError::OtherChain { stored, expected })
        }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`] when there is none.
    pub async fn ping(&self) -> Result<()> {
        reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, i64>("SELECT COUNT(*) FROM chain").fetch_one(pool).await
        })
        .map(|_| ())
        .map_err(failed("asking for a sign of life"))
    }

    /// Closes all connections, after the calls that are under way. Later calls fail.
    pub async fn close(&self) {
        match self.backend() {
            Backend::Postgres { pool, .. } => pool.close().await,
            Backend::Sqlite { reader, writer } => {
                reader.close().await;
                if let Some(writer) = writer {
                    writer.close().await;
                }
            }
        }
    }
}

async fn open_sqlite(url: &str, limits: &ChainStoreLimits, read_only: bool) -> Result<Backend> {
    let connect = |source| ChainStoreError::Connect { backend: "SQLite", source };
    let path = url.trim_start_matches("sqlite://");
    if path.is_empty() || path.starts_with(":memory:") || url.contains("mode=memory") {
        // Readers and the writer would see different databases, and nothing would survive.
        return Err(ChainStoreError::Url { reason: "SQLite needs a file".to_owned() });
    }
    let wait = Duration::from_millis(limits.busy_timeout_ms);
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| ChainStoreError::Url { reason: error.to_string() })?
        .busy_timeout(wait)
        // What a commit acknowledged survives a loss of power.
        .synchronous(SqliteSynchronous::Full);
    let writer = if read_only {
        None
    } else {
        let options = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(wait)
            .connect_with(options)
            .await
            .map_err(connect)?;
        Some(pool)
    };
    // After the writer, which creates the file.
    let reader = SqlitePoolOptions::new()
        .max_connections(limits.connections.max(1))
        .acquire_timeout(wait)
        .connect_with(options.read_only(true))
        .await
        .map_err(connect)?;
    Ok(Backend::Sqlite { reader, writer })
}
