//! Which state a query reads: a closed block's, or that of open blocks, which comes with the query.

use std::sync::Arc;

use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::state::{ChangedValues, StateValues};
use sidereal_proto::executor as wire;
use sidereal_proto::{ConversionError, payload};
use starknet_api::block::BlockNumber;
use starknet_api::core::ChainId;
use starknet_api::state::ThinStateDiff;

use crate::queries::QueryFailure;

/// Bytes of the open blocks' state in one query; a block's limits keep its diff far below.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Open blocks: one is being committed while the next one is filled.
const MAX_BLOCKS: usize = 2;

/// See the [module](self).
#[derive(Debug)]
pub(crate) enum StateAt {
    Latest,
    Closed(BlockNumber),
    /// Open blocks on top of this one.
    Pending(BlockNumber, PendingJson),
}

/// Open blocks as they came: two that are the same bytes are the same state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PendingJson {
    environment: Vec<u8>,
    state_diffs: Vec<Vec<u8>>,
}

/// Why what came is not the state of open blocks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PendingError {
    #[error("it does not say which block it is on top of")]
    NoBase,
    #[error("it has {blocks} blocks, at most {MAX_BLOCKS} are open")]
    Blocks { blocks: usize },
    #[error("it has {bytes} bytes, more than {MAX_BYTES}")]
    TooLarge { bytes: usize },
    #[error("it cannot be read")]
    Field(#[source] ConversionError),
    #[error("it is of chain {named}, this executor serves another one")]
    OtherChain { named: String },
    #[error("block {number} is not one of the {blocks} on top of block {base}")]
    Number { number: BlockNumber, base: BlockNumber, blocks: usize },
}

impl StateAt {
    /// From the wire.
    pub(crate) fn read(at: Option<wire::StateAt>) -> Result<Self, QueryFailure> {
        let Some(wire::StateAt { block_number, pending }) = at else { return Ok(Self::Latest) };
        let Some(pending) = pending else {
            return Ok(
                block_number.map_or(Self::Latest, |number| Self::Closed(BlockNumber(number)))
            );
        };
        let base = block_number.ok_or(QueryFailure::Pending(PendingError::NoBase))?;
        let pending = PendingJson {
            environment: pending.environment_json,
            state_diffs: pending.state_diffs_json,
        };
        pending.check().map_err(QueryFailure::Pending)?;
        Ok(Self::Pending(BlockNumber(base), pending))
    }
}

impl PendingJson {
    fn check(&self) -> Result<(), PendingError> {
        let blocks = self.state_diffs.len();
        if blocks == 0 || blocks > MAX_BLOCKS {
            return Err(PendingError::Blocks { blocks });
        }
        let bytes = self.environment.len() + self.state_diffs.iter().map(Vec::len).sum::<usize>();
        if bytes > MAX_BYTES {
            return Err(PendingError::TooLarge { bytes });
        }
        Ok(())
    }

    /// The environment of the last open block, and the values after it.
    pub(crate) fn read(
        &self,
        base: BlockNumber,
        before: Arc<dyn StateValues>,
        chain_id: &ChainId,
    ) -> Result<(BlockEnvironment, Arc<dyn StateValues>), QueryFailure> {
        let failed = |error| QueryFailure::Pending(PendingError::Field(error));
        let environment: BlockEnvironment =
            payload::decode("environment_json", &self.environment).map_err(failed)?;
        if environment.chain_id != *chain_id {
            let named = environment.chain_id.to_string();
            return Err(QueryFailure::Pending(PendingError::OtherChain { named }));
        }
        let (number, blocks) = (environment.number, self.state_diffs.len());
        let above = number.0.checked_sub(base.0).and_then(|above| usize::try_from(above).ok());
        if above != Some(blocks) {
            return Err(QueryFailure::Pending(PendingError::Number { number, base, blocks }));
        }
        let mut values = before;
        for diff in &self.state_diffs {
            let diff: ThinStateDiff = payload::decode("state_diffs_json", diff).map_err(failed)?;
            values = Arc::new(ChangedValues::new(values, &diff));
        }
        Ok((environment, values))
    }
}
