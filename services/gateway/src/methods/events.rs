//! Events of closed blocks, page by page, and of the open ones after them.

use std::sync::Arc;

use sidereal_chain_store::{
    EmittedEvent as StoredEvent, EventFilter, StoredReceipt, StoredTransaction,
};
use starknet_api::block::BlockNumber;
use starknet_api::core::ContractAddress;
use starknet_api::transaction::{Event as ApiEvent, EventKey};
use starknet_types_core::felt::Felt;

use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::limits::Limits;
use crate::params::Arguments;
use crate::pre_confirmed::PreConfirmed;
use crate::rpc::block_id::{BlockId, BlockTag};
use crate::rpc::event::{EmittedEvent, EmitterFilter, EventRequest, EventsChunk};
use crate::rpc::number::FeltHex;

pub async fn events(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<EventsChunk, RpcError> {
    let request: EventRequest = arguments.required(0)?;
    let chunk_size = request.chunk_size.get();
    if chunk_size > gateway.limits().max_event_chunk {
        return Err(RpcError::PageSizeTooBig);
    }
    let chunk_size = usize::try_from(chunk_size).map_err(|_| RpcError::PageSizeTooBig)?;
    let (addresses, keys) = matchers(&request, gateway.limits())?;
    let from = bound(&gateway, request.from_block).await?;
    let to = bound(&gateway, request.to_block).await?;
    let mut page = Page {
        gateway: &gateway,
        filter: EventFilter {
            from_block: from.closed_number(),
            to_block: to.closed_number(),
            addresses,
            keys,
        },
        with_open: matches!(to, Bound::Open),
        chunk_size,
        events: Vec::new(),
    };
    let start = match request.continuation_token.as_deref() {
        Some(token) => Cursor::read(token)?,
        None if matches!(from, Bound::Open) => Cursor::Open { block: None, skip: 0 },
        None => Cursor::Closed(None),
    };
    let next = page.fill(start).await?;
    Ok(EventsChunk { events: page.events, continuation_token: next.map(|cursor| cursor.write()) })
}

/// One end of the wanted range.
#[derive(Clone, Copy)]
enum Bound {
    /// As far as there are closed blocks.
    None,
    Closed(BlockNumber),
    Open,
}

impl Bound {
    fn closed_number(self) -> Option<BlockNumber> {
        match self {
            Self::Closed(number) => Some(number),
            Self::None | Self::Open => None,
        }
    }
}

async fn bound(gateway: &Gateway, id: Option<BlockId>) -> Result<Bound, RpcError> {
    Ok(match id {
        None => Bound::None,
        Some(BlockId::Tag(BlockTag::PreConfirmed)) => Bound::Open,
        // A number is a bound, not a block: a range may reach beyond the head.
        Some(BlockId::Number(number)) => Bound::Closed(number),
        Some(id) => Bound::Closed(gateway.state(id).await?.base()),
    })
}

fn matchers(
    request: &EventRequest,
    limits: &Limits,
) -> Result<(Vec<ContractAddress>, Vec<Vec<EventKey>>), RpcError> {
    let addresses = match &request.address {
        None => Vec::new(),
        Some(EmitterFilter::One(address)) => vec![address.0],
        Some(EmitterFilter::AnyOf(addresses)) => {
            if addresses.len() > limits.max_event_addresses {
                let limit = limits.max_event_addresses;
                return Err(RpcError::invalid(
                    "filter.address",
                    format!("more than {limit} addresses"),
                ));
            }
            addresses.iter().map(|address| address.0).collect()
        }
    };
    let keys: Vec<Vec<EventKey>> = request
        .keys
        .iter()
        .flatten()
        .map(|position| position.iter().map(|key| EventKey(key.0)).collect())
        .collect();
    // Positions count too: a list of a million empty ones is no smaller a filter.
    let size = keys.iter().map(|position| position.len().max(1)).sum::<usize>();
    if size > limits.max_event_keys {
        return Err(RpcError::TooManyKeysInFilter);
    }
    Ok((addresses, keys))
}

/// Where a page begins. As text it is the continuation token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    /// In the closed blocks, by the chain store's own token.
    Closed(Option<String>),
    /// In a block that is open, or was when the token was given: so many matching events are behind us.
    Open { block: Option<BlockNumber>, skip: usize },
}

