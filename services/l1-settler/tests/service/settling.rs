//! What is settled is what was given, once, and it is told.

use std::collections::BTreeMap;

use alloy::consensus::Transaction as _;
use c_kzg::Blob;
use sidereal_proto::settlement::GetSettlementRequest;
use sidereal_proto::settlement::settlement_service_client::SettlementServiceClient;
use sidereal_service::error_chain;
use sidereal_settlement::{Refusal, RollupCore, SidecarForm, Update};
use starknet_types_core::felt::Felt;

use crate::anvil::{Anvil, KEYS};
use crate::world::{CELLS, World, account, config, state_diff, until};

/// Pins down that batches are settled in order, one transaction each, that L1 alone gives output and data back, and that
/// a block counts as settled at the configured depth and not before.
#[tokio::test(flavor = "multi_thread")]
async fn two_batches_are_settled_and_read_back_from_l1() -> anyhow::Result<()> {
    let world = World::new().await?;
    let running = world.run("settler.db", config())?;
    world.until_held(4).await?;
    assert_eq!(world.anvil.nonces(world.operator.address()).await?, (2, 2));

    let updates = world.updates().await?;
    assert_eq!(updates.len(), 2);
    for (index, update) in updates.iter().enumerate() {
        let given = world.update(index);
        let transaction = world.transaction(update.transaction).await?;
        assert_eq!(transaction.blob_versioned_hashes(), Some(&update.event.blobs[..]));
        assert_eq!(update.event.settler, world.operator.address());
        let settled = world.l1()?.settled(update).await?;
        assert_eq!(settled.output, given.output);
        assert_eq!(settled.proof, given.proof);
        let blobs = world.anvil.blobs(update.transaction).await?;
        assert_eq!(blobs.len(), given.data.len().div_ceil(4_096));
        let blobs =
            blobs.iter().map(|bytes| Blob::from_bytes(bytes)).collect::<Result<Vec<_>, _>>()?;
        let diffs = settled.state_updates(&blobs)?;
        assert_eq!(diffs.len(), [3, 1][index]);
        for (diff, block) in diffs.iter().zip([1, 4][index]..) {
            let [contract] = &diff.contracts[..] else {
                anyhow::bail!("{} contracts", diff.contracts.len())
            };
            assert_eq!(contract.address, Felt::ONE);
            let cells: BTreeMap<Felt, Felt> =
                contract.storage.iter().map(|cell| (cell.key, cell.value)).collect();
            let given = state_diff(block, CELLS[index]).storage_diffs;
            let given = given.values().flatten().map(|(key, value)| (Felt::from(*key), *value));
            assert_eq!(cells, given.collect());
        }
        assert!(settled.data(&blobs[1..]).is_err());
    }

    let mut client =
        SettlementServiceClient::connect(format!("http://127.0.0.1:{}", running.grpc_port)).await?;
    let mut ask = async || anyhow::Ok(client.get_settlement(GetSettlementRequest {}).await?);
    let told = ask().await?.into_inner();
    assert_ne!(told.settled.as_ref().map(|state| state.block_number), Some(4));
    let prices = told.prices.unwrap_or_default();
    assert!(prices.base_fee_wei > 0 && prices.blob_base_fee_wei > 0, "{prices:?}");
    world.anvil.mine(4).await?;
    let mut settled = None;
    for _ in 0..200 {
        settled = ask().await?.into_inner().settled;
        if settled.as_ref().is_some_and(|state| state.block_number == 4) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let settled = settled.unwrap_or_default();
    let last = &world.update(1).output;
    assert_eq!(settled.block_number, 4);
    assert_eq!(settled.block_hash, last.block_hash.to_bytes_be());
    assert_eq!(settled.root, last.final_root.to_bytes_be());
    running.stop().await
}

/// Pins down that the form of blobs is the chain's: cell proofs from Osaka on, and one proof a blob before.
#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_sent_in_the_form_that_the_fork_wants() -> anyhow::Result<()> {
    for (fork, form) in [("prague", SidecarForm::Eip4844), ("osaka", SidecarForm::Eip7594)] {
        let world = World::on(Anvil::start_with(&["--hardfork", fork]).await?).await?;
        assert_eq!(world.l1()?.sidecar_form().await?, form, "{fork}");
        let batch = vec![world.update(0).clone()];
        world.settler(account(KEYS[1])?, batch).await?.pass().await?;
        world.until_held(3).await?;
    }
    Ok(())
}

/// Pins down that the simulation tells why the contract refuses, and that nothing is sent then: somebody who is no
/// operator, a proof of something else, data that the output does not commit to, a batch that does not continue.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_by_name_and_cost_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let first = world.update(0).clone();

    let outsider = account(KEYS[2])?;
    let address = outsider.address();
    let settler = world.settler(outsider, vec![first.clone()]).await?;
    let error = settler.pass().await.unwrap_err();
    let Some(Refusal::RollupCore(RollupCore::RollupCoreErrors::OperatorNotSilent(refusal))) =
        error.refusal()
    else {
        anyhow::bail!("refused otherwise: {error}");
    };
    assert_eq!(refusal.caller, address);
    let text = error_chain(&error);
    assert!(text.contains("simulate the update: RollupCore refused: OperatorNotSilent"), "{text}");
    assert_eq!(world.anvil.nonces(address).await?, (0, 0));

    let operator = || account(KEYS[1]);
    let wrong = Update { proof: vec![7; 32].into(), ..first.clone() };
    let error = world.settler(operator()?, vec![wrong]).await?.pass().await.unwrap_err();
    // The double's error is in no binding.
    assert!(matches!(error.refusal(), Some(Refusal::Unknown(_))), "{error}");

    let mut other = first.clone();
    other.data[3] += Felt::ONE;
    let error = world.settler(operator()?, vec![other]).await?.pass().await.unwrap_err();
    assert!(error.to_string().contains("make the blobs of the batch after block 0"), "{error}");

    let mut other = first;
    other.output.previous_block_hash += Felt::ONE;
    let error = world.settler(operator()?, vec![other]).await?.pass().await.unwrap_err();
    assert!(error.to_string().contains("begins after block 0 with hash 0xb001"), "{error}");
    assert_eq!(world.anvil.nonces(world.operator.address()).await?, (0, 0));
    assert_eq!(world.held().await?.block_number, 0);
    Ok(())
}

/// Pins down that of two settlers one sends, that the other takes over when the first has ended, and that together they
/// send each batch once.
#[tokio::test(flavor = "multi_thread")]
async fn one_settler_leads_at_a_time() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.anvil.automine(false).await?;
    let first = world.run("settler.db", config())?;
    world.until_nonces(0, 1).await?;
    let second = world.run("settler.db", config())?;
    first.stop().await?;
    world.anvil.mine(1).await?;
    world.until_held(3).await?;
    world.until_nonces(1, 2).await?;
    world.anvil.mine(1).await?;
    until("the second batch is settled", async || Ok(world.updates().await?.len() == 2)).await?;
    assert_eq!(world.anvil.nonces(world.operator.address()).await?, (2, 2));
    second.stop().await
}
