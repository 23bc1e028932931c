//! The JSON-RPC listener: HTTP and WebSocket on one port, at `/` and at `/rpc/v0_10`.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::Either;
use http::{HeaderValue, Method, StatusCode, header};
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, PingConfig, Server, ServerConfig,
    ServerHandle,
};
use jsonrpsee::{Methods, RpcModule};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::TimeoutLayer;

use crate::config::RpcConfig;
use crate::gateway::Gateway;
use crate::limits::Limits;

/// Where JSON-RPC 0.10 is answered. Everything else is 404.
pub const PATHS: [&str; 2] = ["/", "/rpc/v0_10"];

/// What a request may take beyond the time its call may take: sending body and response.
const TRANSFER_MS: u64 = 30_000;

/// Responses that wait for a slow reader of a WebSocket; then its requests wait.
const MESSAGES_BUFFERED: u32 = 64;

/// The listener could not be started.
#[derive(Debug, thiserror::Error)]
#[error("listening for JSON-RPC on {listen} failed")]
pub struct HttpError {
    pub listen: SocketAddr,
    #[source]
    pub source: std::io::Error,
}

/// A bound listener that answers nothing yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    pub async fn bind(listen: SocketAddr) -> Result<Self, HttpError> {
        let failed = |source| HttpError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address in use, with the port that was chosen for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers calls until the handle is stopped.
    pub fn serve(
        self,
        config: &RpcConfig,
        limits: &Limits,
        module: RpcModule<Gateway>,
    ) -> Result<ServerHandle, HttpError> {
        let failed = |source| HttpError { listen: self.address, source };
        let timeout = Duration::from_millis(limits.request_timeout_ms.saturating_add(TRANSFER_MS));
        let server_config = ServerConfig::builder()
            .max_request_body_size(limits.max_request_bytes)
            .max_response_body_size(limits.max_response_bytes)
            .max_connections(limits.max_connections)
            .set_batch_request_config(BatchRequestConfig::Limit(limits.max_batch))
            .set_message_buffer_capacity(MESSAGES_BUFFERED)
            .enable_ws_ping(PingConfig::new())
            .build();
        let http = ServiceBuilder::new()
            .layer(cors(&config.allowed_origins))
            .layer(Paths)
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout));
        let listener = self.listener.into_std().map_err(failed)?;
        let server = Server::builder()
            .set_config(server_config)
            .set_http_middleware(http)
            .build_from_tcp(listener)
            .map_err(failed)?;
        tracing::info!(address = %self.address, "JSON-RPC listening");
        Ok(server.start(Methods::from(module)))
    }
}

/// Browsers may call from the given origins; `*` is any.
fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        // Checked by the configuration; one that is no header value could match nothing anyway.
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST, Method::GET])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
}

/// Lets requests for [`PATHS`] through.
#[derive(Clone, Copy, Debug)]
struct Paths;

impl<S> Layer<S> for Paths {
    type Service = OnPaths<S>;

    fn layer(&self, inner: S) -> OnPaths<S> {
        OnPaths { inner }
    }
}

#[derive(Clone, Debug)]
struct OnPaths<S> {
    inner: S,
}

impl<S, B> Service<HttpRequest<B>> for OnPaths<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse<HttpBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let path = request.uri().path();
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        if PATHS.contains(&path) {
            return Either::Left(self.inner.call(request));
        }
        let mut response = HttpResponse::new(HttpBody::from("JSON-RPC is at / and /rpc/v0_10\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        Either::Right(ready(Ok(response)))
    }
}
