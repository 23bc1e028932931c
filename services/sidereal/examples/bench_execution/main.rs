//! `just bench-execution`: transfers a second, from a signed transaction handed to JSON-RPC to a closed block.
//!
//! ```text
//! sidereal   JSON-RPC -> gateway -> validation -> mempool on disk -> executor -> tries, header, witness -> database
//! blockifier the same transactions, in order, in memory, on one thread: what no node can be faster than, per thread
//! devnet     the same number of transfers through the JSON-RPC of starknet-devnet, as it comes
//! ```
//!
//! Every transaction's signature is checked by its account in all three; transactions are signed and serialised
//! before the clock starts. All run in turn, in as many rounds as asked for, and each round prints its ratios.

mod node;
mod raw;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Parser;
use sidereal::account::{Call, Signed, bounds};
use starknet_api::core::Nonce;
use starknet_types_core::felt::Felt;

use node::{BLOCK_TRANSFERS, Node};
use raw::Raw;

/// Options of the benchmark.
#[derive(Parser)]
struct Options {
    /// Transfers a round; by default they fill whole blocks.
    #[arg(long, default_value_t = 75 * BLOCK_TRANSFERS)]
    transfers: usize,
    /// Rounds; the medians are over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Accounts that send, each to the next one.
    #[arg(long, default_value_t = 50)]
    accounts: usize,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How contracts are run by sidereal.
    #[arg(long, default_value = "native")]
    execution: String,
    /// The program under test.
    #[arg(long)]
    sidereal: PathBuf,
    /// `starknet-devnet`, to compare with; without it that column is left out.
    #[arg(long)]
    devnet: Option<PathBuf>,
    /// Further options for `sidereal dev`.
    #[arg(last = true)]
    dev_options: Vec<String>,
}

/// Transfers that nobody times, before the first round: classes get compiled, caches filled.
const WARM_UP: usize = 400;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(options.transfers > 0 && options.rounds > 0 && options.accounts > 1);
    ensure!(
        options.transfers.is_multiple_of(options.accounts),
        "--transfers must be a multiple of --accounts"
    );
    println!(
        "{} transfers a round among {} accounts, {} requests at a time, {} processors",
        options.transfers,
        options.accounts,
        options.connections,
        std::thread::available_parallelism()?
    );
    let data = tempfile::tempdir()?;
    let sidereal = Node::sidereal(&options, data.path()).await?;
    let mut raw =
        Raw::new(options.accounts, sidereal.chain_id.clone(), sidereal.prices, data.path())?;
    let devnet = match &options.devnet {
        Some(program) => Some(Node::devnet(program, &options, data.path()).await?),
        None => None,
    };

    println!("warming up");
    let mut nonce = 0;
    let warm_up = WARM_UP.next_multiple_of(options.accounts);
    let transactions = transfers(&sidereal, &mut nonce, warm_up)?;
    sidereal.send(&transactions, options.connections).await?;
    raw.warm_up(&transactions)?;
    sidereal.wait_for_native().await;
    let mut devnet_nonce = 0;
    if let Some(devnet) = &devnet {
        let transactions = transfers(devnet, &mut devnet_nonce, warm_up)?;
        devnet.send(&transactions, options.connections).await?;
    }

    println!(
        "\n{:<7} {:>12} {:>16} {:>14} {:>12} {:>16} {:>16}",
        "round",
        "sidereal /s",
        "blockifier nat/s",
        "blockifier vm/s",
        "devnet /s",
        "over blockifier",
        "over devnet"
    );
    let mut over_raw = Vec::new();
    let mut over_devnet = Vec::new();
    for round in 1..=options.rounds {
        let transactions = transfers(&sidereal, &mut nonce, options.transfers)?;
        let end_to_end = sidereal.send(&transactions, options.connections).await?;
        let raw = raw.run(&transactions)?;
        let devnet = match &devnet {
            Some(devnet) => {
                let transactions = transfers(devnet, &mut devnet_nonce, options.transfers)?;
                Some(devnet.send(&transactions, options.connections).await?)
            }
            None => None,
        };
        let same_mode = if options.execution == "vm" { raw.vm } else { raw.native };
        over_raw.push(end_to_end / same_mode);
        over_devnet.extend(devnet.map(|devnet| end_to_end / devnet));
        let or_dash =
            |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.2}"));
        println!(
            "{round:<7} {end_to_end:>12.0} {:>16.0} {:>14.0} {:>12} {:>16.2} {:>16}",
            raw.native,
            raw.vm,
            or_dash(devnet),
            end_to_end / same_mode,
            or_dash(over_devnet.last().copied()),
        );
    }
    println!(
        "\nmedian: {:.2} of raw blockifier ({} execution)",
        median(&mut over_raw),
        options.execution
    );
    if !over_devnet.is_empty() {
        println!("median: {:.2} times starknet-devnet", median(&mut over_devnet));
    }
    Ok(())
}

/// Signed transfers, round after round of accounts; `nonce` is that of the first, and of the next call's first.
fn transfers(node: &Node, nonce: &mut u64, count: usize) -> anyhow::Result<Vec<Signed>> {
    let mut signed = Vec::with_capacity(count);
    while signed.len() < count {
        for (index, account) in node.accounts.iter().enumerate() {
            let recipient = &node.accounts[(index + 1) % node.accounts.len()];
            let call = Call {
                to: sidereal_execution::block::STRK_TOKEN_ADDRESS.to_owned(),
                entry_point: "transfer",
                calldata: vec![*recipient.address.0.key(), Felt::ONE, Felt::ZERO],
            };
            let bounds = bounds(5_000, 5_000, 10_000_000, node.prices);
            let one = account.invoke(&[call], Nonce(Felt::from(*nonce)), bounds);
            signed.push(one.context("cannot sign a transfer")?);
        }
        *nonce += 1;
    }
    Ok(signed)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
