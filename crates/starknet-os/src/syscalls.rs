//! The syscalls of contracts, answered from what blockifier recorded when it executed the block.

use std::sync::LazyLock;

use blockifier::blockifier_versioned_constants::{GasCosts, VersionedConstants};
use blockifier::execution::execution_utils::ReadOnlySegment;
use blockifier::execution::syscalls::hint_processor::{
    BLOCK_NUMBER_OUT_OF_RANGE_ERROR_FELT, ENTRYPOINT_FAILED_ERROR_FELT,
};
use blockifier::execution::syscalls::secp::SecpHintProcessor;
use blockifier::execution::syscalls::syscall_executor::SyscallExecutor;
use blockifier::execution::syscalls::vm_syscall_utils::{
    CallContractRequest, CallContractResponse, DeployRequest, DeployResponse, EmitEventRequest,
    EmitEventResponse, GetBlockHashRequest, GetBlockHashResponse, GetClassHashAtRequest,
    GetClassHashAtResponse, GetExecutionInfoRequest, GetExecutionInfoResponse, LibraryCallRequest,
    LibraryCallResponse, MetaTxV0Request, MetaTxV0Response, ReplaceClassRequest,
    ReplaceClassResponse, RevertData, SelfOrRevert, SendMessageToL1Request,
    SendMessageToL1Response, StorageReadRequest, StorageReadResponse, StorageWriteRequest,
    StorageWriteResponse, SyscallExecutorBaseError, SyscallSelector, TryExtractRevert,
};
use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use cairo_vm::vm::vm_core::VirtualMachine;
use starknet_api::block::StarknetVersion;
use starknet_api::execution_resources::GasAmount;
use starknet_api::transaction::TransactionVersion;
use starknet_api::versioned_constants_logic::VersionedConstantsTrait;
use starknet_types_core::felt::Felt;

use crate::cairo_structs::constants::STORED_BLOCK_HASH_BUFFER;
use crate::cairo_structs::{execution_info, sha256_process_block, tx_info};
use crate::error::HintFailure;
use crate::state::OsState;

/// The constants of the OS's own protocol version.
static CONSTANTS: LazyLock<&'static VersionedConstants> = LazyLock::new(|| {
    // blockifier ships the constants of this version.
    VersionedConstants::get(&StarknetVersion::V0_13_5)
        .expect("blockifier has the constants of 0.13.5")
});

/// Why a syscall did not succeed.
#[derive(Debug)]
pub(crate) enum SyscallFailure {
    /// It failed as the contract may see: the error data go back to it.
    Revert(RevertData),
    /// It cannot be executed.
    Base(SyscallExecutorBaseError),
    /// blockifier's record does not fit.
    Record(HintFailure),
}

impl From<SyscallExecutorBaseError> for SyscallFailure {
    fn from(error: SyscallExecutorBaseError) -> Self {
        Self::Base(error)
    }
}

impl From<HintFailure> for SyscallFailure {
    fn from(failure: HintFailure) -> Self {
        Self::Record(failure)
    }
}

impl From<SyscallFailure> for HintFailure {
    fn from(failure: SyscallFailure) -> Self {
        match failure {
            SyscallFailure::Revert(_) => Self::Unsupported { what: "a revert outside a syscall" },
            SyscallFailure::Base(error) => Self::Syscall(Box::new(error)),
            SyscallFailure::Record(failure) => failure,
        }
    }
}

impl TryExtractRevert for SyscallFailure {
    fn try_extract_revert(self) -> SelfOrRevert<Self> {
        match self {
            Self::Revert(data) => SelfOrRevert::Revert(data),
            Self::Base(error) => error.try_extract_revert().map_original(Self::Base),
            Self::Record(_) => SelfOrRevert::Original(self),
        }
    }

    fn as_revert(revert_data: RevertData) -> Self {
        Self::Revert(revert_data)
    }
}

/// Writes the result of a call to a temporary segment: the OS moves it to where the callee really wrote it.
fn temporary_segment(
    vm: &mut VirtualMachine,
    felts: &[Felt],
) -> Result<ReadOnlySegment, SyscallFailure> {
    let start_ptr = vm.add_temporary_segment();
    let words: Vec<MaybeRelocatable> = felts.iter().map(|felt| (*felt).into()).collect();
    vm.load_data(start_ptr, &words).map_err(HintFailure::from)?;
    Ok(ReadOnlySegment { start_ptr, length: felts.len() })
}

/// Takes the gas of an inner call.
fn spend(remaining_gas: &mut u64, used: u64) -> Result<(), SyscallFailure> {
    *remaining_gas = remaining_gas.checked_sub(used).ok_or(HintFailure::OutOfRange {
        what: "gas used by an inner call",
        value: Felt::from(used),
    })?;
    Ok(())
}

