//! What the program refuses: outputs that do not belong together, and guesses that are not what they stand for. The
//! program is run alone, without the checks of the Rust side before it.

use std::any::Any;

use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::HintProcessorData;
use cairo_vm::hint_processor::builtin_hint_processor::hint_utils::{
    get_integer_from_var_name, get_ptr_from_var_name, insert_value_from_var_name,
};
use cairo_vm::hint_processor::hint_processor_definition::HintProcessorLogic;
use cairo_vm::types::exec_scope::ExecutionScopes;
use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use cairo_vm::vm::errors::hint_errors::HintError;
use cairo_vm::vm::runners::cairo_runner::ResourceTracker;
use cairo_vm::vm::vm_core::VirtualMachine;
use sidereal_block_prover::OutputForm;
use sidereal_execution::replay::replay;
use sidereal_os_aggregator::{
    AggregatedOutput, AggregatedOutputError, AggregatorError, AggregatorHintProcessor,
    AggregatorInput, DataError, JoinError, Tree, aggregate, decode_data, joined_data, run_program,
};
use sidereal_starknet_os::{OsInput, run_os};
use starknet_types_core::felt::Felt;

use super::chain::{BLOCKS, balanced, input};

/// Words of an output of StarknetOS.
const INITIAL_ROOT: usize = 0;
const FINAL_ROOT: usize = 1;
const PREVIOUS_NUMBER: usize = 2;
const NUMBER: usize = 3;
const PREVIOUS_HASH: usize = 4;
const HASH: usize = 5;
const OS_PROGRAM_HASH: usize = 6;
const CONFIG_HASH: usize = 7;
const USE_KZG_DA: usize = 8;
const FULL_OUTPUT: usize = 9;
const MESSAGES_TO_L1: usize = 10;

/// What the program says where it stops, or the function in which it does.
fn refused(input: &AggregatorInput) -> String {
    stopped(&mut AggregatorHintProcessor::new(input))
}

fn stopped(
    hints: &mut dyn cairo_vm::hint_processor::hint_processor_definition::HintProcessor,
) -> String {
    match run_program(hints) {
        Err(AggregatorError::Stopped { message: Some(message), .. }) => message,
        Err(AggregatorError::Stopped { function, .. }) => function,
        Err(error) => panic!("{error:?}"),
        Ok(run) => panic!("it was accepted: {:?}", run.output),
    }
}

/// Three blocks, with one of their outputs changed.
fn changed(block: usize, change: impl FnOnce(&mut Vec<Felt>)) -> AggregatorInput {
    let mut input = balanced(3);
    change(&mut input.outputs[block]);
    input
}

/// Neither the program nor its twin in Rust joins blocks that do not follow each other.
#[test]
fn blocks_that_do_not_continue_each_other() {
    let message = "Error message: The block does not continue the one before it.";
    let mut swapped = balanced(3);
    swapped.outputs.swap(1, 2);
    let mut gap = balanced(2);
    gap.outputs[1] = BLOCKS[2].output.clone();
    let mut twice = balanced(2);
    twice.outputs[1] = BLOCKS[0].output.clone();
    let mut cases = vec![("swapped", swapped), ("gap", gap), ("twice", twice)];
    for (what, block, word) in [
        ("root before", 1, INITIAL_ROOT),
        ("root after", 0, FINAL_ROOT),
        ("hash before", 1, PREVIOUS_HASH),
        ("hash", 0, HASH),
        ("config hash", 2, CONFIG_HASH),
        ("first config hash", 0, CONFIG_HASH),
    ] {
        cases.push((what, changed(block, |output| output[word] += Felt::ONE)));
    }
    // Both numbers: each block is the successor of its own parent.
    let later = |output: &mut Vec<Felt>| {
        output[PREVIOUS_NUMBER] += Felt::ONE;
        output[NUMBER] += Felt::ONE;
    };
    cases.push(("number", changed(1, later)));
    for (what, input) in cases {
        assert_eq!(refused(&input), message, "{what}");
        let error = aggregate(&input).unwrap_err();
        assert!(matches!(error, JoinError::Discontinuous { .. }), "{what}: {error:?}");
    }
}

