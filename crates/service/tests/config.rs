//! Pins down the loader: precedence of the sources, how text is read, and that everything wrong is reported at
//! once with where it came from.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sidereal_service::Secret;
use sidereal_service::auth::AuthConfig;
use sidereal_service::config::{
    ConfigArgs, ConfigError, Loaded, MemorySource, Problems, ServiceConfig, load,
};
use sidereal_service::grpc::ListenConfig;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TestConfig {
    grpc: ListenConfig,
    auth: AuthConfig,
    block: Block,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Block {
    time_ms: u64,
    limit: Option<u32>,
    names: Vec<String>,
    key: Option<Secret<String>>,
    nested: Nested,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            time_ms: 1_000,
            limit: None,
            names: Vec::new(),
            key: None,
            nested: Nested::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nested {
    open: bool,
    ratio: f64,
}

impl ServiceConfig for TestConfig {
    fn validate(&self, problems: &mut Problems) {
        self.grpc.validate("grpc", &self.auth, problems);
        self.auth.validate("auth", problems);
        problems.in_range("block", "time_ms", self.block.time_ms, 1..=60_000);
    }
}

fn source(variables: &[(&str, &str)], files: &[(&str, &str)]) -> MemorySource {
    MemorySource {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        files: files
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn args(file: Option<&str>, set: &[&str]) -> ConfigArgs {
    ConfigArgs {
        config: file.map(PathBuf::from),
        set: set.iter().map(|s| (*s).into()).collect(),
        print_config: false,
    }
}

fn reported(result: Result<Loaded<TestConfig>, ConfigError>) -> Vec<(String, String, String)> {
    result
        .unwrap_err()
        .problems
        .into_iter()
        .map(|problem| (problem.key, problem.message, problem.origin))
        .collect()
}

#[test]
fn later_sources_win_and_text_is_read_as_the_key_wants_it() {
    let loaded: Loaded<TestConfig> = load(
        &args(Some("c.toml"), &["block.time_ms=4", "block.names=a, b", "telemetry.log_format=json"]),
        &source(
            &[
                ("SIDEREAL_BLOCK_TIME_MS", "3"),
                ("SIDEREAL_BLOCK_LIMIT", "7"),
                ("SIDEREAL_BLOCK_NESTED_OPEN", "true"),
                ("SIDEREAL_CACHE", "belongs to a script"),
            ],
            &[("c.toml", "[block]\ntime_ms = 2\nlimit = 5\nnested.ratio = 0.5\n[shutdown]\ndeadline_ms = 9\n")],
        ),
    )
    .unwrap();
    assert_eq!(loaded.service.block.time_ms, 4);
    assert_eq!(loaded.service.block.limit, Some(7));
    assert_eq!(loaded.service.block.names, ["a", "b"]);
    assert!(loaded.service.block.nested.open);
    assert!((loaded.service.block.nested.ratio - 0.5).abs() < f64::EPSILON);
    assert_eq!(loaded.process.shutdown.deadline_ms, 9);
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_origin() {
    let problems = reported(load(
        &args(Some("c.toml"), &["block.nested.open=perhaps", "block", "block.tme_ms=3"]),
        &source(
            &[
                ("SIDEREAL_BLOCK_LIMIT", "-1"),
                ("SIDEREAL_BLOCK_LIMITS", "1"),
                ("SIDEREAL_TELEMETRY_LOG_FORMAT", "xml"),
            ],
            &[(
                "c.toml",
                "[block]\ntime_ms = 99999999\nnames = 3\n[other]\nx = 1\n[grpc]\nlisten = \"0.0.0.0:1\"\n",
            )],
        ),
    ));
    let seen: Vec<(&str, &str)> =
        problems.iter().map(|(key, _, origin)| (key.as_str(), origin.as_str())).collect();
    for expected in [
        ("block.names", "file c.toml"),
        ("other", "file c.toml"),
        ("block.limit", "environment variable SIDEREAL_BLOCK_LIMIT"),
        ("SIDEREAL_BLOCK_LIMITS", "environment"),
        ("telemetry.log_format", "environment variable SIDEREAL_TELEMETRY_LOG_FORMAT"),
        ("block.nested.open", "command line"),
        ("--set block", "command line"),
        ("block.tme_ms", "command line"),
        ("grpc.listen", "file c.toml"),
        ("block.time_ms", "file c.toml"),
    ] {
        assert!(seen.contains(&expected), "{expected:?} is missing in {problems:#?}");
    }
    assert_eq!(problems.len(), 10, "{problems:#?}");
    let (_, message, _) = problems.iter().find(|(key, ..)| key == "block.tme_ms").unwrap();
    assert!(message.contains("did you mean block.time_ms?"), "{message}");
}

#[test]
fn a_file_that_is_missing_or_broken_is_reported_without_its_content() {
    assert_eq!(reported(load(&args(Some("none.toml"), &[]), &source(&[], &[])))[0].0, "the file");
    let broken = source(
        &[("SIDEREAL_CONFIG", "c.toml")],
        &[("c.toml", "[auth]\ntoken = secret-without-quotes\n")],
    );
    let problems = reported(load(&args(None, &[]), &broken));
    assert!(problems[0].1.contains("line 2"), "{problems:?}");
    assert!(!format!("{problems:?}").contains("secret-without-quotes"));
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let source = source(
        &[("SIDEREAL_AUTH_TOKEN_FILE", "/run/token")],
        &[("/run/token", "correct-horse-battery\n"), ("/run/key", "k")],
    );
    let loaded: Loaded<TestConfig> =
        load(&args(None, &["block.key_file=/run/key"]), &source).unwrap();
    assert_eq!(loaded.service.auth.token.expose(), "correct-horse-battery");
    assert_eq!(loaded.service.block.key.as_ref().unwrap().expose(), "k");
    assert!(!format!("{loaded:?}").contains("correct-horse"));
    assert!(!toml::to_string(&loaded.service).unwrap().contains("correct-horse"));

    let short =
        reported(load(&args(None, &["auth.token=hunter2", "auth.token_file=/none"]), &source));
    assert!(
        short.iter().any(|(key, _, origin)| key == "auth.token" && origin.contains("command line")),
        "{short:?}"
    );
    assert!(short.iter().any(|(key, _, _)| key == "auth.token_file"), "{short:?}");
    assert!(!format!("{short:?}").contains("hunter2"));
}

/// What is printed has no password, in whatever key a URL is; everything else is what it was, and is read back.
#[test]
fn a_printed_configuration_has_no_passwords_and_is_read_back() {
    let read = |text: &str| -> Loaded<TestConfig> {
        load(&args(Some("c.toml"), &[]), &source(&[], &[("c.toml", text)])).unwrap()
    };
    let loaded = read(
        "[auth]\ntoken = \"correct-horse-battery\"\n\
         [block]\ntime_ms = 7\nlimit = 5\nkey = \"correct-horse\"\nnested.ratio = 0.5\n\
         names = [\"postgres://me:correct-horse@db:5432/chain\", \"nats://correct-horse@nats:4222\"]\n\
         [telemetry]\notlp_endpoint = \"http://me:correct-horse@otlp:4317\"\n",
    );
    let printed = loaded.to_toml().unwrap();
    assert!(!printed.contains("correct-horse"), "{printed}");
    for shown in ["postgres://***@db:5432/chain", "nats://***@nats:4222", "http://***@otlp:4317"] {
        assert!(printed.contains(&format!("\"{shown}\"")), "{shown} is missing in {printed}");
    }
    // Only what is printed changes.
    assert_eq!(loaded.service.block.names[1], "nats://correct-horse@nats:4222");

    let is_value = |line: &&str| !line.ends_with("\"[redacted]\"");
    let values: Vec<&str> = printed.lines().filter(is_value).collect();
    let again = read(&values.join("\n"));
    let Block { time_ms, limit, nested, .. } = &again.service.block;
    assert_eq!((*time_ms, *limit, nested.open), (7, Some(5), false));
    assert!((nested.ratio - 0.5).abs() < f64::EPSILON);
    assert_eq!(again.service.block.names, ["postgres://***@db:5432/chain", "nats://***@nats:4222"]);
}

#[test]
fn a_listener_for_others_needs_a_token() {
    let source = source(&[], &[]);
    let open = args(None, &["grpc.listen=0.0.0.0:0"]);
    assert_eq!(reported(load(&open, &source))[0].0, "grpc.listen");
    let guarded = args(None, &["grpc.listen=0.0.0.0:0", "auth.token=correct-horse-battery"]);
    assert!(load::<TestConfig>(&guarded, &source).is_ok());
}
