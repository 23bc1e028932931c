//! From an update on L1 and its blobs to the next state. L1 has one root an update, not one a block: the state diffs of
//! an update's blocks are undone one by one, as each may need the aliases of those before, and go to the tries together.

use std::collections::BTreeMap;

use alloy::primitives::{B256, U256};
use sidereal_l1_settler::L1Update;
use sidereal_os_aggregator::{DataError, MAX_BLOCKS, data_of_blobs, decode_data};
use sidereal_patricia::state::{AccessedKeys, StateRoots, StateTries, StateTriesUpdate};
use sidereal_patricia::{NodeSource, TrieError};
use sidereal_settlement::deployment::Genesis;
use sidereal_settlement::{Blob, u256_to_felt, versioned_hash};
use sidereal_starknet_os::{AliasError, StateUpdate};
use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;

use super::state::{Reached, RebuiltState, StateError};
use crate::verify::settled::blocks_of;

/// The state cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The genesis is not the one that the contract began with.
    #[error(
        "the genesis has the root {found:#x}, and the contract was deployed with {expected:#x}: another allocation or \
         other classes"
    )]
    Genesis {
        /// The contract's.
        expected: Felt,
        /// Ours.
        found: Felt,
    },
    /// An update does not begin where the state is.
    #[error(
        "the update in L1's transaction {transaction} begins at {what} {found:#x}, and the state is at {expected:#x}"
    )]
    Order {
        /// Where the update is.
        transaction: B256,
        /// What differs.
        what: &'static str,
        /// The state's.
        expected: Felt,
        /// The update's.
        found: Felt,
    },
    /// There is not each of the update's blobs.
    #[error(
        "the update in L1's transaction {transaction} has {expected} blobs, and {found} are given"
    )]
    BlobCount {
        /// Where the update is.
        transaction: B256,
        /// Blobs of the update.
        expected: usize,
        /// Blobs that are given.
        found: usize,
    },
    /// A blob is not the update's.
    #[error("blob {blob} of the update in L1's transaction {transaction} is not {expected}")]
    OtherBlob {
        /// Where the update is.
        transaction: B256,
        /// Index of the blob.
        blob: usize,
        /// Its versioned hash on L1.
        expected: B256,
    },
    /// The blobs do not hold a state diff for each block.
    #[error("read the blobs of the update in L1's transaction {transaction}")]
    Data {
        /// Where the update is.
        transaction: B256,
        /// The cause.
        #[source]
        source: DataError,
    },
    /// A state diff does not mean anything after those before.
    #[error("undo the aliases of block {block}")]
    Aliases {
        /// The block.
        block: u64,
        /// The cause.
        #[source]
        source: AliasError,
    },
    /// The tries.
    #[error("update the tries after block {block}")]
    Tries {
        /// The last block that is in them.
        block: u64,
        /// The cause.
        #[source]
        source: TrieError,
    },
    /// The blobs lead to another state than L1 says.
    #[error("the blobs up to block {block} lead to the root {found:#x}, and L1 says {expected:#x}")]
    Root {
        /// The update's last block.
        block: u64,
        /// L1's.
        expected: Felt,
        /// Ours.
        found: Felt,
    },
    /// The numbers of the update are none.
    #[error(
        "the update in L1's transaction {transaction} is over blocks {first} to {last}; one has at most {MAX_BLOCKS}"
    )]
    Numbers {
        /// Where the update is.
        transaction: B256,
        /// Its first block.
        first: u64,
        /// Its last block.
        last: u64,
    },
    /// A word of the update is from the field's prime on.
    #[error("the {what} of the update in L1's transaction {transaction} is no felt: {found:#x}")]
    NoFelt {
        /// Where the update is.
        transaction: B256,
        /// Which word.
        what: &'static str,
        /// The word.
        found: U256,
    },
    /// The file.
    #[error("keep the state")]
    State(#[source] StateError),
}

/// What an update brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub updates: u64,
    pub blocks: u64,
    pub blobs: u64,
    /// Changed storage cells, those that several blocks changed each time.
    pub cells: u64,
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.updates += other.updates;
        self.blocks += other.blocks;
        self.blobs += other.blobs;
        self.cells += other.cells;
    }
}

/// A rollup's state on the way from its genesis to what L1 holds.
#[derive(Clone, Debug)]
pub struct Rebuild {
    state: RebuiltState,
    rollup: String,
    reached: Reached,
}

impl Rebuild {
    /// Goes on from a state that was reached before.
    pub fn resume(state: RebuiltState, rollup: String, reached: Reached) -> Self {
        Self { state, rollup, reached }
    }

    /// Begins with the genesis state `diff`, which must be the one that the contract was deployed with in L1's block
    /// `l1_block`.
    ///
    /// # Errors
    /// When it is another, or cannot be kept.
    pub async fn begin(
        state: RebuiltState,
        rollup: String,
        diff: &ThinStateDiff,
        genesis: &Genesis,
        l1_block: u64,
    ) -> Result<Self, RebuildError> {
        let block_number = genesis.block_number;
        let update = next_tries(&state, StateRoots::default(), diff, block_number).await?;
        let found = update.roots.global_root().0;
        if found != genesis.root {
            return Err(RebuildError::Genesis { expected: genesis.root, found });
        }
        let block_hash = genesis.block_hash;
        let reached = Reached { block_number, block_hash, roots: update.roots, l1_block };
        let applied = state.apply(&rollup, &reached, diff, &update.new_nodes).await;
        applied.map_err(RebuildError::State)?;
        Ok(Self { state, rollup, reached })
    }

