//! The settler as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidereal_service::launch("l1-settler", sidereal_l1_settler::run)
}
