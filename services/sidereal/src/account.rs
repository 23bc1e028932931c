//! An account that signs: the key, the address, and version 3 transactions made from calls.

use std::sync::Arc;

use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::block::GasPrice;
use starknet_api::core::{ChainId, ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::execution_resources::GasAmount;
use starknet_api::rpc_transaction::{
    RpcDeclareTransaction, RpcDeclareTransactionV3, RpcInvokeTransaction, RpcInvokeTransactionV3,
    RpcTransaction,
};
use starknet_api::state::SierraContractClass;
use starknet_api::transaction::fields::{
    AccountDeploymentData, AllResourceBounds, Calldata, PaymasterData, Proof, ProofFacts,
    ResourceBounds, Tip, TransactionSignature, ValidResourceBounds,
};
use starknet_api::transaction::{
    DeclareTransaction, DeclareTransactionV3, InvokeTransaction, InvokeTransactionV3, Transaction,
    TransactionHash,
};
use starknet_types_core::felt::Felt;

/// Why a transaction could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("cannot compute the hash of the transaction")]
    Hash(#[source] starknet_api::StarknetApiError),
    #[error("cannot sign the transaction hash {hash:#x} with the account's key")]
    Sign { hash: Felt },
}

/// One call of a multicall.
#[derive(Clone, Debug)]
pub struct Call {
    pub to: ContractAddress,
    pub entry_point: &'static str,
    pub calldata: Vec<Felt>,
}

/// A signed transaction and the hash that the chain will know it by.
#[derive(Clone, Debug)]
pub struct Signed {
    pub hash: TransactionHash,
    pub transaction: RpcTransaction,
}

/// An account of this project's account class (or any whose `__execute__` takes an array of calls, and
/// whose signature is one of the STARK curve over the transaction hash).
#[derive(Clone)]
pub struct Account {
    pub address: ContractAddress,
    private_key: Felt,
    chain_id: ChainId,
}

// The key stays out of every log.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Account {
    pub fn new(address: ContractAddress, private_key: Felt, chain_id: ChainId) -> Self {
        Self { address, private_key, chain_id }
    }

    /// An invoke of `calls`, signed.
    pub fn invoke(
        &self,
        calls: &[Call],
        nonce: Nonce,
        bounds: AllResourceBounds,
    ) -> Result<Signed, SigningError> {
        let mut invoke = InvokeTransactionV3 {
            resource_bounds: ValidResourceBounds::AllResources(bounds),
            tip: Tip::default(),
            signature: TransactionSignature::default(),
            nonce,
            sender_address: self.address,
            calldata: execute_calldata(calls),
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData(vec![]),
            account_deployment_data: AccountDeploymentData(vec![]),
            proof_facts: ProofFacts::default(),
        };
        let hash = self.hash(&Transaction::Invoke(InvokeTransaction::V3(invoke.clone())))?;
        invoke.signature = self.sign(hash)?;
        Ok(Signed {
            hash,
            transaction: RpcTransaction::Invoke(RpcInvokeTransaction::V3(RpcInvokeTransactionV3 {
                sender_address: invoke.sender_address,
                calldata: invoke.calldata,
                signature: invoke.signature,
                nonce,
                resource_bounds: bounds,
                tip: invoke.tip,
                paymaster_data: invoke.paymaster_data,
                account_deployment_data: invoke.account_deployment_data,
                nonce_data_availability_mode: invoke.nonce_data_availability_mode,
                fee_data_availability_mode: invoke.fee_data_availability_mode,
                proof_facts: invoke.proof_facts,
                proof: Proof::default(),
            })),
        })
    }

    /// A declaration of `class`, signed.
    pub fn declare(
        &self,
        class: SierraContractClass,
        class_hash: ClassHash,
        compiled_class_hash: CompiledClassHash,
        nonce: Nonce,
        bounds: AllResourceBounds,
    ) -> Result<Signed, SigningError> {
        let declare = DeclareTransactionV3 {
            resource_bounds: ValidResourceBounds::AllResources(bounds),
            tip: Tip::default(),
            signature: TransactionSignature::default(),
            nonce,
            class_hash,
            compiled_class_hash,
            sender_address: self.address,
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData(vec![]),
            account_deployment_data: AccountDeploymentData(vec![]),
        };
        let hash = self.hash(&Transaction::Declare(DeclareTransaction::V3(declare.clone())))?;
        let signature = self.sign(hash)?;
        Ok(Signed {
            hash,
            transaction: RpcTransaction::Declare(RpcDeclareTransaction::V3(
                RpcDeclareTransactionV3 {
                    sender_address: self.address,
                    compiled_class_hash,
                    signature,
                    nonce,
                    contract_class: class,
                    resource_bounds: bounds,
                    tip: declare.tip,
                    paymaster_data: declare.paymaster_data,
                    account_deployment_data: declare.account_deployment_data,
                    nonce_data_availability_mode: declare.nonce_data_availability_mode,
                    fee_data_availability_mode: declare.fee_data_availability_mode,
                },
            )),
        })
    }

    fn hash(&self, transaction: &Transaction) -> Result<TransactionHash, SigningError> {
        transaction.calculate_transaction_hash(&self.chain_id).map_err(SigningError::Hash)
    }

    fn sign(&self, hash: TransactionHash) -> Result<TransactionSignature, SigningError> {
        let failed = SigningError::Sign { hash: hash.0 };
        // Deterministic nonces (RFC 6979); the seed counts the rare values that give no signature.
        for seed in 0..8u64 {
            let k = starknet_crypto::rfc6979_generate_k(
                &hash.0,
                &self.private_key,
                (seed > 0).then(|| Felt::from(seed)).as_ref(),
            );
            if let Ok(signature) = starknet_crypto::sign(&self.private_key, &hash.0, &k) {
                return Ok(TransactionSignature(Arc::new(vec![signature.r, signature.s])));
            }
        }
        Err(failed)
    }
}

