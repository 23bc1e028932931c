//! Blobs: the compressed state diff as a polynomial over the scalar field of BLS12-381, and its KZG
//! commitment (EIP-4844).

use std::sync::LazyLock;

use c_kzg::{BYTES_PER_BLOB, BYTES_PER_FIELD_ELEMENT, Blob, ethereum_kzg_settings};
use num_bigint::BigUint;
use starknet_types_core::felt::Felt;

use crate::cairo_structs::constants::BLOB_LENGTH;

/// A commitment: a compressed point of G1, 48 bytes, as two halves of 192 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KzgCommitment {
    /// The last 24 bytes.
    pub low: Felt,
    /// The first 24 bytes.
    pub high: Felt,
}

/// Why there is no commitment.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// More felts than a blob has.
    #[error("{0} felts do not fit into a blob")]
    TooLong(usize),
    /// The KZG library refused the blob.
    #[error("the KZG library refused the blob")]
    Kzg(#[from] c_kzg::Error),
}

static BLS_PRIME: LazyLock<BigUint> = LazyLock::new(|| {
    // Valid hexadecimal digits, so parsing cannot fail.
    let digits = b"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
    BigUint::parse_bytes(digits, 16).unwrap_or_default()
});

/// Order of BLS12-381's groups: the modulus of the blobs' field.
pub(crate) fn bls_prime() -> &'static BigUint {
    &BLS_PRIME
}

/// The blob whose polynomial has the coefficients `data`: its values at the 4,096th roots of unity, in
/// bit-reversed order, as EIP-4844 wants them. This is what goes on chain.
///
/// # Errors
/// When `data` has more felts than a blob.
pub fn blob(data: &[Felt]) -> Result<Blob, BlobError> {
    if data.len() > BLOB_LENGTH {
        return Err(BlobError::TooLong(data.len()));
    }
    let mut coefficients: Vec<BigUint> = data.iter().map(Felt::to_biguint).collect();
    coefficients.resize(BLOB_LENGTH, BigUint::ZERO);
    // 7 generates the multiplicative group (EIP-4844, PRIMITIVE_ROOT_OF_UNITY).
    let root = BigUint::from(7_u8).modpow(&((bls_prime() - 1_u8) / BLOB_LENGTH), bls_prime());
    let values = evaluate(&coefficients, &root);

    let mut bytes = [0_u8; BYTES_PER_BLOB];
    let index_bits = BLOB_LENGTH.trailing_zeros();
    for (index, value) in values.iter().enumerate() {
        let target = index.reverse_bits() >> (usize::BITS - index_bits);
        let digits = value.to_bytes_be();
        let end = (target + 1) * BYTES_PER_FIELD_ELEMENT;
        bytes[end - digits.len()..end].copy_from_slice(&digits);
    }
    Ok(Blob::new(bytes))
}

/// The polynomial's values at the powers of `root` (Cooley and Tukey): as many as there are coefficients.
fn evaluate(coefficients: &[BigUint], root: &BigUint) -> Vec<BigUint> {
    if let [constant] = coefficients {
        return vec![constant % bls_prime()];
    }
    let part = |offset: usize| -> Vec<BigUint> {
        coefficients.iter().skip(offset).step_by(2).cloned().collect()
    };
    let square = root * root % bls_prime();
    let (even, odd) = (evaluate(&part(0), &square), evaluate(&part(1), &square));
    let half = even.len();
    let mut values = vec![BigUint::ZERO; 2 * half];
    let mut power = BigUint::from(1_u8);
    for (index, (even, odd)) in even.iter().zip(&odd).enumerate() {
        let odd = &power * odd % bls_prime();
        values[index + half] = (even + bls_prime() - &odd) % bls_prime();
        values[index] = (even + odd) % bls_prime();
        power = power * root % bls_prime();
    }
    values
}

/// The commitment to [`blob`] of `data`.
///
/// # Errors
/// When `data` has more felts than a blob.
pub fn commit(data: &[Felt]) -> Result<KzgCommitment, BlobError> {
    let commitment = ethereum_kzg_settings(0).blob_to_kzg_commitment(&blob(data)?)?;
    let bytes = commitment.to_bytes();
    let (high, low) = bytes.as_ref().split_at(24);
    Ok(KzgCommitment { low: Felt::from_bytes_be_slice(low), high: Felt::from_bytes_be_slice(high) })
}

#[cfg(test)]
mod tests {
    use c_kzg::Bytes32;

    use super::*;

    /// The KZG library, which only knows the blob, evaluates the polynomial to what its coefficients say.
    #[test]
    fn blob_is_the_polynomial_of_the_data() {
        let data: Vec<Felt> = (1..=100_u64).map(|index| Felt::from(index * index + 7)).collect();
        let point = BigUint::from(123_456_789_u64);
        let expected = data
            .iter()
            .rev()
            .fold(BigUint::ZERO, |value, felt| (value * &point + felt.to_biguint()) % bls_prime());
        let as_bytes = |number: &BigUint| {
            let mut bytes = [0_u8; 32];
            let digits = number.to_bytes_be();
            bytes[32 - digits.len()..].copy_from_slice(&digits);
            Bytes32::new(bytes)
        };
        let (_, found) = ethereum_kzg_settings(0)
            .compute_kzg_proof(&blob(&data).unwrap(), &as_bytes(&point))
            .unwrap();
        assert_eq!(found, as_bytes(&expected));
    }

    /// The commitment to nothing is the point at infinity.
    #[test]
    fn commitment_to_zero_is_infinity() {
        let commitment = commit(&[]).unwrap();
        assert_eq!(commitment.low, Felt::ZERO);
        assert_eq!(commitment.high, Felt::from(0xc0_u8) * Felt::TWO.pow(184_u32));
    }
}
