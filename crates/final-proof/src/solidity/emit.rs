//! Expressions as statements of Yul.
//!
//! A value is a word of four 64-bit lanes, the coefficients in `1, u, u^2, u^3`. Every value in memory or passed to
//! `mul` is *reduced*: its lanes are at most p = 2^31-1 (0 and p are the same element). Sums are flattened, added
//! without care and folded as often as the bound of their lanes, which is tracked here, demands.

use std::collections::HashMap;
use std::fmt::Write as _;

use num_traits::Zero;
use stwo::core::fields::m31::{BaseField, P};

use super::expression::{Expression, Input, Node};

const P64: u64 = P as u64;

/// The largest lane that `fold` can make of lanes up to `bound`.
const fn folded_bound(bound: u64) -> u64 {
    let high = bound >> 31;
    let at_bound = (bound & P64) + high;
    let below = if high > 0 { P64 + high - 1 } else { 0 };
    if at_bound > below { at_bound } else { below }
}

/// How often lanes up to `bound` are folded until they are at most p.
fn folds(mut bound: u64) -> usize {
    let mut folds = 0;
    while bound > P64 {
        bound = folded_bound(bound);
        folds += 1;
    }
    folds
}

/// A sum without parentheses.
#[derive(Default)]
struct Terms {
    positive: Vec<Expression>,
    negative: Vec<Expression>,
    /// Products by a constant of the base field.
    scaled: Vec<(BaseField, Expression)>,
    constant: BaseField,
}

/// Writes the statements that compute expressions; see the [module](self).
pub(crate) struct Emitter<'a> {
    uses: HashMap<Expression, usize>,
    in_memory: HashMap<Expression, usize>,
    /// Where inputs lie in memory.
    input_address: &'a dyn Fn(Input) -> usize,
    next_address: usize,
    /// Address of `n * p` in every lane, by `n - 1`.
    multiples_address: usize,
    /// The largest `n` whose multiple was taken.
    pub n_multiples: usize,
    pub statements: Vec<String>,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(
        roots: &[Expression],
        input_address: &'a dyn Fn(Input) -> usize,
        multiples_address: usize,
        first_address: usize,
    ) -> Self {
        let mut emitter = Self {
            uses: HashMap::new(),
            in_memory: HashMap::new(),
            input_address,
            next_address: first_address,
            multiples_address,
            n_multiples: 0,
            statements: Vec::new(),
        };
        for root in roots {
            emitter.count(*root);
        }
        emitter
    }

    fn count(&mut self, expression: Expression) {
        let uses = self.uses.entry(expression).or_default();
        *uses += 1;
        if *uses == 1
            && let Node::Add(a, b) | Node::Sub(a, b) | Node::Mul(a, b) = expression.node()
        {
            self.count(a);
            self.count(b);
        }
    }

    fn is_shared(&self, expression: Expression) -> bool {
        self.uses.get(&expression).is_some_and(|uses| *uses > 1)
    }

    /// Where memory that the statements write ends.
    pub(crate) const fn end(&self) -> usize {
        self.next_address
    }

    /// An expression of Yul that is the value, reduced. Shared parts are computed by statements before.
    pub(crate) fn value(&mut self, expression: Expression) -> String {
        if let Some(address) = self.in_memory.get(&expression) {
            return format!("mload({address:#x})");
        }
        let value = match expression.node() {
            Node::Input(input) => return format!("mload({:#x})", (self.input_address)(input)),
            Node::Constant(value) => return format!("{}", base(value).0),
            Node::Mul(a, b) => match (constant(a), constant(b)) {
                (Some(factor), _) => self.scaled_value(factor, b),
                (_, Some(factor)) => self.scaled_value(factor, a),
                _ => {
                    let (a, b) = (self.value(a), self.value(b));
                    format!("mul4({a}, {b})")
                }
            },
            Node::Add(..) | Node::Sub(..) => {
                let mut terms = Terms::default();
                self.flatten(expression, false, true, &mut terms);
                self.sum(&terms)
            }
        };
        if !self.is_shared(expression) {
            return value;
        }
        let address = self.next_address;
        self.next_address += 0x20;
        self.statements.push(format!("mstore({address:#x}, {value})"));
        self.in_memory.insert(expression, address);
        format!("mload({address:#x})")
    }

    fn scaled_value(&mut self, factor: BaseField, of: Expression) -> String {
        format!("fold2(mul({}, {}))", self.value(of), factor.0)
    }

    fn flatten(&self, expression: Expression, negated: bool, is_root: bool, terms: &mut Terms) {
        let inline = is_root || !self.is_shared(expression);
        match expression.node() {
            Node::Add(a, b) if inline => {
                self.flatten(a, negated, false, terms);
                self.flatten(b, negated, false, terms);
            }
            Node::Sub(a, b) if inline => {
                self.flatten(a, negated, false, terms);
                self.flatten(b, !negated, false, terms);
            }
            Node::Constant(value) => {
                terms.constant += if negated { -base(value) } else { base(value) };
            }
            Node::Mul(a, b) if inline && (constant(a).is_some() || constant(b).is_some()) => {
                let (factor, of) = match constant(a) {
                    Some(factor) => (factor, b),
                    None => (constant(b).unwrap_or_default(), a),
                };
                terms.scaled.push((if negated { -factor } else { factor }, of));
            }
            _ if negated => terms.negative.push(expression),
            _ => terms.positive.push(expression),
        }
    }

    fn sum(&mut self, terms: &Terms) -> String {
        let mut bound = 0_u64;
        let mut parts: Vec<String> = Vec::new();
        for term in &terms.positive {
            parts.push(self.value(*term));
            bound += P64;
        }
        for (factor, of) in &terms.scaled {
            let product = format!("mul({}, {})", self.value(*of), factor.0);
            let product_bound = P64 * u64::from(factor.0);
            match bound.checked_add(product_bound) {
                Some(sum) => {
                    bound = sum;
                    parts.push(product);
                }
                None => {
                    bound += P64;
                    parts.push(format!("fold2({product})"));
                }
            }
        }
        if !terms.constant.is_zero() {
            parts.push(terms.constant.0.to_string());
            bound += P64;
        }
        if !terms.negative.is_empty() {
            let n = terms.negative.len();
            self.n_multiples = self.n_multiples.max(n);
            bound += P64 * n as u64;
            let negative: Vec<String> =
                terms.negative.iter().map(|term| self.value(*term)).collect();
            let multiple = format!("mload({:#x})", self.multiples_address + 0x20 * (n - 1));
            parts.push(format!("sub({multiple}, {})", added(&negative)));
        }
        let sum = added(&parts);
        match folds(bound) {
            0 => sum,
            1 => format!("fold({sum})"),
            2 => format!("fold2({sum})"),
            n => {
                let mut folded = format!("fold2({sum})");
                for _ in 2..n {
                    folded = format!("fold({folded})");
                }
                folded
            }
        }
    }
}

