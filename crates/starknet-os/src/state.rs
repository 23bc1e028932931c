//! What changes while the OS runs: how far it is in the block and in the call trees, and the storage.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::slice::Iter;

use blockifier::execution::call_info::{CallInfo, CallInfoIter};
use blockifier::execution::syscalls::secp::SecpHintProcessor;
use blockifier::transaction::objects::TransactionExecutionInfo;
use cairo_vm::types::relocatable::Relocatable;
use sidereal_patricia::CommitmentFacts;
use starknet_api::block::BlockHash;
use starknet_api::contract_class::EntryPointType;
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::executable_transaction::{Transaction, TransactionType};
use starknet_types_core::felt::Felt;

use crate::error::{HintFailure, Position};
use crate::hints::BytecodeNode;
use crate::input::OsInput;
use crate::output::OutputForm;

/// State of one run, shared by the hints of the OS and the syscalls of the contracts.
pub(crate) struct OsState<'input> {
    pub(crate) input: &'input OsInput,
    pub(crate) form: OutputForm,
    transactions: Iter<'input, Transaction>,
    execution_infos: Iter<'input, TransactionExecutionInfo>,
    next_transaction: usize,
    transaction: Option<&'input Transaction>,
    execution: Option<Execution<'input>>,
    /// Storage as the OS has it at this point of the block, by contract and key.
    storage: HashMap<Felt, HashMap<Felt, Felt>>,
    pub(crate) syscalls: SyscallState,
    /// The trie that is being updated.
    trie: Option<&'input CommitmentFacts>,
    /// Segment of a class's bytecode to its compiled class hash.
    pub(crate) class_segments: BTreeMap<isize, Felt>,
    /// How the bytecode of each class is cut into segments, by compiled class hash.
    pub(crate) bytecode_nodes: HashMap<Felt, Rc<BytecodeNode>>,
    /// The felts that go into blobs, once they are known.
    pub(crate) da_segment: Option<Vec<Felt>>,
}

/// Where the syscalls of the running contract are.
#[derive(Default)]
pub(crate) struct SyscallState {
    /// Next syscall of the running contract; none between contracts.
    pub(crate) ptr: Option<Relocatable>,
    /// Segment of all SHA-256 compressions of the block.
    pub(crate) sha256_segment: Option<Relocatable>,
    /// Compressions so far.
    pub(crate) sha256_count: usize,
    /// Points of secp256k1 that contracts hold.
    pub(crate) secp256k1: SecpHintProcessor<ark_secp256k1::Config>,
    /// Points of secp256r1 that contracts hold.
    pub(crate) secp256r1: SecpHintProcessor<ark_secp256r1::Config>,
    /// Segment of the points of both curves.
    pub(crate) secp_segment: Option<Relocatable>,
}

/// A transaction's call tree, as far as the OS has walked it.
struct Execution<'input> {
    info: &'input TransactionExecutionInfo,
    calls: CallInfoIter<'input>,
    call: Option<Call<'input>>,
}

/// The contract call that is being executed, and what of its record is left.
pub(crate) struct Call<'input> {
    pub(crate) info: &'input CallInfo,
    /// Pointer to the `ExecutionInfo` of the call.
    pub(crate) execution_info: Relocatable,
    inner_calls: Iter<'input, CallInfo>,
    storage_reads: Iter<'input, Felt>,
    class_hash_reads: Iter<'input, ClassHash>,
    block_hash_reads: Iter<'input, BlockHash>,
}

impl<'input> OsState<'input> {
    pub(crate) fn new(input: &'input OsInput, form: OutputForm) -> Self {
        let storage = input
            .storage
            .iter()
            .map(|(address, cells)| {
                (
                    *address.0.key(),
                    cells.iter().map(|(key, value)| (*key.0.key(), *value)).collect(),
                )
            })
            .collect();
        Self {
            input,
            form,
            transactions: input.transactions.iter(),
            execution_infos: input.execution_infos.iter(),
            next_transaction: 0,
            transaction: None,
            execution: None,
            storage,
            syscalls: SyscallState::default(),
            trie: None,
            class_segments: BTreeMap::new(),
            bytecode_nodes: HashMap::new(),
            da_segment: None,
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            transaction: self.transaction.map(|transaction| {
                (self.next_transaction.saturating_sub(1), transaction.tx_hash())
            }),
        }
    }

    // Transactions.

