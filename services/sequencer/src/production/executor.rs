//! One block's stream to one executor.

use std::sync::Arc;
use std::time::Duration;

use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::outcome::{BlockClosing, TransactionOutcome};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_proto::executor as wire;
use sidereal_proto::executor::executor_service_client::ExecutorServiceClient;
use sidereal_proto::{ConversionError, felt, payload, transaction};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, GrpcError, ServiceChannel, channel};
use starknet_api::block::BlockHash;
use starknet_api::state::ThinStateDiff;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Decompressed size of what closes a block, in bytes, beyond which it is refused.
const MAX_CLOSING_BYTES: u64 = 512 * 1024 * 1024;

/// Messages to the executor that may be on their way.
const REQUESTS_IN_HAND: usize = 64;

/// An executor that can be asked.
#[derive(Clone, Debug)]
pub struct Executor {
    url: String,
    client: ExecutorServiceClient<ServiceChannel>,
    timeout: Duration,
}

/// The stream to an executor is of no more use. What was sent can be replayed on another one.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The executor, or the way to it, failed.
    #[error("executor {url} failed")]
    Status {
        /// Which one.
        url: String,
        /// What it said.
        #[source]
        source: Box<Status>,
    },
    /// The executor ended the stream.
    #[error("executor {url} ended the stream before the block was closed")]
    Ended {
        /// Which one.
        url: String,
    },
    /// The executor said nothing for too long.
    #[error("executor {url} did not answer within {timeout:?}")]
    Silent {
        /// Which one.
        url: String,
        /// The bound.
        timeout: Duration,
    },
    /// The executor's answer cannot be read.
    #[error("an answer of executor {url} cannot be read")]
    Unreadable {
        /// Which one.
        url: String,
        /// Why.
        #[source]
        source: Unreadable,
    },
    /// A request cannot be written.
    #[error("a request to executor {url} cannot be written")]
    Unwritable {
        /// Which one.
        url: String,
        /// Why.
        #[source]
        source: ConversionError,
    },
}

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A field is not what it should be.
    #[error("a field is malformed")]
    Field(#[source] ConversionError),
    /// It does not decompress within its bound.
    #[error("the closed block does not decompress into at most {MAX_CLOSING_BYTES} bytes")]
    Compression(#[source] std::io::Error),
    /// The closed block is not one.
    #[error("the closed block is malformed")]
    Closing(#[source] serde_json::Error),
    /// The message is empty.
    #[error("a message has no content")]
    Empty,
}

/// What an executor answers.
#[derive(Debug)]
pub enum Answer {
    /// Outcomes, in order; whether nothing more fits after them.
    Outcomes {
        outcomes: Vec<TransactionOutcome>,
        block_full: bool,
        /// What the included ones changed, together.
        state_diff: Box<ThinStateDiff>,
    },
    /// The block is closed; and what the executor calls this execution.
    Closed(Box<BlockClosing>, Vec<u8>),
}

impl Executor {
    /// The executor at this address; connects when first used.
    pub fn new(
        config: &ConnectConfig,
        auth: &AuthConfig,
        timeout: Duration,
    ) -> Result<Self, GrpcError> {
        let client = ExecutorServiceClient::new(channel(config, auth)?)
            .max_decoding_message_size(config.max_message_bytes)
            .max_encoding_message_size(config.max_message_bytes);
        Ok(Self { url: config.url.clone(), client, timeout })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The client for single calls.
    pub fn client(&self) -> ExecutorServiceClient<ServiceChannel> {
        self.client.clone()
    }

    /// Begins a block: on its parent in the chain store, or on the execution with this id, which this executor closed.
    pub async fn begin(
        &self,
        environment: &BlockEnvironment,
        limits: &BlockLimits,
        parent_execution: Option<&[u8]>,
    ) -> Result<(Requests, BlockStream), StreamError> {
        let unwritable = |source| StreamError::Unwritable { url: self.url.clone(), source };
        let begin = wire::BeginBlock {
            environment_json: payload::encode("environment_json", environment)
                .map_err(unwritable)?,
            limits_json: payload::encode("limits_json", limits).map_err(unwritable)?,
            parent_execution_id: parent_execution.map(<[u8]>::to_vec).unwrap_or_default(),
        };
        let (requests, receiver) = mpsc::channel(REQUESTS_IN_HAND);
        let begin = request(wire::execute_block_request::Message::Begin(begin));
        // The channel has room: it is new.
        if requests.try_send(begin).is_err() {
            return Err(StreamError::Ended { url: self.url.clone() });
        }
        let mut client = self.client.clone();
        let opened = client.execute_block(ReceiverStream::new(receiver));
        let opened = tokio::time::timeout(self.timeout, opened).await;
        let answers = opened
            .map_err(|_| StreamError::Silent { url: self.url.clone(), timeout: self.timeout })?
            .map_err(|status| StreamError::Status {
                url: self.url.clone(),
                source: Box::new(status),
            })?
            .into_inner();
        let (url, timeout) = (self.url.clone(), self.timeout);
        let stream = BlockStream { url: url.clone(), timeout, answers };
        Ok((Requests { url, timeout, requests }, stream))
    }
}

fn request(message: wire::execute_block_request::Message) -> wire::ExecuteBlockRequest {
    wire::ExecuteBlockRequest { message: Some(message) }
}

/// See [`Executor::begin`]. Dropping both halves gives the block up.
#[derive(Debug)]
pub struct BlockStream {
    url: String,
    timeout: Duration,
    answers: Streaming<wire::ExecuteBlockResponse>,
}

/// The half of a stream that sends.
#[derive(Debug)]
pub struct Requests {
    url: String,
    timeout: Duration,
    requests: mpsc::Sender<wire::ExecuteBlockRequest>,
}

impl Requests {
    /// Waits until a message can be sent. Cancel-safe.
    pub async fn ready(&self) -> Result<Outgoing<'_>, StreamError> {
        match self.requests.reserve().await {
            Ok(permit) => Ok(Outgoing { url: &self.url, permit }),
            Err(_) => Err(StreamError::Ended { url: self.url.clone() }),
        }
    }

    /// Asks for the block to be closed on this parent. Nothing may be sent after it.
    pub async fn close(&self, parent: BlockHash) -> Result<(), StreamError> {
        let close = wire::CloseBlock { parent_hash: felt::felt_bytes(&parent.0) };
        let close = request(wire::execute_block_request::Message::Close(close));
        let sent = tokio::time::timeout(self.timeout, self.requests.send(close)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StreamError::Ended { url: self.url.clone() }),
            Err(_) => Err(StreamError::Silent { url: self.url.clone(), timeout: self.timeout }),
        }
    }
}

impl BlockStream {
    /// The next answer, however long it takes. Cancel-safe.
    pub async fn answer(&mut self) -> Result<Answer, StreamError> {
        let message = self.answers.message().await.map_err(|status| StreamError::Status {
            url: self.url.clone(),
            source: Box::new(status),
        })?;
        let message = message.ok_or_else(|| StreamError::Ended { url: self.url.clone() })?;
        read(message).map_err(|source| StreamError::Unreadable { url: self.url.clone(), source })
    }

    /// How long an answer that is due may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The error when it took longer.
    pub fn silent(&self) -> StreamError {
        StreamError::Silent { url: self.url.clone(), timeout: self.timeout }
    }
}

/// Room for one message.
#[derive(Debug)]
pub struct Outgoing<'a> {
    url: &'a str,
    permit: mpsc::Permit<'a, wire::ExecuteBlockRequest>,
}

