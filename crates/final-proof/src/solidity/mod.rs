//! The evaluation of the circuit's constraints as Solidity.
//!
//! The contract `CircuitConstraints` takes the samples and returns
//! `sum over constraints of coefficient^(n-1-i) * constraint_i`, which `CircuitVerifier` compares with the composition
//! polynomial. It depends on S-two's version alone, not on the circuit: the sizes of components enter by their
//! claimed sums only, which the caller divides.

mod constraints;
mod emit;
mod expression;
mod shape;

use constraints::Constraints;
use emit::Emitter;
use expression::Input;

use crate::key::{FIXED_LOG_SIZES, PREPROCESSED_COLUMNS, Parameters, VerificationKey};
use crate::merkle::KeccakHash;

/// Words of input before the samples: the lookups' z and alpha, and the composition coefficient.
const N_ELEMENTS: usize = 3;

/// Where each input is, in words.
struct Inputs {
    n_preprocessed: usize,
    n_trace: usize,
    n_interaction: usize,
    n_components: usize,
}

impl Inputs {
    fn new(constraints: &Constraints) -> Self {
        Self {
            n_preprocessed: PREPROCESSED_COLUMNS.iter().map(|columns| columns.len()).sum(),
            n_trace: constraints.n_trace,
            n_interaction: constraints.n_interaction,
            n_components: constraints.component_starts.len(),
        }
    }

    const fn trace(&self) -> usize {
        N_ELEMENTS + self.n_preprocessed
    }

    const fn interaction(&self) -> usize {
        self.trace() + self.n_trace
    }

    const fn previous_sums(&self) -> usize {
        self.interaction() + self.n_interaction
    }

    const fn claimed_shares(&self) -> usize {
        self.previous_sums() + self.n_components
    }

    const fn len(&self) -> usize {
        self.claimed_shares() + self.n_components
    }

    /// None for the powers of alpha from the second on, which follow from it.
    const fn index(&self, input: Input) -> Option<usize> {
        Some(match input {
            Input::LookupZ => 0,
            Input::LookupAlpha(1) => 1,
            Input::LookupAlpha(_) => return None,
            Input::Preprocessed(column) => N_ELEMENTS + column,
            Input::Trace(column) => self.trace() + column,
            Input::Interaction(column) => self.interaction() + column,
            Input::PreviousSum(component) => self.previous_sums() + component,
            Input::ClaimedShare(component) => self.claimed_shares() + component,
        })
    }
}

/// Powers of alpha that lookups of this circuit take: six values each at most.
const MAX_ALPHA_POWER: usize = 5;
/// Multiples of p in every lane that are kept in memory.
const MAX_MULTIPLES: usize = 16;

/// Constraints do not depend on the sizes of components; any will do to run their definitions.
fn any_key() -> VerificationKey {
    VerificationKey {
        parameters: Parameters::ETHEREUM,
        component_log_sizes: FIXED_LOG_SIZES.map(|log_size| log_size.max(4)),
        preprocessed_root: KeccakHash::default(),
    }
}

