//! Gas of settling, phase by phase: `just bench-l1`.
//!
//! Runs the contracts on an Anvil of its own, by calls alone, and says of each figure how it was measured:
//!
//! * **The verifier** on the stored proof of two real blocks, in a contract that is the deployed one with a look at the
//!   gas between its phases. The last circuit has one shape, so that this does not depend on the number of blocks.
//! * **The rest of an update** on what the aggregator writes over so many blocks of transfers: state diffs as StarknetOS
//!   packs and compresses them, their blobs and KZG openings. The blocks were not executed and the proof is not theirs,
//!   so that an empty contract answers for the verifier, whose gas is added.
//!
//! Fails where a bound is exceeded.

// Of the tests' Anvil, which has more than is needed here.
#[allow(dead_code)]
#[path = "../tests/service/aggregated.rs"]
mod aggregated;
#[allow(dead_code)]
#[path = "../tests/service/anvil.rs"]
mod anvil;
#[path = "bench_l1/blocks.rs"]
mod blocks;
#[path = "bench_l1/meter.rs"]
mod meter;

use sidereal_l1_settler::pinned_hashes;
use sidereal_settlement::Update;
use starknet_api::core::ChainId;

use aggregated::{Aggregated, CHAIN_ID};
use meter::{Calldata, Gas, Meter, State, VerifierGas};

/// What a transaction may use (EIP-7825).
const TRANSACTION_CAP: u64 = 1 << 24;
/// What verifying may take: execution, calldata of the proof, and the transaction itself.
const VERIFIER_BOUND: u64 = 5_000_000;
/// What StarkWare's verifier is said to take: a figure that others cite, whose source was not opened.
const STARKWARE_VERIFIER: u64 = 6_000_000;
/// What every transaction takes.
const INTRINSIC: u64 = 21_000;
/// Blocks in an update, and transfers in a block: a block is full with as many.
const BLOCKS: [usize; 3] = [1, 8, 64];
const TRANSFERS: usize = 64;

/// An update of so many blocks, and what it takes.
struct Row {
    name: String,
    blocks: u64,
    transfers: u64,
    data: usize,
    calldata: Calldata,
    state: State,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pinned = pinned_hashes(&ChainId::Other(CHAIN_ID.to_owned()))?;
    let real = Aggregated::load()?;
    let meter = Meter::start(pinned).await?;
    let verifier = meter.verifier(&real).await?;
    print_verifier(&verifier, &Calldata::of(&real.update.proof));

    let proof = real.update.proof.clone();
    let mut rows = vec![row(&meter, "2 real", 20, &real.update).await?];
    for blocks in BLOCKS {
        let made = blocks::update(blocks, TRANSFERS, &pinned, proof.clone())?;
        let transfers = u64::try_from(blocks * made.transfers)?;
        if made.transfers < TRANSFERS {
            println!("{blocks} blocks: {} transfers each, more do not fit", made.transfers);
        }
        rows.push(row(&meter, &blocks.to_string(), transfers, &made.update).await?);
    }
    print_updates(&rows, &verifier);

    let alone = INTRINSIC + Calldata::of(&proof).standard() + verifier.called;
    anyhow::ensure!(alone <= VERIFIER_BOUND, "the verifier takes {alone}");
    for row in &rows {
        let total = row.total(&verifier);
        anyhow::ensure!(total <= TRANSACTION_CAP, "{} blocks take {total}", row.name);
    }
    Ok(())
}

async fn row(meter: &Meter, name: &str, transfers: u64, update: &Update) -> anyhow::Result<Row> {
    let output = &update.output;
    let blocks = u64::try_from(output.block_number - output.previous_block_number)?;
    Ok(Row {
        name: name.to_owned(),
        blocks,
        transfers,
        data: update.data.len(),
        calldata: Calldata::of(&update.prepare()?.calldata),
        state: meter.state(update).await?,
    })
}

impl Row {
    fn execution(&self, verifier: &VerifierGas) -> Gas {
        self.state.execution + verifier.called
    }

