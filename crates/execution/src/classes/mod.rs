//! Contract classes: what was declared, its hashes, and its runnable forms.
//!
//! A class is stored twice: the Sierra that was declared and the CASM compiled from it. A [`ClassSource`]
//! finds both by class hash; a [`RunnableClasses`] turns them into what blockifier runs, and keeps that.

mod casm;
mod compile;
#[cfg(feature = "native")]
mod native;
mod runnable;

use std::collections::HashMap;
use std::sync::Arc;

use blockifier::execution::contract_class::RunnableCompiledClass;
use cairo_lang_starknet_classes::NestedIntList;
use cairo_lang_starknet_classes::casm_contract_class::CasmContractClass;
use starknet_api::StarknetApiError;
use starknet_api::contract_class::compiled_class_hash::{HashVersion, HashableCompiledClass};
use starknet_api::contract_class::{ClassInfo, ContractClass, SierraVersion};
use starknet_api::core::{ClassHash, CompiledClassHash};
use starknet_api::state::SierraContractClass;

pub use casm::SharedCasm;
pub use compile::{CompilationLimits, CompiledSierra, compile_sierra, parse_sierra};
pub(crate) use runnable::vm_class;
pub use runnable::{ExecutionMode, RunnableClasses, RunnableClassesConfig};

/// Bytecode length (felts) above which Starknet refuses a class.
pub const MAX_BYTECODE_LENGTH: usize = 81_920;

/// Nesting of bytecode segments above which a CASM is refused; the compiler emits one level.
const MAX_SEGMENT_DEPTH: usize = 4;

/// A declared class: its Sierra, as starknet.js and `starknet_getClass` know it, and its CASM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeclaredClass {
    /// What the declare transaction carried.
    pub sierra: SierraContractClass,
    /// What runs, compiled from `sierra`.
    pub casm: SharedCasm,
}

