//! What only a server can do: refuse, go away, and answer nonsense.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidereal_object_store::{ObjectStore, ObjectStoreConfig, ObjectStoreError, open};
use sidereal_service::{Classified as _, ErrorClass, Secret, error_chain};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{BUCKET, KEY_ID, SECRET};
use crate::{Kind, World, content, key};

/// One error of each operation that fails.
async fn failures(store: &dyn ObjectStore) -> Vec<ObjectStoreError> {
    let name = key("a");
    vec![
        store.put(&name, content(1, 10)).await.unwrap_err(),
        store.get(&name).await.unwrap_err(),
        store.exists(&name).await.unwrap_err(),
        store.delete(&name).await.unwrap_err(),
        store.list("", None, 10).await.unwrap_err(),
        store.check().await.unwrap_err(),
    ]
}

/// With wrong credentials every operation ends with an error of its own type, which is not worth trying again; no
/// message and no `Debug` holds a secret, neither the wrong one nor the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_refused_and_not_printed() {
    const WRONG: &str = "wrong-and-not-to-be-printed-either";
    let world = World::new(Kind::S3).await;
    world.open().await.put(&key("a"), content(1, 10)).await.unwrap();
    for (key_id, secret) in [(KEY_ID, WRONG), ("AKIDUNKNOWN", SECRET)] {
        let config = ObjectStoreConfig {
            access_key_id: Some(key_id.to_owned()),
            secret_access_key: Secret::new(secret.to_owned()),
            ..world.config.clone()
        };
        let store = open(&config).await.unwrap();
        let printed = |text: String| {
            assert!(!text.contains(SECRET) && !text.contains(WRONG), "{text}");
        };
        printed(format!("{store:?} {store:#?} {config:?}"));
        for error in failures(store.as_ref()).await {
            assert!(matches!(error, ObjectStoreError::Refused { .. }), "{error:?}");
            assert!(!error.class().is_retryable());
            printed(format!("{error:?} {error:#?} {}", error_chain(&error)));
        }
    }
    assert_eq!(world.open().await.get(&key("a")).await.unwrap(), content(1, 10));
}

/// A bucket that is not there is a refusal too: it does not come by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_bucket_is_a_refusal() {
    let world = World::new(Kind::S3).await;
    let config = ObjectStoreConfig { url: "s3://not-made".to_owned(), ..world.config.clone() };
    let store = open(&config).await.unwrap();
    let error = store.list("", None, 10).await.unwrap_err();
    assert!(matches!(error, ObjectStoreError::Refused { .. }), "{error:?}");
    store.check().await.unwrap_err();
}

/// A prefix keeps two stores in one bucket apart, and does not show in the keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_keeps_stores_apart() {
    let world = World::new(Kind::S3).await;
    let under = |prefix: &str| ObjectStoreConfig {
        url: format!("s3://{BUCKET}/{prefix}"),
        ..world.config.clone()
    };
    let one = open(&under("one")).await.unwrap();
    let two = open(&under("one-more/")).await.unwrap();
    one.put(&key("a"), content(1, 10)).await.unwrap();
    two.put(&key("a"), content(2, 10)).await.unwrap();
    two.put(&key("b"), content(3, 10)).await.unwrap();
    assert_eq!(one.get(&key("a")).await.unwrap(), content(1, 10));
    assert_eq!(two.get(&key("a")).await.unwrap(), content(2, 10));
    assert!(!one.exists(&key("b")).await.unwrap());
    assert_eq!(one.list("", None, 10).await.unwrap(), [key("a")]);
    assert_eq!(two.list("", Some(&key("a")), 10).await.unwrap(), [key("b")]);
    let all = world.open().await.list("", None, 10).await.unwrap();
    assert_eq!(all, [key("one-more/a"), key("one-more/b"), key("one/a")]);
}

