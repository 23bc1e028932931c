//! The circuits are those that are pinned, and a stored proof of one is accepted as it is and in no other form.
//!
//! `data/compact.proof` is the fourth step of an aggregation of two blocks of ten transfers each, made by
//! `cargo run --example bench_aggregation -- --save FOLDER 2 10`; `data/last.output` is what the last circuit says of
//! it, which that program compares with the chain of hashes from the blocks' outputs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sidereal_aggregation::{
    Assignment, AssignmentError, CircuitKind, CircuitProof, CircuitVerifyError, DecodeError,
    compute_root, verify,
};
use sidereal_final_proof::{FinalProver, Parameters, VerificationKey, verify_calldata};
use stwo::core::fields::m31::{M31, P};
use stwo::core::fields::qm31::QM31;
use stwo::core::vcs::blake2_hash::Blake2sHash;

const COMPACT: &[u8] = include_bytes!("data/compact.proof");
const FINAL: &[u8] =
    include_bytes!("../../../contracts/solidity/test/fixtures/aggregation/proof.bin");
const LAST_OUTPUT: &[u8; 32] = include_bytes!("data/last.output");

fn stored() -> CircuitProof {
    CircuitProof::decode(COMPACT).unwrap()
}

/// Pins down the verification keys: each circuit is built from the library's definitions and committed to anew.
#[test]
fn the_roots_are_those_of_the_circuits() {
    for kind in CircuitKind::PROVEN.into_iter().chain([CircuitKind::Last]) {
        assert_eq!(compute_root(kind).unwrap(), kind.root(), "{}", kind.name());
    }
}

/// The key with which Ethereum's contract is deployed is that of the last circuit, and the stored proof over *compact*'s
/// verifies with it, natively; `contracts/solidity/test/Aggregation.t.sol` settles with the same one.
#[test]
fn ethereums_key_is_that_of_the_last_circuit() {
    let prover =
        FinalProver::new(CircuitKind::Last.preprocess().unwrap(), Parameters::ETHEREUM).unwrap();
    assert_eq!(prover.key(), &VerificationKey::ETHEREUM);
    verify_calldata(FINAL, &VerificationKey::ETHEREUM, LAST_OUTPUT).unwrap();
    let mut another = *LAST_OUTPUT;
    another[0] ^= 1;
    assert!(verify_calldata(FINAL, &VerificationKey::ETHEREUM, &another).is_err());
}

/// Every proof is worth 96 bits, and proofs of *wrap* and *merge* have one form.
#[test]
fn parameters_are_worth_96_bits() {
    for kind in CircuitKind::PROVEN {
        let parameters = kind.parameters();
        assert!(parameters.security_bits() >= 96, "{}", kind.name());
        assert!(parameters.pow_bits <= 30, "circuits check at most 30 bits");
    }
    let (wrap, merge) = (CircuitKind::Wrap, CircuitKind::Merge);
    assert_eq!((wrap.sizes(), wrap.parameters()), (merge.sizes(), merge.parameters()));
}

/// What a verifier knows of a circuit's columns is what the library makes of the circuit.
#[test]
fn columns_are_in_the_librarys_order() {
    let kind = CircuitKind::Last;
    let circuit = kind.preprocess().unwrap();
    assert_eq!(circuit.preprocessed_trace.log_sizes(), kind.sizes().preprocessed_columns());
    assert_eq!(circuit.trace_log_size, kind.sizes().log_rows());
}

/// The stored proof verifies, and the circuit that verifies it says what the chain of hashes says.
#[test]
fn a_stored_proof_is_taken_further() {
    let proof = stored();
    verify(&proof).unwrap();
    assert_eq!(proof.encode().unwrap(), COMPACT);
    let last = Assignment::of_proof(&proof).unwrap();
    assert_eq!(last.kind(), CircuitKind::Last);
    assert_eq!(&last.output().0, LAST_OUTPUT);
}