/// Names and contents of the files in `contracts/solidity/src/verifier/generated`.
pub fn generated_files() -> [(&'static str, String); 2] {
    let constraints = Constraints::new(&any_key());
    let inputs = Inputs::new(&constraints);
    [
        ("CircuitConstraints.sol", constraints_contract(&constraints, &inputs)),
        ("CircuitShape.sol", shape::contract(&inputs)),
    ]
}

/// The source of `CircuitConstraints.sol`.
fn constraints_contract(constraints: &Constraints, inputs: &Inputs) -> String {
    let powers_at = inputs.len() * 0x20;
    let multiples_at = powers_at + (MAX_ALPHA_POWER - 1) * 0x20;
    let address = |input: Input| match (input, inputs.index(input)) {
        (_, Some(index)) => index * 0x20,
        (Input::LookupAlpha(power), None) if power <= MAX_ALPHA_POWER => {
            powers_at + (power - 2) * 0x20
        }
        (input, None) => panic!("{input:?} has no place in memory"),
    };
    let mut emitter = Emitter::new(
        &constraints.constraints,
        &address,
        multiples_at,
        multiples_at + MAX_MULTIPLES * 0x20,
    );

    let mut body = String::new();
    let mut statement = |text: &str| {
        body.push_str("            ");
        body.push_str(text);
        body.push('\n');
    };
    statement(&format!("calldatacopy(0, inputs, {:#x})", inputs.len() * 0x20));
    for power in 2..=MAX_ALPHA_POWER {
        let [to, before, alpha] =
            [power, power - 1, 1].map(|power| address(Input::LookupAlpha(power)));
        statement(&format!("mstore({to:#x}, mul4(mload({before:#x}), mload({alpha:#x})))"));
    }
    for multiple in 1..=MAX_MULTIPLES {
        statement(&format!(
            "mstore({:#x}, mul({multiple}, PPPP))",
            multiples_at + (multiple - 1) * 0x20
        ));
    }
    let names = [
        "eq",
        "qm31_ops",
        "triple_xor",
        "m_31_to_u_32",
        "blake_g_gate",
        "verify_bitwise_xor_8",
        "verify_bitwise_xor_12",
        "verify_bitwise_xor_4",
        "verify_bitwise_xor_7",
        "verify_bitwise_xor_9",
        "range_check_16",
    ];
    for (number, constraint) in constraints.constraints.iter().enumerate() {
        if let Some(component) =
            constraints.component_starts.iter().position(|(first, ..)| *first == number)
        {
            statement(&format!("// {}", names[component]));
        }
        let value = emitter.value(*constraint);
        for shared in emitter.statements.drain(..) {
            statement(&shared);
        }
        statement(&if number == 0 {
            format!("combined := {value}")
        } else {
            format!("combined := fold(add(mul4(combined, mload(0x40)), {value}))")
        });
    }
    assert!(
        emitter.n_multiples <= MAX_MULTIPLES,
        "a sum has {} negative terms",
        emitter.n_multiples
    );

    let (n_inputs, n_constraints, end) =
        (inputs.len(), constraints.constraints.len(), emitter.end());
    let (trace, interaction) = (inputs.trace(), inputs.interaction());
    let (previous_sums, claimed_shares) = (inputs.previous_sums(), inputs.claimed_shares());
    format!(
        r#"// SPDX-License-Identifier: Apache-2.0
// Written by `cargo run -p sidereal-final-proof --example generate_solidity` from S-two's definitions. Do not edit.
pragma solidity 0.8.37;

/// The {n_constraints} constraints of S-two's circuit components, stwo-circuit-prover 1.0.0, at a point out of the domain.
///
/// Field elements are words of four 64-bit lanes, the coefficients of 1, u, u^2, u^3, each at most p = 2^31 - 1, see
/// `QM31.sol`, of which this has a copy of what it needs: Yul calls nothing outside of its block.
contract CircuitConstraints {{
    /// Four lanes of p, of 31 bits, of 33 bits, and what keeps `mul4` above zero.
    uint256 private constant PPPP = 0x000000007fffffff000000007fffffff000000007fffffff000000007fffffff;
    uint256 private constant MASK_33 = 0x00000001ffffffff00000001ffffffff00000001ffffffff00000001ffffffff;
    uint256 private constant BIAS = 0x0000007fffffff000000007fffffff00;

    /// The constraints, combined: the sum of `coefficient^({n_constraints} - 1 - i) * constraint i`.
    /// @param inputs 0: z and 1: alpha of the lookups; 2: the coefficient; then samples: from {N_ELEMENTS} the preprocessed
    /// columns, component by component; from {trace} the trace's; from {interaction} the interaction trace's, combined by fours;
    /// from {previous_sums} each component's last of these in the row before; from {claimed_shares} its claimed sum by row.
    function evaluate(uint256[{n_inputs}] calldata inputs) external pure returns (uint256 combined) {{
        // Takes all of memory to {end:#x}, and returns from here.
        assembly {{
            // Lanes below 2^64 become small: twice makes a lane that is at most p^2 at most p.
            function fold(x) -> r {{
                r := add(and(x, PPPP), and(shr(31, x), MASK_33))
            }}
            function fold2(x) -> r {{
                r := add(and(x, PPPP), and(shr(31, x), MASK_33))
                r := add(and(r, PPPP), and(shr(31, r), MASK_33))
            }}
            // The product of polynomials in u, then u^4 = 4 u^2 - 5, u^5 = 4 u^3 - 5 u, u^6 = 11 u^2 - 20.
            // Lanes of the factors are at most p, so that four products stay below 2^64.
            function mul4(x, y) -> r {{
                let low := mul(x, y)
                let high := mulmod(x, y, not(0))
                high := sub(sub(high, low), lt(high, low))
                high := add(and(high, PPPP), and(shr(31, high), MASK_33))
                let six := shr(128, high)
                r := add(and(low, PPPP), and(shr(31, low), MASK_33))
                r := add(r, shl(128, add(shl(2, high), mul(11, six))))
                r := sub(add(r, BIAS), add(mul(5, and(high, 0xffffffffffffffffffffffffffffffff)), mul(20, six)))
                r := add(and(r, PPPP), and(shr(31, r), MASK_33))
                r := add(and(r, PPPP), and(shr(31, r), MASK_33))
            }}
{body}            mstore(0, combined)
            return(0, 0x20)
        }}
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use circuit_verifier::circuit_claim::CircuitInteractionElements;
    use circuit_verifier::statement::all_circuit_components;
    use circuits::context::{Context, Var};
    use circuits_stark_verifier::constraint_eval::{
        ComponentDataTrait, CompositionConstraintAccumulator,
    };
    use circuits_stark_verifier::proof::InteractionAtOods;
    use num_traits::Zero;
    use stwo::core::air::{Component, Components};
    use stwo::core::channel::Channel;
    use stwo::core::circle::CirclePoint;
    use stwo::core::fields::m31::BaseField;
    use stwo::core::fields::qm31::SecureField;
    use stwo::core::pcs::TreeVec;
    use stwo_constraint_framework::preprocessed_columns::PreProcessedColumnId;

    use super::expression::{Expression, Node};
    use super::*;
    use crate::channel::KeccakChannel;

    fn evaluate(
        expression: Expression,
        input: &dyn Fn(Input) -> SecureField,
        known: &mut HashMap<Expression, SecureField>,
    ) -> SecureField {
        if let Some(value) = known.get(&expression) {
            return *value;
        }
        let value = match expression.node() {
            Node::Constant(value) => value,
            Node::Input(name) => input(name),
            Node::Add(a, b) => evaluate(a, input, known) + evaluate(b, input, known),
            Node::Sub(a, b) => evaluate(a, input, known) - evaluate(b, input, known),
            Node::Mul(a, b) => evaluate(a, input, known) * evaluate(b, input, known),
        };
        known.insert(expression, value);
        value
    }

    /// At random samples, which satisfy nothing, the expressions give what S-two's own evaluation gives, and what its
    /// circuits give.
    #[test]
    fn the_expressions_are_s_twos_constraints() {
        let mut key = any_key();
        // An order of sizes that is not the order of components.
        key.component_log_sizes[..5].copy_from_slice(&[9, 20, 5, 17, 7]);
        let layout = key.layout();
        let mut random = KeccakChannel::new([9; 32]);
        let samples = TreeVec(
            layout
                .trees
                .iter()
                .map(|columns| {
                    columns
                        .iter()
                        .map(|column| random.draw_secure_felts(column.n_samples))
                        .collect()
                })
                .collect::<Vec<Vec<Vec<SecureField>>>>(),
        );
        let claimed_sums = std::array::from_fn(|_| random.draw_secure_felt());
        let [z, alpha] = {
            let mut drawn = random.clone();
            [drawn.draw_secure_felt(), drawn.draw_secure_felt()]
        };
        let elements = CircuitInteractionElements::draw(&mut random);
        let coefficient = random.draw_secure_felt();
        let point = CirclePoint::<SecureField>::get_random_point(&mut random);
        let components = key.components(&elements, claimed_sums).components();
        let components: Vec<&dyn Component> = components.iter().map(AsRef::as_ref).collect();
        let expected = Components { components, n_preprocessed_columns: layout.trees[0].len() }
            .eval_composition_polynomial_at_point(
                point,
                &samples,
                coefficient,
                key.trace_log_size(),
            )
            * point.repeated_double(key.trace_log_size() - 1).x;

        let ids = key.preprocessed_ids();
        let names: Vec<&str> =
            PREPROCESSED_COLUMNS.iter().flat_map(|columns| *columns).copied().collect();
        let combine = |first: usize, sample: usize| {
            SecureField::from_partial_evals(std::array::from_fn(|i| {
                let column = &samples.0[2][first + i];
                column[if column.len() == 2 { sample } else { 0 }]
            }))
        };
        let sums: Vec<usize> = (0..layout.trees[2].len())
            .step_by(4)
            .filter(|column| layout.trees[2][*column].n_samples == 2)
            .collect();
        let input = |input: Input| match input {
            Input::LookupZ => z,
            Input::LookupAlpha(power) => {
                (0..power).fold(SecureField::from(1), |product, _| product * alpha)
            }
            Input::Preprocessed(column) => {
                samples.0[0][ids.iter().position(|id| id.id == names[column]).unwrap()][0]
            }
            Input::Trace(column) => samples.0[1][column][0],
            Input::Interaction(column) => combine(4 * column, 1),
            Input::PreviousSum(component) => combine(sums[component], 0),
            Input::ClaimedShare(component) => {
                claimed_sums[component] / BaseField::from(1 << key.component_log_sizes[component])
            }
        };
        let constraints = Constraints::new(&key);
        let mut known = HashMap::new();
        let combined =
            constraints.constraints.iter().fold(SecureField::zero(), |sum, constraint| {
                sum * coefficient + evaluate(*constraint, &input, &mut known)
            });
        assert_eq!(combined, expected);

        let preprocessed = ids.iter().cloned().zip(samples.0[0].iter().map(|values| values[0]));
        let by_circuits = evaluated_by_circuits(
            preprocessed.collect(),
            &samples.0[1].iter().flatten().copied().collect::<Vec<_>>(),
            &samples.0[2],
            &key.component_log_sizes.map(|log_size| SecureField::from(1 << log_size)),
            &claimed_sums,
            [z, alpha],
            coefficient,
        );
        assert_eq!(combined, by_circuits);
    }

    struct Row {
        trace: Vec<Var>,
        interaction: Vec<InteractionAtOods<Var>>,
        n_rows: Var,
    }

    impl ComponentDataTrait<SecureField> for Row {
        fn trace_columns(&self) -> &[Var] {
            &self.trace
        }

        fn interaction_columns(&self) -> &[InteractionAtOods<Var>] {
            &self.interaction
        }

        fn n_instances(&self) -> Var {
            self.n_rows
        }

        /// The circuits check by this that a lookup table has the size that it has; nothing else asks.
        fn get_n_instances_bit(&self, context: &mut Context<SecureField>, _: usize) -> Var {
            context.one()
        }

        fn max_component_size_bits(&self) -> usize {
            0
        }
    }

    /// The constraints as the circuits that verify circuits' proofs have them: other definitions of the same.
    fn evaluated_by_circuits(
        preprocessed: HashMap<PreProcessedColumnId, SecureField>,
        mut trace: &[SecureField],
        mut interaction: &[Vec<SecureField>],
        n_rows: &[SecureField],
        claimed_sums: &[SecureField],
        elements: [SecureField; 2],
        coefficient: SecureField,
    ) -> SecureField {
        let mut context = Context::<SecureField>::default();
        let var = |context: &mut Context<SecureField>, value| context.new_var(value);
        let preprocessed =
            preprocessed.into_iter().map(|(id, value)| (id, var(&mut context, value))).collect();
        let elements = elements.map(|element| var(&mut context, element));
        let coefficient = var(&mut context, coefficient);
        let mut accumulator = CompositionConstraintAccumulator::new(
            &mut context,
            preprocessed,
            HashMap::new(),
            coefficient,
            elements,
        );
        let components = all_circuit_components::<SecureField>();
        for ((component, n_rows), claimed_sum) in components.values().zip(n_rows).zip(claimed_sums)
        {
            let columns = trace.split_off(..component.trace_columns()).unwrap();
            let sums = interaction.split_off(..component.interaction_columns()).unwrap();
            let row = Row {
                trace: columns.iter().map(|value| var(&mut context, *value)).collect(),
                interaction: sums
                    .iter()
                    .map(|values| {
                        let (at_oods, before) = values.split_last().unwrap();
                        InteractionAtOods {
                            at_oods: var(&mut context, *at_oods),
                            at_prev: before.first().map(|value| var(&mut context, *value)),
                        }
                    })
                    .collect(),
                n_rows: var(&mut context, *n_rows),
            };
            let claimed_sum = var(&mut context, *claimed_sum);
            component.evaluate(&mut context, &row, &mut accumulator);
            accumulator.finalize_logup_in_pairs(&mut context, &row.interaction, &row, claimed_sum);
        }
        let combined = accumulator.finalize();
        context.get(combined)
    }

    /// What is checked in is what the definitions give.
    #[test]
    fn the_generated_contracts_are_up_to_date() {
        let folder = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap())
            .join("../../contracts/solidity/src/verifier/generated");
        for (name, source) in generated_files() {
            let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(
                found == source,
                "{name}: run `cargo run -p sidereal-final-proof --example generate_solidity`"
            );
        }
    }
}
