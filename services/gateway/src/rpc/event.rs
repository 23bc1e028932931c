//! Events and the filter that finds them.

use serde::{Deserialize, Serialize};
use starknet_api::transaction as api;

use super::block_id::BlockId;
use super::number::{AddressHex, FeltHex, hexes};

/// `EVENT`.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub from_address: FeltHex,
    pub keys: Vec<FeltHex>,
    pub data: Vec<FeltHex>,
}

impl From<&api::Event> for Event {
    fn from(event: &api::Event) -> Self {
        Self {
            from_address: FeltHex(*event.from_address.0.key()),
            keys: event.content.keys.iter().map(|key| FeltHex(key.0)).collect(),
            data: hexes(&event.content.data.0),
        }
    }
}

/// `EMITTED_EVENT`; without a block hash for the open block.
#[derive(Clone, Debug, Serialize)]
pub struct EmittedEvent {
    #[serde(flatten)]
    pub event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<FeltHex>,
    pub block_number: u64,
    pub transaction_hash: FeltHex,
    pub transaction_index: u64,
    pub event_index: u64,
}

/// `EVENTS_CHUNK`.
#[derive(Clone, Debug, Serialize)]
pub struct EventsChunk {
    pub events: Vec<EmittedEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
}

/// `EVENT_FILTER` and `RESULT_PAGE_REQUEST` in one object. All of the filter is optional, so a misspelt
/// field would silently match everything: unknown fields are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    #[serde(default)]
    pub from_block: Option<BlockId>,
    #[serde(default)]
    pub to_block: Option<BlockId>,
    #[serde(default)]
    pub address: Option<EmitterFilter>,
    #[serde(default)]
    pub keys: Option<Vec<Vec<FeltHex>>>,
    #[serde(default)]
    pub continuation_token: Option<String>,
    pub chunk_size: std::num::NonZeroU64,
}

/// One emitter or any of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum EmitterFilter {
    One(AddressHex),
    AnyOf(Vec<AddressHex>),
}
