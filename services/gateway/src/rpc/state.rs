//! State updates and storage values.

use serde::{Deserialize, Serialize};
use starknet_types_core::felt::Felt;

use super::number::{AddressHex, FeltHex, StorageKeyHex};

/// `STATE_UPDATE`.
#[derive(Clone, Debug, Serialize)]
pub struct StateUpdate {
    /// With `new_root`, absent for the open block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<FeltHex>,
    pub old_root: FeltHex,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_root: Option<FeltHex>,
    pub state_diff: StateDiff,
}

/// `STATE_DIFF`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StateDiff {
    pub storage_diffs: Vec<ContractStorageDiff>,
    /// Always empty: this chain has no Cairo 0 classes.
    pub deprecated_declared_classes: Vec<FeltHex>,
    pub declared_classes: Vec<DeclaredClass>,
    pub deployed_contracts: Vec<DeployedContract>,
    pub replaced_classes: Vec<ReplacedClass>,
    pub nonces: Vec<NonceUpdate>,
}

/// `CONTRACT_STORAGE_DIFF_ITEM`.
#[derive(Clone, Debug, Serialize)]
pub struct ContractStorageDiff {
    pub address: FeltHex,
    pub storage_entries: Vec<StorageEntry>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct StorageEntry {
    pub key: FeltHex,
    pub value: FeltHex,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeclaredClass {
    pub class_hash: FeltHex,
    pub compiled_class_hash: FeltHex,
}

/// `DEPLOYED_CONTRACT_ITEM`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeployedContract {
    pub address: FeltHex,
    pub class_hash: FeltHex,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReplacedClass {
    pub contract_address: FeltHex,
    pub class_hash: FeltHex,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct NonceUpdate {
    pub contract_address: FeltHex,
    pub nonce: FeltHex,
}

impl StateDiff {
    /// Keeps what concerns the given contracts only; declared classes belong to no contract and go too.
    pub fn restricted_to(mut self, contracts: &[Felt]) -> Self {
        let wanted = |address: &FeltHex| contracts.contains(&address.0);
        self.storage_diffs.retain(|item| wanted(&item.address));
        self.deployed_contracts.retain(|item| wanted(&item.address));
        self.replaced_classes.retain(|item| wanted(&item.contract_address));
        self.nonces.retain(|item| wanted(&item.contract_address));
        self.declared_classes.clear();
        self
    }
}

/// `STORAGE_RESPONSE_FLAG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum StorageResponseFlag {
    #[serde(rename = "INCLUDE_LAST_UPDATE_BLOCK")]
    IncludeLastUpdateBlock,
}

/// The value alone, or `STORAGE_RESULT` when the caller asked for the block of the last change.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum StorageValue {
    Plain(FeltHex),
    WithLastUpdate { value: FeltHex, last_update_block: u64 },
}

/// One entry of `contracts_storage_keys` of `starknet_getStorageProof`.
#[derive(Clone, Debug, Deserialize)]
pub struct ContractStorageKeys {
    pub contract_address: AddressHex,
    pub storage_keys: Vec<StorageKeyHex>,
}
