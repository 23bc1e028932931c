//! Which parts of a class StarknetOS hashes for a block: those that the block's calls can reach.
//!
//! The compiled class hash is a tree over segments, one a function; of a function that no call enters, only the hash
//! is taken. What a call enters depends on its arguments, and native code does not say. What it *can* enter follows
//! from the bytecode: Cairo 1 calls and jumps by constants. That is never less, and for most entry points little more.

use std::collections::BTreeSet;

use blockifier::execution::contract_class::{CompiledClassV1, NestedFeltCounts};
use cairo_vm::types::instruction::{Op1Addr, Opcode, PcUpdate};
use cairo_vm::types::relocatable::MaybeRelocatable;
use cairo_vm::vm::decoding::decoder::decode_instruction;
use starknet_types_core::felt::Felt;

/// The segments of a class, and where the code of each leads.
#[derive(Debug)]
pub(super) struct Segments {
    /// Offset of the first felt of each, ascending; the last entry is the end of the last one.
    bounds: Vec<usize>,
    /// The segments that each calls or jumps into. `None`: it may go anywhere.
    leads_to: Vec<Option<BTreeSet<usize>>>,
}

impl Segments {
    pub(super) fn of_class(class: &CompiledClassV1) -> Self {
        let code: Vec<Option<Felt>> = class
            .program
            .iter_data()
            .map(|cell| match cell {
                MaybeRelocatable::Int(felt) => Some(*felt),
                MaybeRelocatable::RelocatableValue(_) => None,
            })
            .collect();
        let mut lengths = Vec::new();
        leaves(class.bytecode_segment_felt_sizes(), &mut lengths);
        Self::new(&code, &lengths)
    }

    fn new(code: &[Option<Felt>], lengths: &[usize]) -> Self {
        let mut bounds = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            bounds.push(end);
        }
        let mut segments = Self { bounds, leads_to: Vec::with_capacity(lengths.len()) };
        for index in 0..lengths.len() {
            let leads_to = segments.targets(code, index);
            segments.leads_to.push(leads_to);
        }
        segments
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.leads_to.len()
    }

    /// Felts of a segment.
    pub(super) fn felts(&self, segment: usize) -> usize {
        self.bounds[segment + 1] - self.bounds[segment]
    }

    /// All segments that code entered at `offset` can reach.
    pub(super) fn reachable(&self, offset: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<usize> = self.segment_at(offset).into_iter().collect();
        while let Some(segment) = waiting.pop() {
            if !reached.insert(segment) {
                continue;
            }
            match &self.leads_to[segment] {
                Some(targets) => waiting.extend(targets.difference(&reached)),
                None => return (0..self.count()).collect(),
            }
        }
        reached
    }

    /// None beyond the end, where the compiler appends what is not hashed.
    fn segment_at(&self, offset: usize) -> Option<usize> {
        let after = self.bounds.partition_point(|start| *start <= offset);
        after.checked_sub(1).filter(|segment| *segment < self.bounds.len() - 1)
    }

    /// Where the code of a segment leads.
    fn targets(&self, code: &[Option<Felt>], segment: usize) -> Option<BTreeSet<usize>> {
        let (start, end) = (self.bounds[segment], self.bounds[segment + 1]);
        let word = |offset: usize| code.get(offset).copied().flatten();
        let mut targets = BTreeSet::new();
        let mut offset = start;
        let mut falls_through = true;
        while offset < end {
            let decoded =
                word(offset).and_then(|word| u128::try_from(word).ok()).map(decode_instruction);
            // No instruction: constants, which only their own `ret` leads to.
            let Some(Ok(instruction)) = decoded else { break };
            let is_constant = instruction.op1_addr == Op1Addr::Imm;
            let is_jump = instruction.pc_update != PcUpdate::Regular;
            if instruction.opcode == Opcode::Ret {
                // A segment that starts so holds constants.
                if offset == start {
                    return Some(targets);
                }
            } else if is_jump && is_constant && instruction.pc_update != PcUpdate::Jump {
                let target = word(offset + 1).and_then(|distance| displaced(offset, distance))?;
                targets.extend(self.segment_at(target));
            } else if instruction.opcode == Opcode::Call || instruction.pc_update == PcUpdate::Jump
            {
                return None;
            }
            // What remains are jumps into a table that follows, within the function.
            falls_through = matches!(instruction.pc_update, PcUpdate::Regular | PcUpdate::Jnz)
                || instruction.opcode == Opcode::Call;
            offset += instruction.size();
        }
        if falls_through {
            targets.extend(self.segment_at(end));
        }
        Some(targets)
    }
}

