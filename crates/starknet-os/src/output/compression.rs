//! Stateless compression: the state diff as few felts as the OS can cheaply unpack again.
//!
//! Every value goes into the bucket of its size, the first time that it occurs; later occurrences are pointers
//! to it. The compressed form is a header (version, length, bucket lengths), the buckets, the pointers, and
//! for every value the bucket that it is in, each packed as many to a felt as fit into 251 bits
//! (`data_availability/compression.cairo` of StarknetOS 0.13.5).

use std::collections::HashMap;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, ToPrimitive, Zero};
use starknet_types_core::felt::Felt;

/// Version in the header.
const VERSION: usize = 0;
/// Bits that may be used of a felt.
const FELT_BITS: u64 = 251;
/// Bits of the values in each bucket.
const BUCKET_BITS: [u64; 6] = [252, 125, 83, 62, 31, 15];
/// The buckets, and the one of repeated values.
const N_BUCKETS: usize = BUCKET_BITS.len() + 1;
/// Bits of a field of the header.
const HEADER_BITS: u64 = 20;
/// Version, length, and the length of each bucket.
const HEADER_LENGTH: usize = 2 + N_BUCKETS;

/// Why a felt sequence is no compressed state diff, or cannot be made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// More values than the header can count.
    #[error("{0} values are too many to compress")]
    TooLong(usize),
    /// The sequence ends before its header says.
    #[error("the compressed data ends early")]
    Truncated,
    /// Another version of the format.
    #[error("compression version {0} is not supported")]
    Version(u64),
    /// A felt has more in it than the elements that it should hold.
    #[error("a packed felt has a remainder")]
    Remainder,
    /// A pointer or a bucket index leads nowhere.
    #[error("the compressed data points outside itself")]
    OutOfBounds,
}

/// How many elements below `bound` fit into a felt.
fn elements_per_felt(bound: &BigUint) -> usize {
    if bound <= &BigUint::one() {
        return usize::try_from(FELT_BITS).unwrap_or(usize::MAX);
    }
    let bits = (bound - 1_u8).bits();
    usize::try_from(FELT_BITS / bits).unwrap_or(usize::MAX).max(1)
}

fn pack(elements: &[BigUint], bound: &BigUint) -> Vec<Felt> {
    elements
        .chunks(elements_per_felt(bound))
        .map(|chunk| {
            let packed = chunk
                .iter()
                .rev()
                .fold(BigUint::zero(), |packed, element| packed * bound + element);
            Felt::from(packed)
        })
        .collect()
}

/// Compresses `data`.
///
/// # Errors
/// [`CompressionError::TooLong`] from 2^20 felts on.
pub fn compress(data: &[Felt]) -> Result<Vec<Felt>, CompressionError> {
    if data.len() >= 1 << HEADER_BITS {
        return Err(CompressionError::TooLong(data.len()));
    }
    let mut buckets: [Vec<BigUint>; BUCKET_BITS.len()] = Default::default();
    let mut places: HashMap<Felt, (usize, usize)> = HashMap::new();
    let mut repeated: Vec<(usize, usize)> = Vec::new();
    let mut bucket_of: Vec<BigUint> = Vec::with_capacity(data.len());
    for value in data {
        if let Some(place) = places.get(value) {
            repeated.push(*place);
            bucket_of.push(BigUint::from(N_BUCKETS - 1));
            continue;
        }
        let number = value.to_biguint();
        // The last bucket that the value fits into has the fewest bits. Every felt fits into the first.
        let bucket =
            BUCKET_BITS.iter().rposition(|bits| number.bits() <= *bits).unwrap_or_default();
        places.insert(*value, (bucket, buckets[bucket].len()));
        buckets[bucket].push(number);
        bucket_of.push(BigUint::from(bucket));
    }

    let mut offsets = [0_usize; BUCKET_BITS.len()];
    let mut unique = 0;
    for (offset, bucket) in offsets.iter_mut().zip(&buckets) {
        *offset = unique;
        unique += bucket.len();
    }
    let header: Vec<BigUint> = [VERSION, data.len()]
        .into_iter()
        .chain(buckets.iter().map(Vec::len))
        .chain([repeated.len()])
        .map(BigUint::from)
        .collect();
    let pointers: Vec<BigUint> =
        repeated.iter().map(|(bucket, index)| BigUint::from(offsets[*bucket] + index)).collect();

    let mut compressed = pack(&header, &(BigUint::one() << HEADER_BITS));
    for (bucket, bits) in buckets.iter().zip(BUCKET_BITS) {
        compressed.extend(pack(bucket, &(BigUint::one() << bits)));
    }
    compressed.extend(pack(&pointers, &BigUint::from(unique)));
    compressed.extend(pack(&bucket_of, &BigUint::from(N_BUCKETS)));
    Ok(compressed)
}

