//! What the aggregator would write over blocks of transfers, from their state diffs.

use std::collections::BTreeMap;

use alloy::primitives::Bytes;
use anyhow::Context as _;
use sidereal_os_aggregator::{AggregatorInput, AggregatorLoad, Tree, aggregate, joined_data};
use sidereal_settlement::Update;
use sidereal_settlement::deployment::PinnedHashes;
use sidereal_starknet_os::{Committed, OsChain, OutputForm};
use starknet_api::core::{ChainId, ContractAddress, Nonce};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash as _};

use crate::aggregated::CHAIN_ID;

/// Accounts that the transfers are between, one after another.
const ACCOUNTS: u64 = 10_000;
/// Number of the last block before.
const PREVIOUS: u64 = 1_000_000;
/// The contract that has old blocks' hashes, and how old they are.
const BLOCK_HASHES: u64 = 1;
const BLOCK_HASH_LAG: u64 = 10;

/// An update, and how many transfers each of its blocks has.
pub struct Made {
    pub update: Update,
    pub transfers: usize,
}

/// An account as it takes part in transfers.
struct Party {
    address: Felt,
    /// Cell of the token.
    balance: Felt,
}

impl Party {
    /// Number `index` of all accounts, which take turns.
    fn new(index: u64) -> Self {
        let index = index % ACCOUNTS;
        Self { address: key(index, 1), balance: key(index, 2) }
    }

    /// The rollup's short names for both keys, which it has given before.
    fn aliases(index: u64) -> [(Felt, Felt); 2] {
        let party = Self::new(index);
        let first = 128 + 2 * (index % ACCOUNTS);
        [(party.address, Felt::from(first)), (party.balance, Felt::from(first + 1))]
    }
}

/// A key as hashes are, with 250 bits.
fn key(index: u64, kind: u64) -> Felt {
    let mut bytes = hash(kind, index).to_bytes_be();
    bytes[0] &= 3;
    Felt::from_bytes_be(&bytes)
}

fn hash(kind: u64, index: u64) -> Felt {
    Poseidon::hash(&Felt::from(kind), &Felt::from(index))
}

/// An amount of 75 bits: some thousand tokens of 10^18 parts.
fn balance(block: u64, index: u64) -> Felt {
    let bytes = Poseidon::hash(&Felt::from(block), &Felt::from(index)).to_bytes_le();
    let amount =
        bytes[..16].iter().rev().fold(0_u128, |amount, byte| amount << 8 | u128::from(*byte));
    Felt::from(amount >> 53)
}

/// State diff of a block of transfers: sequencer, each sender's nonce and balance, each receiver's balance.
fn committed(block: u64, transfers: u64, chain: &OsChain) -> anyhow::Result<Committed> {
    let mut diff = ThinStateDiff::default();
    let cell = |key: Felt| StorageKey::try_from(key).context("a key has 250 bits");
    let old_hash = (cell(Felt::from(block - BLOCK_HASH_LAG))?, hash(3, block - BLOCK_HASH_LAG));
    diff.storage_diffs.insert(ContractAddress::from(BLOCK_HASHES), [old_hash].into());

    // The first is the sequencer, which gets the fees; the next ones have their turn in the next block.
    let first = block * 2 * transfers;
    let parties = std::iter::once(0)
        .chain((0..2 * transfers).map(|index| 1 + (first + index) % (ACCOUNTS - 1)));
    let mut balances = Vec::new();
    let mut known_aliases = BTreeMap::new();
    for (place, index) in (0..).zip(parties) {
        let party = Party::new(index);
        known_aliases.extend(Party::aliases(index));
        balances.push((cell(party.balance)?, balance(block, index)));
        let is_sender = place > 0 && place % 2 == 1;
        if is_sender {
            let nonce = Nonce(Felt::from(1 + block % 50));
            diff.nonces.insert(ContractAddress::try_from(party.address)?, nonce);
        }
    }
    let token = chain.fee_token_address;
    known_aliases.insert(*token.0.key(), Felt::from(128 + 2 * ACCOUNTS));
    diff.storage_diffs.insert(token, balances.into_iter().collect());
    Ok(Committed {
        previous_root: hash(4, block - 1),
        root: hash(4, block),
        block_number: block,
        previous_block_hash: hash(3, block - 1),
        block_hash: hash(3, block),
        chain: *chain,
        form: OutputForm::PROVEN,
        state_diff: diff,
        messages_to_l1: Vec::new(),
        known_aliases,
    })
}

/// What StarknetOS writes for a block.
fn output(block: u64, transfers: u64, chain: &OsChain, config: Felt) -> anyhow::Result<Vec<Felt>> {
    let committed = committed(block, transfers, chain)?;
    let mut words = vec![
        committed.previous_root,
        committed.root,
        Felt::from(block - 1),
        Felt::from(block),
        committed.previous_block_hash,
        committed.block_hash,
    ];
    words.extend([Felt::ZERO, config, Felt::ZERO, Felt::ZERO]);
    // No messages.
    words.extend([Felt::ZERO, Felt::ZERO]);
    words.extend(committed.blob_data()?);
    Ok(words)
}

/// Consecutive blocks, each with so many transfers or as many as fit into one proof of the aggregator.
pub fn update(
    blocks: usize,
    transfers: usize,
    pinned: &PinnedHashes,
    proof: Bytes,
) -> anyhow::Result<Made> {
    let chain = OsChain::new(&ChainId::Other(CHAIN_ID.to_owned()))?;
    for transfers in (1..=transfers).rev() {
        let outputs = (PREVIOUS + 1..=PREVIOUS + u64::try_from(blocks)?)
            .map(|block| output(block, u64::try_from(transfers)?, &chain, pinned.config))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut load = AggregatorLoad::base();
        outputs.iter().for_each(|output| load += AggregatorLoad::of_output(output));
        if !load.fits() {
            continue;
        }
        let data = joined_data(&outputs)?;
        let input = AggregatorInput {
            outputs,
            tree: Tree::balanced(blocks).context("there are blocks")?,
            wrap_root: pinned.roots.wrap,
            merge_root: pinned.roots.merge,
        };
        let output = aggregate(&input)?;
        return Ok(Made { update: Update { output, data, proof }, transfers });
    }
    anyhow::bail!("{blocks} blocks do not fit into one proof of the aggregator")
}
