//! The hints of the OS, by the digest of their text.
//!
//! A hint is keyed by the first 16 hex digits of the SHA-256 of its Python text in the compiled program; the
//! texts themselves are not in this repository. Each module below holds the hints of one part of the OS and a
//! table of them. What is in no table falls back to cairo-vm's own hints, most of the common library.

mod aliases;
mod block;
mod builtins;
mod calls;
mod common;
mod compiled_class;
mod compression;
mod context;
mod kzg;
mod output;
mod patricia;
mod revert;
mod secp;
mod state;
mod storage;
mod syscalls;
mod transactions;
mod update_tree;

use std::collections::HashMap;

use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::{
    BuiltinHintProcessor, HintProcessorData,
};
use cairo_vm::hint_processor::hint_processor_definition::HintProcessorLogic;
use cairo_vm::types::exec_scope::ExecutionScopes;
use cairo_vm::vm::errors::hint_errors::HintError;
use cairo_vm::vm::vm_core::VirtualMachine;
use sha2::{Digest, Sha256};

pub(crate) use compiled_class::BytecodeNode;
pub(crate) use context::HintContext;
pub use kzg::KzgHint;

use crate::error::HintFailure;
use crate::program::{OsProgram, program};

/// What every hint returns.
pub(crate) type HintResult = Result<(), HintFailure>;

/// One hint of the OS.
pub(crate) struct Hint {
    /// First 16 hex digits of the SHA-256 of the hint's text.
    digest: &'static str,
    /// Our name of it.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) run: fn(&mut HintContext<'_, '_>) -> HintResult,
}

impl Hint {
    const fn new(
        digest: &'static str,
        name: &'static str,
        run: fn(&mut HintContext<'_, '_>) -> HintResult,
    ) -> Self {
        Self { digest, name, run }
    }
}

/// All tables.
fn tables() -> impl Iterator<Item = &'static Hint> {
    [
        aliases::HINTS,
        block::HINTS,
        builtins::HINTS,
        calls::HINTS,
        common::HINTS,
        compiled_class::HINTS,
        compression::HINTS,
        kzg::HINTS,
        output::HINTS,
        patricia::HINTS,
        revert::HINTS,
        secp::HINTS,
        state::HINTS,
        storage::HINTS,
        syscalls::HINTS,
        transactions::HINTS,
    ]
    .into_iter()
    .flatten()
}

fn digest(text: &str) -> String {
    let mut digest = hex::encode(Sha256::digest(text));
    digest.truncate(16);
    digest
}

/// Our hints by the text that the program has for them.
pub(crate) fn hints_by_text(program: &'static OsProgram) -> HashMap<&'static str, &'static Hint> {
    let by_digest: HashMap<&str, &'static Hint> =
        tables().map(|hint| (hint.digest, hint)).collect();
    program
        .hints()
        .filter_map(|(text, _)| Some((text, *by_digest.get(digest(text).as_str())?)))
        .collect()
}

/// Who runs a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// This crate, under this name.
    Ours(&'static str),
    /// cairo-vm's own hint processor.
    CairoVm,
    /// Nobody: a run that gets there fails with an error that names the hint.
    Unsupported,
}

/// One distinct hint text of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintCoverage {
    /// First 16 hex digits of the SHA-256 of the text.
    pub digest: String,
    /// Full names of the functions that have the hint.
    pub functions: Vec<String>,
    /// Who runs it.
    pub coverage: Coverage,
}

/// All distinct hint texts of the program, ordered by function and digest, and who runs them.
pub fn hint_coverage() -> Vec<HintCoverage> {
    let ours = hints_by_text(program());
    let mut coverage: Vec<_> = program()
        .hints()
        .map(|(text, functions)| HintCoverage {
            digest: digest(text),
            functions: functions.to_vec(),
            coverage: match ours.get(text) {
                Some(hint) => Coverage::Ours(hint.name),
                None if cairo_vm_knows(text) => Coverage::CairoVm,
                None => Coverage::Unsupported,
            },
        })
        .collect();
    coverage.sort_by(|a, b| (&a.functions, &a.digest).cmp(&(&b.functions, &b.digest)));
    coverage
}

/// [`hint_coverage`] as a Markdown table: the text of `HINTS.md` beside this crate's manifest.
pub fn hint_coverage_table() -> String {
    let coverage = hint_coverage();
    let count = |wanted: fn(&Coverage) -> bool| {
        coverage.iter().filter(|hint| wanted(&hint.coverage)).count()
    };
    let mut table = format!(
        "# The hints of StarknetOS 0.13.5\n\n\
         Of {} distinct hint texts {} are run by this crate, {} by cairo-vm, and {} by nobody: those belong to \
         contracts of Cairo 0 and to L1 handlers, and a run that gets there fails with an error that names the \
         hint. A test compares this list with the program.\n\n\
         | digest of the text | functions | run by |\n| --- | --- | --- |\n",
        coverage.len(),
        count(|coverage| matches!(coverage, Coverage::Ours(_))),
        count(|coverage| matches!(coverage, Coverage::CairoVm)),
        count(|coverage| matches!(coverage, Coverage::Unsupported)),
    );
    for hint in coverage {
        let functions: Vec<String> =
            hint.functions.iter().map(|name| format!("`{}`", short_name(name))).collect();
        let by = match hint.coverage {
            Coverage::Ours(name) => format!("`{name}`"),
            Coverage::CairoVm => "cairo-vm".to_owned(),
            Coverage::Unsupported => "nobody".to_owned(),
        };
        table.push_str(&format!("| {} | {} | {by} |\n", hint.digest, functions.join(", ")));
    }
    table
}

