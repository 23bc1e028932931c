//! Execution traces, in the JSON form of Starknet's trace API (specification 0.10).

use blockifier::execution::call_info::CallInfo;
use blockifier::execution::contract_class::TrackedResource;
use blockifier::execution::entry_point::CallType as EngineCallType;
use blockifier::transaction::objects::TransactionExecutionInfo;
use serde::{Deserialize, Serialize};
use starknet_api::contract_class::EntryPointType;
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::execution_resources::GasVector;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::{Transaction, TransactionHash};
use starknet_types_core::felt::Felt;

/// Steps cost this much L2 gas (`step_gas_cost` of the versioned constants).
const L2_GAS_PER_STEP: u64 = 100;

/// One element of `starknet_traceBlockTransactions`' answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionTraceEntry {
    /// The transaction.
    pub transaction_hash: TransactionHash,
    /// Its trace.
    pub trace_root: TransactionTrace,
}

/// `TRANSACTION_TRACE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum TransactionTrace {
    /// Of an invoke transaction.
    #[serde(rename = "INVOKE")]
    Invoke {
        /// `__validate__`; missing when it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        validate_invocation: Option<FunctionInvocation>,
        /// `__execute__`.
        execute_invocation: ExecuteInvocation,
        /// The fee transfer; missing when it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        fee_transfer_invocation: Option<FunctionInvocation>,
        /// What the transaction changed.
        state_diff: StateDiff,
        /// What it consumed.
        execution_resources: ExecutionResources,
    },
    /// Of a declare transaction.
    #[serde(rename = "DECLARE")]
    Declare {
        /// `__validate_declare__`; missing when it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        validate_invocation: Option<FunctionInvocation>,
        /// The fee transfer; missing when it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        fee_transfer_invocation: Option<FunctionInvocation>,
        /// What the transaction changed.
        state_diff: StateDiff,
        /// What it consumed.
        execution_resources: ExecutionResources,
    },
    /// Of a deploy-account transaction.
    #[serde(rename = "DEPLOY_ACCOUNT")]
    DeployAccount {
        /// `__validate_deploy__`; missing when it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        validate_invocation: Option<FunctionInvocation>,
        /// The constructor.
        constructor_invocation: Box<FunctionInvocation>,
        /// The fee transfer; missing when it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        fee_transfer_invocation: Option<FunctionInvocation>,
        /// What the transaction changed.
        state_diff: StateDiff,
        /// What it consumed.
        execution_resources: ExecutionResources,
    },
}

/// `REVERTIBLE_FUNCTION_INVOCATION`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExecuteInvocation {
    /// It was reverted.
    Reverted {
        /// Why.
        revert_reason: String,
    },
    /// It succeeded.
    Succeeded(Box<FunctionInvocation>),
}

/// `FUNCTION_INVOCATION`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionInvocation {
    /// Whose storage it works on.
    pub contract_address: ContractAddress,
    /// Which function.
    pub entry_point_selector: Felt,
    /// Its arguments.
    pub calldata: Vec<Felt>,
    /// Who called; zero for the protocol.
    pub caller_address: ContractAddress,
    /// Whose code ran.
    pub class_hash: ClassHash,
    /// External, L1 handler, or constructor.
    pub entry_point_type: EntryPointType,
    /// Call or library call.
    pub call_type: CallType,
    /// What it returned, or its panic data.
    pub result: Vec<Felt>,
    /// What it called.
    pub calls: Vec<FunctionInvocation>,
    /// What it emitted.
    pub events: Vec<OrderedEvent>,
    /// What it sent to L1.
    pub messages: Vec<OrderedMessage>,
    /// What it and its calls consumed.
    pub execution_resources: InnerCallResources,
    /// Whether it panicked.
    pub is_reverted: bool,
}

/// `CALL_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallType {
    /// Of a contract.
    Call,
    /// Of a class, on the caller's storage.
    Delegate,
}

