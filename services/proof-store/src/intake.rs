//! Taking a proof in: verified against the chain's own block, then durable, then acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sidereal_block_prover::{
    BlockProof, BlockVerifyError, Committed, DecodeError, MAX_ENCODED_BYTES, MessageToL1, OsChain,
    OutputForm, verify_block,
};
use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreError};
use sidereal_os_aggregator::claims::block_claim;
use sidereal_os_aggregator::{AggregatorLoad, joined_data};
use sidereal_service::{Classified, ErrorClass, error_chain};
use sidereal_starknet_os::OsOutput;
use starknet_api::block::BlockNumber;
use starknet_api::core::{ChainId, ContractAddress};
use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;

use crate::index::{AggregatedBlock, IndexError, ProofIndex, StoredProof};
use crate::verifications::Verifications;

/// Why a proof was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the proof of block {block} has {size} bytes, more than {MAX_ENCODED_BYTES}")]
    TooLarge { block: u64, size: usize },
    #[error("{announced} bytes were announced for the proof of block {block}, {received} came")]
    Size { block: u64, announced: u64, received: usize },
    #[error("block {block} is not proven: it is the genesis")]
    Genesis { block: u64 },
    #[error("this chain has no block {block} with hash {hash:#x}")]
    UnknownBlock { block: u64, hash: Felt },
    #[error("the proof of block {block} cannot be read")]
    Decode {
        block: u64,
        #[source]
        source: DecodeError,
    },
    #[error("the proof of block {block} is refused")]
    Refused {
        block: u64,
        #[source]
        source: Box<BlockVerifyError>,
    },
    #[error("the chain store has block {block}, and not its state diff")]
    NoStateDiff { block: u64 },
    #[error("the chain's id cannot be written as a field element")]
    ChainId(#[source] starknet_api::StarknetApiError),
    #[error("the verification of the proof of block {block} was cut off")]
    CutOff {
        block: u64,
        #[source]
        source: tokio::task::JoinError,
    },
    #[error("reading block {block} from the chain store failed")]
    ChainStore {
        block: u64,
        #[source]
        source: ChainStoreError,
    },
    #[error("storing the proof of block {block} failed")]
    ObjectStore {
        block: u64,
        #[source]
        source: ObjectStoreError,
    },
    #[error("adding the proof of block {block} to the index failed")]
    Index {
        block: u64,
        #[source]
        source: IndexError,
    },
    #[error("the index neither took the proof of block {block} nor has another")]
    Displaced { block: u64 },
}

impl Classified for IntakeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. }
            | Self::Size { .. }
            | Self::Genesis { .. }
            | Self::Decode { .. }
            | Self::Refused { .. } => ErrorClass::Invalid,
            Self::UnknownBlock { .. } => ErrorClass::NotFound,
            Self::NoStateDiff { .. }
            | Self::ChainId(_)
            | Self::CutOff { .. }
            | Self::Displaced { .. } => ErrorClass::Internal,
            Self::ChainStore { .. } | Self::Index { .. } => ErrorClass::Unavailable,
            Self::ObjectStore { source, .. } => source.class(),
        }
    }
}

/// What a worker says about its proof. None of it is believed but the figures, which are only shown.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    pub block_number: u64,
    pub block_hash: Felt,
    pub size_bytes: u64,
    pub worker: String,
    pub cairo_steps: u64,
    pub total_ms: u64,
    pub prove_ms: u64,
    pub peak_memory_bytes: u64,
}

impl Offer {
    /// Refuses an announced size that no proof may have, before any of it is taken.
    pub fn check_size(&self) -> Result<(), IntakeError> {
        let size = usize::try_from(self.size_bytes).unwrap_or(usize::MAX);
        if size > MAX_ENCODED_BYTES {
            return Err(IntakeError::TooLarge { block: self.block_number, size });
        }
        Ok(())
    }
}

/// What became of a proof that verifies.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The proof that the block has now.
    pub stored: StoredProof,
    /// Whether the block had none before.
    pub is_new: bool,
}

/// Longest worker name that is kept, in bytes.
const MAX_WORKER_BYTES: usize = 128;

/// Verifies and stores.
pub struct Intake {
    pub chain_id: ChainId,
    pub chain: ChainStore,
    pub objects: Arc<dyn ObjectStore>,
    pub index: ProofIndex,
    pub verifications: Verifications,
}

