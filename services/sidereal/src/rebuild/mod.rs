//! `sidereal rebuild`: the rollup's state from Ethereum alone, so that what L1 keeps is known to be enough.
//!
//! ```text
//! events of the contract ──> updates ─numbers, hashes, roots────────────────────────────────────────┐
//!                               │                                                                   v
//!                               └─versioned hashes─> blobs ─state diffs─> aliases undone ─> tries ─> root, equal
//!                                   (folder, Beacon API)                                     ^
//! genesis: recomputed from its configuration, equal to the root that the contract began with ┘
//! ```
//!
//! The blobs are those of the updates because their versioned hashes are; that they hold the state, the roots show. The
//! contract's proof says that the roots are the right ones: this command need not verify it. Nor does it read what the
//! updates' transactions say: who settles through a contract of their own can have these say anything. What L1 does not
//! have, it cannot rebuild: transactions, events, and the code of classes (of which there are hashes).

pub mod blobs;
pub mod compare;
pub mod replay;
pub mod state;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sidereal_l1_settler::Beacon;
use sidereal_sequencer::SequencerConfig;
use sidereal_sequencer::genesis::{GenesisSection, allocate};
use sidereal_service::Secret;
use sidereal_service::config::{ConfigArgs, ProcessSource, load};

use self::blobs::BlobSource;
use self::replay::{Applied, Rebuild};
use self::state::RebuiltState;
use crate::l1::{DEFAULT_RECORD, Rollup, pages};
use crate::progress::Progress;
use crate::rpc::Rpc;
use crate::{CommandFuture, artifacts, print};

const BEACON_TIMEOUT: Duration = Duration::from_secs(60);

/// Options of `sidereal rebuild`.
#[derive(Clone, Debug, clap::Args)]
pub struct RebuildOptions {
    /// The record of the contracts' deployment.
    #[arg(long, value_name = "FILE", num_args = 0..=1, required = true)]
    #[arg(default_missing_value = DEFAULT_RECORD)]
    pub from_l1: PathBuf,
    /// Folder for the rebuilt state (l2-state.db); a second run goes on where the first ended.
    #[arg(long, value_name = "DIR", default_value = "sidereal-rebuilt")]
    pub data_dir: PathBuf,
    /// JSON-RPC of Ethereum, in place of the one that the record names. Never printed.
    #[arg(long, env = "SIDEREAL_L1_URL", hide_env_values = true, value_name = "URL")]
    #[arg(value_parser = crate::l1::secret)]
    pub l1_url: Option<Secret<String>>,
    /// Beacon API of Ethereum, in place of the one that the record names. Never printed.
    #[arg(long, env = "SIDEREAL_BEACON_URL", hide_env_values = true, value_name = "URL")]
    #[arg(value_parser = crate::l1::secret)]
    pub beacon_url: Option<Secret<String>>,
    /// Folder of blobs (<versioned hash>.blob) that is looked into first, and filled: beacon nodes delete blobs after
    /// some 18 days.
    #[arg(long, value_name = "DIR")]
    pub blobs: Option<PathBuf>,
    /// The sequencer's configuration, whose section `genesis` says what block 0 was. Without: a dev chain's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["accounts", "seed"])]
    pub genesis: Option<PathBuf>,
    /// Funded accounts of a dev chain's genesis.
    #[arg(long, default_value_t = 10)]
    pub accounts: u32,
    /// Seed of a dev chain's accounts.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Compares every cell, nonce and class hash with those of this node (JSON-RPC of the rollup).
    #[arg(long, value_name = "URL")]
    pub compare: Option<String>,
}

/// Rebuilds and prints; an error says what L1 does not have, or what is not as it says.
pub fn command(options: RebuildOptions) -> CommandFuture {
    Box::pin(run(options))
}

async fn run(options: RebuildOptions) -> anyhow::Result<()> {
    let rollup = Rollup::open(&options.from_l1, options.l1_url.as_ref()).await?;
    let source = blob_source(&options, &rollup).await?;
    let state = RebuiltState::open(&options.data_dir).await?;
    let mut rebuild = open(&options, &rollup, &state).await?;
    let applied = catch_up(&mut rebuild, &rollup, &source).await?;

    let (reached, counts) = (rebuild.reached(), state.counts().await?);
    print::line(format_args!(
        "rebuilt      {} blocks from {} updates with {} blobs: {} changes of storage cells",
        applied.blocks, applied.updates, applied.blobs, applied.cells
    ))?;
    print::line(format_args!(
        "state        {} storage cells, {} nonces, {} contracts, {} classes (hashes only; their code is not on L1)",
        counts.cells, counts.nonces, counts.contracts, counts.classes
    ))?;
    print::line(format_args!(
        "root         {:#x} after block {}, equal to L1's stateRoot",
        reached.root().0,
        reached.block_number
    ))?;
    if let Some(url) = &options.compare {
        let values = compare::compare(&state, reached, &Rpc::new(url)).await?;
        print::line(format_args!("node         has the same {values} values, hash and root"))?;
    }
    Ok(())
}

