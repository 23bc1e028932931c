//! Builds one block: executes transactions in order over the parent state, and closes.
//!
//! ```text
//!   begin ── execute(batch) ──> outcomes ── execute(batch) ──> outcomes, block full ── close ──> BlockExecution
//! ```
//!
//! Signatures, nonces and fees are enforced. A rejected transaction changes nothing. The same environment,
//! limits, state and transactions give the same block on any machine and in either execution mode.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use blockifier::blockifier::block::pre_process_block;
use blockifier::blockifier::config::TransactionExecutorConfig;
use blockifier::blockifier::transaction_executor::{TransactionExecutor, TransactionExecutorError};
use blockifier::state::cached_state::{CachedState, StateMaps, TransactionalState};
use blockifier::state::errors::StateError;
use blockifier::transaction::account_transaction::AccountTransaction;
use blockifier::transaction::errors::TransactionExecutionError;
use blockifier::transaction::objects::TransactionExecutionInfo;
use blockifier::transaction::transaction_execution::Transaction as ExecutableTransaction;
use blockifier::transaction::transactions::ExecutableTransaction as _;
use starknet_api::block::BlockHash;
use starknet_api::executable_transaction::AccountTransaction as ApiTransaction;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_api::transaction::Transaction;

pub use crate::block::BlockEnvironment;
use crate::block::EnvironmentError;
use crate::deep_stack::on_deep_stack;
pub use crate::limits::{BlockLimits, ProofLoad};
pub use crate::outcome::{
    BlockExecution, InitialReads, Rejection, RejectionReason, TransactionOutcome,
    TransactionReceipt,
};
use crate::proof_load::LoadCounter;
use crate::state::BlockState;
use crate::transaction::BlockTransaction;

/// Why a block cannot be built. The transactions offered to it are not at fault.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The environment is impossible.
    #[error("block {block} cannot begin")]
    Environment {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: EnvironmentError,
    },
    /// The parent state cannot be read.
    #[error("block {block}: the parent state cannot be read")]
    State {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<StateError>,
    },
    /// Blockifier refuses to close the block.
    #[error("block {block} cannot be closed")]
    Close {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: Box<TransactionExecutorError>,
    },
    /// The execution thread died.
    #[error("block {block}: the execution thread {what}")]
    Thread {
        /// The block's number.
        block: u64,
        /// What it did.
        what: &'static str,
    },
    /// A transaction came after the block was full.
    #[error("block {block} is full")]
    Full {
        /// The block's number.
        block: u64,
    },
}

/// What [`BlockExecutor::execute`] answers for a batch.
#[derive(Debug, Default)]
pub struct Executed {
    /// One outcome per transaction, in order, for a prefix of the batch.
    pub outcomes: Vec<TransactionOutcome>,
    /// The transaction after the last outcome does not fit: close the block, and offer it and the rest to
    /// the next one.
    pub block_full: bool,
    /// What the included ones of them changed, together: each value as the last of them left it, even when
    /// that is what it was before.
    pub state_diff: ThinStateDiff,
}

/// What a block writes before its first transaction: the hash of an old block.
pub fn opening_changes(environment: &BlockEnvironment) -> ThinStateDiff {
    let mut diff = ThinStateDiff::default();
    if let Some(old) = environment.old_block {
        let entries = diff.storage_diffs.entry(BLOCK_HASH_CONTRACT.into()).or_default();
        entries.insert(StorageKey::from(old.number.0), old.hash.0);
    }
    diff
}

/// The address of the contract that holds the hashes of old blocks.
const BLOCK_HASH_CONTRACT: u128 = 1;

/// The open block.
pub struct BlockExecutor {
    executor: TransactionExecutor<BlockState>,
    state: BlockState,
    environment: BlockEnvironment,
    limits: BlockLimits,
    transactions: Vec<BlockTransaction>,
    receipts: Vec<TransactionReceipt>,
    infos: Vec<TransactionExecutionInfo>,
    keep_infos: bool,
    load: LoadCounter,
    full: bool,
}

/// The result of one transaction, before it is turned into words.
enum Step {
    Included(Box<TransactionExecutionInfo>, Box<StateMaps>, ProofLoad),
    Failed(TransactionExecutionError),
    TooLarge,
    BlockFull,
}

