//! Declared classes on their way in: checked, compiled once, stored before anybody relies on them.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use serde::Serialize;
use sidereal_execution::classes::{ClassError, CompilationLimits, compile_sierra};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use starknet_api::core::{ClassHash, CompiledClassHash};
use tokio::sync::Semaphore;

use crate::error::RpcError;
use crate::limits::Limits;
use crate::rpc::class::SierraClass;

/// The only version of class objects that the OS knows.
const CONTRACT_CLASS_VERSION: &str = "0.1.0";

/// Classes whose hashes are remembered, so that an estimate and the declare after it compile once.
const REMEMBERED_CLASSES: usize = 1_024;

/// zstd's own default: a class is written once and small either way.
const COMPRESSION_LEVEL: i32 = 3;

/// A class that is stored, and what it hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredClass {
    pub class_hash: ClassHash,
    pub compiled_class_hash: CompiledClassHash,
}

/// Takes classes in.
pub struct ClassIntake {
    objects: Arc<dyn ObjectStore>,
    limits: CompilationLimits,
    compilations: Arc<Semaphore>,
    known: Mutex<LruCache<ClassHash, CompiledClassHash>>,
}

impl ClassIntake {
    pub fn new(objects: Arc<dyn ObjectStore>, limits: &Limits) -> Self {
        Self {
            objects,
            limits: CompilationLimits {
                sierra_json_bytes: limits.max_class_bytes,
                sierra_felts: limits.max_sierra_felts,
                bytecode_felts: limits.max_bytecode,
            },
            compilations: Arc::new(Semaphore::new(
                limits.max_concurrent_compilations.min(Semaphore::MAX_PERMITS),
            )),
            known: Mutex::new(LruCache::new(
                NonZeroUsize::new(REMEMBERED_CLASSES).unwrap_or(NonZeroUsize::MIN),
            )),
        }
    }

    /// Compiles and stores a class, or finds it stored. `named` is the compiled class hash that the
    /// transaction names: another one is refused before anything is stored.
    pub async fn take(
        &self,
        class: SierraClass,
        named: CompiledClassHash,
    ) -> Result<StoredClass, RpcError> {
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
        if let Some(compiled_class_hash) = self.remembered(class_hash) {
            check(named, compiled_class_hash)?;
            return Ok(StoredClass { class_hash, compiled_class_hash });
        }
        let limits = self.limits;
        let prepared = blocking("compile a class", move || {
            let _permit = permit;
            prepare(&class, &limits)
        })
        .await?
        .map_err(refusal)?;
        check(named, prepared.stored.compiled_class_hash)?;
        // The CASM goes last: a class whose CASM is there is there as a whole.
        self.store(ObjectKey::sierra_class(class_hash.0), prepared.sierra).await?;
        self.store(ObjectKey::casm_class(class_hash.0), prepared.casm).await?;
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(class_hash, prepared.stored.compiled_class_hash);
        Ok(prepared.stored)
    }

    fn remembered(&self, class_hash: ClassHash) -> Option<CompiledClassHash> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&class_hash).copied()
    }

    async fn store(&self, key: ObjectKey, bytes: Bytes) -> Result<(), RpcError> {
        self.objects.put(&key, bytes).await.map_err(|error| match error {
            ObjectStoreError::TooLarge { .. } => RpcError::ContractClassSizeIsTooLarge,
            error => RpcError::internal("store a class", &error),
        })
    }
}

fn check(named: CompiledClassHash, computed: CompiledClassHash) -> Result<(), RpcError> {
    if named == computed { Ok(()) } else { Err(RpcError::CompiledClassHashMismatch) }
}

/// A compiled class, ready to be stored.
struct Prepared {
    stored: StoredClass,
    sierra: Bytes,
    casm: Bytes,
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

fn prepare(class: &SierraClass, limits: &CompilationLimits) -> Result<Prepared, PrepareError> {
    let json = serde_json::to_vec(class).map_err(PrepareError::Json)?;
    let compiled = compile_sierra(&json, limits)?;
    Ok(Prepared {
        stored: StoredClass {
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
