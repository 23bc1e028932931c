//! What the mempool knows of a transaction, and why it may refuse one.

use std::sync::Arc;

use starknet_api::core::ContractAddress;
use starknet_api::transaction::TransactionHash;

/// What a unit of each gas costs, or the most that somebody pays for it; in FRI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GasPrices {
    /// L1 gas.
    pub l1_gas: u128,
    /// L1 data gas.
    pub l1_data_gas: u128,
    /// L2 gas.
    pub l2_gas: u128,
}

impl GasPrices {
    /// Whether who pays at most this can pay these.
    pub fn cover(&self, charged: &GasPrices) -> bool {
        self.l1_gas >= charged.l1_gas
            && self.l1_data_gas >= charged.l1_data_gas
            && self.l2_gas >= charged.l2_gas
    }
}

/// What a sender offers for inclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeOffer {
    /// Tip per unit of L2 gas, in FRI.
    pub tip: u64,
    /// The most the sender pays.
    pub max_prices: GasPrices,
}

impl FeeOffer {
    /// Whether this offer is high enough to take the place of `existing`: the tip and the maximal price of L2 gas must
    /// each be higher by `bump_percent`, and not all the same.
    pub fn outbids(&self, existing: &FeeOffer, bump_percent: u32) -> bool {
        let enough = |old: u128, new: u128| match old.checked_mul(100 + u128::from(bump_percent)) {
            Some(scaled) => new >= scaled.div_ceil(100),
            // The old value is so near the top of its range that no bump fits below it.
            None => false,
        };
        self != existing
            && enough(u128::from(existing.tip), u128::from(self.tip))
            && enough(existing.max_prices.l2_gas, self.max_prices.l2_gas)
    }
}

/// A transaction as the mempool sees it; `payload` is what the caller wants back.
#[derive(Debug)]
pub struct Candidate<P> {
    /// Its hash, unique in the chain.
    pub hash: TransactionHash,
    /// The account that pays.
    pub sender: ContractAddress,
    /// Its nonce. Nonces start at zero and grow by one, so 64 bits are never exceeded by a valid one.
    pub nonce: u64,
    /// What it offers.
    pub fee: FeeOffer,
    /// Its size as stored, in bytes.
    pub size_bytes: u64,
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// The transaction itself.
    pub payload: Arc<P>,
}

impl<P> Clone for Candidate<P> {
    fn clone(&self) -> Self {
        Self { payload: Arc::clone(&self.payload), ..*self }
    }
}

/// Why the mempool does not take a transaction. Nothing changed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The same transaction waits already.
    #[error("transaction {:#x} is in the mempool already", .0.0)]
    Duplicate(TransactionHash),
    /// The nonce was consumed.
    #[error("nonce {nonce} of account {:#x} is in the past: its next nonce is {due}", sender.0.key())]
    NonceTooOld {
        /// The account.
        sender: ContractAddress,
        /// The transaction's nonce.
        nonce: u64,
        /// The nonce that is due.
        due: u64,
    },
    /// The nonce is too far in the future.
    #[error(
        "nonce {nonce} of account {:#x} is more than {max_ahead} ahead of its next nonce {due}", sender.0.key()
    )]
    NonceTooFarAhead {
        /// The account.
        sender: ContractAddress,
        /// The transaction's nonce.
        nonce: u64,
        /// The nonce that is due.
        due: u64,
        /// The distance allowed.
        max_ahead: u64,
    },
    /// Another transaction holds the nonce and this one does not pay enough more.
    #[error(
        "transaction {:#x} has the same nonce; to replace it, tip and maximal L2 gas price must be {bump_percent} % higher",
        existing.0
    )]
    ReplacementUnderpriced {
        /// The transaction that stays.
        existing: TransactionHash,
        /// The bump asked for.
        bump_percent: u32,
    },
    /// Another transaction with that nonce is being executed.
    #[error("transaction {:#x} with the same nonce is being executed", existing.0)]
    NonceInOpenBlock {
        /// The transaction in the open block.
        existing: TransactionHash,
    },
    /// There is no room, and nothing in the mempool is worth less.
    #[error("the mempool is full, and nothing in it gives way to this transaction")]
    Full,
}
