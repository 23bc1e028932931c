//! The data of a block: its state diff as StarknetOS packs, compresses and commits to it.
//!
//! A proof in [`OutputForm::Kzg`](super::OutputForm::Kzg) does not contain the state diff, and StarknetOS takes the
//! commitments to the blobs as given. Whoever knows the state diff can say what they must be:
//!
//! ```text
//!   state diff ──aliases, pack──> felts ──compress──> data ──chunks of 4,096──> polynomials ──> commitments
//!                                                      └── Poseidon, with the commitments ──> point ──> evaluations
//! ```

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigUint;
use starknet_api::core::ContractAddress;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

use super::BlobCommitments;
use super::blob::{BlobError, bls_prime, commit};
use super::check::{CheckError, Committed};
use super::compression::compress;
use crate::cairo_structs::constants::{
    ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY, BLOB_LENGTH,
    MAX_NON_COMPRESSED_CONTRACT_ADDRESS, MIN_VALUE_FOR_ALIAS_ALLOC, N_UPDATES_SMALL_PACKING_BOUND,
};

/// Whether a contract is written under its own address, with its own keys (`aliases.cairo`).
pub(super) fn is_system_contract(address: Felt) -> bool {
    address <= Felt::from(MAX_NON_COMPRESSED_CONTRACT_ADDRESS)
}

/// Whether an address or key is written as an alias (`aliases.cairo`); of a system contract none is.
pub(super) fn has_alias(key: Felt) -> bool {
    key >= Felt::from(MIN_VALUE_FOR_ALIAS_ALLOC)
}

impl Committed {
    /// The keys of the alias contract (0x2) that the output of a block with this state diff refers to:
    /// [`Committed::known_aliases`] must have those that had a value before the block.
    pub fn alias_keys(state_diff: &ThinStateDiff) -> BTreeSet<StorageKey> {
        let cells = state_diff
            .storage_diffs
            .iter()
            .filter(|(address, _)| !is_system_contract(*address.0.key()))
            .flat_map(|(_, cells)| cells.keys().copied());
        changed_contracts(state_diff)
            .into_iter()
            .filter(|address| !is_system_contract(*address.0.key()))
            .map(|address| StorageKey(address.0))
            .chain(cells)
            .filter(|key| has_alias(*key.0.key()))
            .collect()
    }

    /// The felts that fill the blobs of this block: the coefficients of one polynomial a blob.
    ///
    /// # Errors
    /// When the state diff has a key without alias, or more than 2^20 words.
    pub fn blob_data(&self) -> Result<Vec<Felt>, CheckError> {
        compress(&self.packed()?).map_err(CheckError::Compression)
    }

    /// The state diff as `pack_contract_state_diff` and `output_contract_class_da_changes` write it.
    fn packed(&self) -> Result<Vec<Felt>, CheckError> {
        let diff = &self.state_diff;
        let aliases = self.aliases();
        let alias = |key: Felt| {
            if !has_alias(key) {
                return Ok(key);
            }
            aliases.get(&key).copied().ok_or(CheckError::NoAlias(key))
        };
        let contracts = changed_contracts(diff);
        let mut packed = vec![Felt::from(contracts.len())];
        for address in contracts {
            let is_system = is_system_contract(*address.0.key());
            let alias = |key: Felt| if is_system { Ok(key) } else { alias(key) };
            let cells: BTreeMap<_, _> =
                diff.storage_diffs.get(&address).into_iter().flatten().collect();
            let nonce = diff.nonces.get(&address).map(|nonce| nonce.0.to_biguint());
            let class = diff.deployed_contracts.get(&address);
            let is_small = Felt::from(cells.len()) < Felt::from(N_UPDATES_SMALL_PACKING_BOUND);
            let count_bits = if is_small { 8_usize } else { 64 };
            let mut header = nonce.unwrap_or_default();
            header = (header << count_bits) + cells.len();
            header = (header << 1_usize) + u8::from(is_small);
            header = (header << 1_usize) + u8::from(class.is_some());
            packed.extend([alias(*address.0.key())?, Felt::from(header)]);
            packed.extend(class.map(|class| class.0));
            for (key, value) in cells {
                packed.extend([alias(*key.0.key())?, *value]);
            }
        }
        let classes: BTreeMap<_, _> = diff.class_hash_to_compiled_class_hash.iter().collect();
        packed.push(Felt::from(classes.len()));
        packed.extend(classes.into_iter().flat_map(|(class, compiled)| [class.0, compiled.0]));
        Ok(packed)
    }

