//! What StarknetOS' hints need to know of a block.

use std::collections::BTreeMap;
use std::sync::Arc;

use blockifier::transaction::objects::TransactionExecutionInfo;
use cairo_lang_starknet_classes::casm_contract_class::CasmContractClass;
use sidereal_patricia::state::StateCommitmentFacts;
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress};
use starknet_api::executable_transaction::Transaction;
use starknet_api::state::StorageKey;
use starknet_types_core::felt::Felt;

/// The block's own context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsBlock {
    /// Block number.
    pub number: u64,
    /// Unix time, in seconds.
    pub timestamp: u64,
    /// Who gets the fees.
    pub sequencer_address: ContractAddress,
}

/// What the OS config hash is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsChain {
    /// Chain id, as the felt of its ASCII text.
    pub chain_id: Felt,
    /// STRK: pays for transactions of version 3.
    pub fee_token_address: ContractAddress,
    /// The token that paid for transactions before version 3.
    pub deprecated_fee_token_address: ContractAddress,
}

/// Everything that the hints of one run of StarknetOS answer from. Nothing else is asked for during the run.
#[derive(Debug)]
pub struct OsInput {
    /// The block's context.
    pub block: OsBlock,
    /// The chain's configuration.
    pub chain: OsChain,
    /// Hash of the parent block.
    pub previous_block_hash: Felt,
    /// Hash of this block. StarknetOS 0.13.5 passes it on to its output without checking it.
    pub block_hash: Felt,
    /// Number and hash of the block ten blocks back, which this block writes to the block hash contract;
    /// none for the first ten blocks.
    pub old_block: Option<(u64, Felt)>,
    /// The transactions, in order.
    pub transactions: Vec<Transaction>,
    /// What blockifier made of each of them, in the same order: the call trees answer the syscalls.
    pub execution_infos: Vec<TransactionExecutionInfo>,
    /// The value before the block of every storage cell that the block reads or writes, the alias contract's
    /// (0x2) and the block hash contract's (0x1) included. An absent cell is an error, never a zero.
    pub storage: BTreeMap<ContractAddress, BTreeMap<StorageKey, Felt>>,
    /// Preimages of all tries along the accessed paths, and the leaves of all accessed contracts.
    pub facts: StateCommitmentFacts,
    /// Compiled class hash before the block of every class that is run, read or declared; zero for the
    /// classes that this block declares.
    pub compiled_class_hashes: BTreeMap<ClassHash, CompiledClassHash>,
    /// The classes that are run, by compiled class hash (Poseidon, `COMPILED_CLASS_V1`).
    pub compiled_classes: BTreeMap<CompiledClassHash, Arc<CasmContractClass>>,
    /// For every class that is declared: the six felts whose Poseidon hash is its class hash (version,
    /// external entry points, L1 handlers, constructors, ABI, Sierra program).
    pub class_components: BTreeMap<ClassHash, [Felt; 6]>,
}
