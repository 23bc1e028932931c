//! The two databases behind one handle.
//!
//! Every statement is written once, in the SQL that both understand. `sqlx` knows a database by its type, so
//! the macros here compile the same body for each.

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use crate::error::ChainStoreError;

/// Bound on the values of one statement: SQLite takes 32,766, PostgreSQL 65,535.
pub(crate) const MAX_BOUND_VALUES: usize = 32_000;

#[derive(Debug)]
pub(crate) enum Backend {
    Postgres {
        pool: PgPool,
        read_only: bool,
    },
    /// SQLite has one writer at a time anyway; a pool of one makes the others wait here, in order, instead of
    /// failing as busy.
    Sqlite {
        reader: SqlitePool,
        writer: Option<SqlitePool>,
    },
}

/// Runs a query against whichever database there is: `reading!(store, |pool| query.fetch_all(pool).await)`.
macro_rules! reading {
    ($store:expr, |$pool:ident, $Db:ident| $body:expr) => {
        match $store.backend() {
            $crate::backend::Backend::Postgres { pool: $pool, .. } => {
                #[allow(dead_code)]
                type $Db = sqlx::Postgres;
                $body
            }
            $crate::backend::Backend::Sqlite { reader: $pool, .. } => {
                #[allow(dead_code)]
                type $Db = sqlx::Sqlite;
                $body
            }
        }
    };
}

/// Runs a body inside one transaction, which is committed when the body comes to its end, and rolled back when
/// it leaves early with `?`. The value is the body's.
macro_rules! writing {
    ($store:expr, $operation:expr, |$tx:ident, $Db:ident| $body:expr) => {
        match $store.backend() {
            $crate::backend::Backend::Postgres { pool, read_only: false } => {
                #[allow(dead_code)]
                type $Db = sqlx::Postgres;
                let mut $tx =
                    pool.begin().await.map_err($crate::backend::failed($operation))?;
                let value = $body;
                $tx.commit().await.map_err($crate::backend::failed($operation))?;
                value
            }
            $crate::backend::Backend::Sqlite { writer: Some(pool), .. } => {
                #[allow(dead_code)]
                type $Db = sqlx::Sqlite;
                // Takes the write lock at once: a transaction that starts as a reader cannot always become a
                // writer.
                let mut $tx = pool
                    .begin_with("BEGIN IMMEDIATE")
                    .await
                    .map_err($crate::backend::failed($operation))?;
                let value = $body;
                $tx.commit().await.map_err($crate::backend::failed($operation))?;
                value
            }
            _ => return Err($crate::error::ChainStoreError::ReadOnly { operation: $operation }),
        }
    };
}

/// Inserts rows with as few statements as the bound on values allows.
macro_rules! insert_rows {
    ($tx:ident, $Db:ident, $operation:expr, $columns:expr, $insert:expr, $tail:expr, $rows:expr,
     |$row:ident, $item:ident| $push:block) => {
        for chunk in $rows.chunks($crate::backend::MAX_BOUND_VALUES / $columns) {
            let mut builder = sqlx::QueryBuilder::<$Db>::new($insert);
            builder.push_values(chunk, |mut $row, $item| $push);
            builder.push($tail);
            builder
                .build()
                .persistent(false)
                .execute(&mut *$tx)
                .await
                .map_err($crate::backend::failed($operation))?;
        }
    };
}

pub(crate) use {insert_rows, reading, writing};

/// Wraps the database's answer.
pub(crate) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> ChainStoreError {
    move |source| ChainStoreError::Query { operation, source }
}
