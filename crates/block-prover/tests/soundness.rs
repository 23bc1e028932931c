//! One test for each check: it takes a real proof, breaks what that check protects, and expects that check.
//!
//! The proof is of a small Cairo program under the real bootloader with the real parameters; making it takes about
//! half a minute and 9 GB, so it is made once for all tests of this process.

use std::sync::OnceLock;

use cairo_air::air::PublicData;
use cairo_air::components::generic_opcode;
use cairo_air::verifier::{CairoVerificationError, verify_cairo_ex};
use cairo_program_runner_lib::types::Cairo0Executable;
use cairo_vm::types::program::Program;
use num_traits::Zero;
use sidereal_block_prover::{
    AuditError, BlockProof, DecodeError, IgnoreProgress, MAX_DECODED_BYTES, MAX_ENCODED_BYTES,
    ProveError, Prover, ProverSettings, Stage, Task, VerifyError, bootloader_output,
    task_program_hash, verify,
};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Pedersen, StarkHash};
use stwo::core::fields::m31::M31;
use stwo::core::fields::qm31::QM31;
use stwo::core::fri::FriVerificationError;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo::core::vcs_lifted::verifier::MerkleVerificationError;
use stwo::core::verifier::VerificationError;
use stwo_cairo_common::preprocessed_columns::preprocessed_trace::PreProcessedTraceVariant;

const SUMS: &[u8] = include_bytes!("data/sums.json");

fn sums() -> Task {
    let program = Program::from_bytes(SUMS, Some("main")).unwrap();
    Task::Cairo0Program(Cairo0Executable { program, program_input: None })
}

/// A proof that verifies.
fn honest() -> BlockProof {
    static PROOF: OnceLock<BlockProof> = OnceLock::new();
    PROOF
        .get_or_init(|| {
            let prover = Prover::new(ProverSettings::default());
            prover.prove_task(sums(), None, &IgnoreProgress).unwrap().proof
        })
        .clone()
}

fn refusal(breakage: impl FnOnce(&mut BlockProof)) -> VerifyError {
    let mut proof = honest();
    breakage(&mut proof);
    verify(&proof).unwrap_err()
}

fn stark_refusal(breakage: impl FnOnce(&mut BlockProof)) -> CairoVerificationError {
    match refusal(breakage) {
        VerifyError::Stark(error) => error,
        other => panic!("refused by another check: {other:?}"),
    }
}

fn flip(element: &mut M31) {
    element.0 ^= 1;
}

fn flip_secure(element: &mut QM31) {
    flip(&mut element.0.0);
}

#[test]
fn an_honest_proof_is_accepted_and_says_what_the_program_wrote() {
    let proof = honest();
    let run = verify(&proof).unwrap();
    // Computed apart from this crate, from the definition: Blake2s over header and bytecode, felts below 2^63 as two
    // words and others as eight with the highest bit set.
    let hash = "0x36fbb3424b62d5eb3d71344aa42630a9f92085c302a176aad17bb3801ef02f";
    assert_eq!(run.program_hash, Felt::from_hex_unchecked(hash));
    let program = Program::from_bytes(SUMS, Some("main")).unwrap();
    let computed = task_program_hash(&program.get_stripped_program().unwrap()).unwrap();
    assert_eq!(run.program_hash, computed);
    let pedersen = (1..=40_u64)
        .rev()
        .fold(Felt::ONE, |value, round| Pedersen::hash(&value, &Felt::from(round)));
    assert_eq!(run.output.len(), 5);
    assert_eq!(run.output[0], Felt::from(40));
    assert_eq!(run.output[1], pedersen);
    assert_eq!(run.output[3], Felt::from(102_334_155));
    assert_eq!(run.output[4], Felt::from(102_334_155 & 1023));
}

#[test]
fn a_proof_survives_its_encoding() {
    let bytes = honest().encode().unwrap();
    let decoded = BlockProof::decode(&bytes).unwrap();
    assert_eq!(verify(&decoded).unwrap(), verify(&honest()).unwrap());
    assert_eq!(decoded.encode().unwrap(), bytes);
}

