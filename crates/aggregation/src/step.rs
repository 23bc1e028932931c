//! The steps by which consecutive blocks are aggregated, and what each of them takes: a pure plan.
//!
//! ```text
//!   blocks a..=b ──────────────────────────> Program ──> WrapProgram ─┐
//!   block a ──> Wrap ─┐                                               ├─> Top ──> Shrink ──> Compact ──> Last
//!   block b ──> Wrap ─┴─> Merge ──────────────────────────────────────┘
//! ```
//!
//! Every step has one proof as its result, and its name says all that the proof depends on besides the chain. So a
//! step that failed is repeated alone, and whoever comes second finds it done.

use std::fmt;
use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::circuit::CircuitKind;

/// Consecutive blocks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Blocks {
    /// The first one.
    pub first: u64,
    /// The last one; not below `first`.
    pub last: u64,
}

impl Blocks {
    /// None when `last` is below `first`, or when there are too many to be counted.
    pub fn new(first: u64, last: u64) -> Option<Self> {
        (last.checked_sub(first)? < u64::MAX).then_some(Self { first, last })
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Their numbers.
    pub fn numbers(&self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    /// The two parts that are merged: the left one has as many blocks as the largest power of two below the count.
    /// None for a single block.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let count = self.count();
        if count == 1 {
            return None;
        }
        let middle = self.first + (1 << (count - 1).ilog2());
        let left = Self { first: self.first, last: middle - 1 };
        Some((left, Self { first: middle, last: self.last }))
    }
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// The circuit over a block's proof.
    Wrap(u64),
    /// The circuit over two proofs of parts of the blocks; at least two blocks.
    Merge(Blocks),
    /// The aggregator's Cairo proof over the blocks' outputs.
    Program(Blocks),
    /// The circuit over the aggregator's proof.
    WrapProgram(Blocks),
    /// The circuit over the blocks' tree and the aggregator.
    Top(Blocks),
    /// The circuit over [`Self::Top`].
    Shrink(Blocks),
    /// The circuit over [`Self::Shrink`].
    Compact(Blocks),
    /// The proof that Ethereum verifies, of the circuit over [`Self::Compact`].
    Last(Blocks),
}

/// What a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepInput {
    /// The proof of a block.
    Block(u64),
    /// The result of another step.
    Step(Step),
}

impl Step {
    /// The step whose proof stands for the blocks alone.
    pub fn tree(blocks: Blocks) -> Self {
        if blocks.count() == 1 { Self::Wrap(blocks.first) } else { Self::Merge(blocks) }
    }

    /// All steps of a batch, each behind those that it takes; in an order in which a single worker has to change between
    /// the tables of two circuits as rarely as can be.
    pub fn all(blocks: Blocks) -> Vec<Self> {
        fn tree(blocks: Blocks, steps: &mut Vec<Step>) {
            if let Some((left, right)) = blocks.halves() {
                tree(left, steps);
                tree(right, steps);
            }
            steps.push(Step::tree(blocks));
        }
        let mut steps = vec![Self::Program(blocks)];
        tree(blocks, &mut steps);
        steps.extend(
            [Self::WrapProgram, Self::Top, Self::Shrink, Self::Compact, Self::Last]
                .map(|step| step(blocks)),
        );
        steps
    }

    /// What it takes, in the order in which it takes them.
    pub fn inputs(&self) -> Vec<StepInput> {
        let step = |step| vec![StepInput::Step(step)];
        match *self {
            Self::Wrap(block) => vec![StepInput::Block(block)],
            Self::Merge(blocks) => {
                let halves = blocks.halves().map(|(left, right)| [left, right]);
                halves.into_iter().flatten().map(|half| StepInput::Step(Self::tree(half))).collect()
            }
            Self::Program(blocks) => blocks.numbers().map(StepInput::Block).collect(),
            Self::WrapProgram(blocks) => step(Self::Program(blocks)),
            Self::Top(blocks) => {
                vec![
                    StepInput::Step(Self::tree(blocks)),
                    StepInput::Step(Self::WrapProgram(blocks)),
                ]
            }
            Self::Shrink(blocks) => step(Self::Top(blocks)),
            Self::Compact(blocks) => step(Self::Shrink(blocks)),
            Self::Last(blocks) => step(Self::Compact(blocks)),
        }
    }

    /// The circuit of which it makes a proof; none for the aggregator's Cairo proof.
    pub fn circuit(&self) -> Option<CircuitKind> {
        match self {
            Self::Wrap(_) | Self::WrapProgram(_) => Some(CircuitKind::Wrap),
            Self::Merge(_) | Self::Top(_) => Some(CircuitKind::Merge),
            Self::Program(_) => None,
            Self::Shrink(_) => Some(CircuitKind::Shrink),
            Self::Compact(_) => Some(CircuitKind::Compact),
            Self::Last(_) => Some(CircuitKind::Last),
        }
    }

