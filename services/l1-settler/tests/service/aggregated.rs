//! Two blocks of ten transfers as they were executed, proven and aggregated, which the contracts' own tests have too
//! (contracts/solidity/test/fixtures/aggregation): an update in which nothing stands in for anything.

use std::path::{Path, PathBuf};

use alloy::hex::FromHex;
use anyhow::Context as _;
use serde_json::Value;
use sidereal_os_aggregator::AggregatedOutput;
use sidereal_settlement::Update;
use starknet_types_core::felt::Felt;

/// Id of the chain that the blocks are of.
pub const CHAIN_ID: &str = "SIDEREAL_TEST";

/// The update, and what its proof says.
pub struct Aggregated {
    pub update: Update,
    pub statement: [u8; 32],
}

/// A folder of the contracts' tests.
pub fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/solidity/test").join(folder)
}

impl Aggregated {
    pub fn load() -> anyhow::Result<Self> {
        let folder = fixtures("fixtures/aggregation");
        let json: Value = serde_json::from_slice(&std::fs::read(folder.join("update.json"))?)?;
        let felts = |name: &str| -> anyhow::Result<Vec<Felt>> {
            let words = json[name].as_array().with_context(|| format!("there is no {name}"))?;
            words
                .iter()
                .map(|word| Ok(Felt::from_hex(word.as_str().unwrap_or_default())?))
                .collect()
        };
        let statement = json["statement"].as_str().context("there is no statement")?;
        Ok(Self {
            update: Update {
                output: AggregatedOutput::decode(&felts("output")?)?,
                data: felts("data")?,
                proof: std::fs::read(folder.join("proof.bin"))?.into(),
            },
            statement: FromHex::from_hex(statement)?,
        })
    }
}
