//! The proof store is killed while load runs, and is down when a block is closed, whose event meets no planner; and
//! again when a proof is made, which the worker wants to hand in. The planner finds what has no proof, the worker tries
//! again, and every block gets its proof.

use std::time::Duration;

use sidereal_integration_tests::load::{Load, executed_exactly_once};
use sidereal_integration_tests::stack::{SeparateStack, Service, StackOptions, verify};
use sidereal_integration_tests::workspace::within;

use crate::crash::{INTERVAL, LIMIT, OPTIONS, PROOF_MADE, PROVING, open_block};

/// Long enough for the worker to have tried, and to have failed.
const DOWN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_killed_proof_store_loses_no_proof() -> anyhow::Result<()> {
    within("proof-store-killed", async |workspace| {
        // Long blocks: what is closed while the first proof is awaited has to be proven, too.
        let options = StackOptions { block_ms: 6_000, ..OPTIONS };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        let mut load = Load::start(stack.endpoint(), &accounts[..1], INTERVAL, workspace.path())?;
        open_block(&stack).await?;
        stack.crash(Service::ProofStore)?;
        stack.rpc().until_closed(1, LIMIT).await?;
        stack.start_service(Service::ProofStore)?;

        // And again, until the worker has made a proof that nobody takes.
        stack.until_said(Service::ProverWorker, PROVING, LIMIT).await?;
        open_block(&stack).await?;
        stack.crash(Service::ProofStore)?;
        load.go_on(2, LIMIT).await?;
        let sent = load.stop().await?;
        stack.until_said(Service::ProverWorker, PROOF_MADE, LIMIT).await?;
        tokio::time::sleep(DOWN).await;
        stack.start_service(Service::ProofStore)?;
        stack.wait_until_ready().await?;

        executed_exactly_once(stack.rpc(), &sent).await?;
        stack.every_block_is_proven().await?;
        let hash = sent
            .iter()
            .find_map(|transfer| transfer.hash.as_deref())
            .expect("no failure met the gateway");
        verify(hash, stack.endpoint(), stack.proof_store(), workspace).await?;
        stack.proxy.check().await?;
        Ok(())
    })
    .await
}
