//! The chain as a whole.

use std::sync::Arc;

use crate::error::RpcError;
use crate::gateway::{Gateway, chain_id_felt};
use crate::params::Arguments;
use crate::rpc::block::BlockHashAndNumber;
use crate::rpc::number::FeltHex;

/// The version of the OpenRPC files that responses follow.
pub const SPEC_VERSION: &str = "0.10.3";

pub async fn spec_version(_: Arc<Gateway>, _: Arguments) -> Result<&'static str, RpcError> {
    Ok(SPEC_VERSION)
}

pub async fn chain_id(gateway: Arc<Gateway>, _: Arguments) -> Result<FeltHex, RpcError> {
    // Checked when the gateway starts.
    chain_id_felt(gateway.chain_id())
        .map(FeltHex)
        .ok_or(RpcError::Internal { operation: "write the chain id" })
}

/// Always `false`: the gateway reads the sequencer's own database, there is nothing to catch up with.
pub async fn syncing(_: Arc<Gateway>, _: Arguments) -> Result<bool, RpcError> {
    Ok(false)
}

pub async fn block_number(gateway: Arc<Gateway>, arguments: Arguments) -> Result<u64, RpcError> {
    block_hash_and_number(gateway, arguments).await.map(|head| head.block_number)
}

pub async fn block_hash_and_number(
    gateway: Arc<Gateway>,
    _: Arguments,
) -> Result<BlockHashAndNumber, RpcError> {
    let head = gateway.store().head().await;
    let head = head.map_err(|error| RpcError::store("read the head", &error))?;
    let head = head.ok_or(RpcError::NoBlocks)?;
    Ok(BlockHashAndNumber { block_hash: FeltHex(head.hash.0), block_number: head.number.0 })
}