impl BlockExecutor {
    /// Opens a block over the state of its parent, and writes the old block hash.
    pub fn begin(
        state: BlockState,
        environment: BlockEnvironment,
        limits: BlockLimits,
    ) -> Result<Self, EngineError> {
        let block = environment.number.0;
        let environment_error = |source| EngineError::Environment { block, source };
        environment.check_old_block().map_err(environment_error)?;
        let context = environment.block_context(limits.bouncer()).map_err(environment_error)?;
        let state = state.afresh();
        let mut cached = CachedState::new(state.clone());
        pre_process_block(
            &mut cached,
            environment.old_block,
            environment.number,
            &context.versioned_constants().os_constants,
        )
        .map_err(|source| EngineError::State { block, source: Box::new(source) })?;
        let executor =
            TransactionExecutor::new(cached, context, TransactionExecutorConfig::default());
        Ok(Self {
            executor,
            state,
            environment,
            limits,
            transactions: Vec::new(),
            receipts: Vec::new(),
            infos: Vec::new(),
            keep_infos: false,
            load: LoadCounter::of_empty_block(),
            full: false,
        })
    }

    /// Keeps blockifier's execution infos, for a replay or a trace.
    #[must_use]
    pub(crate) fn keeping_infos(mut self) -> Self {
        self.keep_infos = true;
        self
    }

    /// The block's environment.
    pub fn environment(&self) -> &BlockEnvironment {
        &self.environment
    }

    /// Names the parent of a block that was begun before its parent had a hash. Execution does not depend on it.
    pub fn set_parent_hash(&mut self, parent: BlockHash) {
        self.environment.parent_hash = parent;
    }

    /// Transactions in the block so far.
    pub fn included(&self) -> usize {
        self.transactions.len()
    }

    /// The predicted size of the block's proof so far.
    pub fn proof_load(&self) -> ProofLoad {
        self.load.total()
    }

    /// Executes a batch. Runs on a thread of its own: native code needs a deep stack.
    ///
    /// Hashes are taken as given: the sequencer computes them when it takes a transaction in, a replay computes them anew
    /// ([`crate::replay::replay`]).
    pub fn execute(&mut self, batch: &[BlockTransaction]) -> Result<Executed, EngineError> {
        let block = self.environment.number.0;
        if self.full {
            return Err(EngineError::Full { block });
        }
        on_deep_stack(|| self.execute_batch(batch))
            .map_err(|what| EngineError::Thread { block, what })?
    }

    fn execute_batch(&mut self, batch: &[BlockTransaction]) -> Result<Executed, EngineError> {
        let mut executed = Executed::default();
        for transaction in batch {
            let outcome = self.execute_one(transaction, &mut executed.state_diff)?;
            match outcome {
                Some(outcome) => executed.outcomes.push(outcome),
                None => {
                    self.full = true;
                    executed.block_full = true;
                    break;
                }
            }
        }
        executed.state_diff = sorted(executed.state_diff);
        Ok(executed)
    }

    /// `None`: the block is full. Otherwise `state_diff` is extended by what the transaction changed.
    fn execute_one(
        &mut self,
        transaction: &BlockTransaction,
        state_diff: &mut ThinStateDiff,
    ) -> Result<Option<TransactionOutcome>, EngineError> {
        let rejected = |reason, message| {
            Ok(Some(TransactionOutcome::Rejected(Rejection {
                hash: transaction.hash,
                reason,
                message,
            })))
        };
        let executable = match transaction.executable(self.state.classes().as_ref()) {
            Ok(executable) => executable,
            Err(error) => {
                let reason = crate::query::transaction_reason(&error);
                return rejected(reason, crate::state::with_causes(&error));
            }
        };
        let deployed = match &executable {
            ApiTransaction::DeployAccount(tx) => Some(tx.contract_address),
            _ => None,
        };
        match self.run(executable)? {
            Step::Included(info, changes, proof_load) => {
                note_changes(state_diff, *changes);
                let receipt = receipt(transaction, &info, deployed, proof_load);
                self.transactions.push(transaction.clone());
                self.receipts.push(receipt.clone());
                if self.keep_infos {
                    self.infos.push(*info);
                }
                Ok(Some(TransactionOutcome::Included(Box::new(receipt))))
            }
            Step::Failed(error) => rejected(rejection_reason(&error), error.to_string()),
            Step::TooLarge => rejected(
                RejectionReason::TooLarge,
                "the transaction exceeds what one block's proof holds".to_owned(),
            ),
            Step::BlockFull => Ok(None),
        }
    }

