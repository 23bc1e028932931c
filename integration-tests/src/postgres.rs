//! A PostgreSQL server of a test's own.

use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::ports::free_port;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A cluster in a folder, and its server. Dropping it kills the server.
pub struct PostgresServer {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    /// PostgreSQL refuses to run as root; then it runs as the user that its package made.
    user: Option<(u32, u32)>,
    child: Option<Child>,
}

impl PostgresServer {
    /// Makes a cluster in `folder` and starts its server.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let user = if id("-u", None)? == 0 {
            Some((id("-u", Some("postgres"))?, id("-g", Some("postgres"))?))
        } else {
            None
        };
        let data = folder.join("postgres");
        std::fs::create_dir_all(&data)?;
        let mut server =
            Self { programs: programs()?, data, port: free_port()?, user, child: None };
        if let Some((user, group)) = server.user {
            std::os::unix::fs::chown(&server.data, Some(user), Some(group))?;
            server.let_through(folder)?;
        }
        let made = server
            .command("initdb")
            .args(["--auth=trust", "--username=sidereal", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&server.data)
            .output()
            .context("running initdb")?;
        anyhow::ensure!(
            made.status.success(),
            "initdb ended with {}: {}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
        server.restart().await?;
        Ok(server)
    }

    /// Makes a database and returns its `postgres://…`, which stays the same after a restart.
    pub fn create_database(&self, name: &str) -> anyhow::Result<String> {
        let made = self
            .command("createdb")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "sidereal", name])
            .output()
            .context("running createdb")?;
        anyhow::ensure!(
            made.status.success(),
            "createdb {name} ended with {}: {}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(format!("postgres://sidereal@127.0.0.1:{}/{name}", self.port))
    }

    /// Kills the server, as a crash would, and starts it on the same data. It recovers from its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.data.with_extension("log"))
            .context("opening the log of PostgreSQL")?;
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("starting postgres")?;
        self.child = Some(child);
        self.wait_until_ready().await
    }

    /// SIGKILL to the server and its children.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            // The group may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            child.wait().context("waiting for postgres")?;
            // What SIGKILL leaves behind; the server refuses to start over it while it cannot tell.
            let _ = std::fs::remove_file(self.data.join("postmaster.pid"));
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                let log = std::fs::read_to_string(self.data.with_extension("log"))?;
                anyhow::bail!("postgres ended with {status}:\n{log}");
            }
            let ready = TcpStream::connect(("127.0.0.1", self.port)).is_ok()
                && self
                    .command("pg_isready")
                    .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                    .status()?
                    .success();
            if ready {
                return Ok(());
            }
            anyhow::ensure!(
                started.elapsed() < START_LIMIT,
                "postgres does not accept connections on port {}",
                self.port
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Lets another user pass through the folder of the test, which is its owner's alone.
    fn let_through(&self, folder: &Path) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))
            .with_context(|| format!("opening {} to {}", folder.display(), self.data.display()))
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.kill();
    }
}

/// Debian keeps the server's programs out of PATH.
fn programs() -> anyhow::Result<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    folders
        .into_iter()
        .rev()
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_isready").is_file())
        .context("PostgreSQL is not installed; run scripts/setup --tests")
}

/// What `id` says of a user, or of this process.
fn id(what: &str, user: Option<&str>) -> anyhow::Result<u32> {
    let output = Command::new("id").arg(what).args(user).output().context("running id")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("id {what} {user:?} answered {text:?}"))
}
