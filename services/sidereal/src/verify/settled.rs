//! The links from a proven block to the state that the rollup's contract on Ethereum holds. Like those of the walk,
//! each can fail alone, and none does I/O.
//!
//! ```text
//! output of the block ─with those of the batch's other blocks─> hash of their tree ─equal─> output of the aggregator
//!   ─hashes of the circuits─> statement ─verified here─> last proof ─calldata─> update ─contract─> L1's state
//! ```
//!
//! Of the batch's other blocks nothing needs to be verified: what hashes to the tree's root is what was proven.

use std::collections::BTreeSet;
use std::fmt;

use alloy::primitives::{Address, B256, U256};
use sidereal_final_proof::{DecodeError, VerificationKey, verify_calldata};
use sidereal_l1_settler::{Delays, HeldState, InForce, L1Update};
use sidereal_os_aggregator::Tree;
use sidereal_os_aggregator::claims::{CircuitClaim, FinalClaims, block_claim, tree_claim};
use sidereal_settlement::deployment::{Genesis, PinnedHashes};
use sidereal_settlement::{RollupCore, SettledUpdate, circuit_hash_to_u256, felt_to_u256};
use starknet_types_core::felt::Felt;

/// What the links are checked on. Nothing of it is believed, but that L1's node tells what L1 says.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The update that settled the block, by the contract's event.
    pub update: L1Update,
    /// The same by its transaction.
    pub settled: SettledUpdate,
    /// What StarknetOS wrote for each block of the update, in order.
    pub outputs: Vec<Vec<Felt>>,
    /// The state that the chain began with, by its node: block 0.
    pub genesis: Genesis,
    /// What the contract says.
    pub contract: ContractFacts,
}

/// What L1 says of the contract.
#[derive(Clone, Debug)]
pub struct ContractFacts {
    /// Its address.
    pub address: Address,
    /// L1's last block, after which the contract was read.
    pub head: u64,
    /// Whether the update's transaction succeeded, in the block that the update is in.
    pub succeeded: bool,
    /// The delays in its code, if that is the one that this build deploys.
    pub our_code: Option<Delays>,
    /// The state that it was created with, if that was by the code that this build deploys, by a transaction of
    /// `deployed_in`.
    pub created: Option<Genesis>,
    /// The block of L1 that the record of the deployment names.
    pub deployed_in: u64,
    /// From when on another proof system may be put in force that was announced, in seconds since the Unix epoch.
    pub pending_upgrade: Option<u64>,
    /// The proof systems that were put in force, up to the head, in order.
    pub in_force: Vec<InForce>,
    /// The proof system in force.
    pub system: RollupCore::ProofSystem,
    /// Those of these systems' verifiers whose code is the one that this build deploys for its last circuit.
    pub our_verifiers: BTreeSet<Address>,
    /// The state.
    pub held: HeldState,
}

/// A link that holds, with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L1Link {
    /// The block's proof is one of those that the update's aggregator speaks of.
    Batch { block: u64, first: u64, last: u64, transaction: B256 },
    /// The last proof verifies, and says that the aggregator's output is true.
    LastProof { bytes: usize },
    /// The contract checks the same, was created by this release's code, began where the chain did, took the update, and
    /// holds its state or a later one.
    Contract {
        address: Address,
        held: u64,
        l1_block: u64,
        depth: u64,
        genesis: Genesis,
        delays: Delays,
        pending_upgrade: Option<u64>,
    },
}

impl fmt::Display for L1Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { block, first, last, transaction } => write!(
                f,
                "batch        the proof of block {block} is in the tree over blocks {first} to {last} that L1's \
                 transaction {transaction} speaks of"
            ),
            Self::LastProof { bytes } => write!(
                f,
                "last proof   the proof in that transaction verifies ({} KiB), and is of the pinned circuits over \
                 that tree",
                bytes / 1024
            ),
            Self::Contract { address, held, l1_block, depth, genesis, delays, pending_upgrade } => {
                write!(
                    f,
                    "contract     {address} is of this release's code, programs and circuits, began with the root \
                     {:#x} of block {}, as the node says, took the update in L1's block {l1_block} ({depth} blocks on \
                     top), and holds block {held}; others may settle after {} s without an update, and another proof \
                     system is in force {} s after its announcement at the earliest",
                    genesis.root,
                    genesis.block_number,
                    delays.operator_silence_s,
                    delays.upgrade_delay_s
                )?;
                match pending_upgrade {
                    Some(from) => write!(f, ": one is announced, for the Unix time {from}"),
                    None => write!(f, ": none is announced"),
                }
            }
        }
    }
}