fn leaves(node: &NestedFeltCounts, lengths: &mut Vec<usize>) {
    match node {
        NestedFeltCounts::Leaf(length, _) => lengths.push(*length),
        NestedFeltCounts::Node(children) => {
            children.iter().for_each(|child| leaves(child, lengths));
        }
    }
}

/// An offset and a distance that may be negative, as felts have it.
fn displaced(offset: usize, distance: Felt) -> Option<usize> {
    usize::try_from(Felt::from(offset) + distance).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RET: u64 = 0x208b_7fff_7fff_7ffe;
    /// `call rel` and its distance.
    const CALL: u64 = 0x1104_8001_8001_8000;
    /// `call abs [fp - 3]`.
    const CALL_ANYWHERE: u64 = 0x1088_7ffd_8001_8000;
    /// `jmp rel` and its distance, if `[fp - 3]` is not zero.
    const JNZ: u64 = 0x0206_8001_7fff_7ffd;
    /// `[ap] = ...; ap++` and its constant.
    const PUSH: u64 = 0x4806_8001_7fff_8000;

    fn segments(code: &[&[i64]]) -> Segments {
        let felts: Vec<Option<Felt>> =
            code.iter().flat_map(|it| it.iter()).map(|word| Some(Felt::from(*word))).collect();
        let lengths: Vec<usize> = code.iter().map(|it| it.len()).collect();
        Segments::new(&felts, &lengths)
    }

    fn word(word: u64) -> i64 {
        i64::try_from(word).unwrap()
    }

    /// Calls and conditional jumps are followed, forwards and backwards, and from every segment that is reached.
    #[test]
    fn calls_are_followed() {
        let (ret, call, push, jnz) = (word(RET), word(CALL), word(PUSH), word(JNZ));
        let segments = segments(&[
            &[call, 6, ret],
            &[push, 7, ret],
            &[jnz, 5, call, -5, ret],
            &[push, 1, ret],
        ]);
        assert_eq!(segments.reachable(0), BTreeSet::from([0, 1, 2, 3]));
        assert_eq!(segments.reachable(3), BTreeSet::from([1]));
        assert_eq!(segments.reachable(4), BTreeSet::from([1]));
        assert_eq!(segments.reachable(6), BTreeSet::from([1, 2, 3]));
        assert_eq!(segments.reachable(11), BTreeSet::from([3]));
        // Beyond the end lies what the compiler appends.
        assert_eq!(segments.reachable(14), BTreeSet::new());
        assert_eq!((segments.count(), segments.felts(2)), (4, 5));
    }

    /// Code without a `ret` at its end runs into what follows; constants lead nowhere, whatever they look like.
    #[test]
    fn the_ends_of_segments() {
        let (ret, call, push) = (word(RET), word(CALL), word(PUSH));
        let segments = segments(&[&[push, 7], &[push, 8, ret], &[ret, call, -7], &[push, 1, ret]]);
        assert_eq!(segments.reachable(0), BTreeSet::from([0, 1]));
        assert_eq!(segments.reachable(5), BTreeSet::from([2]));
    }

    /// A call that depends on a value may go anywhere.
    #[test]
    fn a_computed_call_reaches_everything() {
        let (ret, push) = (word(RET), word(PUSH));
        let segments = segments(&[&[word(CALL_ANYWHERE), ret], &[push, 8, ret], &[push, 1, ret]]);
        assert_eq!(segments.reachable(0), BTreeSet::from([0, 1, 2]));
        assert_eq!(segments.reachable(2), BTreeSet::from([1]));
    }
}
