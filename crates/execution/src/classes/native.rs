//! Sierra to machine code by Cairo Native, in this process, kept as shared objects by class hash.
//!
//! Processes may share the folder. Who compiles a class holds an advisory lock on `<class>.compiling`, which the kernel
//! takes back from a process that dies; the others look again until the object is there.

use std::error::Error as _;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

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

/// Time between two looks at a class that another process is compiling.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long such a class is waited for: a process that hangs while it compiles keeps its lock.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a class has no native form.
#[derive(Debug, thiserror::Error)]
enum NativeError {
    #[error("the cache of native classes cannot be used: {path}")]
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
    /// Until when another process may compile it; set when one is first found to.
    give_up_at: Option<Instant>,
}

/// Compiles classes, and keeps the results in a folder.
pub(super) struct NativeCompiler {
    folder: PathBuf,
    /// How long a class is waited for that another process is compiling.
    patience: Duration,
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
    fn start(folder: PathBuf, patience: Duration) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(WAITING_CLASSES);
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::Builder::new()
            .name("native-compiler".to_owned())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn(move || work(&folder, patience, &jobs, &stop))?;
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
        let folder = cache.join(CACHE_VERSION);
        Self { folder, patience: PATIENCE, background: OnceLock::new() }
    }

    /// The class, if it was compiled before.
    pub(super) fn load(
        &self,
        class_hash: ClassHash,
        vm: &CompiledClassV1,
    ) -> Option<RunnableCompiledClass> {
        let executor = load_object(&object_path(&self.folder, class_hash), class_hash)?;
        Some(native_class(executor, vm.clone()))
    }

    /// Compiles the class now, or waits for another process to; falls back to Cairo VM.
    pub(super) fn compile(
        &self,
        class_hash: ClassHash,
        declared: &DeclaredClass,
        vm: CompiledClassV1,
    ) -> RunnableCompiledClass {
        let give_up_at = Instant::now() + self.patience;
        loop {
            if let Some(class) = compile_or_fall_back(&self.folder, class_hash, declared, &vm) {
                return class;
            }
            if Instant::now() >= give_up_at {
                warn_of_giving_up(class_hash);
                return RunnableCompiledClass::V1(vm);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Compiles the class on the compiling thread, and then puts it into `slot`.
    pub(super) fn compile_later(
        &self,
        class_hash: ClassHash,
        declared: &Arc<DeclaredClass>,
        vm: CompiledClassV1,
        slot: &Slot,
    ) {
        let slot = Arc::downgrade(slot);
        let job = Job { class_hash, declared: declared.clone(), vm, slot, give_up_at: None };
        let background = self.background.get_or_init(|| {
            Background::start(self.folder.clone(), self.patience)
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
fn work(folder: &Path, patience: Duration, jobs: &Receiver<Job>, stopping: &AtomicBool) {
    // What other processes are compiling: at most `WAITING_CLASSES`.
    let mut elsewhere: Vec<Job> = Vec::new();
    loop {
        let next = if elsewhere.is_empty() {
            jobs.recv().map_err(RecvTimeoutError::from)
        } else {
            jobs.recv_timeout(LOOK_AGAIN)
        };
        let due = match next {
            Ok(job) => vec![job],
            Err(RecvTimeoutError::Timeout) => std::mem::take(&mut elsewhere),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for job in due {
            if stopping.load(Ordering::Relaxed) || job.slot.strong_count() == 0 {
                continue;
            }
            match compile_or_fall_back(folder, job.class_hash, &job.declared, &job.vm) {
                Some(class) => {
                    if let Some(slot) = job.slot.upgrade() {
                        *locked(&slot) = Some(class);
                    }
                }
                None => keep_waiting(job, patience, &mut elsewhere),
            }
        }
    }
}

fn keep_waiting(mut job: Job, patience: Duration, elsewhere: &mut Vec<Job>) {
    let now = Instant::now();
    if now < *job.give_up_at.get_or_insert(now + patience) && elsewhere.len() < WAITING_CLASSES {
        elsewhere.push(job);
    } else {
        warn_of_giving_up(job.class_hash);
    }
}

fn warn_of_giving_up(class_hash: ClassHash) {
    tracing::warn!(%class_hash, "another process did not finish compiling the class; it runs in Cairo VM");
}

/// `None`: another process is compiling the class.
fn compile_or_fall_back(
    folder: &Path,
    class_hash: ClassHash,
    declared: &DeclaredClass,
    vm: &CompiledClassV1,
) -> Option<RunnableCompiledClass> {
    // The Sierra libraries assert on programs they do not expect.
    let compiled = catch_unwind(AssertUnwindSafe(|| compile(folder, class_hash, &declared.sierra)))
        .unwrap_or_else(|panic| Err(NativeError::Compile { message: panic_message(&*panic) }));
    match compiled {
        Ok(executor) => Some(native_class(executor, vm.clone())),
        Err(NativeError::Locked) => None,
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(%class_hash, %error, cause, "class runs in Cairo VM instead of natively");
            Some(RunnableCompiledClass::V1(vm.clone()))
        }
    }
}

fn native_class(executor: AotContractExecutor, vm: CompiledClassV1) -> RunnableCompiledClass {
    RunnableCompiledClass::V1Native(NativeCompiledClassV1::new(executor, vm))
}

fn object_path(folder: &Path, class_hash: ClassHash) -> PathBuf {
    folder.join(format!("{:#066x}.so", class_hash.0))
}

fn load_object(object: &Path, class_hash: ClassHash) -> Option<AotContractExecutor> {
    if !object.exists() {
        return None;
    }
    match AotContractExecutor::from_path(object) {
        Ok(executor) => executor,
        Err(error) => {
            tracing::warn!(%class_hash, %error, "cached native class is unusable");
            None
        }
    }
}

/// The right to compile the class, for as long as the file is open. The file itself stays for ever: were it removed, two
/// processes could each hold a lock on one of that name.
fn claim(object: &Path) -> Result<File, NativeError> {
    let path = object.with_extension("compiling");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(source) => return Err(NativeError::Cache { path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NativeError::Locked),
        Err(TryLockError::Error(source)) => Err(NativeError::Cache { path, source }),
    }
}

/// Cairo Native's own lock is a file that exists, and a process that is killed leaves it for ever. Who has the claim
/// knows that nobody else works under it.
fn remove_stale_lock(object: &Path, class_hash: ClassHash) -> Result<(), NativeError> {
    let path = object.with_extension("lock");
    match std::fs::remove_file(&path) {
        Ok(()) => {
            tracing::info!(%class_hash, "removed the lock of a process that died while it compiled");
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(NativeError::Cache { path, source }),
    }
}

/// Compiles the class, or loads what another process has compiled since it was looked for.
fn compile(
    folder: &Path,
    class_hash: ClassHash,
    sierra: &SierraContractClass,
) -> Result<AotContractExecutor, NativeError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| NativeError::Cache { path: folder.to_owned(), source })?;
    let object = object_path(folder, class_hash);
    let _claim = claim(&object)?;
    if let Some(executor) = load_object(&object, class_hash) {
        return Ok(executor);
    }
    remove_stale_lock(&object, class_hash)?;
    let started = Instant::now();
    let refused = |message: String| NativeError::Compile { message };
    let class = compiler_class(sierra).map_err(NativeError::Class)?;
    let extracted =
        class.extract_sierra_program(false).map_err(|error| refused(error.to_string()))?;
    let executor = AotContractExecutor::new_into(
        &extracted.program,
        &class.entry_points_by_type,
        extracted.sierra_version,
        object,
        OptLevel::Aggressive,
        None,
    )
    .map_err(|error| refused(error.to_string()))?
    .ok_or(NativeError::Locked)?;
    let seconds = started.elapsed().as_secs_f32();
    tracing::info!(%class_hash, seconds, "class compiled by Cairo Native");
    Ok(executor)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::num::NonZeroUsize;

    use tempfile::TempDir;

    use super::*;
    use crate::classes::{
        Classes, ExecutionMode, MemoryClasses, RunnableClasses, RunnableClassesConfig, vm_class,
    };
    use crate::deep_stack::on_deep_stack;
    use crate::testing::contract;

    /// A cache of native classes in a folder of its own.
    fn cache() -> (TempDir, PathBuf) {
        let cache = TempDir::new().unwrap();
        let folder = cache.path().join(CACHE_VERSION);
        fs::create_dir_all(&folder).unwrap();
        (cache, folder)
    }

    /// One class, in native mode.
    fn classes(
        cache: &TempDir,
        class_hash: ClassHash,
        class: DeclaredClass,
        compile_in_background: bool,
    ) -> RunnableClasses {
        let source = MemoryClasses(HashMap::from([(class_hash, Arc::new(class))]));
        let config = RunnableClassesConfig {
            mode: ExecutionMode::Native,
            native_cache: cache.path().to_owned(),
            compile_in_background,
            capacity: NonZeroUsize::MIN,
        };
        RunnableClasses::new(Arc::new(source), config)
    }

    fn is_native(classes: &RunnableClasses, class_hash: ClassHash) -> bool {
        // Where blocks are executed, and thus classes compiled.
        let class = on_deep_stack(|| classes.runnable(class_hash)).unwrap();
        match class.unwrap().unwrap() {
            RunnableCompiledClass::V1Native(_) => true,
            RunnableCompiledClass::V1(_) => false,
            RunnableCompiledClass::V0(_) => panic!("a class of Cairo 0"),
        }
    }

    /// Runs in Cairo VM, and is nothing that Cairo Native could compile: of its Sierra, only the versions are left.
    fn without_sierra(mut class: DeclaredClass) -> DeclaredClass {
        class.sierra.sierra_program.truncate(6);
        class
    }

    #[test]
    fn a_class_is_compiled_although_a_killed_process_left_its_lock() {
        let (cache, folder) = cache();
        let class = contract("fibonacci");
        let class_hash = class.class_hash();
        let object = object_path(&folder, class_hash);
        let lock = object.with_extension("lock");
        fs::write(&lock, b"half an object").unwrap();
        fs::write(object.with_extension("compiling"), b"").unwrap();

        let first = classes(&cache, class_hash, class.clone(), false);
        assert!(is_native(&first, class_hash));
        assert!(object.exists() && !lock.exists());

        // Who comes later does not compile: it could not.
        let second = classes(&cache, class_hash, without_sierra(class), false);
        assert!(is_native(&second, class_hash));
    }

    #[test]
    fn a_class_that_another_process_compiles_is_found_when_it_has() {
        let class = contract("fibonacci");
        let class_hash = class.class_hash();
        let (theirs, their_folder) = cache();
        assert!(is_native(&classes(&theirs, class_hash, class.clone(), false), class_hash));

        let (ours, folder) = cache();
        let (object, their_object) =
            (object_path(&folder, class_hash), object_path(&their_folder, class_hash));
        let claimed = claim(&object).unwrap();
        assert!(matches!(claim(&object), Err(NativeError::Locked)));
        let class = without_sierra(class);
        let vm = vm_class(class_hash, &class.casm, class.sierra_version().unwrap()).unwrap();
        assert!(compile_or_fall_back(&folder, class_hash, &class, &vm).is_none());
        let impatient = NativeCompiler {
            patience: Duration::ZERO,
            ..NativeCompiler::new(ours.path().to_owned())
        };
        let given_up = impatient.compile(class_hash, &class, vm);
        assert!(matches!(given_up, RunnableCompiledClass::V1(_)));

        let waiting = classes(&ours, class_hash, class, true);
        assert!(!is_native(&waiting, class_hash));
        // The object is the last that appears.
        for extension in ["json", "so"] {
            let copy = object.with_extension(extension);
            fs::copy(their_object.with_extension(extension), copy).unwrap();
        }
        drop(claimed);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_native(&waiting, class_hash) {
            assert!(Instant::now() < deadline, "what was compiled is not found");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_class_that_cannot_be_compiled_runs_in_cairo_vm() {
        let (cache, folder) = cache();
        let class = contract("fibonacci");
        let class_hash = class.class_hash();
        let object = object_path(&folder, class_hash);
        let refused = classes(&cache, class_hash, without_sierra(class.clone()), false);
        assert!(!is_native(&refused, class_hash));
        assert!(!object.exists());
        // And nobody is kept from trying again.
        let again = classes(&cache, class_hash, class, false);
        assert!(is_native(&again, class_hash));
    }
}
