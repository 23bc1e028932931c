//! Prints who runs each of StarknetOS' hints: `HINTS.md`. With `uncovered`: those that nobody runs, as
//! `ARCHITECTURE.md` has them.

fn main() {
    if std::env::args().nth(1).as_deref() == Some("uncovered") {
        print!("{}", sidereal_starknet_os::uncovered_hint_table());
    } else {
        print!("{}", sidereal_starknet_os::hint_coverage_table());
    }
}
