//! What the failure scenarios share: load, a failure in the middle of it, and the check that every acknowledged
//! transaction was executed exactly once.

use std::time::Duration;

use sidereal_integration_tests::load::{Load, executed_exactly_once};
use sidereal_integration_tests::stack::{SeparateStack, StackOptions};
use sidereal_integration_tests::workspace::Workspace;

/// Between two transfers of one account.
const INTERVAL: Duration = Duration::from_millis(150);
/// Transfers before, between and after failures: enough for several blocks, few enough for a small machine.
const TRANSFERS: usize = 12;
const LIMIT: Duration = Duration::from_secs(120);

/// A stack without a prover and with short blocks, so that a failure meets one that is open.
pub async fn boot(workspace: &Workspace) -> anyhow::Result<SeparateStack> {
    SeparateStack::start(workspace, StackOptions { block_ms: 700, prover: false, settles: false })
        .await
}

/// Runs load, lets `fail` do its work `times` times in the middle of it, and checks what became of every transaction.
pub async fn survive<F>(
    stack: &mut SeparateStack,
    workspace: &Workspace,
    times: usize,
    mut fail: F,
) -> anyhow::Result<()>
where
    F: AsyncFnMut(&mut SeparateStack) -> anyhow::Result<()>,
{
    let accounts = stack.accounts().await?;
    let mut load = Load::start(stack.endpoint(), &accounts, INTERVAL, workspace.path())?;
    load.go_on(TRANSFERS, LIMIT).await?;
    for _ in 0..times {
        fail(stack).await?;
        load.go_on(TRANSFERS, LIMIT).await?;
    }
    let sent = load.stop().await?;
    stack.wait_until_ready().await?;
    let newest = executed_exactly_once(stack.rpc(), &sent).await?;
    println!("{} transfers in {newest} blocks, each executed exactly once", sent.len());
    Ok(())
}
