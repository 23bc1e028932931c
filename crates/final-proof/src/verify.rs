//! The native verifier. It makes the checks of `CircuitVerifier.sol`, in its order, and never panics.
//!
//! 1. The output's words are below 2^31-1; the proof has as many elements as the key says.
//! 2. Enough work was done before the lookups' randomness and before the queries (while the transcript is replayed).
//! 3. The lookups of all components and of the public outputs cancel out.
//! 4. The constraints, combined, equal the composition polynomial out of the domain.
//! 5. The openings have the shape that the queries determine.
//! 6. The queried rows belong to the four committed trees.
//! 7. The quotients of the rows by the samples belong to the first FRI layer, each layer folds into the next, and
//!    the last is the polynomial in the proof.

use std::fmt::{self, Display};

use circuit_verifier::circuit_claim::{
    CircuitClaim, CircuitInteractionClaim, CircuitInteractionElements,
};
use circuit_verifier::relations::GATE_RELATION_ID;
use circuits::context::{U_VALUE, U_VAR_IDX};
use num_traits::{One, Zero};
use stwo::core::air::{Component, Components};
use stwo::core::circle::{CirclePoint, Coset};
use stwo::core::fields::cm31::CM31;
use stwo::core::fields::m31::{BaseField, P};
use stwo::core::fields::qm31::SecureField;
use stwo::core::fields::{ComplexConjugate, FieldExpOps};
use stwo::core::fri::{fold_circle_into_line, fold_coset};
use stwo::core::pcs::TreeVec;
use stwo::core::poly::circle::{CanonicCoset, CircleDomain};
use stwo::core::poly::line::{LineDomain, LinePoly};
use stwo::core::utils::bit_reverse_index;
use stwo::core::vcs_lifted::merkle_hasher::MerkleHasherLifted;
use thiserror::Error;

use crate::key::{KeyError, Layout, N_OUTPUTS, VerificationKey};
use crate::merkle::{KeccakHash, KeccakMerkleHasher};
use crate::proof::{DecodeError, FinalProof, FriOpening, Head, OpeningShape};
use crate::transcript::Transcript;

/// The commitments to the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceTree {
    Preprocessed,
    Trace,
    Interaction,
    Composition,
}

impl TraceTree {
    const ALL: [Self; 4] = [Self::Preprocessed, Self::Trace, Self::Interaction, Self::Composition];
}

impl Display for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preprocessed => "preprocessed columns",
            Self::Trace => "trace",
            Self::Interaction => "interaction trace",
            Self::Composition => "composition polynomial",
        })
    }
}

