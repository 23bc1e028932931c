//! What is not taken: with the code that says why, and nothing kept of it.

use bytes::Bytes;
use sidereal_block_prover::{BlockProof, MAX_ENCODED_BYTES};
use sidereal_chain_store::BlockCommit;
use sidereal_proto::proofs::proof_selector::By;
use sidereal_proto::proofs::put_proof_request::Message;
use sidereal_proto::proofs::{GetProofRequest, PutProofHeader, PutProofRequest};
use starknet_types_core::felt::Felt;
use tonic::Code;

use crate::world::{PROVEN, Service, World, block_hash, header, messages};

/// No trace of a proof, and the block's job is still to be done.
async fn nothing_is_kept(world: &World, service: &Service) {
    assert_eq!(world.kept_proofs().await, []);
    let missing = service.info(By::BlockNumber(1)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound, "{missing:?}");
    assert_eq!(world.http("/proofs/1/raw").await.0, 404);
    assert_eq!(world.http("/proofs/1").await.0, 404);
}

async fn is_refused(
    service: &Service,
    header: PutProofHeader,
    bytes: Bytes,
    code: Code,
    why: &str,
) {
    let status = service.put_as(header, bytes).await.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(why), "{:?} does not say {why:?}", status.message());
}

fn changed(change: impl FnOnce(&mut BlockProof)) -> Bytes {
    let mut proof = BlockProof::decode(&PROVEN.proof).unwrap();
    change(&mut proof);
    proof.encode().unwrap().into()
}

/// Bytes that are no proof, or were changed: wherever a byte is flipped, whichever claim is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_proofs_are_refused() {
    let world = World::new().await;
    let service = world.start().await;
    let size = PROVEN.proof.len();
    for at in [0, 9, 10, size / 4, size / 2, size * 3 / 4, size - 1] {
        let mut bytes = PROVEN.proof.to_vec();
        bytes[at] ^= 1;
        is_refused(&service, header(&bytes), bytes.into(), Code::InvalidArgument, "block 1").await;
    }
    for (bytes, why) in [
        (Bytes::new(), "not a block proof"),
        (PROVEN.proof.slice(..size / 2), "decompress"),
        (PROVEN.witness_bytes.clone(), "not a block proof"),
        (changed(|proof| proof.program_hash += Felt::ONE), "StarknetOS"),
        (changed(|proof| proof.output[1] += Felt::ONE), "verify the proof"),
    ] {
        is_refused(&service, header(&bytes), bytes, Code::InvalidArgument, why).await;
    }
    nothing_is_kept(&world, &service).await;
}

/// A sound proof under the name of another block, or of a block that the chain does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_of_another_block_is_refused() {
    let world = World::new().await;
    let second = world.close_block().await;
    let service = world.start().await;
    let named = |block_number, hash: Felt| PutProofHeader {
        block_number,
        block_hash: hash.to_bytes_be().to_vec(),
        ..header(&PROVEN.proof)
    };
    let genesis = PROVEN.witness.header.parent_hash.0;
    for (header, code, why) in [
        (named(2, second.hash.0), Code::InvalidArgument, "not of the block"),
        (named(0, genesis), Code::InvalidArgument, "genesis"),
        (named(1, second.hash.0), Code::NotFound, "no block 1 with hash"),
        (named(2, block_hash()), Code::NotFound, "no block 2 with hash"),
        (named(99, block_hash()), Code::NotFound, "no block 99"),
        (named(u64::MAX, block_hash()), Code::NotFound, "no block 18446744073709551615"),
    ] {
        is_refused(&service, header, PROVEN.proof.clone(), code, why).await;
    }
    let no_hash = PutProofHeader { block_hash: vec![1; 31], ..header(&PROVEN.proof) };
    is_refused(&service, no_hash, PROVEN.proof.clone(), Code::InvalidArgument, "block_hash").await;
    nothing_is_kept(&world, &service).await;
}

/// A sound proof of this very block under another chain's id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_of_another_chain_is_refused() {
    let mut world = World::new().await;
    world.config.chain.id = "SN_OTHER".to_owned();
    let service = world.start().await;
    let bytes = PROVEN.proof.clone();
    is_refused(&service, header(&bytes), bytes, Code::InvalidArgument, "not of the block").await;
    nothing_is_kept(&world, &service).await;
}

/// The chain has a block of this number and hash, but not what the proof says of it: another state diff, another
/// message to L1. (A chain store that was tampered with; a proof of a witness that is not the chain's.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_of_another_witness_is_refused() {
    let other_value = |block: &mut BlockCommit| {
        let cells =
            block.state_diff.storage_diffs.values_mut().flat_map(|cells| cells.values_mut());
        *cells.into_iter().next().unwrap() += Felt::ONE;
    };
    let other_nonce = |block: &mut BlockCommit| block.state_diff.nonces.clear();
    let other_messages = |block: &mut BlockCommit| {
        block.receipts[0].messages_sent.push(starknet_api::transaction::MessageToL1::default());
    };
    let changes: [fn(&mut BlockCommit); 3] = [other_value, other_nonce, other_messages];
    for change in changes {
        let world = World::with_block(change).await;
        let service = world.start().await;
        let bytes = PROVEN.proof.clone();
        is_refused(&service, header(&bytes), bytes, Code::InvalidArgument, "not of the block")
            .await;
        nothing_is_kept(&world, &service).await;
        service.stop().await;
    }
}

