//! A process of the stack under test: started, killed, started again, with its output in a file.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How much of a log a failure shows, in bytes.
const TAIL_BYTES: usize = 4_000;

/// One process. Dropping it kills it and everything that it started.
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Describes a process; [`Process::start`] starts it. Output is appended to `<folder>/<name>.log`.
    pub fn new(name: &str, program: &Path, arguments: &[&str], folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_path_buf(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
            log: folder.join(format!("{name}.log")),
            child: None,
        }
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Its name in logs and failures.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it, or starts it again.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))?;
        writeln!(log, "--- {} starts", self.name)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: what the process starts (a prover) is killed with it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {} ({})", self.name, self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL to the process alone, as a crash or the kernel's memory killer does; what it started is left
    /// behind.
    pub fn crash(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else {
            anyhow::bail!("{} does not run, so it cannot be killed", self.name);
        };
        child.kill().with_context(|| format!("killing {}", self.name))?;
        child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// SIGTERM, and then waits for the process to end by itself.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let Some(mut child) = self.child.take() else {
            anyhow::bail!("{} does not run, so it cannot be stopped", self.name);
        };
        signal("TERM", &child.id().to_string())?;
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("{} did not end within {} s", self.name, limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for a process that ends by itself, and fails unless it ended well.
    pub async fn finish(&mut self, limit: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            match self.status()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    anyhow::bail!("{} ended with {status}:\n{}", self.name, self.tail())
                }
                None if started.elapsed() > limit => {
                    self.kill()?;
                    anyhow::bail!(
                        "{} did not end within {} s:\n{}",
                        self.name,
                        limit.as_secs(),
                        self.tail()
                    );
                }
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Fails if the process has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.status()? {
            None if self.child.is_some() => Ok(()),
            None => anyhow::bail!("{} was not started", self.name),
            Some(status) => anyhow::bail!("{} ended with {status}:\n{}", self.name, self.tail()),
        }
    }

    fn status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().with_context(|| format!("asking for {}", self.name)),
            None => Ok(None),
        }
    }

    /// The process and everything that it started.
    fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            // A group that has ended is killed enough.
            let _ = signal("KILL", &format!("-{}", child.id()));
            child.wait().with_context(|| format!("waiting for {}", self.name))?;
        }
        Ok(())
    }

    /// The end of its output.
    pub fn tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned()
    }

    /// All of its output.
    pub fn output(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log)
            .with_context(|| format!("reading {}", self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.kill();
    }
}

/// Sends a signal to a process id, or to a group when it begins with `-`.
pub(crate) fn signal(name: &str, target: &str) -> anyhow::Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{name}"), "--", target])
        .stderr(Stdio::null())
        .status()
        .context("running kill")?;
    anyhow::ensure!(status.success(), "kill -{name} {target} ended with {status}");
    Ok(())
}
