//! The hashes that lead from the outputs of StarknetOS to what the last proof says.
//!
//! ```text
//!   H_n = bootloader's output: Blake2s of 1, 2 + |output|, program hash, output, as a felt
//!   o_n = B(28 limbs of H_n)                        the circuit `wrap` verified the proof of block n
//!   o   = B(root, output of the left | the right)   `merge` verified two proofs; T at the tree's root
//!   o_A = B(28 limbs of the aggregator's H)
//!   o_s = B(M | B(root_L | T | W | o_A))            `shrink` verified the merge of tree and aggregator
//!   o_c = B(S | o_s)                                `compact` verified that
//!   o_f = B(C | o_c)                                the last circuit verified that; its proof says this
//! ```
//!
//! `B` is Blake2s with each word of the result (32 bits, little endian) reduced modulo 2^31 - 1. A circuit is known by
//! its root, a hash of the same kind: W of `wrap`, M of `merge`, S of `shrink`, C of `compact`. Nothing here uses the
//! circuits' code.

use blake2::{Blake2s256, Digest};
use sidereal_block_prover::{STARKNET_OS_BLAKE_HASH, bootloader_output};
use starknet_types_core::felt::Felt;

use crate::input::Tree;
use crate::program::AGGREGATOR_BLAKE_HASH;

/// A circuit's root or output: 8 words, each little endian.
pub type CircuitHash = [u8; 32];

/// Bits of a limb of a felt in the Cairo AIR.
const LIMB_BITS: usize = 9;
/// Limbs of a felt.
const LIMBS: usize = 28;
/// The order of the circuits' field.
const M31: u32 = (1 << 31) - 1;

/// The roots of the circuits between the blocks' proofs and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitRoots {
    /// Verifies a Cairo proof.
    pub wrap: CircuitHash,
    /// Verifies two proofs.
    pub merge: CircuitHash,
    /// Verifies one merged proof.
    pub shrink: CircuitHash,
    /// Verifies one shrunk proof.
    pub compact: CircuitHash,
}

/// The circuits' hash: Blake2s, each word of the result modulo 2^31 - 1.
pub fn circuit_hash(bytes: &[u8]) -> CircuitHash {
    let mut hash: CircuitHash = Blake2s256::digest(bytes).into();
    for word in hash.as_chunks_mut::<4>().0 {
        *word = (u32::from_le_bytes(*word) % M31).to_le_bytes();
    }
    hash
}

/// The felt that the proof of a block has as its output (H_n), from what StarknetOS wrote.
pub fn block_claim(output: &[Felt]) -> Felt {
    bootloader_output(STARKNET_OS_BLAKE_HASH, output)
}

/// The felt that the proof of the aggregator has as its output, from what the aggregator wrote.
pub fn aggregator_claim(output: &[Felt]) -> Felt {
    bootloader_output(AGGREGATOR_BLAKE_HASH, output)
}

/// The output of the circuit that verified a Cairo proof with the output `claim` (o_n, o_A).
pub fn wrap_output(claim: Felt) -> CircuitHash {
    circuit_hash(limbs(claim).map(u32::to_le_bytes).as_flattened())
}

/// The limbs of a felt, the lowest first: of the integer in the range [0, P) that it stands for.
pub(crate) fn limbs(felt: Felt) -> [u32; LIMBS] {
    let bytes = felt.to_bytes_le();
    let bit = |index: usize| u32::from(bytes[index / 8] >> (index % 8) & 1);
    std::array::from_fn(|index| {
        (0..LIMB_BITS).map(|offset| bit(LIMB_BITS * index + offset) << offset).sum()
    })
}

/// A proof that a circuit made: the circuit's root, and its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitClaim {
    /// Which circuit.
    pub root: CircuitHash,
    /// What it says.
    pub output: CircuitHash,
}

/// The output of the circuit that verified two proofs.
pub fn merge_output(left: &CircuitClaim, right: &CircuitClaim) -> CircuitHash {
    circuit_hash(&[left.root, left.output, right.root, right.output].concat())
}

/// The output of a circuit that verified one proof.
pub fn single_output(verified: &CircuitClaim) -> CircuitHash {
    circuit_hash(&[verified.root, verified.output].concat())
}

/// The root of a tree over the wrapped proofs of consecutive blocks, from their outputs (`H_n`).
///
/// None when the tree has another number of leaves.
pub fn tree_claim(
    tree: &Tree,
    claims: &[Felt],
    wrap: CircuitHash,
    merge: CircuitHash,
) -> Option<CircuitClaim> {
    fn walk(
        tree: &Tree,
        claims: &mut std::slice::Iter<'_, Felt>,
        wrap: CircuitHash,
        merge: CircuitHash,
    ) -> Option<CircuitClaim> {
        let Tree::Merge(left, right) = tree else {
            return Some(CircuitClaim { root: wrap, output: wrap_output(*claims.next()?) });
        };
        let left = walk(left, claims, wrap, merge)?;
        let right = walk(right, claims, wrap, merge)?;
        Some(CircuitClaim { root: merge, output: merge_output(&left, &right) })
    }
    let mut claims = claims.iter();
    let claim = walk(tree, &mut claims, wrap, merge)?;
    claims.next().is_none().then_some(claim)
}

/// What the last proof says (o_f), and the steps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalClaims {
    /// Output of `wrap` over the aggregator's proof (o_A).
    pub aggregator: CircuitHash,
    /// Output of the merge of the blocks' tree and the aggregator (o_top).
    pub top: CircuitHash,
    /// Output of `shrink` over that (o_s).
    pub shrunk: CircuitHash,
    /// Output of `compact` over that (o_c).
    pub compacted: CircuitHash,
    /// Output of the last circuit (o_f).
    pub last: CircuitHash,
}

impl FinalClaims {
    /// The claims over a tree of block proofs and the aggregator that wrote `output` about it.
    pub fn new(roots: &CircuitRoots, tree: &CircuitClaim, output: &[Felt]) -> Self {
        let aggregator = wrap_output(aggregator_claim(output));
        let top = merge_output(tree, &CircuitClaim { root: roots.wrap, output: aggregator });
        let shrunk = single_output(&CircuitClaim { root: roots.merge, output: top });
        let compacted = single_output(&CircuitClaim { root: roots.shrink, output: shrunk });
        let last = single_output(&CircuitClaim { root: roots.compact, output: compacted });
        Self { aggregator, top, shrunk, compacted, last }
    }
}

/// A hash as two numbers of 128 bits, the low one first: as it stands in the aggregator's output.
pub(crate) fn halves(hash: &CircuitHash) -> [Felt; 2] {
    let (low, high) = hash.split_at(16);
    [low, high].map(Felt::from_bytes_le_slice)
}
