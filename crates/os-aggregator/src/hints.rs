//! The guesses of the program. None of them is believed: a wrong one stops the run.

use std::any::Any;
use std::slice::Iter;
use std::vec::IntoIter;

use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::{
    BuiltinHintProcessor, HintProcessorData,
};
use cairo_vm::hint_processor::builtin_hint_processor::hint_utils::{
    get_integer_from_var_name, insert_value_from_var_name,
};
use cairo_vm::hint_processor::hint_processor_definition::HintProcessorLogic;
use cairo_vm::types::exec_scope::ExecutionScopes;
use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use cairo_vm::vm::errors::hint_errors::HintError;
use cairo_vm::vm::runners::cairo_runner::ResourceTracker;
use cairo_vm::vm::vm_core::VirtualMachine;
use num_traits::ToPrimitive;
use sidereal_block_prover::STARKNET_OS_BLAKE_HASH;
use sidereal_starknet_os::KzgHint;
use starknet_types_core::felt::Felt;

use crate::claims::{CircuitHash, limbs};
use crate::input::AggregatorInput;

/// The limb of a felt that has bits of both halves, and how many of the low one.
const MIDDLE_LIMB: usize = 14;
const MIDDLE_LOW_BITS: u32 = 2;

/// The hint processor of one run: our hints by their text, those of the KZG commitment by StarknetOS', the rest by
/// Cairo VM's.
pub struct AggregatorHintProcessor<'input> {
    input: &'input AggregatorInput,
    outputs: Iter<'input, Vec<Felt>>,
    nodes: IntoIter<bool>,
    common: BuiltinHintProcessor,
}

impl<'input> AggregatorHintProcessor<'input> {
    /// A processor for one run over `input`. It cannot be used twice.
    pub fn new(input: &'input AggregatorInput) -> Self {
        Self {
            input,
            outputs: input.outputs.iter(),
            nodes: input.tree.preorder().into_iter(),
            common: BuiltinHintProcessor::new_empty(),
        }
    }

    /// The circuits' roots, the number of blocks, and where messages go: to the output, once it is known where there.
    fn input(&self, ids: &mut Ids<'_>) -> Result<(), HintError> {
        ids.set("n_blocks", Felt::from(self.input.outputs.len()))?;
        for (name, root) in
            [("wrap_root", &self.input.wrap_root), ("merge_root", &self.input.merge_root)]
        {
            let words = ids.new_segment(&words(root))?;
            ids.set(name, words)?;
        }
        for name in ["messages_to_l1_start", "messages_to_l2_start"] {
            let segment = ids.vm.add_temporary_segment();
            ids.set(name, segment)?;
        }
        Ok(())
    }

    /// What the bootloader hashes for the next block.
    fn next_block(&mut self, ids: &mut Ids<'_>) -> Result<(), HintError> {
        let output = self.outputs.next().ok_or_else(|| exhausted("block"))?;
        let header = [Felt::ONE, Felt::from(output.len() + 2), STARKNET_OS_BLAKE_HASH];
        let record = ids.new_segment(&[&header[..], output].concat())?;
        ids.set("record", record)?;
        ids.set("length", Felt::from(output.len()))
    }

    /// Whether the next node of the tree is a leaf.
    fn next_node(&mut self, ids: &mut Ids<'_>) -> Result<(), HintError> {
        let is_leaf = self.nodes.next().ok_or_else(|| exhausted("node of the tree"))?;
        ids.set("is_leaf", Felt::from(is_leaf))
    }
}

/// The words of a hash, the lowest first.
fn words(hash: &CircuitHash) -> Vec<Felt> {
    hash.as_chunks::<4>().0.iter().map(|word| Felt::from(u32::from_le_bytes(*word))).collect()
}

/// How often 2^31 - 1 is in a word.
fn reduction_quotient(ids: &mut Ids<'_>) -> Result<(), HintError> {
    let word = ids.felt("word")?;
    let quotient = word.to_u32().map(|word| word / ((1 << 31) - 1));
    ids.set("quotient", Felt::from(quotient.unwrap_or_default()))
}

/// The limbs of a felt.
fn felt_limbs(ids: &mut Ids<'_>) -> Result<(), HintError> {
    let limbs = limbs(ids.felt("value")?);
    let middle = limbs[MIDDLE_LIMB];
    let segment = ids.new_segment(&limbs.map(Felt::from))?;
    ids.set("limbs", segment)?;
    ids.set("middle_low", Felt::from(middle % (1 << MIDDLE_LOW_BITS)))?;
    ids.set("middle_high", Felt::from(middle >> MIDDLE_LOW_BITS))
}

fn exhausted(what: &str) -> HintError {
    HintError::CustomHint(format!("the input has no {what} left").into_boxed_str())
}

/// The Cairo variables that a hint can name.
struct Ids<'run> {
    vm: &'run mut VirtualMachine,
    data: &'run HintProcessorData,
}

impl Ids<'_> {
    fn felt(&self, name: &str) -> Result<Felt, HintError> {
        get_integer_from_var_name(name, self.vm, &self.data.ids_data, &self.data.ap_tracking)
    }

    fn set(&mut self, name: &str, value: impl Into<MaybeRelocatable>) -> Result<(), HintError> {
        let data = self.data;
        insert_value_from_var_name(name, value, self.vm, &data.ids_data, &data.ap_tracking)
    }

    fn new_segment(&mut self, felts: &[Felt]) -> Result<Relocatable, HintError> {
        let segment = self.vm.add_memory_segment();
        let cells: Vec<MaybeRelocatable> = felts.iter().map(|felt| (*felt).into()).collect();
        self.vm.load_data(segment, &cells)?;
        Ok(segment)
    }
}

impl HintProcessorLogic for AggregatorHintProcessor<'_> {
    fn execute_hint(
        &mut self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        hint_data: &Box<dyn Any>,
    ) -> Result<(), HintError> {
        let data = hint_data.downcast_ref::<HintProcessorData>().ok_or(HintError::WrongHintData)?;
        match data.code.as_str() {
            "aggregator_input" => self.input(&mut Ids { vm, data }),
            "next_block" => self.next_block(&mut Ids { vm, data }),
            "next_node" => self.next_node(&mut Ids { vm, data }),
            "reduction_quotient" => reduction_quotient(&mut Ids { vm, data }),
            "felt_limbs" => felt_limbs(&mut Ids { vm, data }),
            text => match self.common.execute_hint(vm, scopes, hint_data) {
                Err(HintError::UnknownHint(name)) => match KzgHint::with_text(text) {
                    Some(hint) => hint.run(vm, scopes, data),
                    None => Err(HintError::UnknownHint(name)),
                },
                result => result,
            },
        }
    }
}

/// Nothing bounds the run but its input, whose size the planner bounded.
impl ResourceTracker for AggregatorHintProcessor<'_> {}
