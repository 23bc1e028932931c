//! From a proof whose Merkle paths share nodes to one with a whole path for each query, as circuits read it.

use stwo::core::fields::qm31::{SECURE_EXTENSION_DEGREE, SecureField};
use stwo::core::fri::{FriLayerProof, FriLayerProofAux, FriProof, FriProofAux};
use stwo::core::pcs::TreeVec;
use stwo::core::pcs::quotients::{CommitmentSchemeProof, CommitmentSchemeProofAux};
use stwo::core::proof::{ExtendedStarkProof, StarkProof};
use stwo::core::vcs::blake2_hash::Blake2sHash;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleHasher;
use stwo::core::vcs_lifted::merkle_hasher::MerkleHasherLifted;
use stwo::core::vcs_lifted::verifier::{
    LOG_PACKED_LEAF_SIZE, MerkleDecommitmentLifted, MerkleDecommitmentLiftedAux,
};

use crate::recorder::{Hashed, Recording, RecordingHasher};

/// Our proofs' hasher.
pub(crate) type Hasher = Blake2sM31MerkleHasher;

/// The recording does not fit the proof: the verifier works in another way than this module knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the verifier's recording does not fit the proof: {0}")]
pub struct UnfoldError(&'static str);

/// The same proof for the verifier that records.
pub(crate) fn for_recording(proof: &StarkProof<Hasher>) -> StarkProof<RecordingHasher> {
    let CommitmentSchemeProof {
        config,
        commitments,
        sampled_values,
        decommitments,
        queried_values,
        proof_of_work,
        fri_proof,
    } = &proof.0;
    StarkProof(CommitmentSchemeProof {
        config: *config,
        commitments: TreeVec(commitments.0.clone()),
        sampled_values: sampled_values.clone(),
        decommitments: TreeVec(decommitments.iter().map(rehashed).collect()),
        queried_values: queried_values.clone(),
        proof_of_work: *proof_of_work,
        fri_proof: FriProof {
            first_layer: layer_for_recording(&fri_proof.first_layer),
            inner_layers: fri_proof.inner_layers.iter().map(layer_for_recording).collect(),
            last_layer_poly: fri_proof.last_layer_poly.clone(),
        },
    })
}

fn layer_for_recording(layer: &FriLayerProof<Hasher>) -> FriLayerProof<RecordingHasher> {
    FriLayerProof {
        fri_witness: layer.fri_witness.clone(),
        decommitment: rehashed(&layer.decommitment),
        commitment: layer.commitment,
    }
}

fn rehashed<A, B>(decommitment: &MerkleDecommitmentLifted<A>) -> MerkleDecommitmentLifted<B>
where
    A: MerkleHasherLifted<Hash = Blake2sHash>,
    B: MerkleHasherLifted<Hash = Blake2sHash>,
{
    MerkleDecommitmentLifted { hash_witness: decommitment.hash_witness.clone() }
}

/// The proof with everything that its verifier computed.
pub(crate) fn unfold(
    proof: StarkProof<Hasher>,
    recording: Recording,
) -> Result<ExtendedStarkProof<Hasher>, UnfoldError> {
    let config = proof.0.config;
    let fri = config.fri_config;
    let height = config.lifting_log_size.ok_or(UnfoldError("no lifting size"))?;
    let mask = (1_usize << height) - 1;
    let unsorted_query_locations: Vec<usize> = recording
        .query_words
        .iter()
        .take(fri.n_queries)
        .map(|word| *word as usize & mask)
        .collect();
    if unsorted_query_locations.len() != fri.n_queries {
        return Err(UnfoldError("too few query words"));
    }
    let mut queries = unsorted_query_locations.clone();
    queries.sort_unstable();
    queries.dedup();

    let mut reader = Reader { hashed: recording.hashed.into_iter() };
    let mut trace_decommitment = Vec::new();
    for _ in 0..proof.0.commitments.len() {
        let (_, nodes) = reader.tree(&queries, height)?;
        trace_decommitment.push(nodes);
    }

    let mut layers = Vec::new();
    let mut log_size = height;
    let mut log_degree = height - fri.log_blowup_factor;
    for _ in 0..=proof.0.fri_proof.inner_layers.len() {
        let step = fri.fold_step.min(log_degree - fri.log_last_layer_degree_bound);
        if step == 0 {
            return Err(UnfoldError("too many FRI layers"));
        }
        layers.push(reader.fri_layer(&queries, log_size, step)?);
        log_size -= step;
        log_degree -= step;
        queries = queries.iter().map(|query| query >> step).collect();
        queries.dedup();
    }
    if reader.hashed.next().is_some() {
        return Err(UnfoldError("more was hashed than the proof has"));
    }
    let mut layers = layers.into_iter();
    let first_layer = layers.next().ok_or(UnfoldError("no FRI layer"))?;
    Ok(ExtendedStarkProof {
        proof,
        aux: CommitmentSchemeProofAux {
            unsorted_query_locations,
            trace_decommitment: TreeVec(trace_decommitment),
            fri: FriProofAux { first_layer, inner_layers: layers.collect() },
        },
    })
}

struct Reader {
    hashed: std::vec::IntoIter<Hashed>,
}

/// Values of a tree's leaves, in the order of their positions.
type Leaves = Vec<Vec<stwo::core::fields::m31::BaseField>>;

impl Reader {
    /// One tree's leaves at `positions` and all nodes on their paths, with siblings.
    fn tree(
        &mut self,
        positions: &[usize],
        height: u32,
    ) -> Result<(Leaves, MerkleDecommitmentLiftedAux<Hasher>), UnfoldError> {
        let mut leaves = Vec::with_capacity(positions.len());
        for _ in positions {
            let Some(Hashed::Leaf(values)) = self.hashed.next() else {
                return Err(UnfoldError("a leaf is missing"));
            };
            leaves.push(values);
        }
        let mut all_node_values = Vec::new();
        let mut positions = positions.to_vec();
        for _ in 0..height {
            let mut parents: Vec<usize> = positions.iter().map(|position| position >> 1).collect();
            parents.dedup();
            let mut nodes = Vec::with_capacity(2 * parents.len());
            for parent in &parents {
                let Some(Hashed::Children(left, right)) = self.hashed.next() else {
                    return Err(UnfoldError("an inner node is missing"));
                };
                nodes.extend([(2 * parent, left), (2 * parent + 1, right)]);
            }
            all_node_values.push(nodes.into_iter().collect());
            positions = parents;
        }
        Ok((leaves, MerkleDecommitmentLiftedAux { all_node_values }))
    }

    /// One layer of FRI: the values of the cosets in which queries lie, and their Merkle nodes.
    fn fri_layer(
        &mut self,
        queries: &[usize],
        log_size: u32,
        step: u32,
    ) -> Result<FriLayerProofAux<Hasher>, UnfoldError> {
        let packed = log_size >= LOG_PACKED_LEAF_SIZE && step > 1;
        let log_leaf = if packed { LOG_PACKED_LEAF_SIZE } else { 0 };
        let mut leaves: Vec<usize> = Vec::new();
        let mut cosets: Vec<usize> = queries.iter().map(|query| query >> step).collect();
        cosets.dedup();
        for coset in cosets {
            leaves.extend((coset << step >> log_leaf)..((coset + 1) << step >> log_leaf));
        }
        leaves.dedup();
        let (values, decommitment) = self.tree(&leaves, log_size - log_leaf)?;
        let mut all_values = Vec::with_capacity(values.len() << log_leaf);
        for (leaf, values) in leaves.iter().zip(&values) {
            for (offset, value) in values.chunks_exact(SECURE_EXTENSION_DEGREE).enumerate() {
                let limbs = <[_; SECURE_EXTENSION_DEGREE]>::try_from(value)
                    .map_err(|_| UnfoldError("a leaf of FRI is no row of QM31s"))?;
                all_values.push(((leaf << log_leaf) + offset, SecureField::from_m31_array(limbs)));
            }
        }
        Ok(FriLayerProofAux { all_values: vec![all_values.into_iter().collect()], decommitment })
    }
}
