//! The executor as a process of its own.

fn main() -> std::process::ExitCode {
    sidereal_service::launch("executor", sidereal_executor::run)
}
