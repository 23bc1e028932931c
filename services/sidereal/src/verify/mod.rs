//! `sidereal verify`: walks the claims from a transaction to the proof of its block, and prints each link.
//!
//! ```text
//! transaction ─hash─> block ─commitments─> header ─replay─> state diff, root ─equal─> OS output ─proof─> STARK
//! ```
//!
//! With `--l1` it goes on from there to the state of the contract on Ethereum ([`settled`]).
//!
//! The walk itself ([`walk`]) needs the bundle and nothing else, and trusts nobody: not the sequencer, not
//! the proof store. Only its axioms stay: the genesis state and the pinned program hashes.

mod bundle;
mod fetch;
pub mod gather;
pub mod settled;
mod walk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
pub use bundle::{Bundle, BundleError};
use sidereal_service::Secret;
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;
pub use walk::{BrokenLink, Link, Walked, walk};

use crate::l1::{DEFAULT_RECORD, Rollup};
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
    /// Saves what the walk needed, for `--offline`; not what `--l1` needs.
    #[arg(long)]
    pub save: Option<PathBuf>,
    /// Goes on to the rollup's contract on Ethereum, which the deployment's record FILE names. What the contract holds
    /// can only be asked for: this needs connections to Ethereum and to the proof store.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = DEFAULT_RECORD)]
    #[arg(conflicts_with = "offline")]
    pub l1: Option<PathBuf>,
    /// JSON-RPC of Ethereum, in place of the one that the record names. Never printed.
    #[arg(long, env = "SIDEREAL_L1_URL", hide_env_values = true, value_name = "URL")]
    #[arg(value_parser = crate::l1::secret)]
    pub l1_url: Option<Secret<String>>,
    /// Waits at most this long for the proof to be there, and as long for the block to be settled.
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
    let walked = links?;
    printed?;
    let mut held = walked.links.len();
    if options.offline.is_none() {
        let link = fetch::compare_with_node(&options, &bundle).await?;
        print_link(&link)?;
        held += 1;
    }
    if let Some(record) = &options.l1 {
        held += walk_to_l1(&options, record, &walked).await?;
    }
    if let Some(path) = &options.save {
        bundle.save(path)?;
        print::line(format_args!(
            "saved to {}; `sidereal verify --offline` walks it anywhere",
            path.display()
        ))?;
    }
    print::line(format_args!("verified: {held} links hold"))?;
    Ok(())
}

/// Returns how many links there are.
async fn walk_to_l1(
    options: &VerifyOptions,
    record: &std::path::Path,
    walked: &Walked,
) -> anyhow::Result<usize> {
    let rollup = Rollup::open(record, options.l1_url.as_ref()).await?;
    if rollup.record.chain_id != walked.chain_id.to_string() {
        anyhow::bail!(
            "the transaction is of chain {}, and {} is of chain {}",
            walked.chain_id,
            record.display(),
            rollup.record.chain_id
        );
    }
    let pins = gather::pins(&walked.chain_id)?;
    let chain = fetch::Chain::new(options, walked)?;
    let wait = Duration::from_secs(options.wait_s);
    let evidence = gather::gather(&rollup, walked.block, wait, &chain).await?;
    let block = walked.block;
    let (links, printed) = tokio::task::spawn_blocking(move || {
        let mut printed = Ok(());
        let links = settled::walk(&evidence, block, &pins, &mut |link| {
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
    Ok(links.len())
}

fn print_link(link: impl std::fmt::Display) -> Result<(), OutputError> {
    print::line(format_args!("  \u{2713} {link}"))
}

fn parse_hash(text: &str) -> anyhow::Result<TransactionHash> {
    Felt::from_hex(text).map(TransactionHash).with_context(|| {
        format!("{text} is not a transaction hash (0x and up to 64 hexadecimal digits)")
    })
}
