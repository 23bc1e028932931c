//! The open blocks as the sequencer shows them.

use sidereal_chain_store::{BlockSelector, StoredBlock, StoredReceipt, StoredTransaction};
use sidereal_execution::block::{BlockEnvironment, PROTOCOL_VERSION_NAME};
use sidereal_proto::sequencer::GetPreConfirmedBlockRequest;
use sidereal_proto::sequencer::get_pre_confirmed_block_response::Block as WireBlock;
use sidereal_proto::{payload, transaction as wire};
use starknet_api::state::ThinStateDiff;

use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::rpc::block::OpenHeader;
use crate::rpc::number::FeltHex;

const OPERATION: &str = "read the open blocks";

/// A block that is not in the chain store, so far.
pub struct PreConfirmed {
    pub header: OpenHeader,
    pub transactions: Vec<StoredTransaction>,
    /// One a transaction, in the same order.
    pub receipts: Vec<StoredReceipt>,
    /// What they changed, and the block's opening.
    pub state_diff: ThinStateDiff,
}

impl PreConfirmed {
    /// The block after the latest one. The sequencer shows the block to come when none is open.
    pub async fn load(gateway: &Gateway) -> Result<Self, RpcError> {
        let (latest, open) = ask(gateway).await?;
        match open.into_iter().next() {
            Some(block) => Self::read(block),
            None => Ok(Self::empty(&latest)),
        }
    }

    /// All blocks after the latest one, in the order of their numbers; at least one, as [`Self::load`] has it.
    pub async fn load_all(gateway: &Gateway) -> Result<Vec<Self>, RpcError> {
        let (latest, open) = ask(gateway).await?;
        if open.is_empty() {
            return Ok(vec![Self::empty(&latest)]);
        }
        open.into_iter().map(Self::read).collect()
    }

    fn read(block: WireBlock) -> Result<Self, RpcError> {
        let conversion =
            |error: sidereal_proto::ConversionError| RpcError::internal(OPERATION, &error);
        let environment: BlockEnvironment =
            payload::decode("environment_json", &block.environment_json).map_err(conversion)?;
        let transactions: Vec<StoredTransaction> = block
            .transactions
            .into_iter()
            .map(|transaction| {
                let received = wire::from_wire(transaction).map_err(conversion)?;
                let hash =
                    received.claimed_hash.ok_or(RpcError::Internal { operation: OPERATION })?;
                Ok(StoredTransaction { hash, transaction: received.transaction })
            })
            .collect::<Result<_, RpcError>>()?;
        let receipts: Vec<StoredReceipt> = block
            .receipts_json
            .iter()
            .map(|receipt| payload::decode("receipts_json", receipt).map_err(conversion))
            .collect::<Result<_, RpcError>>()?;
        if receipts.len() != transactions.len() {
            tracing::error!(
                "the sequencer's open block has another number of receipts than of transactions"
            );
            return Err(RpcError::Internal { operation: OPERATION });
        }
        let state_diff =
            payload::decode("state_diff_json", &block.state_diff_json).map_err(conversion)?;
        Ok(Self { header: open_header(&environment), transactions, receipts, state_diff })
    }

    fn empty(parent: &StoredBlock) -> Self {
        let header = &parent.header;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let header = OpenHeader {
            block_number: header.block_number.0.saturating_add(1),
            timestamp: now.max(header.timestamp.0),
            sequencer_address: FeltHex(*header.sequencer.0.0.key()),
            l1_gas_price: header.l1_gas_price.into(),
            l2_gas_price: header.l2_gas_price.into(),
            l1_data_gas_price: header.l1_data_gas_price.into(),
            l1_da_mode: header.l1_da_mode.into(),
            starknet_version: PROTOCOL_VERSION_NAME.to_owned(),
        };
        let (transactions, receipts) = (Vec::new(), Vec::new());
        Self { header, transactions, receipts, state_diff: ThinStateDiff::default() }
    }
}

/// The latest block, and those that the sequencer has after it.
async fn ask(gateway: &Gateway) -> Result<(StoredBlock, Vec<WireBlock>), RpcError> {
    let latest = gateway.closed_block(BlockSelector::Latest).await?;
    let answer = gateway
        .sequencer()
        .get_pre_confirmed_block(GetPreConfirmedBlockRequest {})
        .await
        .map_err(|status| RpcError::service(OPERATION, &status))?
        .into_inner();
    let first = answer.block.ok_or(RpcError::Internal { operation: OPERATION })?;
    let mut open = vec![first];
    open.extend(answer.later);
    // One that was closed while we asked is not open any more. If there is no other one, the block to come has nearly the
    // prices of the latest.
    open.retain(|block| block.number > latest.number().0);
    Ok((latest, open))
}

fn open_header(environment: &BlockEnvironment) -> OpenHeader {
    OpenHeader {
        block_number: environment.number.0,
        timestamp: environment.timestamp.0,
        sequencer_address: FeltHex(*environment.sequencer_address.0.key()),
        l1_gas_price: environment.l1_gas_price.into(),
        l2_gas_price: environment.l2_gas_price.into(),
        l1_data_gas_price: environment.l1_data_gas_price.into(),
        l1_da_mode: environment.l1_da_mode.into(),
        starknet_version: PROTOCOL_VERSION_NAME.to_owned(),
    }
}
