//! From an executed block to a committed one.
//!
//! ```text
//!  execution ─> tries (chain store's nodes) ─> state root ─> header, block hash ─> witness ─> object store
//!                        │                                       │                              │
//!                        └──────────────── one database transaction: block, receipts, state, nodes, outbox
//! ```
//!
//! Every step before the database transaction can be repeated; the witness's key holds the block's hash, so that one
//! left behind by a process that died is never taken for another block's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use sidereal_chain_store::{
    BlockCommit, BlockFinality, BlockSelector, ChainStore, ChainStoreError, FeeUnit, Head,
    OutboxMessage, Removal, StoredBlock, StoredReceipt, StoredTransaction,
};
use sidereal_execution::header::{BlockHeader, HeaderError, block_header};
use sidereal_execution::outcome::{BlockExecution, Rejection, TransactionReceipt};
use sidereal_execution::witness::{BlockWitness, WitnessError};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use sidereal_patricia::TrieError;
use sidereal_patricia::state::{AccessedKeys, StateTries, StateTriesUpdate};
use sidereal_proto::events::BlockClosed;
use sidereal_proto::felt::felt_bytes;
use sidereal_service::telemetry::inject_headers;
use starknet_api::block::{BlockHeaderWithoutHash, BlockNumber};
use starknet_api::core::{ClassHash, SequencerContractAddress};

use crate::classes::{StoredClassError, StoredClasses};

/// The subject of the event that says that a block was closed.
pub const BLOCK_CLOSED: &str = "block.closed";

