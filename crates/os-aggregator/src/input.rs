//! What the aggregator gets.

use starknet_types_core::felt::Felt;

use crate::claims::CircuitHash;

/// Most blocks that the program takes.
pub const MAX_BLOCKS: usize = 1024;
/// Most blobs that a transaction on L1 has.
pub const MAX_BLOBS: usize = 6;

/// Consecutive blocks whose outputs are to be joined.
#[derive(Clone, Debug)]
pub struct AggregatorInput {
    /// What StarknetOS wrote for each block, in order, in the form
    /// [`OutputForm::PROVEN`](sidereal_block_prover::OutputForm::PROVEN).
    pub outputs: Vec<Vec<Felt>>,
    /// How the blocks' proofs were merged.
    pub tree: Tree,
    /// Root of the circuit that verifies a Cairo proof.
    pub wrap_root: CircuitHash,
    /// Root of the circuit that verifies two proofs.
    pub merge_root: CircuitHash,
}

/// How proofs of consecutive blocks were merged: any binary tree with the blocks, in order, at its leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The wrapped proof of a block.
    Leaf,
    /// Two merged proofs.
    Merge(Box<Tree>, Box<Tree>),
}

impl Tree {
    /// A merge of two.
    pub fn merge(left: Self, right: Self) -> Self {
        Self::Merge(Box::new(left), Box::new(right))
    }

    /// The lowest tree over `blocks` leaves, complete to the left: as many as the largest power of two below `blocks`
    /// are under the root's left child. None without blocks.
    pub fn balanced(blocks: usize) -> Option<Self> {
        match blocks {
            0 => None,
            1 => Some(Self::Leaf),
            _ => {
                let left = 1 << (blocks - 1).ilog2();
                Some(Self::merge(Self::balanced(left)?, Self::balanced(blocks - left)?))
            }
        }
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.preorder().into_iter().filter(|is_leaf| *is_leaf).count()
    }

    /// Of each node whether it is a leaf: a node before its left child, that before the right one.
    pub(crate) fn preorder(&self) -> Vec<bool> {
        let mut nodes = Vec::new();
        let mut open = vec![self];
        while let Some(tree) = open.pop() {
            nodes.push(*tree == Self::Leaf);
            if let Self::Merge(left, right) = tree {
                open.extend([&**right, &**left]);
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_trees_are_low_and_have_all_leaves() {
        fn height(tree: &Tree) -> u32 {
            match tree {
                Tree::Leaf => 0,
                Tree::Merge(left, right) => 1 + height(left).max(height(right)),
            }
        }
        assert_eq!(Tree::balanced(0), None);
        for blocks in 1..=70 {
            let tree = Tree::balanced(blocks).unwrap();
            assert_eq!(tree.leaves(), blocks);
            assert_eq!(height(&tree), blocks.next_power_of_two().ilog2(), "{blocks} blocks");
        }
        let three = Tree::merge(Tree::merge(Tree::Leaf, Tree::Leaf), Tree::Leaf);
        assert_eq!(Tree::balanced(3), Some(three.clone()));
        assert_eq!(three.preorder(), [false, false, true, true, true]);
    }
}
