//! Where the settler's work comes from.

use async_trait::async_trait;
use sidereal_settlement::Update;

/// Ranges of consecutive blocks whose last proof is made.
#[async_trait]
pub trait Batches: Send + Sync {
    /// The batch that begins with the block after `block`, if there is one. Asked again for the same block, it may
    /// answer with another batch: L1 takes one of them.
    async fn next_after(&self, block: u64) -> Result<Option<Update>, BatchesError>;
}

/// The source of batches has failed.
#[derive(Debug, thiserror::Error)]
#[error("get the batch after block {block}")]
pub struct BatchesError {
    /// The block before the batch.
    pub block: u64,
    /// Its cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
