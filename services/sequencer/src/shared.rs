//! What admission, block production and the API see of each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use sidereal_chain_store::{ChainStore, ChainStoreError, Head, Removal, StoredBlock};
use sidereal_execution::block::{BlockEnvironment, STRK_TOKEN_ADDRESS};
use sidereal_execution::engine::opening_changes;
use sidereal_execution::outcome::{Rejection, TransactionReceipt};
use sidereal_execution::state::extend_diff;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::{ConversionError, payload};
use sidereal_service::Waker;
use starknet_api::abi::abi_utils::get_fee_token_var_address;
use starknet_api::block::{BlockNumber, BlockTimestamp};
use starknet_api::core::ContractAddress;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::TransactionHash;
use tokio::sync::watch;

use crate::gas_prices::BlockGasPrices;
use crate::mempool::{Pool, PoolLimits};

/// The last closed block, as far as the next one follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Number, hash and roots.
    pub head: Head,
    /// When it was opened.
    pub timestamp: BlockTimestamp,
    /// What gas cost in it.
    pub prices: BlockGasPrices,
}

#[cfg(test)]
impl Tip {
    /// Block 0 of a chain with these rules.
    pub fn genesis(rules: &crate::production::ChainRules) -> Self {
        use starknet_api::block::BlockHash;
        use starknet_types_core::felt::Felt;

        let environment = rules.genesis(BlockTimestamp(7));
        let head = Head {
            number: environment.number,
            hash: BlockHash(Felt::ONE),
            state_roots: Default::default(),
        };
        Self { head, timestamp: environment.timestamp, prices: (&environment).into() }
    }
}

impl From<&StoredBlock> for Tip {
    fn from(block: &StoredBlock) -> Self {
        let head =
            Head { number: block.number(), hash: block.hash, state_roots: block.state_roots };
        Self { head, timestamp: block.header.timestamp, prices: (&block.header).into() }
    }
}

/// The open block as others see it.
#[derive(Clone, Debug)]
pub struct PreConfirmedBlock {
    /// The environment it is executed in.
    pub environment: Arc<BlockEnvironment>,
    /// What is in it so far, in order.
    pub included: Vec<(Arc<BlockTransaction>, Arc<TransactionReceipt>)>,
    /// What was rejected since it was opened. Durable only with the block.
    pub rejected: HashMap<TransactionHash, Rejection>,
    /// What `included` changed, and the block's opening.
    pub changes: SharedDiff,
}

impl PreConfirmedBlock {
    /// A block with nothing in it.
    pub fn new(environment: BlockEnvironment) -> Self {
        Self {
            changes: SharedDiff::new(opening_changes(&environment)),
            environment: Arc::new(environment),
            included: Vec::new(),
            rejected: HashMap::new(),
        }
    }

    /// The transaction with its receipt, if it is in the block.
    pub fn find(
        &self,
        hash: &TransactionHash,
    ) -> Option<&(Arc<BlockTransaction>, Arc<TransactionReceipt>)> {
        self.included.iter().find(|(transaction, _)| transaction.hash == *hash)
    }
}

/// A state diff that grows, and its JSON: written when somebody asks for it, and then shared until it grows again.
#[derive(Clone, Debug, Default)]
pub struct SharedDiff {
    diff: Arc<ThinStateDiff>,
    json: Arc<OnceLock<Arc<Vec<u8>>>>,
}

impl SharedDiff {
    /// With these changes.
    pub fn new(diff: ThinStateDiff) -> Self {
        Self { diff: Arc::new(diff), json: Arc::default() }
    }

    /// The changes.
    pub fn diff(&self) -> &ThinStateDiff {
        &self.diff
    }

    /// Adds changes that came later. Copies what is there only while somebody holds it.
    pub fn extend(&mut self, later: &ThinStateDiff) {
        extend_diff(Arc::make_mut(&mut self.diff), later);
        self.json = Arc::default();
    }

    /// Its JSON.
    pub fn json(&self) -> Result<Arc<Vec<u8>>, ConversionError> {
        if let Some(json) = self.json.get() {
            return Ok(Arc::clone(json));
        }
        let json = Arc::new(payload::encode("state_diff_json", &*self.diff)?);
        Ok(Arc::clone(self.json.get_or_init(|| json)))
    }
}

/// The state after everything that is executed.
#[derive(Clone, Debug)]
pub struct OpenState {
    /// The last block in the store.
    pub base: BlockNumber,
    /// Of the last open block.
    pub environment: Arc<BlockEnvironment>,
    /// What the open blocks changed, in their order; at least one.
    pub changes: Vec<SharedDiff>,
}

