//! The verifier's side of the conversation: what it says after everything that the prover said.

use circuit_verifier::circuit_claim::CircuitInteractionElements;
use num_traits::{One, Zero};
use stwo::core::channel::{Channel, MerkleChannel};
use stwo::core::circle::CirclePoint;
use stwo::core::fields::FieldExpOps;
use stwo::core::fields::qm31::SecureField;
use stwo::core::queries::{Queries, draw_queries};

use crate::channel::{KeccakChannel, KeccakMerkleChannel};
use crate::key::{N_OUTPUTS, VerificationKey};
use crate::proof::Head;
use crate::verify::FinalVerifyError;

/// The verifier's randomness.
pub(crate) struct Transcript {
    pub lookup_elements: CircuitInteractionElements,
    /// Powers of it combine the constraints.
    pub composition_coefficient: SecureField,
    pub oods_point: CirclePoint<SecureField>,
    /// Powers of it combine the quotients.
    pub quotient_coefficient: SecureField,
    /// One for each FRI layer.
    pub folding_coefficients: Vec<SecureField>,
    /// Queried positions of the domain, ascending, without repetition.
    pub positions: Vec<usize>,
}

impl Transcript {
    /// Draws everything, checking both proofs of work.
    pub(crate) fn replay(
        key: &VerificationKey,
        outputs: &[SecureField; N_OUTPUTS],
        head: &Head,
    ) -> Result<Self, FinalVerifyError> {
        let mix_root = KeccakMerkleChannel::mix_root;
        let mut channel = key.channel();
        mix_root(&mut channel, key.preprocessed_root);
        channel.mix_felts(outputs);
        mix_root(&mut channel, head.trace_root);

        if !channel.verify_pow_nonce(key.parameters.interaction_pow_bits, head.interaction_nonce) {
            return Err(FinalVerifyError::InteractionProofOfWork);
        }
        channel.mix_u64(head.interaction_nonce);
        let lookup_elements = CircuitInteractionElements::draw(&mut channel);
        channel.mix_felts(&head.claimed_sums);
        mix_root(&mut channel, head.interaction_root);

        let composition_coefficient = channel.draw_secure_felt();
        mix_root(&mut channel, head.composition_root);
        let oods_point = draw_point(&mut channel)?;
        channel.mix_felts(&head.sampled_values);

        let quotient_coefficient = channel.draw_secure_felt();
        let folding_coefficients = head
            .fri_roots
            .iter()
            .map(|root| {
                mix_root(&mut channel, *root);
                channel.draw_secure_felt()
            })
            .collect();
        channel.mix_felts(&head.last_layer);

        if !channel.verify_pow_nonce(key.parameters.query_pow_bits, head.query_nonce) {
            return Err(FinalVerifyError::QueryProofOfWork);
        }
        channel.mix_u64(head.query_nonce);
        let drawn = draw_queries(&mut channel, key.domain_log_size(), key.parameters.n_queries);
        let positions = Queries::new(&drawn, key.domain_log_size()).positions;
        Ok(Self {
            lookup_elements,
            composition_coefficient,
            oods_point,
            quotient_coefficient,
            folding_coefficients,
            positions,
        })
    }
}

/// A point of the circle over the extension field, as `CirclePoint::get_random_point`, which panics where this fails.
fn draw_point(channel: &mut KeccakChannel) -> Result<CirclePoint<SecureField>, FinalVerifyError> {
    let t = channel.draw_secure_felt();
    let one_plus_square = t.square() + SecureField::one();
    if one_plus_square.is_zero() {
        return Err(FinalVerifyError::DegenerateRandomness);
    }
    let inverse = one_plus_square.inverse();
    Ok(CirclePoint { x: (SecureField::one() - t.square()) * inverse, y: (t + t) * inverse })
}
