//! From the witness of a block to the input of StarknetOS, and to what its output must be.

use std::collections::BTreeMap;
use std::sync::Arc;

use sidereal_execution::block::{ETH_TOKEN_ADDRESS, STRK_TOKEN_ADDRESS};
use sidereal_execution::replay::ReplayedBlock;
use sidereal_execution::witness::BlockWitness;
use starknet_api::StarknetApiError;
use starknet_api::core::{ChainId, ClassHash, CompiledClassHash};
use starknet_api::executable_transaction::Transaction;
use starknet_types_core::felt::Felt;

use crate::cairo_structs::constants::{ALIAS_CONTRACT_ADDRESS, ALIAS_COUNTER_STORAGE_KEY};
use crate::input::{OsBlock, OsChain, OsInput};
use crate::output::{Committed, MessageToL1, OutputForm};

impl OsChain {
    /// The configuration of a chain of this project: STRK and ETH at Starknet's own addresses.
    ///
    /// # Errors
    /// When the chain id does not fit into a felt.
    pub fn new(chain_id: &ChainId) -> Result<Self, StarknetApiError> {
        Ok(Self {
            chain_id: Felt::try_from(chain_id)?,
            fee_token_address: *STRK_TOKEN_ADDRESS,
            deprecated_fee_token_address: *ETH_TOKEN_ADDRESS,
        })
    }
}

impl OsInput {
    /// The input for a block that was re-executed from its witness.
    ///
    /// # Errors
    /// When the chain id does not fit into a felt.
    pub fn of_block(
        witness: &BlockWitness,
        replayed: ReplayedBlock,
    ) -> Result<Self, StarknetApiError> {
        let environment = &witness.environment;
        let before = &witness.initial_reads.compiled_class_hashes;
        let declared = &witness.state_diff.class_hash_to_compiled_class_hash;
        // A class that this block declares has no compiled class hash before it.
        let compiled_class_hash = |class_hash: &ClassHash| -> CompiledClassHash {
            let known = before.get(class_hash).filter(|compiled| compiled.0 != Felt::ZERO);
            known.or_else(|| declared.get(class_hash)).copied().unwrap_or_default()
        };
        let compiled_classes = witness
            .classes
            .iter()
            .map(|(class_hash, class)| {
                (compiled_class_hash(class_hash), Arc::new((*class.casm).clone()))
            })
            .collect();
        let class_components = witness
            .classes
            .iter()
            .filter_map(|(class_hash, class)| {
                let hashes = class.declared.as_ref()?.component_hashes;
                let components = [
                    hashes.contract_class_version,
                    hashes.external_functions,
                    hashes.l1_handlers,
                    hashes.constructors,
                    hashes.abi,
                    hashes.sierra_program,
                ];
                Some((*class_hash, components))
            })
            .collect();
        Ok(Self {
            block: OsBlock {
                number: environment.number.0,
                timestamp: environment.timestamp.0,
                sequencer_address: environment.sequencer_address,
            },
            chain: OsChain::new(&environment.chain_id)?,
            previous_block_hash: environment.parent_hash.0,
            block_hash: witness.header.hash.0,
            old_block: environment.old_block.as_ref().map(|block| (block.number.0, block.hash.0)),
            transactions: replayed.transactions.into_iter().map(Transaction::Account).collect(),
            execution_infos: replayed.execution_infos,
            storage: witness.initial_reads.storage.clone(),
            facts: witness.commitment.clone(),
            compiled_class_hashes: before.clone(),
            compiled_classes,
            class_components,
        })
    }
}

impl From<&starknet_api::transaction::MessageToL1> for MessageToL1 {
    fn from(message: &starknet_api::transaction::MessageToL1) -> Self {
        Self {
            from_address: *message.from_address.0.key(),
            to_address: Felt::from(message.to_address),
            payload: message.payload.0.clone(),
        }
    }
}

impl Committed {
    /// The contract that gives addresses and keys their aliases.
    pub const ALIAS_CONTRACT_ADDRESS: Felt = ALIAS_CONTRACT_ADDRESS;

    /// What the proven output must say of the block of this witness.
    ///
    /// # Errors
    /// When the chain id does not fit into a felt.
    pub fn of_block(witness: &BlockWitness) -> Result<Self, StarknetApiError> {
        let messages_to_l1 = witness
            .receipts
            .iter()
            .flat_map(|receipt| &receipt.messages_sent)
            .map(MessageToL1::from)
            .collect();
        let known_aliases: BTreeMap<Felt, Felt> = witness
            .initial_reads
            .storage
            .iter()
            .filter(|(address, _)| *address.0.key() == ALIAS_CONTRACT_ADDRESS)
            .flat_map(|(_, cells)| cells)
            .map(|(key, alias)| (*key.0.key(), *alias))
            .filter(|(key, alias)| *key != ALIAS_COUNTER_STORAGE_KEY && *alias != Felt::ZERO)
            .collect();
        Ok(Self {
            previous_root: witness.previous_state_root.0,
            root: witness.header.state_root.0,
            block_number: witness.header.number.0,
            previous_block_hash: witness.header.parent_hash.0,
            block_hash: witness.header.hash.0,
            chain: OsChain::new(&witness.environment.chain_id)?,
            form: OutputForm::PROVEN,
            state_diff: witness.state_diff.clone(),
            messages_to_l1,
            known_aliases,
        })
    }
}