#[test]
fn bytes_that_are_no_proof_are_refused_with_a_reason() {
    let bytes = honest().encode().unwrap();
    assert!(matches!(BlockProof::decode(&[]), Err(DecodeError::Magic)));
    assert!(matches!(BlockProof::decode(b"GIF89a..."), Err(DecodeError::Magic)));
    let mut other_version = bytes.clone();
    other_version[8] ^= 0xff;
    assert!(matches!(BlockProof::decode(&other_version), Err(DecodeError::Version { .. })));
    assert!(BlockProof::decode(&bytes[..bytes.len() / 2]).is_err());
    assert!(BlockProof::decode(&bytes[..12]).is_err());
    let bomb =
        zstd::bulk::compress(&vec![0; usize::try_from(MAX_DECODED_BYTES).unwrap() + 1], 1).unwrap();
    let bomb = [&bytes[..10], &bomb[..]].concat();
    assert!(matches!(BlockProof::decode(&bomb), Err(DecodeError::Bomb)));
    let too_long = vec![0; MAX_ENCODED_BYTES + 1];
    assert!(matches!(BlockProof::decode(&too_long), Err(DecodeError::TooLong { .. })));
}

/// No byte of a proof is without meaning, and none makes the verifier panic.
#[test]
fn a_flipped_byte_anywhere_is_refused() {
    let bytes = honest().encode().unwrap();
    let plain = zstd::stream::decode_all(&bytes[10..]).unwrap();
    let step = plain.len() / 150;
    for position in (0..plain.len()).step_by(step) {
        let mut broken = plain.clone();
        broken[position] ^= 0x04;
        let broken = zstd::bulk::compress(&broken, 1).unwrap();
        let broken = [&bytes[..10], &broken[..]].concat();
        let accepted = BlockProof::decode(&broken).is_ok_and(|proof| verify(&proof).is_ok());
        assert!(!accepted, "byte {position} of {} was flipped unnoticed", plain.len());
    }
}

#[test]
fn security_parameters_other_than_the_standard_ones_are_refused() {
    let changes: [fn(&mut stwo::core::pcs::PcsConfig); 5] = [
        |config| config.pow_bits = 25,
        |config| config.fri_config.n_queries = 69,
        |config| config.fri_config.log_blowup_factor = 2,
        |config| config.fri_config.fold_step = 1,
        |config| config.lifting_log_size = None,
    ];
    for change in changes {
        let error = refusal(|proof| change(&mut proof.cairo.stark_proof.0.config));
        assert!(matches!(error, VerifyError::Security { .. }), "{error:?}");
    }
}

/// A proof that is right in everything but its number of queries: S-two accepts it, we do not.
#[test]
fn a_true_proof_with_too_few_queries_is_refused() {
    // One prover at a time: two do not fit into memory.
    drop(honest());
    let mut settings = ProverSettings { verify: false, ..ProverSettings::default() };
    settings.security.queries = 20;
    assert_eq!(settings.security.security_bits(), 46);
    let proof = Prover::new(settings).prove_task(sums(), None, &IgnoreProgress).unwrap().proof;
    verify_cairo_ex::<Blake2sM31MerkleChannel>(proof.cairo.clone(), true).unwrap();
    assert!(matches!(verify(&proof), Err(VerifyError::Security { bits: 46, .. })));
}

#[test]
fn a_salted_channel_is_refused() {
    assert!(matches!(refusal(|proof| proof.cairo.channel_salt = 1), VerifyError::Salt(1)));
}

#[test]
fn another_preprocessed_trace_is_refused() {
    let root = refusal(|proof| proof.cairo.stark_proof.0.commitments[0].0[5] ^= 1);
    assert!(matches!(root, VerifyError::PreprocessedRoot));
    let variant = PreProcessedTraceVariant::CanonicalWithoutPedersen;
    let other = refusal(|proof| proof.cairo.preprocessed_trace_variant = variant);
    assert!(matches!(other, VerifyError::PreprocessedRoot));
}

