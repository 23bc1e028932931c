//! Numbers that travel as hexadecimal text.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use starknet_api::core::{ContractAddress, PatriciaKey};
use starknet_api::state::StorageKey;
use starknet_types_core::felt::Felt;

/// `FELT`: `0x` and up to 64 hexadecimal digits of a value below the STARK prime.
///
/// Written without leading zeros, as the specification's pattern wants it. Read with or without them: many
/// wallets and tools pad addresses to 64 digits, and both spellings name one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeltHex(pub Felt);

/// `u64` of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct U64Hex(pub u64);

/// `u128` of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct U128Hex(pub u128);

/// `ADDRESS`, checked to be a possible contract address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressHex(pub ContractAddress);

/// `STORAGE_KEY`, checked to be below 2^251.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StorageKeyHex(pub StorageKey);

/// `L1_TXN_HASH` of the specification: the hash of an Ethereum transaction, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct L1Hash(pub [u8; 32]);

/// Why a text is not a number of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    #[error("it does not start with 0x")]
    NoPrefix,
    #[error("it has no digits")]
    Empty,
    #[error("it has {digits} digits, {allowed} are allowed")]
    TooLong { digits: usize, allowed: usize },
    #[error("it has a character that is not a hexadecimal digit")]
    NotHex,
    #[error("it is not below the STARK prime")]
    NotAFelt,
    #[error("it is not below 2^251")]
    NotAKey,
}

/// The digits after `0x`, checked for length and alphabet.
fn digits(text: &str, allowed: usize) -> Result<&str, HexError> {
    let digits = text.strip_prefix("0x").ok_or(HexError::NoPrefix)?;
    if digits.is_empty() {
        return Err(HexError::Empty);
    }
    if digits.len() > allowed {
        return Err(HexError::TooLong { digits: digits.len(), allowed });
    }
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(HexError::NotHex);
    }
    Ok(digits)
}

/// Up to 32 bytes, big endian, from checked digits.
fn bytes32(digits: &str) -> Result<[u8; 32], HexError> {
    let padded = format!("{digits:0>64}");
    let mut bytes = [0; 32];
    hex::decode_to_slice(padded, &mut bytes).map_err(|_| HexError::NotHex)?;
    Ok(bytes)
}

/// Reads a `FELT`.
pub fn parse_felt(text: &str) -> Result<Felt, HexError> {
    let bytes = bytes32(digits(text, 64)?)?;
    let value = Felt::from_bytes_be(&bytes);
    // `from_bytes_be` reduces; only a value that was below the prime comes back the same.
    if value.to_bytes_be() == bytes { Ok(value) } else { Err(HexError::NotAFelt) }
}

fn parse_key(text: &str) -> Result<PatriciaKey, HexError> {
    PatriciaKey::try_from(parse_felt(text)?).map_err(|_| HexError::NotAKey)
}

/// Reads hexadecimal text with `parse`; anything but text is refused.
struct HexVisitor<T> {
    kind: &'static str,
    parse: fn(&str) -> Result<T, HexError>,
}

impl<T> Visitor<'_> for HexVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as hexadecimal text that starts with 0x", self.kind)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text)
            .map_err(|problem| E::custom(format!("not {} in hexadecimal: {problem}", self.kind)))
    }
}

macro_rules! hex_text {
    ($name:ident, $kind:literal, $parse:expr, $felt:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(HexVisitor { kind: $kind, parse: $parse }).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                #[allow(clippy::redundant_closure_call)]
                serializer.serialize_str(&($felt)(&self.0))
            }
        }
    };
}

hex_text!(FeltHex, "a field element", parse_felt, |value: &Felt| format!("{value:#x}"));
hex_text!(
    U64Hex,
    "a 64-bit number",
    |text| u64::from_str_radix(digits(text, 16)?, 16).map_err(|_| HexError::NotHex),
    |value: &u64| format!("{value:#x}")
);
hex_text!(
    U128Hex,
    "a 128-bit number",
    |text| u128::from_str_radix(digits(text, 32)?, 16).map_err(|_| HexError::NotHex),
    |value: &u128| format!("{value:#x}")
);
hex_text!(
    AddressHex,
    "a contract address",
    |text| parse_key(text).map(ContractAddress),
    |value: &ContractAddress| format!("{:#x}", value.0.key())
);
hex_text!(
    StorageKeyHex,
    "a storage key",
    |text| parse_key(text).map(StorageKey),
    |value: &StorageKey| format!("{:#x}", value.0.key())
);
hex_text!(
    L1Hash,
    "an Ethereum hash",
    |text| bytes32(digits(text, 64)?),
    |value: &[u8; 32]| format!("0x{}", hex::encode(value))
);

impl From<Felt> for FeltHex {
    fn from(value: Felt) -> Self {
        Self(value)
    }
}

/// Wraps a list for writing.
pub fn hexes(values: &[Felt]) -> Vec<FeltHex> {
    values.iter().copied().map(FeltHex).collect()
}

/// Unwraps a list that was read.
pub fn felts(values: &[FeltHex]) -> Vec<Felt> {
    values.iter().map(|value| value.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn felts_are_read_exactly() {
        assert_eq!(parse_felt("0x0"), Ok(Felt::ZERO));
        assert_eq!(parse_felt("0xAb"), Ok(Felt::from(0xab)));
        assert_eq!(parse_felt(&format!("0x{:0>64}", "7")), Ok(Felt::from(7)));
        assert_eq!(parse_felt(&format!("{:#x}", Felt::MAX)), Ok(Felt::MAX));
        let prime = "0x800000000000011000000000000000000000000000000000000000000000001";
        assert_eq!(parse_felt(prime), Err(HexError::NotAFelt));
    }

    #[test]
    fn what_is_no_felt_is_refused_with_its_reason() {
        assert_eq!(parse_felt("12"), Err(HexError::NoPrefix));
        assert_eq!(parse_felt("0X12"), Err(HexError::NoPrefix));
        assert_eq!(parse_felt("0x"), Err(HexError::Empty));
        assert_eq!(parse_felt("0x+1"), Err(HexError::NotHex));
        assert_eq!(parse_felt("0xg"), Err(HexError::NotHex));
        assert_eq!(parse_felt("0xé"), Err(HexError::NotHex));
        assert!(matches!(parse_felt(&format!("0x{:0>65}", 1)), Err(HexError::TooLong { .. })));
        for not_text in ["1", "null", "[]", "{}", "true", "1.5"] {
            assert!(serde_json::from_str::<FeltHex>(not_text).is_err(), "{not_text}");
        }
    }

    #[test]
    fn bounded_numbers_stop_at_their_bound() {
        let u64s = |text: &str| serde_json::from_value::<U64Hex>(text.into()).map(|v| v.0).ok();
        assert_eq!(u64s("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(u64s("0x10000000000000000"), None);
        assert_eq!(u64s("0x-1"), None);
        let u128s = |text: &str| serde_json::from_value::<U128Hex>(text.into()).map(|v| v.0).ok();
        assert_eq!(u128s(&format!("{:#x}", u128::MAX)), Some(u128::MAX));
        assert_eq!(u128s("0x100000000000000000000000000000000"), None);
    }

    #[test]
    fn addresses_are_below_2_to_251() {
        let read = |value: Felt| {
            serde_json::from_value::<AddressHex>(format!("{value:#x}").into()).is_ok()
        };
        let limit = Felt::TWO.pow(251u32);
        assert!(read(limit - Felt::ONE));
        assert!(!read(limit));
    }
}
