//! A real PostgreSQL server for tests: own port, own folder, restartable.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const USER: &str = "sidereal";

/// A PostgreSQL server on a port of loopback, in a folder of its own. Both are gone when it is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    folder: PathBuf,
    /// PostgreSQL refuses to run as root: then it runs as this user and group.
    run_as: Option<(u32, u32)>,
    port: u16,
    child: Option<Child>,
    databases: AtomicU64,
}

impl PostgresServer {
    /// Where `initdb` and `postgres` are: on `PATH`, or where Debian puts them.
    pub fn find() -> Option<PathBuf> {
        let on_path: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
            .unwrap_or_default();
        versions.sort();
        on_path
            .into_iter()
            .chain(versions.into_iter().rev())
            .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
    }

    /// Creates a database cluster, starts a server on it, and waits until it answers.
    ///
    /// # Errors
    /// When the programs are missing, or the server does not come up; with what it said.
    pub fn start() -> io::Result<Self> {
        static SERVERS: AtomicU64 = AtomicU64::new(0);
        let programs = Self::find().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "no initdb and postgres (Debian: postgresql)")
        })?;
        let name = format!(
            "sidereal-postgres-{}-{}",
            std::process::id(),
            SERVERS.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        // Left behind by a process that had the same number and was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let run_as = unprivileged_user()?;
        if let Some((user, group)) = run_as {
            chown(&folder, Some(user), Some(group))?;
        }
        let mut server =
            Self { programs, folder, run_as, port: 0, child: None, databases: AtomicU64::new(0) };
        let mut initdb = server.program("initdb");
        initdb
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(server.data());
        check("initdb", &initdb.output()?)?;
        // Another process may take the port before the server does; then its start fails and is tried again.
        let mut last = io::Error::other("no port was tried");
        for _ in 0..5 {
            server.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// One server for all tests that run at the same time in this process.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> io::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// Creates an empty database and returns its URL, which stays the same after a restart.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self) -> Result<String, sqlx::Error> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        // The name is made above, of letters and digits.
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(self.url(&name))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts the server on the port it had, after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Errors
    /// When it does not come up in a minute; with its log.
    pub fn restart(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        // After a kill, the server's own children take a moment to notice; until then a new one refuses.
        loop {
            match self.start_once(deadline) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => sleep(POLL_INTERVAL),
            }
        }
    }

    fn start_once(&mut self, deadline: Instant) -> io::Result<()> {
        let log = fs::File::create(self.folder.join("log"))?;
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = command.spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("postgres ended with {status}: {log}")));
            }
            // It listens only after recovery, when it can answer.
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.is_ready() {
                self.child = Some(child);
                return Ok(());
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io::Error::other("postgres did not answer in time"));
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// The server says so itself, in the eighth line of its lock file.
    fn is_ready(&self) -> bool {
        fs::read_to_string(self.data().join("postmaster.pid"))
            .is_ok_and(|lock| lock.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    }

    /// Ends the server as a loss of power would: nothing is written any more.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => {
                child.kill()?;
                child.wait().map(|_| ())
            }
            None => Ok(()),
        }
    }

    /// Ends the server in order: connections are closed, everything is written.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let signal = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).output()?;
        check("kill", &signal)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(POLL_INTERVAL);
        }
        child.kill()?;
        child.wait()?;
        Err(io::Error::other("postgres did not stop in time"))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder);
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.stop().is_err() {
            let _ = self.kill();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn check(program: &str, output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} ended with {}: {said}", output.status)))
}

/// `None` when this process may start the server itself; otherwise the user `postgres`, or `nobody`.
fn unprivileged_user() -> io::Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string(Path::new("/etc/passwd"))?;
    let ids = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != name {
                return None;
            }
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    ids("postgres").or_else(|| ids("nobody")).map(Some).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "no user to run PostgreSQL as: it refuses root")
    })
}
