//! Errors: what a hint can fail with, and what a run of the OS can fail with.

use cairo_vm::types::errors::math_errors::MathError;
use cairo_vm::vm::errors::cairo_run_errors::CairoRunError;
use cairo_vm::vm::errors::hint_errors::HintError;
use cairo_vm::vm::errors::memory_errors::MemoryError;
use cairo_vm::vm::errors::runner_errors::RunnerError;
use cairo_vm::vm::errors::vm_errors::VirtualMachineError;
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

/// Why a hint could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HintFailure {
    #[error(transparent)]
    Vm(#[from] HintError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Math(#[from] MathError),
    #[error("{what} {value:#x} is out of range")]
    OutOfRange { what: &'static str, value: Felt },
    #[error("the block has no transaction left")]
    NoTransactionLeft,
    #[error("no transaction is being executed")]
    NoTransaction,
    #[error("the block has no execution info left")]
    NoExecutionInfoLeft,
    #[error("the transaction has no execution info: it has not started")]
    NoExecutionInfo,
    #[error("a transaction started before the previous one ended")]
    TransactionInProgress,
    #[error("the call tree of the transaction has no call left")]
    NoCallLeft,
    #[error("no contract call is being executed")]
    NoCall,
    #[error("a contract call was entered before the previous one was left")]
    CallInProgress,
    #[error("blockifier recorded more {what} for this call than the OS consumed")]
    NotExhausted { what: &'static str },
    #[error("blockifier recorded fewer {what} for this call than the OS asks for")]
    Exhausted { what: &'static str },
    #[error("{what} is not supported")]
    Unsupported { what: &'static str },
    #[error("the input has no {what} for {key:#x}")]
    Missing { what: &'static str, key: Felt },
    #[error("the input has no value for storage cell {key:#x} of contract {address:#x}")]
    MissingStorage { address: Felt, key: Felt },
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch { what: &'static str, expected: String, found: String },
    #[error("the syscall pointer is not set")]
    NoSyscallPtr,
    #[error("the segment of the SHA-256 compressions is not set")]
    NoSha256Segment,
    #[error("no trie is being updated")]
    NoTrie,
    #[error("a node of the update tree is {found}, expected {expected}")]
    UpdateTree { expected: &'static str, found: &'static str },
    #[error("the segment lengths of class {class_hash:#x} do not add up to its bytecode")]
    BytecodeSegments { class_hash: Felt },
    #[error("KZG commitment failed: {0}")]
    Kzg(String),
    #[error("a syscall of a contract failed")]
    Syscall(
        #[source] Box<blockifier::execution::syscalls::vm_syscall_utils::SyscallExecutorBaseError>,
    ),
}

/// A hint that failed, and where. The cause is in the message and no `source`: Cairo VM's error around this
/// one has none, so that nobody who walks the causes would get here.
#[derive(Debug, thiserror::Error)]
#[error("hint `{hint}` of `{function}` at {pc}, {position}: {cause}")]
pub(crate) struct LocatedHintFailure {
    pub(crate) hint: String,
    pub(crate) function: String,
    pub(crate) pc: String,
    pub(crate) position: Position,
    pub(crate) cause: HintFailure,
}

impl From<LocatedHintFailure> for HintError {
    fn from(failure: LocatedHintFailure) -> Self {
        Self::Internal(VirtualMachineError::Other(failure.into()))
    }
}

/// How far into the block the OS is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Index and hash of the transaction at hand.
    pub(crate) transaction: Option<(usize, TransactionHash)>,
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.transaction {
            Some((index, hash)) => write!(formatter, "in transaction {index} ({:#x})", hash.0),
            None => write!(formatter, "outside any transaction"),
        }
    }
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum OsError {
    /// The virtual machine stopped: an assertion of the OS or of a contract failed, or a hint did.
    #[error("StarknetOS stopped in `{function}` at pc {pc}, {position}")]
    Run {
        /// Function of the OS, or the class whose code was running.
        function: String,
        /// Program counter, as `segment:offset`.
        pc: String,
        /// The transaction at hand.
        position: String,
        /// What the virtual machine reported.
        #[source]
        source: Box<VirtualMachineError>,
    },
    /// The runner could not be set up or closed.
    #[error("cannot {operation} the run of StarknetOS")]
    Runner {
        /// What was being done.
        operation: &'static str,
        /// What the runner reported.
        #[source]
        source: Box<CairoRunError>,
    },
    /// A felt of the output segment was never written, or is not a number.
    #[error("word {index} of the output of StarknetOS is not a felt")]
    Output {
        /// Index in the output segment.
        index: usize,
    },
}

impl OsError {
    pub(crate) fn runner<E: Into<CairoRunError>>(
        operation: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Runner { operation, source: Box::new(source.into()) }
    }

    pub(crate) fn runner_error(operation: &'static str) -> impl FnOnce(RunnerError) -> Self {
        move |source| Self::Runner { operation, source: Box::new(source.into()) }
    }
}
