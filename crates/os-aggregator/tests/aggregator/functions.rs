//! Single functions of the program, at values that no real hash would have.

use cairo_vm::hint_processor::hint_processor_definition::HintProcessor;
use cairo_vm::types::builtin_name::BuiltinName;
use cairo_vm::types::layout_name::LayoutName;
use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use cairo_vm::vm::errors::cairo_run_errors::CairoRunError;
use cairo_vm::vm::runners::cairo_runner::{CairoArg, CairoRunner};
use sidereal_os_aggregator::{AggregatorHintProcessor, program};
use starknet_types_core::felt::Felt;
use stwo::core::vcs::blake2_hash::reduce_to_m31;
use stwo_cairo_common::prover_types::felt::split_f252;

use super::chain::balanced;
use super::refusals::{Ids, Liar, limbs_of};

const M31: u32 = (1 << 31) - 1;

/// Calls a function whose first argument is the range check pointer; returns its last value, and the memory.
fn call(
    function: &str,
    arguments: impl FnOnce(&mut CairoRunner) -> Vec<CairoArg>,
    hints: &mut dyn HintProcessor,
) -> Result<(MaybeRelocatable, CairoRunner), CairoRunError> {
    let mut runner =
        CairoRunner::new(program(), LayoutName::all_cairo_stwo, None, false, false, false)?;
    runner.initialize_builtins(true)?;
    runner.initialize_segments(None);
    let builtins = runner.vm.get_builtin_runners();
    let range_check = builtins.iter().find(|it| it.name() == BuiltinName::range_check).unwrap();
    let range_check = Relocatable::from((isize::try_from(range_check.base()).unwrap(), 0));
    let mut all = vec![CairoArg::from(MaybeRelocatable::from(range_check))];
    all.extend(arguments(&mut runner));
    let pc = program().get_identifier(&format!("__main__.{function}")).unwrap().pc.unwrap();
    runner.run_from_entrypoint(pc, &all.iter().collect::<Vec<_>>(), true, None, hints)?;
    runner.vm.verify_auto_deductions()?;
    let value = runner.vm.get_return_values(1)?.remove(0);
    Ok((value, runner))
}

fn number(value: Felt) -> CairoArg {
    CairoArg::from(MaybeRelocatable::from(value))
}

fn read(runner: &CairoRunner, from: Relocatable, count: usize) -> Vec<Felt> {
    let values = runner.vm.get_integer_range(from, count).unwrap();
    values.into_iter().map(|value| value.into_owned()).collect()
}

/// The remainder is S-two's, for the words that have two or three representatives, too.
#[test]
fn words_are_reduced_as_s_two_does() {
    let words = [0, 1, M31 - 1, M31, M31 + 1, 2 * M31 - 1, 2 * M31, u32::MAX];
    assert_eq!(words[6..], [u32::MAX - 1, u32::MAX]);
    let bytes: [u8; 32] = words.map(u32::to_le_bytes).as_flattened().try_into().unwrap();
    let expected = reduce_to_m31(bytes);
    let expected: Vec<Felt> = expected
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| Felt::from(u32::from_le_bytes(*word)))
        .collect();
    assert_eq!(expected[6..], [Felt::ZERO, Felt::ONE]);

    let input = balanced(1);
    let mut target = None;
    let arguments = |runner: &mut CairoRunner| {
        let reduced = runner.vm.add_memory_segment();
        target = Some(reduced);
        let words = words.iter().map(|word| MaybeRelocatable::from(Felt::from(*word))).collect();
        vec![
            number(Felt::from(8)),
            CairoArg::Array(words),
            CairoArg::from(MaybeRelocatable::from(reduced)),
        ]
    };
    let mut hints = AggregatorHintProcessor::new(&input);
    let (_, runner) = call("reduce_words", arguments, &mut hints).unwrap();
    assert_eq!(read(&runner, target.unwrap(), 8), expected);
}

/// Felts at the edges of the halves, the limbs and the field.
pub fn edges() -> Vec<Felt> {
    let power = |bits: u32| Felt::TWO.pow(bits);
    let mut felts = vec![Felt::ZERO, Felt::MAX, power(251) + power(192) * Felt::from(17)];
    for bits in [9, 125, 126, 127, 128, 129, 134, 135, 136, 192, 243, 250, 251] {
        felts.extend([power(bits) - Felt::ONE, power(bits), power(bits) + Felt::ONE]);
    }
    felts
}

/// The limbs are those of S-two's memory.
#[test]
fn limbs_are_those_of_s_two() {
    let input = balanced(1);
    for felt in edges() {
        let mut hints = AggregatorHintProcessor::new(&input);
        let (limbs, runner) = call("split_limbs", |_| vec![number(felt)], &mut hints).unwrap();
        let MaybeRelocatable::RelocatableValue(limbs) = limbs else { panic!("it is a pointer") };
        let bytes = felt.to_bytes_le();
        let words = std::array::from_fn(|index| {
            u32::from_le_bytes(bytes[4 * index..4 * index + 4].try_into().unwrap())
        });
        let expected: Vec<Felt> = split_f252(words).iter().map(|limb| Felt::from(limb.0)).collect();
        assert_eq!(read(&runner, limbs, 28), expected, "{felt:#x}");
    }
}

/// 252 bits have room for a small felt and the field's order: such limbs stand for the same felt, and are refused.
#[test]
fn limbs_above_the_fields_order_are_refused() {
    let input = balanced(1);
    for felt in [Felt::ZERO, Felt::from(5), Felt::TWO.pow(200_u32)] {
        let above = felt.to_biguint() + Felt::prime();
        assert!(above.bits() <= 252);
        let lie = |ids: &mut Ids<'_>| {
            let limbs = limbs_of(&above.to_bytes_le());
            ids.set_limbs(&limbs);
        };
        let mut liar = Liar::new(&input, "felt_limbs", 0, &lie);
        let refused = call("split_limbs", |_| vec![number(felt)], &mut liar);
        assert!(refused.is_err(), "{felt:#x}");
        assert!(liar.lied);
    }
}
