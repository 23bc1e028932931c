//! Execution that leaves no trace: calls, simulations with fee estimates, validations, and traces of closed
//! blocks.
//!
//! Every query runs on a thread of its own with a deep stack, over a state that the caller chose. Gas is
//! bounded by the protocol's limits for one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use blockifier::blockifier::block::pre_process_block;
use blockifier::blockifier::stateful_validator::{StatefulValidator, StatefulValidatorError};
use blockifier::context::{BlockContext, TransactionContext};
use blockifier::execution::call_info::CallInfo;
use blockifier::execution::contract_class::RunnableCompiledClass;
use blockifier::execution::entry_point::{
    CallEntryPoint, EntryPointExecutionContext, SierraGasRevertTracker,
};
use blockifier::execution::errors::{EntryPointExecutionError, PreExecutionError};
use blockifier::state::cached_state::{
    CachedState, CommitmentStateDiff, StateMaps, TransactionalState,
};
use blockifier::state::errors::StateError;
use blockifier::state::state_api::StateReader;
use blockifier::transaction::account_transaction::{AccountTransaction, ExecutionFlags};
use blockifier::transaction::errors::{TransactionExecutionError, TransactionPreValidationError};
use blockifier::transaction::objects::{
    DeprecatedTransactionInfo, TransactionExecutionInfo, TransactionInfo,
};
use blockifier::transaction::transaction_execution::Transaction as ExecutableTransaction;
use blockifier::transaction::transactions::ExecutableTransaction as _;
use serde::{Deserialize, Serialize};
use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::block::{FeeType, GasPrice};
use starknet_api::contract_class::EntryPointType;
use starknet_api::core::{ClassHash, ContractAddress, EntryPointSelector};
use starknet_api::executable_transaction::AccountTransaction as ApiTransaction;
use starknet_api::execution_resources::GasAmount;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::constants::{
    VALIDATE_DECLARE_ENTRY_POINT_NAME, VALIDATE_DEPLOY_ENTRY_POINT_NAME, VALIDATE_ENTRY_POINT_NAME,
};
use starknet_api::transaction::fields::{Calldata, Fee, ValidResourceBounds};
use starknet_api::transaction::{DeclareTransaction, DeployAccountTransaction, InvokeTransaction};
use starknet_types_core::felt::Felt;

use crate::block::{BlockEnvironment, EnvironmentError};
use crate::classes::MemoryClasses;
use crate::deep_stack::on_deep_stack;
use crate::engine::{rejection_reason, sorted};
use crate::limits::BlockLimits;
use crate::outcome::{Rejection, RejectionReason, shorten};
use crate::state::{BlockState, MoreClasses, with_causes};
use crate::trace::{StateDiff, TransactionTrace, TransactionTraceEntry};
use crate::transaction::{BlockTransaction, TransactionError};

/// "ENTRYPOINT_NOT_FOUND", what a call of a missing function panics with.
const ENTRYPOINT_NOT_FOUND: &[u8] = b"ENTRYPOINT_NOT_FOUND";

/// What a felt takes as JSON, with its quotes and comma.
const FELT_JSON_BYTES: usize = 69;

/// Why a query has no answer. Travels as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum QueryError {
    /// The called contract is not deployed.
    #[error("contract {contract} is not deployed")]
    ContractNotFound {
        /// The contract.
        contract: ContractAddress,
    },
    /// The called contract has no such function.
    #[error("contract {contract} has no entry point {selector:#x}")]
    EntrypointNotFound {
        /// The contract.
        contract: ContractAddress,
        /// The function.
        selector: Felt,
    },
    /// The called function failed.
    #[error("the call of contract {contract} failed: {message}")]
    ContractError {
        /// The contract.
        contract: ContractAddress,
        /// Why, in words.
        message: String,
        /// The panic data, if it panicked.
        panic_data: Vec<Felt>,
    },
    /// A transaction of a simulation cannot be executed, or was reverted where that was to be an error.
    #[error("transaction {index} of the simulation cannot be executed: {message}")]
    TransactionExecution {
        /// Which one.
        index: usize,
        /// The kind of failure; `None`: it was reverted.
        reason: Option<RejectionReason>,
        /// Why, in words.
        message: String,
    },
    /// The state or the engine failed; the query is not at fault.
    #[error("the query cannot be answered: {message}")]
    Internal {
        /// Why, in words.
        message: String,
    },
}

