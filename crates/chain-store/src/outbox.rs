//! The outbox: messages that are committed with their block, and published after.

use starknet_api::block::BlockNumber;

/// A message to publish once the block is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Subject on the bus.
    pub subject: String,
    /// The serialised event.
    pub payload: Vec<u8>,
}

/// A committed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Grows with every message: the cursor.
    pub id: u64,
    /// The block it came with.
    pub block_number: BlockNumber,
    /// The message.
    pub message: OutboxMessage,
    /// Whether it was marked as delivered.
    pub delivered: bool,
}
