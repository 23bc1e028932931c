//! The verifier of block proofs. It needs no prover, no witness and no network, and takes milliseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cairo_air::air::{MemorySection, PublicData};
use cairo_air::cairo_components::CairoComponents;
use cairo_air::claims::CairoClaim;
use cairo_air::relations::CommonLookupElements;
use cairo_air::verifier::{CairoVerificationError, verify_cairo_ex};
use num_traits::Zero;
use starknet_types_core::felt::Felt;
use stwo::core::air::Components;
use stwo::core::circle::SECURE_FIELD_CIRCLE_GEN;
use stwo::core::fields::qm31::{SECURE_EXTENSION_DEGREE, SecureField};
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;

use crate::audit::{AuditError, audit};
use crate::bootloader::{Bootloader, BootloaderError, bootloader_output};
use crate::precompute::{PREPROCESSED, pinned_root};
use crate::proof::{BlockProof, CairoProof};
use crate::prover::panic_message;
use crate::settings::{MIN_SECURITY_BITS, SecurityParameters};

/// What an accepted proof says: the program with this hash, run to its end, wrote this output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRun {
    /// Blake2s hash of the program that ran as the bootloader's task.
    pub program_hash: Felt,
    /// Everything that the program wrote.
    pub output: Vec<Felt>,
}

