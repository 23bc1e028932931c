//! Prints who runs each of StarknetOS' hints: `HINTS.md`.

fn main() {
    print!("{}", sidereal_starknet_os::hint_coverage_table());
}