/// Only outputs of StarknetOS over one block, in the form that is proven.
#[test]
fn outputs_of_another_form() {
    let form = "Error message: The output is not in the form that is proven.";
    let witness = &BLOCKS[0].witness;
    for other in [OutputForm::Full, OutputForm::Kzg] {
        let os = OsInput::of_block(witness, replay(witness).unwrap()).unwrap();
        let mut input = balanced(1);
        input.outputs[0] = run_os(&os, other).unwrap().output;
        assert_eq!(refused(&input), form, "{other:?}");
        let error = aggregate(&input).unwrap_err();
        assert!(
            matches!(error, JoinError::Form { index: 0, found } if found == other),
            "{error:?}"
        );
    }
    for word in [OS_PROGRAM_HASH, USE_KZG_DA, FULL_OUTPUT] {
        let input = changed(1, |output| output[word] += Felt::ONE);
        assert_eq!(refused(&input), form, "word {word}");
        assert!(aggregate(&input).is_err(), "word {word}");
    }
    let input = changed(0, |output| output[PREVIOUS_NUMBER] -= Felt::ONE);
    assert_eq!(refused(&input), "Error message: The block is not one block.");
    assert!(matches!(aggregate(&input), Err(JoinError::NotOneBlock { index: 0, .. })));
}

/// An output of joined blocks is none of a block.
#[test]
fn the_output_of_the_aggregator_itself() {
    let mut again = balanced(1);
    again.outputs[0] = aggregate(&balanced(1)).unwrap().encode();
    assert_eq!(refused(&again), "Error message: The output is not in the form that is proven.");
    assert!(aggregate(&again).is_err());
}

/// Lengths that do not fit, or that wrap around in the field.
#[test]
fn lengths_of_messages() {
    let length = BLOCKS[2].output.len();
    let too_short = "Error message: The output is shorter than its messages.";
    let cases = [
        (Felt::from(length), too_short),
        (Felt::from(length - 11), too_short),
        (-Felt::ONE, "starkware.cairo.common.math.assert_nn"),
        (Felt::TWO.pow(128_u32), "starkware.cairo.common.math.assert_nn"),
    ];
    for (value, expected) in cases {
        let input = changed(2, |output| output[MESSAGES_TO_L1] = value);
        let message = refused(&input);
        // Past its end the output's memory is unknown: the run may also stop where that is read.
        let at_the_end = ["__main__.read_block", "starkware.cairo.common.memcpy.memcpy"];
        assert!(
            message == expected || at_the_end.contains(&message.as_str()),
            "{value}: {message}"
        );
        assert!(matches!(aggregate(&input), Err(JoinError::Output { index: 2, .. })), "{value}");
    }
}

/// Any other word leads to another hash at the tree's root, which no proof has: the length, the messages and the data
/// are bound.
#[test]
fn words_that_were_changed() {
    let honest = run_program(&mut AggregatorHintProcessor::new(&balanced(3))).unwrap().output;
    let tree_hash = &honest[honest.len() - 2..];
    let words = BLOCKS[2].output.len();
    let after_l1 = MESSAGES_TO_L1 + 1;
    for word in [FINAL_ROOT, HASH, after_l1, after_l1 + 3, words - 20, words - 1] {
        let input = changed(2, |output| output[word] += Felt::ONE);
        let output = run_program(&mut AggregatorHintProcessor::new(&input)).unwrap().output;
        assert_ne!(output[output.len() - 2..], *tree_hash, "word {word}");
    }
    let longer = changed(2, |output| output.push(Felt::ZERO));
    let output = run_program(&mut AggregatorHintProcessor::new(&longer)).unwrap().output;
    assert_ne!(output[output.len() - 2..], *tree_hash);
    let shorter = changed(2, |output| output.truncate(words - 1));
    let output = run_program(&mut AggregatorHintProcessor::new(&shorter)).unwrap().output;
    assert_ne!(output[output.len() - 2..], *tree_hash);
    assert!(matches!(aggregate(&longer), Err(JoinError::Output { .. })));
    assert!(matches!(aggregate(&shorter), Err(JoinError::Output { .. })));
    // The data of another block leads to other commitments, too.
    let with_data_of_block_1 = changed(2, |output| {
        let data = joined_data(&[BLOCKS[1].output.clone()]).unwrap();
        let start = output.len() - joined_data(std::slice::from_ref(output)).unwrap().len();
        output.truncate(start);
        output.extend(data);
    });
    let other = run_program(&mut AggregatorHintProcessor::new(&with_data_of_block_1)).unwrap();
    assert_ne!(other.output[other.output.len() - 2..], *tree_hash);
    assert_ne!(other.output[10..16], honest[10..16]);
}

