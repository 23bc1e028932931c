//! Classes from the object store, where the gateway put them.

use std::io::Read as _;
use std::sync::Arc;

use sidereal_execution::classes::{ClassError, ClassSource, DeclaredClass};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use starknet_api::core::ClassHash;
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
        let mut json = Vec::new();
        zstd::Decoder::new(stored.as_ref())
            .and_then(|decoder| decoder.take(MAX_CLASS_BYTES + 1).read_to_end(&mut json))
            .map_err(|error| store_error(Box::new(error)))?;
        if u64::try_from(json.len()).is_ok_and(|length| length <= MAX_CLASS_BYTES) {
            return Ok(Some(json));
        }
        let error = std::io::Error::other(format!("it has more than {MAX_CLASS_BYTES} bytes"));
        Err(store_error(Box::new(error)))
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
