//! Three transfers of starknet.js become ACCEPTED_ON_L1: their blocks are proven, the proofs are aggregated into one, and
//! the contracts on Anvil verify it. The same proof is then settled under every misfortune that a settler may meet:
//!
//! * the operator is silent, and an outsider settles, but not a second too early;
//! * the operator's settler is killed between sending and recording;
//! * L1 takes the update back.
//!
//! At the end a stranger walks from the transaction to the contract, and rebuilds the state from L1 alone.
//! The proofs take some twelve minutes on two cores: `scripts/test --full`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use sidereal_integration_tests::clients::FundedAccount;
use sidereal_integration_tests::installed;
use sidereal_integration_tests::poll::{Seen, until};
use sidereal_integration_tests::process::Process;
use sidereal_integration_tests::settlement::{
    DEPTH_BLOCKS, L1, LEASE_MS, OPERATOR, OPERATOR_SILENCE_S, OUTSIDER,
};
use sidereal_integration_tests::stack::{BATCH_BLOCKS, SeparateStack, StackOptions};
use sidereal_integration_tests::workspace::{Workspace, within};

use crate::crash::OPTIONS;

/// The blocks proven and aggregated on a busy machine of two cores, twice over.
pub const PROOF_LIMIT: Duration = Duration::from_secs(3_000);
/// What takes a few looks of a settler.
const SOON: Duration = Duration::from_secs(90);
/// Long enough for a settler to lead after another one that was killed, and to have tried.
const A_WHILE: Duration = Duration::from_millis(LEASE_MS + 5_000);

#[tokio::test]
#[ignore = "proofs of an aggregation take minutes; scripts/test --full runs it"]
async fn a_transfer_is_accepted_on_l1_whatever_happens() -> anyhow::Result<()> {
    within("settled-on-l1", async |workspace| {
        let options = StackOptions { block_ms: 1_000, settles: true, ..OPTIONS };
        let mut stack = SeparateStack::start(workspace, options).await?;
        let mut l1 = L1::start(&stack, workspace).await?;
        let accounts = stack.accounts().await?;
        let account = accounts.first().context("no funded account")?;
        let mut client = starknet_js(stack.endpoint(), account, BATCH_BLOCKS, workspace)?;
        client.start()?;

        let genesis = l1.call("evm_snapshot", json!([])).await?;
        an_outsider_settles(&mut l1, &stack, workspace).await?;
        let reverted = l1.call("evm_revert", json!([genesis])).await?;
        anyhow::ensure!(reverted == json!(true) && l1.settled_block().await? == 0);

        let mut operator = l1.settler(OPERATOR, &stack, workspace)?;
        a_killed_settler_settles_once(&mut l1, &mut operator).await?;
        a_reorganisation_is_settled_again(&mut l1).await?;

        // Nothing of this was accepted on L1 before it was deep enough; now it is.
        l1.mine(DEPTH_BLOCKS).await?;
        client.finish(SOON).await?;
        let hashes = transactions(workspace)?;
        anyhow::ensure!(hashes.len() as u64 == BATCH_BLOCKS);
        for hash in hashes {
            let verified = verify_on_l1(&hash, &stack, &l1, workspace).await?;
            println!("{verified}");
        }
        println!("{}", rebuild(&stack, &l1, workspace).await?);
        stack.proxy.check().await?;
        Ok(())
    })
    .await
}

/// Sends so many transfers, each in a block of its own, and waits until L1 holds them.
pub fn starknet_js(
    endpoint: &str,
    account: &FundedAccount,
    transfers: u64,
    workspace: &Workspace,
) -> anyhow::Result<Process> {
    let script = installed::own("js/settle.mjs")?;
    let output = workspace.path().join("transactions.json");
    let process = Process::new("settle", &installed::node()?, &[text(&script)?], workspace.path())
        .env("SIDEREAL_RPC", endpoint)
        .env("SIDEREAL_ACCOUNT", &account.address)
        .env("SIDEREAL_KEY", &account.key)
        .env("SIDEREAL_TRANSFERS", transfers.to_string())
        .env("SIDEREAL_LIMIT_S", (2 * PROOF_LIMIT.as_secs()).to_string())
        .env("SIDEREAL_OUTPUT", text(&output)?);
    Ok(process)
}

/// The hashes of what [`starknet_js`] sent.
pub fn transactions(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let written = std::fs::read(workspace.path().join("transactions.json"))?;
    let written: Value = serde_json::from_slice(&written)?;
    let hashes = written["transactions"].as_array().context("no transactions")?.iter();
    hashes.map(|hash| Ok(hash.as_str().context("a hash that is no text")?.to_owned())).collect()
}

