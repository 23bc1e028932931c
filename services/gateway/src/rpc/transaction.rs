//! Transactions as they are sent (`BROADCASTED_TXN`) and as they stand in blocks (`TXN`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use starknet_api::block::GasPrice;
use starknet_api::core::{ClassHash, CompiledClassHash, Nonce};
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::execution_resources::GasAmount;
use starknet_api::transaction as api;
use starknet_api::transaction::fields::{
    AccountDeploymentData, AllResourceBounds, Calldata, ContractAddressSalt, PaymasterData,
    ProofFacts, Tip, TransactionSignature, ValidResourceBounds,
};
use starknet_types_core::felt::Felt;

use super::class::SierraClass;
use super::number::{AddressHex, FeltHex, U64Hex, U128Hex, felts, hexes};
use crate::error::RpcError;

/// `RESOURCE_BOUNDS`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct ResourceBounds {
    pub max_amount: U64Hex,
    /// In FRI.
    pub max_price_per_unit: U128Hex,
}

/// `RESOURCE_BOUNDS_MAPPING`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct ResourceBoundsMapping {
    pub l1_gas: ResourceBounds,
    pub l1_data_gas: ResourceBounds,
    pub l2_gas: ResourceBounds,
}

impl From<ResourceBoundsMapping> for ValidResourceBounds {
    fn from(bounds: ResourceBoundsMapping) -> Self {
        let one = |bound: ResourceBounds| starknet_api::transaction::fields::ResourceBounds {
            max_amount: GasAmount(bound.max_amount.0),
            max_price_per_unit: GasPrice(bound.max_price_per_unit.0),
        };
        Self::AllResources(AllResourceBounds {
            l1_gas: one(bounds.l1_gas),
            l1_data_gas: one(bounds.l1_data_gas),
            l2_gas: one(bounds.l2_gas),
        })
    }
}

impl From<ValidResourceBounds> for ResourceBoundsMapping {
    fn from(bounds: ValidResourceBounds) -> Self {
        let one = |bound: starknet_api::transaction::fields::ResourceBounds| ResourceBounds {
            max_amount: U64Hex(bound.max_amount.0),
            max_price_per_unit: U128Hex(bound.max_price_per_unit.0),
        };
        match bounds {
            ValidResourceBounds::AllResources(all) => Self {
                l1_gas: one(all.l1_gas),
                l1_data_gas: one(all.l1_data_gas),
                l2_gas: one(all.l2_gas),
            },
            ValidResourceBounds::L1Gas(l1_gas) => {
                let none = one(starknet_api::transaction::fields::ResourceBounds::default());
                Self { l1_gas: one(l1_gas), l1_data_gas: none, l2_gas: none }
            }
        }
    }
}

/// `DA_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DaMode {
    L1,
    L2,
}

impl From<DaMode> for DataAvailabilityMode {
    fn from(mode: DaMode) -> Self {
        match mode {
            DaMode::L1 => Self::L1,
            DaMode::L2 => Self::L2,
        }
    }
}

impl From<DataAvailabilityMode> for DaMode {
    fn from(mode: DataAvailabilityMode) -> Self {
        match mode {
            DataAvailabilityMode::L1 => Self::L1,
            DataAvailabilityMode::L2 => Self::L2,
        }
    }
}

/// The version of a broadcast transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastVersion {
    /// `0x3`.
    Three,
    /// 2^128 + 3: only for estimates and simulations; its signature is no signature of a real transaction.
    QueryThree,
}

/// What every broadcast transaction carries.
#[derive(Clone, Debug, Deserialize)]
struct BroadcastCommon {
    signature: Vec<FeltHex>,
    nonce: FeltHex,
    resource_bounds: ResourceBoundsMapping,
    tip: U64Hex,
    paymaster_data: Vec<FeltHex>,
    nonce_data_availability_mode: DaMode,
    fee_data_availability_mode: DaMode,
}