/// The hints that nobody runs, as a Markdown table, with the reason why no transaction leads there: a part of the
/// repository's `ARCHITECTURE.md`.
pub fn uncovered_hint_table() -> String {
    let mut table =
        "| digest of the text | function | why no transaction reaches it |\n| --- | --- | --- |\n"
            .to_owned();
    for hint in hint_coverage() {
        if hint.coverage != Coverage::Unsupported {
            continue;
        }
        let functions: Vec<String> =
            hint.functions.iter().map(|name| format!("`{}`", short_name(name))).collect();
        let why = hint.functions.iter().map(|name| unreachable_because(name)).max();
        table.push_str(&format!(
            "| {} | {} | {} |\n",
            hint.digest,
            functions.join(", "),
            why.flatten().unwrap_or("unknown"),
        ));
    }
    table
}

/// Why no transaction of version 3 leads into a function of the OS; none where one does.
fn unreachable_because(function: &str) -> Option<&'static str> {
    if function.ends_with(".execute_l1_handler_transaction") {
        Some("the sequencer takes no messages from L1")
    } else if function.contains(".deprecated_compiled_class.") {
        Some(
            "loads classes of Cairo 0: a declare of version 3 carries Sierra, and genesis has none",
        )
    } else if function.contains(".deprecated_execute_") {
        Some("runs contracts of Cairo 0: no class of one can be declared, so none is deployed")
    } else {
        None
    }
}

/// Module and function, without the packages around them.
fn short_name(name: &str) -> String {
    let mut parts: Vec<&str> = name.rsplit('.').take(2).collect();
    parts.reverse();
    parts.join(".")
}

/// cairo-vm offers no list of its hints; but on an empty machine a hint that it knows fails in another way
/// than one that it does not know.
fn cairo_vm_knows(text: &str) -> bool {
    let data = HintProcessorData::new_default(text.to_owned(), HashMap::new());
    let result = BuiltinHintProcessor::new_empty().execute_hint(
        &mut VirtualMachine::new(false, false),
        &mut ExecutionScopes::new(),
        &(Box::new(data) as Box<dyn std::any::Any>),
    );
    !matches!(result, Err(HintError::UnknownHint(_)))
}

/// The name that errors give a hint which is in no table: the digest, and the first line that does something.
pub(crate) fn unknown_name(text: &str) -> String {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("from "))
        .unwrap_or_default();
    let words: String = first.chars().take(60).collect();
    format!("{} {words}", digest(text))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every row of every table belongs to a hint of the program, and to one only.
    #[test]
    fn every_digest_is_in_the_program_once() {
        let texts: HashSet<String> = program().hints().map(|(text, _)| digest(text)).collect();
        let mut seen = HashSet::new();
        for hint in tables() {
            assert!(
                texts.contains(hint.digest),
                "{} ({}) is not in the program",
                hint.digest,
                hint.name
            );
            assert!(
                seen.insert(hint.digest),
                "{} ({}) is twice in the tables",
                hint.digest,
                hint.name
            );
        }
    }

    /// The list beside the manifest is that of the tables. To write it anew:
    /// `cargo run -p sidereal-starknet-os --example hint_coverage > crates/starknet-os/HINTS.md`.
    #[test]
    fn the_list_is_up_to_date() {
        assert_eq!(include_str!("../HINTS.md"), hint_coverage_table());
    }

    /// The architecture page has the hints that nobody runs. To write them anew:
    /// `cargo run -p sidereal-starknet-os --example hint_coverage uncovered`.
    #[test]
    fn the_uncovered_ones_are_in_the_architecture_page() {
        let table = uncovered_hint_table();
        assert!(include_str!("../../../ARCHITECTURE.md").contains(&table), "it lacks\n{table}");
    }

    /// What Cairo 1 contracts can reach by transactions of version 3 is covered: the rest is contracts of
    /// Cairo 0 and L1 handlers.
    #[test]
    fn only_cairo_0_and_l1_handlers_are_unsupported() {
        let unsupported: Vec<_> = hint_coverage()
            .into_iter()
            .filter(|hint| hint.coverage == Coverage::Unsupported)
            .filter(|hint| hint.functions.iter().any(|name| unreachable_because(name).is_none()))
            .collect();
        assert!(unsupported.is_empty(), "{unsupported:#?}");
    }
}
