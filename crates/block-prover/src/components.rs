//! How many rows each component of a proof has, before anything is proven.
//!
//! S-two finds out only while it makes the witness, and panics. The sizes follow from the adapted run: an opcode has
//! a row a use, a builtin one an instance; the components behind them have a fixed number of rows for each row of
//! the ones that call them. Each passes on its padding, which is what counts: one Poseidon permutation more than
//! 8,192 makes 16,384 of it, and twice as many rows of everything behind.

use std::collections::BTreeMap;
use std::collections::HashSet;

use stwo_cairo_adapter::builtins::MemorySegmentAddresses;
use stwo_cairo_adapter::{ExecutionResources, ProverInput};

use crate::settings::MAX_LOG_ROWS;

/// Rows of the smallest component: one SIMD vector.
const MIN_ROWS: u64 = 16;
/// Cells of the memory that a row of `memory_address_to_id` holds.
const ADDRESSES_PER_ROW: u64 = 16;
/// Cells of one use of the Pedersen builtin.
const PEDERSEN_CELLS: usize = 3;
/// Cells of one use of the Poseidon builtin.
const POSEIDON_CELLS: usize = 6;

/// Components whose rows follow from those of others: rows for each row of each caller (the `SubComponentInputs` of
/// `stwo-cairo-prover` 1.3.0). Callers stand before what they call.
const CALLED: [(&str, &[(&str, u64)]); 8] = [
    ("poseidon_full_round_chain", &[("poseidon_aggregator", 8)]),
    ("poseidon_3_partial_rounds_chain", &[("poseidon_aggregator", 27)]),
    (
        "cube_252",
        &[
            ("poseidon_aggregator", 2),
            ("poseidon_full_round_chain", 3),
            ("poseidon_3_partial_rounds_chain", 3),
        ],
    ),
    (
        "range_check_252_width_27",
        &[("poseidon_aggregator", 2), ("poseidon_3_partial_rounds_chain", 3)],
    ),
    ("partial_ec_mul_window_bits_9", &[("pedersen_aggregator_window_bits_9", 56)]),
    ("blake_round", &[("blake_compress_opcode", 10)]),
    ("triple_xor_32", &[("blake_compress_opcode", 8)]),
    ("blake_g", &[("blake_round", 8)]),
];

/// Rows of each component whose size depends on the run, before the padding of its own, by S-two's names. Tables of
/// a fixed size are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentRows(BTreeMap<String, u64>);

impl ComponentRows {
    /// The rows that a proof of this run has.
    pub fn of_run(input: &ProverInput) -> Self {
        let resources = ExecutionResources::from_prover_input(input);
        let mut rows: BTreeMap<String, u64> = resources
            .opcodes_instance_counter
            .into_iter()
            .map(|(opcode, uses)| (opcode, uses as u64))
            .collect();
        let tables = &resources.memory_tables_sizes;
        // Address 0 is not used.
        let addresses = (tables.memory_address_to_id as u64).saturating_sub(1);
        rows.extend(
            [
                ("verify_instruction", resources.verify_instruction as u64),
                ("memory_address_to_id", addresses.div_ceil(ADDRESSES_PER_ROW)),
                ("memory_id_to_big", tables.memory_id_to_big as u64),
                ("memory_id_to_small", tables.memory_id_to_small as u64),
            ]
            .map(|(name, rows)| (name.to_owned(), rows)),
        );
        for (builtin, uses) in resources.builtin_instance_counter {
            let name = match builtin.as_str() {
                // These have no component of that name in the small preprocessed trace.
                "pedersen_builtin" => "pedersen_builtin_narrow_windows",
                "output_builtin" => continue,
                name => name,
            };
            rows.insert(name.to_owned(), uses as u64);
        }
        let segments = &input.builtin_segments;
        let pedersen = distinct::<PEDERSEN_CELLS>(input, segments.pedersen_builtin);
        let poseidon = distinct::<POSEIDON_CELLS>(input, segments.poseidon_builtin);
        rows.insert("pedersen_aggregator_window_bits_9".to_owned(), pedersen);
        rows.insert("poseidon_aggregator".to_owned(), poseidon);
        for (component, callers) in CALLED {
            let called = callers
                .iter()
                .map(|(caller, times)| {
                    times * padded(rows.get(*caller).copied().unwrap_or_default())
                })
                .sum();
            rows.insert(component.to_owned(), called);
        }
        rows.retain(|_, rows| *rows > 0);
        Self(rows)
    }

    /// Each component with its rows, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(component, rows)| (component.as_str(), *rows))
    }

    /// The component with the most rows.
    pub fn largest(&self) -> Option<(&str, u64)> {
        self.iter().max_by_key(|(_, rows)| *rows)
    }

    /// The largest component, if a proof cannot hold it.
    pub fn too_large(&self) -> Option<(&str, u64)> {
        self.largest().filter(|(_, rows)| *rows > 1 << MAX_LOG_ROWS)
    }
}

/// Rows with padding: a power of two, or none.
fn padded(rows: u64) -> u64 {
    if rows == 0 { 0 } else { rows.next_power_of_two().max(MIN_ROWS) }
}

/// Uses of a builtin whose values differ: S-two computes what is used twice once.
fn distinct<const CELLS: usize>(
    input: &ProverInput,
    segment: Option<MemorySegmentAddresses>,
) -> u64 {
    let Some(segment) = segment else { return 0 };
    let ids = input.memory.address_to_id.get(segment.begin_addr..segment.stop_ptr);
    let (uses, _) = ids.unwrap_or_default().as_chunks::<CELLS>();
    let distinct: HashSet<_> = uses.iter().map(|cells| cells.map(|id| id.0)).collect();
    distinct.len() as u64
}
