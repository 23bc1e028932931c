//! The Fiat-Shamir channel over Keccak-256, made so that a contract does it in few instructions.
//!
//! The state is a digest of 256 bits and a counter of draws. Every operation is one Keccak-256 over
//! `tag (1 byte) | digest (32) | data`, integers big endian, field elements four bytes each:
//!
//! | operation | tag | data | result |
//! | --- | --- | --- | --- |
//! | mix field elements | 2 | their four coordinates in `1, i, u, iu` | new digest |
//! | mix a Merkle root | 3 | 24 bytes | new digest |
//! | mix a `u64` | 4 | 8 bytes | new digest |
//! | mix `u32`s | 5 | 4 bytes each | new digest |
//! | draw | 6 | counter, 4 bytes | 256 random bits |
//! | proof of work | 7 | bits (4 bytes), nonce (8 bytes) | as many leading zeros |
//!
//! Tag 0 is a leaf of a Merkle tree; a node has no tag but a length that nothing else has, see the module of Merkle
//! trees. No two operations share a tag, and within a tag everything but the last field has a fixed length, so that
//! no input reads in two ways.
//!
//! A drawn field element takes a whole digest: its four 64-bit words modulo 2^31-1, the least significant word
//! being the coefficient of 1 in the basis `1, u, u^2, u^3` that the contract calculates in. A reduced word hits
//! every residue with a probability within 2^-33 of uniform, relatively, which multiplies a soundness error by less
//! than 1 + 2^-30.

use stwo::core::channel::{Channel, MerkleChannel};
use stwo::core::fields::m31::BaseField;
use stwo::core::fields::qm31::SecureField;

use crate::keccak::keccak256;
use crate::merkle::{KeccakHash, KeccakMerkleHasher};

pub(crate) const TAG_LEAF: u8 = 0;
const TAG_FELTS: u8 = 2;
const TAG_ROOT: u8 = 3;
const TAG_U64: u8 = 4;
const TAG_U32S: u8 = 5;
const TAG_DRAW: u8 = 6;
pub(crate) const TAG_POW: u8 = 7;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeccakChannel {
    digest: [u8; 32],
    draws: u32,
}

impl KeccakChannel {
    /// A channel that has taken in `digest` and nothing else.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self { digest, draws: 0 }
    }

    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn mix(&mut self, tag: u8, data: &[u8]) {
        *self = Self::new(keccak256(&[&[tag], &self.digest, data]));
    }

    fn draw(&mut self) -> [u8; 32] {
        let drawn = keccak256(&[&[TAG_DRAW], &self.digest, &self.draws.to_be_bytes()]);
        self.draws += 1;
        drawn
    }
}

/// Four bytes a coordinate, big endian.
pub(crate) fn felts_to_bytes(felts: &[SecureField]) -> Vec<u8> {
    felts
        .iter()
        .flat_map(|felt| felt.to_m31_array())
        .flat_map(|coordinate| coordinate.0.to_be_bytes())
        .collect()
}

/// `c_0 + c_1 u + c_2 u^2 + c_3 u^3`, where `u^2 = 2 + i`.
pub(crate) fn from_powers_of_u([c0, c1, c2, c3]: [BaseField; 4]) -> SecureField {
    SecureField::from_m31(c0 + c2.double_base(), c2, c1 + c3.double_base(), c3)
}

trait DoubleBase {
    fn double_base(self) -> Self;
}
impl DoubleBase for BaseField {
    fn double_base(self) -> Self {
        self + self
    }
}

impl Channel for KeccakChannel {
    const BYTES_PER_HASH: usize = 32;

    fn verify_pow_nonce(&self, n_bits: u32, nonce: u64) -> bool {
        let hash =
            keccak256(&[&[TAG_POW], &self.digest, &n_bits.to_be_bytes(), &nonce.to_be_bytes()]);
        leading_zeros(&hash) >= n_bits
    }

    fn mix_u32s(&mut self, data: &[u32]) {
        let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.mix(TAG_U32S, &bytes);
    }

    fn mix_felts(&mut self, felts: &[SecureField]) {
        self.mix(TAG_FELTS, &felts_to_bytes(felts));
    }

    fn mix_u64(&mut self, value: u64) {
        self.mix(TAG_U64, &value.to_be_bytes());
    }

    fn draw_secure_felt(&mut self) -> SecureField {
        let drawn = self.draw();
        from_powers_of_u(std::array::from_fn(|word| {
            let bytes: [u8; 8] = std::array::from_fn(|byte| drawn[(3 - word) * 8 + byte]);
            // BaseField::reduce takes less than (2^31-1)^2.
            BaseField::reduce(u64::from_be_bytes(bytes) % u64::from(stwo::core::fields::m31::P))
        }))
    }

    fn draw_secure_felts(&mut self, n_felts: usize) -> Vec<SecureField> {
        (0..n_felts).map(|_| self.draw_secure_felt()).collect()
    }

    fn draw_u32s(&mut self) -> Vec<u32> {
        let drawn = self.draw();
        drawn.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect()
    }
}

/// The zero bits before the first one of `hash`, its first byte being the most significant.
pub(crate) fn leading_zeros(hash: &[u8; 32]) -> u32 {
    let mut zeros = 0;
    for byte in hash {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

/// Channel and hasher together, as S-two's provers and verifiers take them.
#[derive(Debug, Default)]
pub struct KeccakMerkleChannel;

impl MerkleChannel for KeccakMerkleChannel {
    type C = KeccakChannel;
    type H = KeccakMerkleHasher;

    fn mix_root(channel: &mut Self::C, root: KeccakHash) {
        channel.mix(TAG_ROOT, &root.0);
    }
}
