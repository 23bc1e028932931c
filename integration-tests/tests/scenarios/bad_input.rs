//! Malformed, oversized and wrong-typed bodies and WebSocket messages, and transactions that cannot be right: each is
//! refused with the error that the specification names, no connection and no service dies of it, no block comes of it,
//! and the chain works afterwards.

use sidereal_integration_tests::clients::Client;
use sidereal_integration_tests::stack::{SeparateStack, StackOptions};
use sidereal_integration_tests::workspace::within;

use crate::crash::OPTIONS;

#[tokio::test]
async fn bad_input_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    within("bad-input", async |workspace| {
        let options = StackOptions { block_ms: 700, prover: false, ..OPTIONS };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        Client::BadInput.run(stack.endpoint(), &accounts[0], workspace.path()).await?;
        stack.proxy.check().await?;
        stack.wait_until_ready().await
    })
    .await
}
