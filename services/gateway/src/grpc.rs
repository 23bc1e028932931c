//! `sidereal.gateway.v1`: submission, statuses and blocks over gRPC.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use sidereal_chain_store::{BlockFinality, BlockSelector, StoredBlock};
use sidereal_proto::gateway::gateway_service_server::{GatewayService, GatewayServiceServer};
use sidereal_proto::gateway::{
    GetBlockRequest, GetBlockResponse, GetTransactionStatusRequest, GetTransactionStatusResponse,
    SubmitTransactionRequest, SubmitTransactionResponse, WatchBlocksRequest, WatchFinalityRequest,
    WatchFinalityResponse, WatchTransactionStatusRequest, get_block_request,
};
use sidereal_proto::types::{
    BlockHeader, ExecutionStatus as WireExecution, FinalityStatus as WireFinality,
    Transaction as WireTransaction, TransactionStatus as WireStatus,
};
use sidereal_proto::{felt as wire_felt, transaction as wire};
use sidereal_service::Shutdown;
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::transaction::Transaction;
use starknet_types_core::felt::Felt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::methods::{KnownStatus, transaction_status};
use crate::rpc::class::SierraClass;
use crate::rpc::receipt::{ExecutionStatus, Finality, TransactionStatus};
use crate::rpc::transaction::{Broadcast, BroadcastVersion};
use crate::submit::submit;

/// How often streams look for something new.
const WATCH_PERIOD: Duration = Duration::from_millis(250);
/// How often they look for what L1 accepted, which takes minutes at least.
const FINALITY_PERIOD: Duration = Duration::from_secs(1);
/// Messages that wait for a slow reader of a stream; then the stream waits for the reader.
const STREAM_BUFFER: usize = 16;
/// Blocks that are read at once for a stream that is behind.
const BLOCKS_AT_ONCE: u32 = 16;
/// Metadata with the code of the JSON-RPC specification.
const ERROR_CODE: &str = "starknet-error-code";

/// The service.
#[derive(Clone)]
pub struct GatewayGrpc {
    gateway: Gateway,
    shutdown: Shutdown,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

type Watch<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl GatewayGrpc {
    pub fn new(gateway: Gateway, shutdown: Shutdown) -> Self {
        let limits = gateway.limits();
        let permits = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        let (calls, streams) = (permits(limits.max_concurrent_calls), permits(limits.max_streams));
        Self { gateway, shutdown, calls, streams }
    }

    pub fn routes(self, max_message_bytes: usize) -> tonic::service::Routes {
        tonic::service::Routes::new(
            GatewayServiceServer::new(self)
                .max_decoding_message_size(max_message_bytes)
                .max_encoding_message_size(max_message_bytes),
        )
    }

    /// Does the work of a call that is no stream within the bounds of all of them, as JSON-RPC does.
    async fn bounded<T>(
        &self,
        work: BoxFuture<'_, Result<T, Status>>,
    ) -> Result<Response<T>, Status> {
        // Refusing beats queueing: a caller that is told so can go to another replica.
        let _call = self.calls.try_acquire().map_err(|_| RpcError::Busy)?;
        let timeout = Duration::from_millis(self.gateway.limits().request_timeout_ms);
        let answer =
            tokio::time::timeout(timeout, work).await.map_err(|_| RpcError::TimedOut)??;
        Ok(Response::new(answer))
    }

    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many streams are open"))
    }

    async fn status_of(&self, hash: Felt) -> Result<WireStatus, RpcError> {
        let known = transaction_status(&self.gateway, hash).await?;
        Ok(wire_status(hash, known))
    }

    async fn submit(
        &self,
        request: SubmitTransactionRequest,
    ) -> Result<SubmitTransactionResponse, Status> {
        let transaction = request
            .transaction
            .ok_or_else(|| Status::invalid_argument("`transaction` is missing"))?;
        let received = wire::from_wire(transaction)?;
        let class = match (&received.transaction, request.sierra_class_json.is_empty()) {
            (Transaction::Declare(_), false) => {
                let class: SierraClass = serde_json::from_slice(&request.sierra_class_json)
                    .map_err(|error| {
                        Status::invalid_argument(format!(
                            "`sierra_class_json` is no class: {error}"
                        ))
                    })?;
                Some(Box::new(class))
            }
            (Transaction::Declare(_), true) => {
                return Err(Status::invalid_argument("`sierra_class_json` is missing"));
            }
            (_, false) => {
                return Err(Status::invalid_argument("only a declare carries `sierra_class_json`"));
            }
            (_, true) => None,
        };
        let broadcast = Broadcast {
            version: BroadcastVersion::Three,
            transaction: received.transaction,
            class,
        };
        let accepted = submit(&self.gateway, broadcast, received.claimed_hash).await?;
        let transaction_hash = wire_felt::felt_bytes(&accepted.hash.0);
        Ok(SubmitTransactionResponse { transaction_hash })
    }

