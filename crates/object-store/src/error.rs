//! What can go wrong with objects.

use sidereal_service::{Classified, ErrorClass};

/// The cause behind a failed operation.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed operation on the object store.
#[derive(Debug, thiserror::Error)]
pub enum ObjectStoreError {
    /// No object under this key.
    #[error("no object {key}")]
    NotFound {
        /// The key.
        key: String,
    },
    /// An object over the bound, offered or found.
    #[error("object {key} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The key.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// The URL names no implementation.
    #[error("object store URL {url:?} is neither file:<folder> nor s3://bucket/prefix")]
    BadUrl {
        /// The URL as given.
        url: String,
    },
    /// The store does not let this process do that: its credentials, its rights, or the bucket's name are wrong.
    /// The configuration is read at the start, so trying again does not mend it.
    #[error("{operation} {key} was refused by the object store")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// What the store said.
        #[source]
        source: Source,
    },
    /// The store did not do what it was asked for, and may do it later.
    #[error("{operation} {key} in the object store failed")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// Why it failed.
        #[source]
        source: Source,
    },
}

impl ObjectStoreError {
    pub(crate) fn failed(
        operation: &'static str,
        key: impl ToString,
        source: impl Into<Source>,
    ) -> Self {
        Self::Failed { operation, key: key.to_string(), source: source.into() }
    }
}

impl Classified for ObjectStoreError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::TooLarge { .. } => ErrorClass::Exhausted,
            Self::BadUrl { .. } => ErrorClass::Invalid,
            Self::Refused { .. } => ErrorClass::Internal,
            Self::Failed { .. } => ErrorClass::Unavailable,
        }
    }
}
