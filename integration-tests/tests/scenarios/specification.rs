//! The proxy's validator finds what the specification forbids, and lets pass what it allows.

use sidereal_integration_tests::clients::run_node_tests;
use sidereal_integration_tests::workspace::within;

#[tokio::test]
async fn the_validator_validates() -> anyhow::Result<()> {
    within("specification", async |workspace| {
        run_node_tests("js/schema.test.mjs", workspace.path()).await
    })
    .await
}
