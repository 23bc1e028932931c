//! The gateway is killed while load runs. It owns nothing: what it acknowledged, the sequencer holds; what it had not
//! acknowledged, the client sends again. Every transaction is executed exactly once, and every block is proven.

use sidereal_integration_tests::stack::Service;
use sidereal_integration_tests::workspace::within;

use crate::crash::{boot, survive};

#[tokio::test]
async fn a_killed_gateway_loses_nothing() -> anyhow::Result<()> {
    within("gateway-killed", async |workspace| {
        let mut stack = boot(workspace).await?;
        survive(&mut stack, workspace, 2, async |stack| {
            stack.crash(Service::Gateway)?;
            stack.start_service(Service::Gateway)
        })
        .await
    })
    .await
}
