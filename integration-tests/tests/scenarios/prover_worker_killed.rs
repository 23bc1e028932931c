//! The prover-worker is killed in the middle of a proof. Its lease runs out, the job is delivered again, and every block
//! gets its proof.

use std::time::Duration;

use sidereal_integration_tests::load::{Load, executed_exactly_once};
use sidereal_integration_tests::stack::{SeparateStack, Service, StackOptions, verify};
use sidereal_integration_tests::workspace::within;

/// A proof takes longer than this, and has begun by then.
const INTO_THE_PROOF: Duration = Duration::from_secs(12);

#[tokio::test]
async fn a_killed_prover_worker_loses_no_proof() -> anyhow::Result<()> {
    within("prover-worker-killed", async |workspace| {
        let options = StackOptions { block_ms: 4_000, prover: true, settles: false };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        let mut load = Load::start(
            stack.endpoint(),
            &accounts[..1],
            Duration::from_millis(500),
            workspace.path(),
        )?;
        load.go_on(4, Duration::from_secs(60)).await?;
        let sent = load.stop().await?;
        executed_exactly_once(stack.rpc(), &sent).await?;

        tokio::time::sleep(INTO_THE_PROOF).await;
        stack.crash(Service::ProverWorker)?;
        stack.start_service(Service::ProverWorker)?;

        stack.every_block_is_proven().await?;
        let hash = sent
            .iter()
            .find_map(|transfer| transfer.hash.as_deref())
            .expect("no failure met the load");
        verify(hash, stack.endpoint(), stack.proof_store(), workspace).await?;
        Ok(())
    })
    .await
}
