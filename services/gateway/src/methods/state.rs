//! State: updates by block, and single values.

use std::sync::Arc;

use sidereal_chain_store::{ChainStore, ChainStoreError};
use sidereal_patricia::state::StateRoots;
use sidereal_proto::felt as wire_felt;
use sidereal_proto::sequencer::GetPendingNonceRequest;
use starknet_api::block::BlockNumber;
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

use crate::error::RpcError;
use crate::gateway::{Gateway, Resolved};
use crate::params::Arguments;
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
    let block = match gateway.resolve(id).await? {
        Resolved::Closed(block) => block,
        Resolved::PreConfirmed(_) => return Err(RpcError::OpenStateUnavailable),
    };
    let number = block.number();
    let diff = gateway.store().state_diff(number).await;
    let diff = diff
        .map_err(|error| RpcError::store("read a state diff", &error))?
        .ok_or(RpcError::Internal { operation: "find the state diff of a block" })?;
    let old_root = match number.prev() {
        None => StateRoots::default().global_root(),
        Some(parent) => {
            let parent = sidereal_chain_store::BlockSelector::Number(parent);
            gateway.closed_block(parent).await?.header.state_root
        }
    };
    let mut diff = state_diff(gateway.store(), &diff, number)
        .await
        .map_err(|error| RpcError::store("read replaced classes", &error))?;
    if let Some(contracts) = contracts {
        let wanted: Vec<Felt> = contracts.iter().map(|address| *address.0.0.key()).collect();
        diff = diff.restricted_to(&wanted);
    }
    Ok(StateUpdate {
        block_hash: Some(FeltHex(block.hash.0)),
        old_root: FeltHex(old_root.0),
        new_root: Some(FeltHex(block.header.state_root.0)),
        state_diff: diff,
    })
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
    let block = gateway.state_block(id).await?;
    let value = gateway.store().storage_at(&address, &key, block).await;
    let value = FeltHex(value.map_err(|error| RpcError::store("read a storage cell", &error))?);
    // Contracts 1 and 2 are the protocol's own: they have storage and no class.
    if value.0 == Felt::ZERO && *address.0.key() > Felt::TWO {
        class_hash(&gateway, &address, block).await?;
    }
    if !flags.is_some_and(|flags| flags.contains(&StorageResponseFlag::IncludeLastUpdateBlock)) {
        return Ok(StorageValue::Plain(value));
    }
    let last_update_block = last_update(&gateway, &address, &key, block).await?;
    Ok(StorageValue::WithLastUpdate { value, last_update_block })
}

pub async fn nonce(gateway: Arc<Gateway>, mut arguments: Arguments) -> Result<FeltHex, RpcError> {
    let id = arguments.required(0)?;
    let AddressHex(address) = arguments.required(1)?;
    let block = gateway.state_block(id).await?;
    if id == BlockId::Tag(BlockTag::PreConfirmed) {
        return pending_nonce(&gateway, &address, block).await;
    }
    class_hash(&gateway, &address, block).await?;
    closed_nonce(&gateway, &address, block).await
}

async fn closed_nonce(
    gateway: &Gateway,
    address: &ContractAddress,
    block: BlockNumber,
) -> Result<FeltHex, RpcError> {
    let nonce = gateway.store().nonce_at(address, block).await;
    nonce.map(|nonce| FeltHex(nonce.0)).map_err(|error| RpcError::store("read a nonce", &error))
}

/// The nonce for the account's next transaction, those in the mempool counted in.
async fn pending_nonce(
    gateway: &Gateway,
    address: &ContractAddress,
    head: BlockNumber,
) -> Result<FeltHex, RpcError> {
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
        class_hash(gateway, address, head).await?;
    }
    Ok(FeltHex(nonce))
}

pub async fn class_hash_at(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<FeltHex, RpcError> {
    let id = arguments.required(0)?;
    let AddressHex(address) = arguments.required(1)?;
    let block = gateway.state_block(id).await?;
    class_hash(&gateway, &address, block).await.map(|class| FeltHex(class.0))
}

/// The class of a contract that exists after `block`.
pub async fn class_hash(
    gateway: &Gateway,
    address: &ContractAddress,
    block: BlockNumber,
) -> Result<ClassHash, RpcError> {
    let class = gateway.store().class_hash_at(address, block).await;
    class
        .map_err(|error| RpcError::store("read a contract's class", &error))?
        .ok_or(RpcError::ContractNotFound)
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
