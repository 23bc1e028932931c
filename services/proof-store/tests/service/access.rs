//! Who may do what: every gRPC method wants the token, HTTP is public and only reads.

use sidereal_proto::proofs::proof_selector::By;
use sidereal_proto::proofs::{
    GetProofInfoRequest, GetProofRequest, ListJobsRequest, ProofSelector, ReportProgressRequest,
    RequeueJobRequest, WatchJobsRequest,
};
use sidereal_service::Secret;
use sidereal_service::auth::AuthConfig;
use tonic::Code;

use crate::world::{PROVEN, World, header, messages};

const TOKEN: &str = "a-token-for-this-test-only";

/// Without the token, or with another one, no method does anything; the refusal does not say what the token is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_wants_the_token() {
    let world = World::new().await.with_token(TOKEN);
    let service = world.start().await;
    let wrong = [String::new(), "another-token-of-some-length".to_owned(), TOKEN[1..].to_owned()];
    for token in wrong {
        let mut client = world.client(&AuthConfig { token: Secret::new(token) });
        let selector = Some(ProofSelector { by: Some(By::BlockNumber(1)) });
        let proof = futures::stream::iter(messages(header(&PROVEN.proof), &PROVEN.proof));
        let refusals = [
            client.put_proof(proof).await.err(),
            client.get_proof(GetProofRequest { selector: selector.clone() }).await.err(),
            client.get_proof_info(GetProofInfoRequest { selector }).await.err(),
            client.list_jobs(ListJobsRequest::default()).await.err(),
            client.requeue_job(RequeueJobRequest::default()).await.err(),
            client.report_progress(ReportProgressRequest::default()).await.err(),
            client.watch_jobs(WatchJobsRequest {}).await.err(),
        ];
        for (method, refusal) in refusals.into_iter().enumerate() {
            let refusal = refusal.unwrap_or_else(|| panic!("method {method} answered"));
            assert_eq!(refusal.code(), Code::Unauthenticated, "method {method}: {refusal:?}");
            assert!(!format!("{refusal:?}").contains(TOKEN));
        }
    }
    assert_eq!(world.kept_proofs().await, []);
    // The right one is what the client of the service has.
    service.put(PROVEN.proof.clone()).await.unwrap();
    assert_eq!(world.http("/proofs/1/raw").await, (200, PROVEN.proof.clone()));
    let url = format!("http://{}/proofs/1", world.config.http.listen);
    let posted = reqwest::Client::new().post(url).body("x").send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
}
