//! Who may call a service: whoever has the token that all services share.
//!
//! Listeners are on loopback by default and then need no token; binding any other address without one is refused.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::http::{Request, Response, header};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::Secret;
use crate::config::Problems;
use crate::telemetry::inject_metadata;

/// The `auth` section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// What services show each other; the same for all of them. Best given as `token_file`.
    pub token: Secret<String>,
}

/// Shorter tokens could be guessed.
const MIN_TOKEN_BYTES: usize = 16;

impl AuthConfig {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        let token = self.token.expose();
        if token.is_empty() {
            return;
        }
        problems.require(
            section,
            "token",
            token.len() >= MIN_TOKEN_BYTES && token.len() <= 1024,
            format!("must have {MIN_TOKEN_BYTES} to 1024 characters"),
        );
        problems.require(
            section,
            "token",
            token.bytes().all(|byte| byte.is_ascii_graphic()),
            "must be made of visible ASCII characters",
        );
    }

    /// Notes a listener that would be open to others without a token.
    pub fn validate_listener(
        &self,
        section: &str,
        key: &str,
        listen: SocketAddr,
        problems: &mut Problems,
    ) {
        problems.require(
            section,
            key,
            listen.ip().is_loopback() || !self.token.is_empty(),
            format!("is {listen}, which others can reach; that needs auth.token"),
        );
    }

    pub(crate) fn check_listener(&self, listen: SocketAddr) -> Result<(), OpenToOthers> {
        if listen.ip().is_loopback() || !self.token.is_empty() {
            Ok(())
        } else {
            Err(OpenToOthers { listen })
        }
    }
}

/// A listener without a token that others could reach.
#[derive(Debug, thiserror::Error)]
#[error("{listen} can be reached by others and auth.token is not set")]
pub struct OpenToOthers {
    /// The address.
    pub listen: SocketAddr,
}

/// Client side: adds the token and the trace context to every call.
#[derive(Clone)]
pub struct Outgoing {
    bearer: Option<MetadataValue<Ascii>>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("bearer", &self.bearer.is_some()).finish()
    }
}

impl Outgoing {
    /// `None` when the token cannot be sent in a header, which [`AuthConfig::validate`] would have said.
    pub fn new(auth: &AuthConfig) -> Option<Self> {
        let bearer = match auth.token.expose().as_str() {
            "" => None,
            token => {
                let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Some(Self { bearer })
    }
}

impl Interceptor for Outgoing {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        inject_metadata(request.metadata_mut());
        Ok(request)
    }
}

/// Server side: lets calls through that show the token. Health checks need none: probes have no secrets.
#[derive(Clone, Debug)]
pub struct RequireToken {
    token: Secret<String>,
}

impl RequireToken {
    /// Lets everything through when no token is configured (loopback only, see [`AuthConfig`]).
    pub fn new(auth: &AuthConfig) -> Self {
        Self { token: auth.token.clone() }
    }

    fn admits<B>(&self, request: &Request<B>) -> bool {
        if self.token.is_empty() || request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return true;
        }
        let shown = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .unwrap_or_default();
        shown.ct_eq(self.token.expose().as_bytes()).into()
    }
}

impl<S> Layer<S> for RequireToken {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, require: self.clone() }
    }
}

/// See [`RequireToken`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    require: RequireToken,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future =
        futures::future::Either<S::Future, std::future::Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.require.admits(&request) {
            futures::future::Either::Left(self.inner.call(request))
        } else {
            metrics::counter!("grpc_unauthenticated_total").increment(1);
            let refusal =
                Status::new(Code::Unauthenticated, "no or wrong bearer token").into_http();
            futures::future::Either::Right(std::future::ready(Ok(refusal)))
        }
    }
}
