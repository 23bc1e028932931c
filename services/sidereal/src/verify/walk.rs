//! The walk itself: one function a link, each of which can fail alone.

use std::fmt;

use sidereal_block_prover::{
    BlockProof, DecodeError, MIN_SECURITY_BITS, STARKNET_OS_BLAKE_HASH, VerifiedRun, VerifyError,
};
use sidereal_execution::replay::{ReplayError, ReplayedBlock, replay};
use sidereal_execution::transaction::TransactionError;
use sidereal_execution::witness::{BlockWitness, WitnessError, WitnessLimits};
use sidereal_starknet_os::{CheckError, Committed, OsOutput, OutputError, PROGRAM_HASH};
use starknet_api::StarknetApiError;
use starknet_api::core::ChainId;
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

use super::bundle::Bundle;

/// A link that holds, with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The hash of the transaction follows from its fields, and the block holds it.
    Transaction { index: usize, count: usize, block: u64 },
    /// The block's transactions, run on the state under the previous root, lead to its header.
    Replay { transactions: usize, values: usize, block_hash: Felt },
    /// The proof is one of StarknetOS.
    Program { program_hash: Felt, blake_hash: Felt },
    /// The STARK proof verifies.
    Proof { bits: u32, bytes: usize },
    /// What was proven is exactly what the replay found.
    Output { previous_root: Felt, root: Felt },
    /// The node says the same of the block and its parent.
    Node { block: u64 },
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::Transaction { index, count, block } => write!(
                f,
                "transaction  its hash follows from its fields; it is number {} of {count} in block {block}",
                index + 1
            ),
            Link::Replay { transactions, values, block_hash } => write!(
                f,
                "execution    {transactions} transactions replayed on {values} values proven under the previous \
                 root give the block hash {block_hash:#x}"
            ),
            Link::Program { program_hash, blake_hash } => {
                write!(
                    f,
                    "program      the proof is a run of StarknetOS 0.13.5 ({program_hash:#x}; by Blake2s {blake_hash:#x})"
                )
            }
            Link::Proof { bits, bytes } => write!(
                f,
                "proof        the STARK verifies: {bits} bits of security, {} KiB",
                bytes / 1024
            ),
            Link::Output { previous_root, root } => write!(
                f,
                "output       it proves the same block: state root {previous_root:#x} -> {root:#x}, hashes, \
                 number, chain, state diff"
            ),
            Link::Node { block } => {
                write!(f, "node         its headers of block {block} and of the one before agree")
            }
        }
    }
}

/// Where a walk arrived.
#[derive(Clone, Debug)]
pub struct Walked {
    /// The links that hold: all.
    pub links: Vec<Link>,
    /// The block.
    pub block: u64,
    /// The chain that it is of.
    pub chain_id: ChainId,
    /// What StarknetOS wrote for it, by the proof.
    pub output: Vec<Felt>,
}

/// The link that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum BrokenLink {
    #[error("the witness cannot be read")]
    Witness(#[source] WitnessError),
    #[error("transaction {hash:#x} is not in block {block}")]
    NotInBlock { hash: Felt, block: u64 },
    #[error("the hash of transaction {hash:#x} is not that of its fields")]
    TransactionHash {
        hash: Felt,
        #[source]
        source: TransactionError,
    },
    #[error("the block does not follow from its transactions")]
    Replay(#[source] ReplayError),
    #[error("the proof cannot be read")]
    ProofBytes(#[source] DecodeError),
    #[error(
        "the proof is of the program {found:#x}, and StarknetOS 0.13.5 is {STARKNET_OS_BLAKE_HASH:#x} (Blake2s)"
    )]
    Program { found: Felt },
    #[error("the STARK proof does not verify")]
    Proof(#[source] VerifyError),
    #[error("what the proof says cannot be read as an output of StarknetOS")]
    OutputBytes(#[source] OutputError),
    #[error("the chain's id is not one that StarknetOS can have")]
    Chain(#[source] StarknetApiError),
    #[error("the proof is about another block than the one replayed")]
    Output(#[source] CheckError),
}

/// Walks all links of a bundle in order, tells each that holds to `report`, and stops at the first that
/// does not. Takes seconds: it replays the block and verifies the STARK proof.
pub fn walk(bundle: &Bundle, report: &mut dyn FnMut(&Link)) -> Result<Walked, BrokenLink> {
    let mut links = Vec::new();
    let mut holds = |link: Link| {
        report(&link);
        links.push(link);
    };
    let witness = BlockWitness::decode(&bundle.witness, WitnessLimits::default())
        .map_err(BrokenLink::Witness)?;
    holds(transaction_link(&witness, bundle.transaction_hash)?);

    let replayed = replay(&witness).map_err(BrokenLink::Replay)?;
    holds(replay_link(&witness, &replayed));

    let proof = BlockProof::decode(&bundle.proof).map_err(BrokenLink::ProofBytes)?;
    holds(program_link(proof.program_hash)?);
    let run = sidereal_block_prover::verify(&proof).map_err(BrokenLink::Proof)?;
    // The verified run repeats what the proof claimed; only now it is known to be true.
    program_link(run.program_hash)?;
    holds(Link::Proof { bits: MIN_SECURITY_BITS, bytes: bundle.proof.len() });
    holds(output_link(&run, &witness)?);
    Ok(Walked {
        links,
        block: witness.environment.number.0,
        chain_id: witness.environment.chain_id,
        output: run.output,
    })
}

fn transaction_link(witness: &BlockWitness, hash: TransactionHash) -> Result<Link, BrokenLink> {
    let block = witness.environment.number.0;
    let index = witness
        .transactions
        .iter()
        .position(|transaction| transaction.hash == hash)
        .ok_or(BrokenLink::NotInBlock { hash: hash.0, block })?;
    witness.transactions[index]
        .check_hash(&witness.environment.chain_id)
        .map_err(|source| BrokenLink::TransactionHash { hash: hash.0, source })?;
    Ok(Link::Transaction { index, count: witness.transactions.len(), block })
}

fn replay_link(witness: &BlockWitness, replayed: &ReplayedBlock) -> Link {
    let reads = &witness.initial_reads;
    let values = reads.storage.values().map(|cells| cells.len()).sum::<usize>()
        + reads.nonces.len()
        + reads.class_hashes.len()
        + reads.compiled_class_hashes.len();
    Link::Replay {
        transactions: witness.transactions.len(),
        values,
        block_hash: replayed.header.hash.0,
    }
}

fn program_link(found: Felt) -> Result<Link, BrokenLink> {
    // The bootloader hashes its task's program with Blake2s; the Pedersen hash of the same program is the one
    // that Starknet's L1 contract had.
    if found != STARKNET_OS_BLAKE_HASH {
        return Err(BrokenLink::Program { found });
    }
    Ok(Link::Program { program_hash: PROGRAM_HASH, blake_hash: STARKNET_OS_BLAKE_HASH })
}

/// The witness is the replayed one: all that it says of the block was recomputed.
fn output_link(run: &VerifiedRun, witness: &BlockWitness) -> Result<Link, BrokenLink> {
    let output = OsOutput::decode(&run.output).map_err(BrokenLink::OutputBytes)?;
    let committed = Committed::of_block(witness).map_err(BrokenLink::Chain)?;
    output.check(&committed).map_err(BrokenLink::Output)?;
    Ok(Link::Output { previous_root: output.initial_root, root: output.final_root })
}