/// While the server is away every operation ends, in bounded time, with an error that is worth trying again; the same
/// handle works again when the server is back, and what was acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_found_again() {
    let mut world = World::new(Kind::S3).await;
    let store = world.open().await;
    store.put(&key("before"), content(1, 10)).await.unwrap();
    world.server.as_mut().unwrap().stop().await;
    let started = Instant::now();
    for error in failures(store.as_ref()).await {
        assert!(matches!(error, ObjectStoreError::Failed { .. }), "{error:?}");
        assert_eq!(error.class(), ErrorClass::Unavailable);
        assert!(!format!("{error:?} {}", error_chain(&error)).contains(SECRET));
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    world.server.as_mut().unwrap().restart().await;
    assert_eq!(store.get(&key("before")).await.unwrap(), content(1, 10));
    store.put(&key("after"), content(2, 10)).await.unwrap();
    assert_eq!(store.get(&key("after")).await.unwrap(), content(2, 10));
}

/// A server that restarts in the middle of an operation costs a retry and not the operation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_break_is_bridged_by_retries() {
    let mut world = World::new(Kind::S3).await;
    let store = world.open().await;
    store.put(&key("a"), content(1, 10)).await.unwrap();
    world.server.as_mut().unwrap().stop().await;
    let reading = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.get(&key("a")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.server.as_mut().unwrap().restart().await;
    assert_eq!(reading.await.unwrap().unwrap(), content(1, 10));
}

/// A server that gives every request the same answer, and then closes the connection or never speaks again.
struct Script {
    store: Arc<dyn ObjectStore>,
    serving: tokio::task::JoinHandle<()>,
}

impl Script {
    async fn new(max_object_bytes: u64, answer: Bytes, then_closes: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ObjectStoreConfig {
            url: format!("s3://{BUCKET}"),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            access_key_id: Some(KEY_ID.to_owned()),
            secret_access_key: Secret::new(SECRET.to_owned()),
            max_object_bytes,
            timeout_ms: 500,
            ..ObjectStoreConfig::default()
        };
        let serving = tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                // The requests of these tests have no body and fit into one read.
                let _ = socket.read(&mut [0; 8_192]).await;
                // The client may hang up in the middle: that is what is tested.
                let _ = socket.write_all(&answer).await;
                if !then_closes {
                    silent.push(socket);
                }
            }
        });
        Self { store: open(&config).await.unwrap(), serving }
    }

    async fn get(self) -> ObjectStoreError {
        let read = tokio::time::timeout(Duration::from_secs(20), self.store.get(&key("a"))).await;
        self.serving.abort();
        read.expect("the read did not end").unwrap_err()
    }
}

fn head(framing: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n{framing}\r\n\r\n")
}

/// An answer that is larger than it may be is given up at the bound, whether it says so beforehand or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_over_the_bound_is_given_up() {
    let announced = head("content-length: 1000000000000");
    let error = Script::new(1_000, announced.into(), false).await.get().await;
    assert!(
        matches!(error, ObjectStoreError::TooLarge { size: 1_000_000_000_000, limit: 1_000, .. }),
        "{error:?}"
    );
    let mut endless = head("transfer-encoding: chunked");
    for _ in 0..100 {
        endless.push_str(&format!("64\r\n{}\r\n", "x".repeat(100)));
    }
    let error = Script::new(1_000, endless.into(), false).await.get().await;
    assert!(
        matches!(error, ObjectStoreError::TooLarge { size, limit: 1_000, .. } if size < 20_000),
        "{error:?}"
    );
}

/// An object that is cut off is an error, never a shorter object; and so is a server that falls silent in the middle
/// of one, or before its first byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_cut_off_is_an_error() {
    let half = head("content-length: 100") + &"x".repeat(50);
    for (answer, then_closes) in [(half.clone(), true), (half, false), (String::new(), false)] {
        let error = Script::new(1_000, answer.clone().into(), then_closes).await.get().await;
        assert!(matches!(error, ObjectStoreError::Failed { .. }), "{answer:?}: {error:?}");
        assert!(error.class().is_retryable());
    }
}
