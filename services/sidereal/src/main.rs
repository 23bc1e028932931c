//! The `sidereal` command: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sidereal::print::OutputError;
use sidereal::{CommandFuture, deploy_l1, dev, jobs, load, rebuild, verify};
use sidereal_service::config::ConfigArgs;
use sidereal_service::{EXIT_SOFTWARE, launch_with};

/// What a shell sees of a program that ended because nobody reads its output: 128 + SIGPIPE.
const EXIT_READER_GONE: u8 = 141;

/// A Starknet-compatible validity rollup on your own machines.
#[derive(Parser)]
#[command(name = "sidereal", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a whole chain in this process: embedded bus, SQLite, file system.
    Dev(dev::DevOptions),
    /// Sends transactions at a rate, and says what became of them.
    Load(load::LoadOptions),
    /// Walks the claims from a transaction to the proof of its block, and on to the contract on Ethereum.
    Verify(verify::VerifyOptions),
    /// Rebuilds the rollup's state from the genesis, and Ethereum's events and blobs alone, and checks its root.
    ///
    /// What L1 does not have is not rebuilt: transactions, events, and the code of classes, of which it has hashes.
    Rebuild(rebuild::RebuildOptions),
    /// Lists proving jobs, and puts parked ones back.
    Jobs(jobs::JobsOptions),
    /// Puts the contracts of a running rollup on L1.
    DeployL1(deploy_l1::DeployL1Options),
    /// Runs the gateway alone.
    Gateway(ConfigArgs),
    /// Runs the sequencer alone.
    Sequencer(ConfigArgs),
    /// Runs an executor alone.
    Executor(ConfigArgs),
    /// Runs a prover worker alone.
    ProverWorker(ConfigArgs),
    /// Runs the proof store alone.
    ProofStore(ConfigArgs),
    /// Runs the settler alone.
    L1Settler(ConfigArgs),
}

fn main() -> ExitCode {
    // The prover runs in a process of its own, which is this program again.
    if let Some(code) = sidereal_prover_worker::child::main_if_requested() {
        return code;
    }
    match Cli::parse().command {
        Command::Dev(options) => dev::main(options),
        Command::Load(options) => finish(load::command(options)),
        Command::Verify(options) => finish(verify::command(options)),
        Command::Rebuild(options) => finish(rebuild::command(options)),
        Command::Jobs(options) => finish(jobs::command(options)),
        Command::DeployL1(options) => finish(deploy_l1::command(options)),
        Command::Gateway(args) => launch_with("gateway", &args, sidereal_gateway::run),
        Command::Sequencer(args) => launch_with("sequencer", &args, sidereal_sequencer::run),
        Command::Executor(args) => launch_with("executor", &args, sidereal_executor::run),
        Command::ProverWorker(args) => {
            launch_with("prover-worker", &args, sidereal_prover_worker::run)
        }
        Command::ProofStore(args) => launch_with("proof-store", &args, sidereal_proof_store::run),
        Command::L1Settler(args) => launch_with("l1-settler", &args, sidereal_l1_settler::run),
    }
}

/// Runs a command of the operator; a failure is printed with its causes.
fn finish(command: CommandFuture) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sidereal: cannot start the runtime: {error}");
            return EXIT_SOFTWARE.into();
        }
    };
    match runtime.block_on(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref().is_some_and(OutputError::reader_is_gone) => {
            EXIT_READER_GONE.into()
        }
        Err(error) => {
            eprintln!("sidereal: {error:#}");
            ExitCode::FAILURE
        }
    }
}