    /// The alias of every key that has one after the block.
    pub(super) fn aliases(&self) -> BTreeMap<Felt, Felt> {
        let allocated = self
            .state_diff
            .storage_diffs
            .iter()
            .filter(|(address, _)| *address.0.key() == ALIAS_CONTRACT_ADDRESS)
            .flat_map(|(_, cells)| cells)
            .map(|(key, alias)| (*key.0.key(), *alias));
        self.known_aliases
            .iter()
            .map(|(key, alias)| (*key, *alias))
            .chain(allocated)
            .filter(|(key, _)| *key != ALIAS_COUNTER_STORAGE_KEY)
            .collect()
    }
}

fn changed_contracts(diff: &ThinStateDiff) -> BTreeSet<ContractAddress> {
    let storage = diff.storage_diffs.iter().filter(|(_, cells)| !cells.is_empty());
    storage
        .map(|(address, _)| address)
        .chain(diff.nonces.keys())
        .chain(diff.deployed_contracts.keys())
        .copied()
        .collect()
}

impl BlobCommitments {
    /// What an output in the KZG form says of this data (`compute_os_kzg_commitment_info`).
    ///
    /// # Errors
    /// When the KZG library refuses a blob.
    pub fn of_data(data: &[Felt]) -> Result<Self, BlobError> {
        let chunks = data.chunks(BLOB_LENGTH);
        let commitments = chunks.clone().map(commit).collect::<Result<Vec<_>, _>>()?;
        let words: Vec<Felt> =
            commitments.iter().flat_map(|commitment| [commitment.low, commitment.high]).collect();
        let point = Poseidon::hash(&Poseidon::hash_array(data), &Poseidon::hash_array(&words));
        let at = point.to_biguint();
        let evaluations = chunks.map(|chunk| evaluate_at(chunk, &at)).collect();
        Ok(Self { point, commitments, evaluations })
    }
}

/// Checks that the commitments in an output are to this data, and that the polynomials of this data have the values
/// in the output. The point binds StarknetOS' own data to this one: it is a hash of it.
pub(super) fn check_blobs(found: &BlobCommitments, data: &[Felt]) -> Result<(), CheckError> {
    let expected = BlobCommitments::of_data(data).map_err(CheckError::Blobs)?;
    let blobs = expected.commitments.len();
    if blobs != found.commitments.len() || blobs != found.evaluations.len() {
        let found = found.commitments.len();
        return Err(CheckError::BlobCount { expected: blobs, found });
    }
    for blob in 0..blobs {
        if expected.commitments[blob] != found.commitments[blob] {
            return Err(CheckError::Commitment { blob });
        }
    }
    if expected.point != found.point {
        return Err(CheckError::Field {
            field: "point of the blobs' evaluation",
            expected: expected.point,
            found: found.point,
        });
    }
    for blob in 0..blobs {
        if expected.evaluations[blob] != found.evaluations[blob] {
            return Err(CheckError::Evaluation { blob });
        }
    }
    Ok(())
}

/// The value at `point` of the polynomial with these coefficients, lowest first, below the order of BLS12-381.
fn evaluate_at(coefficients: &[Felt], point: &BigUint) -> BigUint {
    coefficients
        .iter()
        .rev()
        .fold(BigUint::ZERO, |value, felt| (value * point + felt.to_biguint()) % bls_prime())
}