/// The link that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum BrokenL1Link {
    #[error(
        "the contract's event says another {what} than the transaction, which was sent to another contract: that need \
         not pass on what it is given"
    )]
    Event { what: &'static str },
    #[error("the update settles blocks {first} to {last}, and not block {block}")]
    OtherBlocks { block: u64, first: u64, last: u64 },
    #[error("there are {found} outputs of StarknetOS for the {expected} blocks of the update")]
    OutputCount { expected: usize, found: usize },
    #[error("the update's aggregator says another {circuit} circuit than this release's")]
    Circuit { circuit: &'static str },
    #[error(
        "the update's tree has the hash {}, and these blocks' outputs give {} in a balanced tree: the proof on L1 is \
         not over them, or over another shape of tree, which the contract takes, too", hex::encode(.expected), hex::encode(.found)
    )]
    TreeHash { expected: [u8; 32], found: [u8; 32] },
    #[error("the proof on L1 does not verify")]
    LastProof(#[source] DecodeError),
    #[error("the transaction {transaction} did not succeed in L1's block {block}")]
    Transaction { transaction: B256, block: u64 },
    #[error("the code of the contract {address} is not the one that this release deploys")]
    Code { address: Address },
    #[error(
        "no transaction of L1's block {l1_block} created the contract {address} by the code that this release deploys: \
         whatever did could have left anything in it"
    )]
    Creation { address: Address, l1_block: u64 },
    #[error("the contract began with block {block}, and of a chain only block 0 needs no proof")]
    FirstBlock { block: u64 },
    #[error(
        "the contract began with another {what} of block 0 than the chain has: {found:#x}, and the node says \
         {expected:#x}"
    )]
    Genesis { what: &'static str, expected: Felt, found: Felt },
    #[error("no event says which proof system was in force in L1's block {block}")]
    NoProofSystem { block: u64 },
    #[error(
        "the contract's proof system {when} has another {what}: {found:#x}, and this release's is {expected:#x}"
    )]
    ProofSystem { when: &'static str, what: &'static str, expected: U256, found: U256 },
    #[error(
        "the contract's proof system {when} has {found} circuits that shrink, and this release has {expected}"
    )]
    ShrinkCount { when: &'static str, expected: usize, found: usize },
    #[error(
        "the code of the proof's verifier {verifier} is not the one that this release deploys for its last circuit"
    )]
    Verifier { verifier: Address },
    #[error(
        "the contract holds block {held}, and the update is over blocks up to {last}: L1 took it back"
    )]
    Behind { held: u64, last: u64 },
    #[error("the contract holds another {what} of block {block} than the update says: {found:#x}")]
    Held { what: &'static str, block: u64, found: Felt },
}

/// What this release demands of L1.
#[derive(Clone, Debug)]
pub struct Pins {
    /// Programs, chain and circuits.
    pub hashes: PinnedHashes,
    /// The last circuit.
    pub last_circuit: VerificationKey,
}

/// Walks the links from the proven `block` to L1's state, tells each that holds to `report`, and stops at the first that
/// does not.
pub fn walk(
    evidence: &Evidence,
    block: u64,
    pins: &Pins,
    report: &mut dyn FnMut(&L1Link),
) -> Result<Vec<L1Link>, BrokenL1Link> {
    let mut links = Vec::new();
    let mut holds = |link: L1Link| {
        report(&link);
        links.push(link);
    };
    let (link, tree) = batch_link(evidence, block, pins)?;
    holds(link);
    holds(last_proof_link(&evidence.settled, &tree, pins)?);
    holds(contract_link(evidence, pins)?);
    Ok(links)
}

fn batch_link(
    evidence: &Evidence,
    block: u64,
    pins: &Pins,
) -> Result<(L1Link, CircuitClaim), BrokenL1Link> {
    let L1Update { event, transaction, .. } = &evidence.update;
    let output = &evidence.settled.output;
    for (what, said, found) in [
        ("number of the block before", event.previousBlockNumber, output.previous_block_number),
        ("number of the last block", event.newBlockNumber, output.block_number),
        ("state root before", event.previousRoot, output.initial_root),
        ("state root", event.newRoot, output.final_root),
        ("hash of the block before", event.previousBlockHash, output.previous_block_hash),
        ("hash of the last block", event.newBlockHash, output.block_hash),
    ] {
        if said != felt_to_u256(&found) {
            return Err(BrokenL1Link::Event { what });
        }
    }
    let (first, last) = blocks_of(&evidence.update);
    if !(first..=last).contains(&block) {
        return Err(BrokenL1Link::OtherBlocks { block, first, last });
    }
    // An output that was decoded is over at least one block.
    let expected = output.blocks().unwrap_or_default();
    let found = evidence.outputs.len();
    let wrong_count = BrokenL1Link::OutputCount { expected, found };
    let claims: Vec<Felt> = evidence.outputs.iter().map(|output| block_claim(output)).collect();
    let Some(tree) = Tree::balanced(expected) else { return Err(wrong_count) };
    let roots = &pins.hashes.roots;
    for (circuit, said, pinned) in
        [("wrapping", output.wrap_root, roots.wrap), ("merging", output.merge_root, roots.merge)]
    {
        if said != pinned {
            return Err(BrokenL1Link::Circuit { circuit });
        }
    }
    let tree = tree_claim(&tree, &claims, roots.wrap, roots.merge).ok_or(wrong_count)?;
    if tree.output != output.tree_hash {
        return Err(BrokenL1Link::TreeHash { expected: output.tree_hash, found: tree.output });
    }
    Ok((L1Link::Batch { block, first, last, transaction: *transaction }, tree))
}

