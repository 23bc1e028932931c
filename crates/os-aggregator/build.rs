//! Embeds the program that `scripts/build-os-aggregator` compiled, after checking that it is the pinned one.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};

/// SHA-256 over the program's bytecode, each felt as 32 big-endian bytes. The program hash itself (Blake2s) is checked
/// by a test; this is its cheap stand-in for every build.
const BYTECODE_SHA256: &str = "0bce22bffa3fca9c9c347d93b8cf5cf3b9ad1ca88f70b3eb9b1e00e9d878f840";

fn main() {
    println!("cargo::rerun-if-env-changed=SIDEREAL_CACHE");
    println!("cargo::rerun-if-changed=build.rs");
    let path = cache().join("os").join("os_aggregator.json.zst");
    println!("cargo::rerun-if-changed={}", path.display());
    if let Err(error) = embed(&path) {
        println!("cargo::error=the aggregator at {}: {error}; run scripts/setup", path.display());
        std::process::exit(1);
    }
}

fn cache() -> PathBuf {
    match (env::var_os("SIDEREAL_CACHE"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache/sidereal"),
        (None, None) => PathBuf::from(".cache/sidereal"),
    }
}

fn embed(path: &Path) -> Result<(), Box<dyn Error>> {
    let compressed = fs::read(path)?;
    let program: serde_json::Value = serde_json::from_slice(&zstd::decode_all(&compressed[..])?)?;
    let bytecode = program["data"].as_array().ok_or("the file has no bytecode")?;
    let mut hasher = Sha256::new();
    for word in bytecode {
        let digits = word.as_str().ok_or("a word of the bytecode is not a string")?;
        let digits =
            digits.strip_prefix("0x").ok_or("a word of the bytecode is not hexadecimal")?;
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes)?;
        hasher.update(bytes);
    }
    let found = hex::encode(hasher.finalize());
    if found != BYTECODE_SHA256 {
        return Err(format!("the bytecode has SHA-256 {found}, expected {BYTECODE_SHA256}").into());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    fs::write(out.join("os_aggregator.json.zst"), compressed)?;
    Ok(())
}
