//! Values of a circuit's wires, taken from the proofs that it verifies.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cairo_air::CairoProofForRustVerifier;
use cairo_air::verifier::{CairoVerificationError, verify_cairo_ex};
use circuit_cairo_verifier::statement::MEMORY_VALUES_LIMBS;
use circuit_cairo_verifier::verify::{
    build_fixed_cairo_circuit, prepare_cairo_proof_for_circuit_verifier,
};
use circuit_multiverifier::verify::build_multiverifier_circuit;
use circuits::context::{FinalizedContext, U_VAR_IDX};
use circuits_stark_verifier::proof::Proof;
use circuits_stark_verifier::proof_from_stark_proof::proof_from_stark_proof;
use stwo::core::fields::m31::M31;
use stwo::core::fields::qm31::QM31;

use crate::circuit::{
    CircuitKind, cairo_verifier_config, merge_input, shared_config, verification_circuit,
};
use crate::digest::Digest;
use crate::proof::CircuitProof;
use crate::recorder::{RecordingMerkleChannel, record};
use crate::shape::ShapeError;
use crate::unfold::{Hasher, UnfoldError, for_recording, unfold};
use crate::verifier::{CircuitVerifyError, verify_recorded};

/// The Cairo proof of a bootloader run.
pub type CairoProof = CairoProofForRustVerifier<Hasher>;

