//! What a dev chain prints while it runs: a line a block, a line a proof and a line a proving stage.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;
use sidereal_proto::gateway::WatchBlocksRequest;
use sidereal_proto::gateway::gateway_service_client::GatewayServiceClient;
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::{Job, JobState, ProofInfo, WatchJobsRequest, watch_jobs_response};
use sidereal_proto::settlement::settlement_service_client::SettlementServiceClient;
use sidereal_proto::settlement::{GetSettlementRequest, SettledState};
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, channel};
use sidereal_service::{Shutdown, error_chain};

use super::topology::Ports;
use crate::print::{self, OutputError};
use crate::rpc::Rpc;

/// Long enough for a stream to stay open; a broken one is opened again.
const STREAM_TIMEOUT_MS: u64 = 3_600_000;
const RECONNECT: Duration = Duration::from_secs(1);
/// Stages of jobs that are remembered so that each is printed once.
const MAX_REMEMBERED: usize = 4_096;

fn connect(port: u16) -> ConnectConfig {
    ConnectConfig {
        url: format!("http://127.0.0.1:{port}"),
        timeout_ms: STREAM_TIMEOUT_MS,
        ..ConnectConfig::default()
    }
}

/// After a watch has ended: a pause until the next one, or the end of the chain when nobody reads the lines any more.
async fn pause(watched: anyhow::Result<()>, shutdown: &Shutdown, what: &'static str) {
    if let Err(error) = watched {
        if error.is::<OutputError>() {
            // Whoever reads the lines is who runs the chain.
            return shutdown.trigger();
        }
        tracing::debug!(error = %format!("{error:#}"), "{what}");
    }
    tokio::time::sleep(RECONNECT).await;
}

/// Prints a line for each block that is closed, until shutdown.
pub async fn blocks(ports: Ports, shutdown: Shutdown) {
    let mut next = None;
    while !shutdown.is_triggered() {
        let watched = tokio::select! {
            () = shutdown.triggered() => return,
            watched = watch_blocks(ports, &mut next) => watched,
        };
        pause(watched, &shutdown, "the block stream ended").await;
    }
}

async fn watch_blocks(ports: Ports, next: &mut Option<u64>) -> anyhow::Result<()> {
    let channel = channel(&connect(ports.gateway()), &AuthConfig::default())?;
    let mut client = GatewayServiceClient::new(channel);
    let rpc = Rpc::new(ports.rpc_url());
    let mut stream = client
        .watch_blocks(WatchBlocksRequest { first_block_number: *next })
        .await
        .context("cannot watch blocks")?
        .into_inner();
    while let Some(block) = stream.message().await.context("the block stream broke")? {
        let Some(header) = block.header else { continue };
        let gas = block_gas(&rpc, header.number).await?;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        print::line(format_args!(
            "block {:<6} {:>4} transactions  {:>11} L2 gas  {:>7} L1 data gas  closed after {:.1} s  0x{}",
            header.number,
            header.transaction_count,
            gas.l2_gas,
            gas.l1_data_gas,
            (now - header.timestamp as f64).max(0.0),
            hex::encode(header.hash)
        ))?;
        *next = Some(header.number + 1);
    }
    Ok(())
}

struct Gas {
    l2_gas: u64,
    l1_data_gas: u64,
}

/// The gas that the block's transactions consumed together.
async fn block_gas(rpc: &Rpc, number: u64) -> anyhow::Result<Gas> {
    #[derive(Deserialize)]
    struct Resources {
        l1_data_gas: u64,
        l2_gas: u64,
    }
    #[derive(Deserialize)]
    struct Receipt {
        execution_resources: Resources,
    }
    #[derive(Deserialize)]
    struct Entry {
        receipt: Receipt,
    }
    #[derive(Deserialize)]
    struct Block {
        transactions: Vec<Entry>,
    }
    let block: Block = rpc
        .call("starknet_getBlockWithReceipts", json!({ "block_id": { "block_number": number } }))
        .await?;
    let resources = || block.transactions.iter().map(|entry| &entry.receipt.execution_resources);
    Ok(Gas {
        l2_gas: resources().map(|gas| gas.l2_gas).sum(),
        l1_data_gas: resources().map(|gas| gas.l1_data_gas).sum(),
    })
}

/// Prints a line when L1 has taken an update, and one when it is deep enough to stay, until shutdown.
pub async fn settlement(ports: Ports, shutdown: Shutdown) {
    let mut shown = (0, 0);
    while !shutdown.is_triggered() {
        let watched = tokio::select! {
            () = shutdown.triggered() => return,
            watched = look_at_l1(ports, &mut shown) => watched,
        };
        pause(watched, &shutdown, "the settler does not answer").await;
    }
}

