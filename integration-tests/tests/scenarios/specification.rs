//! The proxy's validator finds what the specification forbids, and lets pass what it allows.

use sidereal_integration_tests::clients::run_node_tests;
use sidereal_integration_tests::workspace::Workspace;

#[tokio::test]
async fn the_validator_validates() -> anyhow::Result<()> {
    let workspace = Workspace::new("specification")?;
    run_node_tests("js/schema.test.mjs", workspace.path()).await
}
