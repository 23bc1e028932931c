//! From blocks to the proof that Ethereum verifies: `cargo run --example bench_aggregation -- 2 10` makes two blocks of
//! ten transfers, proves them, and takes every step up to the last proof, with time and memory of each. Memory is the
//! process's peak during the step.
//!
//! Every claim on the way is compared with the chain of hashes that `sidereal_os_aggregator::claims` computes from
//! outputs alone.
//!
//! `--save FOLDER` keeps what the contract needs (proof, aggregated output, blobs' data) and the circuits' proofs;
//! `--last FOLDER` only makes the last proof, from what was kept there; `--roots` prints the circuits' roots.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use c_kzg::{Bytes32, ethereum_kzg_settings};
use sidereal_aggregation::{Assignment, CircuitKind, CircuitProof, CircuitProver, compute_root};
use sidereal_block_prover::{
    BlockProof, IgnoreProgress, Prover, ProverSettings, STARKNET_OS_BLAKE_HASH, Task,
};
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::testing::{TestChain, invoke, transfer};
use sidereal_final_proof::{FinalProver, Parameters, VerificationKey, verify_calldata};
use sidereal_os_aggregator::claims::{CircuitRoots, FinalClaims, block_claim, tree_claim};
use sidereal_os_aggregator::{
    AGGREGATOR_BLAKE_HASH, AggregatedOutput, AggregatorInput, Tree, blobs, joined_data,
    run_aggregator,
};
use starknet_types_core::felt::Felt;

// The services' allocator: it keeps pages, and on a virtual machine fresh ones are what costs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn Error>;
/// Keeps a result under a name.
type Save<'a> = dyn Fn(&str, &[u8]) -> Result<(), Failure> + 'a;

fn main() -> Result<(), Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--roots") {
        return print_roots();
    }
    let mut folder = None;
    if arguments.first().is_some_and(|argument| argument == "--save") {
        folder = arguments.drain(..2).nth(1).map(PathBuf::from);
    }
    let save = |name: &str, bytes: &[u8]| -> Result<(), Failure> {
        println!("{name}: {} bytes", bytes.len());
        Ok(folder.iter().try_for_each(|folder| std::fs::write(folder.join(name), bytes))?)
    };
    if let [flag, kept] = &arguments[..]
        && flag == "--last"
    {
        let read = |name: &str| std::fs::read(PathBuf::from(kept).join(name));
        let proof = CircuitProof::decode(&read("compact")?)?;
        let update =
            prove_last(&proof, &felts(&read("aggregated-output")?), &felts(&read("data")?))?;
        return update.save(&save);
    }
    let number = |index: usize, otherwise| {
        arguments.get(index).map_or(Ok(otherwise), |argument| argument.parse::<usize>())
    };
    let (blocks, transfers) = (number(0, 2)?, number(1, 10)?);
    let proofs = prove_blocks(blocks, transfers)?;
    let outputs: Vec<_> = proofs[..blocks].iter().map(|proof| proof.output.clone()).collect();
    let aggregated = &proofs[blocks].output;
    let words = aggregated.iter().flat_map(|felt| felt.to_bytes_be()).collect::<Vec<_>>();
    save("aggregated-output", &words)?;
    let data = joined_data(&outputs)?;
    save("data", &data.iter().flat_map(|felt| felt.to_bytes_be()).collect::<Vec<_>>())?;

    let mut wrapped = Vec::new();
    {
        let prover = measured("wrap tables", || CircuitProver::new(CircuitKind::Wrap))?;
        for proof in &proofs {
            let assignment = measured("wrap assignment", || Assignment::wrap(&proof.cairo))?;
            wrapped.push(measured("wrap proof", || prover.prove(&assignment))?);
        }
    }
    let program = wrapped.pop().ok_or("the aggregator is proven")?;
    let top = {
        let prover = measured("merge tables", || CircuitProver::new(CircuitKind::Merge))?;
        let tree = Tree::balanced(blocks).ok_or("there is a block")?;
        let merged = merge(&prover, &tree, &mut wrapped.into_iter())?;
        merge_two(&prover, &merged, &program)?
    };
    let mut proof = top;
    for kind in [CircuitKind::Shrink, CircuitKind::Compact] {
        save(proof.kind.name(), &proof.encode()?)?;
        proof = step(kind, &proof)?;
    }
    save(proof.kind.name(), &proof.encode()?)?;

    let root = |kind: CircuitKind| kind.root().0;
    let roots = CircuitRoots {
        wrap: root(CircuitKind::Wrap),
        merge: root(CircuitKind::Merge),
        shrink: root(CircuitKind::Shrink),
        compact: root(CircuitKind::Compact),
    };
    let claims: Vec<_> = outputs.iter().map(|output| block_claim(output)).collect();
    let tree = Tree::balanced(blocks).ok_or("there is a block")?;
    let tree = tree_claim(&tree, &claims, roots.wrap, roots.merge).ok_or("one claim a block")?;
    let expected = FinalClaims::new(&roots, &tree, aggregated).last;
    let update = prove_last(&proof, aggregated, &data)?;
    assert_eq!(update.output, expected, "the chain of hashes");
    update.save(&save)
}

