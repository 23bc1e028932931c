//! Classes from the object store; and those that come with a simulation or a validation.

use std::io::Read as _;
use std::sync::Arc;

use sidereal_execution::classes::{ClassError, ClassSource, DeclaredClass, MemoryClasses};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use sidereal_proto::types as wire;
use starknet_api::core::ClassHash;
use starknet_api::transaction::Transaction;
use tokio::runtime::Handle;

/// Decompressed size of a stored class, in bytes, beyond which it is refused.
const MAX_CLASS_BYTES: u64 = 64 * 1024 * 1024;

/// Reads classes for execution threads, which block on it.
pub(crate) struct StoredClasses {
    objects: Arc<dyn ObjectStore>,
    runtime: Handle,
}

impl StoredClasses {
    /// `runtime` drives the reads; it is never one whose worker threads call [`ClassSource::class`].
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, runtime: Handle) -> Self {
        Self { objects, runtime }
    }

    fn json(&self, class_hash: ClassHash, key: &ObjectKey) -> Result<Option<Vec<u8>>, ClassError> {
        let store_error = |source| ClassError::Store { class_hash, source };
        let stored = match self.runtime.block_on(self.objects.get(key)) {
            Ok(stored) => stored,
            Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(store_error(Box::new(error))),
        };
        let json = decompress(&stored).map_err(|error| store_error(Box::new(error)))?;
        Ok(Some(json))
    }
}

fn decompress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    zstd::Decoder::new(bytes)?.take(MAX_CLASS_BYTES + 1).read_to_end(&mut json)?;
    if u64::try_from(json.len()).is_ok_and(|length| length <= MAX_CLASS_BYTES) {
        return Ok(json);
    }
    Err(std::io::Error::other(format!("it has more than {MAX_CLASS_BYTES} bytes")))
}

/// Why a class that came with a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestClassError {
    #[error("class {index} cannot be decompressed")]
    Compression {
        index: usize,
        #[source]
        source: std::io::Error,
    },
    #[error("class {index} cannot be read")]
    Class {
        index: usize,
        #[source]
        source: ClassError,
    },
    #[error("class {:#x} came with a transaction that does not declare it", class_hash.0)]
    NotDeclared { class_hash: ClassHash },
}

/// The classes that came with a request, by their class hashes.
pub(crate) fn of_request(
    classes: &[wire::DeclaredClass],
) -> Result<MemoryClasses, RequestClassError> {
    let mut read = MemoryClasses::default();
    for (index, class) in classes.iter().enumerate() {
        let json = |bytes| {
            decompress(bytes).map_err(|source| RequestClassError::Compression { index, source })
        };
        let class = DeclaredClass::from_json(
            &json(&class.sierra_json_zstd)?,
            &json(&class.casm_json_zstd)?,
        )
        .map_err(|source| RequestClassError::Class { index, source })?;
        read.insert(class);
    }
    Ok(read)
}

/// The class that came with the transaction that declares it.
pub(crate) fn of_declare(
    class: &wire::DeclaredClass,
    transaction: &Transaction,
) -> Result<MemoryClasses, RequestClassError> {
    let own = of_request(std::slice::from_ref(class))?;
    let declared = match transaction {
        Transaction::Declare(declare) => Some(declare.class_hash()),
        _ => None,
    };
    match own.0.keys().find(|class_hash| Some(**class_hash) != declared) {
        Some(class_hash) => Err(RequestClassError::NotDeclared { class_hash: *class_hash }),
        None => Ok(own),
    }
}

impl ClassSource for StoredClasses {
    fn class(&self, class_hash: ClassHash) -> Result<Option<Arc<DeclaredClass>>, ClassError> {
        let Some(sierra) = self.json(class_hash, &ObjectKey::sierra_class(class_hash.0))? else {
            return Ok(None);
        };
        let Some(casm) = self.json(class_hash, &ObjectKey::casm_class(class_hash.0))? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(DeclaredClass::from_json(&sierra, &casm)?)))
    }
}
