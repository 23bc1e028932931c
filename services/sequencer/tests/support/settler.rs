//! A settler of `sidereal.settlement.v1` that says what tests put into it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sidereal_proto::settlement::settlement_service_server::{
    SettlementService, SettlementServiceServer,
};
use sidereal_proto::settlement::{
    GetSettlementRequest, GetSettlementResponse, L1Prices, SettledState,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Debug, Default)]
struct Says {
    answer: Option<GetSettlementResponse>,
    asked: u64,
}

/// Says UNAVAILABLE until it is told something.
#[derive(Clone, Debug, Default)]
pub struct TestSettler(Arc<Mutex<Says>>);

impl TestSettler {
    pub async fn start() -> (Self, SocketAddr) {
        let settler = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(SettlementServiceServer::new(settler.clone()))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        (settler, address)
    }

    /// From now on it says this, and nothing when it is `None`. Returns when it was heard.
    pub async fn says(&self, answer: Option<GetSettlementResponse>) {
        let before = {
            let mut says = self.0.lock().unwrap();
            says.answer = answer;
            says.asked
        };
        // Whoever asks a second time has done with the first answer.
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.0.lock().unwrap().asked < before + 2 {
            assert!(Instant::now() < deadline, "the settler is not asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// L1 holds this.
    pub async fn says_settled(&self, settled: Option<SettledState>) {
        self.says(Some(GetSettlementResponse { settled, ..Default::default() })).await;
    }

    /// L1 charges this, in WEI, and holds nothing.
    pub async fn says_prices(&self, base_fee: u64, priority_fee: u64, blob_base_fee: u64) {
        let prices = L1Prices {
            base_fee_wei: base_fee,
            priority_fee_wei: priority_fee,
            blob_base_fee_wei: blob_base_fee,
        };
        self.says(Some(GetSettlementResponse { prices: Some(prices), ..Default::default() })).await;
    }
}

#[tonic::async_trait]
impl SettlementService for TestSettler {
    async fn get_settlement(
        &self,
        _: Request<GetSettlementRequest>,
    ) -> Result<Response<GetSettlementResponse>, Status> {
        let mut says = self.0.lock().unwrap();
        says.asked += 1;
        let answer = says.answer.clone();
        answer.map(Response::new).ok_or_else(|| Status::unavailable("L1 was not read yet"))
    }
}
