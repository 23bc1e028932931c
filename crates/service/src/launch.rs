//! What a main does.

use std::pin::Pin;
use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use crate::Shutdown;
use crate::config::{ConfigArgs, Loaded, ProcessSource, ServiceConfig, load};
use crate::failure::error_chain;
use crate::telemetry;

/// The configuration is wrong; trying again without changing it is of no use (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;
/// The service failed (`EX_SOFTWARE` of sysexits.h).
pub const EXIT_SOFTWARE: u8 = 70;

/// A service that runs. Boxed where it is defined: a program that starts it then holds a call, and does not compile
/// the whole service a second time, as it would for an `async fn`.
pub type ServiceFuture<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// Runs a service as a process: command line, configuration, telemetry, `run`, drain.
///
/// Exit codes: 0 after a clean drain, [`EXIT_CONFIG`], [`EXIT_SOFTWARE`], 128 + signal when a second signal came.
pub fn launch<C, E>(name: &'static str, run: fn(C, Shutdown) -> ServiceFuture<E>) -> ExitCode
where
    C: ServiceConfig,
    E: std::error::Error + 'static,
{
    let matches = ConfigArgs::augment_args(Command::new(name).version(env!("CARGO_PKG_VERSION")))
        .get_matches();
    match ConfigArgs::from_arg_matches(&matches) {
        Ok(args) => launch_with(name, &args, run),
        Err(error) => error.exit(),
    }
}

/// The same for programs with a command line of their own.
pub fn launch_with<C, E>(
    name: &'static str,
    args: &ConfigArgs,
    run: fn(C, Shutdown) -> ServiceFuture<E>,
) -> ExitCode
where
    C: ServiceConfig,
    E: std::error::Error + 'static,
{
    let loaded: Loaded<C> = match load(args, &ProcessSource) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprint!("{name}: {error}");
            return EXIT_CONFIG.into();
        }
    };
    if args.print_config {
        return print(&loaded);
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(supervise(name, loaded, run)),
        Err(error) => {
            eprintln!("{name}: starting the runtime failed: {error}");
            EXIT_SOFTWARE.into()
        }
    }
}

async fn supervise<C, E>(
    name: &'static str,
    loaded: Loaded<C>,
    run: fn(C, Shutdown) -> ServiceFuture<E>,
) -> ExitCode
where
    E: std::error::Error + 'static,
{
    let _telemetry = match telemetry::init(name, &loaded.process.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("{name}: {}", error_chain(&error));
            return EXIT_SOFTWARE.into();
        }
    };
    let shutdown = match Shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            tracing::error!(%error, "watching for signals failed");
            return EXIT_SOFTWARE.into();
        }
    };
    tracing::info!(service = name, version = env!("CARGO_PKG_VERSION"), "starting");
    let deadline = loaded.process.shutdown.deadline();
    let mut running = run(loaded.service, shutdown.clone());
    let ended = tokio::select! {
        result = &mut running => Some(result),
        () = shutdown.triggered() => tokio::time::timeout(deadline, &mut running).await.ok(),
    };
    let mut code = match ended {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            tracing::error!(service = name, error = %error_chain(&error), "failed");
            EXIT_SOFTWARE.into()
        }
        None => {
            tracing::error!(
                service = name,
                deadline_ms = deadline.as_millis(),
                "did not end in time"
            );
            EXIT_SOFTWARE.into()
        }
    };
    // A failed service takes its background work with it.
    shutdown.trigger();
    if let Err(error) = shutdown.drained(deadline).await {
        tracing::error!(service = name, %error, "not drained in time");
        code = EXIT_SOFTWARE.into();
    }
    tracing::info!(service = name, "ended");
    code
}

fn print<C: ServiceConfig>(loaded: &Loaded<C>) -> ExitCode {
    match loaded.to_toml() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", error_chain(&error));
            EXIT_SOFTWARE.into()
        }
    }
}