/// Reads packed elements one chunk after the other.
struct Unpacker<'a> {
    felts: std::slice::Iter<'a, Felt>,
}

impl Unpacker<'_> {
    fn unpack(&mut self, count: usize, bound: &BigUint) -> Result<Vec<Felt>, CompressionError> {
        let mut elements = Vec::new();
        while elements.len() < count {
            let mut packed = self.felts.next().ok_or(CompressionError::Truncated)?.to_biguint();
            for _ in 0..elements_per_felt(bound).min(count - elements.len()) {
                let (rest, element) =
                    if bound.is_zero() { (packed, BigUint::zero()) } else { packed.div_rem(bound) };
                packed = rest;
                elements.push(Felt::from(element));
            }
            if !packed.is_zero() {
                return Err(CompressionError::Remainder);
            }
        }
        Ok(elements)
    }

    fn indices(&mut self, count: usize, bound: usize) -> Result<Vec<usize>, CompressionError> {
        let elements = self.unpack(count, &BigUint::from(bound))?;
        elements
            .iter()
            .map(|element| element.to_usize().ok_or(CompressionError::OutOfBounds))
            .collect()
    }
}

/// Undoes [`compress`]; returns the data and how many felts of `compressed` it was made of.
///
/// # Errors
/// When `compressed` does not start with a compressed sequence.
pub fn decompress(compressed: &[Felt]) -> Result<(Vec<Felt>, usize), CompressionError> {
    let mut unpacker = Unpacker { felts: compressed.iter() };
    let header = unpacker.indices(HEADER_LENGTH, 1 << HEADER_BITS)?;
    if header[0] != VERSION {
        return Err(CompressionError::Version(header[0].to_u64().unwrap_or(u64::MAX)));
    }
    let length = header[1];
    let lengths = &header[2..];

    let mut values = Vec::new();
    for (length, bits) in lengths.iter().zip(BUCKET_BITS) {
        values.extend(unpacker.unpack(*length, &(BigUint::one() << bits))?);
    }
    for pointer in unpacker.indices(lengths[N_BUCKETS - 1], values.len())? {
        let value = *values.get(pointer).ok_or(CompressionError::OutOfBounds)?;
        values.push(value);
    }
    let mut next = [0_usize; N_BUCKETS];
    for bucket in 1..N_BUCKETS {
        next[bucket] = next[bucket - 1] + lengths[bucket - 1];
    }
    let mut data = Vec::new();
    for bucket in unpacker.indices(length, N_BUCKETS)? {
        let offset = next.get_mut(bucket).ok_or(CompressionError::OutOfBounds)?;
        data.push(*values.get(*offset).ok_or(CompressionError::OutOfBounds)?);
        *offset += 1;
    }
    Ok((data, compressed.len() - unpacker.felts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(data: &[Felt]) {
        let compressed = compress(data).unwrap();
        assert_eq!(decompress(&compressed).unwrap(), (data.to_vec(), compressed.len()));
    }

    /// What is compressed is there again, for every bucket, with and without repetitions.
    #[test]
    fn decompression_undoes_compression() {
        round_trip(&[]);
        round_trip(&[Felt::ZERO]);
        round_trip(&[Felt::ZERO, Felt::ZERO, Felt::ONE]);
        let all: Vec<Felt> = (0..252_u32).map(|bits| Felt::TWO.pow(bits) - Felt::ONE).collect();
        round_trip(&all);
        round_trip(&[&all[..], &all[..]].concat());
        round_trip(&[Felt::MAX; 300]);
    }

    /// A sequence that was cut off, or that points outside itself, is an error.
    #[test]
    fn broken_data_is_refused() {
        let compressed = compress(&[Felt::ONE, Felt::TWO, Felt::MAX, Felt::ONE]).unwrap();
        for length in 0..compressed.len() {
            assert_eq!(
                decompress(&compressed[..length]),
                Err(CompressionError::Truncated),
                "{length}"
            );
        }
        assert_eq!(decompress(&[Felt::ONE]), Err(CompressionError::Version(1)));
        assert_eq!(decompress(&[Felt::MAX]), Err(CompressionError::Remainder));
    }
}
