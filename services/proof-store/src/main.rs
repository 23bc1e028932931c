fn main() -> std::process::ExitCode {
    sidereal_service::launch("proof-store", sidereal_proof_store::run)
}