#[derive(Deserialize)]
struct InvokeFields {
    sender_address: AddressHex,
    calldata: Vec<FeltHex>,
    account_deployment_data: Vec<FeltHex>,
    #[serde(default)]
    proof_facts: Option<Vec<FeltHex>>,
    #[serde(default)]
    proof: Option<String>,
    #[serde(flatten)]
    common: BroadcastCommon,
}

#[derive(Deserialize)]
struct DeclareFields {
    sender_address: AddressHex,
    compiled_class_hash: FeltHex,
    contract_class: SierraClass,
    account_deployment_data: Vec<FeltHex>,
    #[serde(flatten)]
    common: BroadcastCommon,
}

#[derive(Deserialize)]
struct DeployAccountFields {
    class_hash: FeltHex,
    contract_address_salt: FeltHex,
    constructor_calldata: Vec<FeltHex>,
    #[serde(flatten)]
    common: BroadcastCommon,
}

/// `TXN_TYPE` of what can be broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastKind {
    Invoke,
    Declare,
    DeployAccount,
}

/// A `BROADCASTED_TXN` that was read.
#[derive(Clone, Debug)]
pub struct Broadcast {
    pub version: BroadcastVersion,
    pub transaction: api::Transaction,
    /// The class, of a declare.
    pub class: Option<Box<SierraClass>>,
}