impl QueryError {
    fn internal(error: &dyn std::error::Error) -> Self {
        Self::Internal { message: with_causes(error) }
    }

    /// The same with at most about this many bytes of words, and of panic data.
    #[must_use]
    pub fn shortened(mut self, limit: usize) -> Self {
        match &mut self {
            Self::ContractError { message, panic_data, .. } => {
                *message = shorten(message, limit);
                panic_data.truncate(limit / FELT_JSON_BYTES);
            }
            Self::TransactionExecution { message, .. } | Self::Internal { message } => {
                *message = shorten(message, limit);
            }
            Self::ContractNotFound { .. } | Self::EntrypointNotFound { .. } => {}
        }
        self
    }

    fn thread(what: &'static str) -> Self {
        Self::Internal { message: format!("the query's thread {what}") }
    }
}

/// The parts of a state a query runs in: what it reads, and what block it believes to be in. Cheap to clone.
#[derive(Clone)]
pub struct QueryContext {
    state: BlockState,
    environment: Arc<BlockEnvironment>,
    /// Made once: it copies all constants of the protocol version.
    block: Arc<BlockContext>,
}

impl QueryContext {
    /// Of the state after some block, and the environment that contracts see.
    pub fn new(state: BlockState, environment: BlockEnvironment) -> Result<Self, QueryError> {
        let block = environment
            .block_context(BlockLimits::none().bouncer())
            .map_err(|error: EnvironmentError| QueryError::internal(&error))?;
        Ok(Self { state, environment: Arc::new(environment), block: Arc::new(block) })
    }

    /// The same, with classes of its own to declare and run.
    #[must_use]
    pub fn with_classes(&self, own: MemoryClasses) -> Self {
        let classes = MoreClasses::new(own, self.state.classes().clone());
        let state = BlockState::new(self.state.values().clone(), Arc::new(classes));
        Self { state, ..self.clone() }
    }

    fn block_context(&self) -> BlockContext {
        (*self.block).clone()
    }
}

/// `starknet_call`: runs a function and answers what it returns.
pub fn call(
    query: &QueryContext,
    contract: ContractAddress,
    selector: EntryPointSelector,
    calldata: Vec<Felt>,
) -> Result<Vec<Felt>, QueryError> {
    on_deep_stack(|| call_here(query, contract, selector, calldata)).map_err(QueryError::thread)?
}

fn call_here(
    query: &QueryContext,
    contract: ContractAddress,
    selector: EntryPointSelector,
    calldata: Vec<Felt>,
) -> Result<Vec<Felt>, QueryError> {
    let class_hash = query
        .state
        .get_class_hash_at(contract)
        .map_err(|error: StateError| QueryError::internal(&error))?;
    if class_hash.0 == Felt::ZERO {
        return Err(QueryError::ContractNotFound { contract });
    }
    let block_context = query.block_context();
    let gas = block_context.versioned_constants().initial_gas_no_user_l2_bound();
    let context = TransactionContext {
        block_context: Arc::new(block_context),
        tx_info: TransactionInfo::Deprecated(DeprecatedTransactionInfo::default()),
    };
    let mut context = EntryPointExecutionContext::new_invoke(
        Arc::new(context),
        false,
        SierraGasRevertTracker::new(gas),
    );
    let entry_point = CallEntryPoint {
        entry_point_type: EntryPointType::External,
        entry_point_selector: selector,
        calldata: Calldata(Arc::new(calldata)),
        storage_address: contract,
        initial_gas: gas.0,
        ..CallEntryPoint::default()
    };
    let base = query.state.afresh();
    let mut state = CachedState::new(base.clone());
    let mut remaining_gas = gas.0;
    let executed = entry_point.execute(&mut state, &mut context, &mut remaining_gas);
    base.check().map_err(|error| QueryError::internal(&error))?;
    match executed {
        Ok(info) => returned(contract, selector, info),
        Err(error) => Err(match error.unannotated() {
            EntryPointExecutionError::PreExecutionError(
                PreExecutionError::EntryPointNotFound(_)
                | PreExecutionError::NoEntryPointOfTypeFound(_),
            ) => QueryError::EntrypointNotFound { contract, selector: selector.0 },
            error => QueryError::ContractError {
                contract,
                message: error.to_string(),
                panic_data: Vec::new(),
            },
        }),
    }
}

