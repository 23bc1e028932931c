//! Sizes of a circuit's components: what two circuits must share so that one verifier takes proofs of both.

use circuit_common::finalize::finalize_context;
use circuits::blake::{blake_g_gate, m31_to_u32, triple_xor};
use circuits::circuit::Circuit;
use circuits::context::FinalizedContext;
use circuits::eval;
use circuits::ivalue::IValue;
use circuits::ops::eq;
use circuits_stark_verifier::order_hash_map::OrderedHashMap;
use stwo_constraint_framework::preprocessed_columns::PreProcessedColumnId;

/// Rows of the components whose size depends on the circuit, as powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentSizes {
    /// Equalities.
    pub eq: u32,
    /// Additions, subtractions, products and permutations of QM31s.
    pub qm31_ops: u32,
    /// Blake2s: feed-forward.
    pub triple_xor: u32,
    /// Blake2s: message words.
    pub m31_to_u32: u32,
    /// Blake2s: G functions.
    pub blake_g_gate: u32,
}

/// A circuit is larger than its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit has {rows} rows of {component}, and its shape has 2^{log_size}")]
pub struct ShapeError {
    component: &'static str,
    rows: usize,
    log_size: u32,
}

/// The largest fixed table (XOR of ten-bit numbers).
const LOG_FIXED_TABLE: u32 = 20;

impl ComponentSizes {
    /// Rows of the largest component, as a power of two.
    pub fn log_rows(&self) -> u32 {
        let Self { eq, qm31_ops, triple_xor, m31_to_u32, blake_g_gate } = *self;
        [eq, qm31_ops, triple_xor, m31_to_u32, blake_g_gate]
            .into_iter()
            .fold(LOG_FIXED_TABLE, u32::max)
    }

    /// Sizes of the preprocessed columns, in the order in which they are committed: by size, and then as
    /// `PreprocessedCircuit::from_finalized_circuit` of `stwo-circuit-common` adds them.
    pub fn preprocessed_columns(&self) -> OrderedHashMap<PreProcessedColumnId, u32> {
        let gates: [(u32, &str, &[&str]); 5] = [
            (self.eq, "eq", &["in0_address", "in1_address"]),
            (
                self.qm31_ops,
                "qm31_ops",
                &[
                    "add_flag",
                    "sub_flag",
                    "mul_flag",
                    "pointwise_mul_flag",
                    "in0_address",
                    "in1_address",
                    "out_address",
                    "mults",
                ],
            ),
            (
                self.triple_xor,
                "triple_xor",
                &["input_addr_0", "input_addr_1", "input_addr_2", "output_addr", "multiplicity"],
            ),
            (self.m31_to_u32, "m31_to_u32", &["input_addr", "output_addr", "multiplicity"]),
            (
                self.blake_g_gate,
                "blake_g_gate",
                &[
                    "input_addr_a",
                    "input_addr_b",
                    "input_addr_c",
                    "input_addr_d",
                    "input_addr_f0",
                    "input_addr_f1",
                    "output_addr_a",
                    "output_addr_b",
                    "output_addr_c",
                    "output_addr_d",
                    "multiplicity",
                ],
            ),
        ];
        let gates = gates.iter().flat_map(|(log_size, component, columns)| {
            columns.iter().map(move |column| (format!("{component}_{column}"), *log_size))
        });
        let tables = [4, 7, 8, 9, 10].into_iter().flat_map(|bits| {
            (0..3).map(move |column| (format!("bitwise_xor_{bits}_{column}"), 2 * bits))
        });
        let mut columns: Vec<(PreProcessedColumnId, u32)> = gates
            .chain([("seq_16".to_owned(), 16)])
            .chain(tables)
            .map(|(id, log_size)| (PreProcessedColumnId { id }, log_size))
            .collect();
        columns.sort_by_key(|(_, log_size)| *log_size);
        columns.into_iter().collect()
    }

    /// Adds gates that do nothing until the circuit has exactly this shape.
    pub(crate) fn pad<Value: IValue>(
        &self,
        finalized: &mut FinalizedContext<Value>,
    ) -> Result<(), ShapeError> {
        let rows = |circuit: &Circuit| {
            [
                ("eq", circuit.eq.len(), self.eq),
                ("qm31_ops", circuit.n_qm31_ops_rows(), self.qm31_ops),
                ("triple_xor", circuit.triple_xor.len(), self.triple_xor),
                ("m31_to_u32", circuit.m31_to_u32.len(), self.m31_to_u32),
                ("blake_g_gate", circuit.blake_g_gate.len(), self.blake_g_gate),
            ]
        };
        let mut missing = [0; 5];
        for (missing, (component, rows, log_size)) in
            missing.iter_mut().zip(rows(finalized.circuit()))
        {
            *missing = (1_usize << log_size).checked_sub(rows).ok_or(ShapeError {
                component,
                rows,
                log_size,
            })?;
        }
        let context = &mut finalized.context;
        let zero = context.zero();
        let [equalities, operations, xors, words, mixes] = missing;
        for _ in 0..equalities {
            eq(context, zero, zero);
        }
        for _ in 0..operations {
            eval!(context, (zero) + (zero));
        }
        for _ in 0..xors {
            triple_xor(context, zero, zero, zero);
        }
        for _ in 0..words {
            m31_to_u32(context, zero);
        }
        for _ in 0..mixes {
            blake_g_gate(context, zero, zero, zero, zero, zero, zero);
        }
        // Everything is a power of two by now; this only says so to the library.
        finalize_context(finalized);
        Ok(())
    }
}