impl Broadcast {
    /// Reads a transaction.
    ///
    /// A version that this chain does not take is told apart from a malformed body:
    /// [`RpcError::UnsupportedTransactionVersion`]. `field` is the parameter's name for error texts.
    pub fn read(field: &str, value: Value) -> Result<Self, RpcError> {
        let Some(object) = value.as_object() else {
            return Err(RpcError::invalid(field, "a transaction is an object"));
        };
        let text = |name: &str| match object.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(RpcError::invalid(field, format!("`{name}` is not text"))),
            None => Err(RpcError::invalid(field, format!("missing field `{name}`"))),
        };
        let kind = match text("type")? {
            "INVOKE" => BroadcastKind::Invoke,
            "DECLARE" => BroadcastKind::Declare,
            "DEPLOY_ACCOUNT" => BroadcastKind::DeployAccount,
            other => {
                return Err(RpcError::invalid(
                    field,
                    format!("no transaction of type {other:?} can be sent"),
                ));
            }
        };
        let version = super::number::parse_felt(text("version")?)
            .map_err(|problem| RpcError::invalid(field, format!("version: {problem}")))?;
        let version = if version == Felt::THREE {
            BroadcastVersion::Three
        } else if version == *api::QUERY_VERSION_BASE + Felt::THREE {
            BroadcastVersion::QueryThree
        } else {
            return Err(RpcError::UnsupportedTransactionVersion);
        };
        match kind {
            BroadcastKind::Invoke => Self::invoke(field, version, value),
            BroadcastKind::Declare => Self::declare(field, version, value),
            BroadcastKind::DeployAccount => Self::deploy_account(field, version, value),
        }
    }

    fn invoke(field: &str, version: BroadcastVersion, value: Value) -> Result<Self, RpcError> {
        let fields: InvokeFields =
            serde_json::from_value(value).map_err(|error| RpcError::invalid(field, error))?;
        // Proof facts came with protocol 0.14; version 0.13.5 has nowhere to put them.
        if fields.proof.is_some_and(|proof| !proof.is_empty())
            || fields.proof_facts.is_some_and(|facts| !facts.is_empty())
        {
            return Err(RpcError::InvalidProof);
        }
        let common = fields.common;
        let transaction = api::InvokeTransactionV3 {
            resource_bounds: common.resource_bounds.into(),
            tip: Tip(common.tip.0),
            signature: TransactionSignature(Arc::new(felts(&common.signature))),
            nonce: Nonce(common.nonce.0),
            sender_address: fields.sender_address.0,
            calldata: Calldata(Arc::new(felts(&fields.calldata))),
            nonce_data_availability_mode: common.nonce_data_availability_mode.into(),
            fee_data_availability_mode: common.fee_data_availability_mode.into(),
            paymaster_data: PaymasterData(felts(&common.paymaster_data)),
            account_deployment_data: AccountDeploymentData(felts(&fields.account_deployment_data)),
            proof_facts: ProofFacts::default(),
        };
        let transaction = api::Transaction::Invoke(api::InvokeTransaction::V3(transaction));
        Ok(Self { version, transaction, class: None })
    }

    fn declare(field: &str, version: BroadcastVersion, value: Value) -> Result<Self, RpcError> {
        let fields: DeclareFields =
            serde_json::from_value(value).map_err(|error| RpcError::invalid(field, error))?;
        let common = fields.common;
        let transaction = api::DeclareTransactionV3 {
            resource_bounds: common.resource_bounds.into(),
            tip: Tip(common.tip.0),
            signature: TransactionSignature(Arc::new(felts(&common.signature))),
            nonce: Nonce(common.nonce.0),
            // Filled in by whoever has hashed the class; hashing a class is too much work for a parser.
            class_hash: ClassHash::default(),
            compiled_class_hash: CompiledClassHash(fields.compiled_class_hash.0),
            sender_address: fields.sender_address.0,
            nonce_data_availability_mode: common.nonce_data_availability_mode.into(),
            fee_data_availability_mode: common.fee_data_availability_mode.into(),
            paymaster_data: PaymasterData(felts(&common.paymaster_data)),
            account_deployment_data: AccountDeploymentData(felts(&fields.account_deployment_data)),
        };
        let transaction = api::Transaction::Declare(api::DeclareTransaction::V3(transaction));
        Ok(Self { version, transaction, class: Some(Box::new(fields.contract_class)) })
    }

    fn deploy_account(
        field: &str,
        version: BroadcastVersion,
        value: Value,
    ) -> Result<Self, RpcError> {
        let fields: DeployAccountFields =
            serde_json::from_value(value).map_err(|error| RpcError::invalid(field, error))?;
        let common = fields.common;
        let transaction = api::DeployAccountTransactionV3 {
            resource_bounds: common.resource_bounds.into(),
            tip: Tip(common.tip.0),
            signature: TransactionSignature(Arc::new(felts(&common.signature))),
            nonce: Nonce(common.nonce.0),
            class_hash: ClassHash(fields.class_hash.0),
            contract_address_salt: ContractAddressSalt(fields.contract_address_salt.0),
            constructor_calldata: Calldata(Arc::new(felts(&fields.constructor_calldata))),
            nonce_data_availability_mode: common.nonce_data_availability_mode.into(),
            fee_data_availability_mode: common.fee_data_availability_mode.into(),
            paymaster_data: PaymasterData(felts(&common.paymaster_data)),
        };
        let transaction =
            api::Transaction::DeployAccount(api::DeployAccountTransaction::V3(transaction));
        Ok(Self { version, transaction, class: None })
    }

    pub fn kind(&self) -> BroadcastKind {
        match self.transaction {
            api::Transaction::Declare(_) => BroadcastKind::Declare,
            api::Transaction::DeployAccount(_) => BroadcastKind::DeployAccount,
            _ => BroadcastKind::Invoke,
        }
    }
}

/// `TXN` of version 3, the only one that this chain's blocks hold.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Transaction {
    #[serde(rename = "INVOKE")]
    Invoke {
        sender_address: FeltHex,
        calldata: Vec<FeltHex>,
        account_deployment_data: Vec<FeltHex>,
        /// Empty, when the caller asked for it: no transaction of this protocol version has any.
        #[serde(skip_serializing_if = "Option::is_none")]
        proof_facts: Option<Vec<FeltHex>>,
        #[serde(flatten)]
        common: Common,
    },
    #[serde(rename = "DECLARE")]
    Declare {
        sender_address: FeltHex,
        class_hash: FeltHex,
        compiled_class_hash: FeltHex,
        account_deployment_data: Vec<FeltHex>,
        #[serde(flatten)]
        common: Common,
    },
    #[serde(rename = "DEPLOY_ACCOUNT")]
    DeployAccount {
        class_hash: FeltHex,
        contract_address_salt: FeltHex,
        constructor_calldata: Vec<FeltHex>,
        #[serde(flatten)]
        common: Common,
    },
}