/// Each part of the proof, changed alone, is refused, by the check that is for it.
#[test]
fn every_part_is_bound() {
    type Change = fn(&mut CircuitProof);
    type Refusal = fn(&CircuitVerifyError) -> bool;
    fn flip(hash: &mut Blake2sHash) {
        hash.0[5] ^= 1;
    }
    let stark: Refusal =
        |error| matches!(error, CircuitVerifyError::Stark(_) | CircuitVerifyError::Form(_));
    let samples: Refusal = |error| matches!(error, CircuitVerifyError::Samples { .. });
    let canonical: Refusal = |error| matches!(error, CircuitVerifyError::NotCanonical(_));
    let lookups: Refusal = |error| matches!(error, CircuitVerifyError::Lookups);
    let work: Refusal = |error| matches!(error, CircuitVerifyError::ProofOfWork);
    let cases: &[(&str, Change, Refusal)] = &[
        (
            "kind",
            |proof| proof.kind = CircuitKind::Last,
            |error| matches!(error, CircuitVerifyError::Root { .. }),
        ),
        (
            "parameters",
            |proof| proof.stark.0.config.fri_config.n_queries -= 1,
            |error| matches!(error, CircuitVerifyError::Parameters),
        ),
        (
            "root of another circuit",
            |proof| flip(&mut proof.stark.0.commitments[0]),
            |error| matches!(error, CircuitVerifyError::Root { .. }),
        ),
        (
            "output that is not reduced",
            |proof| proof.output.0[..4].fill(0xff),
            |error| matches!(error, CircuitVerifyError::Output),
        ),
        // The output and the trace are in the transcript before the proof of work.
        ("output", |proof| proof.output.0[0] ^= 1, work),
        ("trace", |proof| flip(&mut proof.stark.0.commitments[1]), work),
        ("proof of work", |proof| proof.interaction_pow ^= 1, work),
        ("sum", |proof| proof.claimed_sums[3] += QM31::from(M31(1)), lookups),
        ("two sums", |proof| proof.claimed_sums.swap(0, 1), stark),
        ("interaction", |proof| flip(&mut proof.stark.0.commitments[2]), stark),
        ("composition", |proof| flip(&mut proof.stark.0.commitments[3]), stark),
        ("sample", |proof| proof.stark.0.sampled_values[1][7][0] += QM31::from(M31(1)), stark),
        ("missing sample", |proof| _ = proof.stark.0.sampled_values[2][0].pop(), samples),
        ("missing column", |proof| _ = proof.stark.0.sampled_values[1].pop(), samples),
        (
            "sample too many",
            |proof| {
                let sample = proof.stark.0.sampled_values[0][3][0];
                proof.stark.0.sampled_values[0][3].push(sample);
            },
            samples,
        ),
        ("second encoding", |proof| proof.claimed_sums[0].0.0.0 += P, canonical),
        ("second encoding", |proof| proof.stark.0.queried_values[0][0][0].0 += P, canonical),
        (
            "second encoding",
            |proof| proof.stark.0.fri_proof.first_layer.fri_witness[0].1.1.0 += P,
            canonical,
        ),
        ("queried value", |proof| proof.stark.0.queried_values[1][3][2] += M31(1), stark),
        ("path", |proof| flip(&mut proof.stark.0.decommitments[2].hash_witness[9]), stark),
        ("short path", |proof| _ = proof.stark.0.decommitments[0].hash_witness.pop(), stark),
        ("first layer", |proof| flip(&mut proof.stark.0.fri_proof.first_layer.commitment), stark),
        (
            "FRI witness",
            |proof| proof.stark.0.fri_proof.inner_layers[1].fri_witness[0] += QM31::from(M31(1)),
            stark,
        ),
        ("missing layer", |proof| _ = proof.stark.0.fri_proof.inner_layers.pop(), stark),
        ("work before the queries", |proof| proof.stark.0.proof_of_work ^= 1, stark),
    ];
    for (what, change, refusal) in cases {
        let mut proof = stored();
        change(&mut proof);
        let error = verify(&proof).expect_err(what);
        assert!(refusal(&error), "{what}: {error:?}");
        // Nothing is taken into a circuit that was not verified.
        let taken = Assignment::of_proof(&proof).err();
        let refused =
            matches!(taken, Some(AssignmentError::Circuit { .. } | AssignmentError::Kind { .. }));
        assert!(refused, "{what}");
    }
}

/// Bytes that are no proof are told so; a byte that is changed anywhere makes another proof, or none.
#[test]
fn malformed_bytes_are_refused() {
    let decode = |bytes: &[u8]| CircuitProof::decode(bytes).map(|_| ());
    assert!(matches!(decode(b""), Err(DecodeError::Magic)));
    assert!(matches!(decode(&COMPACT[1..]), Err(DecodeError::Magic)));
    let mut version = COMPACT.to_vec();
    version[8] = 9;
    assert!(matches!(decode(&version), Err(DecodeError::Version { found: 9 })));
    for length in (0..COMPACT.len()).step_by(997) {
        assert!(decode(&COMPACT[..length]).is_err());
    }
    let mut longer = COMPACT.to_vec();
    longer.push(0);
    assert!(matches!(decode(&longer), Err(DecodeError::Layout(_))));
    let huge = vec![0; sidereal_aggregation::MAX_ENCODED_BYTES + 1];
    assert!(matches!(decode(&huge), Err(DecodeError::TooLong { .. })));
}

/// Circuits take only what they are made for.
#[test]
fn a_proof_of_another_circuit_is_not_merged() {
    let proof = stored();
    assert!(matches!(
        Assignment::merge(&proof, &proof),
        Err(AssignmentError::Kind { verifier: CircuitKind::Merge, found: CircuitKind::Compact })
    ));
}
