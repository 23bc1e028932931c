//! The program StarknetOS 0.13.5, embedded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cairo_vm::types::program::Program;
use serde::Deserialize;
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Pedersen, StarkHash};

/// Hash of the program as `cairo-hash-program` computes it (a Pedersen chain); it stands in Starknet's own
/// state updates on L1 for protocol version 0.13.5.
pub const PROGRAM_HASH: Felt =
    Felt::from_hex_unchecked("0x59ab9079877a6b3ea0dee995aa259b623ed3952bafaa39c47edc5c257efdc0c");

/// `scripts/build-starknet-os` made it; `build.rs` checked its bytecode.
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/starknet_os.json.zst"));

static PROGRAM: LazyLock<OsProgram> = LazyLock::new(OsProgram::load);

/// The program. The first call decodes it (some 0.1 s).
pub fn program() -> &'static OsProgram {
    &PROGRAM
}

/// The part of the compiled program that Cairo VM keeps to itself.
#[derive(Deserialize)]
struct HintList {
    /// By pc.
    hints: BTreeMap<String, Vec<ListedHint>>,
}

#[derive(Deserialize)]
struct ListedHint {
    code: String,
    accessible_scopes: Vec<String>,
}

/// The program and what is looked up in it.
pub struct OsProgram {
    cairo: Program,
    /// First pc to full name, for every function.
    functions: BTreeMap<usize, String>,
    /// Every distinct hint text, with the functions that have it.
    hints: BTreeMap<String, Vec<String>>,
}

impl OsProgram {
    fn load() -> Self {
        // build.rs decompressed and parsed these very bytes, so neither step can fail here.
        let json = zstd::decode_all(COMPRESSED).expect("checked by build.rs");
        let cairo = Program::from_bytes(&json, Some("main")).expect("checked by build.rs");
        let functions = cairo
            .iter_identifiers()
            .filter(|(_, identifier)| identifier.type_.as_deref() == Some("function"))
            .filter_map(|(name, identifier)| Some((identifier.pc?, name.to_owned())))
            .collect();
        let listed: HintList = serde_json::from_slice(&json).expect("checked by build.rs");
        let mut hints: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for hint in listed.hints.into_values().flatten() {
            let scope = hint.accessible_scopes.last().cloned().unwrap_or_default();
            let scopes = hints.entry(hint.code).or_default();
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        hints.values_mut().for_each(|scopes| scopes.sort());
        Self { cairo, functions, hints }
    }

    /// The program as Cairo VM runs it.
    pub fn cairo(&self) -> &Program {
        &self.cairo
    }

    /// Full name of the function that holds `pc` (an offset in the program's segment).
    pub fn function_at(&self, pc: usize) -> &str {
        self.functions.range(..=pc).next_back().map_or("?", |(_, name)| name)
    }

    /// Every distinct hint text, with the full names of the functions that have it.
    pub fn hints(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.hints.iter().map(|(text, scopes)| (text.as_str(), scopes.as_slice()))
    }

    /// The program hash, computed from the bytecode: a Pedersen chain over `[length, bootloader version 0,
    /// main, number of builtins, builtins, bytecode]` (`starkware/cairo/bootloaders/hash_program.py`).
    pub fn hash(&self) -> Felt {
        let main =
            self.cairo.get_identifier("__main__.main").and_then(|main| main.pc).unwrap_or_default();
        let mut chain = vec![Felt::ZERO, Felt::from(main), Felt::from(self.cairo.builtins_len())];
        chain.extend(
            self.cairo
                .iter_builtins()
                .map(|builtin| Felt::from_bytes_be_slice(builtin.to_str().as_bytes())),
        );
        chain.extend(self.cairo.iter_data().filter_map(|word| word.get_int()));
        chain.insert(0, Felt::from(chain.len()));
        chain
            .into_iter()
            .rev()
            .reduce(|hash, word| Pedersen::hash(&word, &hash))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The embedded program is the one that Starknet ran.
    #[test]
    fn has_the_pinned_hash() {
        assert_eq!(program().hash(), PROGRAM_HASH);
    }

    /// The numbers of FACTS: a change here means another compiler or another source tree.
    #[test]
    fn has_the_expected_shape() {
        assert_eq!(program().cairo().data_len(), 13_876);
        assert_eq!(program().hints().count(), 267);
        assert_eq!(program().function_at(13_671), "__main__.main");
    }
}
