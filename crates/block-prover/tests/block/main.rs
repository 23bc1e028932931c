//! A real block from end to end: executed, witnessed, re-executed, run through StarknetOS, proven, verified.

mod load;

use sidereal_block_prover::{
    BlockError, BlockProof, BlockVerifyError, IgnoreProgress, Prover, ProverSettings, Stage,
    run_block, verify_block,
};
use sidereal_execution::block::STRK_TOKEN_ADDRESS;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::replay::{ReplayError, replay};
use sidereal_execution::testing::{TestBlock, TestChain, invoke, transfer};
use sidereal_starknet_os::{CheckError, Committed, OsInput, OsOutput, OutputForm, run_os};
use starknet_types_core::felt::Felt;

/// A chain with one block on top of genesis: two transfers of different accounts.
fn transfers() -> TestBlock {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    chain.block(&[
        invoke(&alice, 0, &[transfer(bob.address, 5)]),
        invoke(&bob, 0, &[transfer(alice.address, 7)]),
    ])
}

/// The sizes of the components of a proof, by their names, as binary logarithms.
fn log_sizes(proof: &BlockProof) -> Vec<(String, u32)> {
    let claim = serde_json::to_value(&proof.cairo.claim).unwrap();
    let sizes = claim.as_object().unwrap().iter().filter_map(|(component, claim)| {
        let size = claim.get("log_size").or_else(|| claim.get("big_log_sizes")?.get(0))?;
        Some((component.clone(), u32::try_from(size.as_u64()?).unwrap()))
    });
    sizes.collect()
}

/// The whole path. Takes a minute and 9 GB.
#[test]
fn a_block_is_proven_and_its_proof_is_about_no_other_block() {
    let block = transfers();
    let stages = std::sync::Mutex::new(Vec::new());
    let proven = Prover::new(ProverSettings::default())
        .prove(&block.witness, &|stage| stages.lock().unwrap().push(stage))
        .unwrap();
    assert_eq!(
        *stages.lock().unwrap(),
        [
            Stage::Replay,
            Stage::OsRun,
            Stage::Bootloader,
            Stage::Adapt,
            Stage::Precompute,
            Stage::Prove,
            Stage::Verify
        ]
    );
    assert!(proven.statistics.steps > 10_000, "{:?}", proven.statistics);

    let run = run_block(&block.witness, &IgnoreProgress).unwrap();
    load::check_components(&run.components, &log_sizes(&proven.proof));

    let bytes = proven.proof.encode().unwrap();
    let proof = BlockProof::decode(&bytes).unwrap();
    let committed = Committed::of_block(&block.witness).unwrap();
    let verified = verify_block(&proof, &committed).unwrap();
    assert_eq!(verified.output.form, OutputForm::PROVEN);
    assert!(verified.output.state_update.is_some(), "the state diff is in the output");

    let mut other = committed.clone();
    other.root += Felt::ONE;
    let Err(BlockVerifyError::NotCommitted(cause)) = verify_block(&proof, &other) else {
        panic!("a proof of another root was accepted")
    };
    assert!(matches!(*cause, CheckError::Field { field: "state root", .. }), "{cause:?}");
    let mut other = committed.clone();
    let cells = other.state_diff.storage_diffs.get_mut(&*STRK_TOKEN_ADDRESS).unwrap();
    *cells.values_mut().next().unwrap() += Felt::ONE;
    let Err(BlockVerifyError::NotCommitted(cause)) = verify_block(&proof, &other) else {
        panic!("a proof of another balance was accepted")
    };
    assert!(matches!(*cause, CheckError::StateDiff { what: "storage cell", .. }), "{cause:?}");
    let mut forged = proof.clone();
    forged.output[1] += Felt::ONE;
    assert!(matches!(verify_block(&forged, &committed), Err(BlockVerifyError::Proof(_))));
    let mut other_program = proof;
    other_program.program_hash += Felt::ONE;
    assert!(matches!(
        verify_block(&other_program, &committed),
        Err(BlockVerifyError::Program { .. })
    ));
}

#[test]
fn a_witness_with_a_changed_state_value_is_refused_by_the_replay() {
    let mut witness = transfers().witness;
    let balance = witness
        .initial_reads
        .storage
        .get_mut(&STRK_TOKEN_ADDRESS)
        .and_then(|cells| cells.values_mut().find(|value| **value != Felt::ZERO))
        .expect("the block reads balances");
    *balance += Felt::ONE;
    let error = run_block(&witness, &IgnoreProgress).err().expect("it is refused");
    let BlockError::Replay(cause) = &error else { panic!("{error:?}") };
    assert!(matches!(**cause, ReplayError::ForgedValue { .. }), "{error:?}");
    assert!(error.is_permanent() && error.is_dispute());
}

/// The replay is our own check. What protects others is StarknetOS: without the replay a wrong value fails there.
#[test]
fn a_changed_state_value_is_refused_by_starknet_os_too() {
    let block = transfers();
    let honest = OsInput::of_block(&block.witness, replay(&block.witness).unwrap()).unwrap();
    let run = run_os(&honest, OutputForm::PROVEN).unwrap();
    let output = OsOutput::decode(&run.output).unwrap();
    output.check(&Committed::of_block(&block.witness).unwrap()).unwrap();

    let mut forged = OsInput::of_block(&block.witness, replay(&block.witness).unwrap()).unwrap();
    let balance = forged
        .storage
        .get_mut(&STRK_TOKEN_ADDRESS)
        .and_then(|cells| cells.values_mut().find(|value| **value != Felt::ZERO))
        .expect("the block reads balances");
    *balance += Felt::ONE;
    assert!(run_os(&forged, OutputForm::PROVEN).is_err());
}
