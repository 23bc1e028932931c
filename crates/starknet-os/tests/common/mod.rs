//! Runs StarknetOS over a block's witness, and compares its output with what the block committed.

use sidereal_execution::outcome::TransactionOutcome;
use sidereal_execution::replay::replay;
use sidereal_execution::testing::{Call, TestBlock};
use sidereal_execution::witness::BlockWitness;
use sidereal_starknet_os::{
    Committed, OsError, OsInput, OsOutput, OsRun, OutputForm, StateUpdate, run_os,
};
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::transaction::TransactionExecutionStatus;
use starknet_types_core::felt::Felt;

/// The input of a block.
pub fn input(witness: &BlockWitness) -> OsInput {
    OsInput::of_block(witness, replay(witness).unwrap_or_else(|error| panic!("{}", chain(&error))))
        .unwrap()
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}\n  because {error}");
        cause = error.source();
    }
    text
}

/// Runs StarknetOS over a block whose output must be what the block committed.
pub fn check(witness: &BlockWitness, form: OutputForm) -> OsRun {
    let run: Result<OsRun, OsError> = run_os(&input(witness), form);
    let run =
        run.unwrap_or_else(|error| panic!("block {}: {}", witness.header.number, chain(&error)));
    let output = OsOutput::decode(&run.output).unwrap();
    assert_eq!(output.form, form);
    let committed = Committed { form, ..Committed::of_block(witness).unwrap() };
    output
        .check(&committed)
        .unwrap_or_else(|error| panic!("block {}: {}", witness.header.number, chain(&error)));
    // What the OS committed to is also read as what it is, not only compared with what we would have written.
    assert_eq!(run.blob_data.is_some(), form == OutputForm::Kzg);
    if let Some(data) = &run.blob_data {
        assert_eq!(*data, committed.blob_data().unwrap());
        StateUpdate::decode_blob_data(data).unwrap().check(&committed).unwrap();
    }
    run
}

/// [`check`] in the full form, which says the most.
#[allow(dead_code, reason = "not every test binary uses all of this module")]
pub fn check_in_full(witness: &BlockWitness) -> OsRun {
    check(witness, OutputForm::Full)
}

/// [`check`] in every form.
#[allow(dead_code, reason = "not every test binary uses all of this module")]
pub fn check_in_all_forms(witness: &BlockWitness) {
    for form in [OutputForm::Full, OutputForm::Compressed, OutputForm::Kzg] {
        check(witness, form);
    }
}

/// Whether each transaction of a block was reverted. All must have been included.
#[allow(dead_code, reason = "not every test binary uses all of this module")]
pub fn reverted(block: &TestBlock) -> Vec<bool> {
    block
        .executed
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            TransactionOutcome::Included(receipt) => {
                receipt.execution_status != TransactionExecutionStatus::Succeeded
            }
            TransactionOutcome::Rejected(rejection) => panic!("{}", chain(rejection)),
        })
        .collect()
}

/// All transactions of a block must have succeeded.
#[allow(dead_code, reason = "not every test binary uses all of this module")]
pub fn accepted(block: &TestBlock) {
    for receipt in &block.execution.receipts {
        assert_eq!(receipt.execution_status, TransactionExecutionStatus::Succeeded);
    }
    assert!(reverted(block).iter().all(|reverted| !reverted));
}

/// The contract of a class that a block deployed.
#[allow(dead_code, reason = "not every test binary uses all of this module")]
pub fn contract_of_class(block: &TestBlock, class_hash: ClassHash) -> ContractAddress {
    let mut deployed = block.execution.state_diff.deployed_contracts.iter();
    *deployed.find(|(_, class)| **class == class_hash).expect("it is deployed").0
}

/// A deployment by the universal deployer, at an address that does not depend on who asks.
#[allow(dead_code, reason = "not every test binary uses all of this module")]
pub fn deploy(class_hash: ClassHash, salt: u64, calldata: &[Felt]) -> Call {
    let deployer = "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf";
    let head = [class_hash.0, Felt::from(salt), Felt::ZERO, Felt::from(calldata.len())];
    Call {
        to: ContractAddress::try_from(Felt::from_hex_unchecked(deployer)).unwrap(),
        function: "deployContract",
        calldata: [&head[..], calldata].concat(),
    }
}