/// What the core contract gets, and what it must have been deployed with.
struct Update {
    proof: Vec<u8>,
    output: [u8; 32],
    aggregated: Vec<Felt>,
    data: Vec<Felt>,
    kzg_proofs: Vec<Vec<u8>>,
    key: VerificationKey,
}

impl Update {
    fn save(&self, save: &Save<'_>) -> Result<(), Failure> {
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        // Circuits' hashes are little endian numbers to the contract.
        let number = |bytes: [u8; 32]| hex(&bytes.into_iter().rev().collect::<Vec<_>>());
        let felts = |felts: &[Felt]| -> Vec<String> {
            felts.iter().map(|felt| hex(&felt.to_bytes_be())).collect()
        };
        let json = serde_json::json!({
            "output": felts(&self.aggregated),
            "data": felts(&self.data),
            "kzgProofs": self.kzg_proofs.iter().map(|proof| hex(proof)).collect::<Vec<_>>(),
            "statement": hex(&self.output),
            "osProgramHash": hex(&STARKNET_OS_BLAKE_HASH.to_bytes_be()),
            "aggregatorProgramHash": hex(&AGGREGATOR_BLAKE_HASH.to_bytes_be()),
            "wrapRoot": number(CircuitKind::Wrap.root().0),
            "mergeRoot": number(CircuitKind::Merge.root().0),
            "shrinkRoots": [number(CircuitKind::Shrink.root().0), number(CircuitKind::Compact.root().0)],
            "preprocessedRoot": hex(&self.key.preprocessed_root.0),
            "componentLogSizes": self.key.component_log_sizes,
        });
        save("update.json", (serde_json::to_string_pretty(&json)? + "\n").as_bytes())?;
        save("proof.bin", &self.proof)?;
        save("last.output", &self.output)
    }
}

fn felts(bytes: &[u8]) -> Vec<Felt> {
    bytes.chunks_exact(32).map(Felt::from_bytes_be_slice).collect()
}

/// The proof that Ethereum verifies, what it says, and the openings of the blobs.
fn prove_last(proof: &CircuitProof, aggregated: &[Felt], data: &[Felt]) -> Result<Update, Failure> {
    let assignment = measured("last assignment", || Assignment::of_proof(proof))?;
    let prover = measured("last tables", || {
        let circuit = CircuitKind::Last.preprocess().map_err(Failure::from)?;
        FinalProver::new(circuit, Parameters::ETHEREUM).map_err(Failure::from)
    })?;
    let (proof, output) = measured("last proof", || prover.prove(assignment.values()))?;
    assert_eq!(output, assignment.output().0, "the last proof's output");
    let calldata = proof.to_calldata();
    measured("last verification", || verify_calldata(&calldata, prover.key(), &output))?;
    println!("key of the last circuit: {:?}", prover.key());

    let decoded = AggregatedOutput::decode(aggregated)?;
    let point = Bytes32::new(decoded.blobs.point.to_bytes_be());
    let mut kzg_proofs = Vec::new();
    for blob in blobs(data)? {
        let (proof, _) = ethereum_kzg_settings(0).compute_kzg_proof(&blob, &point)?;
        kzg_proofs.push(proof.to_bytes().to_vec());
    }
    let (key, aggregated, data) = (prover.key().clone(), aggregated.to_vec(), data.to_vec());
    Ok(Update { proof: calldata, output, aggregated, data, kzg_proofs, key })
}

