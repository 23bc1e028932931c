//! Re-executes a block from its witness alone, and believes nothing in the witness that it cannot check.
//!
//! What is checked, in this order: the header against the environment and its own hash; every trie node
//! against its hash; every value of the parent state against the parent's state root; every class against
//! the compiled class hash in that state; then, by executing in Cairo VM: that each transaction is included
//! with the receipt the witness has, that the state diff is the committed one, that the tries end at the
//! committed state root, and that the header has the block hash of all this.
//!
//! Two things are not bound by the header and are taken as given, because StarknetOS does not bind them either:
//! a reverted transaction's reason in words (Cairo Native words some errors differently), and the lengths of a
//! declared class's Sierra (they only enter the fee).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use blockifier::context::BlockContext;
use blockifier::execution::contract_class::RunnableCompiledClass;
use blockifier::transaction::objects::TransactionExecutionInfo;
use sidereal_patricia::state::{StateRoots, StateTries, address_key, class_leaf, storage_key};
use sidereal_patricia::{
    CommitmentFacts, PedersenTrie, PoseidonTrie, TrieError, TrieHash, TrieRequest, load_paths,
};
use starknet_api::contract_class::{ClassInfo, ContractClass};
use starknet_api::core::{
    ClassHash, CompiledClassHash, ContractAddress, GlobalRoot, L2_ADDRESS_UPPER_BOUND, Nonce,
};
use starknet_api::executable_transaction::AccountTransaction;
use starknet_api::state::{ContractClassComponentHashes, StorageKey};
use starknet_api::transaction::{TransactionExecutionStatus, TransactionHash};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

use crate::block::EnvironmentError;
use crate::classes::{ClassError, Classes, check_compiled_class_hash, vm_class};
use crate::engine::{BlockExecutor, EngineError};
use crate::header::{BlockHeader, HeaderError, block_header};
use crate::limits::BlockLimits;
use crate::outcome::{
    BlockExecution, InitialReads, Rejection, TransactionOutcome, TransactionReceipt,
};
use crate::state::{BlockState, StateValueError, StateValues};
use crate::transaction::TransactionError;
use crate::witness::{BlockWitness, WitnessClass};

/// A block that was re-executed from its witness and found to be what its header says.
#[derive(Debug)]
pub struct ReplayedBlock {
    /// The block, as executed here.
    pub execution: BlockExecution,
    /// Blockifier's account of each transaction, in order: what StarknetOS' hints consume.
    pub execution_infos: Vec<TransactionExecutionInfo>,
    /// The transactions in executable form, in order; declares with their class.
    pub transactions: Vec<AccountTransaction>,
    /// The header, recomputed.
    pub header: BlockHeader,
    /// The tries' roots before the block.
    pub previous_roots: StateRoots,
    /// The tries' roots after the block.
    pub updated_roots: StateRoots,
    /// Blockifier's block context.
    pub context: BlockContext,
}

/// Why a witness is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The environment is impossible.
    #[error("the witness of block {block} has an impossible environment")]
    Environment {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: EnvironmentError,
    },
    /// A header field is not the environment's, or not what follows from the execution.
    #[error("the witness of block {block} is inconsistent: {what} differs")]
    Mismatch {
        /// The block's number.
        block: u64,
        /// What differs.
        what: &'static str,
    },
    /// A trie node does not have the hash it is filed under.
    #[error("the witness of block {block}: a node of the {trie} trie does not hash to {hash:#x}")]
    ForgedNode {
        /// The block's number.
        block: u64,
        /// Which trie.
        trie: String,
        /// The hash it is filed under.
        hash: Felt,
    },
    /// A node on an accessed path is missing.
    #[error("the witness of block {block}: the tries are incomplete")]
    Tries {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<TrieError>,
    },
    /// A value of the parent state is not the one its state root commits to.
    #[error("the witness of block {block}: the parent state does not have {what} = {claimed:#x}")]
    ForgedValue {
        /// The block's number.
        block: u64,
        /// Which value.
        what: String,
        /// What the witness says.
        claimed: Felt,
    },
    /// A class is not the one the state commits to, or cannot be run.
    #[error("the witness of block {block}: a class is unusable")]
    Class {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<ClassError>,
    },
    /// A transaction is malformed or has another hash.
    #[error("the witness of block {block}: a transaction is malformed")]
    Transaction {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<TransactionError>,
    },
    /// Execution cannot go on, for instance because it reads a key that the witness lacks.
    #[error("block {block} cannot be re-executed")]
    Engine {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<EngineError>,
    },
    /// A transaction of the block would not have been included.
    #[error("block {block} includes a transaction that must be rejected")]
    Rejected {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Rejection,
    },
    /// A transaction has another receipt.
    #[error("block {block}: transaction {hash} has another {what} when re-executed")]
    Receipt {
        /// The block's number.
        block: u64,
        /// The transaction.
        hash: TransactionHash,
        /// What differs.
        what: &'static str,
    },
    /// The header cannot be computed.
    #[error("the header of block {block} cannot be computed")]
    Header {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<HeaderError>,
    },
}

