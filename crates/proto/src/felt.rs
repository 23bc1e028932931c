//! Field elements and hashes as 32 big-endian bytes.

use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce, PatriciaKey};
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

use crate::error::{ConversionError, ConversionProblem};

/// Reads a felt. A felt of other than 32 bytes, or one not smaller than the prime, is refused rather than
/// reduced: two spellings of one hash would be two keys.
pub fn felt(field: &str, bytes: &[u8]) -> Result<Felt, ConversionError> {
    let array: &[u8; 32] = bytes.try_into().map_err(|_| {
        let problem = if bytes.is_empty() {
            ConversionProblem::Missing
        } else {
            ConversionProblem::Length { expected: 32, actual: bytes.len() }
        };
        ConversionError::new(field, problem)
    })?;
    let value = Felt::from_bytes_be(array);
    if value.to_bytes_be() != *array {
        return Err(ConversionError::new(field, ConversionProblem::NotAFelt));
    }
    Ok(value)
}

/// Reads a list of felts; the error says which one was wrong.
pub fn felts(field: &str, values: &[Vec<u8>]) -> Result<Vec<Felt>, ConversionError> {
    values
        .iter()
        .enumerate()
        .map(|(index, bytes)| felt(&format!("{field}[{index}]"), bytes))
        .collect()
}

/// Reads a contract address.
pub fn address(field: &str, bytes: &[u8]) -> Result<ContractAddress, ConversionError> {
    let value = felt(field, bytes)?;
    PatriciaKey::try_from(value).map(ContractAddress).map_err(|_| {
        ConversionError::new(field, ConversionProblem::OutOfRange(value.to_hex_string()))
    })
}

pub fn transaction_hash(field: &str, bytes: &[u8]) -> Result<TransactionHash, ConversionError> {
    felt(field, bytes).map(TransactionHash)
}

pub fn class_hash(field: &str, bytes: &[u8]) -> Result<ClassHash, ConversionError> {
    felt(field, bytes).map(ClassHash)
}

pub fn compiled_class_hash(
    field: &str,
    bytes: &[u8],
) -> Result<CompiledClassHash, ConversionError> {
    felt(field, bytes).map(CompiledClassHash)
}

pub fn nonce(field: &str, bytes: &[u8]) -> Result<Nonce, ConversionError> {
    felt(field, bytes).map(Nonce)
}

/// Writes a felt, or anything that is one inside.
pub fn bytes(value: impl AsRef<Felt>) -> Vec<u8> {
    value.as_ref().to_bytes_be().to_vec()
}

/// Writes a felt.
pub fn felt_bytes(value: &Felt) -> Vec<u8> {
    value.to_bytes_be().to_vec()
}

pub(crate) fn felts_bytes(values: &[Felt]) -> Vec<Vec<u8>> {
    values.iter().map(felt_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_felt_survives_the_wire() {
        for value in [Felt::ZERO, Felt::ONE, Felt::MAX, Felt::from(u128::MAX)] {
            assert_eq!(felt("f", &felt_bytes(&value)), Ok(value));
        }
    }

    #[test]
    fn wrong_lengths_and_unreduced_values_are_refused() {
        let problem = |bytes: &[u8]| felt("f", bytes).unwrap_err().problem;
        assert_eq!(problem(&[]), ConversionProblem::Missing);
        assert_eq!(problem(&[0; 31]), ConversionProblem::Length { expected: 32, actual: 31 });
        assert_eq!(problem(&[0xff; 32]), ConversionProblem::NotAFelt);
        let mut prime = Felt::MAX.to_bytes_be();
        prime[31] += 1;
        assert_eq!(problem(&prime), ConversionProblem::NotAFelt);
    }

    #[test]
    fn an_error_in_a_list_names_the_element() {
        let error = felts("calldata", &[vec![0; 32], vec![1]]).unwrap_err();
        assert_eq!(error.field, "calldata[1]");
    }
}
