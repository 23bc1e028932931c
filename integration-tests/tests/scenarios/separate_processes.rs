//! Each service a process of its own, on real NATS and PostgreSQL: the same clients, the same answers, the same
//! proof.

use sidereal_integration_tests::stack::{SeparateStack, StackOptions};
use sidereal_integration_tests::workspace::within;

use crate::clients::exercise;
use crate::crash::OPTIONS;

#[tokio::test]
async fn clients_use_separate_processes_and_the_proof_verifies() -> anyhow::Result<()> {
    within("separate-processes", async |workspace| {
        let options = StackOptions { block_ms: 1_000, ..OPTIONS };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        let proof_store = stack.proof_store().to_owned();
        exercise(&mut stack.proxy, &proof_store, &accounts, workspace).await
    })
    .await
}
