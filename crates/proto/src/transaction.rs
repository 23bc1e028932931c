//! Version 3 transactions between the wire and [`starknet_api`].

use std::sync::Arc;

use starknet_api::block::GasPrice;
use starknet_api::core::ContractAddress;
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::execution_resources::GasAmount;
use starknet_api::transaction::fields::{
    AccountDeploymentData, AllResourceBounds, Calldata, ContractAddressSalt, PaymasterData,
    ProofFacts, ResourceBounds, Tip, TransactionSignature, ValidResourceBounds,
};
use starknet_api::transaction::{
    CalculateContractAddress as _, DeclareTransaction, DeclareTransactionV3,
    DeployAccountTransaction, DeployAccountTransactionV3, InvokeTransaction, InvokeTransactionV3,
    Transaction, TransactionHash,
};

use crate::error::{ConversionError, ConversionProblem};
use crate::{felt, types};

/// A transaction as it came, with the hash that the sender claims for it, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedTransaction {
    pub claimed_hash: Option<TransactionHash>,
    pub transaction: Transaction,
}

/// Writes a transaction with its hash.
pub fn to_wire(
    hash: &TransactionHash,
    transaction: &Transaction,
) -> Result<types::Transaction, ConversionError> {
    let hash = felt::felt_bytes(&hash.0);
    Ok(types::Transaction { hash, ..to_wire_unhashed(transaction)? })
}

/// Writes a transaction for a reader that computes its hash.
pub fn to_wire_unhashed(transaction: &Transaction) -> Result<types::Transaction, ConversionError> {
    let kind = match transaction {
        Transaction::Invoke(InvokeTransaction::V3(tx)) => {
            if !tx.proof_facts.0.is_empty() {
                return Err(ConversionError::new(
                    "invoke.proof_facts",
                    ConversionProblem::OutOfRange("proof facts".into()),
                ));
            }
            types::transaction::Kind::Invoke(types::InvokeV3 {
                common: Some(types::V3Fields {
                    sender_address: felt::felt_bytes(tx.sender_address.0.key()),
                    nonce: felt::felt_bytes(&tx.nonce.0),
                    resource_bounds: Some(bounds_to_wire(&tx.resource_bounds)?),
                    tip: tx.tip.0,
                    signature: felt::felts_bytes(&tx.signature.0),
                    paymaster_data: felt::felts_bytes(&tx.paymaster_data.0),
                    account_deployment_data: felt::felts_bytes(&tx.account_deployment_data.0),
                    nonce_data_availability_mode: mode_to_wire(tx.nonce_data_availability_mode),
                    fee_data_availability_mode: mode_to_wire(tx.fee_data_availability_mode),
                }),
                calldata: felt::felts_bytes(&tx.calldata.0),
            })
        }
        Transaction::Declare(DeclareTransaction::V3(tx)) => {
            types::transaction::Kind::Declare(types::DeclareV3 {
                common: Some(types::V3Fields {
                    sender_address: felt::felt_bytes(tx.sender_address.0.key()),
                    nonce: felt::felt_bytes(&tx.nonce.0),
                    resource_bounds: Some(bounds_to_wire(&tx.resource_bounds)?),
                    tip: tx.tip.0,
                    signature: felt::felts_bytes(&tx.signature.0),
                    paymaster_data: felt::felts_bytes(&tx.paymaster_data.0),
                    account_deployment_data: felt::felts_bytes(&tx.account_deployment_data.0),
                    nonce_data_availability_mode: mode_to_wire(tx.nonce_data_availability_mode),
                    fee_data_availability_mode: mode_to_wire(tx.fee_data_availability_mode),
                }),
                class_hash: felt::felt_bytes(&tx.class_hash.0),
                compiled_class_hash: felt::felt_bytes(&tx.compiled_class_hash.0),
            })
        }
        Transaction::DeployAccount(DeployAccountTransaction::V3(tx)) => {
            let address = tx.calculate_contract_address().map_err(|error| {
                ConversionError::new(
                    "deploy_account",
                    ConversionProblem::OutOfRange(error.to_string()),
                )
            })?;
            types::transaction::Kind::DeployAccount(types::DeployAccountV3 {
                common: Some(types::V3Fields {
                    sender_address: felt::felt_bytes(address.0.key()),
                    nonce: felt::felt_bytes(&tx.nonce.0),
                    resource_bounds: Some(bounds_to_wire(&tx.resource_bounds)?),
                    tip: tx.tip.0,
                    signature: felt::felts_bytes(&tx.signature.0),
                    paymaster_data: felt::felts_bytes(&tx.paymaster_data.0),
                    account_deployment_data: Vec::new(),
                    nonce_data_availability_mode: mode_to_wire(tx.nonce_data_availability_mode),
                    fee_data_availability_mode: mode_to_wire(tx.fee_data_availability_mode),
                }),
                class_hash: felt::felt_bytes(&tx.class_hash.0),
                contract_address_salt: felt::felt_bytes(&tx.contract_address_salt.0),
                constructor_calldata: felt::felts_bytes(&tx.constructor_calldata.0),
            })
        }
        other => {
            return Err(ConversionError::new(
                "kind",
                ConversionProblem::UnsupportedVersion(format!("{:?}", other.version().0)),
            ));
        }
    };
    Ok(types::Transaction { hash: Vec::new(), kind: Some(kind) })
}