/// `ORDERED_EVENT`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderedEvent {
    /// Its place among the transaction's events.
    pub order: usize,
    /// The emitter.
    pub from_address: ContractAddress,
    /// Its keys.
    pub keys: Vec<Felt>,
    /// Its data.
    pub data: Vec<Felt>,
}

/// `ORDERED_MESSAGE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderedMessage {
    /// Its place among the transaction's messages.
    pub order: usize,
    /// The sender.
    pub from_address: ContractAddress,
    /// The address on L1.
    pub to_address: Felt,
    /// What it says.
    pub payload: Vec<Felt>,
}

/// `INNER_CALL_EXECUTION_RESOURCES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerCallResources {
    /// L1 gas.
    pub l1_gas: u64,
    /// L2 gas.
    pub l2_gas: u64,
}

/// `EXECUTION_RESOURCES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionResources {
    /// L1 gas.
    pub l1_gas: u64,
    /// L1 data gas.
    pub l1_data_gas: u64,
    /// L2 gas.
    pub l2_gas: u64,
}

impl From<GasVector> for ExecutionResources {
    fn from(gas: GasVector) -> Self {
        Self { l1_gas: gas.l1_gas.0, l1_data_gas: gas.l1_data_gas.0, l2_gas: gas.l2_gas.0 }
    }
}

/// `STATE_DIFF`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StateDiff {
    /// Storage per contract.
    pub storage_diffs: Vec<ContractStorageDiff>,
    /// Always empty: Cairo 0 classes are not supported.
    pub deprecated_declared_classes: Vec<ClassHash>,
    /// New classes.
    pub declared_classes: Vec<DeclaredClassItem>,
    /// New contracts.
    pub deployed_contracts: Vec<DeployedContract>,
    /// Contracts with another class than before.
    pub replaced_classes: Vec<ReplacedClass>,
    /// New nonces.
    pub nonces: Vec<NonceUpdate>,
}

/// `CONTRACT_STORAGE_DIFF_ITEM`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContractStorageDiff {
    /// The contract.
    pub address: ContractAddress,
    /// Its changed cells.
    pub storage_entries: Vec<StorageEntry>,
}

/// A changed cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageEntry {
    /// Its key.
    pub key: Felt,
    /// Its new value.
    pub value: Felt,
}

/// A declared class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredClassItem {
    /// Its class hash.
    pub class_hash: ClassHash,
    /// Its compiled class hash.
    pub compiled_class_hash: CompiledClassHash,
}

/// `DEPLOYED_CONTRACT_ITEM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedContract {
    /// The contract.
    pub address: ContractAddress,
    /// Its class.
    pub class_hash: ClassHash,
}

/// A replaced class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedClass {
    /// The contract.
    pub contract_address: ContractAddress,
    /// Its new class.
    pub class_hash: ClassHash,
}

/// A new nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonceUpdate {
    /// The contract.
    pub contract_address: ContractAddress,
    /// Its nonce after.
    pub nonce: Nonce,
}

impl StateDiff {
    /// The RPC form of a state diff. `was_deployed` says whether a contract had a class before.
    pub fn from_thin(
        diff: &ThinStateDiff,
        was_deployed: impl Fn(&ContractAddress) -> bool,
    ) -> Self {
        let (replaced, deployed): (Vec<_>, Vec<_>) =
            diff.deployed_contracts.iter().partition(|(address, _)| was_deployed(address));
        Self {
            storage_diffs: diff
                .storage_diffs
                .iter()
                .map(|(address, cells)| ContractStorageDiff {
                    address: *address,
                    storage_entries: cells
                        .iter()
                        .map(|(key, value)| StorageEntry { key: *key.0.key(), value: *value })
                        .collect(),
                })
                .collect(),
            deprecated_declared_classes: diff.deprecated_declared_classes.clone(),
            declared_classes: diff
                .class_hash_to_compiled_class_hash
                .iter()
                .map(|(class_hash, compiled_class_hash)| DeclaredClassItem {
                    class_hash: *class_hash,
                    compiled_class_hash: *compiled_class_hash,
                })
                .collect(),
            deployed_contracts: deployed
                .into_iter()
                .map(|(address, class_hash)| DeployedContract {
                    address: *address,
                    class_hash: *class_hash,
                })
                .collect(),
            replaced_classes: replaced
                .into_iter()
                .map(|(address, class_hash)| ReplacedClass {
                    contract_address: *address,
                    class_hash: *class_hash,
                })
                .collect(),
            nonces: diff
                .nonces
                .iter()
                .map(|(address, nonce)| NonceUpdate { contract_address: *address, nonce: *nonce })
                .collect(),
        }
    }
}

