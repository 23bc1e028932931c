//! Keys and paths as strings of at most 251 bits.

use starknet_types_core::felt::Felt;

use crate::TRIE_HEIGHT;

/// A key does not fit a trie of height 251.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key {key:#x} does not fit into {length} bits")]
pub struct KeyError {
    /// The number that is too large.
    pub key: Felt,
    /// How many bits there are.
    pub length: u8,
}

/// A string of bits, the first one next to the root. Ordered like numbers when the lengths are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits {
    // The bits as a big-endian number below 2^length: `high` holds bits 128 and up.
    high: u128,
    low: u128,
    length: u8,
}

impl Bits {
    /// No bits.
    pub const EMPTY: Self = Self { high: 0, low: 0, length: 0 };

    /// The `length` lowest bits of `value`, which must have no higher ones.
    pub fn new(value: &Felt, length: u8) -> Result<Self, KeyError> {
        let error = KeyError { key: *value, length };
        if length > TRIE_HEIGHT {
            return Err(error);
        }
        let bytes = value.to_bytes_be();
        let (mut high, mut low) = ([0; 16], [0; 16]);
        high.copy_from_slice(&bytes[..16]);
        low.copy_from_slice(&bytes[16..]);
        let bits = Self { high: u128::from_be_bytes(high), low: u128::from_be_bytes(low), length };
        if bits.masked() == bits { Ok(bits) } else { Err(error) }
    }

    /// The key of a leaf: 251 bits.
    pub fn key(value: &Felt) -> Result<Self, KeyError> {
        Self::new(value, TRIE_HEIGHT)
    }

    /// The bits as a number.
    pub fn to_felt(self) -> Felt {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.high.to_be_bytes());
        bytes[16..].copy_from_slice(&self.low.to_be_bytes());
        Felt::from_bytes_be(&bytes)
    }

    /// Number of bits.
    pub fn len(self) -> u8 {
        self.length
    }

    /// Whether there are no bits.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }

    /// The bit that is `below` bits above the last one: 0 is the last bit.
    pub fn bit_from_end(self, below: u8) -> bool {
        let bit = if below < 128 { self.low >> below } else { self.high >> (below - 128) };
        bit & 1 == 1
    }

    /// The first bit, next to the root. `None` when there are no bits.
    pub fn first(self) -> Option<bool> {
        self.length.checked_sub(1).map(|last| self.bit_from_end(last))
    }

    /// The last `length` bits (all of them when there are fewer).
    pub fn suffix(self, length: u8) -> Self {
        Self { length: length.min(self.length), ..self }.masked()
    }

    /// The first `length` bits (all of them when there are fewer).
    pub fn prefix(self, length: u8) -> Self {
        let length = length.min(self.length);
        let shift = self.length - length;
        let (high, low) = match shift {
            0 => (self.high, self.low),
            1..128 => (self.high >> shift, (self.low >> shift) | (self.high << (128 - shift))),
            128 => (0, self.high),
            _ => (0, self.high >> (shift - 128)),
        };
        Self { high, low, length }
    }

    /// These bits with one more before them.
    pub fn prepend(self, bit: bool) -> Self {
        let (mut high, mut low) = (self.high, self.low);
        let at = self.length;
        if at < 128 {
            low |= u128::from(bit) << at;
        } else {
            high |= u128::from(bit) << (at - 128);
        }
        Self { high, low, length: at + 1 }
    }

    /// How many bits both have in common from the start.
    pub fn common_prefix(self, other: Self) -> u8 {
        let length = self.length.min(other.length);
        let (a, b) = (self.prefix(length), other.prefix(length));
        let (high, low) = (a.high ^ b.high, a.low ^ b.low);
        // The number of bits of the difference is at most 251, so that it fits.
        let differing =
            if high != 0 { 256 - high.leading_zeros() } else { 128 - low.leading_zeros() };
        length - u8::try_from(differing).unwrap_or(length)
    }

    fn masked(self) -> Self {
        let (high, low) = match self.length {
            0 => (0, 0),
            length @ 1..128 => (0, self.low & (u128::MAX >> (128 - length))),
            128 => (0, self.low),
            length => (self.high & (u128::MAX >> (256 - u16::from(length))), self.low),
        };
        Self { high, low, length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;
    use proptest::prelude::*;
    use starknet_types_core::felt::Felt;

    fn bits(of: &[bool]) -> Bits {
        of.iter().rev().fold(Bits::EMPTY, |bits, bit| bits.prepend(*bit))
    }

    proptest! {
        // Every operation against the same one on a plain list of booleans.
        #[test]
        fn operations_agree_with_a_list(
            a in prop::collection::vec(any::<bool>(), 0..=250),
            b in prop::collection::vec(any::<bool>(), 0..=250),
            shared in 0_usize..=250,
            cut in 0_u8..=251,
        ) {
            let mut b = b;
            let shared = shared.min(a.len()).min(b.len());
            b[..shared].copy_from_slice(&a[..shared]);
            let (x, y) = (bits(&a), bits(&b));
            let cut_at = usize::from(cut).min(a.len());
            prop_assert_eq!(usize::from(x.len()), a.len());
            prop_assert_eq!(x.prefix(cut), bits(&a[..cut_at]));
            prop_assert_eq!(x.suffix(cut), bits(&a[a.len() - cut_at..]));
            prop_assert_eq!(x.first(), a.first().copied());
            let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(usize::from(x.common_prefix(y)), common);
            prop_assert_eq!(Bits::new(&x.to_felt(), x.len()), Ok(x));
            let number = a.iter().fold(Felt::ZERO, |sum, bit| sum * Felt::TWO + Felt::from(*bit));
            prop_assert_eq!(x.to_felt(), number);
        }
    }

    #[test]
    fn a_number_that_is_too_large_is_refused() {
        assert!(Bits::new(&Felt::from(4), 2).is_err());
        assert!(Bits::new(&Felt::from(3), 2).is_ok());
        assert!(Bits::key(&Felt::TWO.pow(251_u32)).is_err());
        assert!(Bits::key(&(Felt::TWO.pow(251_u32) - Felt::ONE)).is_ok());
    }
}
