//! HTTP is for anybody, also for those who read slowly, never, or do not even ask: what they hold is bounded in memory,
//! number and time.

use std::time::Duration;

use bytes::Bytes;
use sidereal_object_store::ObjectKey;
use sidereal_proof_store::{ProofIndex, StoredStep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::world::{SOON, World};

/// Much more than the kernel keeps for somebody who does not read.
const LARGE_BYTES: usize = 32 << 20;
const STEP: &str = "/steps/last-1-2";
const PROOF: &str = "/steps/last-1-2/raw";

/// Stores a large proof at [`PROOF`].
async fn store_large_proof(world: &World) -> Bytes {
    let proof = Bytes::from(vec![7_u8; LARGE_BYTES]);
    let key = ObjectKey::step("last-1-2", &[7; 32]).unwrap();
    world.open_objects().await.put(&key, proof.clone()).await.unwrap();
    let index = ProofIndex::open(&world.config.database).await.unwrap();
    let stored = StoredStep {
        step: "last-1-2".parse().unwrap(),
        claim: "ab".repeat(32),
        digest: hex::encode([7; 32]),
        size_bytes: LARGE_BYTES as u64,
        key: key.to_string(),
        stored_at: 11,
        worker: "worker-1".to_owned(),
        cairo_steps: 0,
        total_ms: 3,
        prove_ms: 2,
        peak_memory_bytes: 5,
    };
    index.insert_step(&stored).await.unwrap();
    proof
}

/// Asks for [`PROOF`], and reads no more than the beginning of the answer.
async fn begin_to_read(world: &World) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // As little as possible is on its way.
    socket.set_recv_buffer_size(8 * 1_024).unwrap();
    let mut stream = socket.connect(world.config.http.listen).await.unwrap();
    let request = format!("GET {PROOF} HTTP/1.1\r\nhost: proofs\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

/// Who does not read on keeps its place until it goes. As many wait for a place as there are, and get it; more are
/// refused at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read_are_bounded() {
    let mut world = World::new().await;
    world.config.http.max_concurrent = 1;
    world.config.http.max_wait_ms = world.config.http.request_timeout_ms;
    let _service = world.start().await;
    let proof = store_large_proof(&world).await;
    let held = begin_to_read(&world).await;
    let (one, other) = (Box::pin(world.http(PROOF)), Box::pin(world.http(PROOF)));
    let (first, waiting) = futures::future::select(one, other).await.factor_first();
    let (status, refusal) = first;
    assert_eq!(status, 503);
    let refusal: serde_json::Value = serde_json::from_slice(&refusal).unwrap();
    assert_eq!(refusal["error"], "too many are reading: try again later");
    drop(held);
    let (status, served) = tokio::time::timeout(SOON, waiting).await.expect("still waiting");
    assert!(status == 200 && served == proof, "HTTP {status}");
}

/// Who waits is refused in the end; what is small is answered all the same. A place is free again when its reader has
/// gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_ever() {
    let mut world = World::new().await;
    world.config.http.max_concurrent = 2;
    world.config.http.max_wait_ms = 100;
    let _service = world.start().await;
    let proof = store_large_proof(&world).await;
    let held = [begin_to_read(&world).await, begin_to_read(&world).await];
    assert_eq!(world.http(PROOF).await.0, 503);
    assert_eq!(world.http(STEP).await.0, 200);
    drop(held);
    let served = async {
        loop {
            let (status, served) = world.http(PROOF).await;
            if status == 200 {
                return served;
            }
            assert_eq!(status, 503);
        }
    };
    let served = tokio::time::timeout(SOON, served).await.expect("the places are not given back");
    assert!(served == proof);
}

/// A request has its time, whether its answer is not read or its head does not come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_cut_when_their_time_is_over() {
    let mut world = World::new().await;
    world.config.http.request_timeout_ms = 8_000;
    let _service = world.start().await;
    store_large_proof(&world).await;
    let mut slow = begin_to_read(&world).await;
    let mut silent = TcpStream::connect(world.config.http.listen).await.unwrap();
    silent.write_all(b"GET /proofs/1 HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Whether it ends with an error is the kernel's business.
    let ended = tokio::time::timeout(SOON, silent.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "a connection stays open that asks for nothing");
    // Its time began earlier.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(rest.len() < LARGE_BYTES, "an answer was sent to its end that nobody read");
}

/// A shutdown does not wait for those who do not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_readers() {
    let world = World::new().await;
    let service = world.start().await;
    store_large_proof(&world).await;
    let _held = begin_to_read(&world).await;
    service.stop().await;
}

/// So many connections are served and not more; one that ends makes room for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded() {
    let mut world = World::new().await;
    world.config.http.max_connections = 1;
    let _service = world.start().await;
    let silent = TcpStream::connect(world.config.http.listen).await.unwrap();
    let mut asked = Box::pin(world.http(STEP));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut asked).await;
    assert!(early.is_err(), "{early:?}");
    drop(silent);
    let answer = tokio::time::timeout(SOON, asked).await.expect("no room was made");
    assert_eq!(answer.0, 404);
}