#[test]
fn trees_of_another_size() {
    let three = balanced(3);
    let larger = AggregatorInput { tree: Tree::balanced(4).unwrap(), ..three.clone() };
    let smaller = AggregatorInput { tree: Tree::balanced(2).unwrap(), ..three.clone() };
    let message = "Error message: The tree has another number of leaves than there are blocks.";
    assert_eq!(refused(&smaller), message);
    // The fourth leaf is nowhere: the run stops where it is hashed.
    refused(&larger);
    for input in [larger, smaller] {
        assert!(matches!(aggregate(&input), Err(JoinError::Tree { blocks: 3, .. })));
    }
}

#[test]
fn no_blocks_or_too_many() {
    let none = AggregatorInput { outputs: vec![], ..balanced(1) };
    assert_eq!(refused(&none), "starkware.cairo.common.math.assert_nn");
    assert!(aggregate(&none).is_err());
    let mut many = balanced(1);
    many.outputs = vec![BLOCKS[0].output.clone(); 1_025];
    assert_eq!(refused(&many), "starkware.cairo.common.math.assert_nn");
    assert!(matches!(aggregate(&many), Err(JoinError::TooManyBlocks(1_025))));
}

/// The Cairo variables of a hint.
pub struct Ids<'run> {
    vm: &'run mut VirtualMachine,
    data: &'run HintProcessorData,
}

impl Ids<'_> {
    fn felt(&self, name: &str) -> Felt {
        let data = self.data;
        get_integer_from_var_name(name, self.vm, &data.ids_data, &data.ap_tracking).unwrap()
    }

    fn ptr(&self, name: &str) -> Relocatable {
        get_ptr_from_var_name(name, self.vm, &self.data.ids_data, &self.data.ap_tracking).unwrap()
    }

    fn set(&mut self, name: &str, value: impl Into<MaybeRelocatable>) {
        let data = self.data;
        insert_value_from_var_name(name, value, self.vm, &data.ids_data, &data.ap_tracking)
            .unwrap();
    }

    /// Answers the hint that asks for limbs.
    pub fn set_limbs(&mut self, limbs: &[Felt; 28]) {
        let (low, high) = halves_of_middle(limbs);
        let segment = self.segment(limbs);
        self.set("limbs", segment);
        self.set("middle_low", low);
        self.set("middle_high", high);
    }

    fn segment(&mut self, felts: &[Felt]) -> Relocatable {
        let segment = self.vm.add_memory_segment();
        let cells: Vec<MaybeRelocatable> = felts.iter().map(|felt| (*felt).into()).collect();
        self.vm.load_data(segment, &cells).unwrap();
        segment
    }
}

/// A prover who answers one hint otherwise.
pub struct Liar<'input> {
    honest: AggregatorHintProcessor<'input>,
    hint: &'static str,
    /// How often the hint is answered honestly before.
    honest_answers: usize,
    lie: &'input dyn Fn(&mut Ids<'_>),
    pub lied: bool,
}

impl<'input> Liar<'input> {
    pub fn new(
        input: &'input AggregatorInput,
        hint: &'static str,
        honest_answers: usize,
        lie: &'input dyn Fn(&mut Ids<'_>),
    ) -> Self {
        let honest = AggregatorHintProcessor::new(input);
        Self { honest, hint, honest_answers, lie, lied: false }
    }

    /// Where the run stops. The lie must have been told.
    fn stopped(mut self) -> String {
        let message = stopped(&mut self);
        assert!(self.lied, "there is no such hint: {}", self.hint);
        message
    }
}

impl HintProcessorLogic for Liar<'_> {
    fn execute_hint(
        &mut self,
        vm: &mut VirtualMachine,
        scopes: &mut ExecutionScopes,
        hint_data: &Box<dyn Any>,
    ) -> Result<(), HintError> {
        let data = hint_data.downcast_ref::<HintProcessorData>().unwrap();
        if data.code != self.hint || self.lied {
            return self.honest.execute_hint(vm, scopes, hint_data);
        }
        if self.honest_answers > 0 {
            self.honest_answers -= 1;
            return self.honest.execute_hint(vm, scopes, hint_data);
        }
        self.lied = true;
        (self.lie)(&mut Ids { vm, data });
        Ok(())
    }
}

impl ResourceTracker for Liar<'_> {}

