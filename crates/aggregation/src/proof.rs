//! A proof of a circuit of ours.

use circuit_verifier::circuit_components::N_COMPONENTS;
use serde::{Deserialize, Serialize};
use stwo::core::fields::qm31::QM31;
use stwo::core::proof::StarkProof;

use crate::circuit::CircuitKind;
use crate::digest::Digest;
use crate::unfold::Hasher;

/// A proof that a circuit has an assignment with this output. Nothing in it is to be believed before
/// [`crate::verify`] has accepted it.
#[derive(Clone, Serialize, Deserialize)]
pub struct CircuitProof {
    /// Which circuit.
    pub kind: CircuitKind,
    /// Its output.
    pub output: Digest,
    /// The proof of work before the lookups' randomness is drawn.
    pub interaction_pow: u64,
    /// Each component's sum of the lookup argument.
    pub claimed_sums: [QM31; N_COMPONENTS],
    /// The STARK itself.
    pub stark: StarkProof<Hasher>,
}
