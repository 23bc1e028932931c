//! What execution says about each transaction, and about the block as a whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::execution_resources::GasVector;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_api::transaction::fields::Fee;
use starknet_api::transaction::{Event, MessageToL1, TransactionExecutionStatus, TransactionHash};
use starknet_types_core::felt::Felt;

use crate::block::BlockEnvironment;
use crate::limits::ProofLoad;
use crate::transaction::BlockTransaction;

/// What became of one transaction that was offered to the open block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TransactionOutcome {
    /// It is in the block, succeeded or reverted; its fee is charged and its nonce used.
    Included(Box<TransactionReceipt>),
    /// It cannot be included and left no trace in the state.
    Rejected(Rejection),
}

/// Why a transaction cannot be included. None of these changes any state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("transaction {hash} is rejected ({reason:?}): {message}")]
pub struct Rejection {
    /// The transaction.
    pub hash: TransactionHash,
    /// The kind of failure, for the RPC error code.
    pub reason: RejectionReason,
    /// What failed, in words, with the account's own panic data where it gave some.
    pub message: String,
}

impl Rejection {
    /// The same with at most about this many bytes of words.
    #[must_use]
    pub fn shortened(self, limit: usize) -> Self {
        Self { message: shorten(&self.message, limit), ..self }
    }
}

/// A text of more than `limit` bytes without its middle: a stack of calls says most at its ends. What stands for the
/// middle comes on top of the limit.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut head = limit / 2;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = text.len() - limit / 2;
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    let left_out = tail - head;
    let (head, tail) = (text.get(..head).unwrap_or(""), text.get(tail..).unwrap_or(""));
    format!("{head} … ({left_out} bytes left out) … {tail}")
}

/// The kinds of rejection that callers treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RejectionReason {
    /// The nonce is below the account's: it was used before.
    NonceTooOld,
    /// The nonce is above the account's: an earlier transaction is missing.
    NonceTooHigh,
    /// The account's `__validate__` (signature check) refused.
    ValidationFailed,
    /// Resource bounds do not cover the minimal resources or the block's gas prices.
    InsufficientResourceBounds,
    /// The account's balance does not cover the resource bounds.
    InsufficientBalance,
    /// The class is declared already.
    ClassAlreadyDeclared,
    /// The class it declares is missing or is not the one it names.
    InvalidClass,
    /// The sender is not a deployed contract, or the account address is in use.
    InvalidAccount,
    /// The sender is a contract, and no account: its class has no function that validates such a transaction.
    NotAnAccount,
    /// It would not fit into any block.
    TooLarge,
    /// Its form is not supported, or its hash is wrong.
    Malformed,
    /// The deployed account's constructor failed.
    ConstructorFailed,
    /// Anything else that blockifier refuses.
    Other,
}

/// The receipt of an included transaction: what the chain store keeps and the commitments hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionReceipt {
    /// The transaction.
    pub hash: TransactionHash,
    /// Succeeded, or reverted with the reason.
    pub execution_status: TransactionExecutionStatus,
    /// In FRI.
    pub actual_fee: Fee,
    /// Gas charged: L1, L1 data, L2.
    pub gas_consumed: GasVector,
    /// The part of `gas_consumed` that pays data availability.
    pub da_gas: GasVector,
    /// In the order of emission.
    pub events: Vec<Event>,
    /// In the order of sending.
    pub messages_sent: Vec<MessageToL1>,
    /// The account a deploy-account transaction created.
    pub contract_address: Option<ContractAddress>,
    /// What it adds to the block's proof.
    pub proof_load: ProofLoad,
}

/// Values of the parent state that the block read or overwrote, including the class hash and nonce of every
/// contract and the compiled class hash of every class it touched. Absent values are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialReads {
    /// Contract → key → value.
    pub storage: BTreeMap<ContractAddress, BTreeMap<StorageKey, Felt>>,
    /// Contract → nonce.
    pub nonces: BTreeMap<ContractAddress, Nonce>,
    /// Contract → class hash.
    pub class_hashes: BTreeMap<ContractAddress, ClassHash>,
    /// Class → compiled class hash.
    pub compiled_class_hashes: BTreeMap<ClassHash, CompiledClassHash>,
}

/// A closed block, before the tries are updated and the header is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockExecution {
    /// The environment it was executed in.
    pub environment: BlockEnvironment,
    /// The included transactions, in order.
    pub transactions: Vec<BlockTransaction>,
    /// Their receipts, in the same order.
    pub receipts: Vec<TransactionReceipt>,
    /// The block's changes: of storage (with the block hash contract and the alias contract), nonces,
    /// class hashes of new and replaced contracts, and declared classes.
    pub state_diff: ThinStateDiff,
    /// Every accessed key with its value in the parent state.
    pub initial_reads: InitialReads,
    /// Classes whose code ran.
    pub executed_classes: BTreeSet<ClassHash>,
    /// The predicted size of the block's proof.
    pub proof_load: ProofLoad,
}

/// What is left to say of a closed block to who has its transactions, and was told their receipts one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockClosing {
    /// As [`BlockExecution::environment`].
    pub environment: BlockEnvironment,
    /// The included transactions' hashes, in order.
    pub transactions: Vec<TransactionHash>,
    /// As [`BlockExecution::state_diff`].
    pub state_diff: ThinStateDiff,
    /// As [`BlockExecution::initial_reads`].
    pub initial_reads: InitialReads,
    /// As [`BlockExecution::executed_classes`].
    pub executed_classes: BTreeSet<ClassHash>,
    /// As [`BlockExecution::proof_load`].
    pub proof_load: ProofLoad,
}

impl From<BlockExecution> for BlockClosing {
    fn from(execution: BlockExecution) -> Self {
        Self {
            environment: execution.environment,
            transactions: execution.transactions.iter().map(|one| one.hash).collect(),
            state_diff: execution.state_diff,
            initial_reads: execution.initial_reads,
            executed_classes: execution.executed_classes,
            proof_load: execution.proof_load,
        }
    }
}

impl BlockClosing {
    /// The whole block.
    pub fn with(
        self,
        transactions: Vec<BlockTransaction>,
        receipts: Vec<TransactionReceipt>,
    ) -> BlockExecution {
        BlockExecution {
            environment: self.environment,
            transactions,
            receipts,
            state_diff: self.state_diff,
            initial_reads: self.initial_reads,
            executed_classes: self.executed_classes,
            proof_load: self.proof_load,
        }
    }
}
