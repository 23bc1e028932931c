//! Contract classes.

use serde::{Deserialize, Serialize};
use starknet_api::core::{ClassHash, EntryPointSelector};
use starknet_api::rpc_transaction::EntryPointByType;
use starknet_api::state::{EntryPoint, FunctionIndex, SierraContractClass};

use super::number::FeltHex;

/// `CONTRACT_CLASS`: a Sierra class, as it is declared and as it is read back.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SierraClass {
    pub sierra_program: Vec<FeltHex>,
    pub contract_class_version: String,
    pub entry_points_by_type: EntryPointsByType,
    /// As the declaring account gave it: it goes into the class hash byte by byte.
    #[serde(default)]
    pub abi: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EntryPointsByType {
    #[serde(rename = "CONSTRUCTOR")]
    pub constructor: Vec<SierraEntryPoint>,
    #[serde(rename = "EXTERNAL")]
    pub external: Vec<SierraEntryPoint>,
    #[serde(rename = "L1_HANDLER")]
    pub l1_handler: Vec<SierraEntryPoint>,
}

/// `SIERRA_ENTRY_POINT`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct SierraEntryPoint {
    pub selector: FeltHex,
    pub function_idx: usize,
}

fn to_api(points: &[SierraEntryPoint]) -> Vec<EntryPoint> {
    points
        .iter()
        .map(|point| EntryPoint {
            function_idx: FunctionIndex(point.function_idx),
            selector: EntryPointSelector(point.selector.0),
        })
        .collect()
}

fn from_api(points: &[EntryPoint]) -> Vec<SierraEntryPoint> {
    points
        .iter()
        .map(|point| SierraEntryPoint {
            selector: FeltHex(point.selector.0),
            function_idx: point.function_idx.0,
        })
        .collect()
}

impl SierraClass {
    /// Starknet's own type.
    pub fn to_contract_class(&self) -> SierraContractClass {
        SierraContractClass {
            sierra_program: super::number::felts(&self.sierra_program),
            contract_class_version: self.contract_class_version.clone(),
            entry_points_by_type: EntryPointByType {
                constructor: to_api(&self.entry_points_by_type.constructor),
                external: to_api(&self.entry_points_by_type.external),
                l1handler: to_api(&self.entry_points_by_type.l1_handler),
            },
            abi: self.abi.clone(),
        }
    }

    /// The class hash. Costs one Poseidon hash over the whole program: not for an async thread.
    pub fn class_hash(&self) -> ClassHash {
        self.to_contract_class().calculate_class_hash()
    }
}

impl From<&SierraContractClass> for SierraClass {
    fn from(class: &SierraContractClass) -> Self {
        Self {
            sierra_program: super::number::hexes(&class.sierra_program),
            contract_class_version: class.contract_class_version.clone(),
            entry_points_by_type: EntryPointsByType {
                constructor: from_api(&class.entry_points_by_type.constructor),
                external: from_api(&class.entry_points_by_type.external),
                l1_handler: from_api(&class.entry_points_by_type.l1handler),
            },
            abi: class.abi.clone(),
        }
    }
}