impl Cursor {
    fn read(token: &str) -> Result<Self, RpcError> {
        let (kind, rest) = token.split_once(':').ok_or(RpcError::InvalidContinuationToken)?;
        match kind {
            "closed" => Ok(Self::Closed(Some(rest.to_owned()))),
            "open" => {
                let (block, skip) =
                    rest.split_once('-').ok_or(RpcError::InvalidContinuationToken)?;
                let block = block.parse().map_err(|_| RpcError::InvalidContinuationToken)?;
                let skip = skip.parse().map_err(|_| RpcError::InvalidContinuationToken)?;
                Ok(Self::Open { block: Some(BlockNumber(block)), skip })
            }
            _ => Err(RpcError::InvalidContinuationToken),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Closed(token) => format!("closed:{}", token.as_deref().unwrap_or_default()),
            Self::Open { block, skip } => {
                format!("open:{}-{skip}", block.unwrap_or_default().0)
            }
        }
    }
}

struct Page<'a> {
    gateway: &'a Gateway,
    filter: EventFilter,
    with_open: bool,
    chunk_size: usize,
    events: Vec<EmittedEvent>,
}

impl Page<'_> {
    /// Fills the page from `cursor` on, and says where the next one begins.
    async fn fill(&mut self, cursor: Cursor) -> Result<Option<Cursor>, RpcError> {
        match cursor {
            Cursor::Closed(token) => self.fill_closed(token).await,
            Cursor::Open { block, skip } => self.fill_open(block, skip).await,
        }
    }

    async fn fill_closed(&mut self, token: Option<String>) -> Result<Option<Cursor>, RpcError> {
        let room = u32::try_from(self.chunk_size).unwrap_or(u32::MAX);
        // Up to here closed blocks are read, from there on open ones: a block that is closed in between is in neither
        // without this bound.
        let head = if self.with_open { Some(self.gateway.head().await?) } else { None };
        let filter = EventFilter { to_block: head.or(self.filter.to_block), ..self.filter.clone() };
        let page = self.gateway.store().events(&filter, token.as_deref(), room).await;
        let page = page.map_err(|error| RpcError::store("read events", &error))?;
        self.events.extend(page.events.iter().map(closed_event));
        if let Some(token) = page.continuation_token {
            return Ok(Some(Cursor::Closed(Some(token))));
        }
        match head {
            Some(head) => self.fill_open(head.next(), 0).await,
            None => Ok(None),
        }
    }

    /// From this block on, behind so many of its events; from the first open one if none is named.
    async fn fill_open(
        &mut self,
        block: Option<BlockNumber>,
        mut skip: usize,
    ) -> Result<Option<Cursor>, RpcError> {
        let open = PreConfirmed::load_all(self.gateway).await?;
        let (first, last) = (open.first().map(number), open.last().map(number));
        let from = block.or(first);
        if let Some(block) = block {
            // The block that we come from has been closed: its events are where the store has them.
            if Some(block) < first {
                return self.fill_closed_since(block, skip).await;
            }
            // No token of ours is ahead of the chain.
            if Some(block) > last {
                return Err(RpcError::InvalidContinuationToken);
            }
        }
        let filter = self.filter.clone();
        for open in open.iter().filter(|open| Some(number(open)) >= from) {
            let (block, taken_before) = (number(open), self.events.len());
            let events = matching(&filter, block, &open.transactions, &open.receipts);
            if self.extend(events.skip(skip), None, block) {
                let skip = skip + self.events.len() - taken_before;
                return Ok(Some(Cursor::Open { block: Some(block), skip }));
            }
            skip = 0;
        }
        Ok(None)
    }

    async fn fill_closed_since(
        &mut self,
        block: BlockNumber,
        skip: usize,
    ) -> Result<Option<Cursor>, RpcError> {
        let hash = self
            .gateway
            .closed_block(sidereal_chain_store::BlockSelector::Number(block))
            .await
            .map_err(|error| match error {
                RpcError::BlockNotFound => RpcError::InvalidContinuationToken,
                error => error,
            })?
            .hash;
        let transactions = super::blocks::transactions_of(self.gateway, block).await?;
        let receipts = super::blocks::receipts_of(self.gateway, block).await?;
        let (taken_before, filter) = (self.events.len(), self.filter.clone());
        let events = matching(&filter, block, &transactions, &receipts);
        if self.extend(events.skip(skip), Some(hash.0), block) {
            let skip = skip + self.events.len() - taken_before;
            return Ok(Some(Cursor::Open { block: Some(block), skip }));
        }
        // The rest of the range is read with the next page, from the block after.
        let after = BlockNumber(block.0.saturating_add(1));
        Ok(Some(Cursor::Open { block: Some(after), skip: 0 }))
    }

    /// Takes events while there is room; whether some were left.
    fn extend<'b>(
        &mut self,
        events: impl Iterator<Item = Located<'b>>,
        block_hash: Option<Felt>,
        block: BlockNumber,
    ) -> bool {
        for located in events {
            if self.events.len() >= self.chunk_size {
                return true;
            }
            self.events.push(EmittedEvent {
                event: located.event.into(),
                block_hash: block_hash.map(FeltHex),
                block_number: block.0,
                transaction_hash: FeltHex(located.transaction_hash),
                transaction_index: located.transaction_index as u64,
                event_index: located.event_index as u64,
            });
        }
        false
    }
}

