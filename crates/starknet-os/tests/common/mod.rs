//! Runs StarknetOS over a block's witness, and compares its output with what the block committed.

use sidereal_execution::replay::replay;
use sidereal_execution::witness::BlockWitness;
use sidereal_starknet_os::{Committed, OsError, OsInput, OsOutput, OsRun, OutputForm, StateUpdate, run_os};

/// The input of a block.
pub fn input(witness: &BlockWitness) -> OsInput {
    OsInput::of_block(witness, replay(witness).unwrap_or_else(|error| panic!("{}", chain(&error)))).unwrap()
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
    let run = run.unwrap_or_else(|error| panic!("block {}: {}", witness.header.number, chain(&error)));
    let output = OsOutput::decode(&run.output).unwrap();
    assert_eq!(output.form, form);
    let blobs = run.blob_data.as_deref().map(|felts| StateUpdate::decode_blob_data(felts).unwrap());
    assert_eq!(blobs.is_some(), form == OutputForm::Kzg);
    output
        .check(&Committed::of_block(witness).unwrap(), blobs.as_ref())
        .unwrap_or_else(|error| panic!("block {}: {error}", witness.header.number));
    run
}

/// [`check`] in the full form; the form that proofs have.
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