fn returned(
    contract: ContractAddress,
    selector: EntryPointSelector,
    info: CallInfo,
) -> Result<Vec<Felt>, QueryError> {
    let result = info.execution.retdata.0;
    if !info.execution.failed {
        return Ok(result);
    }
    let missing = Felt::from_bytes_be_slice(ENTRYPOINT_NOT_FOUND);
    if info.inner_calls.is_empty() && result == [missing] {
        return Err(QueryError::EntrypointNotFound { contract, selector: selector.0 });
    }
    let words: Vec<String> = result.iter().map(panic_word).collect();
    Err(QueryError::ContractError { contract, message: words.join(", "), panic_data: result })
}

/// A felt of panic data, with its short string where it is one.
fn panic_word(felt: &Felt) -> String {
    let bytes = felt.to_bytes_be();
    let text: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let printable = !text.is_empty() && text.iter().all(|byte| (0x20..0x7f).contains(byte));
    match String::from_utf8(text) {
        Ok(text) if printable => format!("{felt:#x} ('{text}')"),
        _ => format!("{felt:#x}"),
    }
}

/// What a simulation leaves out, and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulationFlags {
    /// Do not run `__validate__`: signatures are not checked.
    pub skip_validate: bool,
    /// Do not charge the fee, and do not hold the transaction to its resource bounds.
    pub skip_fee_charge: bool,
    /// Answer traces.
    pub with_traces: bool,
    /// A reverted transaction is an error, as for `starknet_estimateFee`.
    pub fail_on_revert: bool,
}

/// One element of `starknet_simulateTransactions`' answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulatedTransaction {
    /// Its trace, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_trace: Option<TransactionTrace>,
    /// What it costs.
    pub fee_estimation: FeeEstimate,
}

/// `FEE_ESTIMATE`; amounts of gas and FRI, as hexadecimal strings in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeEstimate {
    /// L1 gas.
    pub l1_gas_consumed: GasAmount,
    /// FRI per unit of L1 gas.
    pub l1_gas_price: GasPrice,
    /// L2 gas.
    pub l2_gas_consumed: GasAmount,
    /// FRI per unit of L2 gas.
    pub l2_gas_price: GasPrice,
    /// L1 data gas.
    pub l1_data_gas_consumed: GasAmount,
    /// FRI per unit of L1 data gas.
    pub l1_data_gas_price: GasPrice,
    /// The sum of the three products.
    pub overall_fee: Fee,
    /// Always "FRI".
    pub unit: String,
}

/// `starknet_simulateTransactions` and `starknet_estimateFee`: executes the transactions one after the other.
///
/// A transaction's hash may be the one a wallet signs for queries (see
/// [`BlockTransaction::compute_query_hash`]); the account then sees a query version. Nonces may lie ahead of
/// the account's, because transactions may wait in the mempool.
pub fn simulate(
    query: &QueryContext,
    transactions: &[BlockTransaction],
    flags: SimulationFlags,
) -> Result<Vec<SimulatedTransaction>, QueryError> {
    on_deep_stack(|| simulate_here(query, transactions, flags)).map_err(QueryError::thread)?
}

