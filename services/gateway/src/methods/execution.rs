//! Calls, estimates and simulations: an executor runs them, over the state that the block id stands for.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use sidereal_execution::query::{QueryError, SimulatedTransaction};
use sidereal_proto::executor::{CallRequest, SimulateRequest};
use sidereal_proto::{felt as wire_felt, payload, transaction as wire};

use super::traces::specified_trace;
use crate::classes::TakenClass;
use crate::error::{ExecutionFailure, RpcError};
use crate::gateway::Gateway;
use crate::params::Arguments;
use crate::rpc::fee::{
    EstimateFlag, FeeEstimate, FunctionCall, MessageFromL1, PriceUnit, SimulationFlag,
};
use crate::rpc::number::{FeltHex, U64Hex, U128Hex, hexes};
use crate::rpc::transaction::{Broadcast, BroadcastVersion};
use crate::submit::take_class;
use crate::validation;

pub async fn call(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Vec<FeltHex>, RpcError> {
    const OPERATION: &str = "call a contract";
    let request: FunctionCall = arguments.required(0)?;
    let id = arguments.required(1)?;
    bounded_calldata(&gateway, "request.calldata", request.calldata.len())?;
    let state = gateway.state(id).await?;
    let request = CallRequest {
        at: Some(state.wire()),
        contract_address: wire_felt::felt_bytes(request.contract_address.0.0.key()),
        entry_point_selector: wire_felt::felt_bytes(&request.entry_point_selector.0),
        calldata: request.calldata.iter().map(|felt| wire_felt::felt_bytes(&felt.0)).collect(),
    };
    let answer = gateway
        .executor()
        .call(request)
        .await
        .map_err(|status| query_error(OPERATION, &status))?
        .into_inner();
    let result = wire_felt::felts("result", &answer.result)
        .map_err(|error| RpcError::internal(OPERATION, &error))?;
    Ok(hexes(&result))
}

pub async fn estimate_fee(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Vec<FeeEstimate>, RpcError> {
    let transactions = broadcasts(&gateway, &mut arguments, 0, "request")?;
    let flags: Vec<EstimateFlag> = arguments.required(1)?;
    let id = arguments.required(2)?;
    let state = gateway.state(id).await?;
    let mut request = SimulateRequest {
        at: Some(state.wire()),
        skip_validate: flags.contains(&EstimateFlag::SkipValidate),
        // The bounds of a transaction that is being estimated are not known yet.
        skip_fee_charge: true,
        with_traces: false,
        fail_on_revert: true,
        ..SimulateRequest::default()
    };
    put_transactions(&gateway, transactions, &mut request).await?;
    let simulated: Vec<SimulatedTransaction> = run(&gateway, "estimate fees", request).await?;
    Ok(simulated.iter().map(|transaction| fee_estimate(&transaction.fee_estimation)).collect())
}

/// One element of the result of `starknet_simulateTransactions`.
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    transaction_trace: Value,
    fee_estimation: FeeEstimate,
}

pub async fn simulate(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Vec<Simulated>, RpcError> {
    const OPERATION: &str = "simulate transactions";
    let id = arguments.required(0)?;
    let transactions = broadcasts(&gateway, &mut arguments, 1, "transactions")?;
    let flags: Vec<SimulationFlag> = arguments.required(2)?;
    if flags.contains(&SimulationFlag::ReturnInitialReads) {
        let problem =
            "RETURN_INITIAL_READS is not supported: executors do not answer what was read";
        return Err(RpcError::invalid("simulation_flags", problem));
    }
    let state = gateway.state(id).await?;
    let mut request = SimulateRequest {
        at: Some(state.wire()),
        skip_validate: flags.contains(&SimulationFlag::SkipValidate),
        skip_fee_charge: flags.contains(&SimulationFlag::SkipFeeCharge),
        with_traces: true,
        fail_on_revert: false,
        ..SimulateRequest::default()
    };
    put_transactions(&gateway, transactions, &mut request).await?;
    let simulated: Vec<SimulatedTransaction> = run(&gateway, OPERATION, request).await?;
    simulated
        .into_iter()
        .map(|transaction| {
            let trace =
                transaction.transaction_trace.ok_or(RpcError::Internal { operation: OPERATION })?;
            Ok(Simulated {
                transaction_trace: specified_trace(OPERATION, &trace)?,
                fee_estimation: fee_estimate(&transaction.fee_estimation),
            })
        })
        .collect()
}

/// Messages from L1 are not executed by this chain yet, so nobody can say what one would cost.
pub async fn estimate_message_fee(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<FeeEstimate, RpcError> {
    let message: MessageFromL1 = arguments.required(0)?;
    let id = arguments.required(1)?;
    bounded_calldata(&gateway, "message.payload", message.payload.len())?;
    let state = gateway.state(id).await?;
    state.class_hash(&gateway, &message.to_address.0).await?;
    Err(RpcError::ContractError {
        revert_error: ExecutionFailure::Message(
            "messages from L1 are not executed by this chain yet".to_owned(),
        ),
    })
}

fn bounded_calldata(gateway: &Gateway, field: &str, length: usize) -> Result<(), RpcError> {
    let limit = gateway.limits().max_calldata;
    if length > limit {
        return Err(RpcError::invalid(field, format!("{length} felts, {limit} are allowed")));
    }
    Ok(())
}

/// Reads the transactions of an estimate or a simulation.
fn broadcasts(
    gateway: &Gateway,
    arguments: &mut Arguments,
    index: usize,
    name: &str,
) -> Result<Vec<Broadcast>, RpcError> {
    let values: Vec<Value> = arguments.required(index)?;
    let limit = gateway.limits().max_simulated_transactions;
    if values.len() > limit {
        let problem = format!("{} transactions, {limit} are allowed", values.len());
        return Err(RpcError::invalid(name, problem));
    }
    values
        .into_iter()
        .enumerate()
        .map(|(position, value)| {
            let field = format!("{name}[{position}]");
            // These methods have no error for a version, so it is a wrong parameter like any other.
            Broadcast::read(&field, value).map_err(|error| match error {
                RpcError::UnsupportedTransactionVersion => RpcError::invalid(
                    &field,
                    "only version 3 (0x3, or 0x100000000000000000000000000000003) is supported",
                ),
                RpcError::InvalidProof => {
                    RpcError::invalid(&field, "proofs are not in this protocol version")
                }
                error => error,
            })
        })
        .collect()
}

/// Compiles the classes of declares, hashes the transactions as they were signed, and writes both into the request.
async fn put_transactions(
    gateway: &Gateway,
    broadcasts: Vec<Broadcast>,
    request: &mut SimulateRequest,
) -> Result<(), RpcError> {
    for (index, broadcast) in broadcasts.into_iter().enumerate() {
        let version: BroadcastVersion = broadcast.version;
        let (transaction, class) =
            take_class(gateway, broadcast).await.map_err(|error| class_refused(index, error))?;
        let hash = validation::transaction_hash(&transaction, version, gateway.chain_id())?;
        let transaction = wire::to_wire(&hash, &transaction)
            .map_err(|error| RpcError::invalid("transaction", error))?;
        request.transactions.push(transaction);
        request.classes.extend(class.as_ref().and_then(TakenClass::to_wire));
    }
    Ok(())
}

/// A class that cannot be declared is a transaction that cannot be executed: the errors of submission are
/// not among those of estimates and simulations.
fn class_refused(index: usize, error: RpcError) -> RpcError {
    let message = match &error {
        RpcError::CompilationFailed(message) => format!("{error}: {message}"),
        RpcError::CompiledClassHashMismatch
        | RpcError::ContractClassSizeIsTooLarge
        | RpcError::UnsupportedContractClassVersion => error.to_string(),
        _ => return error,
    };
    RpcError::TransactionExecution {
        transaction_index: index,
        execution_error: ExecutionFailure::Message(message),
    }
}

async fn run(
    gateway: &Gateway,
    operation: &'static str,
    request: SimulateRequest,
) -> Result<Vec<SimulatedTransaction>, RpcError> {
    let expected = request.transactions.len();
    let answer = gateway
        .executor()
        .simulate(request)
        .await
        .map_err(|status| query_error(operation, &status))?
        .into_inner();
    let simulated: Vec<SimulatedTransaction> =
        payload::decode("simulated_json", &answer.simulated_json)
            .map_err(|error| RpcError::internal(operation, &error))?;
    if simulated.len() != expected {
        tracing::error!(expected, answered = simulated.len(), "an executor left transactions out");
        return Err(RpcError::Internal { operation });
    }
    Ok(simulated)
}

fn fee_estimate(estimate: &sidereal_execution::query::FeeEstimate) -> FeeEstimate {
    FeeEstimate {
        l1_gas_consumed: U64Hex(estimate.l1_gas_consumed.0),
        l1_gas_price: U128Hex(estimate.l1_gas_price.0),
        l2_gas_consumed: U64Hex(estimate.l2_gas_consumed.0),
        l2_gas_price: U128Hex(estimate.l2_gas_price.0),
        l1_data_gas_consumed: U64Hex(estimate.l1_data_gas_consumed.0),
        l1_data_gas_price: U128Hex(estimate.l1_data_gas_price.0),
        overall_fee: U128Hex(estimate.overall_fee.0),
        unit: PriceUnit::Fri,
    }
}

/// The RPC error for an executor's refusal, which carries its own error in the details, its words shortened if need be.
pub fn query_error(operation: &'static str, status: &tonic::Status) -> RpcError {
    let Ok(error) = serde_json::from_slice::<QueryError>(status.details()) else {
        return match status.code() {
            tonic::Code::NotFound => RpcError::BlockNotFound,
            tonic::Code::InvalidArgument => RpcError::invalid("request", status.message()),
            _ => RpcError::service(operation, status),
        };
    };
    match error {
        QueryError::ContractNotFound { .. } => RpcError::ContractNotFound,
        QueryError::EntrypointNotFound { .. } => RpcError::EntrypointNotFound,
        QueryError::ContractError { message, .. } => {
            RpcError::ContractError { revert_error: ExecutionFailure::Message(message) }
        }
        QueryError::TransactionExecution { index, message, .. } => RpcError::TransactionExecution {
            transaction_index: index,
            execution_error: ExecutionFailure::Message(message),
        },
        error @ QueryError::Internal { .. } => RpcError::internal(operation, &error),
    }
}
