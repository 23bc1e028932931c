//! Declared classes on their way in: checked and compiled once. They go along with the request; the sequencer stores the
//! class of a declare that it takes, nobody that of an estimate.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use serde::Serialize;
use sidereal_execution::classes::{ClassError, CompilationLimits, compile_sierra};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use sidereal_proto::types::DeclaredClass;
use starknet_api::core::{ClassHash, CompiledClassHash};
use tokio::sync::Semaphore;

use crate::error::RpcError;
use crate::limits::Limits;
use crate::rpc::class::SierraClass;

/// The only version of class objects that the OS knows.
const CONTRACT_CLASS_VERSION: &str = "0.1.0";

/// Stored classes whose hashes are remembered, so that they are not compiled again.
const REMEMBERED_CLASSES: usize = 1_024;

/// Compiled classes that are remembered, so that an estimate and the declare after it compile once; and the bytes they
/// may have together.
const COMPILED_CLASSES: usize = 64;
const COMPILED_BYTES: usize = 64 << 20;

/// zstd's own default: a class is written once and small either way.
const COMPRESSION_LEVEL: i32 = 3;

/// What a class hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassHashes {
    pub class_hash: ClassHash,
    pub compiled_class_hash: CompiledClassHash,
}

/// A class that can be declared.
pub enum TakenClass {
    /// It is in the object store.
    Stored(ClassHashes),
    /// It may not be there, and goes along with the request.
    Compiled(Arc<CompiledClass>),
}

impl TakenClass {
    pub fn class_hash(&self) -> ClassHash {
        match self {
            Self::Stored(hashes) => hashes.class_hash,
            Self::Compiled(class) => class.hashes.class_hash,
        }
    }

    /// What goes along with the request: nothing when it is stored.
    pub fn to_wire(&self) -> Option<DeclaredClass> {
        match self {
            Self::Stored(_) => None,
            Self::Compiled(class) => Some(DeclaredClass {
                sierra_json_zstd: class.sierra.to_vec(),
                casm_json_zstd: class.casm.to_vec(),
            }),
        }
    }
}

/// Takes classes in.
pub struct ClassIntake {
    limits: CompilationLimits,
    compilations: Arc<Semaphore>,
    stored: Mutex<LruCache<ClassHash, CompiledClassHash>>,
    compiled: Mutex<CompiledClasses>,
}

impl ClassIntake {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: CompilationLimits {
                sierra_json_bytes: limits.max_class_bytes,
                sierra_felts: limits.max_sierra_felts,
                bytecode_felts: limits.max_bytecode,
            },
            compilations: Arc::new(Semaphore::new(
                limits.max_concurrent_compilations.min(Semaphore::MAX_PERMITS),
            )),
            stored: Mutex::new(LruCache::new(
                NonZeroUsize::new(REMEMBERED_CLASSES).unwrap_or(NonZeroUsize::MIN),
            )),
            compiled: Mutex::new(CompiledClasses::new(COMPILED_CLASSES, COMPILED_BYTES)),
        }
    }

    /// The sequencer has stored the class with a declare that it took.
    pub fn stored(&self, hashes: ClassHashes) {
        locked(&self.stored).put(hashes.class_hash, hashes.compiled_class_hash);
        locked(&self.compiled).remove(&hashes.class_hash);
    }

    /// Compiles a class, or finds it stored or compiled. `named` is the compiled class hash that the transaction names:
    /// another one is refused.
    pub async fn compile(
        &self,
        class: SierraClass,
        named: CompiledClassHash,
    ) -> Result<TakenClass, RpcError> {
        if class.contract_class_version != CONTRACT_CLASS_VERSION {
            return Err(RpcError::UnsupportedContractClassVersion);
        }
        if class.sierra_program.len() > self.limits.sierra_felts {
            return Err(RpcError::ContractClassSizeIsTooLarge);
        }
        // Waiting is bounded by the time and the number of calls. The permit is held by the compiling thread,
        // not by the call: a call that times out does not free a thread.
        let permit = Arc::clone(&self.compilations)
            .acquire_owned()
            .await
            .map_err(|error| RpcError::internal("compile a class", &error))?;
        let (class, class_hash) = blocking("hash a class", move || {
            let class_hash = class.class_hash();
            (class, class_hash)
        })
        .await?;
        if let Some(known) = self.known(class_hash) {
            check(named, known.1)?;
            return Ok(known.0);
        }
        let limits = self.limits;
        let compiled = blocking("compile a class", move || {
            let _permit = permit;
            compile(&class, &limits)
        })
        .await?
        .map_err(refusal)?;
        check(named, compiled.hashes.compiled_class_hash)?;
        let compiled = Arc::new(compiled);
        locked(&self.compiled).insert(Arc::clone(&compiled));
        Ok(TakenClass::Compiled(compiled))
    }

    fn known(&self, class_hash: ClassHash) -> Option<(TakenClass, CompiledClassHash)> {
        if let Some(compiled_class_hash) = locked(&self.stored).get(&class_hash).copied() {
            let hashes = ClassHashes { class_hash, compiled_class_hash };
            return Some((TakenClass::Stored(hashes), compiled_class_hash));
        }
        let compiled = locked(&self.compiled).get(&class_hash)?;
        let compiled_class_hash = compiled.hashes.compiled_class_hash;
        Some((TakenClass::Compiled(compiled), compiled_class_hash))
    }
}

/// A holder that panicked left at worst a class out.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The compiled classes that were used last.
struct CompiledClasses {
    classes: LruCache<ClassHash, Arc<CompiledClass>>,
    bytes: usize,
    max_bytes: usize,
}