/// The fields that all three kinds have.
#[derive(Clone, Debug, Serialize)]
pub struct Common {
    pub version: &'static str,
    pub signature: Vec<FeltHex>,
    pub nonce: FeltHex,
    pub resource_bounds: ResourceBoundsMapping,
    pub tip: U64Hex,
    pub paymaster_data: Vec<FeltHex>,
    pub nonce_data_availability_mode: DaMode,
    pub fee_data_availability_mode: DaMode,
}

/// `TXN_WITH_HASH`.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionWithHash {
    pub transaction_hash: FeltHex,
    #[serde(flatten)]
    pub transaction: Transaction,
}

/// `TXN_RESPONSE_FLAG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TransactionResponseFlag {
    #[serde(rename = "INCLUDE_PROOF_FACTS")]
    IncludeProofFacts,
}

/// A stored transaction that JSON-RPC 0.10 cannot show as this chain's.
#[derive(Debug, thiserror::Error)]
#[error("a stored transaction has version {0}, this chain takes version 3 only")]
pub struct UnexpectedVersion(pub String);

impl Transaction {
    /// The RPC shape of a stored transaction. `with_proof_facts`: the caller gave `INCLUDE_PROOF_FACTS`.
    pub fn new(
        transaction: &api::Transaction,
        with_proof_facts: bool,
    ) -> Result<Self, UnexpectedVersion> {
        Ok(match transaction {
            api::Transaction::Invoke(api::InvokeTransaction::V3(tx)) => Self::Invoke {
                sender_address: FeltHex(*tx.sender_address.0.key()),
                calldata: hexes(&tx.calldata.0),
                account_deployment_data: hexes(&tx.account_deployment_data.0),
                proof_facts: with_proof_facts.then(|| hexes(&tx.proof_facts.0)),
                common: Common {
                    version: "0x3",
                    signature: hexes(&tx.signature.0),
                    nonce: FeltHex(tx.nonce.0),
                    resource_bounds: tx.resource_bounds.into(),
                    tip: U64Hex(tx.tip.0),
                    paymaster_data: hexes(&tx.paymaster_data.0),
                    nonce_data_availability_mode: tx.nonce_data_availability_mode.into(),
                    fee_data_availability_mode: tx.fee_data_availability_mode.into(),
                },
            },
            api::Transaction::Declare(api::DeclareTransaction::V3(tx)) => Self::Declare {
                sender_address: FeltHex(*tx.sender_address.0.key()),
                class_hash: FeltHex(tx.class_hash.0),
                compiled_class_hash: FeltHex(tx.compiled_class_hash.0),
                account_deployment_data: hexes(&tx.account_deployment_data.0),
                common: Common {
                    version: "0x3",
                    signature: hexes(&tx.signature.0),
                    nonce: FeltHex(tx.nonce.0),
                    resource_bounds: tx.resource_bounds.into(),
                    tip: U64Hex(tx.tip.0),
                    paymaster_data: hexes(&tx.paymaster_data.0),
                    nonce_data_availability_mode: tx.nonce_data_availability_mode.into(),
                    fee_data_availability_mode: tx.fee_data_availability_mode.into(),
                },
            },
            api::Transaction::DeployAccount(api::DeployAccountTransaction::V3(tx)) => {
                Self::DeployAccount {
                    class_hash: FeltHex(tx.class_hash.0),
                    contract_address_salt: FeltHex(tx.contract_address_salt.0),
                    constructor_calldata: hexes(&tx.constructor_calldata.0),
                    common: Common {
                        version: "0x3",
                        signature: hexes(&tx.signature.0),
                        nonce: FeltHex(tx.nonce.0),
                        resource_bounds: tx.resource_bounds.into(),
                        tip: U64Hex(tx.tip.0),
                        paymaster_data: hexes(&tx.paymaster_data.0),
                        nonce_data_availability_mode: tx.nonce_data_availability_mode.into(),
                        fee_data_availability_mode: tx.fee_data_availability_mode.into(),
                    },
                }
            }
            other => return Err(UnexpectedVersion(format!("{:#x}", other.version().0))),
        })
    }
}
