//! Sierra to machine code by Cairo Native, in this process, kept as shared objects by class hash.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Instant;

use blockifier::execution::contract_class::{CompiledClassV1, RunnableCompiledClass};
use blockifier::execution::native::contract_class::NativeCompiledClassV1;
use cairo_native::OptLevel;
use cairo_native::executor::AotContractExecutor;
use starknet_api::core::ClassHash;
use starknet_api::state::SierraContractClass;

use super::compile::{compiler_class, panic_message};
use super::runnable::{Slot, locked};
use super::{ClassError, DeclaredClass};

/// Changes whenever the compiler or its options do, so that stale objects are not loaded.
const CACHE_VERSION: &str = "cairo-native-0.9.0-rc.9-aggressive";

/// Classes that may wait for compilation. Those that find no place run in Cairo VM until they leave the cache.
const WAITING_CLASSES: usize = 256;

/// Compilers recurse deeply.
const COMPILER_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Why a class has no native form.
#[derive(Debug, thiserror::Error)]
enum NativeError {
    #[error("the cache of native classes at {path} cannot be created")]
    Cache {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the class cannot be given to Cairo Native")]
    Class(#[source] ClassError),
    #[error("Cairo Native cannot compile the class: {message}")]
    Compile { message: String },
    #[error("another process is compiling this class")]
    Locked,
}

struct Job {
    class_hash: ClassHash,
    declared: Arc<DeclaredClass>,
    vm: CompiledClassV1,
    /// Weak: a class that has left the cache need not be compiled any more.
    slot: Weak<std::sync::Mutex<Option<RunnableCompiledClass>>>,
}

/// Compiles classes, and keeps the results in a folder.
pub(super) struct NativeCompiler {
    folder: PathBuf,
    /// The compiling thread, started by the first class that is compiled in the background.
    background: OnceLock<Option<Background>>,
}

/// The compiling thread. Dropping it waits for the class in hand: a process that ends while LLVM works takes LLVM's
/// tables away from under it, and crashes.
struct Background {
    /// `None` only while it is dropped.
    queue: Option<SyncSender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

impl Background {
    fn start(folder: PathBuf) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(WAITING_CLASSES);
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::Builder::new()
            .name("native-compiler".to_owned())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn(move || work(&folder, &jobs, &stop))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), stopping })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl NativeCompiler {
    pub(super) fn new(cache: PathBuf) -> Self {
        Self { folder: cache.join(CACHE_VERSION), background: OnceLock::new() }
    }

    /// The class, if it was compiled before.
    pub(super) fn load(
        &self,
        class_hash: ClassHash,
        vm: &CompiledClassV1,
    ) -> Option<RunnableCompiledClass> {
        let path = object_path(&self.folder, class_hash);
        if !path.exists() {
            return None;
        }
        match AotContractExecutor::from_path(&path) {
            Ok(executor) => Some(native_class(executor?, vm.clone())),
            Err(error) => {
                tracing::warn!(%class_hash, %error, "cached native class is unusable");
                None
            }
        }
    }

    /// Compiles the class now; falls back to Cairo VM.
    pub(super) fn compile(
        &self,
        class_hash: ClassHash,
        declared: &DeclaredClass,
        vm: CompiledClassV1,
    ) -> RunnableCompiledClass {
        compile_or_fall_back(&self.folder, class_hash, declared, vm)
    }

    /// Compiles the class on the compiling thread, and then puts it into `slot`.
    pub(super) fn compile_later(
        &self,
        class_hash: ClassHash,
        declared: &Arc<DeclaredClass>,
        vm: CompiledClassV1,
        slot: &Slot,
    ) {
        let job = Job { class_hash, declared: declared.clone(), vm, slot: Arc::downgrade(slot) };
        let background = self.background.get_or_init(|| {
            Background::start(self.folder.clone())
                .inspect_err(|error| {
                    tracing::warn!(%error, "no thread for Cairo Native; classes run in Cairo VM");
                })
                .ok()
        });
        let queue = background.as_ref().and_then(|background| background.queue.as_ref());
        let sent = queue.map(|queue| queue.try_send(job));
        if !matches!(sent, Some(Ok(()))) {
            tracing::warn!(%class_hash, "no place to wait for Cairo Native; the class runs in Cairo VM");
        }
    }
}

/// Ends when the compiler is dropped, and with it the sender.
fn work(folder: &Path, jobs: &Receiver<Job>, stopping: &AtomicBool) {
    while let Ok(job) = jobs.recv() {
        if stopping.load(Ordering::Relaxed) || job.slot.strong_count() == 0 {
            continue;
        }
        let class = compile_or_fall_back(folder, job.class_hash, &job.declared, job.vm);
        if let Some(slot) = job.slot.upgrade() {
            *locked(&slot) = Some(class);
        }
    }
}

fn compile_or_fall_back(
    folder: &Path,
    class_hash: ClassHash,
    declared: &DeclaredClass,
    vm: CompiledClassV1,
) -> RunnableCompiledClass {
    let started = Instant::now();
    // The Sierra libraries assert on programs they do not expect.
    let compiled = catch_unwind(AssertUnwindSafe(|| compile(folder, class_hash, &declared.sierra)))
        .unwrap_or_else(|panic| Err(NativeError::Compile { message: panic_message(&*panic) }));
    match compiled {
        Ok(executor) => {
            let seconds = started.elapsed().as_secs_f32();
            tracing::info!(%class_hash, seconds, "class compiled by Cairo Native");
            native_class(executor, vm)
        }
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(%class_hash, %error, cause, "class runs in Cairo VM instead of natively");
            RunnableCompiledClass::V1(vm)
        }
    }
}

fn native_class(executor: AotContractExecutor, vm: CompiledClassV1) -> RunnableCompiledClass {
    RunnableCompiledClass::V1Native(NativeCompiledClassV1::new(executor, vm))
}

fn object_path(folder: &Path, class_hash: ClassHash) -> PathBuf {
    folder.join(format!("{:#066x}.so", class_hash.0))
}

fn compile(
    folder: &Path,
    class_hash: ClassHash,
    sierra: &SierraContractClass,
) -> Result<AotContractExecutor, NativeError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| NativeError::Cache { path: folder.to_owned(), source })?;
    let refused = |message: String| NativeError::Compile { message };
    let class = compiler_class(sierra).map_err(NativeError::Class)?;
    let extracted =
        class.extract_sierra_program(false).map_err(|error| refused(error.to_string()))?;
    AotContractExecutor::new_into(
        &extracted.program,
        &class.entry_points_by_type,
        extracted.sierra_version,
        object_path(folder, class_hash),
        OptLevel::Aggressive,
        None,
    )
    .map_err(|error| refused(error.to_string()))?
    .ok_or(NativeError::Locked)
}
