//! Why an operation on the chain store failed.

use starknet_api::block::{BlockHash, BlockNumber};

/// Every error of this crate: the operation that failed and its object; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum ChainStoreError {
    /// The URL's scheme is neither `postgres://` nor `sqlite://`, or the URL is malformed.
    #[error("the chain store's URL is not supported: {reason}")]
    Url {
        /// What is wrong with it. Never holds the password.
        reason: String,
    },
    /// The database cannot be reached or opened.
    #[error("connecting to the chain store's {backend} database failed")]
    Connect {
        /// `PostgreSQL` or `SQLite`.
        backend: &'static str,
        /// The database's answer.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date, or is not there yet (for readers).
    #[error("preparing the chain store's schema failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The writer has not created the schema yet, or has an older version.
    #[error("the chain store's schema has version {found:?}, and version {expected} is needed")]
    Schema {
        /// The version in the database; `None` when there is no schema.
        found: Option<i64>,
        /// The version that this program reads.
        expected: i64,
    },
    /// A query failed.
    #[error("{operation} failed in the database")]
    Query {
        /// What was being done.
        operation: &'static str,
        /// The database's answer.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not hold what this crate writes.
    #[error("{object} in the chain store is damaged: {reason}")]
    Damaged {
        /// Which row.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// A value could not be encoded for storage.
    #[error("encoding {object} for the chain store failed")]
    Encode {
        /// Which value.
        object: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A block does not continue the head.
    #[error(
        "block {number} with parent {parent_hash} does not continue the chain, whose head is {head:?}"
    )]
    Discontinuity {
        /// Number of the refused block.
        number: BlockNumber,
        /// Its parent hash.
        parent_hash: BlockHash,
        /// The head it should have continued: number and hash.
        head: Option<(BlockNumber, BlockHash)>,
    },
    /// The parts of a block contradict each other.
    #[error("block {number} is inconsistent: {reason}")]
    Inconsistent {
        /// Number of the refused block.
        number: BlockNumber,
        /// The contradiction.
        reason: String,
    },
    /// The database holds another chain.
    #[error("the chain store holds chain {stored:?}, not {expected:?}")]
    OtherChain {
        /// The chain id in the database.
        stored: String,
        /// The chain id asked for.
        expected: String,
    },
    /// A continuation token that this store did not make.
    #[error("continuation token {token:?} is malformed")]
    ContinuationToken {
        /// The token.
        token: String,
    },
    /// A write through a handle that was opened for reading.
    #[error("{operation} refused: this handle of the chain store only reads")]
    ReadOnly {
        /// What was being done.
        operation: &'static str,
    },
}

impl ChainStoreError {
    /// Whether the same call can succeed later without anybody changing anything: the database was busy,
    /// unreachable or restarting.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { source, .. } | Self::Query { source, .. } => match source {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
                sqlx::Error::Database(error) => {
                    error.code().is_some_and(|code| is_transient_code(&code))
                }
                _ => false,
            },
            // The writer may be starting.
            Self::Schema { .. } => true,
            _ => false,
        }
    }
}

/// SQLSTATE (five characters): classes 08 connection, 40 rollback, 53 resources, 57P shutdown. SQLite: result
/// codes 5 (busy) and 6 (locked), whose extensions are in the higher bits.
fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}
