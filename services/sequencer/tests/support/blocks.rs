//! What must hold of every block that a sequencer closes, whatever the test is about.

use std::path::Path;

use sidereal_chain_store::{BlockSelector, ChainStore, StoredBlock};
use sidereal_execution::replay::replay;
use sidereal_execution::witness::{BlockWitness, WitnessLimits};
use sidereal_object_store::{ObjectKey, ObjectStoreConfig};
use sidereal_patricia::state::StateRoots;
use sidereal_starknet_os::{Committed, MessageToL1, OsInput, OsOutput, run_os};
use starknet_api::block::BlockNumber;

use super::{objects_url, reader};

/// No test closes more: StarknetOS runs over each of them, which takes seconds.
const MAX_BLOCKS: u64 = 16;

/// Checks all closed blocks of a sequencer that has stopped: the witness alone leads to the same block, and what
/// StarknetOS puts out over it, decoded, is what the chain store holds.
pub async fn check_blocks(folder: &Path) {
    let store = reader(folder).await;
    let config = ObjectStoreConfig { url: objects_url(folder), ..ObjectStoreConfig::default() };
    let objects = sidereal_object_store::open(&config).await.unwrap();
    let head = store.head().await.unwrap().unwrap().number.0;
    assert!((1..=MAX_BLOCKS).contains(&head), "{head} blocks");
    let mut previous_root = stored(&store, 0).await.header.state_root.0;
    for number in 1..=head {
        let block = stored(&store, number).await;
        let key = ObjectKey::parse(block.witness_key.as_deref().unwrap()).unwrap();
        let encoded = objects.get(&key).await.unwrap();
        let witness = BlockWitness::decode(&encoded, WitnessLimits::default()).unwrap();
        let receipts = store.receipts(BlockNumber(number)).await.unwrap();
        let messages = receipts.iter().flat_map(|receipt| &receipt.messages_sent);
        let committed = Committed {
            previous_root,
            root: block.header.state_root.0,
            block_number: number,
            previous_block_hash: block.header.parent_hash.0,
            block_hash: block.hash.0,
            state_diff: store.state_diff(BlockNumber(number)).await.unwrap().unwrap(),
            messages_to_l1: messages.map(MessageToL1::from).collect(),
            // The chain, and the aliases that keys had before: these the store does not hold by block.
            ..Committed::of_block(&witness).unwrap()
        };
        previous_root = committed.root;
        let updated = tokio::task::spawn_blocking(move || check_block(&witness, &committed)).await;
        assert_eq!(updated.unwrap(), block.state_roots, "block {number}");
    }
}

async fn stored(store: &ChainStore, number: u64) -> StoredBlock {
    store.block(BlockSelector::Number(BlockNumber(number))).await.unwrap().unwrap()
}

/// Returns the tries' roots after the block.
fn check_block(witness: &BlockWitness, committed: &Committed) -> StateRoots {
    let number = committed.block_number;
    let replayed = replay(witness).unwrap_or_else(|error| panic!("block {number}: {error:?}"));
    assert_eq!(replayed.header.hash.0, committed.block_hash, "block {number}");
    let updated = replayed.updated_roots;
    let input = OsInput::of_block(witness, replayed).unwrap();
    let run = run_os(&input, committed.form)
        .unwrap_or_else(|error| panic!("StarknetOS over block {number}: {error:?}"));
    let output = OsOutput::decode(&run.output).unwrap();
    output
        .check(committed)
        .unwrap_or_else(|error| panic!("the output of StarknetOS over block {number}: {error:?}"));
    updated
}