    fn standard(&self, verifier: &VerifierGas) -> Gas {
        INTRINSIC + self.calldata.standard() + self.execution(verifier)
    }

    fn floor(&self) -> Gas {
        INTRINSIC + self.calldata.floor()
    }

    fn total(&self, verifier: &VerifierGas) -> Gas {
        self.standard(verifier).max(self.floor())
    }
}

fn print_verifier(gas: &VerifierGas, proof: &Calldata) {
    println!(
        "The verifier, on the stored proof of two blocks of ten transfers ({} bytes)\n",
        proof.bytes
    );
    let phases = [
        ("hashing: transcript, and memory", gas.transcript),
        ("hashing: Merkle trees of the rows", gas.row_trees),
        ("hashing: Merkle trees of FRI", gas.fri_trees),
        ("quotients", gas.quotients),
        ("FRI: folding, last layer", gas.fri),
        ("constraints", gas.constraints),
        ("samples and lookups", gas.lookups),
        ("its call by RollupCore", gas.call()),
        ("execution", gas.called),
        ("calldata of the proof, 16 and 4 a byte", proof.standard()),
        ("transaction", INTRINSIC),
    ];
    for (phase, gas) in phases {
        println!("  {phase:<40} {gas:>10}");
    }
    let total = gas.called + proof.standard() + INTRINSIC;
    println!("  {:<40} {total:>10}   bound {VERIFIER_BOUND}", "all of it");
    println!("  {:<40} {STARKWARE_VERIFIER:>10}", "StarkWare's verifier, said to take some");
}

/// A line with a figure for each update.
fn line(name: &str, rows: &[Row], figure: impl Fn(&Row) -> u64) {
    print!("  {name:<44}");
    for row in rows {
        print!(" {:>10}", figure(row));
    }
    println!();
}

fn print_updates(rows: &[Row], verifier: &VerifierGas) {
    println!(
        "\nAn update: 'm' measured on what the update holds, 'v' the verifier's figure from above\n"
    );
    print!("  {:<44}", "blocks");
    rows.iter().for_each(|row| print!(" {:>10}", row.name));
    println!();
    let per = |gas: u64, number: u64| gas.div_ceil(number.max(1));
    line("transfers", rows, |row| row.transfers);
    line("felts of data", rows, |row| row.data as u64);
    line("bytes of calldata", rows, |row| row.calldata.bytes);
    line("m transaction", rows, |_| INTRINSIC);
    line("m calldata, 16 and 4 a byte", rows, |row| row.calldata.standard());
    line("v hashing", rows, |_| verifier.hashing());
    line("v quotients", rows, |_| verifier.quotients);
    line("v FRI", rows, |_| verifier.fri);
    line("v constraints", rows, |_| verifier.constraints);
    line("v samples, lookups, the call", rows, |_| verifier.lookups + verifier.call());
    line("m output hashes", rows, |row| row.state.output_hashes);
    line("m state: blobs, by point evaluation", rows, |row| row.state.blobs);
    line("m state: storage, event, checks, the rest", rows, |row| row.state.rest());
    line("execution", rows, |row| row.execution(verifier));
    line("gas of the transaction", rows, |row| row.total(verifier));
    line("  its floor by calldata (EIP-7623)", rows, Row::floor);
    line("  a block", rows, |row| per(row.total(verifier), row.blocks));
    line("  a transfer", rows, |row| per(row.total(verifier), row.transfers));
    line("blobs", rows, |row| row.state.n_blobs);
    line("blob gas, apart from the above", rows, |row| row.state.blob_gas());
    line("  a block", rows, |row| per(row.state.blob_gas(), row.blocks));
    line("  a transfer", rows, |row| per(row.state.blob_gas(), row.transfers));
    println!("\n  A transaction has {TRANSACTION_CAP} gas (EIP-7825).");
    for line in [
        "'2 real' are the blocks of the proof. In the others each transfer is between two accounts of its own, which",
        "the rollup has seen before; these blocks were not executed, their proofs not made, and an empty contract answered",
        "for the verifier. The phases are all of the deployed verifier but for its call.",
    ] {
        println!("  {line}");
    }
}
