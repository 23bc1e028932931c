//! JSON-RPC over HTTP, as `alloy` speaks it, but that no answer is read without a bound, and that the node's URL, which may
//! hold a key, gets into no span.

use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::http::reqwest;
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use tower::Service;

use crate::http;

/// Largest answer that is read. The events of ten thousand blocks, each of them with an update, are smaller.
pub(super) const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Larger than any answer that is expected.
#[derive(Debug, thiserror::Error)]
#[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
pub(super) struct TooLarge;

/// The way to one node.
#[derive(Clone)]
pub(super) struct BoundedHttp {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl BoundedHttp {
    pub(super) fn new(http: reqwest::Client, url: reqwest::Url) -> Self {
        Self { http, url }
    }

    async fn ask(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let answer = self.http.post(self.url).headers(request.headers()).json(&request).send();
        let broken = |error: reqwest::Error| TransportErrorKind::custom(error.without_url());
        let answer = answer.await.map_err(broken)?;
        let status = answer.status();
        let body = http::body(answer, MAX_ANSWER_BYTES).await;
        if !status.is_success() {
            // Some nodes say with an HTTP status, too, that a call has failed; the body has the reason.
            let said = body.ok().flatten().and_then(|body| serde_json::from_slice(&body).ok());
            return said
                .filter(ResponsePacket::is_error)
                .ok_or_else(|| TransportErrorKind::http_error(status.as_u16(), String::new()));
        }
        let body = body.map_err(broken)?.ok_or_else(|| TransportErrorKind::custom(TooLarge))?;
        serde_json::from_slice(&body)
            .map_err(|error| TransportError::deser_err(error, String::new()))
    }
}

impl Service<RequestPacket> for BoundedHttp {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use sidereal_service::Secret;
    use tracing_subscriber::fmt::format::FmtSpan;

    use super::super::{L1, L1Failure};
    use super::*;

    /// What becomes of a node's answer.
    async fn answered(status: StatusCode, body: Vec<u8>) -> Result<u64, L1Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Secret::new(format!("http://{}", listener.local_addr().unwrap()));
        let routes = Router::new().route("/", post(async move || (status, body)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let l1 = L1::new(&url, Duration::from_secs(20)).unwrap();
        l1.chain_id().await.map_err(|error| error.source)
    }

    /// What is traced, at every level.
    #[derive(Clone, Default)]
    struct Traced(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Traced {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Pins down that a key in the node's URL is traced by nobody, in an answer or without one.
    #[tokio::test]
    async fn the_url_is_in_no_trace() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = listener.local_addr().unwrap();
        let routes = Router::new().route("/{key}", post(async || StatusCode::FORBIDDEN));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let traced = Traced::default();
        let writer = traced.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .finish();
        let _traced = tracing::subscriber::set_default(subscriber);
        // Nobody listens on the reserved port 1.
        for node in [node.to_string(), "127.0.0.1:1".to_owned()] {
            let url = Secret::new(format!("http://{node}/the-key"));
            let l1 = L1::new(&url, Duration::from_secs(20)).unwrap();
            let refused = l1.chain_id().await.unwrap_err();
            tracing::info!(error = %sidereal_service::error_chain(&refused), "refused");
        }
        let traced = String::from_utf8(traced.0.lock().unwrap().clone()).unwrap();
        assert!(traced.contains("HTTP status 403") && traced.contains("no connection"), "{traced}");
        assert!(!traced.contains("the-key"), "{traced}");
    }

    /// Pins down the bound, and that a node's own words are kept whatever the status that brings them.
    #[tokio::test]
    async fn answers_are_bounded_and_told_apart() {
        let id = br#"{"jsonrpc":"2.0","id":0,"result":"0x7a69"}"#;
        assert_eq!(answered(StatusCode::OK, id.to_vec()).await.unwrap(), 31_337);
        let mut padded = id.to_vec();
        padded.resize(MAX_ANSWER_BYTES, b' ');
        assert_eq!(answered(StatusCode::OK, padded.clone()).await.unwrap(), 31_337);
        padded.push(b' ');
        let refused = answered(StatusCode::OK, padded.clone()).await;
        assert!(matches!(refused, Err(L1Failure::TooLarge)), "{refused:?}");
        let refused = answered(StatusCode::SERVICE_UNAVAILABLE, padded).await;
        assert!(matches!(refused, Err(L1Failure::Http(503))), "{refused:?}");

        let error = br#"{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"too often"}}"#;
        for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
            let refused = answered(status, error.to_vec()).await;
            assert!(matches!(refused, Err(L1Failure::Node { code: -32_005, .. })), "{refused:?}");
        }
        let refused = answered(StatusCode::BAD_GATEWAY, id.to_vec()).await;
        assert!(matches!(refused, Err(L1Failure::Http(502))), "{refused:?}");
        let refused = answered(StatusCode::OK, b"<html>".to_vec()).await;
        assert!(matches!(refused, Err(L1Failure::Malformed(_))), "{refused:?}");
    }
}