/// Streams that are too long, too short, out of order or given up; an announced size is refused before the bytes come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_streams_are_refused() {
    let world = World::new().await;
    let service = world.start().await;
    let bytes = PROVEN.proof.clone();
    let half = bytes.slice(..bytes.len() / 2);
    let announced = |size_bytes| PutProofHeader { size_bytes, ..header(&bytes) };
    let invalid = Code::InvalidArgument;
    let size = bytes.len() as u64;
    is_refused(&service, announced(size), half.clone(), invalid, "were announced").await;
    is_refused(&service, announced(size - 1), bytes.clone(), invalid, "were announced").await;
    is_refused(&service, announced(u64::MAX), Bytes::new(), invalid, "more than").await;
    let over = MAX_ENCODED_BYTES as u64 + 1;
    is_refused(&service, announced(over), Bytes::new(), invalid, "more than").await;
    let endless = vec![7; MAX_ENCODED_BYTES + 1];
    is_refused(&service, announced(over - 1), endless.into(), invalid, "were announced").await;

    let head = || PutProofRequest { message: Some(Message::Header(header(&bytes))) };
    let chunk = || PutProofRequest { message: Some(Message::Chunk(half.to_vec())) };
    let nothing = PutProofRequest { message: None };
    for (stream, why) in [
        (vec![], "must be the header"),
        (vec![chunk(), head()], "must be the header"),
        (vec![head(), chunk(), head()], "only chunks"),
        (vec![head(), chunk(), nothing], "only chunks"),
    ] {
        let status = service.client.clone().put_proof(futures::stream::iter(stream)).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), invalid, "{status:?}");
        assert!(status.message().contains(why), "{status:?}");
    }

    // A worker that dies in the middle: its stream neither goes on nor ends.
    let begun = futures::StreamExt::chain(
        futures::stream::iter(messages(header(&bytes), &half)),
        futures::stream::pending(),
    );
    let mut client = service.client.clone();
    let given_up =
        tokio::time::timeout(std::time::Duration::from_millis(500), client.put_proof(begun)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    nothing_is_kept(&world, &service).await;
    // And after all that the right one is taken.
    service.put(bytes).await.unwrap();
    service.stop().await;
}

/// Questions that cannot be answered have a code that says whose fault it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_with_the_right_code() {
    let world = World::new().await;
    let service = world.start().await;
    for (by, code) in [
        (By::BlockNumber(1), Code::NotFound),
        (By::BlockNumber(u64::MAX), Code::InvalidArgument),
        (By::BlockHash(vec![0; 5]), Code::InvalidArgument),
        (By::BlockHash(block_hash().to_bytes_be().to_vec()), Code::NotFound),
        (By::TransactionHash(vec![255; 32]), Code::InvalidArgument),
        (By::TransactionHash(vec![1; 32]), Code::NotFound),
        (By::TransactionHash(PROVEN.transaction.to_bytes_be().to_vec()), Code::NotFound),
    ] {
        let status = service.info(by.clone()).await.unwrap_err();
        assert_eq!(status.code(), code, "{by:?}: {status:?}");
    }
    let no_selector = GetProofRequest { selector: None };
    let status = service.client.clone().get_proof(no_selector).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for (path, expected) in [
        ("/proofs/1".to_owned(), 404),
        ("/proofs/0/raw".to_owned(), 404),
        ("/proofs/one".to_owned(), 400),
        ("/proofs/-1/raw".to_owned(), 400),
        ("/witnesses/0/raw".to_owned(), 404),
        ("/witnesses/7/raw".to_owned(), 404),
        ("/transactions/0xzz/proof".to_owned(), 400),
        ("/transactions/0x7/proof".to_owned(), 404),
        (format!("/transactions/{:#x}/proof", PROVEN.transaction), 404),
        ("/batches/1".to_owned(), 404),
        ("/batches/one".to_owned(), 400),
        ("/batches/18446744073709551615".to_owned(), 400),
        ("/proofs/9223372036854775808".to_owned(), 400),
        ("/steps/merge-0-18446744073709551615".to_owned(), 400),
        ("/steps/last-1-2".to_owned(), 404),
        ("/steps/last-1-2/raw".to_owned(), 404),
        ("/steps/last-2-1/raw".to_owned(), 400),
        ("/".to_owned(), 404),
    ] {
        let (status, body) = world.http(&path).await;
        assert_eq!(status, expected, "{path}: {}", String::from_utf8_lossy(&body));
    }
}
