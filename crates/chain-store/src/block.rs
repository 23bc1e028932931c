//! Blocks: header, commitments, finality, and where the witness is.

use serde::{Deserialize, Serialize};
use sidereal_patricia::state::StateRoots;
use starknet_api::block::{BlockHash, BlockHeaderWithoutHash, BlockNumber};
use starknet_api::block_hash::block_hash_calculator::BlockHeaderCommitments;

/// How final a closed block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlockFinality {
    /// Closed by the sequencer.
    #[serde(rename = "ACCEPTED_ON_L2")]
    AcceptedOnL2,
    /// The contract on Ethereum verified its proof.
    #[serde(rename = "ACCEPTED_ON_L1")]
    AcceptedOnL1,
}

/// A closed block without its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlock {
    /// The block's hash.
    pub hash: BlockHash,
    /// The header that is hashed; its `state_root` is `state_roots.global_root()`.
    pub header: BlockHeaderWithoutHash,
    /// Commitments of transactions, events, receipts and state diff.
    pub commitments: BlockHeaderCommitments,
    /// Roots of the contract and the class trie after the block.
    pub state_roots: StateRoots,
    /// Number of transactions.
    pub transaction_count: u64,
    /// Number of events.
    pub event_count: u64,
    /// Number of changed values in the state diff, as the block hash counts them.
    pub state_diff_length: u64,
    /// How final it is.
    pub finality: BlockFinality,
    /// Key of the block's witness in the object store. `None` for the genesis block, which is not proven.
    pub witness_key: Option<String>,
}

impl StoredBlock {
    /// The block's number.
    pub fn number(&self) -> BlockNumber {
        self.header.block_number
    }
}

/// The last closed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: BlockHash,
    /// The trie roots after it.
    pub state_roots: StateRoots,
}

/// Names a closed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockSelector {
    /// By number.
    Number(BlockNumber),
    /// By hash.
    Hash(BlockHash),
    /// The last closed one.
    Latest,
    /// The last one that is accepted on L1.
    LatestAcceptedOnL1,
}
