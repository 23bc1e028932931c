//! Keccak-256, one message at a time or eight at once.
//!
//! Committing to a trace takes some hundred million permutations. [`Batch`] runs them on eight messages of one
//! length side by side, a lane of a vector register each; everything else takes the `sha3` crate.

use std::simd::u64x8;

use sha3::{Digest, Keccak256};

/// Messages hashed side by side.
pub(crate) const LANES: usize = 8;
const RATE: usize = 136;

/// Keccak-256 of the concatenation of `parts`.
pub(crate) fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Eight messages of one length, to be hashed together.
pub(crate) struct Batch {
    /// The padded messages, one after another.
    bytes: Vec<u8>,
    padded_length: usize,
    length: usize,
}

impl Batch {
    /// Eight messages of `length` bytes, all zero.
    pub(crate) fn new(length: usize) -> Self {
        let padded_length = (length / RATE + 1) * RATE;
        let mut bytes = vec![0; padded_length * LANES];
        for message in bytes.chunks_exact_mut(padded_length) {
            message[length] |= 0x01;
            message[padded_length - 1] |= 0x80;
        }
        Self { bytes, padded_length, length }
    }

    /// The message in `lane`.
    pub(crate) fn message(&mut self, lane: usize) -> &mut [u8] {
        &mut self.bytes[lane * self.padded_length..][..self.length]
    }

    /// The first four words of the eight states after the last block: the digests, word by word, little endian.
    fn squeeze(&self) -> [u64x8; 4] {
        let mut state = [u64x8::splat(0); 25];
        for block in (0..self.padded_length).step_by(RATE) {
            for (word, state_word) in state[..RATE / 8].iter_mut().enumerate() {
                *state_word ^= u64x8::from_array(std::array::from_fn(|lane| {
                    let at = lane * self.padded_length + block + word * 8;
                    let bytes: [u8; 8] = std::array::from_fn(|byte| self.bytes[at + byte]);
                    u64::from_le_bytes(bytes)
                }));
            }
            permute(&mut state);
        }
        [state[0], state[1], state[2], state[3]]
    }

    /// The digests of the eight messages.
    pub(crate) fn digests(&self) -> [[u8; 32]; LANES] {
        let words = self.squeeze();
        std::array::from_fn(|lane| {
            let mut digest = [0; 32];
            for (bytes, word) in digest.chunks_exact_mut(8).zip(&words) {
                bytes.copy_from_slice(&word[lane].to_le_bytes());
            }
            digest
        })
    }
}

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
];
/// Rotations and destinations of rho and pi, along the cycle that pi makes of 24 lanes (FIPS 202, 3.2.2 and 3.2.3).
const ROTATIONS: [u64; 24] =
    [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const CYCLE: [usize; 24] =
    [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];

fn rotate_left(value: u64x8, bits: u64) -> u64x8 {
    (value << u64x8::splat(bits)) | (value >> u64x8::splat(64 - bits))
}

/// Keccak-f[1600] on eight states.
fn permute(state: &mut [u64x8; 25]) {
    for constant in ROUND_CONSTANTS {
        let mut parity = [u64x8::splat(0); 5];
        for x in 0..5 {
            parity[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        }
        for x in 0..5 {
            let theta = parity[(x + 4) % 5] ^ rotate_left(parity[(x + 1) % 5], 1);
            for y in 0..5 {
                state[x + 5 * y] ^= theta;
            }
        }
        let mut last = state[1];
        for step in 0..24 {
            let to = CYCLE[step];
            let moved = rotate_left(last, ROTATIONS[step]);
            last = state[to];
            state[to] = moved;
        }
        for y in 0..5 {
            let row: [u64x8; 5] = std::array::from_fn(|x| state[x + 5 * y]);
            for x in 0..5 {
                state[x + 5 * y] = row[x] ^ (!row[(x + 1) % 5] & row[(x + 2) % 5]);
            }
        }
        state[0] ^= u64x8::splat(constant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight at once give what `sha3` gives, for every length around the block's.
    #[test]
    fn the_batch_agrees_with_sha3() {
        for length in [0, 1, 45, 49, 65, 134, 135, 136, 137, 271, 272, 457, 609] {
            let mut batch = Batch::new(length);
            let messages: Vec<Vec<u8>> = (0..LANES)
                .map(|lane| {
                    (0..length)
                        .map(|byte| u8::try_from((byte * 7 + lane * 13) % 251).unwrap())
                        .collect()
                })
                .collect();
            for (lane, message) in messages.iter().enumerate() {
                batch.message(lane).copy_from_slice(message);
            }
            for (message, digest) in messages.iter().zip(batch.digests()) {
                assert_eq!(digest, keccak256(&[message]), "length {length}");
            }
        }
    }

    #[test]
    fn keccak_256_is_ethereums() {
        // The hash of no bytes, as every Ethereum account without code has it.
        assert_eq!(keccak256(&[])[..4], [0xc5, 0xd2, 0x46, 0x01]);
    }
}
