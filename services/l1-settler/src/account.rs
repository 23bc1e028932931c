//! The account that pays on L1.

use std::fmt;

use alloy::consensus::{
    EthereumTypedTransaction, SignableTransaction as _, TxEip1559, TxEip4844Variant,
    TxEip4844WithSidecar, TxEnvelope,
};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, B256, Bytes};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use sidereal_service::Secret;

/// Holds the key; nothing prints it.
#[derive(Clone)]
pub struct Account {
    signer: PrivateKeySigner,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// A key cannot be used. Says nothing of the key itself.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// It is none.
    #[error("the private key of the account is not a key of 32 bytes in hexadecimal")]
    Key,
    /// It did not sign.
    #[error("signing failed")]
    Sign(#[source] alloy::signers::Error),
}

/// A signed transaction in the form that goes to the pool.
#[derive(Clone)]
pub struct Signed {
    /// Its hash, without its blobs.
    pub hash: B256,
    /// EIP-2718 encoding, with its blobs.
    pub raw: Bytes,
}

impl Account {
    /// The account of a key in hexadecimal.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(private_key: &Secret<String>) -> Result<Self, AccountError> {
        // The parser's own error would show what it was given.
        let signer = private_key.expose().trim().parse().map_err(|_| AccountError::Key)?;
        Ok(Self { signer })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    pub(crate) fn sign_blobs(
        &self,
        transaction: TxEip4844WithSidecar,
    ) -> Result<Signed, AccountError> {
        self.sign(EthereumTypedTransaction::Eip4844(TxEip4844Variant::TxEip4844WithSidecar(
            transaction,
        )))
    }

    pub(crate) fn sign_plain(&self, transaction: TxEip1559) -> Result<Signed, AccountError> {
        self.sign(EthereumTypedTransaction::Eip1559(transaction))
    }

    fn sign(
        &self,
        transaction: EthereumTypedTransaction<TxEip4844Variant>,
    ) -> Result<Signed, AccountError> {
        let signature = self
            .signer
            .sign_hash_sync(&transaction.signature_hash())
            .map_err(AccountError::Sign)?;
        let envelope: TxEnvelope = transaction.into_envelope(signature);
        Ok(Signed { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that a key, good or bad, is in no text.
    #[test]
    fn a_key_is_never_shown() {
        let key = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
        let account = Account::new(&Secret::new(format!("0x{key}"))).unwrap();
        let shown = format!("{account:?}").to_lowercase();
        assert!(shown.contains("0x70997970c51812dc3a010c7d01b50e0d17dc79c8"), "{shown}");
        assert!(!shown.contains(key));
        let error = Account::new(&Secret::new(key[..40].to_owned())).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&key[..40]));
    }
}
