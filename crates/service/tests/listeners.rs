//! Pins down the listeners: who is let in, what health says, and that serving ends when told to.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::time::Duration;

use sidereal_service::admin::{self, AdminConfig};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, GrpcError, ListenConfig, Server, channel};
use sidereal_service::{Readiness, Secret, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::service::Routes;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

fn auth(token: &str) -> AuthConfig {
    AuthConfig { token: Secret::new(token.to_owned()) }
}

fn to(address: SocketAddr) -> ConnectConfig {
    ConnectConfig { url: format!("http://{address}"), ..ConnectConfig::default() }
}

/// A call to a path that no service has: `Unimplemented` when let in.
async fn probe(address: SocketAddr, auth: &AuthConfig) -> Code {
    let mut client = tonic::client::Grpc::new(channel(&to(address), auth).unwrap());
    client.ready().await.unwrap();
    let codec = tonic_prost_codec();
    let path = "/sidereal.test.v1.Nothing/Call".parse().unwrap();
    client
        .unary(tonic::Request::new(HealthCheckRequest::default()), path, codec)
        .await
        .unwrap_err()
        .code()
}

fn tonic_prost_codec() -> tonic_prost::ProstCodec<HealthCheckRequest, HealthCheckResponse> {
    tonic_prost::ProstCodec::default()
}

async fn health(address: SocketAddr) -> ServingStatus {
    // No token: probes have none.
    let mut client = HealthClient::new(channel(&to(address), &auth("")).unwrap());
    client.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn only_callers_with_the_token_are_let_in() {
    let token = "correct-horse-battery";
    let shutdown = Shutdown::new();
    let readiness = Readiness::new();
    let server = Server::bind(&ListenConfig::on(0), &auth(token)).await.unwrap();
    let address = server.local_addr();
    let serving = tokio::spawn({
        let (readiness, shutdown) = (readiness.clone(), shutdown.clone());
        async move { server.serve(Routes::default(), &readiness, &shutdown).await }
    });
    assert_eq!(probe(address, &auth(token)).await, Code::Unimplemented);
    assert_eq!(probe(address, &auth("")).await, Code::Unauthenticated);
    assert_eq!(probe(address, &auth("correct-horse-batterx")).await, Code::Unauthenticated);
    assert_eq!(
        probe(address, &auth("correct-horse-battery-and-more")).await,
        Code::Unauthenticated
    );

    assert_eq!(health(address).await, ServingStatus::Serving);
    let latch = readiness.hold("store");
    eventually("not serving", || async { health(address).await == ServingStatus::NotServing })
        .await;
    latch.release();
    eventually("serving", || async { health(address).await == ServingStatus::Serving }).await;

    shutdown.trigger();
    serving.await.unwrap().unwrap();
    shutdown.drained(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn an_open_listener_without_a_token_is_refused() {
    let open = ListenConfig { listen: "0.0.0.0:0".parse().unwrap(), ..ListenConfig::on(0) };
    assert!(matches!(Server::bind(&open, &auth("")).await, Err(GrpcError::Open(_))));
    let admin = AdminConfig { listen: Some("0.0.0.0:0".parse().unwrap()), allow_remote: false };
    assert!(admin::start(&admin, &Readiness::new(), &Shutdown::new()).await.is_err());
}

#[tokio::test]
async fn readiness_is_shown_with_who_holds_it_back() {
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    let latch = readiness.hold("chain store");
    let address = admin::start(&AdminConfig::on(0), &readiness, &shutdown).await.unwrap().unwrap();
    assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
    let waiting = get(address, "/ready").await;
    assert!(
        waiting.starts_with("HTTP/1.1 503") && waiting.ends_with("waiting for chain store\n"),
        "{waiting}"
    );
    latch.release();
    assert!(get(address, "/ready").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/else").await.starts_with("HTTP/1.1 404"));
    shutdown.trigger();
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

async fn eventually<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {what}");
}
