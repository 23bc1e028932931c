//! gRPC between services: one way to listen, one way to connect.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tracing::Span;

use crate::auth::{AuthConfig, OpenToOthers, Outgoing, RequireToken};
use crate::config::Problems;
use crate::telemetry::follow_http;
use crate::{Classified, ErrorClass, Readiness, Shutdown};

/// Where a service listens; a section of its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Size of one message, in bytes; services hand it to their generated server.
    pub max_message_bytes: usize,
    /// Calls at the same time on one connection.
    pub max_concurrent_streams: u32,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self::on(0)
    }
}

impl ListenConfig {
    /// On this port of loopback.
    pub fn on(port: u16) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            max_message_bytes: 16 * 1024 * 1024,
            max_concurrent_streams: 1_024,
        }
    }

    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, auth: &AuthConfig, problems: &mut Problems) {
        auth.validate_listener(section, "listen", self.listen, problems);
        problems.in_range(
            section,
            "max_message_bytes",
            self.max_message_bytes as u64,
            1_024..=1 << 30,
        );
        problems.in_range(
            section,
            "max_concurrent_streams",
            u64::from(self.max_concurrent_streams),
            1..=100_000,
        );
    }
}

/// How to reach another service; a section of a configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectConfig {
    /// `http://host:port`.
    pub url: String,
    /// How long to wait for a connection.
    pub connect_timeout_ms: u64,
    /// How long to wait for the answer of one call to begin.
    pub timeout_ms: u64,
    /// Size of one message, in bytes; services hand it to their generated client.
    pub max_message_bytes: usize,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self::to(0)
    }
}

impl ConnectConfig {
    /// To this port of loopback.
    pub fn to(port: u16) -> Self {
        Self {
            url: format!("http://127.0.0.1:{port}"),
            connect_timeout_ms: 5_000,
            timeout_ms: 30_000,
            max_message_bytes: 16 * 1024 * 1024,
        }
    }

    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        problems.http_url(section, "url", &self.url);
        problems.in_range(section, "connect_timeout_ms", self.connect_timeout_ms, 1..=600_000);
        problems.in_range(section, "timeout_ms", self.timeout_ms, 1..=3_600_000);
        problems.in_range(
            section,
            "max_message_bytes",
            self.max_message_bytes as u64,
            1_024..=1 << 30,
        );
    }
}

/// Listening or connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// Others could reach the listener without a token.
    #[error("refusing to listen")]
    Open(#[source] OpenToOthers),
    /// The address cannot be had.
    #[error("listening on {listen} failed")]
    Bind {
        /// As configured.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server ended with an error.
    #[error("serving on {listen} failed")]
    Serve {
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The URL cannot be used.
    #[error("{url:?} is not an address to connect to")]
    Url {
        /// As configured.
        url: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The token cannot be sent.
    #[error("auth.token has characters that cannot be sent in a header")]
    Token,
}

impl Classified for GrpcError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Open(_) | Self::Url { .. } | Self::Token => ErrorClass::Invalid,
            Self::Bind { .. } | Self::Serve { .. } => ErrorClass::Unavailable,
        }
    }
}

/// A connection to another service with the token and the trace context on every call. Cheap to clone; connects
/// when first used, and again when it broke. Generated clients take it: `XClient::new(channel)`.
pub type ServiceChannel = InterceptedService<Channel, Outgoing>;

/// A channel to the service at `config.url`.
pub fn channel(config: &ConnectConfig, auth: &AuthConfig) -> Result<ServiceChannel, GrpcError> {
    let endpoint = Endpoint::from_shared(config.url.clone())
        .map_err(|source| GrpcError::Url { url: config.url.clone(), source })?
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .timeout(Duration::from_millis(config.timeout_ms))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    let outgoing = Outgoing::new(auth).ok_or(GrpcError::Token)?;
    Ok(InterceptedService::new(endpoint.connect_lazy(), outgoing))
}

/// A dead peer is noticed within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A bound listener that serves nothing yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    max_concurrent_streams: u32,
    auth: AuthConfig,
}

impl Server {
    /// Binds. Refuses an address that others can reach when there is no token.
    pub async fn bind(config: &ListenConfig, auth: &AuthConfig) -> Result<Self, GrpcError> {
        auth.check_listener(config.listen).map_err(GrpcError::Open)?;
        let bind_failed = |source| GrpcError::Bind { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(bind_failed)?;
        let address = listener.local_addr().map_err(bind_failed)?;
        Ok(Self {
            listener,
            address,
            max_concurrent_streams: config.max_concurrent_streams,
            auth: auth.clone(),
        })
    }

    /// The address in use, with the port that was chosen for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown, then ends the calls in hand. `grpc.health.v1` follows `readiness`.
    ///
    /// `routes` is `tonic::service::Routes::new(XServer::new(..)).add_service(..)`.
    pub async fn serve(
        self,
        routes: Routes,
        readiness: &Readiness,
        shutdown: &Shutdown,
    ) -> Result<(), GrpcError> {
        let _guard = shutdown.guard("grpc server");
        let (reporter, health) = tonic_health::server::health_reporter();
        let mut changes = readiness.watch();
        let readiness = readiness.clone();
        let follow = async move {
            loop {
                changes.mark_unchanged();
                let status = if readiness.is_ready() {
                    tonic_health::ServingStatus::Serving
                } else {
                    tonic_health::ServingStatus::NotServing
                };
                reporter.set_service_status("", status).await;
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let serve = tonic::transport::Server::builder()
            .max_concurrent_streams(self.max_concurrent_streams)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .trace_fn(call_span)
            .layer(RequireToken::new(&self.auth))
            .add_routes(routes)
            .add_service(health)
            .serve_with_incoming_shutdown(incoming, shutdown.triggered_owned());
        tracing::info!(address = %self.address, "gRPC listening");
        tokio::select! {
            result = serve => result.map_err(|source| GrpcError::Serve { listen: self.address, source }),
            // It ends only with the readiness it follows, which this function holds.
            () = follow => Ok(()),
        }
    }
}

fn call_span(request: &axum::http::Request<()>) -> Span {
    let path = request.uri().path();
    if path.starts_with("/grpc.health.") {
        return Span::none();
    }
    let span = tracing::info_span!("grpc", otel.name = path, otel.kind = "server");
    follow_http(&span, request.headers());
    span
}
