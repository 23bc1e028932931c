//! Embeds the contracts as Forge compiled them: creation code, and the ABI that a test compares the checked-in one with.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What is deployed, and SHA-256 of its creation code: what lies in the cache may be older than the sources.
/// `CircuitVerifier` creates the last two by itself: they are here to be compared with.
const CONTRACTS: [(&str, &str); 4] = [
    ("RollupCore", "6f962acb5534e79a024228bac8846f5793ad44c26592b6fd784313459dbe4f03"),
    ("CircuitVerifier", "f32c5e82a643309360c4720fa7ce6c81b92f6b1eea0036612ed968eb4598ec80"),
    ("CircuitConstraints", "d2ed10639f1b07811c6f9272753c23e940b6ec2533e289007d8b506e3a2386ef"),
    ("CirclePoints", "784d5f37df8f7e20fec8c485e77cde81715149a39e496821c4f0e640a455b335"),
];

fn main() {
    println!("cargo::rerun-if-env-changed=SIDEREAL_CACHE");
    println!("cargo::rerun-if-changed=build.rs");
    for (contract, sha256) in CONTRACTS {
        let path = cache().join(format!("solidity/out/{contract}.sol/{contract}.json"));
        println!("cargo::rerun-if-changed={}", path.display());
        if let Err(error) = embed(contract, sha256, &path) {
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

fn embed(contract: &str, sha256: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let artifact: Value = serde_json::from_slice(&fs::read(path)?)?;
    let bytecode = &artifact["bytecode"];
    // Our libraries' functions are internal, and so part of the contract that calls them.
    if bytecode["linkReferences"].as_object().is_none_or(|links| !links.is_empty()) {
        return Err("it must be linked with a library first, which nothing here does".into());
    }
    let code = bytecode["object"].as_str().ok_or("the artifact has no bytecode")?;
    let code = hex::decode(code.strip_prefix("0x").unwrap_or(code))?;
    let found = hex::encode(Sha256::digest(&code));
    if found != sha256 {
        let pinned = "after a change of the contracts, pin its code in crates/settlement/build.rs";
        return Err(format!("the code has SHA-256 {found}, expected {sha256}: {pinned}").into());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    fs::write(out.join(format!("{contract}.bin")), code)?;
    fs::write(out.join(format!("{contract}.abi.json")), artifact["abi"].to_string())?;
    Ok(())
}