/// Answers a call from the record of the next inner call.
fn inner_call(
    vm: &mut VirtualMachine,
    state: &mut OsState<'_>,
    remaining_gas: &mut u64,
) -> Result<CallContractResponse, SyscallFailure> {
    let execution = &state.call_mut()?.next_inner_call()?.execution;
    spend(remaining_gas, execution.gas_consumed)?;
    if execution.failed {
        let mut data = execution.retdata.0.clone();
        data.push(ENTRYPOINT_FAILED_ERROR_FELT);
        return Err(SyscallFailure::Revert(RevertData::new_temp(data)));
    }
    Ok(CallContractResponse { segment: temporary_segment(vm, &execution.retdata.0)? })
}

impl SyscallExecutor for OsState<'_> {
    type Error = SyscallFailure;

    fn gas_costs(&self) -> &GasCosts {
        &self.versioned_constants().os_constants.gas_costs
    }

    fn versioned_constants(&self) -> &VersionedConstants {
        &CONSTANTS
    }

    /// The OS hands a contract its syscall segment before it runs it ([`crate::hints`]' `open_syscall_segment`),
    /// so a contract never runs without; should one do so, it would read from a segment that does not exist.
    fn get_mut_syscall_ptr(&mut self) -> &mut Relocatable {
        self.syscalls.ptr.get_or_insert(Relocatable { segment_index: -1, offset: usize::MAX })
    }

    fn write_sha256_out_state(
        &mut self,
        state: &[MaybeRelocatable],
        vm: &mut VirtualMachine,
    ) -> Result<Relocatable, Self::Error> {
        let segment = self.syscalls.sha256_segment.ok_or(HintFailure::NoSha256Segment)?;
        let offset = self.syscalls.sha256_count * sha256_process_block::SIZE
            + sha256_process_block::OUT_STATE;
        self.syscalls.sha256_count += 1;
        let address = (segment + offset).map_err(HintFailure::from)?;
        vm.load_data(address, state).map_err(HintFailure::from)?;
        Ok(address)
    }

    fn write_sha512_out_state(
        &mut self,
        _state: &[MaybeRelocatable],
        _vm: &mut VirtualMachine,
    ) -> Result<Relocatable, Self::Error> {
        Err(HintFailure::Unsupported {
            what: "sha512_process_block, which StarknetOS 0.13.5 has not,",
        }
        .into())
    }

    fn get_secpk1_hint_processor_and_base(
        &mut self,
    ) -> (&mut SecpHintProcessor<ark_secp256k1::Config>, &mut Option<Relocatable>) {
        (&mut self.syscalls.secp256k1, &mut self.syscalls.secp_segment)
    }

    fn get_secpr1_hint_processor_and_base(
        &mut self,
    ) -> (&mut SecpHintProcessor<ark_secp256r1::Config>, &mut Option<Relocatable>) {
        (&mut self.syscalls.secp256r1, &mut self.syscalls.secp_segment)
    }

    fn get_secp_id(&self) -> usize {
        self.syscalls.secp256k1.points.len() + self.syscalls.secp256r1.points.len()
    }

    /// The OS charges by gas; nobody counts.
    fn increment_syscall_count_by(&mut self, _selector: &SyscallSelector, _count: usize) {}

    /// Only blockifier needs this, to charge for what it reverts.
    fn update_revert_gas_with_next_remaining_gas(&mut self, _next_remaining_gas: GasAmount) {}

    fn call_contract(
        _request: CallContractRequest,
        vm: &mut VirtualMachine,
        state: &mut Self,
        remaining_gas: &mut u64,
    ) -> Result<CallContractResponse, Self::Error> {
        inner_call(vm, state, remaining_gas)
    }

    fn library_call(
        _request: LibraryCallRequest,
        vm: &mut VirtualMachine,
        state: &mut Self,
        remaining_gas: &mut u64,
    ) -> Result<LibraryCallResponse, Self::Error> {
        inner_call(vm, state, remaining_gas)
    }

    fn meta_tx_v0(
        _request: MetaTxV0Request,
        _vm: &mut VirtualMachine,
        _state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<MetaTxV0Response, Self::Error> {
        Err(HintFailure::Unsupported { what: "meta_tx_v0, which StarknetOS 0.13.5 has not," }
            .into())
    }

    fn deploy(
        _request: DeployRequest,
        vm: &mut VirtualMachine,
        state: &mut Self,
        remaining_gas: &mut u64,
    ) -> Result<DeployResponse, Self::Error> {
        let (contract_address, constructor) = state.call_mut()?.next_deployment()?;
        let execution = &constructor.execution;
        spend(remaining_gas, execution.gas_consumed)?;
        if execution.failed {
            return Err(SyscallFailure::Revert(RevertData::new_temp(execution.retdata.0.clone())));
        }
        let constructor_retdata = temporary_segment(vm, &execution.retdata.0)?;
        Ok(DeployResponse { contract_address, constructor_retdata })
    }

    fn emit_event(
        _request: EmitEventRequest,
        _vm: &mut VirtualMachine,
        _state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<EmitEventResponse, Self::Error> {
        Ok(EmitEventResponse {})
    }

    fn get_block_hash(
        request: GetBlockHashRequest,
        _vm: &mut VirtualMachine,
        state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<GetBlockHashResponse, Self::Error> {
        let last = state.input.block.number.checked_sub(STORED_BLOCK_HASH_BUFFER);
        if last.is_none_or(|last| request.block_number.0 > last) {
            let data = vec![BLOCK_NUMBER_OUT_OF_RANGE_ERROR_FELT];
            return Err(SyscallFailure::Revert(RevertData::new_normal(data)));
        }
        Ok(GetBlockHashResponse { block_hash: state.call_mut()?.next_block_hash_read()? })
    }

    fn get_class_hash_at(
        _request: GetClassHashAtRequest,
        _vm: &mut VirtualMachine,
        state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<GetClassHashAtResponse, Self::Error> {
        Ok(state.call_mut()?.next_class_hash_read()?)
    }

    /// The OS's own `ExecutionInfo` of the call; for accounts that were written for transactions of version
    /// 1, a copy that says so.
    fn get_execution_info(
        _request: GetExecutionInfoRequest,
        vm: &mut VirtualMachine,
        state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<GetExecutionInfoResponse, Self::Error> {
        let call = state.call()?;
        let original = call.execution_info;
        let class_hash = call.info.call.class_hash.unwrap_or_default();
        let constants = &CONSTANTS.os_constants;
        if !constants.v1_bound_accounts_cairo1.contains(&class_hash) {
            return Ok(GetExecutionInfoResponse { execution_info_ptr: original });
        }
        let execution_info_ptr =
            version_bound_info(vm, original).map_err(SyscallFailure::Record)?;
        Ok(GetExecutionInfoResponse { execution_info_ptr })
    }

    fn replace_class(
        _request: ReplaceClassRequest,
        _vm: &mut VirtualMachine,
        _state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<ReplaceClassResponse, Self::Error> {
        Ok(ReplaceClassResponse {})
    }

    fn send_message_to_l1(
        _request: SendMessageToL1Request,
        _vm: &mut VirtualMachine,
        _state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<SendMessageToL1Response, Self::Error> {
        Ok(SendMessageToL1Response {})
    }

    fn storage_read(
        _request: StorageReadRequest,
        _vm: &mut VirtualMachine,
        state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<StorageReadResponse, Self::Error> {
        Ok(StorageReadResponse { value: state.call_mut()?.next_storage_read()? })
    }

    fn storage_write(
        _request: StorageWriteRequest,
        _vm: &mut VirtualMachine,
        _state: &mut Self,
        _remaining_gas: &mut u64,
    ) -> Result<StorageWriteResponse, Self::Error> {
        Ok(StorageWriteResponse {})
    }
}

/// A copy of an `ExecutionInfo` of version 3 that says version 1, if the tip is low enough for it; else the
/// original.
fn version_bound_info(
    vm: &mut VirtualMachine,
    original: Relocatable,
) -> Result<Relocatable, HintFailure> {
    let info = vm.get_relocatable((original + execution_info::TX_INFO)?)?;
    let version = vm.get_integer((info + tx_info::VERSION)?)?.into_owned();
    let tip = vm.get_integer((info + tx_info::TIP)?)?.into_owned();
    let bound = Felt::from(CONSTANTS.os_constants.v1_bound_accounts_max_tip.0);
    if version != TransactionVersion::THREE.0 || tip > bound {
        return Ok(original);
    }
    let mut transaction = vm.get_continuous_range(info, tx_info::SIZE)?;
    transaction[tx_info::VERSION] = TransactionVersion::ONE.0.into();
    let copied_transaction = vm.add_memory_segment();
    vm.load_data(copied_transaction, &transaction)?;
    let mut execution = vm.get_continuous_range(original, execution_info::SIZE)?;
    execution[execution_info::TX_INFO] = copied_transaction.into();
    let copy = vm.add_memory_segment();
    vm.load_data(copy, &execution)?;
    Ok(copy)
}
