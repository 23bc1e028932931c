//! Blobs: the compressed state diff as a polynomial over the scalar field of BLS12-381, and its KZG
//! commitment (EIP-4844).

use std::sync::LazyLock;

use c_kzg::{BYTES_PER_BLOB, BYTES_PER_FIELD_ELEMENT, Blob, ethereum_kzg_settings};
use num_bigint::BigUint;
use starknet_types_core::felt::Felt;

pub use crate::cairo_structs::constants::BLOB_LENGTH;

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
    /// A value is not below the order of BLS12-381.
    #[error("value {0} of the blob is no element of the field")]
    NoFieldElement(usize),
    /// A coefficient is no felt: the blob holds something else than data of StarknetOS.
    #[error("coefficient {0} of the blob's polynomial is no felt")]
    NoFelt(usize),
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
    let values = evaluate(&coefficients, &root_of_unity());

    let mut bytes = [0_u8; BYTES_PER_BLOB];
    for (index, value) in values.iter().enumerate() {
        let digits = value.to_bytes_be();
        let end = (bit_reversed(index) + 1) * BYTES_PER_FIELD_ELEMENT;
        bytes[end - digits.len()..end].copy_from_slice(&digits);
    }
    Ok(Blob::new(bytes))
}

/// Undoes [`blob`]: the coefficients, 4,096 of them.
///
/// # Errors
/// When no data has this blob.
pub fn blob_data(blob: &Blob) -> Result<Vec<Felt>, BlobError> {
    let (values, _) = blob.as_chunks::<BYTES_PER_FIELD_ELEMENT>();
    let value_at = |index: usize| {
        let value = BigUint::from_bytes_be(&values[bit_reversed(index)]);
        if value < *bls_prime() { Ok(value) } else { Err(BlobError::NoFieldElement(index)) }
    };
    let values = (0..BLOB_LENGTH).map(value_at).collect::<Result<Vec<_>, _>>()?;
    // The inverse transform is the transform by the inverse root, divided by the length.
    let inverse = |number: &BigUint| number.modpow(&(bls_prime() - 2_u8), bls_prime());
    let shrink = inverse(&BigUint::from(BLOB_LENGTH));
    let coefficients = evaluate(&values, &inverse(&root_of_unity()));
    coefficients
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let value = value * &shrink % bls_prime();
            if value < Felt::prime() {
                Ok(Felt::from(value))
            } else {
                Err(BlobError::NoFelt(index))
            }
        })
        .collect()
}

/// A 4,096th root of unity. 7 generates the multiplicative group (EIP-4844, PRIMITIVE_ROOT_OF_UNITY).
fn root_of_unity() -> BigUint {
    BigUint::from(7_u8).modpow(&((bls_prime() - 1_u8) / BLOB_LENGTH), bls_prime())
}

/// Where a blob has the value at the power `index` of the root.
fn bit_reversed(index: usize) -> usize {
    index.reverse_bits() >> (usize::BITS - BLOB_LENGTH.trailing_zeros())
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

    /// A blob gives back the data that it was made of, and nothing else passes for one.
    #[test]
    fn data_comes_back_from_its_blob() {
        let data: Vec<Felt> = (1..=50_u64).map(|index| Felt::MAX - Felt::from(index)).collect();
        let mut padded = data.clone();
        padded.resize(BLOB_LENGTH, Felt::ZERO);
        let made = blob(&data).unwrap();
        assert_eq!(blob_data(&made).unwrap(), padded);
        let mut other = *made;
        other[BYTES_PER_FIELD_ELEMENT - 1] ^= 1;
        assert!(matches!(blob_data(&Blob::new(other)), Err(BlobError::NoFelt(_))));
        let mut other = *made;
        other[0] = 0xff;
        assert!(matches!(blob_data(&Blob::new(other)), Err(BlobError::NoFieldElement(0))));
    }

    /// The commitment to nothing is the point at infinity.
    #[test]
    fn commitment_to_zero_is_infinity() {
        let commitment = commit(&[]).unwrap();
        assert_eq!(commitment.low, Felt::ZERO);
        assert_eq!(commitment.high, Felt::from(0xc0_u8) * Felt::TWO.pow(184_u32));
    }
}