/// Proofs of blocks, and behind them that of the aggregator over them.
fn prove_blocks(blocks: usize, transfers: usize) -> Result<Vec<BlockProof>, Failure> {
    let prover = Prover::new(ProverSettings::default());
    measured("block tables", || prover.precompute(&IgnoreProgress).map(|_| ()))?;
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let mut proofs = Vec::new();
    for block in 0..blocks {
        let transactions: Vec<_> = (0..transfers)
            .map(|index| {
                let nonce = (block * transfers + index) as u64;
                invoke(&alice, nonce, &[transfer(bob.address, 1 + u128::from(nonce))])
            })
            .collect();
        let witness = chain.block(&transactions).witness;
        let proven = measured("block proof", || prover.prove(&witness, &IgnoreProgress))?;
        proofs.push(proven.proof);
    }
    let input = AggregatorInput {
        outputs: proofs.iter().map(|proof| proof.output.clone()).collect(),
        tree: Tree::balanced(blocks).ok_or("no block")?,
        wrap_root: CircuitKind::Wrap.root().0,
        merge_root: CircuitKind::Merge.root().0,
    };
    let run = measured("aggregator run", || run_aggregator(&input))?;
    let proven = measured("aggregator proof", || {
        prover.prove_task(Task::Pie(run.pie), None, &IgnoreProgress)
    })?;
    proofs.push(proven.proof);
    Ok(proofs)
}

fn merge(
    prover: &CircuitProver,
    tree: &Tree,
    leaves: &mut impl Iterator<Item = CircuitProof>,
) -> Result<CircuitProof, Failure> {
    let Tree::Merge(left, right) = tree else {
        return Ok(leaves.next().ok_or("one wrapped proof a leaf")?);
    };
    let left = merge(prover, left, leaves)?;
    let right = merge(prover, right, leaves)?;
    merge_two(prover, &left, &right)
}

fn merge_two(
    prover: &CircuitProver,
    left: &CircuitProof,
    right: &CircuitProof,
) -> Result<CircuitProof, Failure> {
    let assignment = measured("merge assignment", || Assignment::merge(left, right))?;
    measured("merge proof", || prover.prove(&assignment))
}

fn step(kind: CircuitKind, proof: &CircuitProof) -> Result<CircuitProof, Failure> {
    let name = kind.name();
    let prover = measured(&format!("{name} tables"), || CircuitProver::new(kind))?;
    let assignment = measured(&format!("{name} assignment"), || Assignment::of_proof(proof))?;
    measured(&format!("{name} proof"), || prover.prove(&assignment))
}

fn print_roots() -> Result<(), Failure> {
    for kind in CircuitKind::PROVEN.into_iter().chain([CircuitKind::Last]) {
        let root = measured(&format!("{} circuit and root", kind.name()), || compute_root(kind))?;
        let words: Vec<u32> = root
            .0
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        println!("{}: {root} {words:?}", kind.name());
    }
    Ok(())
}

/// No step may take more.
const MAX_MEMORY_BYTES: f64 = 16e9;

fn measured<T, E: Into<Failure>>(
    what: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, Failure> {
    // Linux: 5 resets the peak of resident memory to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let begun = Instant::now();
    let done = work().map_err(Into::into)?;
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak_kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(f64::NAN);
    println!("{what:<28} {seconds:>7.2} s {:>6.2} GiB", peak_kib / f64::from(1 << 20));
    if peak_kib * 1_024.0 > MAX_MEMORY_BYTES {
        return Err(format!("{what} took more than 16 GB of memory").into());
    }
    Ok(done)
}
