//! What a verifier is made for: the parameters of the proof system and the circuit.

use circuit_common::preprocessed::PreprocessedCircuit;
use circuit_prover::circuit_air::circuit_components::CircuitComponents;
use circuit_verifier::circuit_claim::{CircuitInteractionClaim, CircuitInteractionElements};
use circuit_verifier::circuit_components::N_COMPONENTS;
use num_traits::Zero;
use serde::{Deserialize, Serialize};
use stwo::core::fields::qm31::SecureField;
use stwo::core::fri::FriConfig;
use stwo::core::pcs::PcsConfig;
use stwo_constraint_framework::preprocessed_columns::PreProcessedColumnId;

use crate::channel::KeccakChannel;
use crate::keccak::keccak256;
use crate::merkle::KeccakHash;

/// Public outputs of the circuit, field elements of 124 bits: one hash of 256 bits.
pub const N_OUTPUTS: usize = 2;

/// How sure a verifier wants to be, and at which cost. `docs/settlement-security.md` has the analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Points of the evaluation domain for each coefficient, as a power of two.
    pub log_blowup: u32,
    /// Points at which the prover opens its commitments (before equal ones are dropped).
    pub n_queries: usize,
    /// Proof of work before the queries are drawn.
    pub query_pow_bits: u32,
    /// Proof of work before the lookups' randomness is drawn.
    pub interaction_pow_bits: u32,
    /// Each FRI layer has a `1 << fold_step`-th of the values of the one before.
    pub fold_step: u32,
    /// Coefficients of the polynomial that ends FRI, as a power of two.
    pub log_last_layer: u32,
}

impl Parameters {
    /// What is verified on Ethereum: 97 bits by queries and proof of work.
    pub const ETHEREUM: Self = Self {
        log_blowup: 4,
        n_queries: 17,
        query_pow_bits: 29,
        interaction_pow_bits: 20,
        fold_step: 4,
        log_last_layer: 8,
    };

    pub(crate) fn pcs_config(&self, trace_log_size: u32) -> PcsConfig {
        PcsConfig {
            pow_bits: self.query_pow_bits,
            fri_config: FriConfig::new(
                self.log_last_layer,
                self.log_blowup,
                self.n_queries,
                self.fold_step,
            ),
            lifting_log_size: Some(trace_log_size + self.log_blowup),
        }
    }
}

/// Identifies a circuit and the parameters of its proofs. Two different circuits have different keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationKey {
    pub parameters: Parameters,
    /// Rows of each component as a power of two, in the order of S-two's `ComponentList`.
    pub component_log_sizes: [u32; N_COMPONENTS],
    /// Commits to the gates of the circuit, and to the lookup tables.
    pub preprocessed_root: KeccakHash,
}

/// The parts of the preprocessed trace in the order in which S-two makes them, before it sorts them by size: for
/// each component of `component_log_sizes` in [`PREPROCESSED_COMPONENTS`], its columns.
pub(crate) const PREPROCESSED_COLUMNS: [&[&str]; N_COMPONENTS] = [
    &["eq_in0_address", "eq_in1_address"],
    &[
        "qm31_ops_add_flag",
        "qm31_ops_sub_flag",
        "qm31_ops_mul_flag",
        "qm31_ops_pointwise_mul_flag",
        "qm31_ops_in0_address",
        "qm31_ops_in1_address",
        "qm31_ops_out_address",
        "qm31_ops_mults",
    ],
    &[
        "triple_xor_input_addr_0",
        "triple_xor_input_addr_1",
        "triple_xor_input_addr_2",
        "triple_xor_output_addr",
        "triple_xor_multiplicity",
    ],
    &["m31_to_u32_input_addr", "m31_to_u32_output_addr", "m31_to_u32_multiplicity"],
    &[
        "blake_g_gate_input_addr_a",
        "blake_g_gate_input_addr_b",
        "blake_g_gate_input_addr_c",
        "blake_g_gate_input_addr_d",
        "blake_g_gate_input_addr_f0",
        "blake_g_gate_input_addr_f1",
        "blake_g_gate_output_addr_a",
        "blake_g_gate_output_addr_b",
        "blake_g_gate_output_addr_c",
        "blake_g_gate_output_addr_d",
        "blake_g_gate_multiplicity",
    ],
    &["seq_16"],
    &["bitwise_xor_4_0", "bitwise_xor_4_1", "bitwise_xor_4_2"],
    &["bitwise_xor_7_0", "bitwise_xor_7_1", "bitwise_xor_7_2"],
    &["bitwise_xor_8_0", "bitwise_xor_8_1", "bitwise_xor_8_2"],
    &["bitwise_xor_9_0", "bitwise_xor_9_1", "bitwise_xor_9_2"],
    &["bitwise_xor_10_0", "bitwise_xor_10_1", "bitwise_xor_10_2"],
];
/// The component whose size the columns of [`PREPROCESSED_COLUMNS`] have.
pub(crate) const PREPROCESSED_COMPONENTS: [usize; N_COMPONENTS] =
    [0, 1, 2, 3, 4, 10, 7, 8, 5, 9, 6];
