//! The aggregator over outputs of StarknetOS for real blocks: what it writes, what it refuses, what it takes to prove.

mod chain;
mod functions;
mod proof;
mod refusals;

use sidereal_block_prover::{Committed, bootloader_output};
use sidereal_os_aggregator::claims::{
    CircuitRoots, FinalClaims, block_claim, tree_claim, wrap_output,
};
use sidereal_os_aggregator::{
    AGGREGATOR_BLAKE_HASH, AggregatedOutput, AggregatorInput, Tree, blobs, data_of_blobs,
    decode_data, joined_data, run_aggregator,
};
use sidereal_starknet_os::{BlobCommitments, MessageToL1, OsOutput, os_config_hash};
use starknet_types_core::felt::Felt;
use stwo::core::vcs::blake2_hash::Blake2sM31Hasher;
use stwo_cairo_common::prover_types::felt::split_f252;

use chain::{BLOCKS, MERGE_ROOT, WRAP_ROOT, balanced, input};

/// The same hashes as in `claims`, by S-two's own functions.
fn circuit_hash(bytes: &[u8]) -> [u8; 32] {
    Blake2sM31Hasher::hash(bytes).0
}

fn wrapped(claim: Felt) -> [u8; 32] {
    let bytes = claim.to_bytes_le();
    let words = std::array::from_fn(|index| {
        u32::from_le_bytes(bytes[4 * index..4 * index + 4].try_into().unwrap())
    });
    let limbs: Vec<u8> = split_f252(words).iter().flat_map(|limb| limb.0.to_le_bytes()).collect();
    circuit_hash(&limbs)
}

/// Hash and root of a tree over the first outputs; returns those that are left, too.
fn tree_hash<'a>(tree: &Tree, outputs: &'a [Vec<Felt>]) -> ([u8; 32], [u8; 32], &'a [Vec<Felt>]) {
    match tree {
        Tree::Leaf => {
            let (output, rest) = outputs.split_first().unwrap();
            let hash =
                wrapped(bootloader_output(sidereal_block_prover::STARKNET_OS_BLAKE_HASH, output));
            (WRAP_ROOT, hash, rest)
        }
        Tree::Merge(left, right) => {
            let (left_root, left, rest) = tree_hash(left, outputs);
            let (right_root, right, rest) = tree_hash(right, rest);
            (MERGE_ROOT, circuit_hash(&[left_root, left, right_root, right].concat()), rest)
        }
    }
}

fn leaf() -> Tree {
    Tree::Leaf
}

fn pair() -> Tree {
    Tree::merge(leaf(), leaf())
}

/// Runs the program, and compares what it writes with what the blocks committed.
fn check(input: &AggregatorInput) -> AggregatedOutput {
    let run = run_aggregator(input).unwrap_or_else(|error| panic!("{error:?}"));
    let count = input.outputs.len();
    let (first, last) = (&BLOCKS[0].witness, &BLOCKS[count - 1].witness);
    let output = run.output;
    assert_eq!(output.initial_root, first.previous_state_root.0);
    assert_eq!(output.final_root, last.header.state_root.0);
    assert_eq!(output.previous_block_number, Felt::from(first.header.number.0 - 1));
    assert_eq!(output.block_number, Felt::from(last.header.number.0));
    assert_eq!(output.previous_block_hash, first.header.parent_hash.0);
    assert_eq!(output.block_hash, last.header.hash.0);
    assert_eq!(output.os_program_hash, sidereal_block_prover::STARKNET_OS_BLAKE_HASH);
    assert_eq!(output.blocks(), Some(count));
    let committed: Vec<_> =
        BLOCKS[..count].iter().map(|block| Committed::of_block(&block.witness).unwrap()).collect();
    assert_eq!(output.config_hash, os_config_hash(&committed[0].chain));
    let messages: Vec<MessageToL1> =
        committed.iter().flat_map(|block| block.messages_to_l1.clone()).collect();
    assert_eq!(output.messages_to_l1, messages);
    assert!(output.messages_to_l2.is_empty());

    // The data: the state diffs as the headers' blocks have them, there and back.
    let data = joined_data(&input.outputs).unwrap();
    let expected: Vec<Felt> =
        committed.iter().flat_map(|block| block.blob_data().unwrap()).collect();
    assert_eq!(data, expected);
    assert_eq!(output.blobs, BlobCommitments::of_data(&data).unwrap());
    let published = blobs(&data).unwrap();
    assert_eq!(published.len(), output.blobs.commitments.len());
    let updates = decode_data(&data_of_blobs(&published).unwrap(), count).unwrap();
    for (update, committed) in updates.iter().zip(&committed) {
        update.check(committed).unwrap();
    }

    // The hashes, computed by others.
    let (_, hash, rest) = tree_hash(&input.tree, &input.outputs);
    assert!(rest.is_empty());
    assert_eq!(output.tree_hash, hash);
    assert_eq!((output.wrap_root, output.merge_root), (input.wrap_root, input.merge_root));
    let words = output.encode();
    assert_eq!(AggregatedOutput::decode(&words).unwrap(), output);
    output
}