    pub(crate) fn load_transaction(&mut self) -> Result<&'input Transaction, HintFailure> {
        let transaction = self.transactions.next().ok_or(HintFailure::NoTransactionLeft)?;
        self.next_transaction += 1;
        self.transaction = Some(transaction);
        Ok(transaction)
    }

    pub(crate) fn unload_transaction(&mut self) {
        self.transaction = None;
    }

    pub(crate) fn transaction(&self) -> Result<&'input Transaction, HintFailure> {
        self.transaction.ok_or(HintFailure::NoTransaction)
    }

    pub(crate) fn start_transaction(&mut self) -> Result<(), HintFailure> {
        if self.execution.is_some() {
            return Err(HintFailure::TransactionInProgress);
        }
        let kind = self.transaction()?.tx_type();
        let info = self.execution_infos.next().ok_or(HintFailure::NoExecutionInfoLeft)?;
        // The constructor of an account runs before its `__validate_deploy__`.
        let order = match kind {
            TransactionType::DeployAccount => {
                [&info.execute_call_info, &info.validate_call_info, &info.fee_transfer_call_info]
            }
            _ => [&info.validate_call_info, &info.execute_call_info, &info.fee_transfer_call_info],
        };
        let calls = CallInfoIter::new(order.into_iter().flatten().collect());
        self.execution = Some(Execution { info, calls, call: None });
        Ok(())
    }

    pub(crate) fn end_transaction(&mut self) -> Result<(), HintFailure> {
        let mut execution = self.execution.take().ok_or(HintFailure::NoExecutionInfo)?;
        if execution.call.is_some() {
            return Err(HintFailure::CallInProgress);
        }
        if execution.calls.next().is_some() {
            return Err(HintFailure::NotExhausted { what: "calls" });
        }
        Ok(())
    }

    pub(crate) fn execution_info(&self) -> Result<&'input TransactionExecutionInfo, HintFailure> {
        Ok(self.execution.as_ref().ok_or(HintFailure::NoExecutionInfo)?.info)
    }

    // Calls.

    pub(crate) fn enter_call(&mut self, execution_info: Relocatable) -> Result<(), HintFailure> {
        let execution = self.execution.as_mut().ok_or(HintFailure::NoExecutionInfo)?;
        if execution.call.is_some() {
            return Err(HintFailure::CallInProgress);
        }
        let info = execution.calls.next().ok_or(HintFailure::NoCallLeft)?;
        execution.call = Some(Call {
            info,
            execution_info,
            inner_calls: info.inner_calls.iter(),
            storage_reads: info.storage_access_tracker.storage_read_values.iter(),
            class_hash_reads: info.storage_access_tracker.read_class_hash_values.iter(),
            block_hash_reads: info.storage_access_tracker.read_block_hash_values.iter(),
        });
        Ok(())
    }

    pub(crate) fn exit_call(&mut self) -> Result<(), HintFailure> {
        let execution = self.execution.as_mut().ok_or(HintFailure::NoExecutionInfo)?;
        let call = execution.call.take().ok_or(HintFailure::NoCall)?;
        for (what, left) in [
            ("inner calls", call.inner_calls.len()),
            ("storage reads", call.storage_reads.len()),
            ("class hash reads", call.class_hash_reads.len()),
            ("block hash reads", call.block_hash_reads.len()),
        ] {
            if left != 0 {
                return Err(HintFailure::NotExhausted { what });
            }
        }
        Ok(())
    }

    pub(crate) fn call(&self) -> Result<&Call<'input>, HintFailure> {
        let execution = self.execution.as_ref().ok_or(HintFailure::NoExecutionInfo)?;
        execution.call.as_ref().ok_or(HintFailure::NoCall)
    }

    pub(crate) fn call_mut(&mut self) -> Result<&mut Call<'input>, HintFailure> {
        let execution = self.execution.as_mut().ok_or(HintFailure::NoExecutionInfo)?;
        execution.call.as_mut().ok_or(HintFailure::NoCall)
    }

    // Storage.

    pub(crate) fn storage_read(&self, address: Felt, key: Felt) -> Result<Felt, HintFailure> {
        self.storage
            .get(&address)
            .and_then(|cells| cells.get(&key))
            .copied()
            .ok_or(HintFailure::MissingStorage { address, key })
    }

    pub(crate) fn storage_write(&mut self, address: Felt, key: Felt, value: Felt) {
        self.storage.entry(address).or_default().insert(key, value);
    }

    // Tries.

    pub(crate) fn set_trie(&mut self, trie: &'input CommitmentFacts) {
        self.trie = Some(trie);
    }

    pub(crate) fn trie(&self) -> Result<&'input CommitmentFacts, HintFailure> {
        self.trie.ok_or(HintFailure::NoTrie)
    }

    pub(crate) fn preimage(&self, node: Felt) -> Result<&'input [Felt], HintFailure> {
        let facts = self.trie()?;
        Ok(facts.facts.get(&node).ok_or(HintFailure::Missing { what: "trie node", key: node })?)
    }
}

impl<'input> Call<'input> {
    pub(crate) fn next_inner_call(&mut self) -> Result<&'input CallInfo, HintFailure> {
        self.inner_calls.next().ok_or(HintFailure::Exhausted { what: "inner calls" })
    }

    /// The next inner call, which must be a constructor; with the address of the new contract.
    pub(crate) fn next_deployment(
        &mut self,
    ) -> Result<(ContractAddress, &'input CallInfo), HintFailure> {
        let inner = self.next_inner_call()?;
        if inner.call.entry_point_type != EntryPointType::Constructor {
            return Err(HintFailure::Mismatch {
                what: "kind of the next inner call",
                expected: "constructor".to_owned(),
                found: format!("{:?}", inner.call.entry_point_type),
            });
        }
        Ok((inner.call.storage_address, inner))
    }

    pub(crate) fn next_storage_read(&mut self) -> Result<Felt, HintFailure> {
        self.storage_reads.next().copied().ok_or(HintFailure::Exhausted { what: "storage reads" })
    }

    pub(crate) fn next_class_hash_read(&mut self) -> Result<ClassHash, HintFailure> {
        self.class_hash_reads
            .next()
            .copied()
            .ok_or(HintFailure::Exhausted { what: "class hash reads" })
    }

    pub(crate) fn next_block_hash_read(&mut self) -> Result<BlockHash, HintFailure> {
        self.block_hash_reads
            .next()
            .copied()
            .ok_or(HintFailure::Exhausted { what: "block hash reads" })
    }
}