/// The calldata of `__execute__(Array<Call>)`: count, then per call address, selector, length, arguments.
fn execute_calldata(calls: &[Call]) -> Calldata {
    let mut calldata = vec![Felt::from(calls.len())];
    for call in calls {
        calldata.push(*call.to.0.key());
        calldata.push(selector_from_name(call.entry_point).0);
        calldata.push(Felt::from(call.calldata.len()));
        calldata.extend_from_slice(&call.calldata);
    }
    Calldata(Arc::new(calldata))
}

/// Bounds that allow `headroom` times what was measured, at twice the present prices.
pub fn bounds(l1_gas: u64, l1_data_gas: u64, l2_gas: u64, prices: GasPrices) -> AllResourceBounds {
    let bound = |amount: u64, price: u128| ResourceBounds {
        max_amount: GasAmount(amount),
        max_price_per_unit: GasPrice(price.saturating_mul(2)),
    };
    AllResourceBounds {
        l1_gas: bound(l1_gas, prices.l1_gas),
        l1_data_gas: bound(l1_data_gas, prices.l1_data_gas),
        l2_gas: bound(l2_gas, prices.l2_gas),
    }
}

/// Prices in FRI per unit of gas.
#[derive(Clone, Copy, Debug)]
pub struct GasPrices {
    pub l1_gas: u128,
    pub l1_data_gas: u128,
    pub l2_gas: u128,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signature verifies against the public key of the account's private key.
    #[test]
    fn a_signature_verifies() {
        let key = Felt::from_hex_unchecked("0x71d7bb07b9a64f6f78ac4c816aff4da9");
        let account = Account::new(ContractAddress::default(), key, ChainId::Sepolia);
        let call = Call {
            to: ContractAddress::default(),
            entry_point: "transfer",
            calldata: vec![Felt::ONE, Felt::TWO, Felt::ZERO],
        };
        let prices = GasPrices { l1_gas: 1, l1_data_gas: 1, l2_gas: 1 };
        let signed = account.invoke(&[call], Nonce(Felt::ONE), bounds(1, 1, 1, prices)).unwrap();
        let RpcTransaction::Invoke(RpcInvokeTransaction::V3(invoke)) = signed.transaction else {
            panic!("an invoke makes an invoke");
        };
        let public_key = starknet_crypto::get_public_key(&key);
        let [r, s] = invoke.signature.0.as_slice() else { panic!("two felts") };
        assert!(starknet_crypto::verify(&public_key, &signed.hash.0, r, s).unwrap());
        assert_eq!(invoke.calldata.0.len(), 1 + 3 + 3);
    }
}
