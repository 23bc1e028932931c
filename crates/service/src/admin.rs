//! The admin listener: `/live`, `/ready`, `/metrics`. No secrets, no actions; on loopback unless told otherwise.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::config::Problems;
use crate::{Classified, ErrorClass, Readiness, Shutdown, telemetry};

/// The `admin` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port; without it there is no admin listener.
    pub listen: Option<SocketAddr>,
    /// Allows an address that others can reach (in a container, for probes and scrapes).
    pub allow_remote: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self::off()
    }
}

impl AdminConfig {
    /// On this port of loopback.
    pub fn on(port: u16) -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], port))), allow_remote: false }
    }

    /// No admin listener.
    pub fn off() -> Self {
        Self { listen: None, allow_remote: false }
    }

    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        if let Some(listen) = self.listen {
            problems.require(
                section,
                "listen",
                listen.ip().is_loopback() || self.allow_remote,
                format!("is {listen}, which others can reach; that needs {section}.allow_remote"),
            );
        }
    }
}

/// The admin listener could not be started.
#[derive(Debug, thiserror::Error)]
#[error("listening for admin requests on {listen} failed")]
pub struct AdminError {
    /// As configured.
    pub listen: SocketAddr,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Classified for AdminError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

/// Starts the admin listener, which answers until the process has drained: probes must see a draining service.
/// Returns its address, or `None` when there is none.
pub async fn start(
    config: &AdminConfig,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<Option<SocketAddr>, AdminError> {
    let Some(listen) = config.listen else { return Ok(None) };
    let failed = |source| AdminError { listen, source };
    if !listen.ip().is_loopback() && !config.allow_remote {
        return Err(failed(std::io::Error::other(
            "others can reach it and allow_remote is not set",
        )));
    }
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let state = AdminState { readiness: readiness.clone(), shutdown: shutdown.clone() };
    let router = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(|| async { telemetry::render_metrics() }))
        .with_state(state);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.triggered().await })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    tracing::info!(%address, "admin listening");
    Ok(Some(address))
}

#[derive(Clone)]
struct AdminState {
    readiness: Readiness,
    shutdown: Shutdown,
}

async fn ready(State(state): State<AdminState>) -> (StatusCode, String) {
    if state.shutdown.is_triggered() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let held_by = state.readiness.held_by();
    if held_by.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", held_by.join(", ")))
    }
}
