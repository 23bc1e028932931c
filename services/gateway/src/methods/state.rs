//! State: updates by block, and single values.

use std::sync::Arc;

use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError, StoredBlock};
use sidereal_patricia::state::StateRoots;
use sidereal_proto::felt as wire_felt;
use sidereal_proto::sequencer::GetPendingNonceRequest;
use starknet_api::block::BlockNumber;
use starknet_api::core::ContractAddress;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

use crate::error::RpcError;
use crate::gateway::{Gateway, Resolved};
use crate::open_state::{StateView, in_the_store};
use crate::params::Arguments;
use crate::pre_confirmed::PreConfirmed;
use crate::rpc::block_id::{BlockId, BlockTag};
use crate::rpc::number::{AddressHex, FeltHex, StorageKeyHex};
use crate::rpc::state::{
    ContractStorageDiff, DeclaredClass, DeployedContract, NonceUpdate, ReplacedClass, StateDiff,
    StateUpdate, StorageEntry, StorageResponseFlag, StorageValue,
};

pub async fn state_update(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<StateUpdate, RpcError> {
    let id = arguments.required(0)?;
    let contracts: Option<Vec<AddressHex>> = arguments.optional(1)?;
    if contracts.as_ref().is_some_and(|list| list.len() > gateway.limits().max_event_addresses) {
        let limit = gateway.limits().max_event_addresses;
        return Err(RpcError::invalid(
            "contract_addresses",
            format!("more than {limit} addresses"),
        ));
    }
    let mut update = match gateway.resolve(id).await? {
        Resolved::Closed(block) => closed_update(&gateway, &block).await?,
        Resolved::PreConfirmed(open) => open_update(&gateway, &open).await?,
    };
    if let Some(contracts) = contracts {
        let wanted: Vec<Felt> = contracts.iter().map(|address| *address.0.0.key()).collect();
        update.state_diff = update.state_diff.restricted_to(&wanted);
    }
    Ok(update)
}

async fn closed_update(gateway: &Gateway, block: &StoredBlock) -> Result<StateUpdate, RpcError> {
    let number = block.number();
    let diff = gateway.store().state_diff(number).await;
    let diff = diff
        .map_err(|error| RpcError::store("read a state diff", &error))?
        .ok_or(RpcError::Internal { operation: "find the state diff of a block" })?;
    let old_root = match number.prev() {
        None => StateRoots::default().global_root(),
        Some(parent) => {
            gateway.closed_block(BlockSelector::Number(parent)).await?.header.state_root
        }
    };
    Ok(StateUpdate {
        block_hash: Some(FeltHex(block.hash.0)),
        old_root: FeltHex(old_root.0),
        new_root: Some(FeltHex(block.header.state_root.0)),
        state_diff: written_diff(gateway, &diff, number).await?,
    })
}

/// What the open block changed so far. What is written only when it closes (the aliases of keys) is not in it, and a
/// value that was changed and changed back is.
async fn open_update(gateway: &Gateway, open: &PreConfirmed) -> Result<StateUpdate, RpcError> {
    let number = BlockNumber(open.header.block_number);
    let parent = number.prev().ok_or(RpcError::Internal { operation: "find the open block" })?;
    let parent = in_the_store(gateway, parent).await?;
    Ok(StateUpdate {
        block_hash: None,
        old_root: FeltHex(parent.header.state_root.0),
        new_root: None,
        state_diff: written_diff(gateway, &open.state_diff, number).await?,
    })
}

async fn written_diff(
    gateway: &Gateway,
    diff: &ThinStateDiff,
    block: BlockNumber,
) -> Result<StateDiff, RpcError> {
    let written = state_diff(gateway.store(), diff, block).await;
    written.map_err(|error| RpcError::store("read replaced classes", &error))
}

/// Writes a state diff. Which of the contracts with a new class were replaced and which deployed is read
/// from the state before `block`.
async fn state_diff(
    store: &ChainStore,
    diff: &ThinStateDiff,
    block: BlockNumber,
) -> Result<StateDiff, ChainStoreError> {
    let mut written = StateDiff {
        storage_diffs: diff
            .storage_diffs
            .iter()
            .map(|(address, entries)| ContractStorageDiff {
                address: FeltHex(*address.0.key()),
                storage_entries: entries
                    .iter()
                    .map(|(key, value)| StorageEntry {
                        key: FeltHex(*key.0.key()),
                        value: FeltHex(*value),
                    })
                    .collect(),
            })
            .collect(),
        deprecated_declared_classes: diff
            .deprecated_declared_classes
            .iter()
            .map(|class| FeltHex(class.0))
            .collect(),
        declared_classes: diff
            .class_hash_to_compiled_class_hash
            .iter()
            .map(|(class, compiled)| DeclaredClass {
                class_hash: FeltHex(class.0),
                compiled_class_hash: FeltHex(compiled.0),
            })
            .collect(),
        nonces: diff
            .nonces
            .iter()
            .map(|(address, nonce)| NonceUpdate {
                contract_address: FeltHex(*address.0.key()),
                nonce: FeltHex(nonce.0),
            })
            .collect(),
        ..StateDiff::default()
    };
    for (address, class) in &diff.deployed_contracts {
        let (address_hex, class_hash) = (FeltHex(*address.0.key()), FeltHex(class.0));
        let before = match block.prev() {
            None => None,
            Some(parent) => store.class_hash_at(address, parent).await?,
        };
        match before {
            None => {
                written
                    .deployed_contracts
                    .push(DeployedContract { address: address_hex, class_hash });
            }
            Some(_) => written
                .replaced_classes
                .push(ReplacedClass { contract_address: address_hex, class_hash }),
        }
    }
    Ok(written)
}

pub async fn storage_at(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<StorageValue, RpcError> {
    let AddressHex(address) = arguments.required(0)?;
    let StorageKeyHex(key) = arguments.required(1)?;
    let id = arguments.required(2)?;
    let flags: Option<Vec<StorageResponseFlag>> = arguments.optional(3)?;
    let state = gateway.state(id).await?;
    let (value, changed_in) = state.storage(&gateway, &address, &key).await?;
    let value = FeltHex(value);
    // Contracts 1 and 2 are the protocol's own: they have storage and no class.
    if value.0 == Felt::ZERO && *address.0.key() > Felt::TWO {
        state.class_hash(&gateway, &address).await?;
    }
    if !flags.is_some_and(|flags| flags.contains(&StorageResponseFlag::IncludeLastUpdateBlock)) {
        return Ok(StorageValue::Plain(value));
    }
    let last_update_block = match changed_in {
        Some(open) => open,
        None => last_update(&gateway, &address, &key, state.base()).await?,
    };
    Ok(StorageValue::WithLastUpdate { value, last_update_block })
}

pub async fn nonce(gateway: Arc<Gateway>, mut arguments: Arguments) -> Result<FeltHex, RpcError> {
    let id = arguments.required(0)?;
    let AddressHex(address) = arguments.required(1)?;
    if id == BlockId::Tag(BlockTag::PreConfirmed) {
        return pending_nonce(&gateway, &address).await;
    }
    let state = gateway.state(id).await?;
    state.class_hash(&gateway, &address).await?;
    let nonce = gateway.store().nonce_at(&address, state.base()).await;
    nonce.map(|nonce| FeltHex(nonce.0)).map_err(|error| RpcError::store("read a nonce", &error))
}

/// The nonce for the account's next transaction, those in the mempool counted in.
async fn pending_nonce(gateway: &Gateway, address: &ContractAddress) -> Result<FeltHex, RpcError> {
    const OPERATION: &str = "read a pending nonce";
    let request = GetPendingNonceRequest { address: wire_felt::felt_bytes(address.0.key()) };
    let answer = gateway
        .sequencer()
        .get_pending_nonce(request)
        .await
        .map_err(|status| RpcError::service(OPERATION, &status))?
        .into_inner();
    let nonce = wire_felt::felt("nonce", &answer.nonce)
        .map_err(|error| RpcError::internal(OPERATION, &error))?;
    if nonce == Felt::ZERO {
        // Nobody has sent anything from there: then it must at least exist.
        StateView::pre_confirmed(gateway).await?.class_hash(gateway, address).await?;
    }
    Ok(FeltHex(nonce))
}

pub async fn class_hash_at(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<FeltHex, RpcError> {
    let id = arguments.required(0)?;
    let AddressHex(address) = arguments.required(1)?;
    let state = gateway.state(id).await?;
    state.class_hash(&gateway, &address).await.map(|class| FeltHex(class.0))
}

/// The block of the last change of a storage cell up to `block`; 0 when it never changed. The store keeps
/// values by block but not the way back from a cell to its last change, so the diffs are walked; a walk that
/// would be too long is refused.
async fn last_update(
    gateway: &Gateway,
    address: &ContractAddress,
    key: &StorageKey,
    block: BlockNumber,
) -> Result<u64, RpcError> {
    let mut number = Some(block);
    for _ in 0..gateway.limits().max_history_blocks {
        let Some(current) = number else { return Ok(0) };
        let diff = gateway.store().state_diff(current).await;
        let diff = diff.map_err(|error| RpcError::store("read a state diff", &error))?;
        let changed = diff.is_some_and(|diff| {
            diff.storage_diffs.get(address).is_some_and(|entries| entries.contains_key(key))
        });
        if changed {
            return Ok(current.0);
        }
        number = current.prev();
    }
    match number {
        None => Ok(0),
        Some(_) => Err(RpcError::invalid(
            "response_flags",
            "the last change of this cell is too far in the past to be looked up",
        )),
    }
}