/// A block could not be committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The execution is not of the block that comes next.
    #[error("block {block} was executed on parent {parent:#x}, the chain's head is {head:?}")]
    WrongParent {
        /// The executed block.
        block: BlockNumber,
        /// The parent it was executed on.
        parent: starknet_types_core::felt::Felt,
        /// The chain's head.
        head: Option<Box<Head>>,
    },
    /// The tries cannot be loaded or updated.
    #[error("updating the tries for block {block} failed")]
    Tries {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: TrieError,
    },
    /// The tries do not start from the committed roots, so what they came to is worth nothing.
    #[error("the tries of block {block} did not start from the roots of its parent")]
    Roots {
        /// The block.
        block: BlockNumber,
    },
    /// The header cannot be computed.
    #[error("computing the header of block {block} failed")]
    Header {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: HeaderError,
    },
    /// A class that the witness needs cannot be had.
    #[error("a class of block {block} cannot be had")]
    Class {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: StoredClassError,
    },
    /// The witness cannot be built.
    #[error("building the witness of block {block} failed")]
    Witness {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: WitnessError,
    },
    /// The witness cannot be stored.
    #[error("storing the witness of block {block} failed")]
    StoreWitness {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: ObjectStoreError,
    },
    /// The chain store refused or failed.
    #[error("committing block {block} failed")]
    Commit {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: ChainStoreError,
    },
    /// A count does not fit into the store.
    #[error("block {block} is too large to be counted")]
    Count {
        /// The block.
        block: BlockNumber,
    },
    /// The computation panicked.
    #[error("computing block {block} panicked")]
    Panicked {
        /// The block.
        block: BlockNumber,
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl CommitError {
    /// Whether a store was out of reach, so that the same can be tried again. Anything else is a disagreement that
    /// trying again does not mend.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Tries { source: TrieError::Source { source, .. }, .. } => {
                source.downcast_ref::<ChainStoreError>().is_some_and(ChainStoreError::is_retryable)
            }
            Self::Class { source: StoredClassError::Read { source, .. }, .. }
            | Self::StoreWitness { source, .. } => {
                matches!(source, ObjectStoreError::Failed { .. })
            }
            Self::Commit { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}

/// Commits blocks.
#[derive(Clone, Debug)]
pub struct Committer {
    store: ChainStore,
    objects: Arc<dyn ObjectStore>,
    classes: StoredClasses,
}

/// A block that is ready to be written, whatever happens to the stores in between.
#[derive(Debug)]
pub struct PreparedBlock {
    commit: BlockCommit,
    /// `None` for genesis.
    witness: Option<(ObjectKey, Bytes)>,
    /// The chain's head once the block is written.
    pub head: Head,
}

impl PreparedBlock {
    /// The header's facts, as they are stored.
    pub fn block(&self) -> &StoredBlock {
        &self.commit.block
    }
}

impl Committer {
    /// Over these stores.
    pub fn new(store: ChainStore, objects: Arc<dyn ObjectStore>, classes: StoredClasses) -> Self {
        Self { store, objects, classes }
    }

    /// Computes everything about the block: tries, header, witness. Writes nothing. The block's message carries on the
    /// present trace.
    ///
    /// `parent` is the chain's head, `None` for genesis, which gets no witness because it is not proven.
    pub async fn prepare(
        &self,
        parent: Option<Head>,
        execution: &Arc<BlockExecution>,
        rejections: &[Rejection],
    ) -> Result<PreparedBlock, CommitError> {
        let block = execution.environment.number;
        let continues = match &parent {
            None => block == BlockNumber(0),
            Some(head) => {
                Some(block) == head.number.next() && execution.environment.parent_hash == head.hash
            }
        };
        if !continues {
            return Err(CommitError::WrongParent {
                block,
                parent: execution.environment.parent_hash.0,
                head: parent.map(Box::new),
            });
        }
        let previous = parent.map(|head| head.state_roots).unwrap_or_default();
        let tries = move |source| CommitError::Tries { block, source };
        let accessed = accessed_keys(execution);
        let loaded = StateTries::load(&self.store, previous, &execution.state_diff, &accessed)
            .await
            .map_err(tries)?;
        let classes = match parent {
            None => Default::default(),
            Some(_) => {
                let wanted = witness_classes(execution);
                let loaded = self.classes.load(&wanted).await;
                loaded.map_err(|source| CommitError::Class { block, source })?
            }
        };
        let removals = rejections.iter().map(rejection_removal).collect();
        let mut trace = BTreeMap::new();
        inject_headers(&mut trace);
        let genesis = parent.is_none();
        let execution = Arc::clone(execution);
        let compute = move || {
            let update = loaded.update(&execution.state_diff).map_err(tries)?;
            if update.facts.previous_roots() != previous {
                return Err(CommitError::Roots { block });
            }
            let header = block_header(&execution, update.roots.global_root())
                .map_err(|source| CommitError::Header { block, source })?;
            let witness = if genesis {
                None
            } else {
                let witness = BlockWitness::build(
                    (*execution).clone(),
                    header.clone(),
                    update.facts.clone(),
                    &classes,
                )
                .and_then(|witness| witness.encode())
                .map_err(|source| CommitError::Witness { block, source })?;
                Some((ObjectKey::witness(block.0, header.hash.0), Bytes::from(witness)))
            };
            prepared(Arc::unwrap_or_clone(execution), header, update, witness, removals, trace)
        };
        tokio::task::spawn_blocking(compute)
            .await
            .map_err(|source| CommitError::Panicked { block, source })?
    }

    /// Writes the block: first the witness, then everything else at once. Can be repeated after any failure.
    pub async fn write(&self, prepared: &PreparedBlock) -> Result<(), CommitError> {
        let block = prepared.head.number;
        if let Some((key, witness)) = &prepared.witness {
            let put = self.objects.put(key, witness.clone()).await;
            put.map_err(|source| CommitError::StoreWitness { block, source })?;
        }
        let failed = |source| CommitError::Commit { block, source };
        match self.store.commit_block(prepared.commit.clone()).await {
            Ok(()) => Ok(()),
            // The connection may have been lost after the database committed: then the block is there.
            Err(error) => {
                let stored =
                    self.store.block(BlockSelector::Number(block)).await.map_err(failed)?;
                match stored {
                    Some(stored) if stored.hash == prepared.head.hash => Ok(()),
                    _ => Err(failed(error)),
                }
            }
        }
    }
}

/// All leaves that the block read or wrote.
fn accessed_keys(execution: &BlockExecution) -> AccessedKeys {
    let mut accessed = execution.initial_reads.accessed_keys();
    accessed.classes.extend(&execution.executed_classes);
    accessed
}

fn witness_classes(execution: &BlockExecution) -> BTreeSet<ClassHash> {
    let declared = execution.state_diff.class_hash_to_compiled_class_hash.keys();
    execution.executed_classes.iter().chain(declared).copied().collect()
}

fn prepared(
    execution: BlockExecution,
    header: BlockHeader,
    update: StateTriesUpdate,
    witness: Option<(ObjectKey, Bytes)>,
    removals: Vec<Removal>,
    trace: BTreeMap<String, String>,
) -> Result<PreparedBlock, CommitError> {
    let block = header.number;
    let count = |count: usize| u64::try_from(count).map_err(|_| CommitError::Count { block });
    let closed = BlockClosed {
        block_number: block.0,
        block_hash: felt_bytes(&header.hash.0),
        transaction_count: u32::try_from(header.transaction_count)
            .map_err(|_| CommitError::Count { block })?,
    };
    let stored = StoredBlock {
        hash: header.hash,
        header: BlockHeaderWithoutHash {
            parent_hash: header.parent_hash,
            block_number: block,
            l1_gas_price: header.l1_gas_price,
            l1_data_gas_price: header.l1_data_gas_price,
            l2_gas_price: header.l2_gas_price,
            state_root: header.state_root,
            sequencer: SequencerContractAddress(header.sequencer_address),
            timestamp: header.timestamp,
            l1_da_mode: header.l1_da_mode,
            starknet_version: sidereal_execution::block::PROTOCOL_VERSION,
            ..BlockHeaderWithoutHash::default()
        },
        commitments: header.commitments.clone(),
        state_roots: update.roots,
        transaction_count: count(header.transaction_count)?,
        event_count: count(header.event_count)?,
        state_diff_length: count(header.state_diff_length)?,
        finality: BlockFinality::AcceptedOnL2,
        witness_key: witness.as_ref().map(|(key, _)| key.as_str().to_owned()),
    };
    let head = Head { number: block, hash: header.hash, state_roots: update.roots };
    let transactions = execution
        .transactions
        .into_iter()
        .map(|one| StoredTransaction { hash: one.hash, transaction: one.transaction });
    let commit = BlockCommit {
        block: stored,
        transactions: transactions.collect(),
        receipts: execution.receipts.iter().map(stored_receipt).collect(),
        state_diff: execution.state_diff,
        new_nodes: update.new_nodes,
        outbox: vec![OutboxMessage {
            subject: BLOCK_CLOSED.to_owned(),
            payload: closed.encode_to_vec(),
            headers: trace,
        }],
        removals,
    };
    Ok(PreparedBlock { commit, witness, head })
}

/// The receipt as it is stored and served.
pub fn stored_receipt(receipt: &TransactionReceipt) -> StoredReceipt {
    StoredReceipt {
        transaction_hash: receipt.hash,
        execution_status: receipt.execution_status.clone(),
        actual_fee: receipt.actual_fee,
        fee_unit: FeeUnit::Fri,
        events: receipt.events.clone(),
        messages_sent: receipt.messages_sent.clone(),
        gas_consumed: receipt.gas_consumed,
        da_gas: receipt.da_gas,
        contract_address: receipt.contract_address,
    }
}

/// The record of a transaction that execution refused.
pub fn rejection_removal(rejection: &Rejection) -> Removal {
    use sidereal_execution::outcome::RejectionReason as Reason;
    let reason = match rejection.reason {
        Reason::NonceTooOld => "nonce_too_old",
        Reason::NonceTooHigh => "nonce_too_high",
        Reason::ValidationFailed => "validation_failed",
        Reason::InsufficientResourceBounds => "insufficient_resource_bounds",
        Reason::InsufficientBalance => "insufficient_balance",
        Reason::ClassAlreadyDeclared => "class_already_declared",
        Reason::InvalidClass => "invalid_class",
        Reason::InvalidAccount => "invalid_account",
        Reason::NotAnAccount => "not_an_account",
        Reason::TooLarge => "too_large",
        Reason::Malformed => "malformed",
        Reason::ConstructorFailed => "constructor_failed",
        Reason::Other => "other",
    };
    Removal { hash: rejection.hash, reason: reason.to_owned(), message: rejection.message.clone() }
}
