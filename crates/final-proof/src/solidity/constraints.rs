//! S-two's definitions of the circuit's constraints, run over [`Expression`]s.

use std::collections::HashMap;

use circuit_verifier::circuit_claim::CircuitInteractionElements;
use circuit_verifier::circuit_components::N_COMPONENTS;
use num_traits::Zero;
use stwo::core::Fraction;
use stwo::core::channel::Channel;
use stwo::core::fields::qm31::{SECURE_EXTENSION_DEGREE, SecureField};
use stwo_constraint_framework::preprocessed_columns::PreProcessedColumnId;
use stwo_constraint_framework::{
    EvalAtRow, FrameworkEval, INTERACTION_TRACE_IDX, ORIGINAL_TRACE_IDX,
};

use super::expression::{Expression, Input, set_stand_ins};
use crate::channel::KeccakChannel;
use crate::key::{PREPROCESSED_COLUMNS, VerificationKey};

/// Powers of alpha that a lookup can take; S-two draws so many.
const MAX_LOOKUP_LENGTH: usize = 128;

/// All constraints of the circuit's components, and how many inputs of each kind they have.
pub(crate) struct Constraints {
    /// In the order in which the powers of the composition coefficient count them: highest power first.
    pub constraints: Vec<Expression>,
    pub n_trace: usize,
    pub n_interaction: usize,
    /// The constraints, the trace columns and the combined interaction columns before each component.
    pub component_starts: [(usize, usize, usize); N_COMPONENTS],
}

impl Constraints {
    /// The sizes in `key` do not matter: constraints are the same in every row of every size.
    pub(crate) fn new(key: &VerificationKey) -> Self {
        // Distinct elements that no constraint has as a constant, so that they can be told apart.
        let mut channel = KeccakChannel::new([0x51; 32]);
        let elements = CircuitInteractionElements::draw(&mut channel.clone());
        let [z, alpha] = [channel.draw_secure_felt(), channel.draw_secure_felt()];
        let powers = std::iter::successors(Some(alpha), |power| Some(*power * alpha));
        let mut stand_ins: HashMap<SecureField, Input> = powers
            .take(MAX_LOOKUP_LENGTH - 1)
            .zip(1..)
            .map(|(power, n)| (power, Input::LookupAlpha(n)))
            .collect();
        stand_ins.insert(z, Input::LookupZ);
        set_stand_ins(stand_ins);

        let components = key.components(&elements, [SecureField::zero(); N_COMPONENTS]);
        let mut all = Self {
            constraints: Vec::new(),
            n_trace: 0,
            n_interaction: 0,
            component_starts: [(0, 0, 0); N_COMPONENTS],
        };
        let mut next = 0;
        let mut run = |evaluate: &dyn Fn(Recorder) -> Recorder| {
            all.component_starts[next] = (all.constraints.len(), all.n_trace, all.n_interaction);
            let recorder = evaluate(Recorder {
                component: next,
                constraints: std::mem::take(&mut all.constraints),
                n_trace: all.n_trace,
                n_interaction: all.n_interaction,
                fractions: Vec::new(),
            });
            Recorder {
                constraints: all.constraints,
                n_trace: all.n_trace,
                n_interaction: all.n_interaction,
                ..
            } = recorder;
            next += 1;
        };
        // In the order of `to_component_provers`.
        run(&|recorder| components.eq.evaluate(recorder));
        run(&|recorder| components.qm31_ops.evaluate(recorder));
        run(&|recorder| components.triple_xor.evaluate(recorder));
        run(&|recorder| components.m_31_to_u_32.evaluate(recorder));
        run(&|recorder| components.blake_g_gate.evaluate(recorder));
        run(&|recorder| components.verify_bitwise_xor_8.evaluate(recorder));
        run(&|recorder| components.verify_bitwise_xor_12.evaluate(recorder));
        run(&|recorder| components.verify_bitwise_xor_4.evaluate(recorder));
        run(&|recorder| components.verify_bitwise_xor_7.evaluate(recorder));
        run(&|recorder| components.verify_bitwise_xor_9.evaluate(recorder));
        run(&|recorder| components.range_check_16.evaluate(recorder));
        all
    }
}

