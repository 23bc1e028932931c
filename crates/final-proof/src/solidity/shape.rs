//! Constants of the contract: parameters, numbers of columns, points of the circle.

use std::fmt::Write as _;

use circuit_verifier::circuit_components::N_COMPONENTS;
use stwo::core::circle::{CirclePointIndex, M31_CIRCLE_LOG_ORDER};

use super::{Inputs, any_key};
use crate::key::{PREPROCESSED_COLUMNS, PREPROCESSED_COMPONENTS, Parameters};

/// Windows of four bits in an index of a point.
const WINDOWS: u32 = 7;

/// A byte each, the first in the least significant one.
fn packed(numbers: impl DoubleEndedIterator<Item = usize>) -> String {
    numbers.rev().fold("0x".to_owned(), |mut word, number| {
        let _ = write!(word, "{number:02x}");
        word
    })
}

fn point(index: u64) -> (u32, u32) {
    let index = usize::try_from(index % (1 << M31_CIRCLE_LOG_ORDER)).unwrap_or_default();
    let point = CirclePointIndex(index).to_point();
    (point.x.0, point.y.0)
}

/// Rows of the largest component, as a power of two: what the contract is made for.
const TRACE_LOG_SIZE: u32 = 20;

/// The source of `CircuitShape.sol`.
pub(super) fn contract(inputs: &Inputs) -> String {
    let key = any_key();
    let layout = key.layout();
    let per_component = |tree: usize| -> Vec<usize> {
        let elements = circuit_verifier::circuit_claim::CircuitInteractionElements::draw(
            &mut crate::channel::KeccakChannel::default(),
        );
        key.components(&elements, Default::default())
            .components()
            .iter()
            .map(|component| component.trace_log_degree_bounds()[tree].len())
            .collect()
    };
    let [trace, interaction] = [1, 2].map(per_component);
    let Parameters {
        log_blowup,
        n_queries,
        query_pow_bits,
        interaction_pow_bits,
        fold_step,
        log_last_layer,
    } = Parameters::ETHEREUM;
    let domain_log_size = TRACE_LOG_SIZE + log_blowup;
    let n_fri_layers = (TRACE_LOG_SIZE - log_last_layer) / fold_step;
    assert_eq!((domain_log_size, fold_step), (24, 4), "the contract's code is made for these");

    let unit = u64::from(M31_CIRCLE_LOG_ORDER - domain_log_size - 1);
    let mut points = String::new();
    for window in 0..WINDOWS {
        for digit in 0..16 {
            let (x, y) = point(digit << (unit + 4 * u64::from(window)));
            let _ = write!(points, "{x:08x}{y:08x}");
        }
    }
    let subgroup = |log_size: u32| point(1 << (M31_CIRCLE_LOG_ORDER - log_size));
    let (step_x, step_y) = subgroup(TRACE_LOG_SIZE);
    let multiples = |log_size: u32, n: u64| {
        (0..n).map(|k| point(k << (M31_CIRCLE_LOG_ORDER - log_size))).fold(
            String::new(),
            |mut word, (x, y)| {
                let _ = write!(word, "{x:08x}{y:08x}");
                word
            },
        )
    };
    let (eighth, sixteenth) = (multiples(3, 4), multiples(4, 4));
    let n_preprocessed: usize = layout.trees[0].len();
    let (n_trace, n_interaction) = (layout.trees[1].len(), layout.trees[2].len());
    let n_samples = layout.n_samples();
    let n_inputs = inputs.len();
    let (trace_at, interaction_at) = (inputs.trace(), inputs.interaction());
    let (previous_sums_at, claimed_shares_at) = (inputs.previous_sums(), inputs.claimed_shares());
    let preprocessed_columns = packed(PREPROCESSED_COLUMNS.iter().map(|columns| columns.len()));
    let preprocessed_components = packed(PREPROCESSED_COMPONENTS.into_iter());
    let (trace_columns, interaction_columns) =
        (packed(trace.into_iter()), packed(interaction.into_iter()));
    format!(
        r#"// SPDX-License-Identifier: Apache-2.0
// Written by `cargo run -p sidereal-final-proof --example generate_solidity`. Do not edit.
pragma solidity 0.8.37;

// The parameters of the proof system, see docs/settlement-security.md.
uint256 constant LOG_BLOWUP = {log_blowup};
uint256 constant N_QUERIES = {n_queries};
uint256 constant QUERY_POW_BITS = {query_pow_bits};
uint256 constant INTERACTION_POW_BITS = {interaction_pow_bits};
uint256 constant FOLD_STEP = {fold_step};
uint256 constant LOG_LAST_LAYER = {log_last_layer};
uint256 constant N_OUTPUTS = {n_outputs};

// Sizes that follow.
uint256 constant TRACE_LOG_SIZE = {TRACE_LOG_SIZE};
uint256 constant DOMAIN_LOG_SIZE = {domain_log_size};
uint256 constant N_FRI_LAYERS = {n_fri_layers};

// Columns: in all, by tree, and by component, a byte each, the first component in the least significant.
uint256 constant N_COMPONENTS = {N_COMPONENTS};
uint256 constant N_SAMPLES = {n_samples};
uint256 constant N_PREPROCESSED = {n_preprocessed};
uint256 constant N_TRACE = {n_trace};
uint256 constant N_INTERACTION = {n_interaction};
uint256 constant N_COMPOSITION = 8;
uint256 constant TRACE_COLUMNS = {trace_columns};
uint256 constant INTERACTION_COLUMNS = {interaction_columns};
// The preprocessed columns come in blocks: how many columns a block has, and the component that has its rows.
uint256 constant PREPROCESSED_COLUMNS = {preprocessed_columns};
uint256 constant PREPROCESSED_COMPONENTS = {preprocessed_components};

// Words of the input of `CircuitConstraints`.
uint256 constant N_CONSTRAINT_INPUTS = {n_inputs};
uint256 constant INPUT_PREPROCESSED = {N_ELEMENTS};
uint256 constant INPUT_TRACE = {trace_at};
uint256 constant INPUT_INTERACTION = {interaction_at};
uint256 constant INPUT_PREVIOUS_SUMS = {previous_sums_at};
uint256 constant INPUT_CLAIMED_SHARES = {claimed_shares_at};

// Points of the circle over M31 of order 2^31, generated by G: `digit * 16^window * 2^{unit} * G`, x and y four bytes
// each, digit after digit, {WINDOWS} windows.
bytes constant CIRCLE_POINTS =
    hex"{points}";
// The generator of the subgroup of order 2^{TRACE_LOG_SIZE}: the step from a row to the next.
uint256 constant STEP_X = {step_x};
uint256 constant STEP_Y = {step_y};
// `k / 8` and `k / 16` of a turn for k from 0 to 3: x and y, four bytes each, the first in the most significant.
uint256 constant EIGHTHS = 0x{eighth};
uint256 constant SIXTEENTHS = 0x{sixteenth};
"#,
        n_outputs = crate::key::N_OUTPUTS,
        N_ELEMENTS = super::N_ELEMENTS,
    )
}
