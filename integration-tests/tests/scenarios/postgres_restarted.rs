//! PostgreSQL is killed and started again while load runs. A block is one database transaction, so there is all of it
//! or nothing; nothing is acknowledged that is not in the database. Every transaction is executed exactly once, and
//! every block is proven.

use std::time::Duration;

use sidereal_integration_tests::workspace::within;

use crate::crash::{boot, survive};

const DOWN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_restart_of_postgres_loses_nothing() -> anyhow::Result<()> {
    within("postgres-restarted", async |workspace| {
        let mut stack = boot(workspace).await?;
        survive(&mut stack, workspace, 1, async |stack| {
            stack.postgres.kill()?;
            tokio::time::sleep(DOWN).await;
            stack.postgres.restart().await
        })
        .await
    })
    .await
}
