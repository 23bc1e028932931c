//! Verifies a circuit's proof without a circuit, by S-two's verifier.

use std::panic::{AssertUnwindSafe, catch_unwind};

use circuit_prover::circuit_air::circuit_components::CircuitComponents;
use circuit_verifier::circuit_claim::{
    CircuitClaim, CircuitInteractionClaim, CircuitInteractionElements, column_log_sizes_per_tree,
    lookup_sum,
};
use circuit_verifier::circuit_components::N_COMPONENTS;
use circuit_verifier::statement::{INTERACTION_POW_BITS, all_circuit_components};
use circuits::ivalue::NoValue;
use num_traits::Zero;
use stwo::core::ColumnVec;
use stwo::core::air::{Component, Components};
use stwo::core::channel::{Channel, MerkleChannel};
use stwo::core::circle::SECURE_FIELD_CIRCLE_GEN;
use stwo::core::fields::m31::{M31, P};
use stwo::core::fields::qm31::{SECURE_EXTENSION_DEGREE, SecureField};
use stwo::core::pcs::{CommitmentSchemeVerifier, TreeVec};
use stwo::core::proof::StarkProof;
use stwo::core::vcs::blake2_hash::Blake2sHash;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo::core::vcs_lifted::merkle_hasher::MerkleHasherLifted;
use stwo::core::verifier::{VerificationError, verify_ex};

use crate::assignment::panic_message;
use crate::circuit::CircuitKind;
use crate::digest::Digest;
use crate::proof::CircuitProof;
use crate::recorder::RecordingMerkleChannel;
use crate::unfold::for_recording;

