//! Whether an output is what the block committed.

use std::collections::BTreeMap;

use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Pedersen, StarkHash};

use super::data::{check_blobs, has_alias, is_system_contract};
use super::{BlobError, CompressionError, MessageToL1, OsOutput, OutputForm, StateUpdate};
use crate::cairo_structs::constants::STARKNET_OS_CONFIG_VERSION;
use crate::input::OsChain;

/// What the sequencer committed for a block: what its proof must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// State root before the block.
    pub previous_root: Felt,
    /// State root in the header.
    pub root: Felt,
    /// Block number in the header.
    pub block_number: u64,
    /// Parent hash in the header.
    pub previous_block_hash: Felt,
    /// Block hash.
    pub block_hash: Felt,
    /// The chain's configuration.
    pub chain: OsChain,
    /// How the state diff is in the output: [`OutputForm::PROVEN`] in a proof.
    pub form: OutputForm,
    /// The block's state diff, aliases and old block hash included.
    pub state_diff: ThinStateDiff,
    /// Messages to L1 in the receipts, in order.
    pub messages_to_l1: Vec<MessageToL1>,
    /// Keys that had an alias before the block, of those that the block changes: cells of contract 0x2.
    pub known_aliases: BTreeMap<Felt, Felt>,
}

/// How an output differs from what was committed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A field of the header differs.
    #[error("the {field} in the output of StarknetOS is {found:#x}, committed was {expected:#x}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What was committed.
        expected: Felt,
        /// What is in the output.
        found: Felt,
    },
    /// The state diff is in the output in another form than it was asked for.
    #[error("the output of StarknetOS has the {found:?} form, expected was the {expected:?} one")]
    Form {
        /// The form that was asked for.
        expected: OutputForm,
        /// The form of the output.
        found: OutputForm,
    },
    /// The messages to L1 differ.
    #[error("the messages to L1 in the output of StarknetOS differ from those in the receipts")]
    Messages,
    /// An alias that neither the block nor the state before it knows.
    #[error("alias {0:#x} in the output of StarknetOS stands for nothing")]
    Alias(Felt),
    /// The state diffs differ.
    #[error(
        "{what} of {key:#x} is {found:?} in the output of StarknetOS, committed was {expected:?}"
    )]
    StateDiff {
        /// Kind of the value.
        what: &'static str,
        /// Contract address or class hash (or storage key) that it is of.
        key: Felt,
        /// What was committed.
        expected: Option<Felt>,
        /// What is in the output.
        found: Option<Felt>,
    },
    /// The output has neither the state diff nor commitments to it.
    #[error("the output of StarknetOS says nothing of the state diff")]
    NoStateDiff,
    /// A key of the committed state diff to which neither the block nor the state before it gives an alias.
    #[error("key {0:#x} of the committed state diff has no alias")]
    NoAlias(Felt),
    /// The committed state diff cannot be compressed.
    #[error("compress the committed state diff")]
    Compression(#[source] CompressionError),
    /// The committed state diff fills another number of blobs.
    #[error(
        "the committed state diff fills {expected} blobs, the output of StarknetOS has {found}"
    )]
    BlobCount {
        /// How many the state diff fills.
        expected: usize,
        /// How many are in the output.
        found: usize,
    },
    /// A blob cannot be committed to.
    #[error("commit to the blobs of the state diff")]
    Blobs(#[source] BlobError),
    /// The commitment to a blob is not that of the committed state diff. StarknetOS does not check it.
    #[error("the commitment to blob {blob} is not one to the committed state diff")]
    Commitment {
        /// Index of the blob.
        blob: usize,
    },
    /// The value of a blob's polynomial is not that of the committed state diff.
    #[error("the evaluation of blob {blob} is not that of the committed state diff")]
    Evaluation {
        /// Index of the blob.
        blob: usize,
    },
}

/// The hash of the OS configuration in the output (`os_config/os_config.cairo`): a Pedersen hash of version,
/// chain id and both fee tokens, with their number.
pub fn os_config_hash(chain: &OsChain) -> Felt {
    Pedersen::hash_array(&[
        Felt::from_bytes_be_slice(STARKNET_OS_CONFIG_VERSION),
        chain.chain_id,
        *chain.deprecated_fee_token_address.0.key(),
        *chain.fee_token_address.0.key(),
    ])
}

