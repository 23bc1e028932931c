//! Where `scripts/setup --tests` puts things, and where cargo puts the binary under test.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// `$SIDEREAL_CACHE`, or `.cache/sidereal` in the home folder.
pub fn cache() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SIDEREAL_CACHE") {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither SIDEREAL_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/sidereal"))
}

fn existing(path: PathBuf, hint: &str) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(path.exists(), "{} is missing: {hint}", path.display());
    Ok(path)
}

/// The `sidereal` binary of the same build as this test.
pub fn sidereal() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("finding this test's own binary")?;
    // <target>/<profile>/deps/<test>
    let profile =
        test.parent().and_then(Path::parent).context("the test is not in cargo's target folder")?;
    existing(profile.join("sidereal"), "run `cargo build -p sidereal` first")
}

/// The compiled contracts.
pub fn contracts() -> anyhow::Result<PathBuf> {
    existing(cache()?.join("contracts"), "run scripts/setup")
}

/// Anvil.
pub fn anvil() -> anyhow::Result<PathBuf> {
    existing(cache()?.join("bin/anvil"), "run scripts/setup")
}

/// Node.js.
pub fn node() -> anyhow::Result<PathBuf> {
    existing(cache()?.join("node/node_modules/node/bin/node"), "run scripts/setup --tests")
}

/// The Python that has starknet.py.
pub fn python() -> anyhow::Result<PathBuf> {
    existing(cache()?.join("venv-tests/bin/python"), "run scripts/setup --tests")
}

/// A file of this folder: a driver, or the specification.
pub fn own(path: &str) -> anyhow::Result<PathBuf> {
    existing(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), "the checkout is not whole")
}
