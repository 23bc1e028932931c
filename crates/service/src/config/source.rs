//! Where configuration comes from; injectable, so that tests need no files and no environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Command line arguments that every program takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConfigArgs {
    /// TOML file with the configuration (or the variable SIDEREAL_CONFIG).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one value, over file and environment; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the configuration that results, without secrets, and ends.
    #[arg(long)]
    pub print_config: bool,
}

/// The environment and the files of a process.
pub trait Source {
    /// All environment variables that are valid Unicode.
    fn variables(&self) -> Vec<(String, String)>;
    /// The text of a file.
    fn read(&self, path: &Path) -> std::io::Result<String>;
}

/// The real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSource;

impl Source for ProcessSource {
    fn variables(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    fn read(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// For tests.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Files by path.
    pub files: BTreeMap<PathBuf, String>,
}

impl Source for MemorySource {
    fn variables(&self) -> Vec<(String, String)> {
        self.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn read(&self, path: &Path) -> std::io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}
