//! The proof store is killed before a proof is done, and is down when the worker wants to hand it in. The worker tries
//! again, the planner finds what has no proof, and every block gets one.

use std::time::Duration;

use sidereal_integration_tests::load::{Load, executed_exactly_once};
use sidereal_integration_tests::stack::{SeparateStack, Service, StackOptions, verify};
use sidereal_integration_tests::workspace::within;

const DOWN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_killed_proof_store_loses_no_proof() -> anyhow::Result<()> {
    within("proof-store-killed", async |workspace| {
        let options = StackOptions { block_ms: 4_000, prover: true, settles: false };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        // The events of the first blocks meet no planner.
        stack.crash(Service::ProofStore)?;
        let mut load = Load::start(
            stack.endpoint(),
            &accounts[..1],
            Duration::from_millis(500),
            workspace.path(),
        )?;
        load.go_on(3, Duration::from_secs(60)).await?;
        let sent = load.stop().await?;
        executed_exactly_once(stack.rpc(), &sent).await?;
        stack.start_service(Service::ProofStore)?;
        stack.wait_until_ready().await?;

        // And again, while the worker proves.
        tokio::time::sleep(Duration::from_secs(10)).await;
        stack.crash(Service::ProofStore)?;
        tokio::time::sleep(DOWN).await;
        stack.start_service(Service::ProofStore)?;

        stack.every_block_is_proven().await?;
        let hash = sent
            .iter()
            .find_map(|transfer| transfer.hash.as_deref())
            .expect("no failure met the gateway");
        verify(hash, stack.endpoint(), stack.proof_store(), workspace).await?;
        Ok(())
    })
    .await
}
