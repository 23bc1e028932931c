//! Prints who runs each of StarknetOS' hints, as the Markdown table of `ARCHITECTURE.md`.

use sidereal_starknet_os::{Coverage, hint_coverage};

fn main() {
    let coverage = hint_coverage();
    let count = |wanted: fn(&Coverage) -> bool| {
        coverage.iter().filter(|hint| wanted(&hint.coverage)).count()
    };
    println!(
        "{} hint texts: {} run by this project, {} by cairo-vm, {} unsupported.\n",
        coverage.len(),
        count(|coverage| matches!(coverage, Coverage::Ours(_))),
        count(|coverage| matches!(coverage, Coverage::CairoVm)),
        count(|coverage| matches!(coverage, Coverage::Unsupported)),
    );
    println!("| digest | functions | run by |\n| --- | --- | --- |");
    for hint in coverage {
        let functions: Vec<_> =
            hint.functions.iter().map(|name| format!("`{}`", short(name))).collect();
        let by = match hint.coverage {
            Coverage::Ours(name) => format!("`{name}`"),
            Coverage::CairoVm => "cairo-vm".to_owned(),
            Coverage::Unsupported => "**unsupported**".to_owned(),
        };
        println!("| {} | {} | {by} |", hint.digest, functions.join(", "));
    }
}

/// Module and function, without the packages around them.
fn short(name: &str) -> String {
    let parts: Vec<_> = name.rsplit('.').take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(".")
}