impl OpenState {
    /// Whether the open blocks changed what an account's validation reads: its own values, and its balance.
    pub fn concerns(&self, account: &ContractAddress) -> bool {
        let balance = get_fee_token_var_address(*account);
        self.changes.iter().map(SharedDiff::diff).any(|diff| {
            let paid = diff.storage_diffs.get(&*STRK_TOKEN_ADDRESS);
            diff.nonces.contains_key(account)
                || diff.storage_diffs.contains_key(account)
                || diff.deployed_contracts.contains_key(account)
                || paid.is_some_and(|entries| entries.contains_key(&balance))
        })
    }

    /// Whether one of the open blocks deployed the contract, or gave it another class.
    pub fn deploys(&self, contract: &ContractAddress) -> bool {
        self.changes.iter().any(|changes| changes.diff().deployed_contracts.contains_key(contract))
    }

    /// The changes as they travel.
    pub fn diffs_json(&self) -> Result<Vec<Vec<u8>>, ConversionError> {
        self.changes.iter().map(|changes| Ok(changes.json()?.to_vec())).collect()
    }
}

/// The blocks that are not in the store yet.
#[derive(Clone, Debug, Default)]
pub struct OpenBlocks {
    /// Closed, and being committed.
    pub committing: Option<PreConfirmedBlock>,
    /// Taking transactions; stands on the one that is being committed, if there is one.
    pub filling: Option<PreConfirmedBlock>,
}

impl OpenBlocks {
    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &PreConfirmedBlock> {
        self.committing.iter().chain(&self.filling)
    }

    /// The one after the last block in the store.
    pub fn first(&self) -> Option<&PreConfirmedBlock> {
        self.iter().next()
    }

    /// The state after all of them; `None` if there are none.
    pub fn state(&self) -> Option<OpenState> {
        let last = self.iter().last()?;
        Some(OpenState {
            base: self.first()?.environment.number.prev()?,
            environment: Arc::clone(&last.environment),
            changes: self.iter().map(|block| block.changes.clone()).collect(),
        })
    }
}

/// Handles to the sequencer's state in memory; clones are the same.
#[derive(Clone, Debug)]
pub struct Shared {
    pool: Arc<Mutex<Pool<BlockTransaction>>>,
    open: Arc<Mutex<OpenBlocks>>,
    /// Transactions that left the pool, and that the store could not be told of yet; no more than the pool held.
    unrecorded: Arc<Mutex<Vec<Removal>>>,
    tip: watch::Sender<Tip>,
    /// Wakes block production.
    pub work: Waker,
}

impl Shared {
    /// An empty mempool on top of this block.
    pub fn new(limits: PoolLimits, tip: Tip) -> Self {
        Self {
            pool: Arc::new(Mutex::new(Pool::new(limits))),
            open: Arc::default(),
            unrecorded: Arc::default(),
            tip: watch::Sender::new(tip),
            work: Waker::new(),
        }
    }

    /// The mempool. Never held over an await.
    pub fn pool(&self) -> MutexGuard<'_, Pool<BlockTransaction>> {
        // Every change of the pool leaves it whole, so a poisoned lock can be taken over.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks that are not in the store yet. Never held over an await.
    pub fn open(&self) -> MutexGuard<'_, OpenBlocks> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes durable that these left the mempool, and whatever could not be made durable before. What fails is kept for
    /// the next time; until then nobody can send these transactions again.
    pub async fn record(
        &self,
        store: &ChainStore,
        removals: Vec<Removal>,
    ) -> Result<(), ChainStoreError> {
        let mut all = std::mem::take(&mut *self.unrecorded());
        all.extend(removals);
        if all.is_empty() {
            return Ok(());
        }
        let recorded = store.remove_waiting(&all).await;
        match &recorded {
            Ok(()) => self.pool().left(all.iter().map(|removal| &removal.hash)),
            Err(_) => self.unrecorded().append(&mut all),
        }
        recorded
    }

    fn unrecorded(&self) -> MutexGuard<'_, Vec<Removal>> {
        // Appended and taken as a whole.
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last closed block.
    pub fn tip(&self) -> Tip {
        *self.tip.borrow()
    }

    /// The last closed block, without what only the next one wants to know.
    pub fn head(&self) -> Head {
        self.tip().head
    }

    /// Moves to a block that was committed.
    pub fn advance(&self, tip: Tip) {
        self.tip.send_replace(tip);
    }
}