impl TransactionTrace {
    /// The trace of a transaction that blockifier executed. `None` for kinds that no account sends.
    pub(crate) fn new(
        transaction: &Transaction,
        info: &TransactionExecutionInfo,
        state_diff: StateDiff,
    ) -> Option<Self> {
        let invocation = |call: &Option<CallInfo>| call.as_ref().map(FunctionInvocation::new);
        let validate_invocation = invocation(&info.validate_call_info);
        let fee_transfer_invocation = invocation(&info.fee_transfer_call_info);
        let execution_resources = info.receipt.gas.into();
        match transaction {
            Transaction::Invoke(_) => {
                let execute_invocation = match (&info.revert_error, &info.execute_call_info) {
                    (None, Some(call)) => {
                        ExecuteInvocation::Succeeded(Box::new(FunctionInvocation::new(call)))
                    }
                    (Some(error), _) => {
                        ExecuteInvocation::Reverted { revert_reason: error.to_string() }
                    }
                    (None, None) => return None,
                };
                Some(Self::Invoke {
                    validate_invocation,
                    execute_invocation,
                    fee_transfer_invocation,
                    state_diff,
                    execution_resources,
                })
            }
            Transaction::Declare(_) => Some(Self::Declare {
                validate_invocation,
                fee_transfer_invocation,
                state_diff,
                execution_resources,
            }),
            Transaction::DeployAccount(_) => Some(Self::DeployAccount {
                validate_invocation,
                constructor_invocation: Box::new(invocation(&info.execute_call_info)?),
                fee_transfer_invocation,
                state_diff,
                execution_resources,
            }),
            Transaction::Deploy(_) | Transaction::L1Handler(_) => None,
        }
    }
}

impl FunctionInvocation {
    /// Recursion is as deep as the calls were, which blockifier bounds (50).
    fn new(info: &CallInfo) -> Self {
        let call = &info.call;
        let from_address = call.storage_address;
        let l2_gas = match info.tracked_resource {
            TrackedResource::SierraGas => info.execution.gas_consumed,
            TrackedResource::CairoSteps => u64::try_from(info.resources.vm_resources.n_steps)
                .unwrap_or(u64::MAX)
                .saturating_mul(L2_GAS_PER_STEP),
        };
        Self {
            contract_address: from_address,
            entry_point_selector: call.entry_point_selector.0,
            calldata: call.calldata.0.to_vec(),
            caller_address: call.caller_address,
            class_hash: call.class_hash.unwrap_or_default(),
            entry_point_type: call.entry_point_type,
            call_type: match call.call_type {
                EngineCallType::Call => CallType::Call,
                EngineCallType::Delegate => CallType::Delegate,
            },
            result: info.execution.retdata.0.clone(),
            calls: info.inner_calls.iter().map(Self::new).collect(),
            events: info
                .execution
                .events
                .iter()
                .map(|event| OrderedEvent {
                    order: event.order,
                    from_address,
                    keys: event.event.keys.iter().map(|key| key.0).collect(),
                    data: event.event.data.0.clone(),
                })
                .collect(),
            messages: info
                .execution
                .l2_to_l1_messages
                .iter()
                .map(|message| OrderedMessage {
                    order: message.order,
                    from_address,
                    to_address: message.message.to_address.into(),
                    payload: message.message.payload.0.clone(),
                })
                .collect(),
            execution_resources: InnerCallResources { l1_gas: 0, l2_gas },
            is_reverted: info.execution.failed,
        }
    }
}