impl Outgoing<'_> {
    /// Sends transactions.
    pub fn send(self, batch: &[Arc<BlockTransaction>]) -> Result<(), StreamError> {
        let transactions = batch
            .iter()
            .map(|one| transaction::to_wire(&one.hash, &one.transaction))
            .collect::<Result<_, _>>()
            .map_err(|source| StreamError::Unwritable { url: self.url.to_owned(), source })?;
        let batch = wire::TransactionBatch { transactions };
        self.permit.send(request(wire::execute_block_request::Message::Transactions(batch)));
        Ok(())
    }
}

fn read(message: wire::ExecuteBlockResponse) -> Result<Answer, Unreadable> {
    match message.message.ok_or(Unreadable::Empty)? {
        wire::execute_block_response::Message::Outcomes(batch) => {
            let outcomes = batch
                .outcomes_json
                .iter()
                .map(|bytes| payload::decode("outcomes_json", bytes))
                .collect::<Result<_, _>>()
                .map_err(Unreadable::Field)?;
            let state_diff = payload::decode("state_diff_json", &batch.state_diff_json)
                .map_err(Unreadable::Field)?;
            Ok(Answer::Outcomes { outcomes, block_full: batch.block_full, state_diff })
        }
        wire::execute_block_response::Message::Closed(closed) => {
            let json = decompress(&closed.closing_json_zstd).map_err(Unreadable::Compression)?;
            let closing = serde_json::from_slice(&json).map_err(Unreadable::Closing)?;
            Ok(Answer::Closed(closing, closed.execution_id))
        }
    }
}

fn decompress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut json = Vec::new();
    let decoder = zstd::Decoder::new(bytes)?;
    decoder.take(MAX_CLOSING_BYTES + 1).read_to_end(&mut json)?;
    if u64::try_from(json.len()).is_ok_and(|length| length <= MAX_CLOSING_BYTES) {
        return Ok(json);
    }
    Err(std::io::Error::other("the bound is exceeded"))
}