fn number(open: &PreConfirmed) -> BlockNumber {
    BlockNumber(open.header.block_number)
}

struct Located<'a> {
    event: &'a ApiEvent,
    transaction_hash: Felt,
    transaction_index: usize,
    event_index: usize,
}

/// The events of a block that the filter asks for.
fn matching<'a>(
    filter: &'a EventFilter,
    block: BlockNumber,
    transactions: &'a [StoredTransaction],
    receipts: &'a [StoredReceipt],
) -> impl Iterator<Item = Located<'a>> {
    let receipts: &[_] = if Some(block) < filter.from_block { &[] } else { receipts };
    transactions.iter().zip(receipts).enumerate().flat_map(
        move |(transaction_index, (transaction, receipt))| {
            receipt.events.iter().enumerate().filter(move |(_, event)| matches(filter, event)).map(
                move |(event_index, event)| Located {
                    event,
                    transaction_hash: transaction.hash.0,
                    transaction_index,
                    event_index,
                },
            )
        },
    )
}

fn matches(filter: &EventFilter, event: &ApiEvent) -> bool {
    let from = filter.addresses.is_empty() || filter.addresses.contains(&event.from_address);
    from && event.content.keys.len() >= filter.keys.len()
        && filter
            .keys
            .iter()
            .zip(&event.content.keys)
            .all(|(wanted, key)| wanted.is_empty() || wanted.contains(key))
}

fn closed_event(event: &StoredEvent) -> EmittedEvent {
    EmittedEvent {
        event: (&event.event).into(),
        block_hash: Some(FeltHex(event.block_hash.0)),
        block_number: event.block_number.0,
        transaction_hash: FeltHex(event.transaction_hash.0),
        transaction_index: event.transaction_index,
        event_index: event.event_index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_as_text() {
        for cursor in [
            Cursor::Closed(Some("12-3-4".to_owned())),
            Cursor::Open { block: Some(BlockNumber(7)), skip: 3 },
        ] {
            assert_eq!(Cursor::read(&cursor.write()).unwrap(), cursor);
        }
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for token in ["", "x", "open", "open:", "open:1", "open:x-1", "open:1--1", "half:1-1"] {
            let error = Cursor::read(token).unwrap_err();
            assert!(matches!(error, RpcError::InvalidContinuationToken), "{token}");
        }
    }
}