/// Why a class cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClassError {
    /// No such class is stored.
    #[error("class {class_hash}: not found")]
    NotFound {
        /// The class.
        class_hash: ClassHash,
    },
    /// The store failed; the class may exist.
    #[error("class {class_hash}: the class store cannot be read")]
    Store {
        /// The class.
        class_hash: ClassHash,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stored class has another class hash than asked for.
    #[error("class {class_hash}: the Sierra found has the class hash {computed}")]
    WrongClassHash {
        /// The hash asked for.
        class_hash: ClassHash,
        /// The hash of what was found.
        computed: ClassHash,
    },
    /// The CASM has another compiled class hash than the declare transaction names.
    #[error(
        "class {class_hash}: compiled class hash {named:?} expected, the CASM hashes to {computed:?}"
    )]
    WrongCompiledClassHash {
        /// The class.
        class_hash: ClassHash,
        /// The hash asked for.
        named: CompiledClassHash,
        /// The hash of what was found.
        computed: CompiledClassHash,
    },
    /// The CASM's bytecode segments do not cover its bytecode.
    #[error(
        "the bytecode segments of the CASM do not cover its bytecode of {bytecode_length} felts"
    )]
    MalformedSegments {
        /// The bytecode's length in felts.
        bytecode_length: usize,
    },
    /// The Sierra is no JSON of a contract class.
    #[error("the Sierra class cannot be parsed")]
    ParseSierra(#[source] serde_json::Error),
    /// The CASM is no JSON of a compiled class.
    #[error("the CASM cannot be parsed")]
    ParseCasm(#[source] serde_json::Error),
    /// The Sierra program has no version, or lengths that do not fit.
    #[error("the class's Sierra version cannot be read")]
    SierraVersion(#[source] StarknetApiError),
    /// The class is longer than its bound.
    #[error("the class has {length} {unit}, more than {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// The Sierra compiler refuses it.
    #[error("the Sierra program does not compile: {message}")]
    Compilation {
        /// The compiler's words.
        message: String,
    },
    /// The Sierra compiler panicked on it.
    #[error("the Sierra compiler panicked on the program: {message}")]
    CompilerPanicked {
        /// The panic's words.
        message: String,
    },
    /// The CASM cannot be turned into a program of Cairo VM.
    #[error("class {class_hash}: the CASM is no runnable program: {message}")]
    NotRunnable {
        /// The class.
        class_hash: ClassHash,
        /// The cause.
        message: String,
    },
}

impl DeclaredClass {
    /// From the JSON the object store holds: Starknet's Sierra class, and the CASM.
    pub fn from_json(sierra: &[u8], casm: &[u8]) -> Result<Self, ClassError> {
        Ok(Self {
            sierra: parse_sierra(sierra)?,
            casm: serde_json::from_slice(casm).map_err(ClassError::ParseCasm)?,
        })
    }

    /// The class hash of the Sierra.
    pub fn class_hash(&self) -> ClassHash {
        self.sierra.calculate_class_hash()
    }

    /// The Sierra version the program declares in its first three felts.
    pub fn sierra_version(&self) -> Result<SierraVersion, ClassError> {
        self.sierra.get_sierra_version().map_err(ClassError::SierraVersion)
    }

    /// Refuses a class that is not the one named by both hashes.
    pub fn check_hashes(
        &self,
        class_hash: ClassHash,
        compiled_class_hash: CompiledClassHash,
    ) -> Result<(), ClassError> {
        let computed = self.class_hash();
        if computed != class_hash {
            return Err(ClassError::WrongClassHash { class_hash, computed });
        }
        check_compiled_class_hash(class_hash, &self.casm, compiled_class_hash)
    }

    /// The form that blockifier's declare transaction carries.
    pub fn class_info(&self) -> Result<ClassInfo, ClassError> {
        let version = self.sierra_version()?;
        ClassInfo::new(
            &ContractClass::V1(((*self.casm).clone(), version.clone())),
            self.sierra.sierra_program.len(),
            self.sierra.abi.len(),
            version,
        )
        .map_err(ClassError::SierraVersion)
    }
}

/// Starknet's compiled class hash of version 0.13.5: Poseidon over the segmented bytecode.
pub fn compiled_class_hash(casm: &CasmContractClass) -> Result<CompiledClassHash, ClassError> {
    check_segments(casm)?;
    Ok(casm.hash(&HashVersion::V1))
}

/// Refuses a CASM that does not hash to `named`.
pub fn check_compiled_class_hash(
    class_hash: ClassHash,
    casm: &CasmContractClass,
    named: CompiledClassHash,
) -> Result<(), ClassError> {
    let computed = compiled_class_hash(casm)?;
    if computed == named {
        return Ok(());
    }
    Err(ClassError::WrongCompiledClassHash { class_hash, named, computed })
}

/// The hash functions assume segments that cover the bytecode exactly; a CASM that came from outside is
/// checked first, so that they cannot panic.
fn check_segments(casm: &CasmContractClass) -> Result<(), ClassError> {
    let Some(segments) = &casm.bytecode_segment_lengths else { return Ok(()) };
    if covered(segments, MAX_SEGMENT_DEPTH) == Some(casm.bytecode.len()) {
        return Ok(());
    }
    Err(ClassError::MalformedSegments { bytecode_length: casm.bytecode.len() })
}

fn covered(segments: &NestedIntList, depth: usize) -> Option<usize> {
    match segments {
        NestedIntList::Leaf(length) => Some(*length),
        NestedIntList::Node(children) => {
            let depth = depth.checked_sub(1)?;
            children.iter().try_fold(0_usize, |sum, child| sum.checked_add(covered(child, depth)?))
        }
    }
}

/// Classes as execution needs them. Implementations may block: they are called from execution threads.
pub trait Classes: Send + Sync {
    /// The runnable class, or `None` if there is none under this hash.
    fn runnable(&self, class_hash: ClassHash) -> Result<Option<RunnableCompiledClass>, ClassError>;

    /// A class as a declare transaction carries it, after checking that it has both hashes.
    fn declared(
        &self,
        class_hash: ClassHash,
        compiled_class_hash: CompiledClassHash,
    ) -> Result<ClassInfo, ClassError>;
}

/// Finds declared classes. Implementations may block: they are called from execution threads.
pub trait ClassSource: Send + Sync {
    /// The class, or `None` if none is stored under this hash.
    fn class(&self, class_hash: ClassHash) -> Result<Option<Arc<DeclaredClass>>, ClassError>;
}

/// A class source in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryClasses(pub HashMap<ClassHash, Arc<DeclaredClass>>);

impl MemoryClasses {
    /// Adds a class under its class hash, which it returns.
    pub fn insert(&mut self, class: DeclaredClass) -> ClassHash {
        let class_hash = class.class_hash();
        self.0.insert(class_hash, Arc::new(class));
        class_hash
    }
}

impl ClassSource for MemoryClasses {
    fn class(&self, class_hash: ClassHash) -> Result<Option<Arc<DeclaredClass>>, ClassError> {
        Ok(self.0.get(&class_hash).cloned())
    }
}
