//! What a look at L1 is good for: until when it is told, and what is fetched after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sidereal_l1_settler::{Batches, BatchesError};
use sidereal_proto::settlement::GetSettlementRequest;
use sidereal_proto::settlement::settlement_service_client::SettlementServiceClient;
use sidereal_settlement::Update;
use tonic::Code;

use crate::anvil::KEYS;
use crate::world::{World, account, config};

/// Has nothing, and counts how often it is asked.
struct Counting(Arc<AtomicU64>);

#[async_trait]
impl Batches for Counting {
    async fn next_after(&self, _: u64) -> Result<Option<Update>, BatchesError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    }
}

/// Pins down that nothing is fetched as long as it is too expensive to send, and that it is once it is not.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_that_cannot_be_paid() -> anyhow::Result<()> {
    let world = World::new().await?;
    let asked = Arc::new(AtomicU64::new(0));
    let mut settler = world.settler(account(KEYS[1])?, Vec::new()).await?;
    settler.batches = Arc::new(Counting(asked.clone()));
    let affordable = settler.config.max_fee_per_blob_gas_gwei;
    settler.config.max_fee_per_blob_gas_gwei = 0;
    settler.pass().await?;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    settler.config.max_fee_per_blob_gas_gwei = affordable;
    settler.pass().await?;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    Ok(())
}

/// Pins down that a settler which cannot read L1 any more does not go on telling what it has read.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_too_long_ago_is_not_told() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut service = world.service("settler.db", config())?;
    service.l1.stale_after_ms = 4_000;
    let running = world.start(service)?;
    world.until_held(4).await?;
    let mut client =
        SettlementServiceClient::connect(format!("http://127.0.0.1:{}", running.grpc_port)).await?;
    // L1 stands still and is read all the same, for longer than what is told may be old.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        client.get_settlement(GetSettlementRequest {}).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(world.anvil);
    // It is told for a while yet.
    client.get_settlement(GetSettlementRequest {}).await?;
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    let status = client.get_settlement(GetSettlementRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("L1 was last read "), "{status}");
    assert!(status.message().ends_with(" s ago"), "{status}");
    running.stop().await
}
