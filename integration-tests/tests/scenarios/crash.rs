//! What the failure scenarios share: load, failures that meet an open block in the middle of it, and the check that
//! every acknowledged transaction was executed exactly once, and that every block was proven.

use std::time::Duration;

use sidereal_integration_tests::load::{Load, executed_exactly_once};
use sidereal_integration_tests::poll::{Seen, until};
use sidereal_integration_tests::stack::{SeparateStack, StackOptions};
use sidereal_integration_tests::workspace::Workspace;

/// Between two transfers of one account.
pub const INTERVAL: Duration = Duration::from_millis(500);
/// Transfers before, between and after failures: with what the failures take, enough for two or three blocks.
pub const TRANSFERS: usize = 10;
/// Of a wait for anything but a proof; proofs take most of the machine meanwhile.
pub const LIMIT: Duration = Duration::from_secs(240);

/// What the prover-worker's log says when its first proof is begun.
pub const PROVING: &str = "prover process started";
/// What it says when a proof is made, and is to be handed in.
pub const PROOF_MADE: &str = "proof made";

/// Blocks long enough for a failure to meet one that is open, and for few to be proven: each takes a small machine some
/// ten seconds.
pub const OPTIONS: StackOptions =
    StackOptions { block_ms: 3_000, prover: true, second_executor: false, settles: false };

/// A stack with [`OPTIONS`].
pub async fn boot(workspace: &Workspace) -> anyhow::Result<SeparateStack> {
    SeparateStack::start(workspace, OPTIONS).await
}

/// Runs load, lets `fail` do its work `times` times in the middle of it, and checks what became of every transaction
/// and every block.
pub async fn survive<F>(
    stack: &mut SeparateStack,
    workspace: &Workspace,
    times: usize,
    mut fail: F,
) -> anyhow::Result<()>
where
    F: AsyncFnMut(&mut SeparateStack) -> anyhow::Result<()>,
{
    let mut load = start_load(stack, workspace).await?;
    for _ in 0..times {
        open_block(stack).await?;
        fail(stack).await?;
        load.go_on(TRANSFERS, LIMIT).await?;
    }
    check(stack, load).await
}

/// Starts load from every account, and waits until it has got going.
pub async fn start_load(stack: &SeparateStack, workspace: &Workspace) -> anyhow::Result<Load> {
    let accounts = stack.accounts().await?;
    let mut load = Load::start(stack.endpoint(), &accounts, INTERVAL, workspace.path())?;
    load.go_on(TRANSFERS, LIMIT).await?;
    Ok(load)
}

/// Waits until a block is open that has transactions in it. Returns its number and their hashes.
pub async fn open_block(stack: &SeparateStack) -> anyhow::Result<(u64, Vec<String>)> {
    until("an open block with transactions in it", LIMIT, || async {
        let (number, hashes) = stack.rpc().open_block().await?;
        let empty = hashes.is_empty();
        anyhow::Ok(if empty { Seen::NotYet(number) } else { Seen::Done((number, hashes)) })
    })
    .await
}

/// Ends the load, and checks what became of every transaction and every block, and of every response on the way.
pub async fn check(stack: &mut SeparateStack, load: Load) -> anyhow::Result<()> {
    let sent = load.stop().await?;
    stack.wait_until_ready().await?;
    let newest = executed_exactly_once(stack.rpc(), &sent).await?;
    stack.every_block_is_proven().await?;
    stack.proxy.check().await?;
    println!("{} transfers in {newest} blocks, each executed exactly once and proven", sent.len());
    Ok(())
}
