//! What a second prover worker brings: `sidereal dev` proves the same number of full blocks with one worker and with
//! two, each from an empty chain, and the ratio of the two times is printed.
//!
//! The clock runs from the first transfer until the last block has its proof. Every worker's prover takes all
//! processors, so on one machine the gain is what one proof leaves idle; on two machines it is another machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};
use sidereal::jobs::ProofStoreArgs;
use sidereal::load::{self, Kind, LoadOptions};
use sidereal::rpc::Rpc;
use sidereal_proto::proofs::{
    GetProofInfoRequest, JobState, ListJobsRequest, ProofSelector, proof_selector,
};

/// Options of the benchmark.
#[derive(Parser)]
struct Options {
    /// The program under test.
    #[arg(long)]
    sidereal: PathBuf,
    /// Blocks that are proven.
    #[arg(long, default_value_t = 4)]
    blocks: u64,
    /// Transfers in each.
    #[arg(long, default_value_t = 10)]
    transfers: u64,
    /// Numbers of workers, the baseline first.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<u32>,
}

const PORT: u16 = 19_745;
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// A block that takes longer has failed.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(600);

struct Chain(Child);

impl Drop for Chain {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    println!("{} blocks of {} transfers", options.blocks, options.transfers);
    println!("| workers | all proven, s | over the first row |\n|---|---|---|");
    let mut baseline = None;
    for workers in &options.workers {
        let taken = proven_in(&options, *workers).await?.as_secs_f64();
        let baseline = *baseline.get_or_insert(taken);
        println!("| {workers} | {taken:.1} | {:.2} |", baseline / taken);
    }
    Ok(())
}

async fn proven_in(options: &Options, workers: u32) -> anyhow::Result<Duration> {
    let data = tempfile::tempdir()?;
    let rpc = Rpc::new(format!("http://127.0.0.1:{PORT}/rpc/v0_10"));
    let _chain = start(options, workers, data.path(), &rpc).await?;
    let store =
        ProofStoreArgs { proof_store: format!("http://127.0.0.1:{}", PORT + 4), token_file: None };
    let mut jobs = store.client()?;
    let started = Instant::now();
    let load = LoadOptions {
        rpc: rpc.url().to_owned(),
        accounts: data.path().join("accounts.json"),
        kind: Kind::Transfers,
        rate: 100.0,
        count: options.blocks * options.transfers,
        settle_s: 120,
        contracts: None,
        quiet: true,
    };
    let summary = load::run(load).await?;
    ensure!(summary.is_clean(), "not every transfer succeeded exactly once");
    let blocks: u64 = rpc.call("starknet_blockNumber", json!([])).await?;
    let deadline = Duration::from_secs(BLOCK_TIMEOUT.as_secs() * blocks);
    loop {
        let request = ListJobsRequest { state: JobState::Unspecified.into(), limit: 1_000 };
        let listed = jobs.list_jobs(request).await?.into_inner().jobs;
        let parked = listed.iter().find(|job| job.state() == JobState::Parked);
        ensure!(parked.is_none(), "a job was parked: {parked:?}");
        let mut proven = 0;
        for block in 1..=blocks {
            let by = Some(proof_selector::By::BlockNumber(block));
            let request = GetProofInfoRequest { selector: Some(ProofSelector { by }) };
            proven += u64::from(jobs.get_proof_info(request).await.is_ok());
        }
        if proven == blocks {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < deadline, "{proven} of {blocks} blocks were proven in time");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn start(options: &Options, workers: u32, data: &Path, rpc: &Rpc) -> anyhow::Result<Chain> {
    let mut command = Command::new(&options.sidereal);
    command.args(["dev", "--workers", &workers.to_string(), "--base-port", &PORT.to_string()]);
    command.args(["--block-transactions", &options.transfers.to_string()]);
    command.arg("--data-dir").arg(data).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut chain = Chain(command.spawn().context("cannot start sidereal")?);
    let deadline = Instant::now() + START_TIMEOUT;
    while rpc.call::<Value>("starknet_blockNumber", json!([])).await.is_err() {
        ensure!(Instant::now() < deadline, "the chain did not start in time");
        ensure!(chain.0.try_wait()?.is_none(), "the chain ended at its start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(chain)
}
