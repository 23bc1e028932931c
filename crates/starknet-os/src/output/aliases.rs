//! From a state diff as StarknetOS writes it back to the state diff: keys and addresses in place of their aliases.
//!
//! An alias means the same for ever, and the block that allocates it writes it to the alias contract, which has no
//! aliases itself. Whoever has the state diffs of all blocks so far can undo the next one.

use std::collections::{BTreeMap, BTreeSet};

use starknet_api::StarknetApiError;
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

use super::StateUpdate;
use super::data::{has_alias, is_system_contract};
use crate::cairo_structs::constants::{ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY};

/// Why a state diff cannot be written with its own keys and addresses.
#[derive(Debug, thiserror::Error)]
pub enum AliasError {
    /// No block has allocated an alias that the state diff refers to.
    #[error("alias {0:#x} was never allocated")]
    Unknown(Felt),
    /// A number is no key or address.
    #[error("{value:#x} is no {what}")]
    OutOfRange {
        /// What it should be.
        what: &'static str,
        /// The number.
        value: Felt,
        /// The cause.
        #[source]
        source: StarknetApiError,
    },
}

impl StateUpdate {
    /// The aliases that this block allocates, and the key or address of each.
    pub fn allocated_aliases(&self) -> impl Iterator<Item = (Felt, Felt)> {
        self.contracts
            .iter()
            .filter(|contract| contract.address == ALIAS_CONTRACT_ADDRESS)
            .flat_map(|contract| &contract.storage)
            .filter(|cell| cell.key != ALIAS_COUNTER_STORAGE_KEY)
            .map(|cell| (cell.value, cell.key))
    }

    /// All aliases that this state diff refers to.
    pub fn used_aliases(&self) -> BTreeSet<Felt> {
        let contracts =
            self.contracts.iter().filter(|contract| !is_system_contract(contract.address));
        contracts
            .flat_map(|contract| {
                contract.storage.iter().map(|cell| cell.key).chain([contract.address])
            })
            .filter(|key| has_alias(*key))
            .collect()
    }

    /// The state diff with keys and addresses in place of aliases, given the key or address of each of
    /// [`Self::used_aliases`].
    ///
    /// # Errors
    /// When one of them is not given, or a number is out of range.
    pub fn resolve(&self, keys: &BTreeMap<Felt, Felt>) -> Result<ThinStateDiff, AliasError> {
        let resolve = |key: Felt| {
            if !has_alias(key) {
                return Ok(key);
            }
            keys.get(&key).copied().ok_or(AliasError::Unknown(key))
        };
        let mut diff = ThinStateDiff::default();
        for contract in &self.contracts {
            let is_system = is_system_contract(contract.address);
            let value = resolve(contract.address)?;
            let address = ContractAddress::try_from(value).map_err(|source| {
                AliasError::OutOfRange { what: "contract address", value, source }
            })?;
            for cell in &contract.storage {
                let value = if is_system { cell.key } else { resolve(cell.key)? };
                let key = StorageKey::try_from(value).map_err(|source| AliasError::OutOfRange {
                    what: "storage key",
                    value,
                    source,
                })?;
                diff.storage_diffs.entry(address).or_default().insert(key, cell.value);
            }
            if let Some(nonce) = contract.nonce {
                diff.nonces.insert(address, Nonce(nonce));
            }
            if let Some(class_hash) = contract.class_hash {
                diff.deployed_contracts.insert(address, ClassHash(class_hash));
            }
        }
        for class in &self.classes {
            diff.class_hash_to_compiled_class_hash
                .insert(ClassHash(class.key), CompiledClassHash(class.value));
        }
        Ok(diff)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ContractUpdate, ValueUpdate};
    use super::*;

    fn contract(address: u64, cells: &[(u64, u64)]) -> ContractUpdate {
        let cell = |(key, value): &(u64, u64)| ValueUpdate {
            key: Felt::from(*key),
            previous_value: None,
            value: Felt::from(*value),
        };
        ContractUpdate {
            address: Felt::from(address),
            previous_nonce: None,
            nonce: None,
            previous_class_hash: None,
            class_hash: None,
            storage: cells.iter().map(cell).collect(),
        }
    }

    /// Pins down what is an alias: keys and addresses from 128 on, and nothing of the contracts up to 15.
    #[test]
    fn aliases_are_undone_and_nothing_else() {
        let update = StateUpdate {
            contracts: vec![
                contract(1, &[(500, 7)]),
                contract(2, &[(0, 130), (70_000, 128), (80_000, 129)]),
                contract(16, &[(127, 1), (128, 2)]),
                contract(129, &[(128, 3)]),
            ],
            classes: Vec::new(),
        };
        let used: Vec<Felt> = update.used_aliases().into_iter().collect();
        assert_eq!(used, [128_u64, 129].map(Felt::from));
        let keys: BTreeMap<Felt, Felt> = update.allocated_aliases().collect();
        let expected = [(128_u64, 70_000_u64), (129, 80_000)];
        assert_eq!(keys, expected.map(|(alias, key)| (alias.into(), key.into())).into());

        let diff = update.resolve(&keys).unwrap();
        let cells: Vec<(u64, u64, u64)> = diff
            .storage_diffs
            .iter()
            .flat_map(|(address, cells)| {
                let number = |felt: &Felt| u64::try_from(*felt).unwrap();
                cells.iter().map(move |(key, value)| {
                    (number(address.0.key()), number(key.0.key()), number(value))
                })
            })
            .collect();
        let expected = [
            (1, 500, 7),
            (2, 0, 130),
            (2, 70_000, 128),
            (2, 80_000, 129),
            (16, 127, 1),
            (16, 70_000, 2),
            (80_000, 70_000, 3),
        ];
        assert_eq!(cells, expected);

        let error = update.resolve(&BTreeMap::new());
        assert!(matches!(error, Err(AliasError::Unknown(alias)) if alias == Felt::from(128)));
        let far = BTreeMap::from([(Felt::from(128), Felt::MAX), (Felt::from(129), Felt::ONE)]);
        assert!(matches!(update.resolve(&far), Err(AliasError::OutOfRange { .. })));
    }
}
