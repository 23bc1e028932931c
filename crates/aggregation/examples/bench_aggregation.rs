//! What the steps from block proofs to the last circuit take: `cargo run --example bench_aggregation -- PROOF...`
//! wraps each encoded block proof (one that is given alone is taken twice), merges them two by two, shrinks and
//! compacts the result, and prints time and memory of each step. Memory is the process's peak during the step.

use std::error::Error;
use std::time::Instant;

use sidereal_aggregation::{Assignment, CircuitKind, CircuitProof, CircuitProver, compute_root};
use sidereal_block_prover::BlockProof;

// The services' allocator: it keeps pages, and on a virtual machine fresh ones are what costs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--roots") {
        for kind in CircuitKind::PROVEN.into_iter().chain([CircuitKind::Last]) {
            let root =
                measured(&format!("{} circuit and root", kind.name()), || compute_root(kind))?;
            println!("{}: {root} {:?}", kind.name(), words(root.0));
        }
        return Ok(());
    }
    if arguments.len() == 1 {
        arguments.push(arguments[0].clone());
    }
    let prover = measured("wrap tables", || CircuitProver::new(CircuitKind::Wrap))?;
    let mut layer = Vec::new();
    for file in &arguments {
        let proof = BlockProof::decode(&std::fs::read(file)?)?;
        let assignment = measured("wrap assignment", || Assignment::wrap(&proof.cairo))?;
        layer.push(measured("wrap proof", || prover.prove(&assignment))?);
    }
    drop(prover);
    let prover = measured("merge tables", || CircuitProver::new(CircuitKind::Merge))?;
    while layer.len() > 1 {
        let mut next = Vec::new();
        for pair in layer.chunks(2) {
            let [left, right] = pair else {
                next.extend(pair.iter().cloned());
                continue;
            };
            let assignment = measured("merge assignment", || Assignment::merge(left, right))?;
            next.push(measured("merge proof", || prover.prove(&assignment))?);
        }
        layer = next;
    }
    drop(prover);
    let mut proof = layer.remove(0);
    for kind in [CircuitKind::Shrink, CircuitKind::Compact] {
        proof = step(kind, &proof)?;
    }
    let last = measured("last assignment", || Assignment::of_proof(&proof))?;
    println!("output of the last circuit: {}", last.output());
    Ok(())
}

fn step(kind: CircuitKind, proof: &CircuitProof) -> Result<CircuitProof, Box<dyn Error>> {
    let name = kind.name();
    let prover = measured(&format!("{name} tables"), || CircuitProver::new(kind))?;
    let assignment = measured(&format!("{name} assignment"), || Assignment::of_proof(proof))?;
    measured(&format!("{name} proof"), || prover.prove(&assignment))
}

fn words(bytes: [u8; 32]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect()
}

fn measured<T, E: Error + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, Box<dyn Error>> {
    // Linux: 5 resets the peak of resident memory to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let begun = Instant::now();
    let done = work()?;
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak_kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(f64::NAN);
    println!("{what:<28} {seconds:>7.2} s {:>6.2} GiB", peak_kib / f64::from(1 << 20));
    Ok(done)
}
