//! Traces of closed blocks: an executor runs the block again over its parent's state.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use sidereal_chain_store::BlockSelector;
use sidereal_execution::trace::{TransactionTrace, TransactionTraceEntry};
use sidereal_proto::executor::TraceBlockRequest;
use sidereal_proto::payload;
use starknet_api::block::BlockNumber;

use super::execution::query_error;
use super::transactions::{KnownStatus, located, transaction_status};
use crate::error::{RpcError, UntracedStatus};
use crate::gateway::{Gateway, Resolved};
use crate::params::Arguments;
use crate::rpc::block_id::{BlockId, BlockTag};
use crate::rpc::fee::TraceFlag;
use crate::rpc::number::FeltHex;

const OPERATION: &str = "trace a block";

/// One element of the result of `starknet_traceBlockTransactions`.
#[derive(Clone, Debug, Serialize)]
pub struct Traced {
    transaction_hash: FeltHex,
    trace_root: Value,
}

pub async fn transaction(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Value, RpcError> {
    let hash: FeltHex = arguments.required(0)?;
    let Some(located) = located(&gateway, hash.0).await? else {
        return Err(match transaction_status(&gateway, hash.0).await? {
            KnownStatus::Rejected { .. } => {
                RpcError::NoTraceAvailable { status: UntracedStatus::Rejected }
            }
            // Before its block is closed a transaction has been received, whatever else happened to it.
            KnownStatus::Alive { .. } => {
                RpcError::NoTraceAvailable { status: UntracedStatus::Received }
            }
        });
    };
    let traces = traces(&gateway, located.position.block_number).await?;
    let trace = traces.into_iter().find(|entry| entry.transaction_hash.0 == hash.0);
    let trace = trace.ok_or(RpcError::Internal { operation: OPERATION })?;
    specified_trace(OPERATION, &trace.trace_root)
}

pub async fn block(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Vec<Traced>, RpcError> {
    let id = arguments.required(0)?;
    if id == BlockId::Tag(BlockTag::PreConfirmed) {
        return Err(RpcError::invalid("block_id", "only closed blocks are traced"));
    }
    let flags: Option<Vec<TraceFlag>> = arguments.optional(1)?;
    if flags.is_some_and(|flags| flags.contains(&TraceFlag::ReturnInitialReads)) {
        let problem =
            "RETURN_INITIAL_READS is not supported: executors do not answer what was read";
        return Err(RpcError::invalid("trace_flags", problem));
    }
    let number = match gateway.resolve(id).await? {
        Resolved::Closed(block) => block.number(),
        Resolved::PreConfirmed(_) => return Err(RpcError::BlockNotFound),
    };
    traces(&gateway, number)
        .await?
        .iter()
        .map(|entry| {
            Ok(Traced {
                transaction_hash: FeltHex(entry.transaction_hash.0),
                trace_root: specified_trace(OPERATION, &entry.trace_root)?,
            })
        })
        .collect()
}

async fn traces(
    gateway: &Gateway,
    number: BlockNumber,
) -> Result<Vec<TransactionTraceEntry>, RpcError> {
    let block = gateway.closed_block(BlockSelector::Number(number)).await?;
    // The genesis block has no parent to run over, and empty blocks nothing to run.
    if block.transaction_count == 0 {
        return Ok(Vec::new());
    }
    let answer = gateway
        .executor()
        .trace_block(TraceBlockRequest { block_number: number.0 })
        .await
        .map_err(|status| query_error(OPERATION, &status))?
        .into_inner();
    payload::decode("traces_json", &answer.traces_json)
        .map_err(|error| RpcError::internal(OPERATION, &error))
}

/// A trace in the specification's form, whose ordered events have no emitter: it is the contract called.
pub fn specified_trace(
    operation: &'static str,
    trace: &TransactionTrace,
) -> Result<Value, RpcError> {
    let mut value =
        serde_json::to_value(trace).map_err(|error| RpcError::internal(operation, &error))?;
    for name in [
        "validate_invocation",
        "execute_invocation",
        "constructor_invocation",
        "fee_transfer_invocation",
    ] {
        if let Some(invocation) = value.get_mut(name) {
            drop_emitters(invocation);
        }
    }
    Ok(value)
}

/// As deep as the calls were, which execution bounds.
fn drop_emitters(invocation: &mut Value) {
    if let Some(events) = invocation.get_mut("events").and_then(Value::as_array_mut) {
        for event in events.iter_mut().filter_map(Value::as_object_mut) {
            event.remove("from_address");
        }
    }
    if let Some(calls) = invocation.get_mut("calls").and_then(Value::as_array_mut) {
        calls.iter_mut().for_each(drop_emitters);
    }
}
