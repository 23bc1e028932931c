//! Embeds the contracts as Forge compiled them: creation code, and the ABI that a test compares the checked-in one with.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

/// What is deployed. `CircuitVerifier` creates the last two by itself: they are here to be compared with.
const CONTRACTS: [&str; 4] =
    ["RollupCore", "CircuitVerifier", "CircuitConstraints", "CirclePoints"];

fn main() {
    println!("cargo::rerun-if-env-changed=SIDEREAL_CACHE");
    println!("cargo::rerun-if-changed=build.rs");
    for contract in CONTRACTS {
        let path = cache().join(format!("solidity/out/{contract}.sol/{contract}.json"));
        println!("cargo::rerun-if-changed={}", path.display());
        if let Err(error) = embed(contract, &path) {
            println!("cargo::error={contract} at {}: {error}; run scripts/setup", path.display());
            std::process::exit(1);
        }
    }
}

fn cache() -> PathBuf {
    match (env::var_os("SIDEREAL_CACHE"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache/sidereal"),
        (None, None) => PathBuf::from(".cache/sidereal"),
    }
}

fn embed(contract: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let artifact: Value = serde_json::from_slice(&fs::read(path)?)?;
    let bytecode = &artifact["bytecode"];
    // Our libraries' functions are internal, and so part of the contract that calls them.
    if bytecode["linkReferences"].as_object().is_none_or(|links| !links.is_empty()) {
        return Err("it must be linked with a library first, which nothing here does".into());
    }
    let code = bytecode["object"].as_str().ok_or("the artifact has no bytecode")?;
    let code = hex::decode(code.strip_prefix("0x").unwrap_or(code))?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    fs::write(out.join(format!("{contract}.bin")), code)?;
    fs::write(out.join(format!("{contract}.abi.json")), artifact["abi"].to_string())?;
    Ok(())
}