/// Sizes of the components that are the same in every circuit, the lookup tables; 0 where the circuit decides.
pub(crate) const FIXED_LOG_SIZES: [u32; N_COMPONENTS] = [0, 0, 0, 0, 0, 16, 20, 8, 14, 18, 16];

impl VerificationKey {
    /// Rows of the largest component, as a power of two.
    pub fn trace_log_size(&self) -> u32 {
        self.component_log_sizes.into_iter().fold(0, u32::max)
    }

    /// Points at which every polynomial is evaluated, as a power of two: the height of the trace's Merkle trees.
    pub fn domain_log_size(&self) -> u32 {
        self.trace_log_size() + self.parameters.log_blowup
    }

    /// A digest of the whole key: with it, a proof for one key has no meaning under another.
    pub fn digest(&self) -> [u8; 32] {
        let Parameters {
            log_blowup,
            n_queries,
            query_pow_bits,
            interaction_pow_bits,
            fold_step,
            log_last_layer,
        } = self.parameters;
        let n_queries = u32::try_from(n_queries).unwrap_or(u32::MAX);
        let n_outputs = u32::try_from(N_OUTPUTS).unwrap_or(u32::MAX);
        let words = [
            log_blowup,
            n_queries,
            query_pow_bits,
            interaction_pow_bits,
            fold_step,
            log_last_layer,
            n_outputs,
        ];
        let bytes: Vec<u8> = words
            .iter()
            .chain(&self.component_log_sizes)
            .flat_map(|word| word.to_be_bytes())
            .collect();
        keccak256(&[b"Sidereal final proof 1", &bytes, &self.preprocessed_root.0])
    }

    pub(crate) fn channel(&self) -> KeccakChannel {
        KeccakChannel::new(self.digest())
    }

    /// The identifiers of the preprocessed columns, smallest columns first, as they are committed to.
    pub(crate) fn preprocessed_ids(&self) -> Vec<PreProcessedColumnId> {
        let mut blocks: Vec<usize> = (0..N_COMPONENTS).collect();
        blocks.sort_by_key(|block| self.component_log_sizes[PREPROCESSED_COMPONENTS[*block]]);
        blocks
            .into_iter()
            .flat_map(|block| PREPROCESSED_COLUMNS[block])
            .map(|id| PreProcessedColumnId { id: (*id).to_owned() })
            .collect()
    }

    pub(crate) fn components(
        &self,
        elements: &CircuitInteractionElements,
        claimed_sums: [SecureField; N_COMPONENTS],
    ) -> CircuitComponents {
        CircuitComponents::new(
            elements,
            &CircuitInteractionClaim { claimed_sums },
            &self.component_log_sizes,
            &self.preprocessed_ids(),
        )
    }

    /// The columns of every tree.
    pub(crate) fn layout(&self) -> Layout {
        // The numbers of columns and of samples depend on neither randomness nor claims.
        let elements = CircuitInteractionElements::draw(&mut KeccakChannel::default());
        let components =
            self.components(&elements, [SecureField::zero(); N_COMPONENTS]).components();
        let mut trees: [Vec<Column>; 4] = Default::default();
        for component in &components {
            let point = stwo::core::circle::CirclePoint::zero();
            let samples = component.mask_points(point, self.trace_log_size());
            let log_sizes = component.trace_log_degree_bounds();
            for tree in 1..=2 {
                trees[tree].extend(samples[tree].iter().zip(&log_sizes[tree]).map(
                    |(points, log_size)| Column { log_size: *log_size, n_samples: points.len() },
                ));
            }
        }
        let mut blocks: Vec<u32> = PREPROCESSED_COMPONENTS
            .iter()
            .zip(PREPROCESSED_COLUMNS)
            .flat_map(|(component, columns)| {
                vec![self.component_log_sizes[*component]; columns.len()]
            })
            .collect();
        blocks.sort_unstable();
        trees[0] = blocks.into_iter().map(|log_size| Column { log_size, n_samples: 1 }).collect();
        trees[3] = vec![Column { log_size: self.trace_log_size(), n_samples: 1 }; 8];
        let leaf_order = std::array::from_fn(|tree| {
            let columns: &Vec<Column> = &trees[tree];
            let mut order: Vec<usize> = (0..columns.len()).collect();
            order.sort_by_key(|column| columns[*column].log_size);
            order
        });
        Layout { trees, leaf_order }
    }
}

