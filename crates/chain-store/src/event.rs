//! Events by address, keys and block range.

use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::ContractAddress;
use starknet_api::transaction::{Event, EventContent, EventData, EventKey, TransactionHash};

use crate::backend::{failed, reading};
use crate::encoding::{bytes, damaged, felt, read_felts, read_number};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

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

/// The place of an event in the chain: block, transaction, event. The continuation token is its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: i64,
    transaction: i64,
    event: i64,
}

impl Place {
    fn to_token(self) -> String {
        format!("{}-{}-{}", self.block, self.transaction, self.event)
    }

    fn from_token(token: &str) -> Option<Self> {
        let mut parts = token.split('-').map(|part| {
            part.parse::<i64>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let place =
            Self { block: parts.next()??, transaction: parts.next()??, event: parts.next()?? };
        parts.next().is_none().then_some(place)
    }
}

/// Block, transaction index, event index, address, keys, data, transaction hash, block hash.
type EventRow = (i64, i64, i64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

fn read_event(row: &EventRow) -> Result<EmittedEvent> {
    const OBJECT: &str = "an event";
    let (block, transaction, event, address, keys, data, transaction_hash, block_hash) = row;
    Ok(EmittedEvent {
        block_number: BlockNumber(read_number(*block, OBJECT)?),
        block_hash: BlockHash(felt(block_hash, OBJECT)?),
        transaction_hash: TransactionHash(felt(transaction_hash, OBJECT)?),
        transaction_index: read_number(*transaction, OBJECT)?,
        event_index: read_number(*event, OBJECT)?,
        event: Event {
            from_address: felt(address, OBJECT)?
                .try_into()
                .map_err(|error| damaged(OBJECT, error))?,
            content: EventContent {
                keys: read_felts(keys, OBJECT)?.into_iter().map(EventKey).collect(),
                data: EventData(read_felts(data, OBJECT)?),
            },
        },
    })
}

impl EventFilter {
    /// Whether an event has these keys. The address and the first key are the database's part.
    fn matches_keys(&self, event: &Event) -> bool {
        let keys = &event.content.keys;
        keys.len() >= self.keys.len()
            && self
                .keys
                .iter()
                .zip(keys)
                .all(|(wanted, key)| wanted.is_empty() || wanted.contains(key))
    }
}

impl ChainStore {
    /// One page of events in the order of the chain, at most `limit` (at least 1).
    ///
    /// # Errors
    /// [`ChainStoreError::ContinuationToken`] for a token that no page gave, [`ChainStoreError::Query`],
    /// [`ChainStoreError::Damaged`].
    pub async fn events(
        &self,
        filter: &EventFilter,
        continuation_token: Option<&str>,
        limit: u32,
    ) -> Result<EventsPage> {
        let up_to = |block: BlockNumber| i64::try_from(block.0).unwrap_or(i64::MAX);
        let mut next = Place { block: filter.from_block.map_or(0, up_to), ..Place::default() };
        if let Some(token) = continuation_token {
            let place = Place::from_token(token)
                .ok_or_else(|| ChainStoreError::ContinuationToken { token: token.to_owned() })?;
            next = next.max(place);
        }
        let last_block = filter.to_block.map_or(i64::MAX, up_to);
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        let mut to_scan = i64::from(self.limits().events_scanned_per_page.max(1));
        let mut page = EventsPage::default();
        loop {
            // One more than the page holds shows whether there is a next page. Where keys are filtered here,
            // a batch looks further ahead.
            let missing = i64::try_from(limit - page.events.len()).unwrap_or(i64::MAX - 1) + 1;
            let batch =
                if filter.keys.is_empty() { missing } else { missing.max(256) }.min(to_scan);
            let rows = self.event_rows(filter, next, last_block, batch).await?;
            let exhausted = i64::try_from(rows.len()).is_ok_and(|found| found < batch);
            for row in &rows {
                let place = Place { block: row.0, transaction: row.1, event: row.2 };
                let event = read_event(row)?;
                if filter.matches_keys(&event.event) {
                    if page.events.len() == limit {
                        page.continuation_token = Some(place.to_token());
                        return Ok(page);
                    }
                    page.events.push(event);
                }
                next = Place { event: place.event.saturating_add(1), ..place };
            }
            if exhausted {
                return Ok(page);
            }
            to_scan -= batch;
            if to_scan <= 0 {
                page.continuation_token = Some(next.to_token());
                return Ok(page);
            }
        }
    }

    async fn event_rows(
        &self,
        filter: &EventFilter,
        from: Place,
        last_block: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>> {
        reading!(self, |pool, Db| {
            let mut query = sqlx::QueryBuilder::<Db>::new(
                "SELECT e.block_number, e.transaction_index, e.event_index, e.from_address, e.keys, \
                 e.data, t.hash, b.hash FROM events e \
                 JOIN transactions t ON t.block_number = e.block_number \
                 AND t.transaction_index = e.transaction_index \
                 JOIN blocks b ON b.number = e.block_number \
                 WHERE (e.block_number, e.transaction_index, e.event_index) >= (",
            );
            let mut place = query.separated(", ");
            place.push_bind(from.block).push_bind(from.transaction).push_bind(from.event);
            query.push(") AND e.block_number <= ").push_bind(last_block);
            if !filter.addresses.is_empty() {
                query.push(" AND e.from_address IN (");
                let mut values = query.separated(", ");
                for address in &filter.addresses {
                    values.push_bind(bytes(address.0.key()));
                }
                query.push(")");
            }
            if let Some(first) = filter.keys.first().filter(|first| !first.is_empty()) {
                query.push(" AND e.first_key IN (");
                let mut values = query.separated(", ");
                for key in first {
                    values.push_bind(bytes(&key.0));
                }
                query.push(")");
            }
            query
                .push(" ORDER BY e.block_number, e.transaction_index, e.event_index LIMIT ")
                .push_bind(limit);
            query.build_query_as().persistent(false).fetch_all(pool).await
        })
        .map_err(failed("reading events"))
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn only_tokens_of_our_own_are_read() {
        let place = Place { block: 12, transaction: 0, event: 7 };
        assert_eq!(Place::from_token(&place.to_token()), Some(place));
        for token in [
            "",
            "1",
            "1-2",
            "1-2-3-4",
            "1--3",
            "-1-2-3",
            "+1-2-3",
            "a-b-c",
            "1-2-99999999999999999999",
        ] {
            assert_eq!(Place::from_token(token), None, "{token:?}");
        }
    }
}
