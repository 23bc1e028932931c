//! The thinnest run of StarknetOS: a block without transactions.

mod common;

use common::check_in_all_forms;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::TestChain;

/// An empty block proves that the state did not change but for what every block writes.
#[test]
fn an_empty_block_runs() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    check_in_all_forms(&chain.block(&[]).witness);
}

/// From block 10 on every block writes the hash of the block ten blocks back.
#[test]
fn the_old_block_hash_is_written() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let blocks: Vec<_> = (1..=12).map(|_| chain.block(&[])).collect();
    for block in &blocks[8..] {
        check_in_all_forms(&block.witness);
    }
}
