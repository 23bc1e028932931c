//! Proofs of a small circuit with cheap parameters: what is accepted, what is refused, and as what.

mod support;

use std::sync::LazyLock;

use sidereal_final_proof::{
    DecodeError, FinalProof, FinalProver, FinalVerifyError, Parameters, VerificationKey, verify, verify_calldata,
};

/// Five queries at blow-up 2: these proofs prove nothing, but every step of a proof is in them.
const CHEAP: Parameters = Parameters {
    log_blowup: 1,
    n_queries: 5,
    query_pow_bits: 8,
    interaction_pow_bits: 5,
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