fn simulate_here(
    query: &QueryContext,
    transactions: &[BlockTransaction],
    flags: SimulationFlags,
) -> Result<Vec<SimulatedTransaction>, QueryError> {
    let context = query.block_context();
    let mut run = Run::new(&query.state, context);
    let mut simulated = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.iter().enumerate() {
        let failed = |reason, message| QueryError::TransactionExecution { index, reason, message };
        let malformed =
            |error: TransactionError| failed(Some(transaction_reason(&error)), with_causes(&error));
        let chain_id = &query.environment.chain_id;
        let query_hash = transaction.compute_query_hash(chain_id).map_err(malformed)?;
        let only_query = transaction.hash == query_hash;
        if !only_query {
            transaction.check_hash(chain_id).map_err(malformed)?;
        }
        let mut executable =
            transaction.executable(query.state.classes().as_ref()).map_err(malformed)?;
        if flags.skip_fee_charge {
            lift_resource_bounds(&mut executable, run.max_gas());
        }
        let execution_flags = ExecutionFlags {
            only_query,
            charge_fee: !flags.skip_fee_charge,
            validate: !flags.skip_validate,
            strict_nonce_check: false,
        };
        let executed = run.execute(executable, execution_flags);
        run.base.check().map_err(|error| QueryError::internal(&error))?;
        let executed =
            executed.map_err(|error| failed(Some(rejection_reason(&error)), error.to_string()))?;
        if let (true, Some(error)) = (flags.fail_on_revert, &executed.info.revert_error) {
            return Err(failed(None, error.to_string()));
        }
        simulated.push(SimulatedTransaction {
            fee_estimation: run.fee_estimate(&executed.info),
            transaction_trace: flags
                .with_traces
                .then(|| {
                    TransactionTrace::new(
                        &transaction.transaction,
                        &executed.info,
                        executed.state_diff,
                    )
                })
                .flatten(),
        });
    }
    Ok(simulated)
}

/// `starknet_traceBlockTransactions`: re-executes the transactions of a closed block over its parent's state.
pub fn trace_block(
    parent: BlockState,
    environment: &BlockEnvironment,
    transactions: &[BlockTransaction],
) -> Result<Vec<TransactionTraceEntry>, QueryError> {
    on_deep_stack(|| trace_block_here(parent, environment, transactions))
        .map_err(QueryError::thread)?
}

fn trace_block_here(
    parent: BlockState,
    environment: &BlockEnvironment,
    transactions: &[BlockTransaction],
) -> Result<Vec<TransactionTraceEntry>, QueryError> {
    let query = QueryContext::new(parent, environment.clone())?;
    let context = query.block_context();
    let mut run = Run::new(&query.state, context);
    run.pre_process(environment)?;
    let mut traces = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.iter().enumerate() {
        let failed = |reason, message| QueryError::TransactionExecution { index, reason, message };
        let executable = transaction
            .executable(query.state.classes().as_ref())
            .map_err(|error| failed(Some(transaction_reason(&error)), with_causes(&error)))?;
        let executed = run.execute(executable, ExecutionFlags::default());
        run.base.check().map_err(|error| QueryError::internal(&error))?;
        let executed =
            executed.map_err(|error| failed(Some(rejection_reason(&error)), error.to_string()))?;
        let trace_root =
            TransactionTrace::new(&transaction.transaction, &executed.info, executed.state_diff)
                .ok_or_else(|| QueryError::Internal {
                    message: format!("transaction {} has no trace", transaction.hash),
                })?;
        traces.push(TransactionTraceEntry { transaction_hash: transaction.hash, trace_root });
    }
    Ok(traces)
}

/// What is asked before a transaction is accepted: the account's own validation. Its hash is taken as given: whoever
/// asks has just computed it. The nonce may lie ahead of the account's.
pub fn validate(
    query: &QueryContext,
    transaction: &BlockTransaction,
) -> Result<Result<(), Rejection>, QueryError> {
    on_deep_stack(|| validate_here(query, transaction)).map_err(QueryError::thread)?
}

