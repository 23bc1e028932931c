//! What can be said about a transaction without any state.

use starknet_api::StarknetApiError;
use starknet_api::core::{ChainId, ContractAddress};
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::transaction::fields::{
    AllResourceBounds, Calldata, TransactionSignature, ValidResourceBounds,
};
use starknet_api::transaction::{
    CalculateContractAddress as _, DeclareTransaction, DeployAccountTransaction, InvokeTransaction,
    QUERY_VERSION_BASE, Transaction, TransactionHash, TransactionHasher as _, TransactionVersion,
};
use starknet_types_core::felt::Felt;

use crate::limits::Limits;
use crate::rpc::transaction::BroadcastVersion;

/// Why a transaction is refused before anybody looks at the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    #[error("transactions of this kind and version are not taken")]
    UnsupportedVersion,
    #[error("{field} has {length} felts, {limit} are allowed")]
    TooLong { field: &'static str, length: usize, limit: usize },
    #[error("the resource bounds are all zero")]
    NoResources,
    #[error("resource_bounds.l2_gas.max_amount is {amount}, {limit} is allowed")]
    TooMuchL2Gas { amount: u64, limit: u64 },
    #[error("the resource bounds allow a fee above 2^128 - 1")]
    FeeOverflow,
    #[error("{field} must be L1: other data availability modes are not in this protocol version")]
    DataAvailabilityMode { field: &'static str },
    #[error("{field} must be empty: it is reserved in this protocol version")]
    Reserved { field: &'static str },
    #[error("{0:#x} cannot be an account: addresses 0 to 3 are the protocol's own")]
    ReservedAddress(Felt),
    #[error("its hash or address cannot be computed: {0}")]
    Malformed(String),
}

/// Checks a transaction of version 3 that is to be submitted.
pub fn validate(transaction: &Transaction, limits: &Limits) -> Result<(), ValidationError> {
    let fields = Fields::of(transaction)?;
    let bounded = |field, length, limit| {
        if length > limit {
            return Err(ValidationError::TooLong { field, length, limit });
        }
        Ok(())
    };
    bounded("signature", fields.signature.0.len(), limits.max_signature)?;
    if let Some((field, calldata)) = fields.calldata {
        bounded(field, calldata.0.len(), limits.max_calldata)?;
    }
    for (field, empty) in [
        ("paymaster_data", fields.paymaster_data_is_empty),
        ("account_deployment_data", fields.account_deployment_data_is_empty),
    ] {
        if !empty {
            return Err(ValidationError::Reserved { field });
        }
    }
    for (field, mode) in [
        ("nonce_data_availability_mode", fields.nonce_mode),
        ("fee_data_availability_mode", fields.fee_mode),
    ] {
        if mode != DataAvailabilityMode::L1 {
            return Err(ValidationError::DataAvailabilityMode { field });
        }
    }
    check_bounds(&fields.resource_bounds, fields.tip, limits)?;
    check_sender(sender(transaction)?)
}

fn check_bounds(
    bounds: &AllResourceBounds,
    tip: u64,
    limits: &Limits,
) -> Result<(), ValidationError> {
    if [bounds.l1_gas, bounds.l1_data_gas, bounds.l2_gas]
        .iter()
        .all(|bound| bound.max_amount.0 == 0 || bound.max_price_per_unit.0 == 0)
    {
        return Err(ValidationError::NoResources);
    }
    let amount = bounds.l2_gas.max_amount.0;
    if amount > limits.max_l2_gas {
        return Err(ValidationError::TooMuchL2Gas { amount, limit: limits.max_l2_gas });
    }
    // The tip is paid per unit of L2 gas. The protocol computes the highest fee in 128 bits.
    let highest = [
        (bounds.l1_gas.max_amount.0, bounds.l1_gas.max_price_per_unit.0, 0),
        (bounds.l1_data_gas.max_amount.0, bounds.l1_data_gas.max_price_per_unit.0, 0),
        (amount, bounds.l2_gas.max_price_per_unit.0, u128::from(tip)),
    ]
    .into_iter()
    .try_fold(0_u128, |sum, (amount, price, tip)| {
        price.checked_add(tip)?.checked_mul(amount.into())?.checked_add(sum)
    });
    highest.map(|_| ()).ok_or(ValidationError::FeeOverflow)
}

fn check_sender(sender: ContractAddress) -> Result<(), ValidationError> {
    let address = *sender.0.key();
    // 0 stands for "no caller"; 1 holds block hashes, 2 the aliases of stateful compression, 3 is kept free.
    if address <= Felt::THREE {
        return Err(ValidationError::ReservedAddress(address));
    }
    sender.validate().map_err(|error| ValidationError::Malformed(error.to_string()))
}

/// The account that a transaction is sent from; of a deploy-account the one it creates.
pub fn sender(transaction: &Transaction) -> Result<ContractAddress, ValidationError> {
    match transaction {
        Transaction::Invoke(tx) => Ok(tx.sender_address()),
        Transaction::Declare(tx) => Ok(tx.sender_address()),
        Transaction::DeployAccount(tx) => tx.calculate_contract_address().map_err(malformed),
        _ => Err(ValidationError::UnsupportedVersion),
    }
}

/// The hash under `chain_id`, of the version that the sender signed.
pub fn transaction_hash(
    transaction: &Transaction,
    version: BroadcastVersion,
    chain_id: &ChainId,
) -> Result<TransactionHash, ValidationError> {
    let version = match version {
        BroadcastVersion::Three => TransactionVersion::THREE,
        BroadcastVersion::QueryThree => TransactionVersion(*QUERY_VERSION_BASE + Felt::THREE),
    };
    match transaction {
        Transaction::Invoke(tx) => tx.calculate_transaction_hash(chain_id, &version),
        Transaction::Declare(tx) => tx.calculate_transaction_hash(chain_id, &version),
        Transaction::DeployAccount(tx) => tx.calculate_transaction_hash(chain_id, &version),
        _ => return Err(ValidationError::UnsupportedVersion),
    }
    .map_err(malformed)
}

fn malformed(error: StarknetApiError) -> ValidationError {
    ValidationError::Malformed(error.to_string())
}

/// What the checks look at, whatever the kind.
struct Fields<'a> {
    signature: &'a TransactionSignature,
    calldata: Option<(&'static str, &'a Calldata)>,
    resource_bounds: AllResourceBounds,
    tip: u64,
    paymaster_data_is_empty: bool,
    account_deployment_data_is_empty: bool,
    nonce_mode: DataAvailabilityMode,
    fee_mode: DataAvailabilityMode,
}

impl<'a> Fields<'a> {
    fn of(transaction: &'a Transaction) -> Result<Self, ValidationError> {
        let all = |bounds: &ValidResourceBounds| match bounds {
            ValidResourceBounds::AllResources(all) => Ok(*all),
            ValidResourceBounds::L1Gas(_) => Err(ValidationError::UnsupportedVersion),
        };
        Ok(match transaction {
            Transaction::Invoke(InvokeTransaction::V3(tx)) => {
                if !tx.proof_facts.is_empty() {
                    return Err(ValidationError::Reserved { field: "proof_facts" });
                }
                Self {
                    signature: &tx.signature,
                    calldata: Some(("calldata", &tx.calldata)),
                    resource_bounds: all(&tx.resource_bounds)?,
                    tip: tx.tip.0,
                    paymaster_data_is_empty: tx.paymaster_data.is_empty(),
                    account_deployment_data_is_empty: tx.account_deployment_data.is_empty(),
                    nonce_mode: tx.nonce_data_availability_mode,
                    fee_mode: tx.fee_data_availability_mode,
                }
            }
            Transaction::Declare(DeclareTransaction::V3(tx)) => Self {
                signature: &tx.signature,
                calldata: None,
                resource_bounds: all(&tx.resource_bounds)?,
                tip: tx.tip.0,
                paymaster_data_is_empty: tx.paymaster_data.is_empty(),
                account_deployment_data_is_empty: tx.account_deployment_data.is_empty(),
                nonce_mode: tx.nonce_data_availability_mode,
                fee_mode: tx.fee_data_availability_mode,
            },
            Transaction::DeployAccount(DeployAccountTransaction::V3(tx)) => Self {
                signature: &tx.signature,
                calldata: Some(("constructor_calldata", &tx.constructor_calldata)),
                resource_bounds: all(&tx.resource_bounds)?,
                tip: tx.tip.0,
                paymaster_data_is_empty: tx.paymaster_data.is_empty(),
                account_deployment_data_is_empty: true,
                nonce_mode: tx.nonce_data_availability_mode,
                fee_mode: tx.fee_data_availability_mode,
            },
            _ => return Err(ValidationError::UnsupportedVersion),
        })
    }
}
