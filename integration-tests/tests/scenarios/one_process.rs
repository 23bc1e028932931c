//! `sidereal dev`: everything in one process, on SQLite, the embedded bus and the file system. Real clients use it,
//! what it answers is what the specification says, and the block of their first transaction is proven and verified. It has an L1 of its own,
//! with the contracts, which ends with it.

use sidereal_integration_tests::stack::DevStack;
use sidereal_integration_tests::workspace::within;

use crate::clients::exercise;

#[tokio::test]
async fn clients_use_one_process_and_the_proof_verifies() -> anyhow::Result<()> {
    within("one-process", async |workspace| {
        let stack = DevStack::start(workspace).await?;
        let accounts = stack.accounts().await?;
        exercise(stack.endpoint(), stack.proof_store(), &accounts, workspace).await?;
        stack.stop().await
    })
    .await
}
