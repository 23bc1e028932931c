//! The executor is killed while load runs, in the middle of a block's stream. The sequencer replays the block on the
//! next one: every acknowledged transaction is executed exactly once.

use sidereal_integration_tests::stack::Service;
use sidereal_integration_tests::workspace::within;

use crate::crash::{boot, survive};

#[tokio::test]
async fn a_killed_executor_loses_nothing() -> anyhow::Result<()> {
    within("executor-killed", async |workspace| {
        let mut stack = boot(workspace).await?;
        survive(&mut stack, workspace, 2, async |stack| {
            stack.crash(Service::Executor)?;
            stack.start_service(Service::Executor)
        })
        .await
    })
    .await
}
