//! Our verifier and S-two's on the same proofs.

#[path = "../../tests/support/mod.rs"]
mod support;

use stwo::core::channel::Channel;
use stwo::core::fri::{FriLayerProof, FriProof};
use stwo::core::pcs::CommitmentSchemeVerifier;
use stwo::core::pcs::quotients::CommitmentSchemeProof;
use stwo::core::proof::StarkProof;
use stwo::core::vcs_lifted::verifier::MerkleDecommitmentLifted;
use stwo::core::verifier::{VerificationError, verify_ex};

use super::*;
use crate::channel::KeccakMerkleChannel;
use crate::key::Parameters;
use crate::prove::FinalProver;

const CHEAP: Parameters = Parameters {
    log_blowup: 1,
    n_queries: 6,
    query_pow_bits: 0,
    interaction_pow_bits: 0,
    fold_step: 4,
    log_last_layer: 8,
};

/// What S-two's own verifier says. It panics where a proof has another shape than it expects.
fn verify_by_s_two(
    proof: &FinalProof,
    key: &VerificationKey,
    output: &[u8; 32],
) -> Result<(), VerificationError> {
    let layout = key.layout();
    let config = key.parameters.pcs_config(key.trace_log_size());
    let log_sizes = |tree: usize| -> Vec<u32> {
        layout.trees[tree].iter().map(|column| column.log_size).collect()
    };
    let head = &proof.head;
    let mut channel = key.channel();
    let mut scheme = CommitmentSchemeVerifier::<KeccakMerkleChannel>::new(config);
    scheme.commit(key.preprocessed_root, &log_sizes(0), &mut channel);
    channel.mix_felts(&output_values(output).unwrap());
    scheme.commit(head.trace_root, &log_sizes(1), &mut channel);
    channel.mix_u64(head.interaction_nonce);
    let elements = CircuitInteractionElements::draw(&mut channel);
    channel.mix_felts(&head.claimed_sums);
    scheme.commit(head.interaction_root, &log_sizes(2), &mut channel);

    let decommitment =
        |hashes: &Vec<KeccakHash>| MerkleDecommitmentLifted { hash_witness: hashes.clone() };
    let columns = |tree: usize| -> Vec<Vec<BaseField>> {
        let order = &layout.leaf_order[tree];
        (0..order.len())
            .map(|column| {
                let place = order.iter().position(|at| *at == column).unwrap();
                proof.openings[tree].values.iter().map(|row| row[place]).collect()
            })
            .collect()
    };
    let mut layers: Vec<FriLayerProof<KeccakMerkleHasher>> = proof
        .fri_openings
        .iter()
        .zip(&head.fri_roots)
        .map(|(opening, root)| FriLayerProof {
            fri_witness: opening.values.clone(),
            decommitment: decommitment(&opening.hashes),
            commitment: *root,
        })
        .collect();
    let first_layer = layers.remove(0);
    let stark_proof = StarkProof(CommitmentSchemeProof {
        config,
        commitments: TreeVec(vec![
            key.preprocessed_root,
            head.trace_root,
            head.interaction_root,
            head.composition_root,
        ]),
        sampled_values: samples_by_column(&layout, &head.sampled_values),
        decommitments: TreeVec(
            proof.openings.iter().map(|opening| decommitment(&opening.hashes)).collect(),
        ),
        queried_values: TreeVec((0..4).map(columns).collect()),
        proof_of_work: head.query_nonce,
        fri_proof: FriProof {
            first_layer,
            inner_layers: layers,
            last_layer_poly: LinePoly::new(head.last_layer.clone()),
        },
    });
    let components = key.components(&elements, head.claimed_sums).components();
    let components: Vec<&dyn Component> = components.iter().map(AsRef::as_ref).collect();
    verify_ex(&components, &mut channel, &mut scheme, stark_proof, true)
}

/// S-two's verifier accepts the proof that ours accepts, and refuses changes of its parts for the same reasons.
#[test]
fn s_twos_verifier_agrees() {
    let (circuit, values) = support::hash_chain(5, 4);
    let prover = FinalProver::new(circuit, CHEAP).unwrap();
    let (proof, output) = prover.prove(&values).unwrap();
    let key = prover.key();
    verify(&proof, key, &output).unwrap();
    verify_by_s_two(&proof, key, &output).unwrap();

    let mut changed = proof.clone();
    changed.head.sampled_values[100] += SecureField::one();
    assert_eq!(verify(&changed, key, &output), Err(FinalVerifyError::Constraints));
    assert!(matches!(
        verify_by_s_two(&changed, key, &output),
        Err(VerificationError::OodsNotMatching)
    ));
    for tree in 0..4 {
        let mut changed = proof.clone();
        changed.openings[tree].values[1][3] += BaseField::one();
        assert!(matches!(
            verify(&changed, key, &output),
            Err(FinalVerifyError::TraceCommitment(_))
        ));
        assert!(matches!(
            verify_by_s_two(&changed, key, &output),
            Err(VerificationError::Merkle(_))
        ));
    }
    for layer in 0..proof.fri_openings.len() {
        let mut changed = proof.clone();
        changed.fri_openings[layer].values[2] += SecureField::one();
        assert_eq!(verify(&changed, key, &output), Err(FinalVerifyError::FriCommitment(layer)));
        assert!(matches!(verify_by_s_two(&changed, key, &output), Err(VerificationError::Fri(_))));
    }
}