fn added(parts: &[String]) -> String {
    let mut sum = parts.last().cloned().unwrap_or_else(|| "0".to_owned());
    for part in parts.iter().rev().skip(1) {
        let mut longer = String::new();
        let _ = write!(longer, "add({part}, {sum})");
        sum = longer;
    }
    sum
}

fn constant(expression: Expression) -> Option<BaseField> {
    match expression.node() {
        Node::Constant(value) => Some(base(value)),
        _ => None,
    }
}

/// # Panics
///
/// Where a constraint has a constant of the extension field: S-two's have none but those that stand for inputs.
fn base(value: stwo::core::fields::qm31::SecureField) -> BaseField {
    match value.try_into() {
        Ok(value) => value,
        Err(()) => panic!("{value} is not in the base field"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound is attained or exceeded by no lane near the edges.
    #[test]
    fn folding_keeps_to_its_bound() {
        let fold = |lane: u64| (lane & P64) + (lane >> 31);
        for bound in [P64 + 1, 2 * P64, 2 * P64 + 1, 3 * P64, P64 * P64, 3 * P64 * P64, u64::MAX] {
            for below in 0..1000 {
                assert!(fold(bound - below) <= folded_bound(bound));
            }
            // The last lane with all low bits set is what makes the largest result.
            let high = bound >> 31;
            assert!(fold(((high - 1) << 31) | P64) <= folded_bound(bound));
        }
        assert_eq!((folds(P64), folds(2 * P64), folds(P64 * P64)), (0, 1, 2));
    }
}
