//! The sequencer is killed while load runs, with a block open. The mempool is durable and the open block is executed
//! again: every acknowledged transaction is executed exactly once, and every block is proven.

use sidereal_integration_tests::stack::Service;
use sidereal_integration_tests::workspace::within;

use crate::crash::{boot, survive};

#[tokio::test]
async fn a_killed_sequencer_loses_nothing() -> anyhow::Result<()> {
    within("sequencer-killed", async |workspace| {
        let mut stack = boot(workspace).await?;
        survive(&mut stack, workspace, 2, async |stack| {
            stack.crash(Service::Sequencer)?;
            stack.start_service(Service::Sequencer)
        })
        .await
    })
    .await
}