impl CompiledClasses {
    fn new(capacity: usize, max_bytes: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { classes: LruCache::new(capacity), bytes: 0, max_bytes }
    }

    fn get(&mut self, class_hash: &ClassHash) -> Option<Arc<CompiledClass>> {
        self.classes.get(class_hash).cloned()
    }

    fn insert(&mut self, class: Arc<CompiledClass>) {
        self.bytes += class.bytes();
        // Either the one that was there under this hash, or the one that has to go.
        if let Some((_, gone)) = self.classes.push(class.hashes.class_hash, class) {
            self.bytes -= gone.bytes();
        }
        while self.bytes > self.max_bytes
            && let Some((_, gone)) = self.classes.pop_lru()
        {
            self.bytes -= gone.bytes();
        }
    }

    fn remove(&mut self, class_hash: &ClassHash) {
        if let Some(gone) = self.classes.pop(class_hash) {
            self.bytes -= gone.bytes();
        }
    }
}

fn check(named: CompiledClassHash, computed: CompiledClassHash) -> Result<(), RpcError> {
    if named == computed { Ok(()) } else { Err(RpcError::CompiledClassHashMismatch) }
}

/// A compiled class, as it is stored and sent.
pub struct CompiledClass {
    pub hashes: ClassHashes,
    /// JSON, zstd-compressed.
    pub sierra: Bytes,
    /// JSON, zstd-compressed.
    pub casm: Bytes,
}

impl CompiledClass {
    fn bytes(&self) -> usize {
        self.sierra.len() + self.casm.len()
    }
}

/// Why a class cannot be prepared.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error("the class is refused")]
    Class(#[from] ClassError),
    #[error("the class cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error("the class cannot be compressed")]
    Compress(#[source] std::io::Error),
}

fn compile(class: &SierraClass, limits: &CompilationLimits) -> Result<CompiledClass, PrepareError> {
    let json = serde_json::to_vec(class).map_err(PrepareError::Json)?;
    let compiled = compile_sierra(&json, limits)?;
    Ok(CompiledClass {
        hashes: ClassHashes {
            class_hash: compiled.class_hash,
            compiled_class_hash: compiled.compiled_class_hash,
        },
        sierra: compress(&json)?,
        casm: compress_json(&compiled.casm)?,
    })
}

fn compress(bytes: &[u8]) -> Result<Bytes, PrepareError> {
    zstd::encode_all(bytes, COMPRESSION_LEVEL).map(Bytes::from).map_err(PrepareError::Compress)
}

fn compress_json(value: &impl Serialize) -> Result<Bytes, PrepareError> {
    compress(&serde_json::to_vec(value).map_err(PrepareError::Json)?)
}

fn refusal(error: PrepareError) -> RpcError {
    match error {
        PrepareError::Class(ClassError::TooLarge { .. }) => RpcError::ContractClassSizeIsTooLarge,
        PrepareError::Class(error) => {
            RpcError::CompilationFailed(sidereal_service::error_chain(&error))
        }
        error => RpcError::internal("prepare a class", &error),
    }
}

/// Runs CPU-bound work off the async threads.
pub async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RpcError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RpcError::internal(operation, &error))
}

/// Reads a stored class's JSON, `None` when it is not stored. `limit` bounds the decompressed size in bytes.
pub async fn read_stored(
    objects: &Arc<dyn ObjectStore>,
    key: &ObjectKey,
    limit: usize,
) -> Result<Option<Vec<u8>>, RpcError> {
    const OPERATION: &str = "read a class";
    let compressed = match objects.get(key).await {
        Ok(bytes) => bytes,
        Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(RpcError::internal(OPERATION, &error)),
    };
    let json = blocking(OPERATION, move || -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut json = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut decoder = zstd::Decoder::new(compressed.as_ref())?.take(limit.saturating_add(1));
        decoder.read_to_end(&mut json)?;
        if json.len() as u64 > limit {
            return Err(std::io::Error::other("the stored class is larger than its bound"));
        }
        Ok(json)
    })
    .await?;
    json.map(Some).map_err(|error| RpcError::internal(OPERATION, &error))
}

#[cfg(test)]
mod tests {
    use starknet_types_core::felt::Felt;

    use super::*;

    /// Pins down that classes nobody declared take a bounded number of bytes, and that the latest stay.
    #[test]
    fn compiled_classes_are_bounded() {
        let class = |hash: u64, bytes: usize| {
            Arc::new(CompiledClass {
                hashes: ClassHashes {
                    class_hash: ClassHash(Felt::from(hash)),
                    compiled_class_hash: CompiledClassHash(Felt::ONE),
                },
                sierra: Bytes::from(vec![0; bytes]),
                casm: Bytes::new(),
            })
        };
        let mut classes = CompiledClasses::new(4, 100);
        let held = |classes: &CompiledClasses| -> Vec<u64> {
            let hashes = classes.classes.iter().map(|(hash, _)| u64::try_from(hash.0).unwrap());
            assert_eq!(
                classes.bytes,
                classes.classes.iter().map(|(_, one)| one.bytes()).sum::<usize>()
            );
            hashes.collect()
        };
        for hash in 0..6 {
            classes.insert(class(hash, 10));
        }
        assert_eq!(held(&classes), [5, 4, 3, 2]);
        classes.insert(class(3, 20));
        assert_eq!(held(&classes), [3, 5, 4, 2]);
        classes.insert(class(7, 75));
        assert_eq!(held(&classes), [7, 3]);
        classes.remove(&ClassHash(Felt::from(7)));
        assert_eq!(held(&classes), [3]);
        classes.insert(class(8, 1_000));
        assert_eq!(held(&classes), [0; 0]);
    }
}
