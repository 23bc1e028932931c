//! Blocks: from a witness to a proof, and from a proof to what it says about a block.

use cairo_program_runner_lib::types::Task;
use sidereal_execution::replay::{ReplayError, replay};
use sidereal_execution::witness::BlockWitness;
use sidereal_starknet_os::{
    CheckError, Committed, OsError, OsInput, OsOutput, OutputError, run_os,
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
    /// StarknetOS came to another result than the sequencer.
    #[error("StarknetOS and the sequencer disagree")]
    NotCommitted(#[source] Box<CheckError>),
    /// The run could not be proven.
    #[error("prove the run of StarknetOS")]
    Prove(#[source] ProveError),
}

impl BlockError {
    /// Whether execution and proving disagree about the block: then the chain halts.
    pub fn is_dispute(&self) -> bool {
        match self {
            Self::Replay(_) | Self::Output(_) | Self::NotCommitted(_) => true,
            // What the machine cannot do says nothing of the block.
            Self::StarknetOs(error) => !matches!(error, OsError::Runner { .. }),
            Self::ChainId(_) | Self::Prove(_) => false,
        }
    }

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
    let committed = Committed::of_block(witness).map_err(BlockError::ChainId)?;
    let run = run_os(&input, committed.form).map_err(BlockError::StarknetOs)?;
    let output = OsOutput::decode(&run.output).map_err(BlockError::Output)?;
    output.check(&committed).map_err(|error| BlockError::NotCommitted(Box::new(error)))?;
    AdaptedRun::new(Task::Pie(run.pie), None, progress).map_err(BlockError::Prove)
}

/// What an accepted proof says about a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    /// The output of StarknetOS: state roots, hashes, messages, and every changed value or the commitments to them.
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
    #[error("the proof is not of the block that the chain has")]
    NotCommitted(#[source] Box<CheckError>),
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

/// Verifies a proof completely and checks that it is of StarknetOS over the block that a chain has: its number, hashes,
/// roots, messages, and its state diff, as values or as the KZG commitments to the blobs that it fills.
pub fn verify_block(
    proof: &BlockProof,
    committed: &Committed,
) -> Result<VerifiedBlock, BlockVerifyError> {
    let verified = verify_starknet_os(proof)?;
    verified
        .output
        .check(committed)
        .map_err(|error| BlockVerifyError::NotCommitted(Box::new(error)))?;
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bootloader hashes programs with Blake2s; this ties its hash to the one by which Starknet knows the OS.
    #[test]
    fn the_pinned_hash_is_that_of_the_pinned_program() {
        let program = sidereal_starknet_os::program();
        assert_eq!(program.hash(), sidereal_starknet_os::PROGRAM_HASH);
        let stripped = program.cairo().get_stripped_program().unwrap();
        assert_eq!(crate::task_program_hash(&stripped).unwrap(), STARKNET_OS_BLAKE_HASH);
    }
}
