//! Proofs that verify: taken once, served byte for byte.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use sidereal_aggregation::{Blocks, Step};
use sidereal_bus::Subscribe;
use sidereal_object_store::ObjectKey;
use sidereal_proof_store::{ProofIndex, StoredBatch, StoredStep};
use sidereal_proto::proofs::get_proof_response::Message;
use sidereal_proto::proofs::proof_selector::By;
use sidereal_proto::proofs::{GetProofRequest, ProofInfo, ProofSelector};
use sidereal_proto::{PROOF_STORED_SUBJECT, events};

use crate::world::{PROVEN, SOON, Service, World, block_hash, digest};

async fn get(service: &Service, by: By) -> (ProofInfo, Vec<u8>) {
    let selector = Some(ProofSelector { by: Some(by) });
    let answer = service.client.clone().get_proof(GetProofRequest { selector }).await.unwrap();
    let mut stream = answer.into_inner();
    let mut info = None;
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        match message.message.unwrap() {
            Message::Info(first) => {
                assert!(info.is_none() && bytes.is_empty(), "the description comes first, once");
                info = Some(first);
            }
            Message::Chunk(chunk) => bytes.extend_from_slice(&chunk),
        }
    }
    (info.unwrap(), bytes)
}

fn every_way() -> [By; 3] {
    [
        By::BlockNumber(1),
        By::BlockHash(block_hash().to_bytes_be().to_vec()),
        By::TransactionHash(PROVEN.transaction.to_bytes_be().to_vec()),
    ]
}

/// Every way to ask, over gRPC and HTTP, leads to the bytes that were put, and to one description of them.
async fn is_served(world: &World, service: &Service, bytes: &Bytes) {
    for by in every_way() {
        let (info, served) = get(service, by.clone()).await;
        assert!(served == bytes[..], "{by:?} serves other bytes");
        assert_eq!(info, service.info(by).await.unwrap());
        assert_eq!(info.digest, digest(bytes));
        assert_eq!((info.block_number, info.size_bytes), (1, bytes.len() as u64));
        assert_eq!(info.block_hash, block_hash().to_bytes_be());
        assert_eq!((info.worker.as_str(), info.figures.unwrap().cairo_steps), ("worker-1", 1));
    }
    let (status, served) = world.http("/proofs/1/raw").await;
    assert!(status == 200 && served == *bytes, "HTTP {status}");
    let (status, witness) = world.http("/witnesses/1/raw").await;
    assert!(status == 200 && witness == PROVEN.witness_bytes, "HTTP {status}");
    for path in ["/proofs/1".to_owned(), format!("/transactions/{:#x}/proof", PROVEN.transaction)] {
        let (status, json) = world.http(&path).await;
        assert_eq!(status, 200, "{path}");
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["digest"], hex::encode(digest(bytes)), "{path}");
        assert_eq!(json["block_number"], 1, "{path}");
    }
}

/// A proof that verifies is stored, announced on the bus, and served; putting it again changes nothing; a restart
/// keeps all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_taken_once_and_served() {
    let world = World::new().await;
    let bus = world.bus().await;
    let mut stored = bus.subscribe(Subscribe::durable(PROOF_STORED_SUBJECT, "test")).await.unwrap();
    let service = world.start().await;
    let info = service.put(PROVEN.proof.clone()).await.unwrap();
    is_served(&world, &service, &PROVEN.proof).await;

    let event = tokio::time::timeout(SOON, stored.next()).await.unwrap().unwrap();
    let announced = events::ProofStored::decode(&event.event.payload[..]).unwrap();
    assert_eq!((announced.block_number, announced.block_hash), (1, info.block_hash.clone()));
    event.ack().await.unwrap();

    assert_eq!(service.put(PROVEN.proof.clone()).await.unwrap(), info);
    let again = tokio::time::timeout(Duration::from_millis(500), stored.next()).await;
    assert!(again.is_err(), "announced twice: {again:?}");
    assert_eq!(world.kept_proofs().await.len(), 1);

    service.stop().await;
    let service = world.start().await;
    assert_eq!(service.info(By::BlockNumber(1)).await.unwrap(), info);
    is_served(&world, &service, &PROVEN.proof).await;
    service.stop().await;
}

/// The same proof in other bytes: compressed otherwise.
fn other_bytes() -> Bytes {
    let (head, body) = PROVEN.proof.split_at(10);
    let plain = zstd::decode_all(body).unwrap();
    let other = [head, &zstd::encode_all(&plain[..], 1).unwrap()].concat();
    assert_ne!(other, PROVEN.proof);
    other.into()
}

/// Of two proofs of one block that come at the same time one is kept: description and bytes are of the same one, and
/// both workers are told the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_proofs_of_a_block_do_not_mix() {
    let world = World::new().await;
    let service = world.start().await;
    let others = other_bytes();
    let (one, two) = tokio::join!(service.put(PROVEN.proof.clone()), service.put(others.clone()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    let kept = if one.digest == digest(&others) { &others } else { &PROVEN.proof };
    is_served(&world, &service, kept).await;
    assert_eq!(world.kept_proofs().await.len(), 1, "the other one is gone");
}

/// Pins down that anybody can find the proof that Ethereum verifies by a block that it is about, and read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ethereum_verifies_is_served_to_anybody() {
    let world = World::new().await;
    let _service = world.start().await;
    let index = ProofIndex::open(&world.config.database).await.unwrap();
    let blocks = Blocks::new(1, 2).unwrap();
    index.insert_batch(&StoredBatch { blocks, planned_at: 9 }).await.unwrap();
    let proof = Bytes::from_static(b"what the contract is given");
    let key = ObjectKey::step("last-1-2", &[7; 32]).unwrap();
    world.open_objects().await.put(&key, proof.clone()).await.unwrap();
    // The wrap of block 1 is of this batch; what was made for a batch that was cut is not.
    for step in ["wrap-1", "top-1-1", "last-1-2"] {
        let stored = StoredStep {
            step: step.parse().unwrap(),
            claim: "ab".repeat(32),
            digest: hex::encode([7; 32]),
            size_bytes: proof.len() as u64,
            key: key.to_string(),
            stored_at: 11,
            worker: "worker-1".to_owned(),
            cairo_steps: 0,
            total_ms: 3,
            prove_ms: 2,
            peak_memory_bytes: 5,
        };
        index.insert_step(&stored).await.unwrap();
    }
    let json = async |path: &str| -> serde_json::Value {
        let (status, body) = world.http(path).await;
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice(&body).unwrap()
    };
    let last = json("/steps/last-1-2").await;
    assert_eq!((&last["step"], &last["output"]), (&json!("last-1-2"), &json!("ab".repeat(32))));
    for block in [1, 2] {
        let batch = json(&format!("/batches/{block}")).await;
        assert_eq!((&batch["first_block"], &batch["last_block"]), (&json!(1), &json!(2)));
        assert_eq!(batch["step_count"], Step::all(blocks).len());
        let steps = batch["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 2);
        assert!(steps.contains(&last));
    }
    assert_eq!(world.http("/batches/3").await.0, 404);
    assert_eq!(world.http("/steps/last-1-2/raw").await, (200, proof));
}
