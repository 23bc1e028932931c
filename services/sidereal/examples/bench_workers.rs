//! What a second prover worker brings: `sidereal dev` proves the same number of full blocks with one worker and with two,
//! each from an empty chain, and the ratio of the two times is printed. With `--aggregate`, up to the proof over all of
//! these blocks that Ethereum verifies; then one worker makes the steps, and both prove blocks.
//!
//! The clock runs from the first transfer until the last proof is stored. Every worker's prover takes all processors, so
//! on one machine the gain is what one proof leaves idle; on two machines it is another machine. Memory is that of all
//! provers together, at its highest.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};
use sidereal::jobs::ProofStoreArgs;
use sidereal::load::{self, Kind, LoadOptions};
use sidereal::rpc::Rpc;
use sidereal_proto::aggregation::ListBatchesRequest;
use sidereal_proto::aggregation::aggregation_service_client::AggregationServiceClient;
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::{
    GetProofInfoRequest, JobState, ListJobsRequest, ProofSelector, proof_selector,
};
use sidereal_service::grpc::ServiceChannel;

/// Options of the benchmark.
#[derive(Parser)]
struct Options {
    /// The program under test.
    #[arg(long)]
    sidereal: PathBuf,
    /// Numbers of blocks that are proven.
    #[arg(long, value_delimiter = ',', default_values_t = [4])]
    blocks: Vec<u64>,
    /// Transfers in each.
    #[arg(long, default_value_t = 10)]
    transfers: u64,
    /// Numbers of workers, the baseline first.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<u32>,
    /// Aggregates the blocks, too.
    #[arg(long)]
    aggregate: bool,
}

const PORT: u16 = 19_745;
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// A block that takes longer, with its part of the aggregation, has failed.
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
    let what = if options.aggregate { "aggregated" } else { "proven" };
    println!("blocks of {} transfers", options.transfers);
    println!(
        "| blocks | workers | all {what}, s | over the first row | memory of chain and provers, GiB |"
    );
    println!("|---|---|---|---|---|");
    for blocks in &options.blocks {
        let mut baseline = None;
        for workers in &options.workers {
            let (taken, peak) = proven_in(&options, *blocks, *workers).await?;
            let taken = taken.as_secs_f64();
            let baseline = *baseline.get_or_insert(taken);
            let ratio = baseline / taken;
            println!("| {blocks} | {workers} | {taken:.1} | {ratio:.2} | {peak:.1} |");
        }
    }
    Ok(())
}

/// The time, and the most memory that the chain and its provers had at a time, in GiB.
async fn proven_in(
    options: &Options,
    blocks: u64,
    workers: u32,
) -> anyhow::Result<(Duration, f64)> {
    let data = tempfile::tempdir()?;
    let rpc = Rpc::new(format!("http://127.0.0.1:{PORT}/rpc/v0_10"));
    let mut chain = start(options, blocks, workers, data.path(), &rpc).await?;
    let store =
        ProofStoreArgs { proof_store: format!("http://127.0.0.1:{}", PORT + 4), token_file: None };
    let mut proofs = Proofs {
        jobs: store.client()?,
        batches: AggregationServiceClient::new(store.channel()?),
        aggregate: options.aggregate,
    };
    let started = Instant::now();
    let load = LoadOptions {
        rpc: rpc.url().to_owned(),
        accounts: data.path().join("accounts.json"),
        kind: Kind::Transfers,
        rate: 100.0,
        count: blocks * options.transfers,
        settle_s: 120,
        contracts: None,
        quiet: true,
    };
    let summary = load::run(load).await?;
    ensure!(summary.is_clean(), "not every transfer succeeded exactly once");
    let closed: u64 = rpc.call("starknet_blockNumber", json!([])).await?;
    ensure!(closed == blocks, "{closed} blocks were closed: a transfer came late, try again");
    let deadline = Duration::from_secs(BLOCK_TIMEOUT.as_secs() * blocks);
    let mut peak = 0.0_f64;
    loop {
        ensure!(chain.0.try_wait()?.is_none(), "the chain ended");
        peak = peak.max(memory_with_children(chain.0.id())?);
        let done = proofs.done(blocks).await?;
        if done == proofs.wanted(blocks) {
            return Ok((started.elapsed(), peak));
        }
        ensure!(started.elapsed() < deadline, "only {done} proofs were made in time");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What is waited for.
struct Proofs {
    jobs: ProofStoreServiceClient<ServiceChannel>,
    batches: AggregationServiceClient<ServiceChannel>,
    aggregate: bool,
}

impl Proofs {
    /// Proofs of blocks, or the one over all of them.
    fn wanted(&self, blocks: u64) -> u64 {
        if self.aggregate { 1 } else { blocks }
    }

    async fn done(&mut self, blocks: u64) -> anyhow::Result<u64> {
        let request = ListJobsRequest { state: JobState::Parked.into(), limit: 1 };
        let parked = self.jobs.list_jobs(request).await?.into_inner().jobs;
        ensure!(parked.is_empty(), "a job was parked: {parked:?}");
        if self.aggregate {
            let request = ListBatchesRequest { from_block: 1, limit: 1 };
            let batches = self.batches.list_batches(request).await?.into_inner().batches;
            let whole = batches.iter().any(|batch| {
                (batch.first_block, batch.last_block) == (1, blocks)
                    && u32::try_from(batch.steps.len()).is_ok_and(|made| made == batch.step_count)
            });
            return Ok(u64::from(whole));
        }
        let mut proven = 0;
        for block in 1..=blocks {
            let by = Some(proof_selector::By::BlockNumber(block));
            let request = GetProofInfoRequest { selector: Some(ProofSelector { by }) };
            proven += u64::from(self.jobs.get_proof_info(request).await.is_ok());
        }
        Ok(proven)
    }
}

/// What the chain and the provers, which are its child processes, have of memory now; in GiB.
fn memory_with_children(parent: u32) -> anyhow::Result<f64> {
    let mut kib = 0_u64;
    for process in std::fs::read_dir("/proc")? {
        // A process may end between two looks at it.
        let Ok(status) = std::fs::read_to_string(process?.path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        if [field("Pid:"), field("PPid:")].contains(&Some(u64::from(parent))) {
            kib += field("VmRSS:").unwrap_or(0);
        }
    }
    Ok(kib as f64 / f64::from(1 << 20))
}

async fn start(
    options: &Options,
    blocks: u64,
    workers: u32,
    data: &Path,
    rpc: &Rpc,
) -> anyhow::Result<Chain> {
    let mut command = Command::new(&options.sidereal);
    command.args(["dev", "--no-l1", "--workers", &workers.to_string()]);
    command.args(["--base-port", &PORT.to_string()]);
    if options.aggregate {
        // One batch of all blocks, however long they take.
        command.args(["--aggregate", &blocks.to_string(), "--aggregate-wait-s", "86400"]);
    }
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