/// The blocks that an update settles, both included, by the contract's event.
pub fn blocks_of(update: &L1Update) -> (u64, u64) {
    // Beyond 64 bits the contract takes none.
    let number = |number: U256| u64::try_from(number).unwrap_or(u64::MAX);
    let event = &update.event;
    (number(event.previousBlockNumber).saturating_add(1), number(event.newBlockNumber))
}

fn last_proof_link(
    settled: &SettledUpdate,
    tree: &CircuitClaim,
    pins: &Pins,
) -> Result<L1Link, BrokenL1Link> {
    let claims = FinalClaims::new(&pins.hashes.roots, tree, &settled.output.encode());
    verify_calldata(&settled.proof, &pins.last_circuit, &claims.last)
        .map_err(BrokenL1Link::LastProof)?;
    Ok(L1Link::LastProof { bytes: settled.proof.len() })
}

fn contract_link(evidence: &Evidence, pins: &Pins) -> Result<L1Link, BrokenL1Link> {
    let Evidence { update, contract, .. } = evidence;
    if !contract.succeeded {
        let (transaction, block) = (update.transaction, update.block);
        return Err(BrokenL1Link::Transaction { transaction, block });
    }
    let Some(delays) = contract.our_code else {
        return Err(BrokenL1Link::Code { address: contract.address });
    };
    let Some(genesis) = contract.created else {
        let (address, l1_block) = (contract.address, contract.deployed_in);
        return Err(BrokenL1Link::Creation { address, l1_block });
    };
    check_genesis(&genesis, &evidence.genesis)?;
    let ((_, last), held) = (blocks_of(update), contract.held);
    // The last one before the update's block, and those that came with that block, whatever their order in it.
    let before = contract.in_force.iter().rfind(|system| system.block < update.block);
    let within = contract.in_force.iter().filter(|system| system.block == update.block);
    let then: Vec<_> = before.into_iter().chain(within).map(|it| &it.system).collect();
    if then.is_empty() {
        return Err(BrokenL1Link::NoProofSystem { block: update.block });
    }
    // Whichever of the later ones was in force could have made the later state that the contract holds.
    let later = contract.in_force.iter().filter(|system| system.block > update.block);
    let later =
        later.filter(|_| held.block_number != last).map(|it| (&it.system, "since the update"));
    let now = std::iter::once((&contract.system, "now"));
    let then = then.into_iter().map(|system| (system, "at the update"));
    for (system, when) in then.chain(now).chain(later) {
        check_system(system, when, &pins.hashes)?;
        let verifier = system.verifier;
        if !contract.our_verifiers.contains(&verifier) {
            return Err(BrokenL1Link::Verifier { verifier });
        }
    }
    if held.block_number < last {
        return Err(BrokenL1Link::Behind { held: held.block_number, last });
    }
    if held.block_number == last {
        let output = &evidence.settled.output;
        for (what, found, said) in [
            ("hash", held.block_hash, output.block_hash),
            ("state root", held.root, output.final_root),
        ] {
            if found != said {
                return Err(BrokenL1Link::Held { what, block: last, found });
            }
        }
    }
    Ok(L1Link::Contract {
        address: contract.address,
        held: held.block_number,
        l1_block: update.block,
        depth: contract.head.saturating_sub(update.block),
        genesis,
        delays,
        pending_upgrade: contract.pending_upgrade,
    })
}

fn check_genesis(contract: &Genesis, chain: &Genesis) -> Result<(), BrokenL1Link> {
    if contract.block_number != 0 {
        return Err(BrokenL1Link::FirstBlock { block: contract.block_number });
    }
    for (what, found, expected) in
        [("hash", contract.block_hash, chain.block_hash), ("state root", contract.root, chain.root)]
    {
        if found != expected {
            return Err(BrokenL1Link::Genesis { what, expected, found });
        }
    }
    Ok(())
}

fn check_system(
    system: &RollupCore::ProofSystem,
    when: &'static str,
    pinned: &PinnedHashes,
) -> Result<(), BrokenL1Link> {
    let PinnedHashes { os_program, aggregator_program, config, roots } = pinned;
    let shrink = [circuit_hash_to_u256(&roots.shrink), circuit_hash_to_u256(&roots.compact)];
    let found = system.shrinkRoots.len();
    if found != shrink.len() {
        return Err(BrokenL1Link::ShrinkCount { when, expected: shrink.len(), found });
    }
    for (what, expected, found) in [
        ("StarknetOS", felt_to_u256(os_program), system.osProgramHash),
        ("aggregator", felt_to_u256(aggregator_program), system.aggregatorProgramHash),
        ("chain configuration", felt_to_u256(config), system.configHash),
        ("circuit that wraps", circuit_hash_to_u256(&roots.wrap), system.wrapRoot),
        ("circuit that merges", circuit_hash_to_u256(&roots.merge), system.mergeRoot),
        ("circuit that shrinks", shrink[0], system.shrinkRoots[0]),
        ("circuit that compacts", shrink[1], system.shrinkRoots[1]),
    ] {
        if expected != found {
            return Err(BrokenL1Link::ProofSystem { when, what, expected, found });
        }
    }
    Ok(())
}
