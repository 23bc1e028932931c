//! `sidereal verify`: walks the claims from a transaction to the proof of its block, and prints each link.
//!
//! ```text
//! transaction ─hash─> block ─commitments─> header ─replay─> state diff, root ─equal─> OS output ─proof─> STARK
//! ```
//!
//! The walk itself ([`walk`]) needs the bundle and nothing else, and trusts nobody: not the sequencer, not
//! the proof store. Only its axioms stay: the genesis state and the pinned program hashes.

mod bundle;
mod fetch;
mod walk;

use std::path::PathBuf;

use anyhow::Context as _;
pub use bundle::{Bundle, BundleError};
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;
pub use walk::{BrokenLink, Link, walk};

use crate::print::OutputError;
use crate::{CommandFuture, print};

/// Options of `sidereal verify`.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyOptions {
    /// Hash of the transaction; not needed with `--offline`.
    #[arg(required_unless_present = "offline")]
    pub transaction_hash: Option<String>,
    /// JSON-RPC endpoint of the chain.
    #[arg(long, default_value = "http://127.0.0.1:9545/rpc/v0_10")]
    pub rpc: String,
    /// HTTP endpoint of the proof store.
    #[arg(long, default_value = "http://127.0.0.1:9550")]
    pub proofs: String,
    /// Walks a saved bundle, without any connection.
    #[arg(long, conflicts_with_all = ["save"])]
    pub offline: Option<PathBuf>,
    /// Saves what the walk needed, for `--offline`.
    #[arg(long)]
    pub save: Option<PathBuf>,
    /// Waits at most this long for the proof to be there.
    #[arg(long, default_value_t = 0)]
    pub wait_s: u64,
}

/// Walks and prints; an error names the link that does not hold.
pub fn command(options: VerifyOptions) -> CommandFuture {
    Box::pin(run(options))
}

async fn run(options: VerifyOptions) -> anyhow::Result<()> {
    let bundle = match (&options.offline, &options.transaction_hash) {
        (Some(path), asked) => {
            let bundle = Bundle::read(path)?;
            if let Some(asked) = asked
                && parse_hash(asked)? != bundle.transaction_hash
            {
                anyhow::bail!("{} is about another transaction than {asked}", path.display());
            }
            bundle
        }
        (None, Some(hash)) => fetch::fetch(&options, parse_hash(hash)?).await?,
        (None, None) => anyhow::bail!("give a transaction hash, or --offline FILE"),
    };
    print::line(format_args!("transaction {:#x}", bundle.transaction_hash.0))?;
    let walked = bundle.clone();
    let (links, printed) = tokio::task::spawn_blocking(move || {
        let mut printed = Ok(());
        let links = walk(&walked, &mut |link| {
            if printed.is_ok() {
                printed = print_link(link);
            }
        });
        (links, printed)
    })
    .await
    .context("the walk was cut off")?;
    let links = links?;
    printed?;
    if options.offline.is_none() {
        let link = fetch::compare_with_node(&options, &bundle).await?;
        print_link(&link)?;
    }
    if let Some(path) = &options.save {
        bundle.save(path)?;
        print::line(format_args!(
            "saved to {}; `sidereal verify --offline` walks it anywhere",
            path.display()
        ))?;
    }
    let held = links.len() + usize::from(options.offline.is_none());
    print::line(format_args!("verified: {held} links hold"))?;
    Ok(())
}

fn print_link(link: &Link) -> Result<(), OutputError> {
    print::line(format_args!("  \u{2713} {link}"))
}

fn parse_hash(text: &str) -> anyhow::Result<TransactionHash> {
    Felt::from_hex(text).map(TransactionHash).with_context(|| {
        format!("{text} is not a transaction hash (0x and up to 64 hexadecimal digits)")
    })
}
