//! The executor is killed while load runs, in the middle of a block's stream, and stays away. The sequencer replays the
//! block on the second one, which goes on alone. Then that one is killed in the middle of a block as well, and comes
//! back: the block is replayed on the executor that it was lost on. Every acknowledged transaction is executed exactly
//! once, and every block is proven.

use sidereal_integration_tests::stack::{SeparateStack, Service, StackOptions};
use sidereal_integration_tests::workspace::within;

use crate::crash::{LIMIT, OPTIONS, TRANSFERS, check, open_block, start_load};

/// What the sequencer's log says of it.
const REPLAYED: &str = "the open block is replayed on another executor";

#[tokio::test]
async fn a_killed_executor_loses_nothing() -> anyhow::Result<()> {
    within("executor-killed", async |workspace| {
        let options = StackOptions { second_executor: true, ..OPTIONS };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let mut load = start_load(&stack, workspace).await?;

        let open = open_block(&stack).await?;
        stack.crash(Service::Executor)?;
        load.go_on(TRANSFERS, LIMIT).await?;
        stack.until_said(Service::Sequencer, REPLAYED, LIMIT).await?;
        is_closed_with_all_of_it(&stack, open).await?;

        // The first one is still away, so nobody else can close this one.
        let open = open_block(&stack).await?;
        stack.crash(Service::SecondExecutor)?;
        stack.start_service(Service::SecondExecutor)?;
        load.go_on(TRANSFERS, LIMIT).await?;
        is_closed_with_all_of_it(&stack, open).await?;

        stack.start_service(Service::Executor)?;
        check(&mut stack, load).await
    })
    .await
}

/// Waits until the block is closed; what was in it while it was open must still be.
async fn is_closed_with_all_of_it(
    stack: &SeparateStack,
    (number, hashes): (u64, Vec<String>),
) -> anyhow::Result<()> {
    stack.rpc().until_closed(number, LIMIT).await?;
    let closed = stack.rpc().transactions_of(number).await?;
    for hash in hashes {
        anyhow::ensure!(closed.contains(&hash), "block {number} has lost {hash}: {closed:?}");
    }
    Ok(())
}
