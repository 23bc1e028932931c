//! Merkle trees over Keccak-256, truncated to 192 bits: the first 24 bytes of each digest.
//!
//! * Leaf: `Keccak(0 | values)`, four bytes a value, big endian, in the order of the columns' sizes.
//! * Node: `Keccak(left | right)`, each hash followed by eight zero bytes: two words of the EVM.
//!
//! Nothing else that is hashed has 64 bytes: leaves and all that the channel hashes have a tag and an odd length.
//!
//! 192 bits keep 96 against collisions, which is what binds a prover to one tree. 160 bits would keep 80 and be the
//! weakest part of the proof.

use std::fmt::{self, Debug, Display};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use stwo::core::fields::m31::BaseField;
use stwo::core::proof_of_work::GrindOps;
use stwo::core::vcs::hash::Hash;
use stwo::core::vcs_lifted::merkle_hasher::MerkleHasherLifted;
use stwo::prover::backend::simd::SimdBackend;
use stwo::prover::backend::simd::column::BaseColumn;
use stwo::prover::backend::{BackendForChannel, ColumnOps};
use stwo::prover::vcs_lifted::ops::MerkleOpsLifted;

use crate::channel::{KeccakChannel, KeccakMerkleChannel, TAG_LEAF, TAG_POW, leading_zeros};
use crate::keccak::{Batch, LANES, keccak256};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 24;
/// What fills a hash up to a word.
const NODE_PADDING: [u8; 8] = [0; 8];
const WORD_BYTES: usize = HASH_BYTES + NODE_PADDING.len();

/// The first 24 bytes of a Keccak-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeccakHash(pub [u8; HASH_BYTES]);

impl KeccakHash {
    fn truncate(digest: &[u8; 32]) -> Self {
        Self(std::array::from_fn(|byte| digest[byte]))
    }
}

impl Display for KeccakHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for KeccakHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Hash for KeccakHash {}

/// Collects the values of a leaf.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeccakMerkleHasher(Vec<u8>);

impl MerkleHasherLifted for KeccakMerkleHasher {
    type Hash = KeccakHash;

    fn hash_children((left, right): (KeccakHash, KeccakHash)) -> KeccakHash {
        KeccakHash::truncate(&keccak256(&[&left.0, &NODE_PADDING, &right.0, &NODE_PADDING]))
    }

    fn update_leaf(&mut self, column_values: &[BaseField]) {
        self.0.extend(column_values.iter().flat_map(|value| value.0.to_be_bytes()));
    }

    fn finalize(self) -> KeccakHash {
        KeccakHash::truncate(&keccak256(&[&[TAG_LEAF], &self.0]))
    }
}

impl ColumnOps<KeccakHash> for SimdBackend {
    type Column = Vec<KeccakHash>;

    fn bit_reverse_column(column: &mut Self::Column) {
        stwo::core::utils::bit_reverse(column);
    }
}

/// Hashes that a thread computes before it takes the next.
const HASHES_PER_TASK: usize = 1024;

/// The row of a column of `1 << log_size` values that is lifted to `row` of `1 << lifted_log_size`.
const fn lifted_row(row: usize, log_size: u32, lifted_log_size: u32) -> usize {
    let shift = lifted_log_size - log_size;
    ((row >> (shift + 1)) << 1) + (row & 1)
}

impl MerkleOpsLifted<KeccakMerkleHasher> for SimdBackend {
    /// Hashes row by row, straight from the columns: nothing but the hashes is kept.
    fn build_leaves(columns: &[&BaseColumn], lifting_log_size: u32) -> Vec<KeccakHash> {
        let Some(largest) = columns.iter().map(|column| column.as_slice().len().ilog2()).max()
        else {
            return vec![KeccakMerkleHasher::default().finalize()];
        };
        let columns: Vec<(&[BaseField], u32)> = columns
            .iter()
            .map(|column| (column.as_slice(), column.as_slice().len().ilog2()))
            .collect();
        let mut leaves = vec![KeccakHash::default(); 1 << largest];
        leaves.par_chunks_mut(HASHES_PER_TASK).enumerate().for_each(|(task, leaves)| {
            let mut batch = Batch::new(1 + 4 * columns.len());
            for (chunk, leaves) in leaves.chunks_mut(LANES).enumerate() {
                let first_row = task * HASHES_PER_TASK + chunk * LANES;
                for lane in 0..leaves.len() {
                    let (tag, values) = batch.message(lane).split_at_mut(1);
                    tag[0] = TAG_LEAF;
                    for (bytes, (column, log_size)) in values.chunks_exact_mut(4).zip(&columns) {
                        let value = column[lifted_row(first_row + lane, *log_size, largest)];
                        bytes.copy_from_slice(&value.0.to_be_bytes());
                    }
                }
                for (leaf, digest) in leaves.iter_mut().zip(batch.digests()) {
                    *leaf = KeccakHash::truncate(&digest);
                }
            }
        });
        if largest == lifting_log_size {
            return leaves;
        }
        (0..1 << lifting_log_size)
            .into_par_iter()
            .map(|row| leaves[lifted_row(row, largest, lifting_log_size)])
            .collect()
    }