/// The log sizes of the components of `circuit`, in the order of S-two's `ComponentList`.
pub(crate) fn component_log_sizes(circuit: &PreprocessedCircuit) -> Option<[u32; N_COMPONENTS]> {
    let sizes = circuit.preprocessed_trace.log_sizes();
    let mut log_sizes = [0; N_COMPONENTS];
    for (component, columns) in PREPROCESSED_COMPONENTS.iter().zip(PREPROCESSED_COLUMNS) {
        log_sizes[*component] = *sizes.get(&PreProcessedColumnId { id: columns[0].to_owned() })?;
    }
    Some(log_sizes)
}

/// A committed column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Rows, as a power of two, before the blow-up.
    pub log_size: u32,
    /// Points out of the domain at which the column is opened: one, or two for a running sum (the row before first).
    pub n_samples: usize,
}

/// The columns of the four trees: preprocessed, trace, interaction, composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub trees: [Vec<Column>; 4],
    /// The columns in the order in which a leaf hashes them: smallest first, else as they come.
    pub leaf_order: [Vec<usize>; 4],
}

impl Layout {
    pub(crate) fn n_samples(&self) -> usize {
        self.trees.iter().flatten().map(|column| column.n_samples).sum()
    }
}

impl VerificationKey {
    /// Commitments of FRI: layers that are folded.
    pub(crate) fn n_fri_layers(&self) -> usize {
        let folds = self.trace_log_size().saturating_sub(self.parameters.log_last_layer);
        folds.checked_div(self.parameters.fold_step).unwrap_or(0) as usize
    }

    /// Whether this key is one that the verifiers of this crate are made for: sizes that a circuit can have, and
    /// parameters that let FRI end where it should.
    pub fn validate(&self) -> Result<(), KeyError> {
        let Parameters {
            log_blowup,
            n_queries,
            query_pow_bits,
            interaction_pow_bits,
            fold_step,
            log_last_layer,
        } = self.parameters;
        for (component, (log_size, fixed)) in
            self.component_log_sizes.into_iter().zip(FIXED_LOG_SIZES).enumerate()
        {
            // 16 rows are what a circuit pads to.
            let possible =
                if fixed == 0 { (4..=24).contains(&log_size) } else { log_size == fixed };
            if !possible {
                return Err(KeyError::ComponentSize { component, log_size });
            }
        }
        // Positions are drawn from 32 bits, and points of the circle have 31.
        if !(1..=8).contains(&log_blowup) || self.domain_log_size() > 28 {
            return Err(KeyError::Parameter { name: "log_blowup", value: log_blowup as usize });
        }
        if !(1..=128).contains(&n_queries) {
            return Err(KeyError::Parameter { name: "n_queries", value: n_queries });
        }
        if query_pow_bits > 32 || interaction_pow_bits > 32 {
            return Err(KeyError::Parameter {
                name: "pow_bits",
                value: query_pow_bits.max(interaction_pow_bits) as usize,
            });
        }
        // Leaves hold four values from two folds on.
        if !(2..=5).contains(&fold_step) {
            return Err(KeyError::Parameter { name: "fold_step", value: fold_step as usize });
        }
        let folds = self.trace_log_size().checked_sub(log_last_layer);
        if log_last_layer > 10
            || !folds.is_some_and(|folds| folds > 0 && folds.is_multiple_of(fold_step))
        {
            return Err(KeyError::Parameter {
                name: "log_last_layer",
                value: log_last_layer as usize,
            });
        }
        Ok(())
    }
}

/// Why a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("component {component} cannot have 2^{log_size} rows")]
    ComponentSize { component: usize, log_size: u32 },
    #[error("the parameter {name} cannot be {value}")]
    Parameter { name: &'static str, value: usize },
}