/// `shown`: the last block on L1, and the last one there for good, that were printed.
async fn look_at_l1(ports: Ports, shown: &mut (u64, u64)) -> anyhow::Result<()> {
    let channel = channel(&connect(ports.settler()), &AuthConfig::default())?;
    let answer = SettlementServiceClient::new(channel)
        .get_settlement(GetSettlementRequest {})
        .await
        .context("cannot ask the settler")?
        .into_inner();
    let number = |state: &Option<SettledState>| state.as_ref().map_or(0, |held| held.block_number);
    let (latest, settled) = (number(&answer.latest), number(&answer.settled));
    let l1 = answer.l1_block_number;
    if latest < shown.0 {
        print::line(format_args!(
            "L1     a reorganisation took blocks {} to {} back; they are settled again",
            latest + 1,
            shown.0
        ))?;
    } else if latest > shown.0 {
        print::line(format_args!(
            "L1     blocks {} to {latest} settled: the contract has verified their proof (L1 block {l1})",
            shown.0 + 1,
        ))?;
    }
    if settled > shown.1 {
        print::line(format_args!("L1     blocks up to {settled} are ACCEPTED_ON_L1"))?;
    }
    *shown = (latest, settled.max(shown.1));
    Ok(())
}

/// Prints a line for each stage of each proof, and one for each proof that is stored, until shutdown.
pub async fn proofs(ports: Ports, shutdown: Shutdown) {
    let mut stages = HashMap::new();
    while !shutdown.is_triggered() {
        let watched = tokio::select! {
            () = shutdown.triggered() => return,
            watched = watch_proofs(ports, &mut stages) => watched,
        };
        pause(watched, &shutdown, "the job stream ended").await;
    }
}

async fn watch_proofs(ports: Ports, stages: &mut HashMap<String, String>) -> anyhow::Result<()> {
    let channel = channel(&connect(ports.proofs()), &AuthConfig::default())?;
    let mut stream = ProofStoreServiceClient::new(channel)
        .watch_jobs(WatchJobsRequest {})
        .await
        .map_err(|status| anyhow::anyhow!("cannot watch jobs: {}", error_chain(&status)))?
        .into_inner();
    while let Some(message) = stream.message().await.context("the job stream broke")? {
        match message.message {
            Some(watch_jobs_response::Message::Job(job)) => print_stage(&job, stages)?,
            Some(watch_jobs_response::Message::Stored(info)) => {
                print::line(stored(&info))?;
            }
            None => {}
        }
    }
    Ok(())
}

fn print_stage(job: &Job, stages: &mut HashMap<String, String>) -> Result<(), OutputError> {
    let seconds = Duration::from_millis(job.running_for_ms).as_secs_f64();
    let (key, line) = match job.state() {
        JobState::Running if !job.stage.is_empty() => (
            format!("{} {}", job.deliveries, job.stage),
            format!("{} {} ({}, {seconds:.0} s)", what(job), job.stage, job.worker),
        ),
        JobState::Parked => (
            "parked".to_owned(),
            format!("{} PARKED after {} deliveries: {}", what(job), job.deliveries, job.cause),
        ),
        JobState::Done => {
            stages.remove(&job.id);
            // What is said of a block's proof comes with the proof.
            if job.step.is_empty() {
                return Ok(());
            }
            return print::line(format!("{} DONE and verified, {seconds:.1} s", what(job)));
        }
        _ => return Ok(()),
    };
    if stages.len() >= MAX_REMEMBERED {
        stages.clear();
    }
    if stages.insert(job.id.clone(), key.clone()).as_ref() != Some(&key) {
        print::line(line)?;
    }
    Ok(())
}

/// What a job proves: a block, or a step of an aggregation.
fn what(job: &Job) -> String {
    if job.step.is_empty() {
        format!("proof {:<6}", job.block_number)
    } else {
        format!("aggregation {}", job.step)
    }
}

fn stored(info: &ProofInfo) -> String {
    let figures = info.figures.unwrap_or_default();
    format!(
        "proof {:<6} PROVEN and verified: {} steps, {:.1} s ({:.1} s of it S-two), {:.1} GB peak, {} KiB",
        info.block_number,
        figures.cairo_steps,
        Duration::from_millis(figures.total_ms).as_secs_f64(),
        Duration::from_millis(figures.prove_ms).as_secs_f64(),
        figures.peak_memory_bytes as f64 / 1e9,
        info.size_bytes / 1024
    )
}
