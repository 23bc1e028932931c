//! What a block's proof costs beyond S-two: `cargo run --example bench_proving -- 10 50` proves blocks of so many
//! transfers along the whole path (witness to verified proof) and then, in the same process, the same traces with a
//! bare `prove_cairo`, and prints one row of a table for each, with the ratio of the two.
//!
//! The tables that do not depend on a block are made once, as in a worker, and named apart. A bare `prove_cairo`
//! makes them every time, so the ratio is also given without them.
//!
//! The first proof of a process meets memory that nobody has touched, as a worker's first one does; it is not counted.
//! Then the two take turns, and the faster of each one's runs counts.

use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sidereal_block_prover::{IgnoreProgress, Prover, ProverSettings, Stage, run_block};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::{TestChain, invoke, transfer};
use sidereal_execution::witness::BlockWitness;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo_cairo_prover::prover::prove_cairo;

/// Turns of each block.
const TURNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes = Vec::new();
    for argument in std::env::args().skip(1) {
        sizes.push(argument.parse::<u64>()?);
    }
    if sizes.is_empty() {
        sizes = vec![10, 50];
    }
    let prover = Prover::new(ProverSettings::default());
    let begun = Instant::now();
    prover.precompute(&IgnoreProgress)?;
    let tables = begun.elapsed();
    prover.prove(&witness(1), &IgnoreProgress)?;
    println!("tables that all proofs share: {:.2} s\n", tables.as_secs_f64());
    println!(
        "| transfers | steps | proof, bytes | whole path, s | of it S-two, s | bare prove_cairo, s \
         | path / bare | path / (bare − tables) | peak memory, GiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for transfers in sizes {
        let witness = witness(transfers);
        row(&prover, transfers, &witness, tables)?;
    }
    Ok(())
}

fn row(
    prover: &Prover,
    transfers: u64,
    witness: &BlockWitness,
    tables: Duration,
) -> Result<(), Box<dyn Error>> {
    let mut best: Option<Path> = None;
    let mut bare = Duration::MAX;
    // Of the first turn: a bare proof holds tables of its own.
    let mut memory_gib = None;
    for _ in 0..TURNS {
        let path = Path::run(prover, witness)?;
        memory_gib.get_or_insert(path.memory_gib);
        if best.as_ref().is_none_or(|best| path.taken < best.taken) {
            best = Some(path);
        }
        let run = run_block(witness, &IgnoreProgress)?;
        let begun = Instant::now();
        prove_cairo::<Blake2sM31MerkleChannel>(run.input, prover.parameters())?;
        bare = bare.min(begun.elapsed());
    }
    let Some(best) = best else { return Ok(()) };
    println!(
        "| {transfers} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
        best.steps,
        best.bytes,
        best.taken.as_secs_f64(),
        best.stage(Stage::Prove).as_secs_f64(),
        bare.as_secs_f64(),
        best.taken.as_secs_f64() / bare.as_secs_f64(),
        best.taken.as_secs_f64() / bare.saturating_sub(tables).as_secs_f64(),
        memory_gib.unwrap_or_default(),
    );
    let parts: Vec<_> = best
        .stages
        .iter()
        .map(|(stage, _)| format!("{} {:.2} s", stage.name(), best.stage(*stage).as_secs_f64()))
        .collect();
    eprintln!("{transfers} transfers: {}", parts.join(", "));
    Ok(())
}

/// One block along the whole path, from its witness to a verified proof.
struct Path {
    taken: Duration,
    /// When each stage began.
    stages: Vec<(Stage, Duration)>,
    steps: u64,
    bytes: usize,
    /// The peak of the process so far.
    memory_gib: f64,
}

impl Path {
    fn run(prover: &Prover, witness: &BlockWitness) -> Result<Self, Box<dyn Error>> {
        let stages = Mutex::new(Vec::new());
        let begun = Instant::now();
        let watch = |stage: Stage| {
            if let Ok(mut stages) = stages.lock() {
                stages.push((stage, begun.elapsed()));
            }
        };
        let proven = prover.prove(witness, &watch)?;
        Ok(Self {
            taken: begun.elapsed(),
            steps: proven.statistics.steps,
            bytes: proven.proof.encode()?.len(),
            memory_gib: peak_memory_gib(),
            stages: stages.into_inner().unwrap_or_default(),
        })
    }

    /// How long a stage took.
    fn stage(&self, wanted: Stage) -> Duration {
        let Some(at) = self.stages.iter().position(|(stage, _)| *stage == wanted) else {
            return Duration::ZERO;
        };
        let end = self.stages.get(at + 1).map_or(self.taken, |(_, end)| *end);
        end.saturating_sub(self.stages[at].1)
    }
}

/// The witness of a block of transfers from one account to another, on top of genesis.
fn witness(transfers: u64) -> BlockWitness {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let transactions: Vec<_> = (0..transfers)
        .map(|nonce| invoke(&alice, nonce, &[transfer(bob.address, 1 + u128::from(nonce))]))
        .collect();
    let block = chain.block(&transactions);
    assert_eq!(block.witness.transactions.len(), transactions.len(), "a transfer was left out");
    block.witness
}

fn peak_memory_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().strip_suffix(" kB"))
        .and_then(|value| value.trim().parse::<f64>().ok())
        .unwrap_or_default();
    kibibytes / 1024.0 / 1024.0
}
