//! The sequencer as a process of its own.

fn main() -> std::process::ExitCode {
    sidereal_service::launch("sequencer", sidereal_sequencer::run)
}
