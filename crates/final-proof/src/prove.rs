//! The prover, on S-two's.

use circuit_common::Qm31OpsTraceGenerator;
use circuit_common::preprocessed::PreprocessedCircuit;
use circuit_prover::prover::to_component_provers;
use circuit_prover::witness::trace::{TraceGenerator, write_interaction_trace, write_trace};
use circuit_verifier::circuit_claim::{CircuitInteractionElements, lookup_sum};
use num_traits::Zero;
use stwo::core::channel::Channel;
use stwo::core::fields::qm31::SecureField;
use stwo::core::poly::circle::CanonicCoset;
use stwo::core::proof::StarkProof;
use stwo::core::proof_of_work::GrindOps;
use stwo::core::utils::MaybeOwned;
use stwo::prover::backend::simd::SimdBackend;
use stwo::prover::mempool::BaseColumnPool;
use stwo::prover::poly::circle::PolyOps;
use stwo::prover::poly::twiddles::TwiddleTree;
use stwo::prover::{CommitmentSchemeProver, CommitmentTreeProver, ProvingError, prove_ex};
use thiserror::Error;

use crate::channel::KeccakMerkleChannel;
use crate::key::{KeyError, Layout, N_OUTPUTS, Parameters, VerificationKey, component_log_sizes};
use crate::merkle::{KeccakHash, KeccakMerkleHasher};
use crate::proof::{FinalProof, FriOpening, Head, TreeOpening};

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProveError {
    #[error("the circuit lacks a component")]
    IncompleteCircuit,
    #[error("the circuit cannot be proven with these parameters")]
    Key(#[from] KeyError),
    #[error("the circuit has {0} public outputs, not {N_OUTPUTS}")]
    Outputs(usize),
    #[error("the circuit's lookups do not cancel out: the values do not satisfy it")]
    Lookups,
    #[error("the values do not satisfy the circuit's constraints")]
    Constraints(#[source] ProvingError),
    #[error("S-two's proof has {found} {what}, not {expected}")]
    Shape { what: &'static str, expected: usize, found: usize },
}

/// Proves evaluations of one circuit. Keeps what does not depend on the values: the twiddles and the commitment to
/// the preprocessed columns, some 1.5 GB with [`Parameters::ETHEREUM`].
pub struct FinalProver {
    circuit: PreprocessedCircuit,
    key: VerificationKey,
    layout: Layout,
    twiddles: TwiddleTree<SimdBackend>,
    preprocessed: CommitmentTreeProver<SimdBackend, KeccakMerkleChannel>,
    pool: BaseColumnPool<SimdBackend>,
}

impl FinalProver {
    /// Commits to the preprocessed columns of `circuit`, from which the key follows.
    pub fn new(circuit: PreprocessedCircuit, parameters: Parameters) -> Result<Self, ProveError> {
        if circuit.n_outputs != N_OUTPUTS {
            return Err(ProveError::Outputs(circuit.n_outputs));
        }
        let component_log_sizes =
            component_log_sizes(&circuit).ok_or(ProveError::IncompleteCircuit)?;
        let mut key = VerificationKey {
            parameters,
            component_log_sizes,
            preprocessed_root: KeccakHash::default(),
        };
        key.validate()?;

        let twiddles = SimdBackend::precompute_twiddles(
            CanonicCoset::new(key.domain_log_size()).circle_domain().half_coset,
        );
        let pool = BaseColumnPool::new();
        let polynomials = SimdBackend::interpolate_columns(
            circuit.preprocessed_trace.get_trace::<SimdBackend>(),
            &twiddles,
        );
        let preprocessed = CommitmentTreeProver::new(
            polynomials,
            parameters.log_blowup,
            &twiddles,
            true,
            Some(key.domain_log_size()),
            &pool,
        );
        key.preprocessed_root = preprocessed.commitment.root();
        let layout = key.layout();
        Ok(Self { circuit, key, layout, twiddles, preprocessed, pool })
    }

    pub const fn key(&self) -> &VerificationKey {
        &self.key
    }

    /// Proves that `values`, one for each variable of the circuit, satisfy it. Returns the proof and the output.
    pub fn prove(&self, values: &[SecureField]) -> Result<(FinalProof, [u8; 32]), ProveError> {
        let parameters = &self.key.parameters;
        let mut channel = self.key.channel();
        let mut scheme =
            CommitmentSchemeProver::<SimdBackend, KeccakMerkleChannel>::with_memory_pool(
                parameters.pcs_config(self.key.trace_log_size()),
                &self.twiddles,
                &self.pool,
            );
        scheme.set_store_polynomials_coefficients();
        scheme.commit_tree(MaybeOwned::Borrowed(&self.preprocessed), &mut channel);

        let mut tree = scheme.tree_builder();
        let (claim, component_log_sizes, interaction) = write_trace(
            values,
            self.circuit.preprocessed_trace.clone(),
            self.circuit.n_outputs,
            &mut tree,
            &TraceGenerator {
                qm31_ops_trace_generator: Qm31OpsTraceGenerator {
                    first_permutation_row: self.circuit.first_permutation_row,
                },
            },
            &self.twiddles,
        );
        claim.mix_into(&mut channel);
        tree.commit(&mut channel);

        let interaction_nonce = SimdBackend::grind(&channel, parameters.interaction_pow_bits);
        channel.mix_u64(interaction_nonce);
        let elements = CircuitInteractionElements::draw(&mut channel);
        let mut tree = scheme.tree_builder();
        let interaction_claim = write_interaction_trace(
            &component_log_sizes,
            interaction,
            &mut tree,
            &elements,
            &self.twiddles,
        );
        if !lookup_sum(&claim, &interaction_claim, &elements).is_zero() {
            return Err(ProveError::Lookups);
        }
        interaction_claim.mix_into(&mut channel);
        tree.commit(&mut channel);

        let claimed_sums = interaction_claim.claimed_sums;
        let components = self.key.components(&elements, claimed_sums);
        let proof = prove_ex::<SimdBackend, KeccakMerkleChannel>(
            &to_component_provers(&components),
            &mut channel,
            scheme,
            true,
        )
        .map_err(ProveError::Constraints)?
        .proof;
        let output = output_bytes(&claim.output_values);
        Ok((self.arrange(interaction_nonce, claimed_sums, proof)?, output))
    }

    /// S-two's proof in our order.
    fn arrange(
        &self,
        interaction_nonce: u64,
        claimed_sums: [SecureField; circuit_verifier::circuit_components::N_COMPONENTS],
        StarkProof(proof): StarkProof<KeccakMerkleHasher>,
    ) -> Result<FinalProof, ProveError> {
        let [_, trace_root, interaction_root, composition_root] = proof.commitments.0[..] else {
            let found = proof.commitments.len();
            return Err(ProveError::Shape { what: "commitments", expected: 4, found });
        };
        let mut openings: [TreeOpening; 4] = Default::default();
        let trees = proof
            .queried_values
            .0
            .into_iter()
            .zip(proof.decommitments.0)
            .zip(&self.layout.leaf_order);
        for (opening, ((columns, decommitment), leaf_order)) in openings.iter_mut().zip(trees) {
            if columns.len() != leaf_order.len() {
                return Err(ProveError::Shape {
                    what: "columns in a tree",
                    expected: leaf_order.len(),
                    found: columns.len(),
                });
            }
            let n_positions = columns.first().map_or(0, Vec::len);
            opening.values = (0..n_positions)
                .map(|query| leaf_order.iter().map(|column| columns[*column][query]).collect())
                .collect();
            opening.hashes = decommitment.hash_witness;
        }
        let fri = proof.fri_proof;
        let layers: Vec<_> = std::iter::once(fri.first_layer).chain(fri.inner_layers).collect();
        let fri_roots = layers.iter().map(|layer| layer.commitment).collect();
        let fri_openings = layers
            .into_iter()
            .map(|layer| FriOpening {
                values: layer.fri_witness,
                hashes: layer.decommitment.hash_witness,
            })
            .collect();
        Ok(FinalProof {
            head: Head {
                trace_root,
                interaction_nonce,
                claimed_sums,
                interaction_root,
                composition_root,
                sampled_values: proof.sampled_values.flatten_cols(),
                fri_roots,
                last_layer: fri.last_layer_poly.to_vec(),
                query_nonce: proof.proof_of_work,
            },
            openings,
            fri_openings,
        })
    }
}

/// Four little endian bytes a coordinate.
fn output_bytes(values: &[SecureField]) -> [u8; 32] {
    let mut output = [0; 32];
    let coordinates = values.iter().flat_map(|value| value.to_m31_array());
    for (bytes, coordinate) in output.chunks_exact_mut(4).zip(coordinates) {
        bytes.copy_from_slice(&coordinate.0.to_le_bytes());
    }
    output
}
