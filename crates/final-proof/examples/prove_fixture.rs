//! Proves a small circuit with the parameters of Ethereum and writes proof and key where the contract's tests look.
//!
//! ```sh
//! cargo run -p sidereal-final-proof --example prove_fixture
//! cargo run -p sidereal-final-proof --example prove_fixture -- 2500
//! ```
//! Takes a minute or two and 8 GB, because the lookup tables alone have 2^20 rows. With a number, the circuit has so
//! many hashes instead of three, and the proof becomes the tests' large one, whose columns come in another order.

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use sidereal_final_proof::{FinalProver, Parameters, verify_calldata};

fn main() -> Result<(), Box<dyn Error>> {
    let n_hashes = std::env::args().nth(1).map(|argument| argument.parse()).transpose()?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contracts/solidity/test/verifier/fixtures");
    let folder = if n_hashes.is_some() { fixtures.join("large") } else { fixtures };
    std::fs::create_dir_all(&folder)?;
    let (circuit, values) = support::hash_chain(1, n_hashes.unwrap_or(3));
    let started = Instant::now();
    let prover = FinalProver::new(circuit, Parameters::ETHEREUM)?;
    println!(
        "committed to the circuit in {:.1?}: {:?}",
        started.elapsed(),
        prover.key().component_log_sizes
    );
    let started = Instant::now();
    let (proof, output) = prover.prove(&values)?;
    println!("proven in {:.1?}", started.elapsed());
    let calldata = proof.to_calldata();
    let started = Instant::now();
    verify_calldata(&calldata, prover.key(), &output)?;
    println!(
        "verified in {:.1?}; {} bytes, peak memory {}",
        started.elapsed(),
        calldata.len(),
        peak_memory()?
    );
    std::fs::write(folder.join("proof.bin"), &calldata)?;
    let fixture = json!({
        "componentLogSizes": prover.key().component_log_sizes,
        "output": format!("0x{}", hex::encode(output)),
        "preprocessedRoot": format!("0x{}", prover.key().preprocessed_root),
    });
    std::fs::write(folder.join("key.json"), serde_json::to_string_pretty(&fixture)? + "\n")?;
    Ok(())
}

/// The most memory that this process ever had.
fn peak_memory() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.unwrap_or("unknown").trim().to_owned())
}
