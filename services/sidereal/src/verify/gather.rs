//! Getting from L1, and from the chain's own services, what the links to L1's state are checked on.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sidereal_final_proof::VerificationKey;
use sidereal_l1_settler::{HeldState, InForce, L1Block, L1Update, pinned_hashes, verifier_key};
use sidereal_os_aggregator::MAX_BLOCKS;
use sidereal_settlement::deployment::Genesis;
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;

use super::settled::{ContractFacts, Evidence, Pins, blocks_of};
use crate::l1::{Rollup, pages};
use crate::progress::Progress;

const POLL: Duration = Duration::from_secs(4);

/// What this release demands of the rollup of that chain.
pub fn pins(chain_id: &ChainId) -> anyhow::Result<Pins> {
    let hashes = pinned_hashes(chain_id).context("the chain's id is none of StarknetOS")?;
    Ok(Pins { hashes, last_circuit: VerificationKey::ETHEREUM })
}

/// Who tells of the chain.
pub trait Chain: Sync {
    /// The state after block 0, which needs no proof. It is taken on trust: whoever knows better, asks a node of their own.
    fn genesis(&self) -> impl Future<Output = anyhow::Result<Genesis>> + Send;

    /// What StarknetOS wrote for a block. It need not be true: what is not, does not hash to what L1 has.
    fn output(&self, block: u64) -> impl Future<Output = anyhow::Result<Vec<Felt>>> + Send;
}

/// Finds the update that settled `block`, waiting for it at most `wait`, and everything about it.
pub async fn gather(
    rollup: &Rollup,
    block: u64,
    wait: Duration,
    chain: &impl Chain,
) -> anyhow::Result<Evidence> {
    let Rollup { record, l1 } = rollup;
    let (head, held) = until_settled(rollup, block, wait).await?;
    let (update, in_force) = find(rollup, block, &head).await?;
    let settled = l1.settled(&update).await.with_context(|| {
        let (first, last) = blocks_of(&update);
        format!("the proof of blocks {first} to {last} cannot be had from L1")
    })?;

    let receipt = l1.receipt(update.transaction).await?;
    let succeeded = receipt.is_some_and(|receipt| {
        receipt.status()
            && receipt.block_hash == Some(update.block_hash)
            && receipt.block_number == Some(update.block)
    });
    let address = record.rollup_core;
    let system = l1.proof_system(address, head.hash).await?;
    let mut our_verifiers = BTreeSet::new();
    let verifiers = in_force.iter().map(|it| it.system.verifier).chain([system.verifier]);
    for verifier in verifiers.collect::<BTreeSet<_>>() {
        if l1.is_our_verifier(verifier, &verifier_key(), head.hash).await? {
            our_verifiers.insert(verifier);
        }
    }
    let genesis = chain.genesis().await?;
    let contract = ContractFacts {
        address,
        head: head.number,
        succeeded,
        our_code: l1.our_code(address, head.hash).await?,
        created: l1.created_by_us(address, record.l1_block).await?,
        deployed_in: record.l1_block,
        pending_upgrade: l1.pending_upgrade(address, head.hash).await?,
        in_force,
        system,
        our_verifiers,
        held,
    };
    let mut progress = Progress::new();
    let mut outputs = Vec::new();
    let (first, last) = blocks_of(&update);
    // No aggregator takes more, whatever the event says.
    for number in (first..=last).take(MAX_BLOCKS) {
        progress.tell(format_args!("reading the proofs of blocks {first} to {last}: {number}"))?;
        outputs.push(chain.output(number).await?);
    }
    progress.clear()?;
    Ok(Evidence { update, settled, outputs, genesis, contract })
}

async fn until_settled(
    rollup: &Rollup,
    block: u64,
    wait: Duration,
) -> anyhow::Result<(L1Block, HeldState)> {
    let Rollup { record, l1 } = rollup;
    let deadline = tokio::time::Instant::now() + wait;
    let mut progress = Progress::new();
    loop {
        let head = l1.head().await?;
        let held = l1.held(record.rollup_core, head.hash).await?;
        if held.block_number >= block {
            progress.clear()?;
            return Ok((head, held));
        }
        if tokio::time::Instant::now() >= deadline {
            bail!(
                "block {block} is not settled yet: the contract on L1 holds block {}, {} before it; --wait-s waits",
                held.block_number,
                block - held.block_number
            );
        }
        progress.tell(format_args!("waiting: the contract holds block {}", held.block_number))?;
        tokio::time::sleep(POLL).await;
    }
}

/// The update over `block`, and the proof systems up to `head`.
async fn find(
    rollup: &Rollup,
    block: u64,
    head: &L1Block,
) -> anyhow::Result<(L1Update, Vec<InForce>)> {
    let Rollup { record, l1 } = rollup;
    let mut progress = Progress::new();
    let (mut update, mut in_force) = (None, Vec::new());
    for (from, to) in pages(record.l1_block, head.number) {
        progress.tell(format_args!("searching L1's blocks {from} to {to} of {}", head.number))?;
        in_force.extend(l1.proof_systems(record.rollup_core, from, to).await?);
        if update.is_none() {
            let updates = l1.updates(record.rollup_core, from, to).await?;
            update = updates.into_iter().find(|update| {
                let (first, last) = blocks_of(update);
                (first..=last).contains(&block)
            });
        }
    }
    progress.clear()?;
    let update = update.with_context(|| {
        format!("the contract says that block {block} is settled, and no update on L1 is over it")
    })?;
    Ok((update, in_force))
}