fn validate_here(
    query: &QueryContext,
    transaction: &BlockTransaction,
) -> Result<Result<(), Rejection>, QueryError> {
    let rejected = |reason, message| Ok(Err(Rejection { hash: transaction.hash, reason, message }));
    let executable = match transaction.executable(query.state.classes().as_ref()) {
        Ok(executable) => executable,
        Err(error) => return rejected(transaction_reason(&error), with_causes(&error)),
    };
    let sender = executable.sender_address();
    let deploys = matches!(executable, ApiTransaction::DeployAccount(_));
    let class_hash = query
        .state
        .get_class_hash_at(sender)
        .map_err(|error: StateError| QueryError::internal(&error))?;
    if !deploys && class_hash.0 == Felt::ZERO {
        let message = format!("the sender {sender} is not deployed");
        return rejected(RejectionReason::InvalidAccount, message);
    }
    let (class_hash, function) = match &executable {
        ApiTransaction::Invoke(_) => (class_hash, VALIDATE_ENTRY_POINT_NAME),
        ApiTransaction::Declare(_) => (class_hash, VALIDATE_DECLARE_ENTRY_POINT_NAME),
        ApiTransaction::DeployAccount(tx) => (tx.class_hash(), VALIDATE_DEPLOY_ENTRY_POINT_NAME),
    };
    let reason = |error: &TransactionExecutionError| match rejection_reason(error) {
        RejectionReason::ValidationFailed if lacks_function(&query.state, class_hash, function) => {
            RejectionReason::NotAnAccount
        }
        reason => reason,
    };
    let base = query.state.afresh();
    let mut validator =
        StatefulValidator::create(CachedState::new(base.clone()), query.block_context());
    let flags = ExecutionFlags { strict_nonce_check: false, ..ExecutionFlags::default() };
    let transaction = AccountTransaction { tx: executable, execution_flags: flags };
    let validated = validator.perform_validations(transaction);
    base.check().map_err(|error| QueryError::internal(&error))?;
    match validated {
        Ok(()) => Ok(Ok(())),
        Err(StatefulValidatorError::StateError(error)) => Err(QueryError::internal(&error)),
        Err(StatefulValidatorError::TransactionExecutionError(error)) => {
            rejected(reason(&error), error.to_string())
        }
        Err(StatefulValidatorError::TransactionPreValidationError(error)) => {
            let message = error.to_string();
            rejected(pre_validation_reason(error), message)
        }
        Err(StatefulValidatorError::TransactionExecutorError(error)) => {
            use blockifier::blockifier::transaction_executor::TransactionExecutorError as Error;
            match error {
                Error::TransactionExecutionError(error) => {
                    rejected(reason(&error), error.to_string())
                }
                error => Err(QueryError::internal(&error)),
            }
        }
    }
}

/// Whether the class is known, and has no such external function.
fn lacks_function(state: &BlockState, class_hash: ClassHash, name: &str) -> bool {
    let functions = match state.afresh().get_compiled_class(class_hash) {
        Ok(RunnableCompiledClass::V1(class)) => class.entry_points_by_type.external.clone(),
        #[cfg(feature = "native")]
        Ok(RunnableCompiledClass::V1Native(class)) => {
            class.casm().entry_points_by_type.external.clone()
        }
        Ok(RunnableCompiledClass::V0(_)) | Err(_) => return false,
    };
    let selector = selector_from_name(name);
    functions.iter().all(|function| function.selector != selector)
}

fn pre_validation_reason(error: TransactionPreValidationError) -> RejectionReason {
    rejection_reason(&TransactionExecutionError::TransactionPreValidationError(Box::new(error)))
}

pub(crate) fn transaction_reason(error: &TransactionError) -> RejectionReason {
    match error {
        TransactionError::Class { .. } => RejectionReason::InvalidClass,
        _ => RejectionReason::Malformed,
    }
}