struct Recorder {
    component: usize,
    constraints: Vec<Expression>,
    n_trace: usize,
    n_interaction: usize,
    fractions: Vec<Fraction<Expression, Expression>>,
}

impl EvalAtRow for Recorder {
    type F = Expression;
    type EF = Expression;

    fn get_preprocessed_column(&mut self, column: PreProcessedColumnId) -> Expression {
        let number = PREPROCESSED_COLUMNS
            .iter()
            .flat_map(|columns| *columns)
            .position(|id| *id == column.id);
        match number {
            Some(number) => Expression::input(Input::Preprocessed(number)),
            None => panic!("the circuit has no preprocessed column {}", column.id),
        }
    }

    fn next_interaction_mask<const N: usize>(
        &mut self,
        interaction: usize,
        offsets: [isize; N],
    ) -> [Expression; N] {
        assert_eq!(
            (interaction, &offsets[..]),
            (ORIGINAL_TRACE_IDX, &[0][..]),
            "constraints over other rows"
        );
        self.n_trace += 1;
        [Expression::input(Input::Trace(self.n_trace - 1)); N]
    }

    fn next_extension_interaction_mask<const N: usize>(
        &mut self,
        interaction: usize,
        offsets: [isize; N],
    ) -> [Expression; N] {
        assert_eq!(
            interaction, INTERACTION_TRACE_IDX,
            "an extension column outside of the interaction trace"
        );
        self.n_interaction += 1;
        offsets.map(|offset| match offset {
            0 => Expression::input(Input::Interaction(self.n_interaction - 1)),
            -1 => Expression::input(Input::PreviousSum(self.component)),
            _ => panic!("constraints over rows {offset} apart"),
        })
    }

    fn add_constraint<G>(&mut self, constraint: G)
    where
        Expression: std::ops::Mul<G, Output = Expression> + From<G>,
    {
        self.constraints.push(Expression::from(constraint));
    }

    fn combine_ef(_: [Expression; SECURE_EXTENSION_DEGREE]) -> Expression {
        panic!("extension columns come combined")
    }

    fn write_logup_frac(&mut self, fraction: Fraction<Expression, Expression>) {
        self.fractions.push(fraction);
    }

    /// As S-two's own evaluators do (`logup_proxy!` of stwo-constraint-framework).
    fn finalize_logup_batched(&mut self, batching: &Vec<usize>) {
        let fractions = std::mem::take(&mut self.fractions);
        assert_eq!(batching.len(), fractions.len(), "a batch for each lookup");
        let last = batching.iter().copied().max().unwrap_or_default();
        let mut sum_before = Expression::zero();
        for batch in 0..=last {
            let fraction: Fraction<Expression, Expression> = batching
                .iter()
                .zip(&fractions)
                .filter(|(of, _)| **of == batch)
                .map(|(_, fraction)| *fraction)
                .sum();
            let difference = if batch == last {
                let [row_before, sum] =
                    self.next_extension_interaction_mask(INTERACTION_TRACE_IDX, [-1, 0]);
                sum - row_before - sum_before
                    + Expression::input(Input::ClaimedShare(self.component))
            } else {
                let [sum] = self.next_extension_interaction_mask(INTERACTION_TRACE_IDX, [0]);
                sum - std::mem::replace(&mut sum_before, sum)
            };
            self.add_constraint(difference * fraction.denominator - fraction.numerator);
        }
    }

    fn finalize_logup(&mut self) {
        let batches = (0..self.fractions.len()).collect();
        self.finalize_logup_batched(&batches);
    }

    fn finalize_logup_in_pairs(&mut self) {
        let batches = (0..self.fractions.len()).map(|lookup| lookup / 2).collect();
        self.finalize_logup_batched(&batches);
    }
}