async fn blob_source(options: &RebuildOptions, rollup: &Rollup) -> anyhow::Result<BlobSource> {
    let given = options.beacon_url.clone();
    let url = given.or_else(|| rollup.record.beacon_url.clone().map(Secret::new));
    let folder = options.blobs.clone();
    let Some(url) = url else {
        if folder.is_none() {
            bail!(
                "the record names no Beacon API; give --beacon-url, or --blobs with a folder of all blobs"
            );
        }
        return Ok(BlobSource { folder, beacon: None });
    };
    let beacon = Beacon::new(&url, BEACON_TIMEOUT)
        .context("--beacon-url is not an address to connect to")?;
    let ids = beacon.block_ids().await?;
    Ok(BlobSource { folder, beacon: Some((beacon, ids)) })
}

/// The state as it was left, or the genesis.
async fn open(
    options: &RebuildOptions,
    rollup: &Rollup,
    state: &RebuiltState,
) -> anyhow::Result<Rebuild> {
    let record = &rollup.record;
    let name = format!("{}:{}", record.l1_chain_id, record.rollup_core);
    if let Some((of, reached)) = state.reached().await? {
        if of != name {
            bail!(
                "{} holds the state of the rollup {of}, not of {name}",
                options.data_dir.display()
            );
        }
        print::line(format_args!("state        is there up to block {}", reached.block_number))?;
        return Ok(Rebuild::resume(state.clone(), name, reached));
    }
    let genesis = rollup.l1.genesis(record.rollup_core, record.l1_block).await?;
    if genesis.block_number != 0 {
        bail!(
            "the contract began with the state after block {}, which is not on L1",
            genesis.block_number
        );
    }
    let allocated = allocate(&genesis_section(options)?).await?;
    let diff = &allocated.state_diff;
    let rebuild = Rebuild::begin(state.clone(), name, diff, &genesis, record.l1_block).await?;
    print::line(format_args!(
        "genesis      {:#x}, equal to the root that the contract was deployed with",
        genesis.root
    ))?;
    Ok(rebuild)
}

fn genesis_section(options: &RebuildOptions) -> anyhow::Result<GenesisSection> {
    if let Some(file) = &options.genesis {
        let args = ConfigArgs { config: Some(file.clone()), set: Vec::new(), print_config: false };
        return Ok(load::<SequencerConfig>(&args, &ProcessSource)?.service.genesis);
    }
    Ok(GenesisSection {
        classes_folder: artifacts::contracts_folder()?,
        accounts: options.accounts,
        seed: options.seed,
        ..GenesisSection::default()
    })
}

/// Applies every update up to L1's head, at which the contract must hold the state that was reached.
///
/// # Errors
/// When an update cannot be read or applied, or the contract holds another state.
pub async fn catch_up(
    rebuild: &mut Rebuild,
    rollup: &Rollup,
    source: &BlobSource,
) -> anyhow::Result<Applied> {
    let Rollup { record, l1 } = rollup;
    let head = l1.head().await?;
    let held = l1.held(record.rollup_core, head.hash).await?;
    let (mut progress, mut all) = (Progress::new(), Applied::default());
    for (from, to) in pages(rebuild.reached().l1_block, head.number) {
        for update in l1.updates(record.rollup_core, from, to).await? {
            let (_, last) = crate::verify::settled::blocks_of(&update);
            if last <= rebuild.reached().block_number {
                continue;
            }
            let blobs = source.blobs(l1, &update).await?;
            all += rebuild.apply(&update, &blobs).await?;
            progress.tell(format_args!(
                "block {last} of {}: {} updates, {} cells",
                held.block_number, all.updates, all.cells
            ))?;
        }
        progress.tell(format_args!("searching L1's block {to} of {}", head.number))?;
    }
    progress.clear()?;
    let reached = rebuild.reached();
    if (reached.block_number, reached.block_hash, reached.root().0)
        != (held.block_number, held.block_hash, held.root)
    {
        bail!(
            "the updates on L1 lead to block {} with the root {:#x}, and the contract holds block {} with {:#x}; \
             if L1 was reorganised, rebuild into another folder",
            reached.block_number,
            reached.root().0,
            held.block_number,
            held.root
        );
    }
    Ok(all)
}
