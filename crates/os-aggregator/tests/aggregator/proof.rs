//! The aggregator under the bootloader: the shape of its trace, what fits into a proof, and one real proof.

use std::collections::{BTreeSet, HashSet};

use circuit_cairo_verifier::privacy::privacy_components;
use sidereal_block_prover::{
    AdaptedRun, IgnoreProgress, Prover, ProverSettings, Task, run_block, verify,
};
use sidereal_os_aggregator::{
    AGGREGATOR_BLAKE_HASH, AggregatorHintProcessor, AggregatorInput, AggregatorLoad, Tree,
    run_aggregator, run_program,
};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

use super::chain::{BLOCKS, MERGE_ROOT, WRAP_ROOT, balanced};

/// Components of tables that every proof has in the same size, or that are part of another component's claim.
fn is_table(component: &str) -> bool {
    ["range_check_", "verify_bitwise_xor_"].iter().any(|prefix| {
        component.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(char::is_numeric))
    }) || ["blake_round_sigma", "poseidon_round_keys", "pedersen_points_table_window_bits_9"]
        .contains(&component)
}

fn components(run: &AdaptedRun) -> BTreeSet<String> {
    run.components.iter().map(|(component, _)| component.to_owned()).collect()
}

/// The circuit that verifies Cairo proofs is made for one set of components. Both tasks have it.
#[test]
fn a_proof_has_the_components_of_a_blocks_proof() {
    let run = run_aggregator(&balanced(5)).unwrap();
    let words = run.output.encode();
    let adapted = AdaptedRun::new(Task::Pie(run.pie), None, &IgnoreProgress).unwrap();
    assert_eq!(adapted.program_hash, AGGREGATOR_BLAKE_HASH);
    assert_eq!(adapted.output, words);
    let block = run_block(&BLOCKS[0].witness, &IgnoreProgress).unwrap();
    assert_eq!(components(&adapted), components(&block));
    // `range_check_252_width_27` has a row for each time that it is called.
    let expected: BTreeSet<String> = privacy_components()
        .into_iter()
        .filter(|component| !is_table(component) || *component == "range_check_252_width_27")
        .map(str::to_owned)
        .collect();
    assert_eq!(components(&adapted), expected);
}

/// Outputs of consecutive blocks with so many felts of data and in messages, none of which is like another. What the
/// program does not look at, the state diffs, are no such thing.
fn filled(blocks: usize, data: usize, messages: usize) -> AggregatorInput {
    let outputs = (0..blocks)
        .map(|block| {
            let mut output = BLOCKS[3].output[..10].to_vec();
            // Roots, numbers, hashes.
            for (word, first) in [(0, 1_000), (2, 2_000), (4, 3_000)] {
                let value = |block| match word {
                    2 => Felt::from(first + block),
                    _ => Poseidon::hash(&Felt::from(first), &Felt::from(block)),
                };
                (output[word], output[word + 1]) = (value(block), value(block + 1));
            }
            let felt = |index| Poseidon::hash(&Felt::from(block), &Felt::from(index));
            output.push(Felt::from(messages));
            output.extend((0..messages).map(felt));
            output.push(Felt::ZERO);
            output.extend((messages..messages + data).map(felt));
            output
        })
        .collect();
    let tree = Tree::balanced(blocks).unwrap();
    AggregatorInput { outputs, tree, wrap_root: WRAP_ROOT, merge_root: MERGE_ROOT }
}

/// The bounds by which a planner chooses blocks: they cover what is used, by little, and what they let in can be
/// proven, whatever fills it.
#[test]
fn what_fits_can_be_proven() {
    // At the edge: as much data as fits, as many blocks, and something of each.
    for (blocks, data, messages) in
        [(1, 1, 0), (40, 30, 10), (1, 13_400, 0), (875, 1, 0), (1, 7_000, 2_000), (250, 42, 0)]
    {
        let input = filled(blocks, data, messages);
        let mut load = AggregatorLoad::base();
        for output in &input.outputs {
            load += AggregatorLoad::of_output(output);
        }
        let run = run_program(&mut AggregatorHintProcessor::new(&input)).unwrap();
        let run = AdaptedRun::new(Task::Pie(run.pie), None, &IgnoreProgress);
        let run = run.unwrap_or_else(|error| panic!("{blocks}, {data}, {messages}: {error}"));
        let rows =
            |name: &str| run.components.iter().find(|(component, _)| *component == name).unwrap().1;
        let used = AggregatorLoad {
            values: rows("memory_id_to_big"),
            blake: rows("blake_compress_opcode"),
        };
        println!(
            "{blocks} blocks of {data} and {messages}: {load:?}, used {used:?}, {:?}",
            run.components.largest()
        );
        assert!(load.fits());
        assert!(used.values <= load.values && used.blake <= load.blake);
        // Of the one that is nearer to its limit, not much room is lost.
        let lost = match load.values / 128 > load.blake {
            true => (load.values - used.values) * 100 / AggregatorLoad::LIMIT.values,
            false => (load.blake - used.blake) * 100 / AggregatorLoad::LIMIT.blake,
        };
        assert!(lost < 5, "{lost} %");
    }
}

/// The whole way. Takes a minute and 9 GB.
#[test]
#[ignore = "takes a minute and 9 GB; scripts/test --full runs it"]
fn a_proof_is_made_and_verified() {
    let run = run_aggregator(&balanced(5)).unwrap();
    let words = run.output.encode();
    let proven = Prover::new(ProverSettings::default())
        .prove_task(Task::Pie(run.pie), None, &IgnoreProgress)
        .unwrap();
    let claim = serde_json::to_value(&proven.proof.cairo.claim).unwrap();
    let claims = claim.as_object().unwrap().iter();
    let proven_components: HashSet<&str> = claims
        .filter(|(component, claim)| !claim.is_null() && *component != "public_data")
        .map(|(component, _)| component.as_str())
        .collect();
    assert_eq!(proven_components, privacy_components());
    let verified = verify(&proven.proof).unwrap();
    assert_eq!(verified.program_hash, AGGREGATOR_BLAKE_HASH);
    assert_eq!(verified.output, words);
}
