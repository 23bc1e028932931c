//! Malformed, oversized and wrong-typed bodies, and transactions that cannot be right: each is refused with the error
//! that the specification names, no service dies of it, no block comes of it, and the chain works afterwards.

use anyhow::Context as _;
use sidereal_integration_tests::clients::{Client, ValidatingProxy};
use sidereal_integration_tests::workspace::within;

use crate::crash::boot;

#[tokio::test]
async fn bad_input_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    within("bad-input", async |workspace| {
        let mut stack = boot(workspace).await?;
        let accounts = stack.accounts().await?;
        let target = stack.endpoint().strip_suffix("/rpc/v0_10").context("no path")?;
        let mut proxy = ValidatingProxy::start(target, workspace.path()).await?;
        Client::BadInput.run(&proxy.endpoint(), &accounts[0], workspace.path()).await?;
        let report = proxy.report().await?;
        anyhow::ensure!(report.problems.is_empty(), "{:#?}", report.problems);
        stack.wait_until_ready().await
    })
    .await
}
