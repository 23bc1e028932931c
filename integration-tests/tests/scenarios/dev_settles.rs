//! `sidereal dev` as it comes settles on an L1 of its own: a transfer of starknet.js becomes ACCEPTED_ON_L1, because the
//! contract there verified a real proof over the one block that there is. After a restart L1 and its contract are the same,
//! and `sidereal verify --l1` walks to it. The proofs take some six minutes on two cores: `scripts/test --full`.

use anyhow::Context as _;
use serde_json::json;
use sidereal_integration_tests::dev_stack::DevStack;
use sidereal_integration_tests::workspace::within;

use crate::settled_on_l1::{PROOF_LIMIT, command, starknet_js, text, transactions};

#[tokio::test]
#[ignore = "proofs of an aggregation take minutes; scripts/test --full runs it"]
async fn a_dev_chain_settles_by_itself() -> anyhow::Result<()> {
    within("dev-settles", async |workspace| {
        let mut stack = DevStack::start_with(workspace, &[]).await?;
        let accounts = stack.accounts().await?;
        let account = accounts.first().context("no funded account")?;
        let mut client = starknet_js(stack.endpoint(), account, 1, workspace)?;
        client.start()?;
        client.finish(PROOF_LIMIT).await?;

        let record = std::fs::read(stack.record())?;
        stack.restart().await?;
        anyhow::ensure!(
            std::fs::read(stack.record())? == record,
            "the contracts were deployed anew"
        );
        let [hash] = &transactions(workspace)?[..] else { anyhow::bail!("another number of them") };
        let receipt = stack.rpc().call("starknet_getTransactionReceipt", json!([hash])).await?;
        anyhow::ensure!(receipt["finality_status"] == "ACCEPTED_ON_L1", "{receipt}");
        let record = stack.record();
        let rpc = ["--rpc", stack.endpoint(), "--proofs", stack.proof_store()];
        let verify = [&["verify", hash], &rpc[..], &["--l1", text(&record)?]].concat();
        println!("{}", command("verify", &verify, workspace).await?);
        stack.proxy.check().await?;
        stack.stop().await
    })
    .await
}