#[test]
fn an_unreduced_field_element_is_refused() {
    let error = refusal(|proof| {
        let element = &mut proof.cairo.stark_proof.0.queried_values[1][0][0];
        element.0 = element.0.wrapping_add((1 << 31) - 1);
    });
    assert!(matches!(error, VerifyError::Form(AuditError::NotCanonical { .. })), "{error:?}");
}

#[test]
fn a_log_size_that_would_wrap_is_refused() {
    let error = refusal(|proof| proof.cairo.claim.ret_opcode.as_mut().unwrap().log_size += 32);
    assert!(matches!(error, VerifyError::Form(AuditError::LogSize { .. })), "{error:?}");
}

/// The forgery that S-two's own verifier lets pass: a claimed sum of a component that has no trace balances any
/// lookup, because the balance is a plain sum over what is present.
#[test]
fn a_claimed_sum_without_its_component_is_refused() {
    let error = refusal(|proof| {
        let claimed_sum = QM31::from_u32_unchecked(1, 2, 3, 4);
        assert!(proof.cairo.claim.generic_opcode.is_none());
        let forged = generic_opcode::InteractionClaim { claimed_sum };
        proof.cairo.interaction_claim.generic_opcode = Some(forged);
    });
    assert!(matches!(error, VerifyError::UnboundSum), "{error:?}");
}

#[test]
fn a_total_that_is_not_the_sum_of_its_parts_is_refused() {
    let total = refusal(|proof| {
        let sums = proof.cairo.interaction_claim.memory_id_to_big.as_mut().unwrap();
        flip_secure(&mut sums.claimed_sum);
    });
    assert!(matches!(total, VerifyError::UnboundSum), "{total:?}");
    let surplus = refusal(|proof| {
        let sums = proof.cairo.interaction_claim.memory_id_to_big.as_mut().unwrap();
        sums.big_claimed_sums.push(QM31::zero());
    });
    assert!(matches!(surplus, VerifyError::UnboundSum), "{surplus:?}");
}

#[test]
fn a_builtin_whose_public_segment_is_empty_is_refused() {
    let error = refusal(|proof| {
        let segments = &mut proof.cairo.claim.public_data.public_memory.public_segments;
        let poseidon = segments.poseidon.as_mut().unwrap();
        poseidon.stop_ptr = poseidon.start_ptr;
    });
    assert!(matches!(error, VerifyError::UnboundSegment("poseidon")), "{error:?}");
}

#[test]
fn another_bootloader_is_refused() {
    let changes: [fn(&mut PublicData); 4] = [
        |public| public.public_memory.program[100].1[0] ^= 1,
        |public| public.public_memory.program.truncate(2_000),
        |public| public.public_memory.program.push((0, [0; 8])),
        |public| flip(&mut public.initial_state.ap),
    ];
    for change in changes {
        let error = refusal(|proof| change(&mut proof.cairo.claim.public_data));
        assert!(matches!(error, VerifyError::Program(_)), "{error:?}");
    }
}

#[test]
fn another_program_hash_is_refused() {
    let error = refusal(|proof| proof.program_hash += Felt::ONE);
    assert!(matches!(error, VerifyError::Output(_)), "{error:?}");
}

#[test]
fn another_output_is_refused() {
    let changes: [fn(&mut Vec<Felt>); 4] = [
        |output| output[3] += Felt::ONE,
        |output| output.truncate(4),
        |output| output.push(Felt::ZERO),
        |output| output.swap(1, 2),
    ];
    for change in changes {
        let error = refusal(|proof| change(&mut proof.output));
        assert!(matches!(error, VerifyError::Output(_)), "{error:?}");
    }
}

