//! The HTTP listener: so many connections, each for one request, which ends in its time. HTTP/1.1.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use sidereal_service::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The head of a request has this long to come.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Answers in hand at a shutdown have this long to be sent.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What those who connect may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at the same time; more wait to be accepted.
    pub connections: usize,
    /// Of one connection, until the last byte of the answer is sent.
    pub time: Duration,
}

/// Answers until shutdown, then ends the answers in hand.
pub async fn serve(mut listener: TcpListener, router: Router, bounds: Bounds, shutdown: Shutdown) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    // Without keep-alive the time of a connection is that of its request, and nobody holds one for later.
    builder.http1().keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < bounds.connections;
        tokio::select! {
            () = shutdown.triggered() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "answering an HTTP request broke off");
                }
            }
            (stream, _) = Listener::accept(&mut listener), if has_room => {
                let (builder, router) = (builder.clone(), router.clone());
                connections.spawn(answer(builder, stream, router, bounds.time, shutdown.clone()));
            }
        }
    }
    drop(listener);
    let answered = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME, answered).await.is_err() {
        // They end with the set.
        tracing::info!(connections = connections.len(), "HTTP answers were cut off: shutdown");
    }
}

/// One connection. Dropping it drops the answer, and what that holds.
async fn answer(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
    time: Duration,
    shutdown: Shutdown,
) {
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let answered = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = shutdown.triggered() => connection.as_mut().graceful_shutdown(),
        }
        connection.as_mut().await
    };
    match tokio::time::timeout(time, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection broke"),
        Err(_) => {
            metrics::counter!("proof_reads_timed_out_total").increment(1);
            tracing::debug!("an HTTP connection was cut off: its time was over");
        }
    }
}