impl OsOutput {
    /// Checks that this is the output for the block that was committed, state diff included: in the full and the
    /// compressed form value by value, in the KZG form by the commitments to the blobs that it fills.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, committed: &Committed) -> Result<(), CheckError> {
        let number = Felt::from(committed.block_number);
        for (field, expected, found) in [
            ("state root before the block", committed.previous_root, self.initial_root),
            ("state root", committed.root, self.final_root),
            ("parent block number", number - Felt::ONE, self.previous_block_number),
            ("block number", number, self.block_number),
            ("parent hash", committed.previous_block_hash, self.previous_block_hash),
            ("block hash", committed.block_hash, self.block_hash),
            ("OS program hash", Felt::ZERO, self.os_program_hash),
            ("config hash", os_config_hash(&committed.chain), self.config_hash),
            ("length of the messages to L2", Felt::ZERO, Felt::from(self.messages_to_l2.len())),
        ] {
            if expected != found {
                return Err(CheckError::Field { field, expected, found });
            }
        }
        if self.messages_to_l1 != committed.messages_to_l1 {
            return Err(CheckError::Messages);
        }
        if self.form != committed.form {
            return Err(CheckError::Form { expected: committed.form, found: self.form });
        }
        match (&self.state_update, &self.blobs) {
            (Some(update), None) => update.check(committed),
            (None, Some(blobs)) => check_blobs(blobs, &committed.blob_data()?),
            _ => Err(CheckError::NoStateDiff),
        }
    }
}

/// Values by contract (or class) and key.
type Values = BTreeMap<(Felt, Felt), Felt>;

impl StateUpdate {
    /// Checks that this is the state diff that was committed.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, committed: &Committed) -> Result<(), CheckError> {
        let aliases: BTreeMap<Felt, Felt> =
            committed.aliases().into_iter().map(|(key, alias)| (alias, key)).collect();
        let resolve = |alias: Felt| {
            if !has_alias(alias) {
                return Ok(alias);
            }
            aliases.get(&alias).copied().ok_or(CheckError::Alias(alias))
        };
        let (mut nonces, mut class_hashes, mut storage) =
            (Values::new(), Values::new(), Values::new());
        for contract in &self.contracts {
            // System contracts have no aliases at all.
            let is_system = is_system_contract(contract.address);
            let address = resolve(contract.address)?;
            for cell in &contract.storage {
                let key = if is_system { cell.key } else { resolve(cell.key)? };
                storage.insert((address, key), cell.value);
            }
            if let Some(nonce) = changed(contract.previous_nonce, contract.nonce) {
                nonces.insert((address, Felt::ZERO), nonce);
            }
            if let Some(class_hash) = changed(contract.previous_class_hash, contract.class_hash) {
                class_hashes.insert((address, Felt::ZERO), class_hash);
            }
        }
        let classes =
            self.classes.iter().map(|class| ((class.key, Felt::ZERO), class.value)).collect();

        let diff = &committed.state_diff;
        let at = |key: Felt| (key, Felt::ZERO);
        compare(
            "storage cell",
            &storage,
            &diff
                .storage_diffs
                .iter()
                .flat_map(|(address, cells)| {
                    cells.iter().map(|(key, value)| ((*address.0.key(), *key.0.key()), *value))
                })
                .collect(),
        )?;
        compare(
            "nonce",
            &nonces,
            &diff.nonces.iter().map(|(address, nonce)| (at(*address.0.key()), nonce.0)).collect(),
        )?;
        compare(
            "class",
            &class_hashes,
            &diff
                .deployed_contracts
                .iter()
                .map(|(address, class)| (at(*address.0.key()), class.0))
                .collect(),
        )?;
        compare(
            "compiled class",
            &classes,
            &diff
                .class_hash_to_compiled_class_hash
                .iter()
                .map(|(class, compiled)| (at(class.0), compiled.0))
                .collect(),
        )
    }
}

/// The full form has what did not change, too.
fn changed(previous: Option<Felt>, value: Option<Felt>) -> Option<Felt> {
    if previous.is_some() && previous == value { None } else { value }
}

fn compare(what: &'static str, found: &Values, expected: &Values) -> Result<(), CheckError> {
    for key in found.keys().chain(expected.keys()) {
        let (found, expected) = (found.get(key).copied(), expected.get(key).copied());
        if found != expected {
            let key = if key.1 == Felt::ZERO { key.0 } else { key.1 };
            return Err(CheckError::StateDiff { what, key, expected, found });
        }
    }
    Ok(())
}