/// Why there is no assignment.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// The Cairo proof does not verify.
    #[error("verify the Cairo proof that is to be wrapped")]
    Cairo(#[source] CairoVerificationError),
    /// S-two's verifier panicked, which is how it refuses claims that contradict themselves.
    #[error("the Cairo proof contradicts itself: {0}")]
    Contradiction(String),
    /// The proof has other components, parameters or outputs than the circuit is made for.
    #[error("the Cairo proof is not of the form that is wrapped: {0}")]
    Form(&'static str),
    /// A circuit's proof does not verify.
    #[error("verify the {} proof that is to be verified by a circuit", .kind.name())]
    Circuit {
        /// The circuit that the proof is of.
        kind: CircuitKind,
        /// What is wrong with it.
        #[source]
        source: CircuitVerifyError,
    },
    /// The proof is of another circuit.
    #[error("{} does not verify proofs of {}", .verifier.name(), .found.name())]
    Kind {
        /// The circuit that was to be assigned.
        verifier: CircuitKind,
        /// The circuit that the proof is of.
        found: CircuitKind,
    },
    /// The verifier could not be followed.
    #[error("take the proof apart")]
    Unfold(#[source] UnfoldError),
    /// The circuit outgrew its shape.
    #[error("pad the circuit")]
    Shape(#[source] ShapeError),
}

/// Values of all wires of a circuit, padded.
pub struct Assignment {
    kind: CircuitKind,
    output: Digest,
    values: Vec<QM31>,
}

impl Assignment {
    /// *Wrap* over a Cairo proof, which is verified first.
    pub fn wrap(proof: &CairoProof) -> Result<Self, AssignmentError> {
        let config = cairo_verifier_config();
        let flat = proof.claim.flatten_claim();
        if flat.component_enable_bits != config.enabled_bits {
            return Err(AssignmentError::Form("its components differ"));
        }
        if proof.preprocessed_trace_variant != config.preprocessed_trace_variant
            || proof.stark_proof.commitments.first().map(|root| Digest::from(*root).to_qm31s())
                != Some([config.preprocessed_root.0, config.preprocessed_root.1])
        {
            return Err(AssignmentError::Form("its preprocessed trace differs"));
        }
        let (mut public_claim, outputs, program) = flat.public_data.pack_into_u32s();
        if outputs.len() != MEMORY_VALUES_LIMBS {
            return Err(AssignmentError::Form("it has not one output"));
        }
        if program.len() != MEMORY_VALUES_LIMBS * config.program.len() {
            return Err(AssignmentError::Form("its program is not the bootloader"));
        }
        let recorded = CairoProofForRustVerifier {
            claim: proof.claim.clone(),
            interaction_pow: proof.interaction_pow,
            interaction_claim: proof.interaction_claim.clone(),
            stark_proof: for_recording(&proof.stark_proof),
            channel_salt: proof.channel_salt,
            preprocessed_trace_variant: proof.preprocessed_trace_variant,
        };
        let (said, recording) = record(|| {
            catch_unwind(AssertUnwindSafe(|| {
                verify_cairo_ex::<RecordingMerkleChannel>(recorded, true)
            }))
        });
        said.map_err(|payload| AssignmentError::Contradiction(panic_message(&*payload)))?
            .map_err(AssignmentError::Cairo)?;
        let extended_stark_proof =
            unfold(proof.stark_proof.clone(), recording).map_err(AssignmentError::Unfold)?;
        let extended = cairo_air::CairoProof {
            claim: proof.claim.clone(),
            interaction_pow: proof.interaction_pow,
            interaction_claim: proof.interaction_claim.clone(),
            extended_stark_proof,
            channel_salt: proof.channel_salt,
            preprocessed_trace_variant: proof.preprocessed_trace_variant,
        };
        let (circuit_proof, _) = prepare_cairo_proof_for_circuit_verifier(
            &extended,
            &config.proof_config,
            &config.enabled_bits,
        );
        public_claim.extend(flat.component_log_sizes);
        let outputs = outputs
            .chunks_exact(MEMORY_VALUES_LIMBS)
            .map(|limbs| std::array::from_fn(|index| M31::from_u32_unchecked(limbs[index])))
            .collect();
        let context = build_fixed_cairo_circuit(config, circuit_proof, public_claim, outputs);
        Self::new(CircuitKind::Wrap, context)
    }

    /// *Merge* over two proofs, which are verified first.
    pub fn merge(left: &CircuitProof, right: &CircuitProof) -> Result<Self, AssignmentError> {
        let side = |proof: &CircuitProof| {
            if !matches!(proof.kind, CircuitKind::Wrap | CircuitKind::Merge) {
                return Err(AssignmentError::Kind {
                    verifier: CircuitKind::Merge,
                    found: proof.kind,
                });
            }
            Ok(merge_input(unfolded(proof)?, proof.kind.root(), proof.output))
        };
        let context = build_multiverifier_circuit(side(left)?, side(right)?, &shared_config());
        Self::new(CircuitKind::Merge, context)
    }

    /// *Shrink* over a merged proof, *compact* over a shrunk one, or the last circuit over a compacted one; the proof
    /// is verified first.
    pub fn of_proof(proof: &CircuitProof) -> Result<Self, AssignmentError> {
        let kind = match proof.kind {
            CircuitKind::Merge => CircuitKind::Shrink,
            CircuitKind::Shrink => CircuitKind::Compact,
            CircuitKind::Compact => CircuitKind::Last,
            found @ (CircuitKind::Wrap | CircuitKind::Last) => {
                return Err(AssignmentError::Kind { verifier: CircuitKind::Shrink, found });
            }
        };
        Self::new(kind, verification_circuit(proof.kind, unfolded(proof)?, proof.output))
    }

    fn new(
        kind: CircuitKind,
        mut context: FinalizedContext<QM31>,
    ) -> Result<Self, AssignmentError> {
        kind.sizes().pad(&mut context).map_err(AssignmentError::Shape)?;
        let values = context.values().clone();
        let output = Digest::of_qm31s([values[U_VAR_IDX + 1], values[U_VAR_IDX + 2]]);
        Ok(Self { kind, output, values })
    }

    /// The circuit.
    pub fn kind(&self) -> CircuitKind {
        self.kind
    }

    /// The circuit's output.
    pub fn output(&self) -> Digest {
        self.output
    }

    /// The values, by wire.
    pub fn values(&self) -> &[QM31] {
        &self.values
    }
}

/// A proof as a circuit reads it.
fn unfolded(proof: &CircuitProof) -> Result<Proof<QM31>, AssignmentError> {
    let (said, recording) = record(|| verify_recorded(proof));
    said.map_err(|source| AssignmentError::Circuit { kind: proof.kind, source })?;
    let extended = unfold(proof.stark.clone(), recording).map_err(AssignmentError::Unfold)?;
    Ok(proof_from_stark_proof(
        &extended,
        &proof.kind.proof_config(),
        proof.claimed_sums.to_vec(),
        proof.interaction_pow,
        0,
    ))
}

/// The text of a panic, if it had one.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