/// Reads a transaction. The claimed hash is only claimed: who takes it from a wallet recomputes it.
pub fn from_wire(wire: types::Transaction) -> Result<ReceivedTransaction, ConversionError> {
    let claimed_hash =
        if wire.hash.is_empty() { None } else { Some(felt::transaction_hash("hash", &wire.hash)?) };
    let missing = |field: &str| ConversionError::new(field, ConversionProblem::Missing);
    let transaction = match wire.kind.ok_or_else(|| missing("kind"))? {
        types::transaction::Kind::Invoke(tx) => {
            let common = Common::read("invoke.common", tx.common)?;
            Transaction::Invoke(InvokeTransaction::V3(InvokeTransactionV3 {
                resource_bounds: common.resource_bounds,
                tip: common.tip,
                signature: common.signature,
                nonce: common.nonce,
                sender_address: common.sender_address,
                calldata: Calldata(Arc::new(felt::felts("invoke.calldata", &tx.calldata)?)),
                nonce_data_availability_mode: common.nonce_mode,
                fee_data_availability_mode: common.fee_mode,
                paymaster_data: common.paymaster_data,
                account_deployment_data: common.account_deployment_data,
                proof_facts: ProofFacts::default(),
            }))
        }
        types::transaction::Kind::Declare(tx) => {
            let common = Common::read("declare.common", tx.common)?;
            Transaction::Declare(DeclareTransaction::V3(DeclareTransactionV3 {
                resource_bounds: common.resource_bounds,
                tip: common.tip,
                signature: common.signature,
                nonce: common.nonce,
                class_hash: felt::class_hash("declare.class_hash", &tx.class_hash)?,
                compiled_class_hash: felt::compiled_class_hash(
                    "declare.compiled_class_hash",
                    &tx.compiled_class_hash,
                )?,
                sender_address: common.sender_address,
                nonce_data_availability_mode: common.nonce_mode,
                fee_data_availability_mode: common.fee_mode,
                paymaster_data: common.paymaster_data,
                account_deployment_data: common.account_deployment_data,
            }))
        }
        types::transaction::Kind::DeployAccount(tx) => {
            let common = Common::read("deploy_account.common", tx.common)?;
            let deploy = DeployAccountTransactionV3 {
                resource_bounds: common.resource_bounds,
                tip: common.tip,
                signature: common.signature,
                nonce: common.nonce,
                class_hash: felt::class_hash("deploy_account.class_hash", &tx.class_hash)?,
                contract_address_salt: ContractAddressSalt(felt::felt(
                    "deploy_account.contract_address_salt",
                    &tx.contract_address_salt,
                )?),
                constructor_calldata: Calldata(Arc::new(felt::felts(
                    "deploy_account.constructor_calldata",
                    &tx.constructor_calldata,
                )?)),
                nonce_data_availability_mode: common.nonce_mode,
                fee_data_availability_mode: common.fee_mode,
                paymaster_data: common.paymaster_data,
            };
            let address = deploy.calculate_contract_address().ok();
            if address != Some(common.sender_address) {
                return Err(ConversionError::new(
                    "deploy_account.common.sender_address",
                    ConversionProblem::OutOfRange(
                        "it is not the address that class, salt and calldata give, and".into(),
                    ),
                ));
            }
            Transaction::DeployAccount(DeployAccountTransaction::V3(deploy))
        }
    };
    Ok(ReceivedTransaction { claimed_hash, transaction })
}

