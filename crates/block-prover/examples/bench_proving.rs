//! What a block's proof costs beyond S-two: `cargo run --example bench_proving -- 10 50` proves blocks of so many
//! transfers along the whole path (witness to verified proof) and then, in the same process, the same traces with a
//! bare `prove_cairo`, and prints one row of a table for each, with the ratio of the two.
//!
//! The tables that do not depend on a block are made once, as in a worker, and named apart. A bare `prove_cairo`
//! makes them every time, so the ratio is also given without them.

use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sidereal_block_prover::{IgnoreProgress, Prover, ProverSettings, Stage, run_block};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::{TestChain, invoke, transfer};
use sidereal_execution::witness::BlockWitness;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleChannel;
use stwo_cairo_prover::prover::prove_cairo;

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
    let stages = Mutex::new(Vec::new());
    let begun = Instant::now();
    let watch = |stage: Stage| {
        if let Ok(mut stages) = stages.lock() {
            stages.push((stage, begun.elapsed()));
        }
    };
    let proven = prover.prove(witness, &watch)?;
    let path = begun.elapsed();
    let bytes = proven.proof.encode()?.len();
    let stages = stages.into_inner().unwrap_or_default();
    let at = |wanted| stages.iter().find(|(stage, _)| *stage == wanted).map(|(_, at)| *at);
    let stwo = match (at(Stage::Prove), at(Stage::Verify)) {
        (Some(begin), Some(end)) => end.saturating_sub(begin),
        _ => Duration::ZERO,
    };
    // Before the bare run, which holds a second set of tables.
    let memory = peak_memory_gib();

    let run = run_block(witness, &IgnoreProgress)?;
    let begun = Instant::now();
    prove_cairo::<Blake2sM31MerkleChannel>(run.input, prover.parameters())?;
    let bare = begun.elapsed();
    println!(
        "| {transfers} | {} | {bytes} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {memory:.1} |",
        proven.statistics.steps,
        path.as_secs_f64(),
        stwo.as_secs_f64(),
        bare.as_secs_f64(),
        path.as_secs_f64() / bare.as_secs_f64(),
        path.as_secs_f64() / bare.saturating_sub(tables).as_secs_f64(),
    );
    let mut last = Duration::ZERO;
    let mut parts = Vec::new();
    for (index, (stage, _)) in stages.iter().enumerate() {
        let end = stages.get(index + 1).map_or(path, |(_, at)| *at);
        parts.push(format!("{} {:.2} s", stage.name(), end.saturating_sub(last).as_secs_f64()));
        last = end;
    }
    eprintln!("{transfers} transfers: {}; {:?}", parts.join(", "), proven.statistics.builtins);
    Ok(())
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
