//! Why a contract has refused a call.

use std::fmt;

use alloy::primitives::Bytes;
use alloy::sol_types::{GenericContractError, SolInterface as _};

use crate::abi::{CircuitVerifier, RollupCore};

/// What a contract reverted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An error of the rollup's contract.
    RollupCore(RollupCore::RollupCoreErrors),
    /// An error of the proof's verifier.
    Verifier(CircuitVerifier::CircuitVerifierErrors),
    /// A failed assertion or a message of Solidity's own.
    Solidity(String),
    /// An error of a contract that this crate has no bindings of (a verifier that came by an upgrade).
    Unknown(Bytes),
    /// Nothing: out of gas, or no such function.
    Silent,
}

impl Refusal {
    /// Reads revert data.
    pub fn decode(revert: &[u8]) -> Self {
        if revert.is_empty() {
            return Self::Silent;
        }
        if let Ok(error) = RollupCore::RollupCoreErrors::abi_decode(revert) {
            return Self::RollupCore(error);
        }
        if let Ok(error) = CircuitVerifier::CircuitVerifierErrors::abi_decode(revert) {
            return Self::Verifier(error);
        }
        match GenericContractError::abi_decode(revert) {
            Ok(error) => Self::Solidity(error.to_string()),
            Err(_) => Self::Unknown(revert.to_vec().into()),
        }
    }

    /// Whether the update begins at another state than the contract holds: it is old, or too early.
    pub fn is_out_of_order(&self) -> bool {
        use RollupCore::RollupCoreErrors as Errors;
        matches!(
            self,
            Self::RollupCore(
                Errors::PreviousBlockNumber(_)
                    | Errors::PreviousBlockHash(_)
                    | Errors::PreviousRoot(_)
            )
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The variant's struct has the error's name in Solidity, and its fields.
            Self::RollupCore(error) => write!(f, "RollupCore refused: {error:?}"),
            Self::Verifier(error) => write!(f, "the proof's verifier refused: {error:?}"),
            Self::Solidity(message) => write!(f, "reverted: {message}"),
            Self::Unknown(data) => write!(f, "reverted with an unknown error: {data}"),
            Self::Silent => f.write_str("reverted without an error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use alloy::sol_types::SolError as _;

    use super::*;

    /// Pins down that errors come back by name and with their numbers, and unknown ones as they are.
    #[test]
    fn revert_data_is_told_by_name() {
        let error = RollupCore::PreviousBlockNumber { found: U256::from(9), held: U256::from(7) };
        let refusal = Refusal::decode(&error.abi_encode());
        assert!(refusal.is_out_of_order());
        let text = refusal.to_string();
        assert!(text.contains("PreviousBlockNumber { found: 9, held: 7 }"), "{text}");

        let error = CircuitVerifier::ProofLength { expected: U256::from(2), found: U256::from(1) };
        let refusal = Refusal::decode(&error.abi_encode());
        assert!(matches!(
            &refusal,
            Refusal::Verifier(CircuitVerifier::CircuitVerifierErrors::ProofLength(_))
        ));
        assert!(!refusal.is_out_of_order());

        assert_eq!(Refusal::decode(&[]), Refusal::Silent);
        assert_eq!(Refusal::decode(&[1, 2, 3, 4]), Refusal::Unknown(vec![1, 2, 3, 4].into()));
    }
}