    /// Executes one transaction, and commits it if it fits.
    fn run(&mut self, executable: ApiTransaction) -> Result<Step, EngineError> {
        let block = self.environment.number.0;
        let state_error = |source| EngineError::State { block, source: Box::new(source) };
        let context = self.executor.block_context.clone();
        let constants = context.versioned_constants();
        let Some(block_state) = self.executor.block_state.as_mut() else {
            return Err(EngineError::Thread { block, what: "lost the block's state" });
        };
        let executable =
            ExecutableTransaction::Account(AccountTransaction::new_for_sequencing(executable));
        let mut state = TransactionalState::create_transactional(block_state);
        let executed = executable.execute_raw(&mut state, &context, false);
        // A state that cannot be read is not the transaction's fault.
        self.state.check().map_err(state_error)?;
        let info = match executed {
            Ok(info) => info,
            Err(error) => {
                state.abort();
                return Ok(Step::Failed(error));
            }
        };
        let changes = state.to_state_diff().map_err(state_error)?.state_maps;
        let summary = info.summarize(constants);
        let mut looked_up: BTreeSet<_> =
            state.class_hash_to_class.borrow().keys().copied().collect();
        looked_up.extend(changes.class_hashes.values());
        let added = self
            .load
            .of_transaction(
                &info,
                &changes,
                &summary.visited_storage_entries,
                &looked_up,
                &state,
                constants,
            )
            .map_err(state_error)?;
        let total = self.load.total().saturating_add(added.load());
        if !total.fits(&self.limits.proof) {
            state.abort();
            return Ok(if self.transactions.is_empty() { Step::TooLarge } else { Step::BlockFull });
        }
        let room = self
            .executor
            .bouncer
            .lock()
            .map_err(|_| EngineError::Thread { block, what: "poisoned the bouncer's lock" })?
            .try_update(
                &state,
                &changes.keys(),
                &summary,
                &info.summarize_builtins(),
                &info.receipt.resources,
                constants,
                info.receipt.gas.l2_gas,
            );
        self.state.check().map_err(state_error)?;
        match room {
            Ok(()) => {
                state.commit();
                let load = added.load();
                self.load.add(added);
                Ok(Step::Included(Box::new(info), Box::new(changes), load))
            }
            Err(TransactionExecutorError::BlockFull) => {
                state.abort();
                Ok(Step::BlockFull)
            }
            Err(TransactionExecutorError::TransactionExecutionError(error)) => {
                state.abort();
                Ok(Step::Failed(error))
            }
            Err(source) => Err(EngineError::Close { block, source: Box::new(source) }),
        }
    }

    /// Closes the block.
    pub fn close(self) -> Result<BlockExecution, EngineError> {
        Ok(self.close_with_infos()?.0)
    }

    pub(crate) fn close_with_infos(
        mut self,
    ) -> Result<(BlockExecution, Vec<TransactionExecutionInfo>), EngineError> {
        let block = self.environment.number.0;
        let summary = self
            .executor
            .finalize()
            .map_err(|source| EngineError::Close { block, source: Box::new(source) })?;
        let execution = BlockExecution {
            environment: self.environment,
            transactions: self.transactions,
            receipts: self.receipts,
            state_diff: sorted(ThinStateDiff::from(summary.state_diff)),
            initial_reads: initial_reads(summary.initial_reads),
            proof_load: self.load.total(),
            executed_classes: self.load.into_classes(),
        };
        Ok((execution, self.infos))
    }
}

fn receipt(
    transaction: &BlockTransaction,
    info: &TransactionExecutionInfo,
    deployed: Option<starknet_api::core::ContractAddress>,
    proof_load: ProofLoad,
) -> TransactionReceipt {
    let output = info.output_for_hashing();
    TransactionReceipt {
        hash: transaction.hash,
        execution_status: output.execution_status,
        actual_fee: output.actual_fee,
        gas_consumed: output.gas_consumed,
        da_gas: info.receipt.da_gas,
        events: output.events,
        messages_sent: output.messages_sent,
        contract_address: deployed
            .filter(|_| matches!(transaction.transaction, Transaction::DeployAccount(_))),
        proof_load,
    }
}

