//! What both stacks are put through: the two client libraries behind the validating proxy, and the walk from their
//! transactions to the proof.

use anyhow::Context as _;
use sidereal_integration_tests::clients::{Client, FundedAccount, ValidatingProxy};
use sidereal_integration_tests::stack::verify;
use sidereal_integration_tests::workspace::Workspace;

/// What the two libraries call when they declare, deploy, invoke, call, estimate, read and wait. One that is missing
/// from the report was never validated.
const METHODS: [&str; 22] = [
    "starknet_addDeclareTransaction",
    "starknet_addDeployAccountTransaction",
    "starknet_addInvokeTransaction",
    "starknet_blockHashAndNumber",
    "starknet_call",
    "starknet_chainId",
    "starknet_estimateFee",
    "starknet_getBlockWithReceipts",
    "starknet_getBlockWithTxHashes",
    "starknet_getBlockWithTxs",
    "starknet_getClass",
    "starknet_getClassHashAt",
    "starknet_getEvents",
    "starknet_getNonce",
    "starknet_getStateUpdate",
    "starknet_getStorageAt",
    "starknet_getTransactionByBlockIdAndIndex",
    "starknet_getTransactionByHash",
    "starknet_getTransactionReceipt",
    "starknet_getTransactionStatus",
    "starknet_specVersion",
    "starknet_syncing",
];

/// Runs both clients through the proxy, checks what passed against the specification, and verifies a transaction of
/// the first block down to its proof.
pub async fn exercise(
    proxy: &mut ValidatingProxy,
    proof_store: &str,
    accounts: &[FundedAccount],
    workspace: &Workspace,
) -> anyhow::Result<()> {
    let [first, second, ..] = accounts else { anyhow::bail!("two funded accounts are needed") };
    let endpoint = proxy.endpoint();
    // The test itself has called methods, too.
    let before = proxy.report().await?.methods;

    let by_js = Client::StarknetJs.run(&endpoint, first, workspace.path()).await;
    let by_py = Client::StarknetPy.run(&endpoint, second, workspace.path()).await;
    // What the specification forbids explains most of what confuses a client, so it is told first.
    let report = proxy.report().await?;
    anyhow::ensure!(
        report.problems.is_empty(),
        "against the specification: {:#?}\nclients: {:?} {:?}",
        report.problems,
        by_js.as_ref().err(),
        by_py.as_ref().err()
    );
    let (by_js, by_py) = (by_js?, by_py?);
    let missing: Vec<_> = METHODS
        .iter()
        .filter(|method| report.methods.get(**method) == before.get(**method))
        .collect();
    anyhow::ensure!(missing.is_empty(), "never called, so never validated: {missing:?}");

    let declaration = by_js.first().context("starknet.js sent nothing")?;
    let walked = verify(declaration, &endpoint, proof_store, workspace).await?;
    proxy.check().await?;
    println!("{walked}");
    println!("{} transactions by starknet.js, {} by starknet.py", by_js.len(), by_py.len());
    Ok(())
}