/// Why a proof is refused; one variant for each check.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The verifier itself is not what it should be.
    #[error("prepare the verifier")]
    Bootloader(#[source] BootloaderError),
    /// The parameters are not the standard ones.
    #[error(
        "security parameters {found} are not the standard ones ({bits} bits; {MIN_SECURITY_BITS} are required)"
    )]
    Security {
        /// The parameters in the proof.
        found: String,
        /// The security that they claim.
        bits: u32,
    },
    /// The channel starts from another state than honest provers use.
    #[error("channel salt {0} instead of 0")]
    Salt(u32),
    /// Another preprocessed trace than the pinned one.
    #[error("the preprocessed trace is not {PREPROCESSED:?} with its pinned commitment")]
    PreprocessedRoot,
    /// The proof's form, see [`AuditError`].
    #[error("the proof's form is wrong")]
    Form(#[source] AuditError),
    /// Claimed sums belong to other components than are claimed.
    #[error("claimed sums and claimed components differ")]
    UnboundSum,
    /// A builtin's table is claimed to start anywhere, because its public segment is empty.
    #[error("the claimed start of builtin {0} is bound by nothing")]
    UnboundSegment(&'static str),
    /// Another program than the pinned bootloader ran.
    #[error("public memory does not hold the pinned bootloader: {0}")]
    Program(&'static str),
    /// The bootloader's output is not the hash of the claimed program hash and output.
    #[error("the bootloader's output does not commit to the claimed program hash and output: {0}")]
    Output(&'static str),
    /// A column has another number of samples than its component takes.
    #[error("column {column} of tree {tree} has another number of samples than it must have")]
    Samples {
        /// Index of the commitment.
        tree: usize,
        /// Index of the column.
        column: usize,
    },
    /// S-two's verifier says no.
    #[error("the STARK does not verify")]
    Stark(#[source] CairoVerificationError),
    /// S-two's verifier panicked, which is how it refuses claims that contradict themselves.
    #[error("the proof contradicts itself: {0}")]
    Contradiction(String),
}

/// Checks a proof completely and returns what it proves.
///
/// In this order:
///
/// 1. the security parameters are exactly [`SecurityParameters::STANDARD`], which is worth at least
///    [`MIN_SECURITY_BITS`] bits, and the channel is unsalted;
/// 2. the preprocessed trace is the pinned variant with the pinned commitment;
/// 3. the proof has the form that S-two's verifier presupposes: canonical field elements, log sizes in range,
///    no claimed sum without its component and no builtin without its public segment (see [`AuditError`],
///    [`VerifyError::UnboundSum`] and [`VerifyError::UnboundSegment`]);
/// 4. public memory holds the pinned bootloader's bytecode from address 1 up to the initial stack, nothing else;
/// 5. the output segment follows the final stack, is one felt long, and that felt is [`bootloader_output`] of the
///    claimed program hash and output;
/// 6. the STARK itself verifies: commitments, lookups, out-of-domain samples, FRI, proofs of work.
///
/// Whether the program hash is that of StarknetOS is for the caller to say.
pub fn verify(proof: &BlockProof) -> Result<VerifiedRun, VerifyError> {
    let bootloader = Bootloader::get().map_err(VerifyError::Bootloader)?;
    check_parameters(&proof.cairo)?;
    check_form(&proof.cairo)?;
    let public = &proof.cairo.claim.public_data;
    check_program(public, bootloader.bytecode())?;
    check_output(public, bootloader_output(proof.program_hash, &proof.output))?;
    check_stark(proof.cairo.clone())?;
    Ok(VerifiedRun { program_hash: proof.program_hash, output: proof.output.clone() })
}

fn check_parameters(proof: &CairoProof) -> Result<(), VerifyError> {
    let found = proof.stark_proof.config;
    let standard = SecurityParameters::STANDARD;
    if found != standard.pcs_config() || standard.security_bits() < MIN_SECURITY_BITS {
        let fri = found.fri_config;
        let bits = SecurityParameters {
            pow_bits: found.pow_bits,
            log_blowup: fri.log_blowup_factor,
            queries: fri.n_queries,
        }
        .security_bits();
        return Err(VerifyError::Security { found: format!("{found:?}"), bits });
    }
    if proof.channel_salt != 0 {
        return Err(VerifyError::Salt(proof.channel_salt));
    }
    if proof.preprocessed_trace_variant != PREPROCESSED
        || proof.stark_proof.commitments.first() != Some(&pinned_root())
    {
        return Err(VerifyError::PreprocessedRoot);
    }
    Ok(())
}

fn check_form(proof: &CairoProof) -> Result<(), VerifyError> {
    let components = audit(proof).map_err(VerifyError::Form)?;
    if components.claimed != components.summed {
        return Err(VerifyError::UnboundSum);
    }
    // The table of large memory values is several components with one sum each; the lookup balance takes only
    // their total, so the total must be theirs.
    let (Some(claim), Some(sums)) =
        (&proof.claim.memory_id_to_big, &proof.interaction_claim.memory_id_to_big)
    else {
        return Err(VerifyError::UnboundSum);
    };
    let total = sums.big_claimed_sums.iter().fold(SecureField::zero(), |total, sum| total + *sum);
    if claim.big_log_sizes.len() != sums.big_claimed_sums.len() || total != sums.claimed_sum {
        return Err(VerifyError::UnboundSum);
    }
    check_segments(&proof.claim)
}

/// S-two's verifier compares where a builtin's table starts with the public segment only if that is not empty, and
/// the start is not part of the transcript otherwise: it could be chosen after the challenges.
fn check_segments(claim: &CairoClaim) -> Result<(), VerifyError> {
    let segments = &claim.public_data.public_memory.public_segments;
    let pedersen =
        claim.pedersen_builtin.is_some() || claim.pedersen_builtin_narrow_windows.is_some();
    let builtins = [
        ("pedersen", pedersen, segments.pedersen),
        ("range_check", claim.range_check_builtin.is_some(), segments.range_check_128),
        ("bitwise", claim.bitwise_builtin.is_some(), segments.bitwise),
        ("ec_op", claim.ec_op_builtin.is_some(), segments.ec_op),
        ("poseidon", claim.poseidon_builtin.is_some(), segments.poseidon),
        ("range_check96", claim.range_check96_builtin.is_some(), segments.range_check_96),
        ("add_mod", claim.add_mod_builtin.is_some(), segments.add_mod),
        ("mul_mod", claim.mul_mod_builtin.is_some(), segments.mul_mod),
    ];
    for (name, claimed, segment) in builtins {
        if claimed && segment.is_none_or(|segment| segment.is_empty()) {
            return Err(VerifyError::UnboundSegment(name));
        }
    }
    Ok(())
}

fn check_program(public: &PublicData, bytecode: &[Felt]) -> Result<(), VerifyError> {
    let program = &public.public_memory.program;
    if program.len() != bytecode.len() {
        return Err(VerifyError::Program("its length differs"));
    }
    if !holds(program, bytecode) {
        return Err(VerifyError::Program("its bytecode differs"));
    }
    // The program lies at the initial program counter, which is 1; two cells lie between it and the stack.
    let stack = u32::try_from(1 + bytecode.len() + 2).ok();
    if public.initial_state.pc.0 != 1 || Some(public.initial_state.ap.0) != stack {
        return Err(VerifyError::Program("it does not fill the memory below the stack"));
    }
    Ok(())
}

fn check_output(public: &PublicData, expected: Felt) -> Result<(), VerifyError> {
    let memory = &public.public_memory;
    let range = memory.public_segments.output;
    if range.start_ptr.value != public.final_state.ap.0
        || range.stop_ptr.value.checked_sub(range.start_ptr.value) != Some(1)
    {
        return Err(VerifyError::Output("its segment is not one felt after the final stack"));
    }
    if !holds(&memory.output, &[expected]) {
        return Err(VerifyError::Output("the hash differs"));
    }
    Ok(())
}

/// Whether a section of public memory holds exactly these felts.
fn holds(section: &MemorySection, felts: &[Felt]) -> bool {
    section.len() == felts.len()
        && section.iter().zip(felts).all(|((_, limbs), felt)| {
            let mut bytes = [0; 32];
            for (chunk, limb) in bytes.chunks_exact_mut(4).zip(limbs) {
                chunk.copy_from_slice(&limb.to_le_bytes());
            }
            bytes == felt.to_bytes_le()
        })
}

fn check_stark(proof: CairoProof) -> Result<(), VerifyError> {
    // S-two's verifier asserts what it could return; none of its state outlives the call.
    catch_unwind(AssertUnwindSafe(|| {
        check_samples(&proof)?;
        verify_cairo_ex::<Blake2sM31MerkleChannel>(proof, true).map_err(VerifyError::Stark)
    }))
    .map_err(|payload| VerifyError::Contradiction(panic_message(&*payload)))?
}

/// S-two takes the samples as they come. Where one is missing, it panics in the middle of a lookup, which panics in turn
/// when it is dropped: that ends the process, so it must not come to it.
fn check_samples(proof: &CairoProof) -> Result<(), VerifyError> {
    let ids = proof.preprocessed_trace_variant.to_preprocessed_trace().ids();
    // What is sampled where depends on no randomness.
    let elements = CommonLookupElements::dummy();
    let components = CairoComponents::new(&proof.claim, &elements, &proof.interaction_claim, &ids);
    let components =
        Components { components: components.components(), n_preprocessed_columns: ids.len() };
    let bound = components.composition_log_degree_bound();
    let mut expected = components.mask_points(SECURE_FIELD_CIRCLE_GEN, bound, true);
    expected.push(vec![vec![SECURE_FIELD_CIRCLE_GEN]; 2 * SECURE_EXTENSION_DEGREE]);
    let samples = &proof.stark_proof.sampled_values;
    let differs = |tree, column| Err(VerifyError::Samples { tree, column });
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
