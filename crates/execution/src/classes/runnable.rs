//! Classes in the form blockifier runs: compiled once, kept in a bounded cache.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blockifier::execution::contract_class::{CompiledClassV1, RunnableCompiledClass};
use cairo_lang_starknet_classes::casm_contract_class::CasmContractClass;
use lru::LruCache;
use serde::{Deserialize, Serialize};
use starknet_api::contract_class::{ClassInfo, SierraVersion};
use starknet_api::core::{ClassHash, CompiledClassHash};

use super::{ClassError, ClassSource, Classes, DeclaredClass};

/// How Cairo code runs. Both give the same state diff and receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionMode {
    /// As machine code, compiled from Sierra by Cairo Native.
    Native,
    /// As CASM in Cairo VM.
    Vm,
}

/// Settings of [`RunnableClasses`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnableClassesConfig {
    /// How code runs.
    pub mode: ExecutionMode,
    /// Where shared objects of compiled classes are kept between runs; used in native mode only.
    pub native_cache: PathBuf,
    /// Classes kept in memory.
    pub capacity: NonZeroUsize,
}

/// One class's place in the cache. Its lock is held while the class is compiled, so that it is compiled
/// once, and nobody waits for a class they did not ask for.
type Slot = Arc<Mutex<Option<RunnableCompiledClass>>>;

/// Runnable classes by class hash: a bounded cache in front of a [`ClassSource`] and a compiler.
pub struct RunnableClasses {
    source: Arc<dyn ClassSource>,
    config: RunnableClassesConfig,
    slots: Mutex<LruCache<ClassHash, Slot>>,
}

impl RunnableClasses {
    /// An empty cache over `source`.
    pub fn new(source: Arc<dyn ClassSource>, config: RunnableClassesConfig) -> Self {
        let slots = Mutex::new(LruCache::new(config.capacity));
        Self { source, config, slots }
    }

    /// Where the classes come from.
    pub fn source(&self) -> &Arc<dyn ClassSource> {
        &self.source
    }

    /// The configured mode.
    pub fn mode(&self) -> ExecutionMode {
        self.config.mode
    }

    fn compile(
        &self,
        class_hash: ClassHash,
        declared: &DeclaredClass,
    ) -> Result<RunnableCompiledClass, ClassError> {
        let vm = vm_class(class_hash, &declared.casm, declared.sierra_version()?)?;
        match self.config.mode {
            ExecutionMode::Vm => Ok(RunnableCompiledClass::V1(vm)),
            ExecutionMode::Native => Ok(self.compile_native(class_hash, declared, vm)),
        }
    }

    #[cfg(feature = "native")]
    fn compile_native(
        &self,
        class_hash: ClassHash,
        declared: &DeclaredClass,
        vm: CompiledClassV1,
    ) -> RunnableCompiledClass {
        use blockifier::execution::native::contract_class::NativeCompiledClassV1;

        match super::native::executor(&self.config.native_cache, class_hash, &declared.sierra) {
            Ok(executor) => {
                RunnableCompiledClass::V1Native(NativeCompiledClassV1::new(executor, vm))
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%class_hash, %error, cause, "class runs in Cairo VM instead of natively");
                RunnableCompiledClass::V1(vm)
            }
        }
    }

    #[cfg(not(feature = "native"))]
    fn compile_native(
        &self,
        class_hash: ClassHash,
        _declared: &DeclaredClass,
        vm: CompiledClassV1,
    ) -> RunnableCompiledClass {
        tracing::warn!(
            %class_hash,
            cache = %self.config.native_cache.display(),
            "this build has no Cairo Native; the class runs in Cairo VM"
        );
        RunnableCompiledClass::V1(vm)
    }
}

impl Classes for RunnableClasses {
    fn runnable(&self, class_hash: ClassHash) -> Result<Option<RunnableCompiledClass>, ClassError> {
        let slot = {
            let mut slots = locked(&self.slots);
            slots.get_or_insert(class_hash, Slot::default).clone()
        };
        // Held while compiling; others that want the same class wait for it here.
        let mut entry = locked(&slot);
        if let Some(class) = &*entry {
            return Ok(Some(class.clone()));
        }
        let Some(declared) = self.source.class(class_hash)? else { return Ok(None) };
        let class = self.compile(class_hash, &declared)?;
        *entry = Some(class.clone());
        Ok(Some(class))
    }

    fn declared(
        &self,
        class_hash: ClassHash,
        compiled_class_hash: CompiledClassHash,
    ) -> Result<ClassInfo, ClassError> {
        let class = self.source.class(class_hash)?.ok_or(ClassError::NotFound { class_hash })?;
        class.check_hashes(class_hash, compiled_class_hash)?;
        class.class_info()
    }
}

/// The class as a program of Cairo VM.
pub(crate) fn vm_class(
    class_hash: ClassHash,
    casm: &CasmContractClass,
    sierra_version: SierraVersion,
) -> Result<CompiledClassV1, ClassError> {
    CompiledClassV1::try_from((casm.clone(), sierra_version))
        .map_err(|error| ClassError::NotRunnable { class_hash, message: error.to_string() })
}

/// The caches stay consistent when a holder of the lock panics: slots are filled last.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
