//! The prover-worker as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The worker starts this program again for the proving itself.
    if let Some(code) = sidereal_prover_worker::child::main_if_requested() {
        return code;
    }
    sidereal_service::launch("prover-worker", sidereal_prover_worker::run)
}