/// An estimate is asked for to learn the bounds, so those in the transaction do not hold.
fn lift_resource_bounds(transaction: &mut ApiTransaction, max_gas: GasAmount) {
    let bounds = match transaction {
        ApiTransaction::Invoke(tx) => match &mut tx.tx {
            InvokeTransaction::V3(tx) => &mut tx.resource_bounds,
            _ => return,
        },
        ApiTransaction::Declare(tx) => match &mut tx.tx {
            DeclareTransaction::V3(tx) => &mut tx.resource_bounds,
            _ => return,
        },
        ApiTransaction::DeployAccount(tx) => match &mut tx.tx {
            DeployAccountTransaction::V3(tx) => &mut tx.resource_bounds,
            _ => return,
        },
    };
    if let ValidResourceBounds::AllResources(bounds) = bounds {
        bounds.l2_gas.max_amount = max_gas;
    }
}

/// Transactions executed one after the other, outside a block.
struct Run {
    base: BlockState,
    state: CachedState<BlockState>,
    context: BlockContext,
    deployed: HashSet<ContractAddress>,
}

struct Executed {
    info: TransactionExecutionInfo,
    state_diff: StateDiff,
}

impl Run {
    fn new(base: &BlockState, context: BlockContext) -> Self {
        let base = base.afresh();
        let state = CachedState::new(base.clone());
        Self { base, state, context, deployed: HashSet::new() }
    }

    fn pre_process(&mut self, environment: &BlockEnvironment) -> Result<(), QueryError> {
        pre_process_block(
            &mut self.state,
            environment.old_block,
            environment.number,
            &self.context.versioned_constants().os_constants,
        )
        .map_err(|error| QueryError::internal(&error))
    }

    fn max_gas(&self) -> GasAmount {
        self.context.versioned_constants().initial_gas_no_user_l2_bound()
    }

    fn execute(
        &mut self,
        transaction: ApiTransaction,
        execution_flags: ExecutionFlags,
    ) -> Result<Executed, TransactionExecutionError> {
        let transaction =
            ExecutableTransaction::Account(AccountTransaction { tx: transaction, execution_flags });
        let mut state = TransactionalState::create_transactional(&mut self.state);
        let info = transaction.execute_raw(&mut state, &self.context, false)?;
        let changes = state.to_state_diff()?.state_maps;
        state.commit();
        let state_diff = self.rpc_state_diff(changes)?;
        Ok(Executed { info, state_diff })
    }

    fn rpc_state_diff(&mut self, changes: StateMaps) -> Result<StateDiff, StateError> {
        let diff = sorted(ThinStateDiff::from(CommitmentStateDiff::from(changes)));
        let mut before = HashSet::new();
        for address in diff.deployed_contracts.keys() {
            let existed = self.deployed.contains(address)
                || self.base.get_class_hash_at(*address)?.0 != Felt::ZERO;
            if existed {
                before.insert(*address);
            }
        }
        self.deployed.extend(diff.deployed_contracts.keys());
        Ok(StateDiff::from_thin(&diff, |address| before.contains(address)))
    }

    fn fee_estimate(&self, info: &TransactionExecutionInfo) -> FeeEstimate {
        let prices = self.context.block_info().gas_prices.gas_price_vector(&FeeType::Strk);
        let gas = info.receipt.gas;
        let (l1, data, l2) =
            (prices.l1_gas_price.get(), prices.l1_data_gas_price.get(), prices.l2_gas_price.get());
        let product = |gas: GasAmount, price: GasPrice| u128::from(gas.0).saturating_mul(price.0);
        let overall = product(gas.l1_gas, l1)
            .saturating_add(product(gas.l1_data_gas, data))
            .saturating_add(product(gas.l2_gas, l2));
        FeeEstimate {
            l1_gas_consumed: gas.l1_gas,
            l1_gas_price: l1,
            l2_gas_consumed: gas.l2_gas,
            l2_gas_price: l2,
            l1_data_gas_consumed: gas.l1_data_gas,
            l1_data_gas_price: data,
            overall_fee: Fee(overall),
            unit: "FRI".to_owned(),
        }
    }
}
