//! `sidereal.settlement.v1`.

use std::time::Duration;

use sidereal_proto::settlement::settlement_service_server::SettlementService;
use sidereal_proto::settlement::{
    GetSettlementRequest, GetSettlementResponse, L1Prices, SettledState,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::l1::HeldState;
use crate::settler::Reading;

/// The service.
pub struct SettlementGrpc {
    pub status: watch::Receiver<Option<Reading>>,
    /// What was read longer ago is not told any more.
    pub stale_after: Duration,
}

#[tonic::async_trait]
impl SettlementService for SettlementGrpc {
    async fn get_settlement(
        &self,
        _request: Request<GetSettlementRequest>,
    ) -> Result<Response<GetSettlementResponse>, Status> {
        let reading = *self.status.borrow();
        let Reading { settlement, at } =
            reading.ok_or_else(|| Status::unavailable("L1 was not read yet"))?;
        let age = at.elapsed();
        if age > self.stale_after {
            return Err(Status::unavailable(format!("L1 was last read {} s ago", age.as_secs())));
        }
        let wei = |price: u128| u64::try_from(price).unwrap_or(u64::MAX);
        Ok(Response::new(GetSettlementResponse {
            l1_block_number: settlement.head,
            settled: settlement.settled.map(|held| state(&held, settlement.settled_at)),
            latest: Some(state(&settlement.latest, settlement.head)),
            prices: Some(L1Prices {
                base_fee_wei: wei(settlement.prices.base_fee),
                priority_fee_wei: wei(settlement.prices.priority_fee),
                blob_base_fee_wei: wei(settlement.prices.blob_base_fee),
            }),
        }))
    }
}

fn state(held: &HeldState, l1_block_number: u64) -> SettledState {
    SettledState {
        block_number: held.block_number,
        block_hash: held.block_hash.to_bytes_be().to_vec(),
        root: held.root.to_bytes_be().to_vec(),
        l1_block_number,
    }
}
