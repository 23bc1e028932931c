//! The rollup on Ethereum, for commands that verify against it: found by the record of its deployment.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sidereal_l1_settler::{DeploymentRecord, L1};
use sidereal_service::Secret;

/// Where `sidereal dev` leaves the record of its deployment.
pub const DEFAULT_RECORD: &str = "sidereal-data/l1.json";
/// Blocks of L1 that are searched at once; nodes bound it.
const PAGE_BLOCKS: u64 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A rollup on Ethereum, and a node to read it with.
#[derive(Clone, Debug)]
pub struct Rollup {
    pub record: DeploymentRecord,
    pub l1: L1,
}

impl Rollup {
    /// Reads the record, and connects to the node of `url`, or else of the record.
    pub async fn open(file: &Path, url: Option<&Secret<String>>) -> anyhow::Result<Self> {
        let Some(record) = DeploymentRecord::read(file)? else {
            bail!(
                "{} does not exist; `sidereal dev` and `sidereal deploy-l1` write such a record of the contracts",
                file.display()
            );
        };
        let given = url.cloned().or_else(|| record.l1_url.clone().map(Secret::new));
        let url = given.with_context(|| {
            format!("{} names no node of Ethereum; give --l1-url", file.display())
        })?;
        let l1 = L1::new(&url, TIMEOUT).context("--l1-url is not an address to connect to")?;
        let chain_id = l1.chain_id().await?;
        if chain_id != record.l1_chain_id {
            bail!(
                "the node of L1 is of chain {chain_id}; the rollup is on chain {}",
                record.l1_chain_id
            );
        }
        Ok(Self { record, l1 })
    }
}

/// A URL that may hold a key.
pub fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// The blocks `from` to `to` of L1 in ranges of as many as can be searched at once, both ends included.
pub fn pages(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let first = next.filter(|first| *first <= to)?;
        let last = first.saturating_add(PAGE_BLOCKS - 1).min(to);
        next = last.checked_add(1);
        Some((first, last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that the pages are all of the blocks, once.
    #[test]
    fn pages_cover_the_range() {
        let covered = |from, to| pages(from, to).collect::<Vec<_>>();
        assert_eq!(covered(5, 4), []);
        assert_eq!(covered(5, 5), [(5, 5)]);
        assert_eq!(covered(0, 19_999), [(0, 9_999), (10_000, 19_999)]);
        assert_eq!(covered(7, 10_007), [(7, 10_006), (10_007, 10_007)]);
        assert_eq!(covered(u64::MAX, u64::MAX), [(u64::MAX, u64::MAX)]);
    }
}