/// A word of a hash has one remainder, and the program takes no other.
#[test]
fn wrong_remainders() {
    let input = balanced(2);
    for words in [0, 5, 20] {
        for wrong in [-Felt::ONE, Felt::ONE, Felt::TWO, Felt::from(3)] {
            let lie = move |ids: &mut Ids<'_>| {
                let word: u32 = ids.felt("word").try_into().unwrap();
                ids.set("quotient", Felt::from(word / ((1 << 31) - 1)) + wrong);
            };
            let message = Liar::new(&input, "reduction_quotient", words, &lie).stopped();
            assert_eq!(message, "__main__.reduce_words", "{wrong} too many");
        }
        // A quotient for which the remainder, in the field, is whatever the prover likes.
        let lie = |ids: &mut Ids<'_>| {
            let modulus = Felt::from((1_u32 << 31) - 1);
            let quotient = (ids.felt("word") - Felt::from(5)) * modulus.inverse().unwrap();
            ids.set("quotient", quotient);
        };
        let message = Liar::new(&input, "reduction_quotient", words, &lie).stopped();
        assert_eq!(message, "__main__.reduce_words");
    }
}

/// The limbs of a number of 252 bits.
pub fn limbs_of(bytes: &[u8]) -> [Felt; 28] {
    let bit = |index: usize| {
        u32::from(bytes.get(index / 8).copied().unwrap_or_default() >> (index % 8) & 1)
    };
    std::array::from_fn(|limb| {
        Felt::from((0..9).map(|offset| bit(9 * limb + offset) << offset).sum::<u32>())
    })
}

/// Writes limbs that a lie made of the right ones.
fn limbs(ids: &mut Ids<'_>, change: impl FnOnce(&mut [Felt; 28], &mut Felt, &mut Felt)) {
    let mut limbs = limbs_of(&ids.felt("value").to_bytes_le());
    let (mut low, mut high) = halves_of_middle(&limbs);
    change(&mut limbs, &mut low, &mut high);
    let segment = ids.segment(&limbs);
    ids.set("limbs", segment);
    ids.set("middle_low", low);
    ids.set("middle_high", high);
}

/// The bits of the limb in the middle that belong to the low half of the felt, and to the high one.
fn halves_of_middle(limbs: &[Felt; 28]) -> (Felt, Felt) {
    let middle: u32 = limbs[14].try_into().unwrap();
    (Felt::from(middle % 4), Felt::from(middle / 4))
}

/// A felt has one list of limbs, and the program takes no other.
#[test]
fn wrong_limbs() {
    let input = balanced(2);
    type Lie = Box<dyn Fn(&mut Ids<'_>)>;
    let base = Felt::from(512);
    let mut lies: Vec<(String, Lie)> = Vec::new();
    for limb in 0..28 {
        lies.push((
            format!("limb {limb} one more"),
            Box::new(move |ids| {
                limbs(ids, |limbs, low, high| {
                    limbs[limb] += Felt::ONE;
                    if limb == 14 {
                        (*low, *high) = halves_of_middle(limbs);
                    }
                });
            }),
        ));
    }
    for limb in (0..27).filter(|limb| ![13, 14].contains(limb)) {
        // The same sum, with a limb that has more than 9 bits.
        lies.push((
            format!("limb {limb} takes from the next"),
            Box::new(move |ids| {
                limbs(ids, |limbs, _, _| {
                    limbs[limb] += base;
                    limbs[limb + 1] -= Felt::ONE;
                });
            }),
        ));
    }
    lies.push((
        "the middle limb's halves trade".to_owned(),
        Box::new(|ids| {
            limbs(ids, |_, low, high| {
                *low += Felt::from(4);
                *high -= Felt::ONE;
            });
        }),
    ));
    for (what, lie) in lies {
        let message = Liar::new(&input, "felt_limbs", 1, &*lie).stopped();
        let functions =
            ["__main__.split_limbs", "__main__.sum_limbs", "starkware.cairo.common.math.assert_nn"];
        assert!(functions.contains(&message.as_str()), "{what}: {message}");
    }
}

/// What the bootloader hashed is not the prover's choice.
#[test]
fn wrong_records() {
    let input = balanced(2);
    let output = &BLOCKS[1].output;
    let length = Felt::from(output.len());
    let os = sidereal_block_prover::STARKNET_OS_BLAKE_HASH;
    for (what, header, told) in [
        ("two tasks", [Felt::TWO, length + Felt::TWO, os], length),
        ("another program", [Felt::ONE, length + Felt::TWO, os + Felt::ONE], length),
        ("another size", [Felt::ONE, length, os], length),
        ("another length", [Felt::ONE, length + Felt::TWO, os], length - Felt::ONE),
    ] {
        let lie = |ids: &mut Ids<'_>| {
            let record = ids.segment(&[&header[..], output].concat());
            ids.set("record", record);
            ids.set("length", told);
        };
        let message = Liar::new(&input, "next_block", 1, &lie).stopped();
        assert_eq!(message, "__main__.read_block", "{what}");
    }
}