#[test]
fn an_output_segment_elsewhere_is_refused() {
    let changes: [fn(&mut PublicData); 3] = [
        |public| public.public_memory.public_segments.output.start_ptr.value += 1,
        |public| public.public_memory.public_segments.output.stop_ptr.value += 1,
        |public| public.public_memory.output.push((0, [0; 8])),
    ];
    for change in changes {
        let error = refusal(|proof| change(&mut proof.cairo.claim.public_data));
        assert!(matches!(error, VerifyError::Output(_)), "{error:?}");
    }
}

/// The output hash in public memory and the claimed output are changed together: only the STARK can tell.
#[test]
fn an_output_that_was_replaced_in_public_memory_too_is_refused_by_the_stark() {
    let error = stark_refusal(|proof| {
        proof.output[3] += Felt::ONE;
        let forged = bootloader_output(proof.program_hash, &proof.output).to_bytes_le();
        let limbs = &mut proof.cairo.claim.public_data.public_memory.output[0].1;
        for (limb, chunk) in limbs.iter_mut().zip(forged.chunks_exact(4)) {
            *limb = u32::from_le_bytes(chunk.try_into().unwrap());
        }
    });
    assert!(matches!(error, CairoVerificationError::ProofOfWork), "{error:?}");
}

#[test]
fn a_changed_claim_is_refused() {
    // The claim is mixed into the transcript, so what follows it, the work first of all, no longer fits.
    let size = stark_refusal(|proof| proof.cairo.claim.ret_opcode.as_mut().unwrap().log_size ^= 1);
    assert!(matches!(size, CairoVerificationError::ProofOfWork), "{size:?}");
    let stop = refusal(|proof| {
        let segments = &mut proof.cairo.claim.public_data.public_memory.public_segments;
        segments.pedersen.as_mut().unwrap().start_ptr.value += 3;
    });
    assert!(matches!(stop, VerifyError::Contradiction(_)), "{stop:?}");
}

#[test]
fn a_changed_interaction_claim_is_refused() {
    let error = stark_refusal(|proof| {
        let claim = proof.cairo.interaction_claim.ret_opcode.as_mut().unwrap();
        flip_secure(&mut claim.claimed_sum);
    });
    assert!(matches!(error, CairoVerificationError::InvalidLogupSum), "{error:?}");
}

#[test]
fn a_changed_interaction_nonce_is_refused() {
    let error = stark_refusal(|proof| proof.cairo.interaction_pow ^= 1);
    assert!(matches!(error, CairoVerificationError::ProofOfWork), "{error:?}");
}

#[test]
fn changed_commitments_are_refused() {
    let trace = stark_refusal(|proof| proof.cairo.stark_proof.0.commitments[1].0[0] ^= 1);
    assert!(matches!(trace, CairoVerificationError::ProofOfWork), "{trace:?}");
    for tree in [2, 3] {
        let error = stark_refusal(|proof| proof.cairo.stark_proof.0.commitments[tree].0[0] ^= 1);
        assert!(
            matches!(error, CairoVerificationError::Stark(VerificationError::OodsNotMatching)),
            "{error:?}"
        );
    }
}

#[test]
fn changed_sampled_values_are_refused() {
    for tree in [1, 2, 3] {
        let error = stark_refusal(|proof| {
            flip_secure(&mut proof.cairo.stark_proof.0.sampled_values[tree][0][0]);
        });
        assert!(
            matches!(error, CairoVerificationError::Stark(VerificationError::OodsNotMatching)),
            "{error:?}"
        );
    }
}

#[test]
fn changed_decommitments_and_queried_values_are_refused() {
    for tree in [0, 1, 2, 3] {
        let path = stark_refusal(|proof| {
            proof.cairo.stark_proof.0.decommitments[tree].hash_witness[0].0[0] ^= 1;
        });
        let value = stark_refusal(|proof| {
            flip(&mut proof.cairo.stark_proof.0.queried_values[tree][0][0]);
        });
        for error in [path, value] {
            assert!(
                matches!(
                    error,
                    CairoVerificationError::Stark(VerificationError::Merkle(
                        MerkleVerificationError::RootMismatch
                    ))
                ),
                "{error:?}"
            );
        }
    }
}

