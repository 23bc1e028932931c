//! Proofs of a small circuit with cheap parameters: what is accepted, what is refused, and as what.

mod support;

use std::sync::LazyLock;

use sidereal_final_proof::{
    DecodeError, FinalProof, FinalProver, FinalVerifyError, KeccakHash, Parameters, TraceTree,
    VerificationKey, verify, verify_calldata,
};
use stwo::core::fields::m31::BaseField;
use stwo::core::fields::qm31::SecureField;

/// Five queries at blow-up 2 and no work: these proofs prove nothing, but every step of a proof is in them.
const CHEAP: Parameters = Parameters {
    log_blowup: 1,
    n_queries: 5,
    query_pow_bits: 0,
    interaction_pow_bits: 0,
    fold_step: 4,
    log_last_layer: 8,
};

struct Proven {
    key: VerificationKey,
    proof: FinalProof,
    output: [u8; 32],
}

static PROVEN: LazyLock<Proven> = LazyLock::new(|| {
    let (circuit, values) = support::hash_chain(1, 3);
    let prover = FinalProver::new(circuit, CHEAP).unwrap();
    let (proof, output) = prover.prove(&values).unwrap();
    Proven { key: prover.key().clone(), proof, output }
});

#[test]
fn a_proof_is_accepted_and_survives_its_encoding() {
    let Proven { key, proof, output } = &*PROVEN;
    verify(proof, key, output).unwrap();
    let bytes = proof.to_calldata();
    assert_eq!(FinalProof::from_calldata(&bytes, key, output).as_ref(), Ok(proof));
    verify_calldata(&bytes, key, output).unwrap();
}

#[test]
fn another_output_or_key_is_refused() {
    let Proven { key, proof, output } = &*PROVEN;
    for byte in 0..32 {
        let mut other = *output;
        other[byte] ^= 1;
        assert!(verify(proof, key, &other).is_err(), "byte {byte}");
    }
    let mut other = key.clone();
    other.preprocessed_root.0[3] ^= 1;
    assert!(verify(proof, &other, output).is_err());
    let mut other = key.clone();
    other.component_log_sizes[4] += 1;
    assert!(verify(proof, &other, output).is_err());
    let mut other = key.clone();
    other.parameters.n_queries -= 1;
    assert!(verify(proof, &other, output).is_err());

    let mut too_large = *output;
    too_large[4..8].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert_eq!(verify(proof, key, &too_large), Err(FinalVerifyError::Output(1)));
}

/// A bit in every region of the encoding, and every other length.
#[test]
fn flipped_bits_and_other_lengths_are_refused() {
    let Proven { key, proof, output } = &*PROVEN;
    let bytes = proof.to_calldata();
    let step = bytes.len() / 400;
    for index in (0..bytes.len()).step_by(step.max(1)) {
        let mut mutated = bytes.clone();
        mutated[index] ^= 1 << (index % 8);
        assert!(verify_calldata(&mutated, key, output).is_err(), "byte {index}");
    }
    for length in [0, 1, 23, 24, 200, bytes.len() / 2, bytes.len() - 1] {
        let error = verify_calldata(&bytes[..length], key, output).unwrap_err();
        assert!(matches!(error, DecodeError::Truncated(at) if at == length), "{length}: {error}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(verify_calldata(&longer, key, output), Err(DecodeError::TrailingBytes(1)));
}

/// A change to each part of a proof is refused by the check that the part is for.
#[test]
fn each_check_refuses_what_it_is_for() {
    let Proven { key, proof, output } = &*PROVEN;
    let refusal = |change: &dyn Fn(&mut FinalProof)| {
        let mut changed = proof.clone();
        change(&mut changed);
        verify(&changed, key, output).unwrap_err()
    };
    let one = SecureField::from(1);
    assert_eq!(refusal(&|proof| proof.head.claimed_sums[3] += one), FinalVerifyError::LookupSum);
    for (index, tree) in
        [TraceTree::Preprocessed, TraceTree::Trace, TraceTree::Interaction, TraceTree::Composition]
            .iter()
            .enumerate()
    {
        let error = FinalVerifyError::TraceCommitment(*tree);
        let one = BaseField::from(1);
        assert_eq!(refusal(&|proof| proof.openings[index].values[2][1] += one), error);
        assert_eq!(refusal(&|proof| proof.openings[index].hashes[5].0[7] ^= 1), error);
    }
    for layer in 0..proof.fri_openings.len() {
        let error = FinalVerifyError::FriCommitment(layer);
        assert_eq!(refusal(&|proof| proof.fri_openings[layer].values[9] += one), error);
        assert_eq!(refusal(&|proof| proof.fri_openings[layer].hashes[4].0[0] ^= 1), error);
    }
    // Shapes, which the encoding cannot even express.
    let shaped: [&dyn Fn(&mut FinalProof); 8] = [
        &|proof| proof.head.sampled_values.truncate(3),
        &|proof| proof.head.fri_roots.push(KeccakHash::default()),
        &|proof| proof.head.last_layer.clear(),
        &|proof| proof.openings[1].values.clear(),
        &|proof| proof.openings[2].values[0].truncate(151),
        &|proof| proof.openings[3].hashes.push(KeccakHash::default()),
        &|proof| proof.fri_openings[0].values.truncate(1),
        &|proof| proof.fri_openings.truncate(1),
    ];
    for (number, change) in shaped.into_iter().enumerate() {
        let error = refusal(change);
        // Another number of roots or coefficients is noticed before anything is drawn.
        assert!(matches!(error, FinalVerifyError::Shape { .. }), "{number}: {error}");
    }
}

/// Every sample takes part in the constraints.
#[test]
fn other_samples_violate_the_constraints() {
    let Proven { key, proof, output } = &*PROVEN;
    for sample in (0..proof.head.sampled_values.len()).step_by(7) {
        let mut changed = proof.clone();
        changed.head.sampled_values[sample] += SecureField::from(1);
        assert_eq!(
            verify(&changed, key, output),
            Err(FinalVerifyError::Constraints),
            "sample {sample}"
        );
    }
}
