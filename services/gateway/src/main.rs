//! The gateway as a process.

fn main() -> std::process::ExitCode {
    sidereal_service::launch("gateway", sidereal_gateway::run)
}
