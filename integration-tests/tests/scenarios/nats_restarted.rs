//! NATS is killed and started again while load runs. Events only wake someone up: blocks go on being closed without it,
//! the services find it again, and every transaction is executed exactly once.

use std::time::Duration;

use sidereal_integration_tests::workspace::within;

use crate::crash::{boot, survive};

/// Long enough for a block to be closed without the bus.
const DOWN: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_restart_of_nats_loses_nothing() -> anyhow::Result<()> {
    within("nats-restarted", async |workspace| {
        let mut stack = boot(workspace).await?;
        survive(&mut stack, workspace, 1, async |stack| {
            stack.nats.kill()?;
            tokio::time::sleep(DOWN).await;
            stack.nats.restart()?;
            Ok(())
        })
        .await
    })
    .await
}
