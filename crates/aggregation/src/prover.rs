//! Proves a circuit's assignment.

use std::panic::{AssertUnwindSafe, catch_unwind};

use circuit_common::Qm31OpsTraceGenerator;
use circuit_common::preprocessed::PreprocessedCircuit;
use circuit_prover::circuit_air::circuit_components::CircuitComponents;
use circuit_prover::prover::{BaseColumnPool, SimdBackend, to_component_provers};
use circuit_prover::witness::trace::{TraceGenerator, write_interaction_trace, write_trace};
use circuit_verifier::circuit_claim::CircuitInteractionElements;
use circuit_verifier::statement::INTERACTION_POW_BITS;
use num_traits::Zero;
use stwo::core::channel::{Blake2sM31Channel, Channel};
use stwo::core::fields::qm31::SecureField;
use stwo::core::poly::circle::CanonicCoset;
use stwo::core::proof_of_work::GrindOps;
use stwo::core::utils::MaybeOwned;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo::prover::poly::circle::PolyOps;
use stwo::prover::poly::twiddles::TwiddleTree;
use stwo::prover::{CommitmentSchemeProver, CommitmentTreeProver, ProvingError, prove_ex};

use crate::assignment::{Assignment, panic_message};
use crate::circuit::CircuitKind;
use crate::digest::Digest;
use crate::proof::CircuitProof;
use crate::shape::ShapeError;
use crate::verifier::{CircuitVerifyError, verify};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The circuit outgrew its shape.
    #[error("pad the circuit")]
    Shape(#[source] ShapeError),
    /// This build makes another circuit than verifiers know.
    #[error("the circuit {} that was built has root {found}, and {expected} is pinned", .kind.name())]
    Root {
        /// The circuit.
        kind: CircuitKind,
        /// Root that was computed.
        found: Digest,
        /// Pinned root.
        expected: Digest,
    },
    /// The assignment is of another circuit than this prover is for.
    #[error("the assignment is of {}, and this prover is for {}", .found.name(), .kind.name())]
    Kind {
        /// The prover's circuit.
        kind: CircuitKind,
        /// The assignment's circuit.
        found: CircuitKind,
    },
    /// S-two refused the trace.
    #[error("prove the circuit")]
    Stark(#[source] ProvingError),
    /// S-two panicked.
    #[error("the prover panicked: {0}")]
    Panicked(String),
    /// The finished proof does not verify.
    #[error("verify the finished proof")]
    Verify(#[source] CircuitVerifyError),
}

/// Whether coefficients are kept beside evaluations: 3.2 GB of *wrap*'s 17.
const STORE_COEFFICIENTS: bool = false;

/// Makes proofs of one circuit and keeps what they have in common: several gigabytes.
pub struct CircuitProver {
    kind: CircuitKind,
    circuit: PreprocessedCircuit,
    twiddles: TwiddleTree<SimdBackend>,
    tree: CommitmentTreeProver<SimdBackend, Blake2sM31MerkleChannel>,
    columns: BaseColumnPool<SimdBackend>,
}

impl CircuitProver {
    /// Builds the circuit and commits to it, on all cores; refuses if the result is not the pinned one.
    pub fn new(kind: CircuitKind) -> Result<Self, ProveError> {
        let prover = Self::unchecked(kind)?;
        let (found, expected) = (prover.root(), kind.root());
        if found != expected {
            return Err(ProveError::Root { kind, found, expected });
        }
        Ok(prover)
    }

    fn unchecked(kind: CircuitKind) -> Result<Self, ProveError> {
        let circuit = kind.preprocess().map_err(ProveError::Shape)?;
        let config = kind.pcs_config();
        let log_blowup = config.fri_config.log_blowup_factor;
        let domain = kind.sizes().log_rows() + log_blowup;
        let twiddles =
            SimdBackend::precompute_twiddles(CanonicCoset::new(domain).circle_domain().half_coset);
        let polynomials = SimdBackend::interpolate_columns(
            circuit.preprocessed_trace.get_trace::<SimdBackend>(),
            &twiddles,
        );
        let columns = BaseColumnPool::new();
        let tree = CommitmentTreeProver::new(
            polynomials,
            log_blowup,
            &twiddles,
            STORE_COEFFICIENTS,
            config.lifting_log_size,
            &columns,
        );
        Ok(Self { kind, circuit, twiddles, tree, columns })
    }

    /// The circuit.
    pub fn kind(&self) -> CircuitKind {
        self.kind
    }

    /// The root that was computed.
    pub fn root(&self) -> Digest {
        self.tree.commitment.root().into()
    }

    /// Proves an assignment and verifies the proof.
    pub fn prove(&self, assignment: &Assignment) -> Result<CircuitProof, ProveError> {
        let kind = self.kind;
        if assignment.kind() != kind {
            return Err(ProveError::Kind { kind, found: assignment.kind() });
        }
        // Sound to go on after a panic: the tables are read only, and the column pool only loses buffers.
        let proof = catch_unwind(AssertUnwindSafe(|| self.prove_stark(assignment)))
            .map_err(|payload| ProveError::Panicked(panic_message(&*payload)))?
            .map_err(ProveError::Stark)?;
        verify(&proof).map_err(ProveError::Verify)?;
        Ok(proof)
    }

    /// `prove_circuit_with_precompute` of `stwo-circuit-prover`, but for the coefficients that it always keeps.
    fn prove_stark(&self, assignment: &Assignment) -> Result<CircuitProof, ProvingError> {
        let config = self.kind.pcs_config();
        let channel = &mut Blake2sM31Channel::default();
        channel.mix_felts(&[SecureField::zero()]);
        config.mix_into(channel);
        let mut scheme = CommitmentSchemeProver::<_, Blake2sM31MerkleChannel>::with_memory_pool(
            config,
            &self.twiddles,
            &self.columns,
        );
        if STORE_COEFFICIENTS {
            scheme.set_store_polynomials_coefficients();
        }
        scheme.commit_tree(MaybeOwned::Borrowed(&self.tree), channel);

        let generator = TraceGenerator {
            qm31_ops_trace_generator: Qm31OpsTraceGenerator {
                first_permutation_row: self.circuit.first_permutation_row,
            },
        };
        let mut builder = scheme.tree_builder();
        let (claim, log_sizes, interaction) = write_trace(
            assignment.values(),
            self.circuit.preprocessed_trace.clone(),
            self.circuit.n_outputs,
            &mut builder,
            &generator,
            &self.twiddles,
        );
        claim.mix_into(channel);
        builder.commit(channel);

        let interaction_pow = SimdBackend::grind(channel, INTERACTION_POW_BITS);
        channel.mix_u64(interaction_pow);
        let elements = CircuitInteractionElements::draw(channel);
        let mut builder = scheme.tree_builder();
        let interaction_claim = write_interaction_trace(
            &log_sizes,
            interaction,
            &mut builder,
            &elements,
            &self.twiddles,
        );
        interaction_claim.mix_into(channel);
        builder.commit(channel);

        let components = CircuitComponents::new(
            &elements,
            &interaction_claim,
            &log_sizes,
            &self.circuit.preprocessed_trace.ids(),
        );
        let proven = prove_ex(&to_component_provers(&components), channel, scheme, true)?;
        Ok(CircuitProof {
            kind: self.kind,
            output: assignment.output(),
            interaction_pow,
            claimed_sums: interaction_claim.claimed_sums,
            stark: proven.proof,
        })
    }
}

/// The root of a circuit, computed: what [`CircuitKind::root`] pins.
pub fn compute_root(kind: CircuitKind) -> Result<Digest, ProveError> {
    Ok(CircuitProver::unchecked(kind)?.root())
}