    async fn find_status(
        &self,
        request: GetTransactionStatusRequest,
    ) -> Result<GetTransactionStatusResponse, Status> {
        let hash = wire_felt::felt("transaction_hash", &request.transaction_hash)?;
        let status = self.status_of(hash).await?;
        Ok(GetTransactionStatusResponse { status: Some(status) })
    }

    async fn find_block(&self, request: GetBlockRequest) -> Result<GetBlockResponse, Status> {
        let selector = match request.block {
            None => BlockSelector::Latest,
            Some(get_block_request::Block::Number(number)) => {
                BlockSelector::Number(BlockNumber(number))
            }
            Some(get_block_request::Block::Hash(hash)) => {
                BlockSelector::Hash(BlockHash(wire_felt::felt("hash", &hash)?))
            }
        };
        let block = self.gateway.closed_block(selector).await?;
        self.block(block, request.with_transactions).await.map_err(Status::from)
    }

    async fn block(&self, block: StoredBlock, full: bool) -> Result<GetBlockResponse, RpcError> {
        let number = block.number();
        let hashes = self.gateway.store().transaction_hashes(number).await;
        let hashes = hashes.map_err(|error| RpcError::store("read a block's hashes", &error))?;
        let transactions = if full {
            let stored = self.gateway.store().transactions(number).await;
            stored
                .map_err(|error| RpcError::store("read a block's transactions", &error))?
                .iter()
                .map(|stored| wire::to_wire(&stored.hash, &stored.transaction))
                .collect::<Result<Vec<WireTransaction>, _>>()
                .map_err(|error| RpcError::internal("write a transaction", &error))?
        } else {
            Vec::new()
        };
        let finality = match block.finality {
            BlockFinality::AcceptedOnL2 => WireFinality::AcceptedOnL2,
            BlockFinality::AcceptedOnL1 => WireFinality::AcceptedOnL1,
        };
        Ok(GetBlockResponse {
            header: Some(wire_header(&block)),
            transaction_hashes: hashes.iter().map(|hash| wire_felt::felt_bytes(&hash.0)).collect(),
            transactions,
            finality: finality.into(),
        })
    }
}

#[tonic::async_trait]
impl GatewayService for GatewayGrpc {
    async fn submit_transaction(
        &self,
        request: Request<SubmitTransactionRequest>,
    ) -> Result<Response<SubmitTransactionResponse>, Status> {
        self.bounded(Box::pin(self.submit(request.into_inner()))).await
    }

    async fn get_transaction_status(
        &self,
        request: Request<GetTransactionStatusRequest>,
    ) -> Result<Response<GetTransactionStatusResponse>, Status> {
        self.bounded(Box::pin(self.find_status(request.into_inner()))).await
    }

    type WatchTransactionStatusStream = Watch<GetTransactionStatusResponse>;