#[test]
fn changed_fri_layers_are_refused() {
    let first = stark_refusal(|proof| {
        flip_secure(&mut proof.cairo.stark_proof.0.fri_proof.first_layer.fri_witness[0]);
    });
    assert!(
        matches!(
            first,
            CairoVerificationError::Stark(VerificationError::Fri(
                FriVerificationError::FirstLayerCommitmentInvalid { .. }
            ))
        ),
        "{first:?}"
    );
    let layers = honest().cairo.stark_proof.0.fri_proof.inner_layers.len();
    assert!(layers > 1);
    for layer in 0..layers {
        let error = stark_refusal(|proof| {
            let layer = &mut proof.cairo.stark_proof.0.fri_proof.inner_layers[layer];
            match layer.fri_witness.first_mut() {
                Some(element) => flip_secure(element),
                // All points of a small layer are queried: then its path is all there is.
                None => layer.decommitment.hash_witness.push(layer.commitment),
            }
        });
        assert!(
            matches!(
                error,
                CairoVerificationError::Stark(VerificationError::Fri(
                    FriVerificationError::InnerLayerCommitmentInvalid { .. }
                ))
            ),
            "layer {layer}: {error:?}"
        );
    }
}

#[test]
fn a_changed_fri_commitment_or_last_layer_is_refused() {
    // Both are mixed into the transcript before the work.
    let commitment = stark_refusal(|proof| {
        proof.cairo.stark_proof.0.fri_proof.first_layer.commitment.0[0] ^= 1;
    });
    let last = stark_refusal(|proof| {
        flip_secure(&mut proof.cairo.stark_proof.0.fri_proof.last_layer_poly[0]);
    });
    for error in [commitment, last] {
        assert!(
            matches!(error, CairoVerificationError::Stark(VerificationError::ProofOfWork)),
            "{error:?}"
        );
    }
}

#[test]
fn a_changed_work_nonce_is_refused() {
    let error = stark_refusal(|proof| proof.cairo.stark_proof.0.proof_of_work ^= 1);
    assert!(
        matches!(error, CairoVerificationError::Stark(VerificationError::ProofOfWork)),
        "{error:?}"
    );
}

#[test]
fn stages_come_in_order() {
    let seen = std::sync::Mutex::new(Vec::new());
    let prover = Prover::new(ProverSettings::default());
    // A task that cannot run ends in the bootloader stage, before anything expensive.
    let mut program: serde_json::Value = serde_json::from_slice(SUMS).unwrap();
    program["data"][0] = "0xffffffffffffffff".into();
    let program =
        Program::from_bytes(&serde_json::to_vec(&program).unwrap(), Some("main")).unwrap();
    let task = Task::Cairo0Program(Cairo0Executable { program, program_input: None });
    let result = prover.prove_task(task, None, &|stage| seen.lock().unwrap().push(stage));
    assert!(matches!(result, Err(ProveError::Bootloader(_))));
    assert_eq!(*seen.lock().unwrap(), [Stage::Bootloader]);
}

/// S-two's verifier would end the process.
#[test]
fn a_sample_that_is_missing_or_too_many_is_refused() {
    let refused =
        |error, tree| matches!(error, VerifyError::Samples { tree: found, .. } if found == tree);
    assert!(refused(refusal(|proof| _ = proof.cairo.stark_proof.0.sampled_values[2][3].pop()), 2));
    assert!(refused(refusal(|proof| _ = proof.cairo.stark_proof.0.sampled_values[1].pop()), 1));
    assert!(refused(
        refusal(|proof| {
            let sample = proof.cairo.stark_proof.0.sampled_values[0][0][0];
            proof.cairo.stark_proof.0.sampled_values[0][0].push(sample);
        }),
        0
    ));
    assert!(refused(refusal(|proof| _ = proof.cairo.stark_proof.0.sampled_values.pop()), 3));
}