    /// The blocks that it is about.
    pub fn blocks(&self) -> Blocks {
        match *self {
            Self::Wrap(block) => Blocks { first: block, last: block },
            Self::Merge(blocks)
            | Self::Program(blocks)
            | Self::WrapProgram(blocks)
            | Self::Top(blocks)
            | Self::Shrink(blocks)
            | Self::Compact(blocks)
            | Self::Last(blocks) => blocks,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Wrap(_) => "wrap",
            Self::Merge(_) => "merge",
            Self::Program(_) => "program",
            Self::WrapProgram(_) => "wrap_program",
            Self::Top(_) => "top",
            Self::Shrink(_) => "shrink",
            Self::Compact(_) => "compact",
            Self::Last(_) => "last",
        }
    }
}

/// The step's name: `wrap-17`, `merge-17-20`, `wrap_program-17-20`, ...
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrap(block) => write!(f, "wrap-{block}"),
            step => {
                let Blocks { first, last } = step.blocks();
                write!(f, "{}-{first}-{last}", step.kind())
            }
        }
    }
}

/// A text that names no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no step of an aggregation")]
pub struct BadStep(String);

impl FromStr for Step {
    type Err = BadStep;

    fn from_str(name: &str) -> Result<Self, BadStep> {
        let bad = || BadStep(name.chars().take(80).collect());
        let number = |text: &str| text.parse::<u64>().map_err(|_: ParseIntError| bad());
        let parts: Vec<&str> = name.split('-').collect();
        let step = match parts[..] {
            ["wrap", block] => Self::Wrap(number(block)?),
            [kind, first, last] => {
                let blocks = Blocks::new(number(first)?, number(last)?).ok_or_else(bad)?;
                match kind {
                    "merge" if blocks.count() > 1 => Self::Merge(blocks),
                    "program" => Self::Program(blocks),
                    "wrap_program" => Self::WrapProgram(blocks),
                    "top" => Self::Top(blocks),
                    "shrink" => Self::Shrink(blocks),
                    "compact" => Self::Compact(blocks),
                    "last" => Self::Last(blocks),
                    _ => return Err(bad()),
                }
            }
            _ => return Err(bad()),
        };
        // One name a step: no leading zeros, no plus signs.
        if step.to_string() == name { Ok(step) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sidereal_os_aggregator::Tree;

    use super::*;

    fn blocks(first: u64, last: u64) -> Blocks {
        Blocks::new(first, last).unwrap()
    }

    /// Every step comes once, behind all that it takes, and everything but the last one is taken exactly once by
    /// another; each block goes into one wrap and into the aggregator.
    #[test]
    fn a_batch_is_a_tree() {
        for count in 1..=40 {
            let steps = Step::all(blocks(7, 6 + count));
            let mut done = HashSet::new();
            let mut taken = HashSet::new();
            let mut block_uses = 0;
            for step in &steps {
                for input in step.inputs() {
                    match input {
                        StepInput::Block(block) => {
                            assert!((7..7 + count).contains(&block));
                            block_uses += 1;
                        }
                        StepInput::Step(input) => {
                            assert!(
                                done.contains(&input),
                                "{step} takes {input} before it is there"
                            );
                            assert!(taken.insert(input), "{input} is taken twice");
                        }
                    }
                }
                assert!(done.insert(*step), "{step} comes twice");
            }
            assert_eq!(block_uses, 2 * count);
            assert_eq!(taken.len() + 1, steps.len());
            assert!(!taken.contains(&Step::Last(blocks(7, 6 + count))));
        }
    }

    /// The aggregator is told the same tree as the one by which proofs are merged.
    #[test]
    fn the_tree_is_the_aggregators() {
        fn tree(blocks: Blocks) -> Tree {
            match blocks.halves() {
                None => Tree::Leaf,
                Some((left, right)) => Tree::merge(tree(left), tree(right)),
            }
        }
        for count in 1..=70 {
            let expected = Tree::balanced(usize::try_from(count).unwrap()).unwrap();
            assert_eq!(tree(blocks(3, 2 + count)), expected, "{count} blocks");
        }
    }

    #[test]
    fn names_are_read_back() {
        for step in Step::all(blocks(17, 21)) {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        for bad in [
            "",
            "wrap",
            "wrap-",
            "wrap-1-2",
            "wrap-01",
            "merge-3-3",
            "merge-4-3",
            "top-1",
            "top-+1-2",
            "x-1-2",
            "merge-0-18446744073709551615",
            "top-0-18446744073709551616",
        ] {
            assert!(bad.parse::<Step>().is_err(), "{bad}");
        }
    }
}