    async fn watch_transaction_status(
        &self,
        request: Request<WatchTransactionStatusRequest>,
    ) -> Result<Response<Self::WatchTransactionStatusStream>, Status> {
        let request = request.into_inner();
        let hash = wire_felt::felt("transaction_hash", &request.transaction_hash)?;
        let until = Until::read(request.until)?;
        let permit = self.stream_permit()?;
        let mut last = self.status_of(hash).await?;
        let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
        let service = self.clone();
        let shutdown = self.shutdown.clone();
        self.shutdown.spawn("status stream", async move {
            let _permit = permit;
            let mut changed = true;
            loop {
                if changed {
                    let ended = until.is_reached_by(last.finality());
                    let message = GetTransactionStatusResponse { status: Some(last.clone()) };
                    if sender.send(Ok(message)).await.is_err() || ended {
                        return;
                    }
                }
                let period = match last.finality() {
                    WireFinality::AcceptedOnL2 => FINALITY_PERIOD,
                    _ => WATCH_PERIOD,
                };
                tokio::select! {
                    () = tokio::time::sleep(period) => {}
                    () = sender.closed() => return,
                    () = shutdown.triggered() => {
                        // The reader is told why, if it still reads.
                        let _ = sender.try_send(Err(Status::unavailable("the gateway is stopping")));
                        return;
                    }
                }
                match service.status_of(hash).await {
                    Ok(status) => {
                        changed = status != last;
                        last = status;
                    }
                    Err(error) => {
                        let _ = sender.send(Err(error.into())).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_block(
        &self,
        request: Request<GetBlockRequest>,
    ) -> Result<Response<GetBlockResponse>, Status> {
        self.bounded(Box::pin(self.find_block(request.into_inner()))).await
    }

    type WatchBlocksStream = Watch<GetBlockResponse>;

    async fn watch_blocks(
        &self,
        request: Request<WatchBlocksRequest>,
    ) -> Result<Response<Self::WatchBlocksStream>, Status> {
        let permit = self.stream_permit()?;
        let mut next = match request.into_inner().first_block_number {
            Some(number) => BlockNumber(number),
            None => {
                let head = self.gateway.store().head().await;
                let head = head.map_err(|error| RpcError::store("read the head", &error))?;
                BlockNumber(head.map_or(0, |head| head.number.0.saturating_add(1)))
            }
        };
        let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
        let service = self.clone();
        let shutdown = self.shutdown.clone();
        self.shutdown.spawn("block stream", async move {
            let _permit = permit;
            loop {
                let blocks = service.gateway.store().blocks_from(next, BLOCKS_AT_ONCE).await;
                let blocks = match blocks {
                    Ok(blocks) => blocks,
                    Err(error) => {
                        let error = RpcError::store("read blocks", &error);
                        let _ = sender.send(Err(error.into())).await;
                        return;
                    }
                };
                let caught_up = blocks.is_empty();
                for block in blocks {
                    next = BlockNumber(block.number().0.saturating_add(1));
                    let message = service.block(block, false).await.map_err(Status::from);
                    let failed = message.is_err();
                    if sender.send(message).await.is_err() || failed {
                        return;
                    }
                }
                let pause = if caught_up { WATCH_PERIOD } else { Duration::ZERO };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = sender.closed() => return,
                    () = shutdown.triggered() => {
                        let _ = sender.try_send(Err(Status::unavailable("the gateway is stopping")));
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    type WatchFinalityStream = Watch<WatchFinalityResponse>;

    async fn watch_finality(
        &self,
        _: Request<WatchFinalityRequest>,
    ) -> Result<Response<Self::WatchFinalityStream>, Status> {
        let permit = self.stream_permit()?;
        let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
        let store = self.gateway.store().clone();
        let shutdown = self.shutdown.clone();
        self.shutdown.spawn("finality stream", async move {
            let _permit = permit;
            let mut told = None;
            loop {
                match store.block(BlockSelector::LatestAcceptedOnL1).await {
                    Ok(Some(block)) if told < Some(block.number()) => {
                        told = Some(block.number());
                        let message = WatchFinalityResponse {
                            l1_accepted_block_number: block.number().0,
                            l1_accepted_block_hash: wire_felt::felt_bytes(&block.hash.0),
                        };
                        if sender.send(Ok(message)).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let error = RpcError::store("read the last block on L1", &error);
                        let _ = sender.send(Err(error.into())).await;
                        return;
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(FINALITY_PERIOD) => {}
                    () = sender.closed() => return,
                    () = shutdown.triggered() => {
                        let _ = sender.try_send(Err(Status::unavailable("the gateway is stopping")));
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// The finality with which a stream of statuses ends.
#[derive(Clone, Copy)]
enum Until {
    PreConfirmed,
    AcceptedOnL2,
    AcceptedOnL1,
}

impl Until {
    fn read(until: i32) -> Result<Self, Status> {
        match WireFinality::try_from(until) {
            Ok(WireFinality::PreConfirmed) => Ok(Self::PreConfirmed),
            Ok(WireFinality::Unspecified | WireFinality::AcceptedOnL2) => Ok(Self::AcceptedOnL2),
            Ok(WireFinality::AcceptedOnL1) => Ok(Self::AcceptedOnL1),
            // RECEIVED has been reached before, and nobody waits for a rejection.
            Ok(WireFinality::Received | WireFinality::Rejected) | Err(_) => {
                Err(Status::invalid_argument(
                    "`until` must be PRE_CONFIRMED, ACCEPTED_ON_L2 or ACCEPTED_ON_L1",
                ))
            }
        }
    }

    fn is_reached_by(self, finality: WireFinality) -> bool {
        match finality {
            WireFinality::Rejected | WireFinality::AcceptedOnL1 => true,
            WireFinality::AcceptedOnL2 => !matches!(self, Self::AcceptedOnL1),
            WireFinality::PreConfirmed => matches!(self, Self::PreConfirmed),
            WireFinality::Received | WireFinality::Unspecified => false,
        }
    }
}

fn wire_status(hash: Felt, known: KnownStatus) -> WireStatus {
    let transaction_hash = wire_felt::felt_bytes(&hash);
    match known {
        KnownStatus::Rejected { reason } => WireStatus {
            transaction_hash,
            finality: WireFinality::Rejected.into(),
            execution: WireExecution::Unspecified.into(),
            failure_reason: reason,
            block_number: None,
        },
        KnownStatus::Alive {
            status: TransactionStatus { finality_status, execution_status, failure_reason },
            block_number,
        } => WireStatus {
            transaction_hash,
            finality: match finality_status {
                Finality::Received => WireFinality::Received,
                Finality::PreConfirmed => WireFinality::PreConfirmed,
                Finality::AcceptedOnL2 => WireFinality::AcceptedOnL2,
                Finality::AcceptedOnL1 => WireFinality::AcceptedOnL1,
            }
            .into(),
            execution: match execution_status {
                None => WireExecution::Unspecified,
                Some(ExecutionStatus::Succeeded) => WireExecution::Succeeded,
                Some(ExecutionStatus::Reverted) => WireExecution::Reverted,
            }
            .into(),
            failure_reason: failure_reason.unwrap_or_default(),
            block_number,
        },
    }
}

fn wire_header(block: &StoredBlock) -> BlockHeader {
    let header = &block.header;
    let commitments = &block.commitments;
    BlockHeader {
        number: header.block_number.0,
        hash: wire_felt::felt_bytes(&block.hash.0),
        parent_hash: wire_felt::felt_bytes(&header.parent_hash.0),
        state_root: wire_felt::felt_bytes(&header.state_root.0),
        sequencer_address: wire_felt::felt_bytes(header.sequencer.0.0.key()),
        timestamp: header.timestamp.0,
        starknet_version: header.starknet_version.to_string(),
        transaction_count: u32::try_from(block.transaction_count).unwrap_or(u32::MAX),
        transaction_commitment: wire_felt::felt_bytes(&commitments.transaction_commitment.0),
        event_commitment: wire_felt::felt_bytes(&commitments.event_commitment.0),
        receipt_commitment: wire_felt::felt_bytes(&commitments.receipt_commitment.0),
        state_diff_commitment: wire_felt::felt_bytes(&commitments.state_diff_commitment.0.0),
    }
}

impl From<RpcError> for Status {
    /// The gRPC code for each error; the specification's own code goes along as metadata.
    fn from(error: RpcError) -> Self {
        let code = match &error {
            RpcError::ContractNotFound
            | RpcError::EntrypointNotFound
            | RpcError::BlockNotFound
            | RpcError::ClassHashNotFound
            | RpcError::TransactionHashNotFound
            | RpcError::TransactionRejected(_)
            | RpcError::NoBlocks => Code::NotFound,
            RpcError::DuplicateTransaction | RpcError::ClassAlreadyDeclared => Code::AlreadyExists,
            RpcError::InvalidTransactionIndex
            | RpcError::PageSizeTooBig
            | RpcError::InvalidContinuationToken
            | RpcError::TooManyKeysInFilter
            | RpcError::InvalidParams(_)
            | RpcError::CompilationFailed(_)
            | RpcError::CompilationError { .. }
            | RpcError::ContractClassSizeIsTooLarge
            | RpcError::CompiledClassHashMismatch
            | RpcError::UnsupportedTransactionVersion
            | RpcError::UnsupportedContractClassVersion
            | RpcError::MalformedTransaction(_)
            | RpcError::InvalidProof => Code::InvalidArgument,
            RpcError::InvalidTransactionNonce(_)
            | RpcError::InsufficientResourcesForValidate
            | RpcError::InsufficientAccountBalance
            | RpcError::ValidationFailure(_)
            | RpcError::NonAccount
            | RpcError::ReplacementTransactionUnderpriced
            | RpcError::FeeBelowMinimum
            | RpcError::ContractError { .. }
            | RpcError::TransactionExecution { .. }
            | RpcError::NoTraceAvailable { .. }
            | RpcError::Unexpected(_) => Code::FailedPrecondition,
            RpcError::NotSupported(_) | RpcError::StorageProofNotSupported => Code::Unimplemented,
            RpcError::Busy | RpcError::MempoolFull => Code::ResourceExhausted,
            RpcError::SequencerUnavailable => Code::Unavailable,
            RpcError::TimedOut => Code::DeadlineExceeded,
            RpcError::Internal { .. } => Code::Internal,
        };
        let message = match error.data() {
            Some(serde_json::Value::String(data)) => format!("{error}: {data}"),
            Some(data) => format!("{error}: {data}"),
            None => error.to_string(),
        };
        // gRPC carries the message in a header; a longer one would break the response.
        let message: String = message.chars().take(1_000).collect();
        let mut status = Status::new(code, message);
        if let Ok(value) = error.code().to_string().parse() {
            status.metadata_mut().insert(ERROR_CODE, value);
        }
        status
    }
}
