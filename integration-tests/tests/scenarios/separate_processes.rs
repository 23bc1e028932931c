//! Each service a process of its own, on real NATS and PostgreSQL: the same clients, the same answers, the same
//! proof.

use sidereal_integration_tests::stack::{SeparateStack, StackOptions};
use sidereal_integration_tests::workspace::within;

use crate::clients::exercise;

#[tokio::test]
async fn clients_use_separate_processes_and_the_proof_verifies() -> anyhow::Result<()> {
    within("separate-processes", async |workspace| {
        let options = StackOptions { block_ms: 1_000, prover: true, settles: false };
        let stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        exercise(stack.endpoint(), stack.proof_store(), &accounts, workspace).await
    })
    .await
}
