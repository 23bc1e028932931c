//! Classes from the object store, for witnesses.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use sidereal_execution::classes::{ClassError, DeclaredClass, MemoryClasses};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use starknet_api::core::ClassHash;

/// Classes kept in memory, with the JSON of those that ran; a class is a few megabytes at most.
const CACHED_CLASSES: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Decompressed size of a stored class, in bytes, beyond which it is refused.
const MAX_CLASS_BYTES: u64 = 64 * 1024 * 1024;

/// A class cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoredClassError {
    /// The object store does not have it, or does not answer.
    #[error("reading class {:#x} failed", class_hash.0)]
    Read {
        /// The class.
        class_hash: ClassHash,
        /// Why.
        #[source]
        source: ObjectStoreError,
    },
    /// It does not decompress within its bound.
    #[error("class {:#x} does not decompress into at most {MAX_CLASS_BYTES} bytes", class_hash.0)]
    Compression {
        /// The class.
        class_hash: ClassHash,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no class.
    #[error("class {:#x} is stored in a form that cannot be read", class_hash.0)]
    Form {
        /// The class.
        class_hash: ClassHash,
        /// Why.
        #[source]
        source: ClassError,
    },
}

/// Reads and writes classes under their keys; keeps the last ones read.
#[derive(Clone, Debug)]
pub struct StoredClasses {
    objects: Arc<dyn ObjectStore>,
    cache: Arc<Mutex<LruCache<ClassHash, Arc<DeclaredClass>>>>,
}

impl StoredClasses {
    /// In this object store.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, cache: Arc::new(Mutex::new(LruCache::new(CACHED_CLASSES))) }
    }

    /// All of these classes.
    pub async fn load(
        &self,
        wanted: &BTreeSet<ClassHash>,
    ) -> Result<MemoryClasses, StoredClassError> {
        let mut classes = MemoryClasses::default();
        for class_hash in wanted {
            classes.0.insert(*class_hash, self.one(*class_hash).await?);
        }
        Ok(classes)
    }

    async fn one(&self, class_hash: ClassHash) -> Result<Arc<DeclaredClass>, StoredClassError> {
        let cached =
            self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&class_hash).cloned();
        if let Some(class) = cached {
            return Ok(class);
        }
        let sierra = self.json(class_hash, &ObjectKey::sierra_class(class_hash.0)).await?;
        let casm = self.json(class_hash, &ObjectKey::casm_class(class_hash.0)).await?;
        let class = DeclaredClass::from_json(&sierra, &casm)
            .map_err(|source| StoredClassError::Form { class_hash, source })?;
        let class = Arc::new(class);
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(class_hash, Arc::clone(&class));
        Ok(class)
    }

    async fn json(
        &self,
        class_hash: ClassHash,
        key: &ObjectKey,
    ) -> Result<Vec<u8>, StoredClassError> {
        use std::io::Read as _;
        let read = self.objects.get(key).await;
        let stored = read.map_err(|source| StoredClassError::Read { class_hash, source })?;
        let compression = |source| StoredClassError::Compression { class_hash, source };
        let mut json = Vec::new();
        let decoder = zstd::Decoder::new(stored.as_ref()).map_err(compression)?;
        decoder.take(MAX_CLASS_BYTES + 1).read_to_end(&mut json).map_err(compression)?;
        if u64::try_from(json.len()).is_ok_and(|length| length <= MAX_CLASS_BYTES) {
            return Ok(json);
        }
        Err(compression(std::io::Error::other("the bound is exceeded")))
    }

    /// Stores the JSON of a class under both its keys; for genesis. Declared classes come in their stored form.
    pub async fn store(
        &self,
        class_hash: ClassHash,
        sierra: &[u8],
        casm: &[u8],
    ) -> Result<(), StoredClassError> {
        for (key, json) in [
            (ObjectKey::sierra_class(class_hash.0), sierra),
            (ObjectKey::casm_class(class_hash.0), casm),
        ] {
            let packed = zstd::encode_all(json, 3)
                .map_err(|source| StoredClassError::Compression { class_hash, source })?;
            let put = self.objects.put(&key, Bytes::from(packed)).await;
            put.map_err(|source| StoredClassError::Read { class_hash, source })?;
        }
        Ok(())
    }
}