impl Intake {
    /// Returns when the proof is verified and durable. A block that has a proof keeps it: the new one is
    /// verified all the same, so that a worker learns when it makes wrong ones.
    pub async fn take(&self, offer: Offer, bytes: Bytes) -> Result<Taken, IntakeError> {
        let block = offer.block_number;
        offer.check_size()?;
        if bytes.len() as u64 != offer.size_bytes {
            return Err(IntakeError::Size {
                block,
                announced: offer.size_bytes,
                received: bytes.len(),
            });
        }
        let committed = self.committed(block, offer.block_hash).await?;
        let proof_bytes = bytes.clone();
        let verification = move || -> Result<AggregatedBlock, IntakeError> {
            let proof = BlockProof::decode(&proof_bytes)
                .map_err(|source| IntakeError::Decode { block, source })?;
            verify_block(&proof, &committed)
                .map_err(|source| IntakeError::Refused { block, source: Box::new(source) })?;
            Ok(aggregated(&proof.output))
        };
        let verified = self.verifications.run(verification).await;
        let aggregation = verified.map_err(|source| IntakeError::CutOff { block, source })??;

        let index_failed = |source| IntakeError::Index { block, source };
        if let Some(stored) = self.index.by_number(block).await.map_err(index_failed)? {
            return Ok(Taken { stored, is_new: false });
        }
        let digest = Sha256::digest(&bytes);
        let key = ObjectKey::proof(block, offer.block_hash, &digest.into());
        let stored = StoredProof {
            block_number: block,
            block_hash: offer.block_hash,
            digest: hex::encode(digest),
            size_bytes: bytes.len() as u64,
            key: key.to_string(),
            stored_at: now_s(),
            worker: offer.worker.chars().take(MAX_WORKER_BYTES / 4).collect(),
            cairo_steps: offer.cairo_steps,
            total_ms: offer.total_ms,
            prove_ms: offer.prove_ms,
            peak_memory_bytes: offer.peak_memory_bytes,
            aggregation,
        };
        self.objects
            .put(&key, bytes)
            .await
            .map_err(|source| IntakeError::ObjectStore { block, source })?;
        if !self.index.insert(&stored).await.map_err(index_failed)? {
            return self.keep_first(stored, &key).await;
        }
        tracing::info!(block, worker = stored.worker, bytes = stored.size_bytes, "proof stored");
        Ok(Taken { stored, is_new: true })
    }

    /// Another proof of the block came in while this one was verified: the index decides which is kept.
    async fn keep_first(&self, late: StoredProof, key: &ObjectKey) -> Result<Taken, IntakeError> {
        let block = late.block_number;
        let first = self.index.by_number(block).await;
        let first = first.map_err(|source| IntakeError::Index { block, source })?;
        let Some(first) = first else { return Err(IntakeError::Displaced { block }) };
        if first.key != late.key
            && let Err(error) = self.objects.delete(key).await
        {
            // Nothing refers to it: it only takes up room.
            tracing::warn!(%key, error = %error_chain(&error), "a second proof was not removed");
        }
        Ok(Taken { stored: first, is_new: false })
    }

    /// What the chain store says of the block: what the proof must say, too.
    async fn committed(&self, number: u64, hash: Felt) -> Result<Committed, IntakeError> {
        let failed = |source| IntakeError::ChainStore { block: number, source };
        let unknown = || IntakeError::UnknownBlock { block: number, hash };
        let read = |selected| self.chain.block(BlockSelector::Number(BlockNumber(selected)));
        let parent_number = number.checked_sub(1).ok_or(IntakeError::Genesis { block: number })?;
        let block = read(number).await.map_err(failed)?;
        let block = block.filter(|block| block.hash.0 == hash).ok_or_else(unknown)?;
        let parent = read(parent_number).await.map_err(failed)?.ok_or_else(unknown)?;
        let state_diff = self.chain.state_diff(BlockNumber(number)).await.map_err(failed)?;
        let state_diff = state_diff.ok_or(IntakeError::NoStateDiff { block: number })?;
        let receipts = self.chain.receipts(BlockNumber(number)).await.map_err(failed)?;
        Ok(Committed {
            previous_root: parent.state_roots.global_root().0,
            root: block.state_roots.global_root().0,
            block_number: number,
            previous_block_hash: parent.hash.0,
            block_hash: hash,
            chain: OsChain::new(&self.chain_id).map_err(IntakeError::ChainId)?,
            form: OutputForm::PROVEN,
            known_aliases: self.aliases_before(number, &state_diff).await.map_err(failed)?,
            state_diff,
            messages_to_l1: receipts
                .iter()
                .flat_map(|receipt| &receipt.messages_sent)
                .map(MessageToL1::from)
                .collect(),
        })
    }

    /// The aliases that the addresses and keys of a block's state diff had before it.
    async fn aliases_before(
        &self,
        number: u64,
        state_diff: &ThinStateDiff,
    ) -> Result<BTreeMap<Felt, Felt>, ChainStoreError> {
        let Ok(contract) = ContractAddress::try_from(Committed::ALIAS_CONTRACT_ADDRESS) else {
            return Ok(BTreeMap::new());
        };
        let cells: Vec<_> =
            Committed::alias_keys(state_diff).into_iter().map(|key| (contract, key)).collect();
        let parent = BlockNumber(number.saturating_sub(1));
        let values = self.chain.storage_many(&cells, parent).await?;
        let keys = cells.into_iter().map(|(_, key)| *key.0.key());
        Ok(keys.zip(values).filter(|(_, alias)| *alias != Felt::ZERO).collect())
    }
}

/// What an aggregation needs of a block's proven output.
fn aggregated(output: &[Felt]) -> AggregatedBlock {
    let load = AggregatorLoad::of_output(output);
    // An output that was proven in another form than the aggregator reads has no data for it; the aggregator says so.
    let data = joined_data(&[output.to_vec()]).map_or(0, |data| data.len() as u64);
    let messages =
        OsOutput::decode(output).map_or_else(|_| Vec::new(), |output| output.messages_to_l1);
    AggregatedBlock {
        claim: block_claim(output),
        values: load.values,
        blake: load.blake,
        data_felts: data,
        message_felts: messages.iter().map(|message| 3 + message.payload.len() as u64).sum(),
    }
}

pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}
