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

#[cfg(feature = "native")]
use super::native::NativeCompiler;
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
    /// Where shared objects of compiled classes are kept between runs; used in native mode only. Processes may share
    /// it, on a file system that has advisory locks.
    pub native_cache: PathBuf,
    /// In native mode: whether a class that was never compiled runs in Cairo VM until its compilation, in the
    /// background, is done. Otherwise who asks for it waits.
    pub compile_in_background: bool,
    /// Classes kept in memory.
    pub capacity: NonZeroUsize,
}

/// One class's place in the cache. Its lock is held while the class is read and compiled, so that this happens
/// once, and nobody waits for a class they did not ask for.
pub(super) type Slot = Arc<Mutex<Option<RunnableCompiledClass>>>;

/// Runnable classes by class hash: a bounded cache in front of a [`ClassSource`] and a compiler.
pub struct RunnableClasses {
    source: Arc<dyn ClassSource>,
    config: RunnableClassesConfig,
    slots: Mutex<LruCache<ClassHash, Slot>>,
    #[cfg(feature = "native")]
    compiler: NativeCompiler,
}

impl RunnableClasses {
    /// An empty cache over `source`.
    pub fn new(source: Arc<dyn ClassSource>, config: RunnableClassesConfig) -> Self {
        let slots = Mutex::new(LruCache::new(config.capacity));
        Self {
            source,
            slots,
            #[cfg(feature = "native")]
            compiler: NativeCompiler::new(config.native_cache.clone()),
            config,
        }
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
        declared: &Arc<DeclaredClass>,
        slot: &Slot,
    ) -> Result<RunnableCompiledClass, ClassError> {
        let vm = vm_class(class_hash, &declared.casm, declared.sierra_version()?)?;
        match self.config.mode {
            ExecutionMode::Vm => Ok(RunnableCompiledClass::V1(vm)),
            ExecutionMode::Native => Ok(self.compile_native(class_hash, declared, vm, slot)),
        }
    }

    #[cfg(feature = "native")]
    fn compile_native(
        &self,
        class_hash: ClassHash,
        declared: &Arc<DeclaredClass>,
        vm: CompiledClassV1,
        slot: &Slot,
    ) -> RunnableCompiledClass {
        if let Some(class) = self.compiler.load(class_hash, &vm) {
            return class;
        }
        if !self.config.compile_in_background {
            return self.compiler.compile(class_hash, declared, vm);
        }
        let fallback = RunnableCompiledClass::V1(vm.clone());
        self.compiler.compile_later(class_hash, declared, vm, slot);
        fallback
    }

    #[cfg(not(feature = "native"))]
    fn compile_native(
        &self,
        class_hash: ClassHash,
        _declared: &Arc<DeclaredClass>,
        vm: CompiledClassV1,
        _slot: &Slot,
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
        let class = self.compile(class_hash, &declared, &slot)?;
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
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
