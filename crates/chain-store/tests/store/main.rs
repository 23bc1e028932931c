//! Every scenario runs on SQLite and on a real PostgreSQL server, from the same code.

mod chain;
mod crash;
mod events;
mod mempool;
mod opening;
mod reads;
mod refusals;
mod tries;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sidereal_chain_store::test_support::PostgresServer;
use sidereal_chain_store::{ChainStore, ChainStoreLimits};
use sqlx::Connection as _;

/// An empty database of one kind, and what keeps it alive.
pub struct Database {
    pub url: String,
    /// Removed when dropped.
    _folder: tempfile::TempDir,
    _server: Option<Arc<PostgresServer>>,
}

impl Database {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file: PathBuf = folder.path().join("chain.sqlite");
        Self { url: format!("sqlite://{}", file.display()), _folder: folder, _server: None }
    }

    async fn postgres() -> Self {
        let server = PostgresServer::shared().unwrap();
        let url = server.create_database().await.unwrap();
        Self { url, _folder: tempfile::tempdir().unwrap(), _server: Some(server) }
    }

    pub async fn open(&self) -> ChainStore {
        self.open_with(ChainStoreLimits::default()).await
    }

    pub async fn open_with(&self, limits: ChainStoreLimits) -> ChainStore {
        ChainStore::connect(&self.url, limits).await.unwrap()
    }

    /// Waits until the server has noticed that its clients are gone. What a killed client had asked for is carried out,
    /// a commit included, and until then one read of the database may see another state than the next.
    pub async fn forget_the_dead(&self) {
        if self._server.is_none() {
            return;
        }
        let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
        loop {
            let others: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            if others == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        connection.close().await.unwrap();
    }
}

macro_rules! on_both_databases {
    ($($module:ident :: $scenario:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                crate::$module::$scenario(crate::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                crate::$module::$scenario(crate::Database::postgres().await).await;
            })*
        }
    };
}

on_both_databases! {
    reads::a_block_reads_back_as_it_was_written,
    reads::the_state_has_a_history,
    reads::a_block_with_many_rows_is_written_in_one_transaction,
    reads::absent_things_are_none,
    refusals::a_block_that_does_not_continue_the_head_is_refused,
    refusals::a_block_that_contradicts_itself_is_refused,
    refusals::a_constraint_that_fails_in_the_middle_leaves_nothing,
    refusals::a_reader_does_not_write,
    events::every_filter_and_page_size_agrees_with_a_plain_loop,
    events::a_page_ends_at_its_scan_limit_and_the_next_one_goes_on,
    events::a_token_that_is_not_ours_is_refused,
    mempool::a_transaction_waits_until_its_block_is_committed,
    mempool::removals_are_remembered_up_to_a_bound,
    mempool::the_outbox_is_read_by_cursor_and_marked,
    tries::a_chain_of_blocks_updates_its_tries_from_the_store,
    opening::another_chain_is_refused,
    opening::a_reader_waits_for_the_schema,
    opening::finality_moves_up_to_a_block,
    opening::disputes_are_kept,
    crash::a_killed_writer_leaves_whole_blocks,
}
