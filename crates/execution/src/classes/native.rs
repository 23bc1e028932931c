//! Sierra to machine code by Cairo Native, in this process, kept as shared objects by class hash.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use cairo_native::OptLevel;
use cairo_native::executor::AotContractExecutor;
use starknet_api::core::ClassHash;
use starknet_api::state::SierraContractClass;

use super::ClassError;
use super::compile::{compiler_class, panic_message};

/// Changes whenever the compiler or its options do, so that stale objects are not loaded.
const CACHE_VERSION: &str = "cairo-native-0.9.0-rc.9-aggressive";

/// Why a class has no native form.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The cache folder cannot be made.
    #[error("the cache of native classes at {path} cannot be created")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The Sierra program cannot be read.
    #[error("the class cannot be given to Cairo Native")]
    Class(#[source] ClassError),
    /// Cairo Native refuses the program.
    #[error("Cairo Native cannot compile the class: {message}")]
    Compile {
        /// Its words.
        message: String,
    },
    /// Another process is compiling it into the same folder at this moment.
    #[error("another process is compiling this class")]
    Locked,
}

/// Loads the class's shared object, or compiles it first.
pub(super) fn executor(
    cache: &Path,
    class_hash: ClassHash,
    sierra: &SierraContractClass,
) -> Result<AotContractExecutor, NativeError> {
    let folder = cache.join(CACHE_VERSION);
    std::fs::create_dir_all(&folder)
        .map_err(|source| NativeError::Cache { path: folder.clone(), source })?;
    let path = folder.join(format!("{:#066x}.so", class_hash.0));
    if path.exists() {
        match AotContractExecutor::from_path(&path) {
            Ok(Some(executor)) => return Ok(executor),
            Ok(None) => return Err(NativeError::Locked),
            Err(error) => {
                tracing::warn!(%class_hash, %error, "cached native class is unusable, compiling anew");
            }
        }
    }
    // LLVM and the Sierra libraries assert on programs they do not expect.
    catch_unwind(AssertUnwindSafe(|| compile(&path, sierra)))
        .map_err(|panic| NativeError::Compile { message: panic_message(&*panic) })?
}

fn compile(path: &Path, sierra: &SierraContractClass) -> Result<AotContractExecutor, NativeError> {
    let refused = |message: String| NativeError::Compile { message };
    let class = compiler_class(sierra).map_err(NativeError::Class)?;
    let extracted =
        class.extract_sierra_program(false).map_err(|error| refused(error.to_string()))?;
    AotContractExecutor::new_into(
        &extracted.program,
        &class.entry_points_by_type,
        extracted.sierra_version,
        path,
        OptLevel::Aggressive,
        None,
    )
    .map_err(|error| refused(error.to_string()))?
    .ok_or(NativeError::Locked)
}
