//! Which object store, and its bounds.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sidereal_service::Secret;
use sidereal_service::config::Problems;

use crate::{FileSystemStore, ObjectStore, ObjectStoreError, S3Store};

/// The `object_store` section of a service's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectStoreConfig {
    /// `file:<folder>` or `s3://bucket/prefix` (the prefix may be missing).
    pub url: String,
    /// Size of one object, in bytes.
    pub max_object_bytes: u64,
    /// S3: where the server is, when it is not Amazon's.
    pub endpoint: Option<String>,
    /// S3: the region.
    pub region: String,
    /// S3: address buckets by path and not by host name; what most servers other than Amazon's want.
    pub path_style: bool,
    /// S3: key id. Without it the SDK's own sources (environment, profile, instance) are asked.
    pub access_key_id: Option<String>,
    /// S3: the secret that belongs to `access_key_id`.
    pub secret_access_key: Secret<String>,
    /// S3: how long one try of a request may take; for an object that is read, until its first byte, and as long
    /// again until its last.
    pub timeout_ms: u64,
}

impl Default for ObjectStoreConfig {
    fn default() -> Self {
        Self {
            url: "file:sidereal-data/objects".to_owned(),
            max_object_bytes: 256 * 1024 * 1024,
            endpoint: None,
            region: "us-east-1".to_owned(),
            path_style: true,
            access_key_id: None,
            secret_access_key: Secret::default(),
            timeout_ms: 30_000,
        }
    }
}

impl ObjectStoreConfig {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        if Target::of(&self.url).is_none() {
            problems.add(section, "url", "is neither file:<folder> nor s3://bucket/prefix");
        }
        problems.in_range(section, "max_object_bytes", self.max_object_bytes, 1..=5_000_000_000);
        problems.in_range(section, "timeout_ms", self.timeout_ms, 100..=600_000);
        if let Some(endpoint) = &self.endpoint {
            problems.require(
                section,
                "endpoint",
                endpoint.starts_with("http://") || endpoint.starts_with("https://"),
                "must begin with http:// or https://",
            );
        }
        if self.access_key_id.is_some() == self.secret_access_key.is_empty() {
            problems.add(
                section,
                "secret_access_key",
                "must be given if and only if access_key_id is",
            );
        }
    }
}

pub(crate) enum Target {
    Folder(PathBuf),
    Bucket { bucket: String, prefix: String },
}

impl Target {
    pub(crate) fn of(url: &str) -> Option<Self> {
        if let Some(folder) = url.strip_prefix("file:") {
            // `file:///var/x` and `file:/var/x` are the same folder; `file:x` is relative.
            let folder = folder.strip_prefix("//").unwrap_or(folder);
            return (!folder.is_empty()).then(|| Self::Folder(PathBuf::from(folder)));
        }
        let place = url.strip_prefix("s3://")?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/');
        if bucket.is_empty() || (!prefix.is_empty() && crate::ObjectKey::parse(prefix).is_err()) {
            return None;
        }
        Some(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// Opens the store that `config.url` names.
pub async fn open(config: &ObjectStoreConfig) -> Result<Arc<dyn ObjectStore>, ObjectStoreError> {
    match Target::of(&config.url) {
        Some(Target::Folder(folder)) => {
            Ok(Arc::new(FileSystemStore::open(&folder, config.max_object_bytes).await?))
        }
        Some(Target::Bucket { bucket, prefix }) => {
            Ok(Arc::new(S3Store::connect(config, bucket, prefix).await))
        }
        None => Err(ObjectStoreError::BadUrl { url: config.url.clone() }),
    }
}
