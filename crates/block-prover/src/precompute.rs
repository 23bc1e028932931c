//! What a prover computes once: the preprocessed trace, its commitment, and the twiddles of its domain.

use std::sync::Arc;

use stwo::core::poly::circle::CanonicCoset;
use stwo::core::vcs::blake2_hash::Blake2sHash;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo::prover::CommitmentTreeProver;
use stwo::prover::backend::simd::SimdBackend;
use stwo::prover::mempool::BaseColumnPool;
use stwo::prover::poly::circle::PolyOps;
use stwo::prover::poly::twiddles::TwiddleTree;
use stwo_cairo_common::preprocessed_columns::preprocessed_trace::{
    PreProcessedTrace, PreProcessedTraceVariant,
};
use stwo_cairo_prover::witness::preprocessed_trace::gen_trace;

use crate::settings::{MAX_LOG_ROWS, ProverSettings};

/// The preprocessed trace that all proofs use; its components have at most 2^20 rows.
pub(crate) const PREPROCESSED: PreProcessedTraceVariant = PreProcessedTraceVariant::CanonicalSmall;

/// Root of the preprocessed trace's commitment at the standard blow-up, as eight 32-bit words that are hashed in
/// little endian order. Published in `stwo-circuit-cairo-verifier` 1.0.0, `get_preprocessed_root(21)`; a prover
/// that computes another one refuses to start.
pub const PINNED_PREPROCESSED_ROOT: [u32; 8] = [
    1_318_760_383,
    1_968_650_180,
    1_092_022_781,
    246_736_179,
    768_637_788,
    1_782_650_371,
    1_631_388_100,
    1_492_376_542,
];

/// The pinned root in the form in which it stands in a proof.
pub(crate) fn pinned_root() -> Blake2sHash {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(PINNED_PREPROCESSED_ROOT) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    Blake2sHash(bytes)
}

/// Block-independent tables, about one gigabyte.
pub struct Precompute {
    pub(crate) twiddles: TwiddleTree<SimdBackend>,
    pub(crate) trace: Arc<PreProcessedTrace>,
    pub(crate) tree: CommitmentTreeProver<SimdBackend, Blake2sM31MerkleChannel>,
    pub(crate) columns: BaseColumnPool<SimdBackend>,
}

impl Precompute {
    /// Computes the tables on all cores.
    pub fn new(settings: &ProverSettings) -> Self {
        let log_blowup = settings.security.log_blowup;
        let domain = MAX_LOG_ROWS + log_blowup;
        let twiddles =
            SimdBackend::precompute_twiddles(CanonicCoset::new(domain).circle_domain().half_coset);
        let trace = Arc::new(PREPROCESSED.to_preprocessed_trace());
        let polynomials = SimdBackend::interpolate_columns(gen_trace(trace.clone()), &twiddles);
        let columns = BaseColumnPool::new();
        let tree = CommitmentTreeProver::new(
            polynomials,
            log_blowup,
            &twiddles,
            settings.store_coefficients,
            Some(domain),
            &columns,
        );
        Self { twiddles, trace, tree, columns }
    }

    /// Root of the preprocessed trace's commitment.
    pub fn root(&self) -> Blake2sHash {
        self.tree.commitment.root()
    }
}
