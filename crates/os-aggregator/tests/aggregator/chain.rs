//! Blocks of a real chain, and what StarknetOS writes for them.

use std::sync::{Arc, LazyLock};

use sidereal_block_prover::OutputForm;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::genesis::DevAccount;
use sidereal_execution::replay::replay;
use sidereal_execution::testing::{
    Call, TestBlock, TestChain, contract, declare, invoke, sign, transfer,
};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_execution::witness::BlockWitness;
use sidereal_os_aggregator::{AggregatorInput, Tree};
use sidereal_starknet_os::{OsInput, run_os};
use starknet_api::core::ContractAddress;
use starknet_api::transaction::fields::ValidResourceBounds;
use starknet_api::transaction::{InvokeTransaction, Transaction, TransactionExecutionStatus};
use starknet_types_core::felt::Felt;

/// Stand-ins for the roots of the circuits: any words.
pub const WRAP_ROOT: [u8; 32] = *b"the root of the circuit `wrap`..";
pub const MERGE_ROOT: [u8; 32] = *b"the root of the circuit `merge`.";

/// A block, and what StarknetOS writes for it in the form that is proven.
pub struct ProvenBlock {
    pub witness: BlockWitness,
    pub output: Vec<Felt>,
}

/// Five consecutive blocks: a new class, a deployment and transfers, messages to L1 in two blocks, and nothing.
pub static BLOCKS: LazyLock<Vec<ProvenBlock>> = LazyLock::new(|| {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let probe = contract("probe");
    chain.classes.insert(Arc::new(probe.clone()));

    let mut blocks = vec![
        chain.block(&[declare(&alice, 0, &probe), invoke(&bob, 0, &[transfer(alice.address, 5)])]),
    ];
    let deployer = "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf";
    let deploy = Call {
        to: ContractAddress::try_from(Felt::from_hex_unchecked(deployer)).unwrap(),
        function: "deployContract",
        calldata: vec![probe.class_hash().0, Felt::ONE, Felt::ZERO, Felt::ZERO],
    };
    let deployed = chain.block(&[invoke(&alice, 1, &[deploy])]);
    let contracts = &deployed.execution.state_diff.deployed_contracts;
    let address = *contracts.iter().find(|(_, class)| **class == probe.class_hash()).unwrap().0;
    let call = |function, arguments: &[u64]| Call {
        to: address,
        function,
        calldata: arguments.iter().copied().map(Felt::from).collect(),
    };
    blocks.push(deployed);
    let messages = [
        call("send_message", &[0xabc, 3, 7, 8, 9]),
        call("send_message", &[0xdef, 0]),
        call("storage_sweep", &[1_000_000, 30]),
    ];
    blocks.push(chain.block(&[messenger(&alice, 2, &messages)]));
    blocks.push(chain.block(&[]));
    blocks.push(chain.block(&[
        messenger(&bob, 1, &[call("send_message", &[0x123, 1, 5])]),
        invoke(&alice, 3, &[transfer(bob.address, 7)]),
    ]));
    blocks.iter().map(proven).collect()
});

/// An invoke that may also pay for messages to L1.
fn messenger(account: &DevAccount, nonce: u64, calls: &[Call]) -> BlockTransaction {
    let Transaction::Invoke(InvokeTransaction::V3(mut invoke)) =
        invoke(account, nonce, calls).transaction
    else {
        panic!("it is an invoke")
    };
    let ValidResourceBounds::AllResources(bounds) = &mut invoke.resource_bounds else {
        panic!("the bounds are of all resources")
    };
    bounds.l1_gas.max_amount.0 *= 100;
    sign(Transaction::Invoke(InvokeTransaction::V3(invoke)), account.private_key)
}

/// The output of StarknetOS over a block of a test's chain, all of whose transactions must have succeeded.
pub fn proven(block: &TestBlock) -> ProvenBlock {
    let witness = block.witness.clone();
    for receipt in &block.execution.receipts {
        assert_eq!(receipt.execution_status, TransactionExecutionStatus::Succeeded, "{receipt:?}");
    }
    let input = OsInput::of_block(&witness, replay(&witness).unwrap()).unwrap();
    let output = run_os(&input, OutputForm::PROVEN).unwrap().output;
    ProvenBlock { witness, output }
}

/// The first so many blocks, merged along `tree`.
pub fn input(tree: Tree) -> AggregatorInput {
    let outputs = BLOCKS[..tree.leaves()].iter().map(|block| block.output.clone()).collect();
    AggregatorInput { outputs, tree, wrap_root: WRAP_ROOT, merge_root: MERGE_ROOT }
}

/// The first so many blocks, merged along a balanced tree.
pub fn balanced(blocks: usize) -> AggregatorInput {
    input(Tree::balanced(blocks).unwrap())
}
