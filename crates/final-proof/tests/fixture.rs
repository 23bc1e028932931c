//! The proof that the contract's tests have, with the parameters of Ethereum: both verifiers accept it, and refuse the
//! same changes (`contracts/solidity/test/verifier/CircuitVerifier.t.sol` makes these at the same places).

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use sidereal_final_proof::{
    DecodeError, FinalVerifyError, KeccakHash, Parameters, VerificationKey, verify_calldata,
};

struct Fixture {
    proof: Vec<u8>,
    key: VerificationKey,
    output: [u8; 32],
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| load(""));

fn load(name: &str) -> Fixture {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap())
        .join("../../contracts/solidity/test/verifier/fixtures")
        .join(name);
    let json: Value =
        serde_json::from_slice(&std::fs::read(folder.join("key.json")).unwrap()).unwrap();
    let bytes =
        |name: &str| hex::decode(json[name].as_str().unwrap().trim_start_matches("0x")).unwrap();
    let log_sizes: Vec<u32> = serde_json::from_value(json["componentLogSizes"].clone()).unwrap();
    Fixture {
        proof: std::fs::read(folder.join("proof.bin")).unwrap(),
        key: VerificationKey {
            parameters: Parameters::ETHEREUM,
            component_log_sizes: log_sizes.try_into().unwrap(),
            preprocessed_root: KeccakHash(bytes("preprocessedRoot").try_into().unwrap()),
        },
        output: bytes("output").try_into().unwrap(),
    }
}

/// Where the openings begin.
const OPENINGS: usize = 10240;

fn refusal(proof: &[u8]) -> Option<FinalVerifyError> {
    match verify_calldata(proof, &FIXTURE.key, &FIXTURE.output) {
        Ok(()) => None,
        Err(DecodeError::Head(error)) => Some(*error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_stored_proof_is_accepted() {
    let Fixture { proof, key, output } = &*FIXTURE;
    verify_calldata(proof, key, output).unwrap();
    assert!(proof.len() < 200_000);
}

/// Of another circuit, whose components' sizes put the columns of leaves into another order.
#[test]
fn the_large_stored_proof_is_accepted() {
    let Fixture { proof, key, output } = load("large");
    verify_calldata(&proof, &key, &output).unwrap();
    assert!(verify_calldata(&proof, &FIXTURE.key, &output).is_err());
}

#[test]
fn flipped_bits_are_refused() {
    let Fixture { proof, key, output } = &*FIXTURE;
    let mut changed = proof.clone();
    for i in 0..600 {
        let index = if i < 300 {
            (i * 37) % OPENINGS
        } else {
            OPENINGS + (i * 311) % (proof.len() - OPENINGS)
        };
        changed[index] ^= 1 << (i % 8);
        assert!(verify_calldata(&changed, key, output).is_err(), "byte {index}");
        changed[index] ^= 1 << (i % 8);
    }
    assert_eq!(&changed, proof);
}

#[test]
fn every_other_output_is_refused() {
    let Fixture { proof, key, output } = &*FIXTURE;
    for bit in 0..256 {
        let mut other = *output;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_calldata(proof, key, &other).is_err(), "bit {bit}");
    }
}

#[test]
fn missing_work_is_refused() {
    let mut changed = FIXTURE.proof.clone();
    changed[31] ^= 1;
    assert_eq!(refusal(&changed), Some(FinalVerifyError::InteractionProofOfWork));
    changed[31] ^= 1;
    changed[OPENINGS - 1] ^= 1;
    assert_eq!(refusal(&changed), Some(FinalVerifyError::QueryProofOfWork));
}

#[test]
fn elements_that_are_not_canonical_are_refused() {
    for place in [32, 256 + 16 * 362 + 12, 6136 + 32] {
        for value in [0x7fff_ffff_u32, 0x8000_0000] {
            let mut changed = FIXTURE.proof.clone();
            changed[place..place + 4].copy_from_slice(&value.to_be_bytes());
            assert_eq!(
                verify_calldata(&changed, &FIXTURE.key, &FIXTURE.output),
                Err(DecodeError::NonCanonical(place))
            );
        }
    }
}

#[test]
fn other_lengths_are_refused() {
    let Fixture { proof, key, output } = &*FIXTURE;
    for length in [0, 1, 200, OPENINGS - 1, proof.len() / 2, proof.len() - 1] {
        assert_eq!(
            verify_calldata(&proof[..length], key, output),
            Err(DecodeError::Truncated(length))
        );
    }
    let mut longer = proof.clone();
    longer.push(0);
    assert_eq!(verify_calldata(&longer, key, output), Err(DecodeError::TrailingBytes(1)));
}

/// The openings, region by region: each is bound by the commitment that it opens.
#[test]
fn changed_openings_are_refused_by_their_commitment() {
    let Fixture { proof, .. } = &*FIXTURE;
    let flipped = |index: usize| {
        let mut changed = proof.clone();
        changed[index] ^= 1;
        refusal(&changed)
    };
    for i in 0..50 {
        let early = OPENINGS + i * 101;
        assert!(
            matches!(flipped(early), Some(FinalVerifyError::TraceCommitment(_))),
            "byte {early}"
        );
        let late = proof.len() - 1 - i * 397;
        assert!(matches!(flipped(late), Some(FinalVerifyError::FriCommitment(_))), "byte {late}");
    }
}