/// The account that a transaction is sent from (of a deploy-account: the one it deploys).
///
/// `None` for transactions that have no sender (they cannot be sent to this chain).
pub fn sender_address(transaction: &Transaction) -> Option<ContractAddress> {
    match transaction {
        Transaction::Invoke(tx) => Some(tx.sender_address()),
        Transaction::Declare(tx) => Some(tx.sender_address()),
        Transaction::DeployAccount(tx) => tx.calculate_contract_address().ok(),
        _ => None,
    }
}

struct Common {
    sender_address: ContractAddress,
    nonce: starknet_api::core::Nonce,
    resource_bounds: ValidResourceBounds,
    tip: Tip,
    signature: TransactionSignature,
    paymaster_data: PaymasterData,
    account_deployment_data: AccountDeploymentData,
    nonce_mode: DataAvailabilityMode,
    fee_mode: DataAvailabilityMode,
}

impl Common {
    fn read(parent: &str, wire: Option<types::V3Fields>) -> Result<Self, ConversionError> {
        let wire = wire.ok_or_else(|| ConversionError::new(parent, ConversionProblem::Missing))?;
        Self::read_fields(wire).map_err(|error| error.within(parent))
    }

    fn read_fields(wire: types::V3Fields) -> Result<Self, ConversionError> {
        Ok(Self {
            sender_address: felt::address("sender_address", &wire.sender_address)?,
            nonce: felt::nonce("nonce", &wire.nonce)?,
            resource_bounds: bounds_from_wire(wire.resource_bounds)?,
            tip: Tip(wire.tip),
            signature: TransactionSignature(Arc::new(felt::felts("signature", &wire.signature)?)),
            paymaster_data: PaymasterData(felt::felts("paymaster_data", &wire.paymaster_data)?),
            account_deployment_data: AccountDeploymentData(felt::felts(
                "account_deployment_data",
                &wire.account_deployment_data,
            )?),
            nonce_mode: mode_from_wire(
                "nonce_data_availability_mode",
                wire.nonce_data_availability_mode,
            )?,
            fee_mode: mode_from_wire(
                "fee_data_availability_mode",
                wire.fee_data_availability_mode,
            )?,
        })
    }
}

fn bounds_to_wire(bounds: &ValidResourceBounds) -> Result<types::ResourceBounds, ConversionError> {
    let ValidResourceBounds::AllResources(all) = bounds else {
        return Err(ConversionError::new(
            "resource_bounds.l1_data_gas",
            ConversionProblem::Missing,
        ));
    };
    let one = |bound: &ResourceBounds| {
        Some(types::ResourceBound {
            max_amount: bound.max_amount.0,
            max_price_per_unit: bound.max_price_per_unit.0.to_be_bytes().to_vec(),
        })
    };
    Ok(types::ResourceBounds {
        l1_gas: one(&all.l1_gas),
        l1_data_gas: one(&all.l1_data_gas),
        l2_gas: one(&all.l2_gas),
    })
}

fn bounds_from_wire(
    wire: Option<types::ResourceBounds>,
) -> Result<ValidResourceBounds, ConversionError> {
    let wire =
        wire.ok_or_else(|| ConversionError::new("resource_bounds", ConversionProblem::Missing))?;
    let one = |name: &str, bound: Option<types::ResourceBound>| {
        let field = format!("resource_bounds.{name}");
        let bound =
            bound.ok_or_else(|| ConversionError::new(&field, ConversionProblem::Missing))?;
        let price: [u8; 16] = bound.max_price_per_unit.as_slice().try_into().map_err(|_| {
            ConversionError::new(
                format!("{field}.max_price_per_unit"),
                ConversionProblem::Length { expected: 16, actual: bound.max_price_per_unit.len() },
            )
        })?;
        Ok(ResourceBounds {
            max_amount: GasAmount(bound.max_amount),
            max_price_per_unit: GasPrice(u128::from_be_bytes(price)),
        })
    };
    Ok(ValidResourceBounds::AllResources(AllResourceBounds {
        l1_gas: one("l1_gas", wire.l1_gas)?,
        l1_data_gas: one("l1_data_gas", wire.l1_data_gas)?,
        l2_gas: one("l2_gas", wire.l2_gas)?,
    }))
}

fn mode_to_wire(mode: DataAvailabilityMode) -> u32 {
    match mode {
        DataAvailabilityMode::L1 => 0,
        DataAvailabilityMode::L2 => 1,
    }
}

