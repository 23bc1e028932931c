//! Where the set-up puts what is built outside cargo.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// `$SIDEREAL_CACHE`, or `.cache/sidereal` in the home folder.
fn cache_folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SIDEREAL_CACHE") {
        return Ok(PathBuf::from(folder));
    }
    let home = std::env::var_os("HOME")
        .context("neither SIDEREAL_CACHE nor HOME says where the set-up has put things")?;
    Ok(PathBuf::from(home).join(".cache/sidereal"))
}

/// Anvil: the one that the set-up installed, or one of the path.
pub fn anvil() -> anyhow::Result<PathBuf> {
    let installed = cache_folder()?.join("bin/anvil");
    Ok(if installed.exists() { installed } else { PathBuf::from("anvil") })
}

/// The folder with `<name>.sierra.json` and `<name>.casm.json` of this project's contracts.
pub fn contracts_folder() -> anyhow::Result<PathBuf> {
    let folder = cache_folder()?.join("contracts");
    if !folder.is_dir() {
        bail!("{} is missing; run scripts/setup, which compiles the contracts", folder.display());
    }
    Ok(folder)
}
