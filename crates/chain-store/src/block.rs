//! Blocks: header, commitments, finality, and where the witness is.

use serde::{Deserialize, Serialize};
use sidereal_patricia::state::StateRoots;
use starknet_api::block::{BlockHash, BlockHeaderWithoutHash, BlockNumber};
use starknet_api::block_hash::block_hash_calculator::BlockHeaderCommitments;
use starknet_api::state::ThinStateDiff;

use crate::backend::{failed, reading, writing};
use crate::encoding::{bytes, damaged, number, read_json};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

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

/// Columns of a block row: the encoded block, and what changes after it is written.
pub(crate) type BlockRow = (Vec<u8>, bool);

pub(crate) fn finality(accepted_on_l1: bool) -> BlockFinality {
    if accepted_on_l1 { BlockFinality::AcceptedOnL1 } else { BlockFinality::AcceptedOnL2 }
}

fn read_block((block, accepted_on_l1): BlockRow) -> Result<StoredBlock> {
    let block: StoredBlock = read_json(&block, || "a block".to_owned())?;
    Ok(StoredBlock { finality: finality(accepted_on_l1), ..block })
}

impl ChainStore {
    /// The last closed block; `None` before genesis.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::Damaged`]; so for every read of this type.
    pub async fn head(&self) -> Result<Option<Head>> {
        let block = self.block(BlockSelector::Latest).await?;
        Ok(block.map(|block| Head {
            number: block.number(),
            hash: block.hash,
            state_roots: block.state_roots,
        }))
    }

    /// One block, without its transactions.
    pub async fn block(&self, block: BlockSelector) -> Result<Option<StoredBlock>> {
        const OPERATION: &str = "reading a block";
        let row: Option<BlockRow> = match block {
            BlockSelector::Number(number) => {
                let Ok(number) = i64::try_from(number.0) else { return Ok(None) };
                reading!(self, |pool, Db| {
                    sqlx::query_as::<Db, BlockRow>(
                        "SELECT block, accepted_on_l1 FROM blocks WHERE number = $1",
                    )
                    .bind(number)
                    .fetch_optional(pool)
                    .await
                })
            }
            BlockSelector::Hash(hash) => reading!(self, |pool, Db| {
                sqlx::query_as::<Db, BlockRow>(
                    "SELECT block, accepted_on_l1 FROM blocks WHERE hash = $1",
                )
                .bind(bytes(&hash.0))
                .fetch_optional(pool)
                .await
            }),
            BlockSelector::Latest => reading!(self, |pool, Db| {
                sqlx::query_as::<Db, BlockRow>(
                    "SELECT block, accepted_on_l1 FROM blocks ORDER BY number DESC LIMIT 1",
                )
                .fetch_optional(pool)
                .await
            }),
            BlockSelector::LatestAcceptedOnL1 => reading!(self, |pool, Db| {
                sqlx::query_as::<Db, BlockRow>(
                    "SELECT block, accepted_on_l1 FROM blocks WHERE accepted_on_l1 \
                     ORDER BY number DESC LIMIT 1",
                )
                .fetch_optional(pool)
                .await
            }),
        }
        .map_err(failed(OPERATION))?;
        row.map(read_block).transpose()
    }

    /// Blocks in order, from `first`, at most `limit`.
    pub async fn blocks_from(&self, first: BlockNumber, limit: u32) -> Result<Vec<StoredBlock>> {
        let Ok(first) = i64::try_from(first.0) else { return Ok(Vec::new()) };
        let rows: Vec<BlockRow> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, BlockRow>(
                "SELECT block, accepted_on_l1 FROM blocks WHERE number >= $1 \
                 ORDER BY number LIMIT $2",
            )
            .bind(first)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
        })
        .map_err(failed("reading blocks"))?;
        rows.into_iter().map(read_block).collect()
    }

    /// Marks all blocks up to `last` as accepted on L1. Returns how many were not before; none goes back.
    ///
    /// # Errors
    /// As the reads, and [`ChainStoreError::ReadOnly`].
    pub async fn accept_on_l1(&self, last: BlockNumber) -> Result<u64> {
        const OPERATION: &str = "marking blocks as accepted on L1";
        let last = number(last.0, "a block number")?;
        Ok(writing!(self, OPERATION, |tx, Db| {
            sqlx::query::<Db>(
                "UPDATE blocks SET accepted_on_l1 = TRUE WHERE number <= $1 AND number > \
                 (SELECT COALESCE(MAX(number), -1) FROM blocks WHERE accepted_on_l1)",
            )
            .bind(last)
            .execute(&mut *tx)
            .await
            .map_err(failed(OPERATION))?
            .rows_affected()
        }))
    }

    /// A block's state diff.
    pub async fn state_diff(&self, block: BlockNumber) -> Result<Option<ThinStateDiff>> {
        let object = || format!("the state diff of block {block}");
        let Ok(number) = i64::try_from(block.0) else { return Ok(None) };
        let row: Option<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT diff FROM state_diffs WHERE block_number = $1",
            )
            .bind(number)
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a state diff"))?;
        row.map(|packed| {
            let json =
                zstd::decode_all(packed.as_slice()).map_err(|error| damaged(object(), error))?;
            read_json(&json, object)
        })
        .transpose()
    }
}
