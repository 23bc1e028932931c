//! Events by address, keys and block range.

use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::ContractAddress;
use starknet_api::transaction::{Event, EventKey, TransactionHash};

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// First block; from the first one when `None`.
    pub from_block: Option<BlockNumber>,
    /// Last block, included; to the head when `None`.
    pub to_block: Option<BlockNumber>,
    /// Emitting contracts, any of them; all contracts when empty.
    pub addresses: Vec<ContractAddress>,
    /// For each key position the values that match; an empty list matches anything. An event with fewer keys
    /// than there are positions does not match.
    pub keys: Vec<Vec<EventKey>>,
}

/// An event and where it was emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedEvent {
    /// The block.
    pub block_number: BlockNumber,
    /// The block's hash.
    pub block_hash: BlockHash,
    /// The transaction.
    pub transaction_hash: TransactionHash,
    /// The transaction's index in the block.
    pub transaction_index: u64,
    /// The event's index among the transaction's events.
    pub event_index: u64,
    /// The event.
    pub event: Event,
}

/// One page of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsPage {
    /// At most as many as asked for. May be fewer, even none, although more follow: a page also ends when
    /// it has looked at `ChainStoreLimits::events_scanned_per_page` events.
    pub events: Vec<EmittedEvent>,
    /// Where the next page starts; `None` on the last one. Stays valid while blocks are added.
    pub continuation_token: Option<String>,
}
