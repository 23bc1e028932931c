//! The settler's tables, on SQLite and on a real PostgreSQL server.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use sidereal_chain_store::test_support::PostgresServer;
use sidereal_l1_settler::{DatabaseConfig, Sent, SettlerStore, StoreError};
use sidereal_settlement::Fees;

const HOUR: Duration = Duration::from_secs(3600);
const CHAIN: u64 = 31_337;

/// An empty database.
struct Database {
    url: String,
    _folder: tempfile::TempDir,
    _server: Option<Arc<PostgresServer>>,
}

impl Database {
    /// One of each kind.
    async fn all() -> anyhow::Result<[Self; 2]> {
        let folder = tempfile::tempdir()?;
        let server = PostgresServer::shared()?;
        Ok([
            Self {
                url: format!("sqlite://{}", folder.path().join("settler.db").display()),
                _folder: folder,
                _server: None,
            },
            Self {
                url: server.create_database().await?,
                _folder: tempfile::tempdir()?,
                _server: Some(server),
            },
        ])
    }

    async fn open(&self) -> anyhow::Result<SettlerStore> {
        Ok(SettlerStore::open(&DatabaseConfig { url: self.url.clone(), connections: 2 }).await?)
    }
}

fn sent(hash: u8, fee: u128) -> Sent {
    Sent {
        nonce: 4,
        hash: B256::repeat_byte(hash),
        previous_block: 7,
        new_block: 9,
        fees: Fees {
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: fee / 2,
            max_fee_per_blob_gas: fee,
        },
        sent_at_block: 100,
    }
}

/// Pins down that one settler leads at a time, and that one which was too slow writes nothing.
#[tokio::test]
async fn one_leads_and_a_late_one_is_fenced() -> anyhow::Result<()> {
    for database in Database::all().await? {
        let store = database.open().await?;
        let account = Address::repeat_byte(1);
        let first = store.lead("a", HOUR).await?.expect("nobody else leads");
        assert_eq!(store.lead("b", HOUR).await?, None);
        assert_eq!(store.lead("a", HOUR).await?, Some(first.clone()));
        store.record(&first, CHAIN, account, &sent(1, 10)).await?;

        store.resign("a").await?;
        let refused = store.record(&first, CHAIN, account, &sent(2, 20)).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)));
        let second = store.lead("b", HOUR).await?.expect("the lease was given back");
        assert_eq!(store.lead("a", HOUR).await?, None);
        let refused = store.record(&first, CHAIN, account, &sent(2, 20)).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)));
        assert_eq!(store.last_sent(CHAIN, account, 4).await?, Some(sent(1, 10)));
        store.record(&second, CHAIN, account, &sent(1, 10)).await?;

        // The lease that was lost is of no use after it was taken again either: who leads anew begins anew.
        store.resign("b").await?;
        let third = store.lead("a", HOUR).await?.expect("the lease was given back");
        assert_ne!(third, first);
        let refused = store.record(&first, CHAIN, account, &sent(2, 20)).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)));

        // One that has run out is as good as lost, also while nobody else leads.
        let gone = store.lead("a", Duration::ZERO).await?.expect("it is the leader");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let refused = store.record(&gone, CHAIN, account, &sent(2, 20)).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)));
        assert!(store.lead("b", HOUR).await?.is_some());
    }
    Ok(())
}

/// Pins down that the last of several transactions of a nonce is found again, after a restart too, and only for its own
/// account and chain.
#[tokio::test]
async fn the_last_transaction_of_a_nonce_is_found() -> anyhow::Result<()> {
    for database in Database::all().await? {
        let store = database.open().await?;
        let lease = store.lead("a", HOUR).await?.expect("nobody else leads");
        let account = Address::repeat_byte(1);
        for (hash, fee) in [(3, 20), (1, 40), (2, 10)] {
            store.record(&lease, CHAIN, account, &sent(hash, fee)).await?;
        }
        drop(store);
        let store = database.open().await?;
        assert_eq!(store.last_sent(CHAIN, account, 4).await?, Some(sent(1, 40)));
        assert_eq!(store.last_sent(CHAIN, account, 5).await?, None);
        assert_eq!(store.last_sent(CHAIN + 1, account, 4).await?, None);
        assert_eq!(store.last_sent(CHAIN, Address::ZERO, 4).await?, None);
        // Sent once more, later.
        let again = Sent { sent_at_block: 120, ..sent(1, 40) };
        store.record(&lease, CHAIN, account, &again).await?;
        assert_eq!(store.last_sent(CHAIN, account, 4).await?, Some(again));
        // What is long done is forgotten.
        let later = Sent { nonce: 2_000, hash: B256::repeat_byte(9), ..sent(9, 10) };
        store.record(&lease, CHAIN, account, &later).await?;
        assert_eq!(store.last_sent(CHAIN, account, 4).await?, None);
        assert_eq!(store.last_sent(CHAIN, account, 2_000).await?, Some(later));
    }
    Ok(())
}