/// What is wrong with a proof.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FinalVerifyError {
    #[error("the verification key is of no circuit")]
    Key(#[from] KeyError),
    #[error("word {0} of the output is not below 2^31-1")]
    Output(usize),
    #[error("the proof has {found} {what} where {expected} are expected")]
    Shape { what: &'static str, expected: usize, found: usize },
    #[error("too little work was done before the lookups' randomness")]
    InteractionProofOfWork,
    #[error("too little work was done before the queries")]
    QueryProofOfWork,
    /// Happens to an honest prover once in 2^62 proofs or so.
    #[error("the randomness hits a point where the check is undefined")]
    DegenerateRandomness,
    #[error("the lookups do not cancel out")]
    LookupSum,
    #[error("the constraints do not hold out of the domain")]
    Constraints,
    #[error("the queried rows do not belong to the commitment to the {0}")]
    TraceCommitment(TraceTree),
    #[error("the queried values do not belong to the commitment to FRI layer {0}")]
    FriCommitment(usize),
    #[error("the last FRI layer is another polynomial at its position {0}")]
    LastLayer(usize),
}

/// Verifies that `proof` is of the circuit of `key` with the public `output`: eight words below 2^31-1, little
/// endian, the coordinates of two field elements.
pub fn verify(
    proof: &FinalProof,
    key: &VerificationKey,
    output: &[u8; 32],
) -> Result<(), FinalVerifyError> {
    key.validate()?;
    let outputs = output_values(output)?;
    let layout = key.layout();
    check_head_shape(&proof.head, key, &layout)?;
    let transcript = Transcript::replay(key, &outputs, &proof.head)?;
    check_lookups(&outputs, &proof.head, &transcript.lookup_elements)?;
    check_constraints(key, &layout, &proof.head, &transcript)?;
    check_opening_shape(proof, key, &layout, &transcript.positions)?;

    let roots = [
        key.preprocessed_root,
        proof.head.trace_root,
        proof.head.interaction_root,
        proof.head.composition_root,
    ];
    for ((opening, root), tree) in proof.openings.iter().zip(roots).zip(TraceTree::ALL) {
        let leaves = transcript
            .positions
            .iter()
            .copied()
            .zip(opening.values.iter().map(|row| leaf(row)))
            .collect();
        if merkle_root(leaves, key.domain_log_size(), &opening.hashes) != Some(root) {
            return Err(FinalVerifyError::TraceCommitment(tree));
        }
    }
    let quotients = quotients(proof, key, &layout, &transcript)?;
    check_fri(proof, key, &transcript, quotients)
}

/// As [`verify`], of a proof in the form that the contract reads.
pub fn verify_calldata(
    bytes: &[u8],
    key: &VerificationKey,
    output: &[u8; 32],
) -> Result<(), DecodeError> {
    let proof = FinalProof::from_calldata(bytes, key, output)?;
    verify(&proof, key, output).map_err(|error| Box::new(error).into())
}

/// The field elements of an output.
pub(crate) fn output_values(
    output: &[u8; 32],
) -> Result<[SecureField; N_OUTPUTS], FinalVerifyError> {
    let mut words = [BaseField::zero(); 8];
    for (index, (word, bytes)) in words.iter_mut().zip(output.as_chunks::<4>().0).enumerate() {
        let value = u32::from_le_bytes(*bytes);
        if value >= P {
            return Err(FinalVerifyError::Output(index));
        }
        *word = BaseField::from_u32_unchecked(value);
    }
    let [a, b, c, d, e, f, g, h] = words;
    Ok([SecureField::from_m31(a, b, c, d), SecureField::from_m31(e, f, g, h)])
}

fn expect(what: &'static str, expected: usize, found: usize) -> Result<(), FinalVerifyError> {
    if expected == found { Ok(()) } else { Err(FinalVerifyError::Shape { what, expected, found }) }
}

fn check_head_shape(
    head: &Head,
    key: &VerificationKey,
    layout: &Layout,
) -> Result<(), FinalVerifyError> {
    expect("sampled values", layout.n_samples(), head.sampled_values.len())?;
    expect("FRI roots", key.n_fri_layers(), head.fri_roots.len())?;
    expect(
        "coefficients of the last layer",
        1 << key.parameters.log_last_layer,
        head.last_layer.len(),
    )
}

fn check_opening_shape(
    proof: &FinalProof,
    key: &VerificationKey,
    layout: &Layout,
    positions: &[usize],
) -> Result<(), FinalVerifyError> {
    let shape = OpeningShape::new(key, positions);
    for (opening, columns) in proof.openings.iter().zip(&layout.trees) {
        expect("queried rows", shape.n_positions, opening.values.len())?;
        for row in &opening.values {
            expect("values in a row", columns.len(), row.len())?;
        }
        expect("hashes of a trace's tree", shape.n_tree_hashes, opening.hashes.len())?;
    }
    expect("FRI layers", shape.fri.len(), proof.fri_openings.len())?;
    for (FriOpening { values, hashes }, (n_values, n_hashes)) in
        proof.fri_openings.iter().zip(&shape.fri)
    {
        expect("values of a FRI layer", *n_values, values.len())?;
        expect("hashes of a FRI layer", *n_hashes, hashes.len())?;
    }
    Ok(())
}

/// `sum of the claims + sum over public gates of 1 / (gate combined) = 0`.
fn check_lookups(
    outputs: &[SecureField; N_OUTPUTS],
    head: &Head,
    elements: &CircuitInteractionElements,
) -> Result<(), FinalVerifyError> {
    // `lookup_sum` divides, hence this look at what it divides by.
    let public_gates = (U_VAR_IDX..).zip([U_VALUE].iter().chain(outputs));
    for (address, value) in public_gates {
        let [a, b, c, d] = value.to_m31_array();
        let address = BaseField::from(u32::try_from(address).unwrap_or(u32::MAX));
        let gate = [BaseField::from(GATE_RELATION_ID), address, a, b, c, d];
        let combined: SecureField =
            stwo_constraint_framework::Relation::combine(&elements.common_lookup_elements, &gate);
        if combined.is_zero() {
            return Err(FinalVerifyError::DegenerateRandomness);
        }
    }
    let claim = CircuitClaim { output_values: outputs.to_vec() };
    let interaction_claim = CircuitInteractionClaim { claimed_sums: head.claimed_sums };
    if circuit_verifier::circuit_claim::lookup_sum(&claim, &interaction_claim, elements).is_zero() {
        Ok(())
    } else {
        Err(FinalVerifyError::LookupSum)
    }
}

/// The sampled values, by tree, column and sample.
fn samples_by_column(
    layout: &Layout,
    sampled_values: &[SecureField],
) -> TreeVec<Vec<Vec<SecureField>>> {
    let mut values = sampled_values.iter().copied();
    TreeVec(
        layout
            .trees
            .iter()
            .map(|columns| {
                columns
                    .iter()
                    .map(|column| values.by_ref().take(column.n_samples).collect())
                    .collect()
            })
            .collect(),
    )
}

fn check_constraints(
    key: &VerificationKey,
    layout: &Layout,
    head: &Head,
    transcript: &Transcript,
) -> Result<(), FinalVerifyError> {
    let point = transcript.oods_point;
    let log_size = key.trace_log_size();
    // The domain's vanishing polynomial; it also separates the halves of the composition polynomial.
    let vanishing = point.repeated_double(log_size - 1).x;
    if vanishing.is_zero() {
        return Err(FinalVerifyError::DegenerateRandomness);
    }
    let samples = samples_by_column(layout, &head.sampled_values);
    let components = key.components(&transcript.lookup_elements, head.claimed_sums).components();
    let components: Vec<&dyn Component> = components.iter().map(AsRef::as_ref).collect();
    let combined = Components { components, n_preprocessed_columns: layout.trees[0].len() }
        .eval_composition_polynomial_at_point(
            point,
            &samples,
            transcript.composition_coefficient,
            log_size,
        );

    let composition: Vec<SecureField> = samples.0[3].iter().flatten().copied().collect();
    let half = |from: usize| {
        SecureField::from_partial_evals(std::array::from_fn(|i| composition[from + i]))
    };
    if combined == half(0) + vanishing * half(4) {
        Ok(())
    } else {
        Err(FinalVerifyError::Constraints)
    }
}

fn leaf(values: &[BaseField]) -> KeccakHash {
    let mut hasher = KeccakMerkleHasher::default();
    hasher.update_leaf(values);
    hasher.finalize()
}

/// The root of a tree from its nodes at `height` and the siblings that do not follow from them; none where there are
/// too few siblings or too many. `nodes` ascend without repetition.
fn merkle_root(
    mut nodes: Vec<(usize, KeccakHash)>,
    height: u32,
    siblings: &[KeccakHash],
) -> Option<KeccakHash> {
    let mut siblings = siblings.iter().copied();
    for _ in 0..height {
        let mut parents = Vec::with_capacity(nodes.len());
        for pair in nodes.chunk_by(|left, right| left.0 ^ 1 == right.0) {
            let (position, node) = pair[0];
            let children = match pair.get(1) {
                Some((_, right)) => (node, *right),
                None if position & 1 == 0 => (node, siblings.next()?),
                None => (siblings.next()?, node),
            };
            parents.push((position >> 1, KeccakMerkleHasher::hash_children(children)));
        }
        nodes = parents;
    }
    match (&nodes[..], siblings.next()) {
        ([(_, root)], None) => Some(*root),
        _ => None,
    }
}

/// Samples of columns at one point, and the numbers that do not depend on the queried row.
struct SampleBatch {
    point: CirclePoint<SecureField>,
    /// Tree, column and coefficient.
    terms: Vec<(usize, usize, SecureField)>,
    /// The line through the samples and their conjugates, combined: `slope * y + offset`.
    slope: SecureField,
    offset: SecureField,
}

/// All samples by point, in the order in which S-two numbers the powers of the coefficient: tree, column, and for a
/// running sum first the check that it is periodic, then the row before, then the row.
fn sample_batches(
    key: &VerificationKey,
    layout: &Layout,
    samples: &TreeVec<Vec<Vec<SecureField>>>,
    transcript: &Transcript,
) -> Vec<SampleBatch> {
    let point = transcript.oods_point;
    let log_size = key.trace_log_size();
    let step = CanonicCoset::new(log_size).step();
    let mut batches: Vec<SampleBatch> = Vec::new();
    let mut power = SecureField::one();
    let mut add = |tree: usize, column: usize, at: CirclePoint<SecureField>, value: SecureField| {
        let slope = power * (value.complex_conjugate() - value);
        let offset = power * value * line_scale(at) - slope * at.y;
        let index = batches.iter().position(|batch| batch.point == at).unwrap_or_else(|| {
            let (slope, offset) = (SecureField::zero(), SecureField::zero());
            batches.push(SampleBatch { point: at, terms: Vec::new(), slope, offset });
            batches.len() - 1
        });
        let batch = &mut batches[index];
        batch.terms.push((tree, column, power));
        batch.slope += slope;
        batch.offset += offset;
        power *= transcript.quotient_coefficient;
    };
    for (tree, columns) in layout.trees.iter().enumerate() {
        for (index, column) in columns.iter().enumerate() {
            match samples.0[tree][index][..] {
                [value] => add(tree, index, point, value),
                [before, value] => {
                    // The running sum of a smaller component repeats, and must be seen to.
                    let period = CanonicCoset::new(key.domain_log_size())
                        .step()
                        .repeated_double(column.log_size + key.parameters.log_blowup);
                    add(tree, index, point + period.into_ef(), value);
                    add(tree, index, point + step.mul_signed(-1).into_ef(), before);
                    add(tree, index, point, value);
                }
                _ => {}
            }
        }
    }
    batches
}

/// The factor `conj(y) - y` of the line through a point and its conjugate.
fn line_scale(point: CirclePoint<SecureField>) -> SecureField {
    point.y.complex_conjugate() - point.y
}

/// At each queried position, the sum of all quotients `(column - line through its samples) / (line through points)`.
fn quotients(
    proof: &FinalProof,
    key: &VerificationKey,
    layout: &Layout,
    transcript: &Transcript,
) -> Result<Vec<SecureField>, FinalVerifyError> {
    let samples = samples_by_column(layout, &proof.head.sampled_values);
    let batches = sample_batches(key, layout, &samples, transcript);
    let domain = CanonicCoset::new(key.domain_log_size()).circle_domain();
    let mut place = layout.leaf_order.clone();
    for (place, order) in place.iter_mut().zip(&layout.leaf_order) {
        for (in_leaf, column) in order.iter().enumerate() {
            place[*column] = in_leaf;
        }
    }
    transcript
        .positions
        .iter()
        .enumerate()
        .map(|(query, position)| {
            let at = domain.at(bit_reverse_index(*position, key.domain_log_size()));
            let mut sum = SecureField::zero();
            for SampleBatch { point, terms, slope, offset } in &batches {
                let values: SecureField = terms
                    .iter()
                    .map(|(tree, column, power)| {
                        *power * proof.openings[*tree].values[query][place[*tree][*column]]
                    })
                    .sum();
                let numerator = values * line_scale(*point) - *slope * at.y - *offset;
                let denominator: CM31 =
                    (point.x.0 - at.x) * point.y.1 - (point.y.0 - at.y) * point.x.1;
                if denominator.is_zero() {
                    return Err(FinalVerifyError::DegenerateRandomness);
                }
                sum += numerator.mul_cm31(denominator.inverse());
            }
            Ok(sum)
        })
        .collect()
}

fn check_fri(
    proof: &FinalProof,
    key: &VerificationKey,
    transcript: &Transcript,
    quotients: Vec<SecureField>,
) -> Result<(), FinalVerifyError> {
    let fold_step = key.parameters.fold_step;
    let circle = CanonicCoset::new(key.domain_log_size()).circle_domain();
    let mut log_size = key.domain_log_size();
    let mut known: Vec<(usize, SecureField)> =
        transcript.positions.iter().copied().zip(quotients).collect();
    let layers =
        proof.fri_openings.iter().zip(&proof.head.fri_roots).zip(&transcript.folding_coefficients);
    for (layer, ((opening, root), coefficient)) in layers.enumerate() {
        let mut witness = opening.values.iter().copied();
        let mut nodes = Vec::new();
        let mut folded = Vec::new();
        for coset in known.chunk_by(|left, right| left.0 >> fold_step == right.0 >> fold_step) {
            let index = coset[0].0 >> fold_step;
            let start = index << fold_step;
            let mut values: Vec<Option<SecureField>> = vec![None; 1 << fold_step];
            for (position, value) in coset {
                values[position - start] = Some(*value);
            }
            // The shape was checked: there is a value for each place that is not known.
            let values: Vec<SecureField> = values
                .into_iter()
                .map(|value| value.or_else(|| witness.next()).unwrap_or_default())
                .collect();
            nodes.push((index, coset_root(&values)));

            let start = bit_reverse_index(start, log_size);
            folded.push((
                index,
                if layer == 0 {
                    fold_circle(values, circle, start, *coefficient, fold_step)
                } else {
                    let domain = Coset::half_odds(log_size);
                    let coset = Coset::new(domain.index_at(start), fold_step);
                    fold_coset(values, LineDomain::new(coset), *coefficient)
                },
            ));
        }
        if merkle_root(nodes, log_size - fold_step, &opening.hashes) != Some(*root) {
            return Err(FinalVerifyError::FriCommitment(layer));
        }
        known = folded;
        log_size -= fold_step;
    }

    let last_layer = LinePoly::new(proof.head.last_layer.clone());
    let domain = LineDomain::new(Coset::half_odds(log_size));
    for (position, value) in known {
        let x = domain.at(bit_reverse_index(position, log_size));
        if last_layer.eval_at_point(x.into()) != value {
            return Err(FinalVerifyError::LastLayer(position));
        }
    }
    Ok(())
}

/// The node above the values of a coset, whose leaves hold four values each.
fn coset_root(values: &[SecureField]) -> KeccakHash {
    let mut nodes: Vec<KeccakHash> = values
        .chunks(4)
        .map(|values| {
            leaf(&values.iter().flat_map(|value| value.to_m31_array()).collect::<Vec<_>>())
        })
        .collect();
    while nodes.len() > 1 {
        nodes = nodes
            .chunks(2)
            .map(|pair| KeccakMerkleHasher::hash_children((pair[0], pair[1])))
            .collect();
    }
    nodes[0]
}

/// Folds values on the circle into one on a line.
fn fold_circle(
    values: Vec<SecureField>,
    domain: CircleDomain,
    start: usize,
    coefficient: SecureField,
    fold_step: u32,
) -> SecureField {
    let initial = domain.index_at(start);
    let onto_line = fold_circle_into_line(
        &values,
        CircleDomain::new(Coset::new(initial, fold_step - 1)),
        coefficient,
    );
    fold_coset(
        onto_line,
        LineDomain::new(Coset::new(initial, fold_step - 1)),
        coefficient * coefficient,
    )
}

#[cfg(test)]
mod agreement;