/// Checks `witness`, and re-executes its block in Cairo VM.
pub fn replay(witness: &BlockWitness) -> Result<ReplayedBlock, ReplayError> {
    let block = witness.environment.number.0;
    check_header(witness)?;
    check_nodes(witness)?;
    check_transaction_hashes(witness)?;
    let tries = check_initial_reads(witness)?;

    let classes = Arc::new(WitnessClasses::checked(witness)?);
    let values = Arc::new(WitnessValues(witness.initial_reads.clone()));
    let state = BlockState::new(values, classes.clone());
    let engine_error = |source| ReplayError::Engine { block, source: Box::new(source) };
    let mut executor =
        BlockExecutor::begin(state, witness.environment.clone(), BlockLimits::none())
            .map_err(engine_error)?
            .keeping_infos();
    let executed = executor.execute(&witness.transactions).map_err(engine_error)?;
    if executed.block_full || executed.outcomes.len() != witness.receipts.len() {
        return Err(ReplayError::Mismatch { block, what: "the number of transactions" });
    }
    for (outcome, committed) in executed.outcomes.into_iter().zip(&witness.receipts) {
        match outcome {
            TransactionOutcome::Included(receipt) => check_receipt(block, &receipt, committed)?,
            TransactionOutcome::Rejected(source) => {
                return Err(ReplayError::Rejected { block, source });
            }
        }
    }
    let (mut execution, execution_infos) = executor.close_with_infos().map_err(engine_error)?;
    if execution.state_diff != witness.state_diff {
        return Err(ReplayError::Mismatch { block, what: "the state diff" });
    }
    // Equal but for the words of revert reasons and the mode-dependent predictions.
    execution.receipts.clone_from(&witness.receipts);

    let update = tries
        .update(&execution.state_diff)
        .map_err(|source| ReplayError::Tries { block, source: Box::new(source) })?;
    let committed_roots = witness.commitment.updated_roots();
    if update.roots != committed_roots
        || update.facts.contract_leaves != witness.commitment.contract_leaves
    {
        return Err(ReplayError::Mismatch {
            block,
            what: "an updated root in the commitment facts",
        });
    }
    let header = block_header(&execution, update.roots.global_root())
        .map_err(|source| ReplayError::Header { block, source: Box::new(source) })?;
    if header != witness.header {
        return Err(ReplayError::Mismatch { block, what: "the recomputed header" });
    }

    let transactions = witness
        .transactions
        .iter()
        .map(|transaction| transaction.executable(classes.as_ref()))
        .collect::<Result<_, _>>()
        .map_err(|source| ReplayError::Transaction { block, source: Box::new(source) })?;
    let context = witness
        .environment
        .block_context(BlockLimits::none().bouncer())
        .map_err(|source| ReplayError::Environment { block, source })?;
    Ok(ReplayedBlock {
        execution,
        execution_infos,
        transactions,
        header,
        previous_roots: witness.commitment.previous_roots(),
        updated_roots: update.roots,
        context,
    })
}

/// The engine takes a transaction's hash as given.
fn check_transaction_hashes(witness: &BlockWitness) -> Result<(), ReplayError> {
    let block = witness.environment.number.0;
    witness
        .transactions
        .iter()
        .try_for_each(|transaction| transaction.check_hash(&witness.environment.chain_id))
        .map_err(|source| ReplayError::Transaction { block, source: Box::new(source) })
}

fn check_header(witness: &BlockWitness) -> Result<(), ReplayError> {
    let (environment, header) = (&witness.environment, &witness.header);
    let block = environment.number.0;
    environment.check_old_block().map_err(|source| ReplayError::Environment { block, source })?;
    let same_environment = header.number == environment.number
        && header.parent_hash == environment.parent_hash
        && header.timestamp == environment.timestamp
        && header.sequencer_address == environment.sequencer_address
        && header.l1_gas_price == environment.l1_gas_price
        && header.l1_data_gas_price == environment.l1_data_gas_price
        && header.l2_gas_price == environment.l2_gas_price
        && header.l1_da_mode == environment.l1_da_mode;
    if !same_environment {
        return Err(ReplayError::Mismatch { block, what: "a header field" });
    }
    let consistent = header
        .is_consistent()
        .map_err(|source| ReplayError::Header { block, source: Box::new(source) })?;
    if !consistent {
        return Err(ReplayError::Mismatch { block, what: "the block hash" });
    }
    if witness.commitment.previous_roots().global_root() != witness.previous_state_root {
        return Err(ReplayError::Mismatch { block, what: "the previous state root" });
    }
    Ok(())
}

