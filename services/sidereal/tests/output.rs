//! Pins down that a command whose reader goes away ends quietly: no panic, no message, and an exit code that says so.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sidereal_chain_store::{ChainStore, ChainStoreLimits};
use sidereal_proof_store::ProofStoreConfig;
use sidereal_service::Shutdown;
use sidereal_service::admin::AdminConfig;

/// What a shell sees of a program that SIGPIPE ended.
const READER_GONE: i32 = 141;

fn sidereal(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidereal"));
    command.args(args).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// With a pipe that nobody reads.
fn unread(args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    sidereal(args).stdout(writer).output().unwrap()
}

fn ended_quietly(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(READER_GONE));
}

fn bundle() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transfer.bundle");
    file.display().to_string()
}

/// `sidereal verify --offline … | head -1`: what comes after the first line is not read. That it does not hold is not
/// said by this exit code, but neither is that it holds.
#[test]
fn verify_whose_reader_goes_away() {
    let args = ["verify", "--offline", &bundle()];
    ended_quietly(&unread(&args));

    let mut child = sidereal(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    assert!(first.starts_with("transaction 0x"), "{first}");
    drop(reader);
    ended_quietly(&child.wait_with_output().unwrap());

    let read = sidereal(&args).output().unwrap();
    assert!(read.status.success());
    assert!(String::from_utf8(read.stdout).unwrap().ends_with("verified: 5 links hold\n"));
}

/// A failure is still a failure, with a message.
#[test]
fn a_failure_is_said() {
    let mut child = sidereal(&["verify", "--offline", "/nowhere"]).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("cannot open /nowhere"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// `sidereal jobs list` against a proof store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_whose_reader_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut config = ProofStoreConfig { admin: AdminConfig::off(), ..ProofStoreConfig::default() };
    config.grpc.listen = free_address();
    config.http.listen = free_address();
    config.database.url = format!("sqlite://{}", path("proofs.db"));
    config.chain_store.url = format!("sqlite://{}", path("chain.db"));
    config.object_store.url = format!("file:{}", path("objects"));
    config.bus.url = format!("sqlite:{}", path("bus.db"));
    let url = format!("http://{}", config.grpc.listen);
    let chain = ChainStore::connect(&config.chain_store.url, ChainStoreLimits::default());
    let _chain = chain.await.unwrap();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(sidereal_proof_store::run(config, shutdown.clone()));
    tokio::task::spawn_blocking(move || {
        let args = ["jobs", "--proof-store", &url, "list"];
        let started = std::time::Instant::now();
        loop {
            let read = sidereal(&args).output().unwrap();
            if read.status.success() {
                assert_eq!(read.stdout, b"no jobs\n");
                break;
            }
            assert!(started.elapsed().as_secs() < 60, "{read:?}");
        }
        ended_quietly(&unread(&args));
    })
    .await
    .unwrap();
    shutdown.trigger();
    running.await.unwrap().unwrap();
}
