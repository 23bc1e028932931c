//! Transactions as they enter a block, and their executable form.

use serde::{Deserialize, Serialize};
use starknet_api::StarknetApiError;
use starknet_api::core::{ChainId, ContractAddress, Nonce};
use starknet_api::executable_transaction::{
    AccountTransaction, DeclareTransaction, DeployAccountTransaction, InvokeTransaction,
};
use starknet_api::transaction::{
    CalculateContractAddress, Transaction, TransactionHash, TransactionHasher, TransactionOptions,
    TransactionVersion, signed_tx_version,
};

use crate::classes::{ClassError, Classes};

/// A transaction and its hash. Only version 3 invoke, declare and deploy-account transactions are admitted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BlockTransaction {
    /// Starknet's transaction hash under the chain's id.
    pub hash: TransactionHash,
    /// The transaction, without the class that a declare refers to.
    pub transaction: Transaction,
}

/// Why a transaction has no executable form.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// Not version 3, or of a kind that no account sends.
    #[error("transaction {hash}: {kind} transactions of version {version:?} are not supported")]
    Unsupported {
        /// The transaction.
        hash: TransactionHash,
        /// Its kind.
        kind: &'static str,
        /// Its version.
        version: TransactionVersion,
    },
    /// The hash it came with is not its hash.
    #[error("transaction {claimed}: the hash of its fields is {computed}")]
    WrongHash {
        /// The hash it came with.
        claimed: TransactionHash,
        /// The hash of its fields.
        computed: TransactionHash,
    },
    /// Starknet's rules for hashes and addresses cannot be applied to its fields.
    #[error("transaction {hash}: its fields are malformed")]
    Malformed {
        /// The transaction.
        hash: TransactionHash,
        /// The cause.
        #[source]
        source: StarknetApiError,
    },
    /// The class it declares is not in the class source, or is not what it says.
    #[error("transaction {hash}: the declared class cannot be used")]
    Class {
        /// The transaction.
        hash: TransactionHash,
        /// The cause.
        #[source]
        source: Box<ClassError>,
    },
}

impl BlockTransaction {
    /// Computes the hash of `transaction` under `chain_id`.
    pub fn new(transaction: Transaction, chain_id: &ChainId) -> Result<Self, TransactionError> {
        let unhashed = Self { hash: TransactionHash::default(), transaction };
        let hash = unhashed.compute_hash(chain_id)?;
        Ok(Self { hash, ..unhashed })
    }

    /// The hash of the fields under `chain_id`, whatever `self.hash` says.
    pub fn compute_hash(&self, chain_id: &ChainId) -> Result<TransactionHash, TransactionError> {
        self.check_supported()?;
        self.hash_as(chain_id, self.transaction.version())
    }

    /// The hash that a wallet signs for an estimate or a simulation: with the query bit in the version.
    pub fn compute_query_hash(
        &self,
        chain_id: &ChainId,
    ) -> Result<TransactionHash, TransactionError> {
        self.check_supported()?;
        let query = TransactionOptions { only_query: true };
        self.hash_as(chain_id, signed_tx_version(&self.transaction.version(), &query))
    }

    fn hash_as(
        &self,
        chain_id: &ChainId,
        version: TransactionVersion,
    ) -> Result<TransactionHash, TransactionError> {
        let hash = match &self.transaction {
            Transaction::Invoke(tx) => tx.calculate_transaction_hash(chain_id, &version),
            Transaction::Declare(tx) => tx.calculate_transaction_hash(chain_id, &version),
            Transaction::DeployAccount(tx) => tx.calculate_transaction_hash(chain_id, &version),
            Transaction::Deploy(_) | Transaction::L1Handler(_) => return Err(self.unsupported()),
        };
        hash.map_err(|source| TransactionError::Malformed { hash: self.hash, source })
    }

    /// Refuses a hash that is not the hash of the fields.
    pub fn check_hash(&self, chain_id: &ChainId) -> Result<(), TransactionError> {
        let computed = self.compute_hash(chain_id)?;
        if computed == self.hash {
            return Ok(());
        }
        Err(TransactionError::WrongHash { claimed: self.hash, computed })
    }

    /// The account that sends it; for deploy-account the account it creates.
    pub fn sender(&self) -> Result<ContractAddress, TransactionError> {
        match &self.transaction {
            Transaction::Invoke(tx) => Ok(tx.sender_address()),
            Transaction::Declare(tx) => Ok(tx.sender_address()),
            Transaction::DeployAccount(tx) => tx
                .calculate_contract_address()
                .map_err(|source| TransactionError::Malformed { hash: self.hash, source }),
            Transaction::Deploy(_) | Transaction::L1Handler(_) => Err(self.unsupported()),
        }
    }

    /// Its nonce.
    pub fn nonce(&self) -> Result<Nonce, TransactionError> {
        match &self.transaction {
            Transaction::Invoke(tx) => Ok(tx.nonce()),
            Transaction::Declare(tx) => Ok(tx.nonce()),
            Transaction::DeployAccount(tx) => Ok(tx.nonce()),
            Transaction::Deploy(_) | Transaction::L1Handler(_) => Err(self.unsupported()),
        }
    }

    /// The executable form. A declare's class is taken from `classes`; its CASM must hash to the compiled
    /// class hash that the transaction names.
    pub fn executable(
        &self,
        classes: &dyn Classes,
    ) -> Result<AccountTransaction, TransactionError> {
        self.check_supported()?;
        match &self.transaction {
            Transaction::Invoke(tx) => Ok(AccountTransaction::Invoke(InvokeTransaction {
                tx: tx.clone(),
                tx_hash: self.hash,
            })),
            Transaction::Declare(tx) => {
                let class_info = classes
                    .declared(tx.class_hash(), tx.compiled_class_hash())
                    .map_err(|source| TransactionError::Class {
                        hash: self.hash,
                        source: Box::new(source),
                    })?;
                Ok(AccountTransaction::Declare(DeclareTransaction {
                    tx: tx.clone(),
                    tx_hash: self.hash,
                    class_info,
                }))
            }
            Transaction::DeployAccount(tx) => {
                Ok(AccountTransaction::DeployAccount(DeployAccountTransaction {
                    tx: tx.clone(),
                    tx_hash: self.hash,
                    contract_address: self.sender()?,
                }))
            }
            Transaction::Deploy(_) | Transaction::L1Handler(_) => Err(self.unsupported()),
        }
    }

    fn check_supported(&self) -> Result<(), TransactionError> {
        let account = matches!(
            self.transaction,
            Transaction::Invoke(_) | Transaction::Declare(_) | Transaction::DeployAccount(_)
        );
        if account && self.transaction.version() == TransactionVersion::THREE {
            return Ok(());
        }
        Err(self.unsupported())
    }

    fn unsupported(&self) -> TransactionError {
        let kind = match &self.transaction {
            Transaction::Declare(_) => "declare",
            Transaction::Deploy(_) => "deploy",
            Transaction::DeployAccount(_) => "deploy-account",
            Transaction::Invoke(_) => "invoke",
            Transaction::L1Handler(_) => "L1 handler",
        };
        TransactionError::Unsupported { hash: self.hash, kind, version: self.transaction.version() }
    }
}
