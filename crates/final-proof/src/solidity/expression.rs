//! Expressions over the extension field, each built once: a directed graph without repetition.
//!
//! S-two's constraints are generic over what they calculate with. [`Expression`] is a field element to them, and
//! remembers what they did.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub};

use num_traits::{One, Zero};
use stwo::core::fields::FieldExpOps;
use stwo::core::fields::m31::BaseField;
use stwo::core::fields::qm31::SecureField;

/// A value that the constraints are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Input {
    /// The lookups' `z`.
    LookupZ,
    /// A power of the lookups' `alpha`, from 1 on.
    LookupAlpha(usize),
    /// A sampled preprocessed column, numbered as in `PREPROCESSED_COLUMNS`.
    Preprocessed(usize),
    /// A sampled trace column.
    Trace(usize),
    /// Four sampled interaction columns, combined.
    Interaction(usize),
    /// A component's running sum, four columns combined, in the row before.
    PreviousSum(usize),
    /// A component's claimed sum, divided by its rows.
    ClaimedShare(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Constant(SecureField),
    Input(Input),
    Add(Expression, Expression),
    Sub(Expression, Expression),
    Mul(Expression, Expression),
}

/// A node of this thread's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Expression(usize);

#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, Expression>,
    /// Constants that stand for inputs: the only way to name an input to code that takes field elements.
    stand_ins: HashMap<SecureField, Input>,
}

thread_local! {
    static GRAPH: RefCell<Graph> = RefCell::default();
}

/// Constants that equal a key of `stand_ins` mean the input instead, on this thread, from now on.
pub(crate) fn set_stand_ins(stand_ins: HashMap<SecureField, Input>) {
    GRAPH.with_borrow_mut(|graph| graph.stand_ins = stand_ins);
}

impl Expression {
    pub(crate) fn new(node: Node) -> Self {
        GRAPH.with_borrow_mut(|graph| {
            if let Some(known) = graph.known.get(&node) {
                return *known;
            }
            let expression = Self(graph.nodes.len());
            graph.nodes.push(node);
            graph.known.insert(node, expression);
            expression
        })
    }

    pub(crate) fn input(input: Input) -> Self {
        Self::new(Node::Input(input))
    }

    pub(crate) fn node(self) -> Node {
        GRAPH.with_borrow(|graph| graph.nodes[self.0])
    }

    fn constant(self) -> Option<SecureField> {
        match self.node() {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }
}

impl From<SecureField> for Expression {
    fn from(value: SecureField) -> Self {
        let stand_in = GRAPH.with_borrow(|graph| graph.stand_ins.get(&value).copied());
        match stand_in {
            Some(input) => Self::input(input),
            None => Self::new(Node::Constant(value)),
        }
    }
}

impl From<BaseField> for Expression {
    fn from(value: BaseField) -> Self {
        Self::new(Node::Constant(value.into()))
    }
}

impl Add for Expression {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        match (self.constant(), other.constant()) {
            (Some(a), Some(b)) => Self::new(Node::Constant(a + b)),
            (Some(a), None) if a.is_zero() => other,
            (None, Some(b)) if b.is_zero() => self,
            _ => Self::new(Node::Add(self.min(other), self.max(other))),
        }
    }
}

impl Sub for Expression {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        match (self.constant(), other.constant()) {
            (Some(a), Some(b)) => Self::new(Node::Constant(a - b)),
            (None, Some(b)) if b.is_zero() => self,
            _ => Self::new(Node::Sub(self, other)),
        }
    }
}

impl Mul for Expression {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        match (self.constant(), other.constant()) {
            (Some(a), Some(b)) => Self::new(Node::Constant(a * b)),
            (Some(a), None) if a.is_one() => other,
            (None, Some(b)) if b.is_one() => self,
            (Some(a), None) if a.is_zero() => self,
            (None, Some(b)) if b.is_zero() => other,
            _ => Self::new(Node::Mul(self.min(other), self.max(other))),
        }
    }
}

impl Neg for Expression {
    type Output = Self;

    fn neg(self) -> Self {
        Self::zero() - self
    }
}

impl Zero for Expression {
    fn zero() -> Self {
        BaseField::zero().into()
    }

    fn is_zero(&self) -> bool {
        self.constant().is_some_and(|value| value.is_zero())
    }
}

impl One for Expression {
    fn one() -> Self {
        BaseField::one().into()
    }
}

impl AddAssign for Expression {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl MulAssign for Expression {
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl AddAssign<BaseField> for Expression {
    fn add_assign(&mut self, other: BaseField) {
        *self = *self + other;
    }
}

/// The operations with constants that constraints may use.
macro_rules! with_constants {
    ($($operation:ident, $function:ident, $constant:ty;)*) => {$(
        impl $operation<$constant> for Expression {
            type Output = Self;

            fn $function(self, other: $constant) -> Self {
                $operation::$function(self, Self::from(other))
            }
        }
    )*};
}
with_constants! {
    Add, add, BaseField;
    Mul, mul, BaseField;
    Add, add, SecureField;
    Sub, sub, SecureField;
    Mul, mul, SecureField;
}

impl FieldExpOps for Expression {
    /// # Panics
    ///
    /// Constraints are polynomials: they have no use for this.
    fn inverse(&self) -> Self {
        panic!("a constraint divides")
    }
}
