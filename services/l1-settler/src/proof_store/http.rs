//! A proof store over HTTP, as anybody may read it: that of an operator who is silent.

use std::time::Duration;

use alloy::transports::http::reqwest;
use async_trait::async_trait;
use serde::Deserialize;
use sidereal_aggregation::{Blocks, Step};
use sidereal_block_prover::MAX_ENCODED_BYTES;

use crate::http;

use super::{BadProofsUrl, Proofs, ReadError, batch_of, block_of, blocks};

pub(super) struct HttpProofs {
    http: reqwest::Client,
    base: reqwest::Url,
}

/// What is read of `GET /batches/{block}`.
#[derive(Deserialize)]
struct BatchAnswer {
    first_block: u64,
    last_block: u64,
}

#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answers with HTTP status {0}")]
    Status(u16),
    #[error("its answer cannot be read")]
    Malformed(#[source] serde_json::Error),
}

impl HttpProofs {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, BadProofsUrl> {
        let base = reqwest::Url::parse(url).map_err(|_| BadProofsUrl)?;
        if base.cannot_be_a_base() {
            return Err(BadProofsUrl);
        }
        let http = reqwest::Client::builder().timeout(timeout).build();
        Ok(Self { http: http.map_err(|_| BadProofsUrl)?, base })
    }

    /// None when the store says that there is no such thing. Who is none has other words for it.
    async fn get(&self, what: &str, path: [&str; 3]) -> Result<Option<Vec<u8>>, ReadError> {
        let url = http::below(&self.base, path.into_iter().filter(|part| !part.is_empty()));
        let unreachable =
            |error: reqwest::Error| call(what)(HttpError::Unreachable(error.without_url()));
        let response = self.http.get(url).send().await.map_err(unreachable)?;
        match response.status() {
            status if status.is_success() => {}
            reqwest::StatusCode::NOT_FOUND if is_json(&response) => return Ok(None),
            status => return Err(call(what)(HttpError::Status(status.as_u16()))),
        }
        let bytes = http::body(response, MAX_ENCODED_BYTES).await.map_err(unreachable)?;
        bytes.map(Some).ok_or_else(|| ReadError::TooLarge { what: what.to_owned() })
    }
}

fn is_json(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

fn call(what: &str) -> impl FnOnce(HttpError) -> ReadError {
    |error| ReadError::Call { what: what.to_owned(), source: Box::new(error) }
}

#[async_trait]
impl Proofs for HttpProofs {
    async fn batch(&self, block: u64) -> Result<Option<Blocks>, ReadError> {
        let what = batch_of(block);
        let answer = self.get(&what, ["batches", &block.to_string(), ""]).await?;
        let Some(answer) = answer else { return Ok(None) };
        let answer: BatchAnswer = serde_json::from_slice(&answer)
            .map_err(|error| call(&what)(HttpError::Malformed(error)))?;
        blocks(answer.first_block, answer.last_block).map(Some)
    }

    async fn begin_batch_with(&self, first: u64) -> Result<(), ReadError> {
        // Readers change nothing: its operator would.
        tracing::warn!(
            first,
            "no batch of the public proof store begins where the contract stands"
        );
        Ok(())
    }

    async fn step(&self, step: Step) -> Result<Option<Vec<u8>>, ReadError> {
        let step = step.to_string();
        self.get(&step, ["steps", &step, "raw"]).await
    }

    async fn block(&self, number: u64) -> Result<Vec<u8>, ReadError> {
        let what = block_of(number);
        let proof = self.get(&what, ["proofs", &number.to_string(), "raw"]).await?;
        let absent = HttpError::Status(reqwest::StatusCode::NOT_FOUND.as_u16());
        proof.ok_or_else(|| call(&what)(absent))
    }
}
