//! Sending transactions.

use std::sync::Arc;

use serde::Serialize;
use starknet_types_core::felt::Felt;

use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::params::Arguments;
use crate::rpc::number::FeltHex;
use crate::rpc::transaction::{Broadcast, BroadcastKind};
use crate::submit::{Submission, submit};

/// Result of `starknet_addInvokeTransaction`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct InvokeAccepted {
    transaction_hash: FeltHex,
}

/// Result of `starknet_addDeclareTransaction`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeclareAccepted {
    transaction_hash: FeltHex,
    class_hash: FeltHex,
}

/// Result of `starknet_addDeployAccountTransaction`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeployAccountAccepted {
    transaction_hash: FeltHex,
    contract_address: FeltHex,
}

pub async fn add_invoke(
    gateway: Arc<Gateway>,
    arguments: Arguments,
) -> Result<InvokeAccepted, RpcError> {
    let accepted = add(&gateway, arguments, BroadcastKind::Invoke, "invoke_transaction").await?;
    Ok(InvokeAccepted { transaction_hash: FeltHex(accepted.hash.0) })
}

pub async fn add_declare(
    gateway: Arc<Gateway>,
    arguments: Arguments,
) -> Result<DeclareAccepted, RpcError> {
    let accepted = add(&gateway, arguments, BroadcastKind::Declare, "declare_transaction").await?;
    let class_hash = accepted.class_hash.map_or(Felt::ZERO, |class| class.0);
    Ok(DeclareAccepted {
        transaction_hash: FeltHex(accepted.hash.0),
        class_hash: FeltHex(class_hash),
    })
}

pub async fn add_deploy_account(
    gateway: Arc<Gateway>,
    arguments: Arguments,
) -> Result<DeployAccountAccepted, RpcError> {
    const NAME: &str = "deploy_account_transaction";
    let accepted = add(&gateway, arguments, BroadcastKind::DeployAccount, NAME).await?;
    Ok(DeployAccountAccepted {
        transaction_hash: FeltHex(accepted.hash.0),
        contract_address: FeltHex(*accepted.sender.0.key()),
    })
}

async fn add(
    gateway: &Gateway,
    mut arguments: Arguments,
    kind: BroadcastKind,
    name: &'static str,
) -> Result<Submission, RpcError> {
    let broadcast = Broadcast::read(name, arguments.value(0)?)?;
    if broadcast.kind() != kind {
        return Err(RpcError::invalid(name, "the transaction is of another type"));
    }
    submit(gateway, broadcast, None).await
}
