//! Blocks: from a witness to a proof, and from a proof to what it says about a block.

use cairo_program_runner_lib::types::Task;
use sidereal_execution::replay::{ReplayError, replay};
use sidereal_execution::witness::BlockWitness;
use sidereal_starknet_os::{
    CheckError, Committed, OsChain, OsError, OsInput, OsOutput, OutputError, OutputForm,
    os_config_hash, run_os,
};
use starknet_api::StarknetApiError;
use starknet_types_core::felt::Felt;

use crate::progress::{ProgressSink, Stage};
use crate::proof::BlockProof;
use crate::prover::{AdaptedRun, ProveError, Proven, Prover};
use crate::verifier::{VerifyError, verify};

/// Blake2s hash, as the bootloader computes it, of the program whose Pedersen hash is
/// [`sidereal_starknet_os::PROGRAM_HASH`]: StarknetOS 0.13.5.
pub const STARKNET_OS_BLAKE_HASH: Felt =
    Felt::from_hex_unchecked("0x46793ba2df5e56b466951fdda30b7313442b5b1c6b01eb987e71c3c32096bd1");

/// How blocks' outputs are formed until they are settled on L1: in full, so that a proof alone shows every change.
const FORM: OutputForm = OutputForm::Full;

/// Why a block has no proof.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The witness is not that of a valid block.
    #[error("re-execute the block from its witness")]
    Replay(#[source] Box<ReplayError>),
    /// The chain id is none.
    #[error("read the chain id")]
    ChainId(#[source] StarknetApiError),
    /// StarknetOS stopped.
    #[error("run StarknetOS")]
    StarknetOs(#[source] OsError),
    /// StarknetOS wrote no output.
    #[error("read the output of StarknetOS")]
    Output(#[source] OutputError),
    /// StarknetOS came to another result than the sequencer. The chain must halt loudly.
    #[error("StarknetOS and the sequencer disagree")]
    NotCommitted(#[source] Box<CheckError>),
    /// The run could not be proven.
    #[error("prove the run of StarknetOS")]
    Prove(#[source] ProveError),
}

impl BlockError {
    /// Whether this follows from the witness alone, so that another try is of no use.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Prove(error) if !matches!(error, ProveError::TooLarge { .. }))
    }
}

impl Prover {
    /// Re-executes a block from its witness, runs StarknetOS over it, and proves that run.
    ///
    /// The output of StarknetOS is compared with everything that the witness says was committed, before anything
    /// expensive.
    pub fn prove(
        &self,
        witness: &BlockWitness,
        progress: &dyn ProgressSink,
    ) -> Result<Proven, BlockError> {
        let run = run_block(witness, progress)?;
        self.prove_run(run, progress).map_err(BlockError::Prove)
    }
}

/// Everything of [`Prover::prove`] but the proof itself: the trace that would be proven.
pub fn run_block(
    witness: &BlockWitness,
    progress: &dyn ProgressSink,
) -> Result<AdaptedRun, BlockError> {
    progress.enter(Stage::Replay);
    let replayed = replay(witness).map_err(|error| BlockError::Replay(Box::new(error)))?;
    progress.enter(Stage::OsRun);
    let input = OsInput::of_block(witness, replayed).map_err(BlockError::ChainId)?;
    let run = run_os(&input, FORM).map_err(BlockError::StarknetOs)?;
    let output = OsOutput::decode(&run.output).map_err(BlockError::Output)?;
    let committed = Committed::of_block(witness).map_err(BlockError::ChainId)?;
    output.check(&committed, None).map_err(|error| BlockError::NotCommitted(Box::new(error)))?;
    AdaptedRun::new(Task::Pie(run.pie), None, progress).map_err(BlockError::Prove)
}

/// What a chain says about one of its blocks; a proof must say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockClaim {
    /// Number of the block; proofs start with block 1.
    pub number: u64,
    /// Hash of the block.
    pub hash: Felt,
    /// Hash of the parent block.
    pub parent_hash: Felt,
    /// State root before the block.
    pub previous_state_root: Felt,
    /// State root after the block.
    pub state_root: Felt,
    /// The chain.
    pub chain: OsChain,
}

/// What an accepted proof says about a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    /// The output of StarknetOS: state roots, hashes, messages and every changed value.
    pub output: OsOutput,
}

/// Why a proof is not the proof of a block.
#[derive(Debug, thiserror::Error)]
pub enum BlockVerifyError {
    /// It proves nothing.
    #[error("verify the proof")]
    Proof(#[source] VerifyError),
    /// It proves the run of another program.
    #[error("the proof is of program {found:#x}, and StarknetOS is {STARKNET_OS_BLAKE_HASH:#x}")]
    Program {
        /// Blake2s hash of the program that ran.
        found: Felt,
    },
    /// The program is StarknetOS, but its output cannot be read.
    #[error("read the proven output of StarknetOS")]
    Output(#[source] OutputError),
    /// It proves something else about the block, or something about another block.
    #[error("the proven {field} is {found:#x}, and the chain has {expected:#x}")]
    Claim {
        /// What differs.
        field: &'static str,
        /// What the chain says.
        expected: Felt,
        /// What is proven.
        found: Felt,
    },
}

/// Verifies a proof completely and checks that it is of StarknetOS. What block it is about stands in the result.
pub fn verify_starknet_os(proof: &BlockProof) -> Result<VerifiedBlock, BlockVerifyError> {
    // Cheap refusals first.
    if proof.program_hash != STARKNET_OS_BLAKE_HASH {
        return Err(BlockVerifyError::Program { found: proof.program_hash });
    }
    let run = verify(proof).map_err(BlockVerifyError::Proof)?;
    let output = OsOutput::decode(&run.output).map_err(BlockVerifyError::Output)?;
    Ok(VerifiedBlock { output })
}

/// Verifies a proof completely and checks that it is of StarknetOS over the claimed block.
pub fn verify_block(
    proof: &BlockProof,
    claim: &BlockClaim,
) -> Result<VerifiedBlock, BlockVerifyError> {
    let verified = verify_starknet_os(proof)?;
    check_claim(&verified.output, claim)?;
    Ok(verified)
}

fn check_claim(output: &OsOutput, claim: &BlockClaim) -> Result<(), BlockVerifyError> {
    let number = Felt::from(claim.number);
    let fields = [
        ("block number", number, output.block_number),
        ("parent block number", number - Felt::ONE, output.previous_block_number),
        ("block hash", claim.hash, output.block_hash),
        ("parent hash", claim.parent_hash, output.previous_block_hash),
        ("previous state root", claim.previous_state_root, output.initial_root),
        ("state root", claim.state_root, output.final_root),
        ("chain configuration", os_config_hash(&claim.chain), output.config_hash),
        // Not zero only under the aggregator, whose program this is not.
        ("OS program hash", Felt::ZERO, output.os_program_hash),
        // L1 handlers are not executed by this chain.
        ("number of L1 handler words", Felt::ZERO, Felt::from(output.messages_to_l2.len())),
    ];
    for (field, expected, found) in fields {
        if expected != found {
            return Err(BlockVerifyError::Claim { field, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use starknet_api::core::ChainId;

    use super::*;

    fn chain() -> OsChain {
        OsChain::new(&ChainId::Other("SIDEREAL_TEST".to_owned())).unwrap()
    }

    fn claim() -> BlockClaim {
        BlockClaim {
            number: 7,
            hash: Felt::from(70),
            parent_hash: Felt::from(60),
            previous_state_root: Felt::from(61),
            state_root: Felt::from(71),
            chain: chain(),
        }
    }

    fn output() -> OsOutput {
        OsOutput {
            initial_root: Felt::from(61),
            final_root: Felt::from(71),
            previous_block_number: Felt::from(6),
            block_number: Felt::from(7),
            previous_block_hash: Felt::from(60),
            block_hash: Felt::from(70),
            os_program_hash: Felt::ZERO,
            config_hash: os_config_hash(&chain()),
            form: OutputForm::Full,
            blobs: None,
            messages_to_l1: Vec::new(),
            messages_to_l2: Vec::new(),
            state_update: None,
        }
    }

    /// The bootloader hashes programs with Blake2s; this ties its hash to the one by which Starknet knows the OS.
    #[test]
    fn the_pinned_hash_is_that_of_the_pinned_program() {
        let program = sidereal_starknet_os::program();
        assert_eq!(program.hash(), sidereal_starknet_os::PROGRAM_HASH);
        let stripped = program.cairo().get_stripped_program().unwrap();
        assert_eq!(crate::task_program_hash(&stripped).unwrap(), STARKNET_OS_BLAKE_HASH);
    }

    #[test]
    fn a_claim_is_compared_field_by_field() {
        check_claim(&output(), &claim()).unwrap();
        type Change = fn(&mut BlockClaim);
        let changes: [(&str, Change); 6] = [
            ("block number", |claim| claim.number += 1),
            ("block hash", |claim| claim.hash += Felt::ONE),
            ("parent hash", |claim| claim.parent_hash += Felt::ONE),
            ("previous state root", |claim| claim.previous_state_root += Felt::ONE),
            ("state root", |claim| claim.state_root += Felt::ONE),
            ("chain configuration", |claim| claim.chain.chain_id += Felt::ONE),
        ];
        for (name, change) in changes {
            let mut claim = claim();
            change(&mut claim);
            let error = check_claim(&output(), &claim).unwrap_err();
            assert!(matches!(error, BlockVerifyError::Claim { field, .. } if field == name));
        }
        let mut aggregated = output();
        aggregated.os_program_hash = Felt::ONE;
        assert!(check_claim(&aggregated, &claim()).is_err());
        let mut with_handlers = output();
        with_handlers.messages_to_l2.push(Felt::ONE);
        assert!(check_claim(&with_handlers, &claim()).is_err());
    }
}