/// A merge that passes for a leaf, and the other way round.
#[test]
fn wrong_nodes() {
    let input = balanced(3);
    let leaf = |ids: &mut Ids<'_>| ids.set("is_leaf", Felt::ONE);
    let message = Liar::new(&input, "next_node", 0, &leaf).stopped();
    assert!(message.contains("another number of leaves"), "{message}");
    let merge = |ids: &mut Ids<'_>| ids.set("is_leaf", Felt::ZERO);
    Liar::new(&input, "next_node", 2, &merge).stopped();
}

/// With one block no hash takes in the circuits' roots: their words must be words nevertheless, or a root could be
/// written in more ways than one.
#[test]
fn roots_that_are_no_words() {
    let one = input(Tree::Leaf);
    let bound = Felt::TWO.pow(32_u32);
    // The same halves: 2^32 * 1 + 0 = 2^32 * 0 + 2^32.
    for (low, high) in [(bound, Felt::ZERO), (-bound, Felt::TWO)] {
        let mut words = [Felt::ONE; 8];
        (words[4], words[5]) = (low, high);
        let lie = |ids: &mut Ids<'_>| {
            let root = ids.segment(&words);
            ids.set("n_blocks", Felt::ONE);
            ids.set("wrap_root", root);
            ids.set("merge_root", root);
            for name in ["messages_to_l1_start", "messages_to_l2_start"] {
                let segment = ids.vm.add_temporary_segment();
                ids.set(name, segment);
            }
            assert_eq!(ids.ptr("wrap_root"), root);
        };
        let message = Liar::new(&one, "aggregator_input", 0, &lie).stopped();
        assert_eq!(message, "__main__.pack_words");
    }
}

/// Words that are not one output of the aggregator, or one that could be written otherwise.
#[test]
fn broken_outputs_are_no_outputs() {
    let words = aggregate(&balanced(2)).unwrap().encode();
    for length in 0..words.len() {
        assert!(AggregatedOutput::decode(&words[..length]).is_err(), "{length} words");
    }
    let with = |index: usize, value: Felt| {
        let mut words = words.clone();
        words[index] = value;
        AggregatedOutput::decode(&words).unwrap_err()
    };
    type Error = AggregatedOutputError;
    let huge = Felt::TWO.pow(200_u32);
    assert!(matches!(with(8, Felt::ZERO), Error::StarknetOs(_) | Error::Form(_)));
    assert!(matches!(with(11, Felt::ZERO), Error::StarknetOs(_) | Error::BlobCount(0)));
    // Two halves each of the one commitment and the one evaluation, and of the trailer's hashes.
    for index in (12..16).chain(words.len() - 6..words.len()) {
        assert!(matches!(with(index, huge), Error::OutOfRange { index: at, .. } if at == index));
    }
    for number in [words[2], words[2] - Felt::ONE, words[2] + Felt::from(1_025)] {
        assert!(matches!(with(3, number), Error::BlockNumbers { .. }), "{number}");
    }
    let mut longer = words.clone();
    longer.insert(words.len() - 6, Felt::ZERO);
    assert!(matches!(AggregatedOutput::decode(&longer), Err(Error::StarknetOs(_))));
}

/// Data that is not of so many blocks.
#[test]
fn broken_data_is_no_data() {
    let data = joined_data(&balanced(2).outputs).unwrap();
    assert_eq!(decode_data(&data, 2).unwrap().len(), 2);
    assert!(matches!(decode_data(&data, 1), Err(DataError::Excess { .. })));
    assert!(matches!(decode_data(&data, 3), Err(DataError::StateDiff { index: 2, .. })));
    let cut = &data[..data.len() - 1];
    assert!(matches!(decode_data(cut, 2), Err(DataError::StateDiff { index: 1, .. })));
    let mut longer = data.clone();
    longer.resize(4_096, Felt::ZERO);
    assert_eq!(decode_data(&longer, 2).unwrap(), decode_data(&data, 2).unwrap());
    longer.push(Felt::ZERO);
    assert!(matches!(decode_data(&longer, 2), Err(DataError::Excess { index: 4_096 })));
}
