//! Witnesses, proofs and classes: whole objects under keys, on a file system or in an S3 bucket.
//!
//! Objects are written once and whole: a reader sees all of an object or none of it, and what `put`
//! acknowledged survives the process being killed. Keys are made by [`ObjectKey`] only, so that no input can
//! name a path outside the store. [`open`] chooses the implementation by the URL of an [`ObjectStoreConfig`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
mod error;
mod file_system;
mod key;
mod s3;

pub use config::{ObjectStoreConfig, open};
pub use error::ObjectStoreError;
pub use file_system::FileSystemStore;
pub use key::{BadKey, ObjectKey};
pub use s3::S3Store;

use async_trait::async_trait;
use bytes::Bytes;

/// Keys that one list holds at the most.
pub const MAX_LISTED: usize = 1_000;

/// Whole objects under keys. Services hold an `Arc<dyn ObjectStore>`.
#[async_trait]
pub trait ObjectStore: Send + Sync + std::fmt::Debug {
    /// Stores `bytes` durably and at once (never seen in part), replacing what was there.
    /// [`ObjectStoreError::TooLarge`] over [`ObjectStoreConfig::max_object_bytes`].
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectStoreError>;

    /// The whole object. [`ObjectStoreError::NotFound`] when there is none, [`ObjectStoreError::TooLarge`] as for
    /// [`Self::put`].
    async fn get(&self, key: &ObjectKey) -> Result<Bytes, ObjectStoreError>;

    /// Whether there is an object.
    async fn exists(&self, key: &ObjectKey) -> Result<bool, ObjectStoreError>;

    /// Takes the object away; fine when there is none.
    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectStoreError>;

    /// Keys that begin with `prefix` (`""` for all), greater than `after`, in ascending order, at most `limit`
    /// (and never more than [`MAX_LISTED`]). Fewer than that means that there are no further ones.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, ObjectStoreError>;

    /// Whether the store answers; for readiness.
    async fn check(&self) -> Result<(), ObjectStoreError>;
}
