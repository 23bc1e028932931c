//! The prover-worker is killed in the middle of a proof, while load runs. Its lease runs out, the job is delivered
//! again, and every block gets its proof.

use std::time::Duration;

use sidereal_integration_tests::load::{Load, executed_exactly_once};
use sidereal_integration_tests::stack::{SeparateStack, Service, StackOptions, verify};
use sidereal_integration_tests::workspace::within;

use crate::crash::{INTERVAL, LIMIT, OPTIONS, PROVING, open_block};

/// A proof takes longer than this.
const INTO_THE_PROOF: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_killed_prover_worker_loses_no_proof() -> anyhow::Result<()> {
    within("prover-worker-killed", async |workspace| {
        // Long blocks: what is closed while the first proof is awaited has to be proven, too.
        let options = StackOptions { block_ms: 6_000, ..OPTIONS };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let accounts = stack.accounts().await?;
        let mut load = Load::start(stack.endpoint(), &accounts[..1], INTERVAL, workspace.path())?;
        stack.until_said(Service::ProverWorker, PROVING, LIMIT).await?;
        tokio::time::sleep(INTO_THE_PROOF).await;
        open_block(&stack).await?;
        stack.crash(Service::ProverWorker)?;
        let early = stack.is_proven(1).await?;
        anyhow::ensure!(!early, "block 1 was proven before the worker was killed");
        load.go_on(2, LIMIT).await?;
        stack.start_service(Service::ProverWorker)?;
        let sent = load.stop().await?;

        executed_exactly_once(stack.rpc(), &sent).await?;
        stack.every_block_is_proven().await?;
        let hash = sent
            .iter()
            .find_map(|transfer| transfer.hash.as_deref())
            .expect("no failure met the load");
        verify(hash, stack.endpoint(), stack.proof_store(), workspace).await?;
        stack.proxy.check().await?;
        Ok(())
    })
    .await
}