/// A fact is filed under a hash; nothing else in the witness says that it has that hash.
fn check_nodes(witness: &BlockWitness) -> Result<(), ReplayError> {
    let block = witness.environment.number.0;
    let facts = &witness.commitment;
    check_facts::<PedersenTrie>(block, &facts.contracts, || "contract".to_owned())?;
    check_facts::<PoseidonTrie>(block, &facts.classes, || "class".to_owned())?;
    for (contract, facts) in &facts.storage {
        check_facts::<PedersenTrie>(block, facts, || format!("storage of {contract}"))?;
    }
    Ok(())
}

fn check_facts<H: TrieHash>(
    block: u64,
    facts: &CommitmentFacts,
    trie: impl Fn() -> String,
) -> Result<(), ReplayError> {
    let nodes = facts.nodes();
    if nodes.len() != facts.facts.len() {
        return Err(ReplayError::Mismatch { block, what: "the form of a trie node" });
    }
    match nodes.iter().find(|(hash, node)| node.hash::<H>() != **hash) {
        Some((hash, _)) => Err(ReplayError::ForgedNode { block, trie: trie(), hash: *hash }),
        None => Ok(()),
    }
}

/// Compares every initial read with the tries under the previous root, whose nodes were checked before.
fn check_initial_reads(witness: &BlockWitness) -> Result<StateTries, ReplayError> {
    let block = witness.environment.number.0;
    let trie_error = |source| ReplayError::Tries { block, source: Box::new(source) };
    let reads = &witness.initial_reads;
    let source = witness.commitment.node_source();
    let roots = witness.commitment.previous_roots();
    let tries =
        ready(StateTries::load(&source, roots, &witness.state_diff, &reads.accessed_keys()))
            .map_err(trie_error)?;

    let forged = |what: String, claimed: Felt| ReplayError::ForgedValue { block, what, claimed };
    let leaf = |contract: &ContractAddress| tries.contract_leaf(contract).unwrap_or_default();
    for (contract, class_hash) in &reads.class_hashes {
        if leaf(contract).class_hash != class_hash.0 {
            return Err(forged(format!("the class hash of contract {contract}"), class_hash.0));
        }
    }
    for (contract, nonce) in &reads.nonces {
        if leaf(contract).nonce != nonce.0 {
            return Err(forged(format!("the nonce of contract {contract}"), nonce.0));
        }
    }
    for (contract, cells) in &reads.storage {
        let request = TrieRequest {
            root: leaf(contract).storage_root,
            keys: cells.keys().map(storage_key).collect(),
            deletions: Vec::new(),
        };
        let trie = ready(load_paths::<PedersenTrie, _>(&source, &request)).map_err(trie_error)?;
        for (key, value) in cells {
            if trie.get(&storage_key(key)).map_err(trie_error)? != *value {
                return Err(forged(
                    format!(
                        "storage of contract {:#x} at {:#x}",
                        address_key(contract),
                        key.0.key()
                    ),
                    *value,
                ));
            }
        }
    }
    let request = TrieRequest {
        root: roots.classes_root,
        keys: reads.compiled_class_hashes.keys().map(|class| class.0).collect(),
        deletions: Vec::new(),
    };
    let trie = ready(load_paths::<PoseidonTrie, _>(&source, &request)).map_err(trie_error)?;
    for (class_hash, compiled) in &reads.compiled_class_hashes {
        if trie.get(&class_hash.0).map_err(trie_error)? != class_leaf(compiled) {
            return Err(forged(format!("the compiled hash of class {class_hash}"), compiled.0));
        }
    }
    Ok(tries)
}

fn check_receipt(
    block: u64,
    executed: &TransactionReceipt,
    committed: &TransactionReceipt,
) -> Result<(), ReplayError> {
    let reverted = |receipt: &TransactionReceipt| {
        matches!(receipt.execution_status, TransactionExecutionStatus::Reverted(_))
    };
    let differing = [
        ("hash", executed.hash == committed.hash),
        ("execution status", reverted(executed) == reverted(committed)),
        ("fee", executed.actual_fee == committed.actual_fee),
        ("gas consumption", executed.gas_consumed == committed.gas_consumed),
        ("data availability gas", executed.da_gas == committed.da_gas),
        ("list of events", executed.events == committed.events),
        ("list of messages", executed.messages_sent == committed.messages_sent),
        ("contract address", executed.contract_address == committed.contract_address),
    ];
    match differing.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(ReplayError::Receipt { block, hash: committed.hash, what }),
        None => Ok(()),
    }
}