#[test]
fn one_block_is_its_own_tree() {
    let output = check(&balanced(1));
    assert_eq!(output.tree_hash, wrapped(block_claim(&BLOCKS[0].output)));
    assert_eq!(output.blobs.commitments.len(), 1);
}

#[test]
fn two_blocks() {
    check(&balanced(2));
}

/// The shape of the tree changes the hash at its root, and nothing else.
#[test]
fn three_and_five_blocks_in_trees_of_different_shapes() {
    let three = [Tree::merge(pair(), leaf()), Tree::merge(leaf(), pair())];
    let five = [
        Tree::balanced(5).unwrap(),
        Tree::merge(leaf(), Tree::merge(leaf(), Tree::merge(leaf(), pair()))),
        Tree::merge(pair(), Tree::merge(pair(), leaf())),
    ];
    for shapes in [&three[..], &five[..]] {
        let outputs: Vec<_> = shapes.iter().map(|tree| check(&input(tree.clone()))).collect();
        for pair in outputs.windows(2) {
            assert_ne!(pair[0].tree_hash, pair[1].tree_hash);
            let tree_hash = pair[0].tree_hash;
            assert_eq!(pair[0], AggregatedOutput { tree_hash, ..pair[1].clone() });
        }
    }
    assert_eq!(check(&balanced(5)).messages_to_l1.len(), 3);
}

/// With another root of a circuit the program runs, too, and writes that root and another hash: what the contract
/// compares with its own.
#[test]
fn other_circuits_lead_to_another_hash() {
    let honest = check(&balanced(3));
    let wrap = run_aggregator(&AggregatorInput { wrap_root: [7; 32], ..balanced(3) }).unwrap();
    let merge = run_aggregator(&AggregatorInput { merge_root: [7; 32], ..balanced(3) }).unwrap();
    for (other, wrap_root, merge_root) in
        [(wrap.output, [7; 32], MERGE_ROOT), (merge.output, WRAP_ROOT, [7; 32])]
    {
        assert_ne!(other.tree_hash, honest.tree_hash);
        let tree_hash = other.tree_hash;
        assert_eq!(other, AggregatedOutput { wrap_root, merge_root, tree_hash, ..honest.clone() });
    }
}

/// The hashes from the tree's root to what the last proof says.
#[test]
fn the_claims_up_to_the_last_proof() {
    let input = balanced(3);
    let words = check(&input).encode();
    let claims: Vec<Felt> = input.outputs.iter().map(|output| block_claim(output)).collect();
    let tree = tree_claim(&input.tree, &claims, WRAP_ROOT, MERGE_ROOT).unwrap();
    assert_eq!(tree_claim(&input.tree, &claims[..2], WRAP_ROOT, MERGE_ROOT), None);
    assert_eq!(tree_claim(&pair(), &claims, WRAP_ROOT, MERGE_ROOT), None);
    let (shrink, compact) = ([9; 32], [10; 32]);
    let roots = CircuitRoots { wrap: WRAP_ROOT, merge: MERGE_ROOT, shrink, compact };
    let found = FinalClaims::new(&roots, &tree, &words);

    let aggregator = wrapped(bootloader_output(AGGREGATOR_BLAKE_HASH, &words));
    let (_, hash, _) = tree_hash(&input.tree, &input.outputs);
    let top = circuit_hash(&[MERGE_ROOT, hash, WRAP_ROOT, aggregator].concat());
    let shrunk = circuit_hash(&[MERGE_ROOT, top].concat());
    let compacted = circuit_hash(&[shrink, shrunk].concat());
    let last = circuit_hash(&[compact, compacted].concat());
    assert_eq!(found, FinalClaims { aggregator, top, shrunk, compacted, last });
}

/// The hashes in Rust are S-two's, for felts of any size.
#[test]
fn wrapped_felts_of_any_size() {
    for felt in functions::edges() {
        assert_eq!(wrap_output(felt), wrapped(felt), "{felt:#x}");
    }
}

/// The output has the form of StarknetOS' own, but for the trailer.
#[test]
fn the_output_without_its_trailer_is_one_of_starknet_os() {
    let words = check(&balanced(2)).encode();
    let output = OsOutput::decode(&words[..words.len() - 6]).unwrap();
    assert_eq!(output.blobs.unwrap().commitments.len(), 1);
    assert!(output.state_update.is_none());
}
