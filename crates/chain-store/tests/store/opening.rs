//! Opening, and what is pinned on the first opening.

use sidereal_chain_store::{
    BlockFinality, BlockSelector, ChainStore, ChainStoreError, ChainStoreLimits, Dispute,
};
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;

use crate::Database;
use crate::chain::Chain;

pub async fn another_chain_is_refused(database: Database) {
    let store = database.open().await;
    let ours = ChainId::Other("SIDEREAL_TEST".to_owned());
    store.ensure_chain(&ours).await.unwrap();
    store.ensure_chain(&ours).await.unwrap();
    let error = store.ensure_chain(&ChainId::Mainnet).await.unwrap_err();
    assert!(matches!(error, ChainStoreError::OtherChain { .. }), "{error}");
}

pub async fn a_reader_waits_for_the_schema(database: Database) {
    let limits = ChainStoreLimits::default;
    let early = ChainStore::connect_reader(&database.url, limits()).await.unwrap_err();
    let not_yet = matches!(
        early,
        ChainStoreError::Schema { found: None, .. } | ChainStoreError::Connect { .. }
    );
    assert!(not_yet, "{early}");
    let store = database.open().await;
    // Migrating again changes nothing.
    drop(database.open().await);
    let reader = ChainStore::connect_reader(&database.url, limits()).await.unwrap();
    assert_eq!(reader.head().await.unwrap(), None);
    store.close().await;
    assert!(store.ping().await.is_err());
    reader.ping().await.unwrap();
}

pub async fn finality_moves_up_to_a_block(database: Database) {
    let store = database.open().await;
    let mut chain = Chain::new();
    for _ in 0..4 {
        let block = chain.block(&store, 1).await;
        store.commit_block(block).await.unwrap();
    }
    let accepted = BlockSelector::LatestAcceptedOnL1;
    assert_eq!(store.block(accepted).await.unwrap(), None);
    assert_eq!(store.accept_on_l1(BlockNumber(2)).await.unwrap(), 3);
    assert_eq!(store.accept_on_l1(BlockNumber(2)).await.unwrap(), 0);
    // What is accepted stays so.
    assert_eq!(store.accept_on_l1(BlockNumber(1)).await.unwrap(), 0);
    let last = store.block(accepted).await.unwrap().unwrap();
    assert_eq!((last.number(), last.finality), (BlockNumber(2), BlockFinality::AcceptedOnL1));
    let finalities: Vec<_> = store
        .blocks_from(BlockNumber(1), 10)
        .await
        .unwrap()
        .iter()
        .map(|block| block.finality)
        .collect();
    use BlockFinality::{AcceptedOnL1, AcceptedOnL2};
    assert_eq!(finalities, [AcceptedOnL1, AcceptedOnL1, AcceptedOnL2]);
    let hash = store.transaction_hashes(BlockNumber(3)).await.unwrap()[0];
    let position = store.transaction_position(&hash).await.unwrap().unwrap();
    assert_eq!(position.finality, AcceptedOnL2);
    assert_eq!(store.accept_on_l1(BlockNumber(3)).await.unwrap(), 1);
    let position = store.transaction_position(&hash).await.unwrap().unwrap();
    assert_eq!(position.finality, AcceptedOnL1);
    // Only blocks that are there: the next one is not accepted by having been named.
    assert_eq!(store.accept_on_l1(BlockNumber(9)).await.unwrap(), 0);
    let next = chain.block(&store, 1).await;
    store.commit_block(next).await.unwrap();
    let block = store.block(BlockSelector::Number(BlockNumber(4))).await.unwrap().unwrap();
    assert_eq!(block.finality, AcceptedOnL2);
}

/// Pins down that the first word about a block stays, and that disputes are in the store after it was opened anew.
pub async fn disputes_are_kept(database: Database) {
    let dispute = |number: u64, cause: &str| Dispute {
        number: BlockNumber(number),
        hash: BlockHash(Felt::from(number + 0x100)),
        cause: cause.to_owned(),
    };
    let store = database.open().await;
    assert_eq!(store.disputes(10).await.unwrap(), []);
    for told in [dispute(7, "other root"), dispute(3, "other diff"), dispute(7, "again")] {
        store.record_dispute(&told).await.unwrap();
    }
    store.close().await;
    let store = database.open().await;
    let both = [dispute(3, "other diff"), dispute(7, "other root")];
    assert_eq!(store.disputes(10).await.unwrap(), both);
    assert_eq!(store.disputes(1).await.unwrap(), both[..1]);
}

/// No panic and no password in what is said about a URL that is no good.
#[tokio::test]
async fn urls_that_are_not_supported_are_refused() {
    for url in [
        "",
        "chain.sqlite",
        "mysql://user:secret@localhost/chain",
        "sqlite://",
        "sqlite://:memory:",
        "sqlite://file?mode=memory",
        "postgres://user:secret@localhost:notaport/chain",
    ] {
        let error = ChainStore::connect(url, ChainStoreLimits::default()).await.unwrap_err();
        assert!(matches!(error, ChainStoreError::Url { .. }), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let nowhere = "sqlite:///nonexistent-folder/chain.sqlite";
    let error = ChainStore::connect(nowhere, ChainStoreLimits::default()).await.unwrap_err();
    assert!(matches!(error, ChainStoreError::Connect { .. }), "{error}");
}
