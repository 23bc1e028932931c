//! Configuration: one serde struct a service, made of sections; one loader for all of them.
//!
//! Sources in rising precedence: the struct's [`Default`], a TOML file (`--config FILE` or `SIDEREAL_CONFIG`), the
//! environment (`SIDEREAL_<SECTION>_<KEY>`), the command line (`--set section.key=value`). Values that come as text
//! are read as the type of the key wants them; lists may be divided by commas. A key `x` that is a secret or is
//! unset by default may be given as `x_file`, the name of a file that holds it.
//!
//! Everything that is wrong is reported at once, each with where it came from. Sections are structs of
//! `#[serde(default)]` whose names hold the units (`timeout_ms`); a section that is an enum with data, or a map,
//! is not supported, because the loader knows the keys from the serialised default.

mod loader;
mod printed;
mod source;

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use loader::{ConfigError, Loaded, Problem, load};
pub use printed::PrintError;
pub use source::{ConfigArgs, MemorySource, ProcessSource, Source};

use crate::secret::hide_passwords;
use crate::telemetry::TelemetryConfig;

/// A service's configuration.
pub trait ServiceConfig: Default + Serialize + DeserializeOwned {
    /// Says everything that is wrong with the values. No I/O: a file that is missing is a failure of the start.
    fn validate(&self, problems: &mut Problems);
}

/// What belongs to the process and not to a service in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// How the process ends.
    pub shutdown: ShutdownConfig,
}

/// The `shutdown` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// How long work in hand may take to end.
    pub deadline_ms: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { deadline_ms: 30_000 }
    }
}

impl ShutdownConfig {
    /// How long work in hand may take to end.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

impl ServiceConfig for ProcessConfig {
    fn validate(&self, problems: &mut Problems) {
        self.telemetry.validate("telemetry", problems);
        problems.in_range("shutdown", "deadline_ms", self.shutdown.deadline_ms, 0..=3_600_000);
    }
}

/// Collects what is wrong with the values of a configuration.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<(String, String)>,
}

impl Problems {
    /// Notes that `section.key` is wrong; `message` continues the sentence "section.key …" and holds no secret.
    pub fn add(&mut self, section: &str, key: &str, message: impl Into<String>) {
        let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        self.found.push((path, message.into()));
    }

    /// Notes `message` unless `holds`.
    pub fn require(&mut self, section: &str, key: &str, holds: bool, message: impl Into<String>) {
        if !holds {
            self.add(section, key, message);
        }
    }

    /// The value must lie in the range.
    pub fn in_range(&mut self, section: &str, key: &str, value: u64, range: RangeInclusive<u64>) {
        if !range.contains(&value) {
            self.add(
                section,
                key,
                format!("is {value}, must be from {} to {}", range.start(), range.end()),
            );
        }
    }

    /// The value must be `http://…` or `https://…` with a host.
    pub fn http_url(&mut self, section: &str, key: &str, value: &str) {
        let host = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
        if !host.is_some_and(|host| {
            !host.is_empty() && !host.starts_with('/') && !host.contains(char::is_whitespace)
        }) {
            let mut shown = value.to_owned();
            hide_passwords(&mut shown);
            self.add(
                section,
                key,
                format!("is {shown:?}, must be http://host:port or https://host:port"),
            );
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was found: path and message. For tests of a `validate`.
    pub fn found(&self) -> &[(String, String)] {
        &self.found
    }

    fn into_found(self) -> Vec<(String, String)> {
        self.found
    }
}
