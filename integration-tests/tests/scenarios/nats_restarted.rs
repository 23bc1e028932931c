//! NATS is killed and started again while load runs, when a proof is being made and another block is open. Events only
//! wake someone up: blocks go on being closed without it, jobs are durable, and the services find it again. Every
//! transaction is executed exactly once, and every block is proven.

use std::time::Duration;

use sidereal_integration_tests::stack::Service;
use sidereal_integration_tests::workspace::within;

use crate::crash::{LIMIT, PROVING, boot, open_block, survive};

/// As long as a block is open, so that one is closed without the bus.
const DOWN: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_restart_of_nats_loses_nothing() -> anyhow::Result<()> {
    within("nats-restarted", async |workspace| {
        let mut stack = boot(workspace).await?;
        survive(&mut stack, workspace, 1, async |stack| {
            stack.until_said(Service::ProverWorker, PROVING, LIMIT).await?;
            open_block(stack).await?;
            stack.nats.kill()?;
            tokio::time::sleep(DOWN).await;
            stack.nats.restart()?;
            Ok(())
        })
        .await
    })
    .await
}
