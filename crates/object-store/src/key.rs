//! Names of objects.

use std::fmt;
use std::str::FromStr;

/// Name of an object: segments of `[a-z0-9._-]` divided by `/`, none of them empty, beginning with a dot, or longer
/// than 255 bytes. So a key is a safe relative path, whose parts fit a file system, and a safe S3 key.
///
/// No key may be the folder of another (`a` and `a/b`): a file system cannot hold both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// A string that is no object key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key:?} is not an object key (segments of [a-z0-9._-] divided by '/', each at most 255 bytes, all at most 512)"
)]
pub struct BadKey {
    /// The string as given, cut to 600 bytes at most.
    pub key: String,
}

impl ObjectKey {
    /// Checks a key that came from elsewhere (a database row, a message).
    pub fn parse(key: &str) -> Result<Self, BadKey> {
        let fine = key.len() <= 512
            && key.split('/').all(|segment| {
                (1..=255).contains(&segment.len())
                    && !segment.starts_with('.')
                    && segment.bytes().all(is_segment_byte)
            });
        if fine {
            Ok(Self(key.to_owned()))
        } else {
            Err(BadKey { key: key.chars().take(150).collect() })
        }
    }

    /// `witnesses/<block>-<hash>.bin`, with the block hash as `0x…` in lower case.
    pub fn witness(block: u64, block_hash: impl fmt::LowerHex) -> Self {
        Self(format!("witnesses/{block}-{block_hash:#x}.bin"))
    }

    /// `proofs/<block>-<hash>-<digest>.bin`, with the block hash as `0x…` and the SHA-256 of the proof, both in lower
    /// case. A block can have several proofs that verify: with the digest none of them replaces another.
    pub fn proof(block: u64, block_hash: impl fmt::LowerHex, digest: &[u8; 32]) -> Self {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("proofs/{block}-{block_hash:#x}-{digest}.bin"))
    }

    /// `steps/<name>-<digest>.bin`: the proof of a step of an aggregation, with the SHA-256 of the proof.
    ///
    /// # Errors
    /// When the name is no part of a key.
    pub fn step(name: &str, digest: &[u8; 32]) -> Result<Self, BadKey> {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::parse(&format!("steps/{name}-{digest}.bin"))
    }

    /// `classes/sierra/<class_hash>.json.zst`.
    pub fn sierra_class(class_hash: impl fmt::LowerHex) -> Self {
        Self(format!("classes/sierra/{class_hash:#x}.json.zst"))
    }

    /// `classes/casm/<class_hash>.json.zst`.
    pub fn casm_class(class_hash: impl fmt::LowerHex) -> Self {
        Self(format!("classes/casm/{class_hash:#x}.json.zst"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_segment_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectKey {
    type Err = BadKey;

    fn from_str(key: &str) -> Result<Self, BadKey> {
        Self::parse(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that no key can leave the store's folder or hide in it.
    #[test]
    fn traversal_and_hidden_names_are_refused() {
        for bad in [
            "", "/", "a/", "/a", "a//b", "../a", "a/../b", "a/./b", ".a", "a\\b", "A", "a b",
            "a\0b",
        ] {
            assert!(ObjectKey::parse(bad).is_err(), "{bad:?}");
        }
        let long = "a".repeat(255);
        assert!(ObjectKey::parse(&long).is_ok());
        assert!(ObjectKey::parse(&format!("{long}a")).is_err());
        assert!(ObjectKey::parse(&format!("{long}/{long}/1")).is_err());
        assert!(ObjectKey::parse("proofs/1-0xabc.bin").is_ok());
    }

    /// Pins down the layout that services agree on.
    #[test]
    fn the_layout_of_the_store() {
        assert_eq!(ObjectKey::witness(7, 0xabc_u32).as_str(), "witnesses/7-0xabc.bin");
        let digest = "0f".repeat(32);
        assert_eq!(
            ObjectKey::proof(7, 0xabc_u32, &[15; 32]).as_str(),
            format!("proofs/7-0xabc-{digest}.bin")
        );
        assert_eq!(ObjectKey::casm_class(0x1_u8).as_str(), "classes/casm/0x1.json.zst");
        assert_eq!(ObjectKey::sierra_class(0x1_u8).as_str(), "classes/sierra/0x1.json.zst");
        assert!(ObjectKey::parse(ObjectKey::sierra_class(0x1_u8).as_str()).is_ok());
    }
}
