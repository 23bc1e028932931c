//! Hash values of circuits.

use circuits::blake::HashValue;
use serde::{Deserialize, Serialize};
use stwo::core::fields::m31::{M31, P};
use stwo::core::fields::qm31::{QM31, SECURE_EXTENSION_DEGREE};
use stwo::core::vcs::blake2_hash::Blake2sHash;

/// Blake2s with every 32-bit word of the result reduced modulo 2^31 - 1: eight words, each in little endian order.
/// To a circuit it is two elements of QM31.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Eight words below 2^31 - 1.
    pub(crate) const fn of_words(words: [u32; 8]) -> Self {
        let mut bytes = [0; 32];
        let mut index = 0;
        while index < 8 {
            let word = words[index].to_le_bytes();
            let mut byte = 0;
            while byte < 4 {
                bytes[4 * index + byte] = word[byte];
                byte += 1;
            }
            index += 1;
        }
        Self(bytes)
    }

    fn words(&self) -> [u32; 8] {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(self.0.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        words
    }

    /// Whether every word is a reduced element of the field.
    pub fn is_canonical(&self) -> bool {
        self.words().iter().all(|word| *word < P)
    }

    /// As a circuit sees it. Words are reduced if they were not.
    pub(crate) fn to_qm31s(self) -> [QM31; 2] {
        let HashValue(first, second) = HashValue::from(Blake2sHash(self.0));
        [first, second]
    }

    pub(crate) fn of_qm31s(values: [QM31; 2]) -> Self {
        let mut words = [0; 8];
        for (words, value) in words.chunks_exact_mut(SECURE_EXTENSION_DEGREE).zip(values) {
            for (word, M31(limb)) in words.iter_mut().zip(value.to_m31_array()) {
                *word = limb;
            }
        }
        Self::of_words(words)
    }
}

impl From<Blake2sHash> for Digest {
    fn from(hash: Blake2sHash) -> Self {
        Self(hash.0)
    }
}

impl From<Digest> for Blake2sHash {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

impl From<Digest> for HashValue<QM31> {
    fn from(digest: Digest) -> Self {
        let [first, second] = digest.to_qm31s();
        Self(first, second)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
