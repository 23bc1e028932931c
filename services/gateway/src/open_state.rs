//! The state that a block id stands for: a closed block's, or what is executed on top of the last one.
//!
//! ```text
//!  chain store: block `base` <── what the block being committed changed <── what the block being filled changed
//! ```
//!
//! Values are looked up from right to left. An executor gets the changes along with a query and does the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidereal_chain_store::{BlockSelector, StoredBlock};
use sidereal_proto::executor::{PendingState, StateAt};
use sidereal_proto::payload;
use sidereal_proto::sequencer::GetPreConfirmedStateRequest;
use sidereal_proto::sequencer::get_pre_confirmed_state_response::State as WireState;
use starknet_api::block::BlockNumber;
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

use crate::error::RpcError;
use crate::gateway::Gateway;

const OPERATION: &str = "read the open state";

/// How often a base that is not in our view of the chain store is looked for again, and how long is waited before.
const BASE_RETRIES: u32 = 3;
const BASE_RETRY: Duration = Duration::from_millis(50);

/// See the [module](self). Cheap to clone.
#[derive(Clone, Debug)]
pub enum StateView {
    /// After this block.
    Closed(BlockNumber),
    /// After the open blocks.
    Open(Arc<OpenState>),
}

/// What is executed and not in the chain store.
#[derive(Debug)]
pub struct OpenState {
    base: BlockNumber,
    /// As it goes to executors.
    wire: PendingState,
    /// The changes of block `base + 1`, and so on.
    diffs: Vec<ThinStateDiff>,
}

/// The open state that was read last: it is asked for more often than it changes.
#[derive(Debug, Default)]
pub struct LastOpenState(Mutex<Option<Arc<OpenState>>>);

impl LastOpenState {
    fn get(&self, base: BlockNumber, wire: &PendingState) -> Option<Arc<OpenState>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (last.base == base && last.wire == *wire).then_some(last)
    }

    fn set(&self, state: Arc<OpenState>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}

impl StateView {
    /// The state after everything that is executed; when no block is open, as the block to come begins.
    pub async fn pre_confirmed(gateway: &Gateway) -> Result<Self, RpcError> {
        let answer = gateway
            .sequencer()
            .get_pre_confirmed_state(GetPreConfirmedStateRequest {})
            .await
            .map_err(|status| RpcError::service(OPERATION, &status))?
            .into_inner();
        let WireState { base_number, environment_json, state_diffs_json } =
            answer.state.ok_or(RpcError::Internal { operation: OPERATION })?;
        let base = BlockNumber(base_number);
        let wire = PendingState { environment_json, state_diffs_json };
        if let Some(last) = gateway.last_open_state().get(base, &wire) {
            return Ok(Self::Open(last));
        }
        in_the_store(gateway, base).await?;
        let diffs = wire
            .state_diffs_json
            .iter()
            .map(|diff| payload::decode("state_diffs_json", diff))
            .collect::<Result<_, _>>()
            .map_err(|error| RpcError::internal(OPERATION, &error))?;
        let state = Arc::new(OpenState { base, wire, diffs });
        gateway.last_open_state().set(Arc::clone(&state));
        Ok(Self::Open(state))
    }

    /// The closed block that holds what is not in [`Self::found`].
    pub fn base(&self) -> BlockNumber {
        match self {
            Self::Closed(number) => *number,
            Self::Open(open) => open.base,
        }
    }

    /// What the open blocks say, the last one first, with the number of the one that says it.
    fn found<T>(&self, find: impl Fn(&ThinStateDiff) -> Option<T>) -> Option<(u64, T)> {
        let Self::Open(open) = self else { return None };
        let numbers = open.base.0.saturating_add(1)..;
        let mut diffs: Vec<_> = numbers.zip(&open.diffs).collect();
        diffs.reverse();
        diffs.into_iter().find_map(|(number, diff)| Some((number, find(diff)?)))
    }

    /// The value of a storage cell, and the open block that changed it, if one did.
    pub async fn storage(
        &self,
        gateway: &Gateway,
        address: &ContractAddress,
        key: &StorageKey,
    ) -> Result<(Felt, Option<u64>), RpcError> {
        let changed = self.found(|diff| diff.storage_diffs.get(address)?.get(key).copied());
        if let Some((number, value)) = changed {
            return Ok((value, Some(number)));
        }
        let value = gateway.store().storage_at(address, key, self.base()).await;
        let value = value.map_err(|error| RpcError::store("read a storage cell", &error))?;
        Ok((value, None))
    }

    /// The class of a contract that exists.
    pub async fn class_hash(
        &self,
        gateway: &Gateway,
        address: &ContractAddress,
    ) -> Result<ClassHash, RpcError> {
        let changed = self.found(|diff| diff.deployed_contracts.get(address).copied());
        if let Some((_, class)) = changed {
            return Ok(class);
        }
        let class = gateway.store().class_hash_at(address, self.base()).await;
        class
            .map_err(|error| RpcError::store("read a contract's class", &error))?
            .ok_or(RpcError::ContractNotFound)
    }

    /// Checks that a class is declared.
    pub async fn check_declared(
        &self,
        gateway: &Gateway,
        class: &ClassHash,
    ) -> Result<(), RpcError> {
        let declares = |diff: &ThinStateDiff| {
            diff.class_hash_to_compiled_class_hash.contains_key(class).then_some(())
        };
        if self.found(declares).is_some() {
            return Ok(());
        }
        let declared = gateway.store().declared_class(class).await;
        match declared.map_err(|error| RpcError::store("find a class", &error))? {
            Some(declared) if declared.block_number <= self.base() => Ok(()),
            _ => Err(RpcError::ClassHashNotFound),
        }
    }

    /// As executors are told.
    pub fn wire(&self) -> StateAt {
        let pending = match self {
            Self::Closed(_) => None,
            Self::Open(open) => Some(open.wire.clone()),
        };
        StateAt { block_number: Some(self.base().0), pending }
    }
}

/// A block that the sequencer has committed, as soon as we see it.
pub async fn in_the_store(gateway: &Gateway, number: BlockNumber) -> Result<StoredBlock, RpcError> {
    for _ in 0..BASE_RETRIES {
        match gateway.closed_block(BlockSelector::Number(number)).await {
            Err(RpcError::BlockNotFound) => tokio::time::sleep(BASE_RETRY).await,
            found => return found,
        }
    }
    tracing::error!(
        block = number.0,
        "a block that the sequencer has committed is not in the store"
    );
    Err(RpcError::Internal { operation: OPERATION })
}