/// The proof is enough: who sends it matters only as long as the operator may be expected to.
async fn an_outsider_settles(
    l1: &mut L1,
    stack: &SeparateStack,
    workspace: &Workspace,
) -> anyhow::Result<()> {
    let mut outsider = l1.settler(OUTSIDER, stack, workspace)?;
    outsider.start()?;
    until("the outsider refused", PROOF_LIMIT, || {
        let output = outsider.check_running().and_then(|()| outsider.output());
        async move {
            let output = output?;
            let refused = output.contains("OperatorNotSilent");
            anyhow::Ok(if refused { Seen::Done(()) } else { Seen::NotYet(tail(&output)) })
        }
    })
    .await?;
    tokio::time::sleep(A_WHILE).await;
    anyhow::ensure!(l1.settled_block().await? == 0, "an outsider has settled too early");
    anyhow::ensure!(l1.nonces(OUTSIDER).await? == (0, 0), "a refused update was sent and paid for");

    l1.call("evm_increaseTime", json!([OPERATOR_SILENCE_S])).await?;
    l1.mine(1).await?;
    l1.settles(BATCH_BLOCKS, SOON).await?;
    anyhow::ensure!(l1.updates_by().await? == [OUTSIDER.address]);
    outsider.stop(SOON).await?;
    Ok(())
}

async fn a_killed_settler_settles_once(l1: &mut L1, operator: &mut Process) -> anyhow::Result<()> {
    let (mined, _) = l1.nonces(OPERATOR).await?;
    l1.call("evm_setAutomine", json!([false])).await?;
    operator.start()?;
    until("the update in the pool", SOON, || {
        let running = operator.check_running();
        let nonces = l1.nonces(OPERATOR);
        async move {
            running?;
            let nonces = nonces.await?;
            let sent = nonces == (mined, mined + 1);
            anyhow::Ok(if sent { Seen::Done(()) } else { Seen::NotYet(nonces) })
        }
    })
    .await?;
    let sent = l1.pending(OPERATOR).await?;
    anyhow::ensure!(sent.len() == 1, "{sent:?} are in the pool");
    operator.crash()?;
    operator.start()?;
    tokio::time::sleep(A_WHILE).await;
    anyhow::ensure!(l1.pending(OPERATOR).await? == sent, "something else was sent");
    l1.mine(1).await?;
    l1.call("evm_setAutomine", json!([true])).await?;
    l1.settles(BATCH_BLOCKS, SOON).await?;
    tokio::time::sleep(A_WHILE).await;
    anyhow::ensure!(l1.updates_by().await? == [OPERATOR.address]);
    Ok(())
}

async fn a_reorganisation_is_settled_again(l1: &mut L1) -> anyhow::Result<()> {
    let nothing: [(); 0] = [];
    // What is sent again stays in the pool until it was seen that the update is gone.
    l1.call("evm_setAutomine", json!([false])).await?;
    l1.call("anvil_reorg", json!([1, nothing])).await?;
    anyhow::ensure!(l1.settled_block().await? == 0, "the update is still there");
    anyhow::ensure!(l1.updates_by().await?.is_empty());
    l1.call("evm_setAutomine", json!([true])).await?;
    l1.mine(1).await?;
    l1.settles(BATCH_BLOCKS, SOON).await?;
    anyhow::ensure!(l1.updates_by().await? == [OPERATOR.address]);
    Ok(())
}

async fn verify_on_l1(
    hash: &str,
    stack: &SeparateStack,
    l1: &L1,
    workspace: &Workspace,
) -> anyhow::Result<String> {
    let record = text(l1.record())?;
    let rpc = ["--rpc", stack.endpoint(), "--proofs", stack.proof_store()];
    let arguments = [&["verify", hash], &rpc[..], &["--l1", record, "--l1-url", l1.url()]].concat();
    command("verify", &arguments, workspace).await
}

async fn rebuild(stack: &SeparateStack, l1: &L1, workspace: &Workspace) -> anyhow::Result<String> {
    let folder = workspace.folder("rebuilt")?;
    let sources = ["--l1-url", l1.url(), "--beacon-url", l1.url(), "--compare", stack.endpoint()];
    let configuration = stack.sequencer_config();
    let genesis = ["--genesis", text(configuration)?];
    let arguments = [
        &["rebuild", "--from-l1", text(l1.record())?, "--data-dir", text(&folder)?],
        &sources[..],
        &genesis[..],
    ]
    .concat();
    command("rebuild", &arguments, workspace).await
}

/// Runs a command of `sidereal`, and returns what it printed.
pub async fn command(
    name: &str,
    arguments: &[&str],
    workspace: &Workspace,
) -> anyhow::Result<String> {
    let mut process = Process::new(name, &installed::sidereal()?, arguments, workspace.path());
    process.start()?;
    process.finish(Duration::from_secs(180)).await?;
    process.output()
}

pub fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn tail(output: &str) -> String {
    output.lines().rev().take(3).collect::<Vec<_>>().join("\n")
}