/// Why a circuit's proof is refused.
#[derive(Debug, thiserror::Error)]
pub enum CircuitVerifyError {
    /// The parameters are not the circuit's.
    #[error("the proof has other parameters than proofs of this circuit")]
    Parameters,
    /// It is a proof of another circuit.
    #[error("the proof is of the circuit {found}, not of {expected}")]
    Root {
        /// Root in the proof.
        found: Digest,
        /// Pinned root.
        expected: Digest,
    },
    /// A word of the output is no reduced field element.
    #[error("the output is not canonical")]
    Output,
    /// The proof of work before the lookups is missing.
    #[error("the proof of work before the lookups' randomness is not enough")]
    ProofOfWork,
    /// Wires do not carry one value each.
    #[error("the lookups do not cancel out")]
    Lookups,
    /// A column has another number of samples than its component takes.
    #[error("column {column} of tree {tree} has another number of samples than it must have")]
    Samples {
        /// Index of the commitment.
        tree: usize,
        /// Index of the column.
        column: usize,
    },
    /// A value is no reduced element of the field.
    #[error("the proof holds a value that is not canonical: {0}")]
    NotCanonical(&'static str),
    /// S-two's verifier says no.
    #[error("the STARK does not verify")]
    Stark(#[source] VerificationError),
    /// S-two's verifier panicked, which is how it refuses proofs of a wrong form.
    #[error("the proof has a wrong form: {0}")]
    Form(String),
}

/// Checks that a proof is of the circuit that it names, with the output that it names.
pub fn verify(proof: &CircuitProof) -> Result<(), CircuitVerifyError> {
    verify_over::<Blake2sM31MerkleChannel>(proof, proof.stark.clone())
}

pub(crate) fn verify_recorded(proof: &CircuitProof) -> Result<(), CircuitVerifyError> {
    verify_over::<RecordingMerkleChannel>(proof, for_recording(&proof.stark))
}

fn verify_over<MC: MerkleChannel>(
    proof: &CircuitProof,
    stark: StarkProof<MC::H>,
) -> Result<(), CircuitVerifyError>
where
    MC::H: MerkleHasherLifted<Hash = Blake2sHash>,
{
    let kind = proof.kind;
    if stark.config != kind.pcs_config() {
        return Err(CircuitVerifyError::Parameters);
    }
    let found = stark.commitments.first().copied().map(Digest::from);
    let expected = kind.root();
    match found {
        Some(found) if found == expected => {}
        found => {
            let found = found.unwrap_or(Digest::of_words([0; 8]));
            return Err(CircuitVerifyError::Root { found, expected });
        }
    }
    if !proof.output.is_canonical() {
        return Err(CircuitVerifyError::Output);
    }
    check_canonical(proof, &stark)?;
    // S-two's verifier asserts what it could return; none of its state outlives the call.
    catch_unwind(AssertUnwindSafe(|| verify_stark::<MC>(kind, proof, stark)))
        .map_err(|payload| CircuitVerifyError::Form(panic_message(&*payload)))?
}

fn verify_stark<MC: MerkleChannel>(
    kind: CircuitKind,
    proof: &CircuitProof,
    stark: StarkProof<MC::H>,
) -> Result<(), CircuitVerifyError> {
    let columns = kind.sizes().preprocessed_columns();
    let log_sizes: [u32; N_COMPONENTS] = {
        let mut sizes = [0; N_COMPONENTS];
        for (size, component) in sizes.iter_mut().zip(all_circuit_components::<NoValue>().values())
        {
            *size =
                component.log_size(&columns).expect("every component has a preprocessed column");
        }
        sizes
    };
    let [trace_sizes, interaction_sizes] = column_log_sizes_per_tree(&log_sizes);
    let preprocessed_sizes: Vec<u32> = columns.values().copied().collect();
    let claim = CircuitClaim { output_values: proof.output.to_qm31s().to_vec() };
    let interaction_claim = CircuitInteractionClaim { claimed_sums: proof.claimed_sums };

    let channel = &mut MC::C::default();
    let salt = SecureField::zero();
    channel.mix_felts(&[salt]);
    stark.config.mix_into(channel);
    let scheme = &mut CommitmentSchemeVerifier::<MC>::new(stark.config);
    scheme.commit(stark.commitments[0], &preprocessed_sizes, channel);
    claim.mix_into(channel);
    scheme.commit(stark.commitments[1], &trace_sizes, channel);
    if !channel.verify_pow_nonce(INTERACTION_POW_BITS, proof.interaction_pow) {
        return Err(CircuitVerifyError::ProofOfWork);
    }
    channel.mix_u64(proof.interaction_pow);
    let elements = CircuitInteractionElements::draw(channel);
    if lookup_sum(&claim, &interaction_claim, &elements) != SecureField::zero() {
        return Err(CircuitVerifyError::Lookups);
    }
    interaction_claim.mix_into(channel);
    scheme.commit(stark.commitments[2], &interaction_sizes, channel);
    let ids: Vec<_> = columns.keys().cloned().collect();
    let components =
        CircuitComponents::new(&elements, &interaction_claim, &log_sizes, &ids).components();
    let components: Vec<_> = components.iter().map(AsRef::as_ref).collect();
    check_samples(&components, preprocessed_sizes.len(), &stark.sampled_values)?;
    verify_ex(&components, channel, scheme, stark, true).map_err(CircuitVerifyError::Stark)
}

/// S-two takes the samples as they come. Where one is missing, it panics in the middle of a lookup, which panics in turn
/// when it is dropped: that ends the process, so it must not come to it.
fn check_samples(
    components: &[&dyn Component],
    n_preprocessed_columns: usize,
    samples: &TreeVec<ColumnVec<Vec<SecureField>>>,
) -> Result<(), CircuitVerifyError> {
    let components = Components { components: components.to_vec(), n_preprocessed_columns };
    let bound = components.composition_log_degree_bound();
    let mut expected = components.mask_points(SECURE_FIELD_CIRCLE_GEN, bound, true);
    expected.push(vec![vec![SECURE_FIELD_CIRCLE_GEN]; 2 * SECURE_EXTENSION_DEGREE]);
    let differs = |tree, column| Err(CircuitVerifyError::Samples { tree, column });
    for tree in 0..expected.len().max(samples.len()) {
        let (Some(expected), Some(samples)) = (expected.get(tree), samples.get(tree)) else {
            return differs(tree, 0);
        };
        for column in 0..expected.len().max(samples.len()) {
            if expected.get(column).map(Vec::len) != samples.get(column).map(Vec::len) {
                return differs(tree, column);
            }
        }
    }
    Ok(())
}

/// S-two computes with field elements as they were deserialised; other values than reduced ones are undefined there,
/// and would make a second encoding of a proof.
fn check_canonical<H: MerkleHasherLifted>(
    proof: &CircuitProof,
    stark: &StarkProof<H>,
) -> Result<(), CircuitVerifyError> {
    let base = |value: &M31| value.0 < P;
    let secure = |value: &SecureField| value.to_m31_array().iter().all(base);
    let fri = &stark.fri_proof;
    let parts = [
        ("a claimed sum", proof.claimed_sums.iter().all(secure)),
        ("a sample", stark.sampled_values.iter().flatten().flatten().all(secure)),
        ("a queried value", stark.queried_values.iter().flatten().flatten().all(base)),
        ("a value of FRI", fri.first_layer.fri_witness.iter().all(secure)),
        (
            "a value of FRI",
            fri.inner_layers.iter().flat_map(|layer| &layer.fri_witness).all(secure),
        ),
        ("the last layer of FRI", fri.last_layer_poly.iter().all(secure)),
    ];
    match parts.iter().find(|(_, canonical)| !canonical) {
        Some((what, _)) => Err(CircuitVerifyError::NotCanonical(what)),
        None => Ok(()),
    }
}
