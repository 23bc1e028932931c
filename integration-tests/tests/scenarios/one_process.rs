//! `sidereal dev`: everything in one process, on SQLite, the embedded bus and the file system. Real clients use it,
//! what it answers is what the specification says, and the block of their first transaction is proven and verified.
//! `sidereal load` sends calls of every kind to it, which all succeed. It has an L1 of its own, with the contracts,
//! which ends with it.

use anyhow::Context as _;
use serde_json::json;
use sidereal_integration_tests::dev_stack::DevStack;
use sidereal_integration_tests::load::load_command;
use sidereal_integration_tests::rpc::Rpc;
use sidereal_integration_tests::workspace::within;

use crate::clients::exercise;

/// Transactions of `sidereal load`: each kind ten times.
const LOAD: u64 = 30;

#[tokio::test]
async fn clients_use_one_process_and_the_proof_verifies() -> anyhow::Result<()> {
    within("one-process", async |workspace| {
        let mut stack = DevStack::start(workspace).await?;
        let accounts = stack.accounts().await?;
        let proof_store = stack.proof_store().to_owned();
        exercise(&mut stack.proxy, &proof_store, &accounts, workspace).await?;

        let before = stack.rpc().block_number().await?;
        load_command(stack.endpoint(), &stack.accounts_file(), LOAD, workspace).await?;
        let succeeded = succeeded_after(stack.rpc(), before).await?;
        // And the contracts that it calls were declared and deployed.
        anyhow::ensure!(succeeded >= LOAD, "{succeeded} transactions are in blocks");

        stack.proxy.check().await?;
        stack.stop().await
    })
    .await
}

/// Counts the transactions of the blocks after this one, each of which must have succeeded.
async fn succeeded_after(rpc: &Rpc, block: u64) -> anyhow::Result<u64> {
    let mut count = 0;
    for number in block + 1..=rpc.block_number().await? {
        let block_id = json!({ "block_number": number });
        let block = rpc.call("starknet_getBlockWithReceipts", json!([block_id])).await?;
        for entry in block["transactions"].as_array().context("a block without transactions")? {
            let receipt = &entry["receipt"];
            anyhow::ensure!(receipt["execution_status"] == "SUCCEEDED", "{receipt}");
            count += 1;
        }
    }
    Ok(count)
}