fn mode_from_wire(field: &str, mode: u32) -> Result<DataAvailabilityMode, ConversionError> {
    match mode {
        0 => Ok(DataAvailabilityMode::L1),
        1 => Ok(DataAvailabilityMode::L2),
        other => Err(ConversionError::new(field, ConversionProblem::OutOfRange(other.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use starknet_types_core::felt::Felt;

    use super::*;

    fn bounds() -> ValidResourceBounds {
        let bound = |amount, price| ResourceBounds {
            max_amount: GasAmount(amount),
            max_price_per_unit: GasPrice(price),
        };
        ValidResourceBounds::AllResources(AllResourceBounds {
            l1_gas: bound(1, u128::MAX),
            l1_data_gas: bound(2, 5),
            l2_gas: bound(u64::MAX, 0),
        })
    }

    fn deploy_account() -> DeployAccountTransactionV3 {
        DeployAccountTransactionV3 {
            resource_bounds: bounds(),
            tip: Tip(9),
            signature: TransactionSignature(Arc::new(vec![Felt::ONE, Felt::MAX])),
            nonce: starknet_api::core::Nonce(Felt::ZERO),
            class_hash: starknet_api::core::ClassHash(Felt::from(77)),
            contract_address_salt: ContractAddressSalt(Felt::from(5)),
            constructor_calldata: Calldata(Arc::new(vec![Felt::from(3)])),
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData(vec![]),
        }
    }

    fn wire() -> types::Transaction {
        let transaction =
            Transaction::DeployAccount(DeployAccountTransaction::V3(deploy_account()));
        to_wire(&TransactionHash(Felt::from(42)), &transaction).unwrap()
    }

    /// What goes out comes back, for each kind.
    #[test]
    fn transactions_survive_the_wire() {
        let deploy = deploy_account();
        let sender_address = deploy.calculate_contract_address().unwrap();
        let invoke = InvokeTransactionV3 {
            resource_bounds: bounds(),
            tip: Tip(1),
            signature: deploy.signature.clone(),
            nonce: starknet_api::core::Nonce(Felt::TWO),
            sender_address,
            calldata: Calldata(Arc::new(vec![Felt::ZERO, Felt::MAX])),
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L2,
            paymaster_data: PaymasterData(vec![Felt::ONE]),
            account_deployment_data: AccountDeploymentData(vec![Felt::TWO]),
            proof_facts: ProofFacts::default(),
        };
        let declare = DeclareTransactionV3 {
            resource_bounds: bounds(),
            tip: Tip(1),
            signature: deploy.signature.clone(),
            nonce: starknet_api::core::Nonce(Felt::TWO),
            class_hash: starknet_api::core::ClassHash(Felt::from(6)),
            compiled_class_hash: starknet_api::core::CompiledClassHash(Felt::from(7)),
            sender_address,
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData(vec![]),
            account_deployment_data: AccountDeploymentData(vec![]),
        };
        for transaction in [
            Transaction::DeployAccount(DeployAccountTransaction::V3(deploy)),
            Transaction::Invoke(InvokeTransaction::V3(invoke)),
            Transaction::Declare(DeclareTransaction::V3(declare)),
        ] {
            let hash = TransactionHash(Felt::from(42));
            let received = from_wire(to_wire(&hash, &transaction).unwrap()).unwrap();
            assert_eq!(received, ReceivedTransaction { claimed_hash: Some(hash), transaction });
        }
    }

    /// Each broken field is named.
    #[test]
    fn broken_fields_are_named() {
        let mut no_kind = wire();
        no_kind.kind = None;
        assert_eq!(from_wire(no_kind).unwrap_err().field, "kind");

        let with_common = |change: &dyn Fn(&mut types::V3Fields)| {
            let mut tx = wire();
            if let Some(types::transaction::Kind::DeployAccount(deploy)) = &mut tx.kind {
                change(deploy.common.as_mut().unwrap());
            }
            from_wire(tx).unwrap_err().field
        };
        assert_eq!(with_common(&|c| c.nonce = vec![1]), "deploy_account.common.nonce");
        assert_eq!(
            with_common(&|c| c.resource_bounds.as_mut().unwrap().l2_gas = None),
            "deploy_account.common.resource_bounds.l2_gas"
        );
        assert_eq!(
            with_common(&|c| c.fee_data_availability_mode = 2),
            "deploy_account.common.fee_data_availability_mode"
        );
        assert_eq!(
            with_common(&|c| c.sender_address = vec![1; 32]),
            "deploy_account.common.sender_address"
        );
    }
}
