//! Classes: what was declared, and what it was compiled to.

use std::sync::Arc;

use serde_json::Value;
use sidereal_object_store::ObjectKey;
use starknet_api::core::ClassHash;

use crate::classes::{blocking, read_stored};
use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::open_state::StateView;
use crate::params::Arguments;
use crate::rpc::class::SierraClass;
use crate::rpc::number::{AddressHex, FeltHex};

/// A CASM written as JSON is some ten times its bytecode; its bound is the response's own.
const MAX_STORED_JSON: usize = 64 << 20;

pub async fn class(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<SierraClass, RpcError> {
    let id = arguments.required(0)?;
    let class: FeltHex = arguments.required(1)?;
    let state = gateway.state(id).await?;
    declared_class(&gateway, ClassHash(class.0), &state).await
}

pub async fn class_at(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<SierraClass, RpcError> {
    let id = arguments.required(0)?;
    let AddressHex(address) = arguments.required(1)?;
    let state = gateway.state(id).await?;
    let class = state.class_hash(&gateway, &address).await?;
    declared_class(&gateway, class, &state).await
}

async fn declared_class(
    gateway: &Gateway,
    class: ClassHash,
    state: &StateView,
) -> Result<SierraClass, RpcError> {
    state.check_declared(gateway, &class).await?;
    let key = ObjectKey::sierra_class(class.0);
    let json = stored(gateway, &key).await?;
    blocking("parse a class", move || serde_json::from_slice(&json))
        .await?
        .map_err(|error| RpcError::internal("parse a class", &error))
}

pub async fn compiled_casm(
    gateway: Arc<Gateway>,
    mut arguments: Arguments,
) -> Result<Value, RpcError> {
    let class: FeltHex = arguments.required(0)?;
    let declared = gateway.store().declared_class(&ClassHash(class.0)).await;
    declared
        .map_err(|error| RpcError::store("find a class", &error))?
        .ok_or(RpcError::ClassHashNotFound)?;
    let json = stored(&gateway, &ObjectKey::casm_class(class.0)).await?;
    let casm = blocking("parse a class", move || serde_json::from_slice::<Value>(&json))
        .await?
        .map_err(|error| RpcError::internal("parse a class", &error))?;
    Ok(specified_casm(casm))
}

/// The compiler's JSON with what the specification has another form for.
fn specified_casm(mut casm: Value) -> Value {
    if let Some(object) = casm.as_object_mut() {
        // The compiler writes a bytecode of one segment as a number, the specification wants a list.
        if let Some(lengths) = object.get_mut("bytecode_segment_lengths")
            && lengths.is_number()
        {
            *lengths = Value::Array(vec![lengths.take()]);
        }
        object.remove("pythonic_hints");
    }
    casm
}

async fn stored(gateway: &Gateway, key: &ObjectKey) -> Result<Vec<u8>, RpcError> {
    read_stored(gateway.objects(), key, MAX_STORED_JSON).await?.ok_or_else(|| {
        tracing::error!(%key, "a declared class is missing from the object store");
        RpcError::Internal { operation: "find a declared class" }
    })
}