#[cfg(test)]
mod tests {
    use sidereal_execution::block::OLD_BLOCK_HASH_DISTANCE;
    use starknet_api::block::{BlockHash, BlockHashAndNumber, BlockTimestamp};
    use starknet_api::core::Nonce;
    use starknet_types_core::felt::Felt;

    use super::*;
    use crate::production::ChainRules;

    fn block(number: u64) -> PreConfirmedBlock {
        let mut environment = ChainRules::of_the_defaults().genesis(BlockTimestamp(7));
        environment.number = BlockNumber(number);
        environment.old_block = number.checked_sub(OLD_BLOCK_HASH_DISTANCE).map(|old| {
            BlockHashAndNumber { number: BlockNumber(old), hash: BlockHash(Felt::from(0xb10c)) }
        });
        PreConfirmedBlock::new(environment)
    }

    fn nonce(account: u128, nonce: u64) -> ThinStateDiff {
        let mut diff = ThinStateDiff::default();
        diff.nonces.insert(ContractAddress::from(account), Nonce(Felt::from(nonce)));
        diff
    }

    fn read(json: &[u8]) -> ThinStateDiff {
        payload::decode("diff", json).unwrap()
    }

    /// Pins down that the JSON is shared while nothing changes, and never that of an earlier state.
    #[test]
    fn the_json_of_a_diff_follows_it() {
        let mut diff = SharedDiff::new(nonce(5, 1));
        let first = diff.json().unwrap();
        let seen = diff.clone();
        assert!(Arc::ptr_eq(&first, &seen.json().unwrap()));
        diff.extend(&nonce(6, 1));
        diff.extend(&nonce(5, 2));
        let mut both = nonce(5, 2);
        extend_diff(&mut both, &nonce(6, 1));
        assert_eq!(read(&diff.json().unwrap()), both);
        assert_eq!(diff.diff(), &both);
        // Whoever holds what was, keeps it.
        assert_eq!(read(&seen.json().unwrap()), nonce(5, 1));
    }

    /// Pins down what the state is made of: the last block in the store, and all that are not there, in their order.
    #[test]
    fn the_open_state_is_that_of_all_open_blocks() {
        let mut open = OpenBlocks::default();
        assert!(open.state().is_none());
        open.filling = Some(block(12));
        let state = open.state().unwrap();
        assert_eq!((state.base, state.changes.len()), (BlockNumber(11), 1));
        // The hash of block 2 can be read before the first transaction.
        let opening = read(&state.diffs_json().unwrap()[0]);
        assert_eq!(opening.storage_diffs[&ContractAddress::from(1_u128)].len(), 1);

        let (mut committing, mut filling) = (block(12), block(13));
        committing.changes.extend(&nonce(5, 1));
        filling.changes.extend(&nonce(5, 2));
        open = OpenBlocks { committing: Some(committing), filling: Some(filling) };
        let state = open.state().unwrap();
        assert_eq!((state.base, state.environment.number), (BlockNumber(11), BlockNumber(13)));
        let nonces: Vec<_> =
            state.diffs_json().unwrap().iter().map(|json| read(json).nonces).collect();
        assert_eq!(nonces, [nonce(5, 1).nonces, nonce(5, 2).nonces]);
        assert!(state.concerns(&ContractAddress::from(5_u128)));
        assert!(!state.concerns(&ContractAddress::from(6_u128)));
        assert!(!state.deploys(&ContractAddress::from(5_u128)));
    }

    /// Pins down that an account which was paid, whose storage changed or which is new is one to ask about again.
    #[test]
    fn accounts_that_the_open_blocks_changed() {
        let account = ContractAddress::from(5_u128);
        let concerns = |diff: ThinStateDiff| {
            let mut open = block(1);
            open.changes.extend(&diff);
            OpenBlocks { committing: None, filling: Some(open) }.state().unwrap().concerns(&account)
        };
        let storage = |contract, key| {
            let mut diff = ThinStateDiff::default();
            diff.storage_diffs.entry(contract).or_default().insert(key, Felt::ONE);
            diff
        };
        let mut deployed = ThinStateDiff::default();
        deployed.deployed_contracts.insert(account, Default::default());
        assert!(concerns(deployed));
        assert!(concerns(storage(account, 0_u64.into())));
        assert!(concerns(storage(*STRK_TOKEN_ADDRESS, get_fee_token_var_address(account))));
        let other = ContractAddress::from(6_u128);
        assert!(!concerns(storage(*STRK_TOKEN_ADDRESS, get_fee_token_var_address(other))));
        assert!(!concerns(ThinStateDiff::default()));
    }
}