/// The kind of failure, from blockifier's error.
pub(crate) fn rejection_reason(error: &TransactionExecutionError) -> RejectionReason {
    use blockifier::transaction::errors::{
        TransactionFeeError as Fee, TransactionPreValidationError as Early,
    };
    let fee_reason = |error: &Fee| match error {
        Fee::ResourcesBoundsExceedBalance { .. }
        | Fee::GasBoundsExceedBalance { .. }
        | Fee::MaxFeeExceedsBalance { .. } => RejectionReason::InsufficientBalance,
        Fee::InsufficientResourceBounds { .. }
        | Fee::MaxFeeTooLow { .. }
        | Fee::MissingL1GasBounds => RejectionReason::InsufficientResourceBounds,
        _ => RejectionReason::Other,
    };
    match error {
        TransactionExecutionError::TransactionPreValidationError(early) => match &**early {
            Early::InvalidNonce { account_nonce, incoming_tx_nonce, .. } => {
                if incoming_tx_nonce < account_nonce {
                    RejectionReason::NonceTooOld
                } else {
                    RejectionReason::NonceTooHigh
                }
            }
            Early::TransactionFeeError(error) => fee_reason(error),
            _ => RejectionReason::Other,
        },
        TransactionExecutionError::TransactionFeeError(error) => fee_reason(error),
        TransactionExecutionError::FeeCheckError(_) => RejectionReason::InsufficientResourceBounds,
        TransactionExecutionError::ValidateTransactionError { .. }
        | TransactionExecutionError::PanicInValidate { .. }
        | TransactionExecutionError::InvalidValidateReturnData { .. }
        | TransactionExecutionError::ValidateCairo0Error(_) => RejectionReason::ValidationFailed,
        TransactionExecutionError::DeclareTransactionError { .. } => {
            RejectionReason::ClassAlreadyDeclared
        }
        TransactionExecutionError::ContractClassVersionMismatch { .. } => {
            RejectionReason::InvalidClass
        }
        TransactionExecutionError::ContractConstructorExecutionFailed(_) => {
            RejectionReason::ConstructorFailed
        }
        TransactionExecutionError::TransactionTooLarge { .. } => RejectionReason::TooLarge,
        TransactionExecutionError::InvalidVersion { .. } => RejectionReason::Malformed,
        TransactionExecutionError::StateError(
            StateError::UnavailableContractAddress(_) | StateError::UndeclaredClassHash(_),
        ) => RejectionReason::InvalidAccount,
        _ => RejectionReason::Other,
    }
}

fn initial_reads(reads: StateMaps) -> InitialReads {
    let mut storage: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for ((contract, key), value) in reads.storage {
        storage.entry(contract).or_default().insert(key, value);
    }
    InitialReads {
        storage,
        nonces: reads.nonces.into_iter().collect(),
        class_hashes: reads.class_hashes.into_iter().collect(),
        compiled_class_hashes: reads.compiled_class_hashes.into_iter().collect(),
    }
}

/// Applies one transaction's changes to those before it.
fn note_changes(diff: &mut ThinStateDiff, changes: StateMaps) {
    for ((contract, key), value) in changes.storage {
        diff.storage_diffs.entry(contract).or_default().insert(key, value);
    }
    diff.nonces.extend(changes.nonces);
    diff.deployed_contracts.extend(changes.class_hashes);
    diff.class_hash_to_compiled_class_hash.extend(changes.compiled_class_hashes);
}

/// Blockifier's maps are unordered; the diff is compared and stored in order of its keys.
pub(crate) fn sorted(mut diff: ThinStateDiff) -> ThinStateDiff {
    diff.deployed_contracts.sort_unstable_keys();
    diff.storage_diffs.sort_unstable_keys();
    for entries in diff.storage_diffs.values_mut() {
        entries.sort_unstable_keys();
    }
    diff.class_hash_to_compiled_class_hash.sort_unstable_keys();
    diff.nonces.sort_unstable_keys();
    diff
}

/// A block that shares its state between its builder and its queries needs both to be sendable.
const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<BlockExecutor>();
    sendable::<Arc<BlockState>>();
};