    /// How far the state is.
    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Applies the update that comes next, and keeps the state after it.
    ///
    /// # Errors
    /// When the update does not begin where the state is, the blobs are others, or lead to another root.
    pub async fn apply(
        &mut self,
        update: &L1Update,
        blobs: &[Blob],
    ) -> Result<Applied, RebuildError> {
        let (transaction, reached) = (update.transaction, &self.reached);
        let event = &update.event;
        let felt = |what, found| {
            u256_to_felt(&found).ok_or(RebuildError::NoFelt { transaction, what, found })
        };
        for (what, expected, found) in [
            ("block", Felt::from(reached.block_number), event.previousBlockNumber),
            ("block hash", reached.block_hash, event.previousBlockHash),
            ("root", reached.root().0, event.previousRoot),
        ] {
            let found = felt(what, found)?;
            if expected != found {
                return Err(RebuildError::Order { transaction, what, expected, found });
            }
        }
        let final_root = felt("new root", event.newRoot)?;
        let block_hash = felt("new block hash", event.newBlockHash)?;
        let (first, block_number) = blocks_of(update);
        let count = block_number.checked_sub(reached.block_number).map(usize::try_from);
        let Some(Ok(count @ 1..=MAX_BLOCKS)) = count else {
            return Err(RebuildError::Numbers { transaction, first, last: block_number });
        };
        let updates = state_updates(update, blobs, count)?;
        let mut diff = ThinStateDiff::default();
        let mut applied = Applied { updates: 1, blobs: blobs.len() as u64, ..Applied::default() };
        let mut allocated = BTreeMap::new();
        for (block, update) in (reached.block_number + 1..).zip(&updates) {
            let resolved = self.resolve(update, &mut allocated, block).await?;
            applied.blocks += 1;
            applied.cells += resolved.storage_diffs.values().map(|it| it.len() as u64).sum::<u64>();
            add(&mut diff, resolved);
        }
        let tries = next_tries(&self.state, reached.roots, &diff, block_number).await?;
        let found = tries.roots.global_root().0;
        if found != final_root {
            let expected = final_root;
            return Err(RebuildError::Root { block: block_number, expected, found });
        }
        let reached =
            Reached { block_number, block_hash, roots: tries.roots, l1_block: update.block };
        let kept = self.state.apply(&self.rollup, &reached, &diff, &tries.new_nodes).await;
        kept.map_err(RebuildError::State)?;
        self.reached = reached;
        Ok(applied)
    }

    /// With keys and addresses in place of aliases: those of the state, of the update's blocks before, and of this one.
    async fn resolve(
        &self,
        update: &StateUpdate,
        allocated: &mut BTreeMap<Felt, Felt>,
        block: u64,
    ) -> Result<ThinStateDiff, RebuildError> {
        allocated.extend(update.allocated_aliases());
        let mut keys = BTreeMap::new();
        let mut older = update.used_aliases();
        older.retain(|alias| match allocated.get(alias) {
            Some(key) => keys.insert(*alias, *key).is_some(),
            None => true,
        });
        keys.extend(self.state.keys_of(&older).await.map_err(RebuildError::State)?);
        update.resolve(&keys).map_err(|source| RebuildError::Aliases { block, source })
    }
}

/// The state diff of each of the update's `count` blocks, from the blobs, which must be those that the contract checked.
fn state_updates(
    update: &L1Update,
    blobs: &[Blob],
    count: usize,
) -> Result<Vec<StateUpdate>, RebuildError> {
    let transaction = update.transaction;
    let (expected, found) = (update.event.blobs.len(), blobs.len());
    if expected != found {
        return Err(RebuildError::BlobCount { transaction, expected, found });
    }
    for (index, (blob, expected)) in blobs.iter().zip(&update.event.blobs).enumerate() {
        if !versioned_hash(blob).is_ok_and(|found| found == *expected) {
            let expected = *expected;
            return Err(RebuildError::OtherBlob { transaction, blob: index, expected });
        }
    }
    data_of_blobs(blobs)
        .and_then(|data| decode_data(&data, count))
        .map_err(|source| RebuildError::Data { transaction, source })
}

async fn next_tries(
    nodes: &impl NodeSource,
    roots: StateRoots,
    diff: &ThinStateDiff,
    block: u64,
) -> Result<StateTriesUpdate, RebuildError> {
    let failed = |source| RebuildError::Tries { block, source };
    let tries = StateTries::load(nodes, roots, diff, &AccessedKeys::default()).await;
    tries.map_err(failed)?.update(diff).map_err(failed)
}

/// Later values take the place of earlier ones.
fn add(all: &mut ThinStateDiff, later: ThinStateDiff) {
    for (address, cells) in later.storage_diffs {
        all.storage_diffs.entry(address).or_default().extend(cells);
    }
    all.nonces.extend(later.nonces);
    all.deployed_contracts.extend(later.deployed_contracts);
    all.class_hash_to_compiled_class_hash.extend(later.class_hash_to_compiled_class_hash);
}
