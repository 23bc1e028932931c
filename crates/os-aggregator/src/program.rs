//! The program, embedded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cairo_vm::types::program::Program;
use starknet_types_core::felt::Felt;

/// Blake2s hash of the program, as the bootloader computes it: the settlement contract pins it.
pub const AGGREGATOR_BLAKE_HASH: Felt =
    Felt::from_hex_unchecked("0x5bd0e9cd546babaead4281f6b926c64410ec32098362f0538303ab9eee8245");

/// `scripts/build-os-aggregator` made it; `build.rs` checked its bytecode.
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/os_aggregator.json.zst"));

static PROGRAM: LazyLock<AggregatorProgram> = LazyLock::new(AggregatorProgram::load);

pub(crate) struct AggregatorProgram {
    pub(crate) cairo: Program,
    /// First pc to name, for every function.
    functions: BTreeMap<usize, String>,
}

impl AggregatorProgram {
    pub(crate) fn get() -> &'static Self {
        &PROGRAM
    }

    fn load() -> Self {
        // build.rs decompressed and parsed these very bytes, so neither step can fail here.
        let json = zstd::decode_all(COMPRESSED).expect("checked by build.rs");
        let cairo = Program::from_bytes(&json, Some("main")).expect("checked by build.rs");
        let functions = cairo
            .iter_identifiers()
            .filter(|(_, identifier)| identifier.type_.as_deref() == Some("function"))
            .filter_map(|(name, identifier)| Some((identifier.pc?, name.to_owned())))
            .collect();
        Self { cairo, functions }
    }

    /// Full name of the function that holds `pc` (an offset in the program's segment).
    pub(crate) fn function_at(&self, pc: usize) -> &str {
        self.functions.range(..=pc).next_back().map_or("?", |(_, name)| name)
    }
}

/// The program, as Cairo VM runs it.
pub fn program() -> &'static Program {
    &PROGRAM.cairo
}

#[cfg(test)]
mod tests {
    use sidereal_block_prover::{STARKNET_OS_BLAKE_HASH, task_program_hash};

    use super::*;

    /// The embedded program is the one that contracts know; another source gives another hash.
    #[test]
    fn has_the_pinned_hash() {
        let stripped = program().get_stripped_program().unwrap();
        assert_eq!(task_program_hash(&stripped).unwrap(), AGGREGATOR_BLAKE_HASH);
    }

    /// The program demands outputs of the StarknetOS whose proofs this project makes, and has the limits that the
    /// Rust side tells.
    #[test]
    fn has_the_constants_of_this_crate() {
        let constant = |name: &str| program().get_identifier(name).unwrap().value.unwrap();
        assert_eq!(constant("__main__.STARKNET_OS_BLAKE_HASH"), STARKNET_OS_BLAKE_HASH);
        assert_eq!(constant("__main__.MAX_BLOCKS"), Felt::from(crate::MAX_BLOCKS));
        let commitment = "starkware.starknet.core.os.data_availability.commitment";
        assert_eq!(constant(&format!("{commitment}.MAX_N_BLOBS")), Felt::from(crate::MAX_BLOBS));
        assert_eq!(
            constant(&format!("{commitment}.BLOB_LENGTH")),
            Felt::from(sidereal_starknet_os::BLOB_LENGTH)
        );
    }
}
