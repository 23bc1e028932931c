//! Pins down what commands say of jobs and of configurations, and that one whose reader goes away ends quietly: no
//! panic, no message, and an exit code that says so.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidereal_bus::{Bus, Headers, JobState, NewJob};
use sidereal_chain_store::{ChainStore, ChainStoreLimits};
use sidereal_proof_store::{ProofStoreConfig, ProofStoreError};
use sidereal_proto::PROVING_QUEUE;
use sidereal_service::Shutdown;
use sidereal_service::admin::AdminConfig;
use tempfile::TempDir;
use tokio::task::{JoinHandle, spawn_blocking};

/// What a shell sees of a program that SIGPIPE ended.
const READER_GONE: i32 = 141;
/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(60);

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

/// A running proof store over empty stores.
struct ProofStore {
    url: String,
    bus: Arc<dyn Bus>,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), ProofStoreError>>,
    _chain: ChainStore,
    _folder: TempDir,
}

impl ProofStore {
    /// Starts it, and waits until it answers.
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config =
            ProofStoreConfig { admin: AdminConfig::off(), ..ProofStoreConfig::default() };
        config.grpc.listen = free_address();
        config.http.listen = free_address();
        config.database.url = format!("sqlite://{}", path("proofs.db"));
        config.chain_store.url = format!("sqlite://{}", path("chain.db"));
        config.object_store.url = format!("file:{}", path("objects"));
        config.bus.url = format!("sqlite:{}", path("bus.db"));
        let url = format!("http://{}", config.grpc.listen);
        let chain = ChainStore::connect(&config.chain_store.url, ChainStoreLimits::default());
        let chain = chain.await.unwrap();
        let bus = sidereal_bus::open(&config.bus).await.unwrap();
        let shutdown = Shutdown::new();
        let running = tokio::spawn(sidereal_proof_store::run(config, shutdown.clone()));
        let asked = url.clone();
        spawn_blocking(move || {
            let started = Instant::now();
            loop {
                let read = jobs(&asked, &["list"]);
                if read.status.success() {
                    assert_eq!(read.stdout, b"no jobs\n");
                    return;
                }
                assert!(started.elapsed() < SOON, "{read:?}");
            }
        })
        .await
        .unwrap();
        Self { url, bus, shutdown, running, _chain: chain, _folder: folder }
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.unwrap().unwrap();
    }
}

/// `sidereal jobs` against the proof store at `url`.
fn jobs(url: &str, command: &[&str]) -> Output {
    sidereal(&[&["jobs", "--proof-store", url][..], command].concat()).output().unwrap()
}

/// `sidereal jobs list` against a proof store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_whose_reader_goes_away() {
    let store = ProofStore::start().await;
    let url = store.url.clone();
    spawn_blocking(move || ended_quietly(&unread(&["jobs", "--proof-store", &url, "list"])))
        .await
        .unwrap();
    store.stop().await;
}

/// A parked job is listed with its cause. Put back, it waits as if it had never failed; one that is not parked, or was
/// never there, is not put back, and the failure names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_job_is_listed_and_put_back() {
    const ID: &str = "00b10c07";
    // `ProofJob { block: ProveBlock { block_number: 7 } }` in protobuf.
    const BLOCK_7: [u8; 4] = [0x0a, 2, 0x08, 7];
    let store = ProofStore::start().await;
    let job = NewJob {
        queue: PROVING_QUEUE.to_owned(),
        job_id: ID.to_owned(),
        payload: BLOCK_7.to_vec().into(),
        headers: Headers::new(),
    };
    store.bus.enqueue(job).await.unwrap();
    let lease = store.bus.pull(PROVING_QUEUE, SOON).await.unwrap().unwrap();
    lease.fail("the witness is gone").await.unwrap();

    let url = store.url.clone();
    spawn_blocking(move || {
        let said = |command: &[&str]| {
            let output = jobs(&url, command);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let parked =
            format!("block 7      parked   deliveries 1  {ID}\n    cause: the witness is gone\n");
        assert_eq!(said(&["list"]), parked);
        assert_eq!(said(&["list", "--state", "parked"]), parked);
        assert_eq!(said(&["list", "--state", "queued"]), "no jobs\n");

        let queued = format!("block 7      queued   deliveries 0  {ID}\n");
        assert_eq!(said(&["requeue", ID]), queued);
        assert_eq!(said(&["list"]), queued);
        assert_eq!(said(&["list", "--state", "parked"]), "no jobs\n");

        for id in [ID, "00b10c08"] {
            let refused = jobs(&url, &["requeue", id]);
            assert_eq!((refused.status.code(), refused.stdout), (Some(1), Vec::new()));
            let complaint = String::from_utf8(refused.stderr).unwrap();
            assert!(complaint.starts_with(&format!("sidereal: cannot requeue job {id}: ")));
            assert!(complaint.contains(&format!("no such job {id}")), "{complaint}");
        }
        assert_eq!(said(&["list"]), queued);
    })
    .await
    .unwrap();
    let record = store.bus.job(PROVING_QUEUE, ID).await.unwrap().unwrap();
    assert!(matches!(record.state, JobState::Waiting { not_before: None }), "{record:?}");
    store.stop().await;
}

/// `--print-config` of a service.
fn print_config(service: &str, options: &[&str]) -> String {
    let command = [&[service, "--print-config"][..], options].concat();
    let output = sidereal(&command).output().unwrap();
    assert!(output.status.success(), "{service}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|setting| ["--set", *setting]).collect()
}

/// No service's configuration is printed with a password in it, whichever key holds it. What is printed is read back as
/// the same configuration, once the secrets are given again.
#[test]
fn a_printed_configuration_has_no_passwords_and_is_read_back() {
    const PASSWORD: &str = "correct-horse";
    const CHAIN: &str = "chain_store.url=postgres://me:correct-horse@db.example:5432/chain";
    const DATABASE: &str = "database.url=postgres://me:correct-horse@db.example:5432/own";
    const BUS: &str = "bus.url=nats://me:correct-horse@nats.example:4222";
    const CONTRACT: &str = "l1.rollup_core=0x1111111111111111111111111111111111111111";
    const L1: &str = "l1.url=https://l1.example/correct-horse";
    const KEY: &str = "account.private_key=correct-horse";
    // Each with what is shown, but for the password, and with secrets, which are not.
    let services: [(&str, &[&str], &[&str]); 6] = [
        ("gateway", &[CHAIN], &[]),
        ("sequencer", &[CHAIN, BUS], &[]),
        ("executor", &[CHAIN], &[]),
        ("prover-worker", &[BUS], &[]),
        ("proof-store", &[DATABASE, CHAIN, BUS], &[]),
        ("l1-settler", &[DATABASE, CONTRACT], &[L1, KEY]),
    ];
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("printed.toml");
    for (service, settings, secrets) in services {
        let printed = print_config(service, &set(&[settings, secrets].concat()));
        assert!(!printed.contains(PASSWORD), "{service}: {printed}");
        for setting in settings {
            let (_, value) = setting.split_once('=').unwrap();
            let shown = format!("\"{}\"", value.replace("me:correct-horse@", "***@"));
            assert!(printed.contains(&shown), "{service}: {shown} is missing in {printed}");
        }

        let is_value = |line: &&str| !line.ends_with("\"[redacted]\"");
        let values: Vec<&str> = printed.lines().filter(is_value).collect();
        std::fs::write(&file, values.join("\n")).unwrap();
        let config = ["--config", file.to_str().unwrap()];
        let again = print_config(service, &[&config[..], &set(secrets)[..]].concat());
        assert_eq!(again, printed, "{service}");
    }
}