    fn build_next_layer(previous: &Vec<KeccakHash>) -> Vec<KeccakHash> {
        let mut layer = vec![KeccakHash::default(); previous.len() / 2];
        layer
            .par_chunks_mut(HASHES_PER_TASK)
            .zip(previous.par_chunks(2 * HASHES_PER_TASK))
            .for_each(|(nodes, children)| {
                let mut batch = Batch::new(2 * WORD_BYTES);
                for (nodes, children) in nodes.chunks_mut(LANES).zip(children.chunks(2 * LANES)) {
                    for (lane, pair) in children.chunks_exact(2).enumerate() {
                        let message = batch.message(lane);
                        message[..HASH_BYTES].copy_from_slice(&pair[0].0);
                        message[WORD_BYTES..][..HASH_BYTES].copy_from_slice(&pair[1].0);
                    }
                    for (node, digest) in nodes.iter_mut().zip(batch.digests()) {
                        *node = KeccakHash::truncate(&digest);
                    }
                }
            });
        layer
    }
}

/// Nonces that a thread tries before it looks whether another one has found one.
const NONCES_PER_TASK: u64 = 1 << 14;
/// Tasks between two decisions to go on.
const TASKS_PER_ROUND: u64 = 256;

impl GrindOps<KeccakChannel> for SimdBackend {
    /// The smallest nonce that will do.
    fn grind(channel: &KeccakChannel, pow_bits: u32) -> u64 {
        let try_task =
            |task: u64| {
                let mut batch = Batch::new(45);
                for lane in 0..LANES {
                    let message = batch.message(lane);
                    message[0] = TAG_POW;
                    message[1..33].copy_from_slice(&channel.digest());
                    message[33..37].copy_from_slice(&pow_bits.to_be_bytes());
                }
                let first = task * NONCES_PER_TASK;
                (first..first + NONCES_PER_TASK).step_by(LANES).find_map(|nonce| {
                    for (lane, nonce) in (0..LANES).zip(nonce..) {
                        batch.message(lane)[37..].copy_from_slice(&nonce.to_be_bytes());
                    }
                    batch.digests().iter().zip(nonce..).find_map(|(hash, nonce)| {
                        (leading_zeros(hash) >= pow_bits).then_some(nonce)
                    })
                })
            };
        (0_u64..)
            .find_map(|round| {
                let first = round * TASKS_PER_ROUND;
                (first..first + TASKS_PER_ROUND).into_par_iter().find_map_first(try_task)
            })
            .unwrap_or_else(|| unreachable!("a search without end has ended"))
    }
}

impl BackendForChannel<KeccakMerkleChannel> for SimdBackend {}

#[cfg(test)]
mod tests {
    use stwo::core::channel::Channel;
    use stwo::prover::vcs_lifted::prover::MerkleProverLifted;

    use super::*;

    /// The tree that the backend builds in batches is the one that the hasher describes, lifted columns included.
    #[test]
    fn the_backend_builds_the_hashers_tree() {
        let column = |log_size: u32, seed: u32| -> BaseColumn {
            (0..1_u32 << log_size).map(|row| BaseField::from(row * 1001 + seed)).collect()
        };
        let columns = [column(4, 1), column(5, 2), column(7, 3)];
        let tree = MerkleProverLifted::<SimdBackend, KeccakMerkleHasher>::commit(
            columns.iter().collect(),
            8,
            0,
        );
        let mut layer: Vec<KeccakHash> = (0..1 << 8)
            .map(|row| {
                let mut hasher = KeccakMerkleHasher::default();
                for column in &columns {
                    let values = column.as_slice();
                    hasher.update_leaf(&[values[lifted_row(row, values.len().ilog2(), 8)]]);
                }
                hasher.finalize()
            })
            .collect();
        while layer.len() > 1 {
            layer = layer
                .chunks_exact(2)
                .map(|pair| KeccakMerkleHasher::hash_children((pair[0], pair[1])))
                .collect();
        }
        assert_eq!(tree.root(), layer[0]);
    }

    #[test]
    fn the_nonce_that_is_found_is_accepted_and_its_neighbours_are_not() {
        let mut channel = KeccakChannel::new([7; 32]);
        channel.mix_u64(1);
        let nonce = SimdBackend::grind(&channel, 12);
        assert!(channel.verify_pow_nonce(12, nonce));
        assert!((0..nonce).all(|smaller| !channel.verify_pow_nonce(12, smaller)));
    }
}