/// Drives a future over nodes in memory, which never waits.
fn ready<T>(future: impl Future<Output = Result<T, TrieError>>) -> Result<T, TrieError> {
    #[derive(Debug, thiserror::Error)]
    #[error("the nodes of a witness were waited for")]
    struct Pending(#[source] Option<Infallible>);

    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(TrieError::Source { count: 0, source: Box::new(Pending(None)) }),
    }
}

/// The parent state, as far as the witness has it. What it does not have is an error, not zero.
struct WitnessValues(InitialReads);

#[derive(Debug, thiserror::Error)]
#[error("the witness does not have it")]
struct NotInWitness;

fn known<T: Copy>(value: Option<&T>, what: impl FnOnce() -> String) -> Result<T, StateValueError> {
    value.copied().ok_or_else(|| StateValueError { what: what(), source: Box::new(NotInWitness) })
}

impl StateValues for WitnessValues {
    fn storage(&self, contract: ContractAddress, key: StorageKey) -> Result<Felt, StateValueError> {
        let value = self.0.storage.get(&contract).and_then(|cells| cells.get(&key));
        known(value, || format!("storage of contract {contract} at {:#x}", key.0.key()))
    }

    fn nonce(&self, contract: ContractAddress) -> Result<Nonce, StateValueError> {
        known(self.0.nonces.get(&contract), || format!("nonce of contract {contract}"))
    }

    fn class_hash(&self, contract: ContractAddress) -> Result<ClassHash, StateValueError> {
        known(self.0.class_hashes.get(&contract), || format!("class hash of contract {contract}"))
    }

    fn compiled_class_hash(&self, class: ClassHash) -> Result<CompiledClassHash, StateValueError> {
        known(self.0.compiled_class_hashes.get(&class), || {
            format!("compiled class hash of class {class}")
        })
    }
}

/// The witness's classes, each checked against the compiled class hash that the state has, or that this
/// block's state diff gives it.
struct WitnessClasses {
    runnable: BTreeMap<ClassHash, RunnableCompiledClass>,
    declared: BTreeMap<ClassHash, WitnessClass>,
}

impl WitnessClasses {
    fn checked(witness: &BlockWitness) -> Result<Self, ReplayError> {
        let block = witness.environment.number.0;
        let class_error = |source| ReplayError::Class { block, source: Box::new(source) };
        let before = &witness.initial_reads.compiled_class_hashes;
        let declared_here = &witness.state_diff.class_hash_to_compiled_class_hash;
        let mut classes = Self { runnable: BTreeMap::new(), declared: BTreeMap::new() };
        for (class_hash, class) in &witness.classes {
            let compiled = before
                .get(class_hash)
                .filter(|compiled| compiled.0 != Felt::ZERO)
                .or_else(|| declared_here.get(class_hash))
                .ok_or_else(|| class_error(ClassError::NotFound { class_hash: *class_hash }))?;
            check_compiled_class_hash(*class_hash, &class.casm, *compiled).map_err(class_error)?;
            let runnable = vm_class(*class_hash, &class.casm, class.sierra_version.clone())
                .map_err(class_error)?;
            classes.runnable.insert(*class_hash, RunnableCompiledClass::V1(runnable));
            if let Some(components) = &class.declared {
                let hashes = ContractClassComponentHashes::from(components.component_hashes);
                let computed = ClassHash(
                    Poseidon::hash_array(&hashes.flatten()).mod_floor(&L2_ADDRESS_UPPER_BOUND),
                );
                if computed != *class_hash {
                    return Err(class_error(ClassError::WrongClassHash {
                        class_hash: *class_hash,
                        computed,
                    }));
                }
                classes.declared.insert(*class_hash, class.clone());
            }
        }
        Ok(classes)
    }
}

impl Classes for WitnessClasses {
    fn runnable(&self, class_hash: ClassHash) -> Result<Option<RunnableCompiledClass>, ClassError> {
        Ok(self.runnable.get(&class_hash).cloned())
    }

    fn declared(
        &self,
        class_hash: ClassHash,
        compiled_class_hash: CompiledClassHash,
    ) -> Result<ClassInfo, ClassError> {
        let class = self.declared.get(&class_hash).ok_or(ClassError::NotFound { class_hash })?;
        check_compiled_class_hash(class_hash, &class.casm, compiled_class_hash)?;
        let components = class.declared.as_ref().ok_or(ClassError::NotFound { class_hash })?;
        ClassInfo::new(
            &ContractClass::V1(((*class.casm).clone(), class.sierra_version.clone())),
            components.sierra_program_length,
            components.abi_length,
            class.sierra_version.clone(),
        )
        .map_err(ClassError::SierraVersion)
    }
}

/// The root that [`ReplayedBlock::updated_roots`] commit to; what the header's `state_root` was checked against.
impl ReplayedBlock {
    /// The state root after the block.
    pub fn state_root(&self) -> GlobalRoot {
        self.updated_roots.global_root()
    }
}
