//! What every handler reaches: stores, the sequencer, an executor, and the bounds.

use std::sync::Arc;

use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError, StoredBlock};
use sidereal_object_store::ObjectStore;
use sidereal_proto::executor::executor_service_client::ExecutorServiceClient;
use sidereal_proto::sequencer::sequencer_service_client::SequencerServiceClient;
use sidereal_service::grpc::ServiceChannel;
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;

use crate::classes::ClassIntake;
use crate::error::RpcError;
use crate::limits::Limits;
use crate::open_state::{LastOpenState, StateView};
use crate::pre_confirmed::PreConfirmed;
use crate::rpc::block_id::{BlockId, BlockTag};

/// The client of the sequencer.
pub type SequencerClient = SequencerServiceClient<ServiceChannel>;
/// The client of an executor.
pub type ExecutorClient = ExecutorServiceClient<ServiceChannel>;

/// Everything a gateway is made of; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<GatewayParts>,
    classes: Arc<ClassIntake>,
    open_state: Arc<LastOpenState>,
}

/// The pieces that [`Gateway::new`] puts together.
pub struct GatewayParts {
    pub chain_id: ChainId,
    pub limits: Limits,
    pub store: ChainStore,
    pub objects: Arc<dyn ObjectStore>,
    pub sequencer: SequencerClient,
    pub executor: ExecutorClient,
}

impl Gateway {
    pub fn new(parts: GatewayParts) -> Self {
        let classes = Arc::new(ClassIntake::new(&parts.limits));
        Self { parts: Arc::new(parts), classes, open_state: Arc::default() }
    }

    pub fn chain_id(&self) -> &ChainId {
        &self.parts.chain_id
    }

    pub fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    pub fn store(&self) -> &ChainStore {
        &self.parts.store
    }

    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.parts.objects
    }

    pub fn classes(&self) -> &ClassIntake {
        &self.classes
    }

    pub fn last_open_state(&self) -> &LastOpenState {
        &self.open_state
    }

    /// A client of its own: generated clients are called by `&mut`, and cloning one is cheap.
    pub fn sequencer(&self) -> SequencerClient {
        self.parts.sequencer.clone()
    }

    pub fn executor(&self) -> ExecutorClient {
        self.parts.executor.clone()
    }

    /// The block that an id names: a closed one, or the open one.
    pub async fn resolve(&self, id: BlockId) -> Result<Resolved, RpcError> {
        let selector = match id {
            BlockId::Hash(hash) => BlockSelector::Hash(BlockHash(hash)),
            BlockId::Number(number) => BlockSelector::Number(number),
            BlockId::Tag(BlockTag::Latest) => BlockSelector::Latest,
            BlockId::Tag(BlockTag::L1Accepted) => BlockSelector::LatestAcceptedOnL1,
            BlockId::Tag(BlockTag::PreConfirmed) => {
                return PreConfirmed::load(self).await.map(Box::new).map(Resolved::PreConfirmed);
            }
        };
        self.closed_block(selector).await.map(Box::new).map(Resolved::Closed)
    }

    /// A closed block.
    pub async fn closed_block(&self, selector: BlockSelector) -> Result<StoredBlock, RpcError> {
        self.store()
            .block(selector)
            .await
            .map_err(|error| RpcError::store("read a block", &error))?
            .ok_or(RpcError::BlockNotFound)
    }

    /// The number of the latest block.
    pub async fn head(&self) -> Result<BlockNumber, RpcError> {
        let head = self.store().head().await;
        let head = head.map_err(|error| RpcError::store("read the head", &error))?;
        head.map(|head| head.number).ok_or(RpcError::BlockNotFound)
    }

    /// The state that an id stands for.
    pub async fn state(&self, id: BlockId) -> Result<StateView, RpcError> {
        let selector = match id {
            BlockId::Hash(hash) => BlockSelector::Hash(BlockHash(hash)),
            BlockId::Number(number) => BlockSelector::Number(number),
            BlockId::Tag(BlockTag::L1Accepted) => BlockSelector::LatestAcceptedOnL1,
            BlockId::Tag(BlockTag::Latest) => return self.head().await.map(StateView::Closed),
            BlockId::Tag(BlockTag::PreConfirmed) => return StateView::pre_confirmed(self).await,
        };
        self.closed_block(selector).await.map(|block| StateView::Closed(block.number()))
    }
}

/// A block that an id was found to name.
pub enum Resolved {
    Closed(Box<StoredBlock>),
    PreConfirmed(Box<PreConfirmed>),
}

/// The chain id as JSON-RPC shows it: the ASCII text as a number.
pub fn chain_id_felt(chain_id: &ChainId) -> Option<Felt> {
    Felt::try_from(chain_id).ok()
}

impl RpcError {
    /// A failed read of the chain store: what the caller did wrong is told apart from what is wrong with us.
    pub fn store(operation: &'static str, error: &ChainStoreError) -> Self {
        match error {
            ChainStoreError::ContinuationToken { .. } => Self::InvalidContinuationToken,
            other => Self::internal(operation, other),
        }
    }

    /// A failed call of another service.
    pub fn service(operation: &'static str, status: &tonic::Status) -> Self {
        match status.code() {
            tonic::Code::ResourceExhausted => Self::Busy,
            tonic::Code::DeadlineExceeded => Self::TimedOut,
            _ => Self::internal(operation, status),
        }
    }
}
