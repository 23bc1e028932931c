//! A real NATS server for tests: own port, own store, restartable.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A NATS server with JetStream on a port of loopback; killed when dropped.
#[derive(Debug)]
pub struct NatsServer {
    binary: PathBuf,
    store: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Where the server's binary is: `nats-server` on `PATH`, or in `bin` of `SIDEREAL_CACHE`.
    pub fn find() -> Option<PathBuf> {
        let on_path = std::env::var_os("PATH")
            .into_iter()
            .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
        let in_cache =
            std::env::var_os("SIDEREAL_CACHE").map(|cache| PathBuf::from(cache).join("bin"));
        let in_home =
            std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/sidereal/bin"));
        on_path
            .chain(in_cache)
            .chain(in_home)
            .map(|folder| folder.join("nats-server"))
            .find(|file| file.is_file())
    }

    /// Starts a server that keeps its streams below `store`, and waits until it accepts connections.
    pub fn start(store: &Path) -> io::Result<Self> {
        let binary = Self::find().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "no nats-server on PATH nor in $SIDEREAL_CACHE/bin (scripts/setup)",
            )
        })?;
        // Another process may take the port before the server does; then its start fails and is tried again.
        let mut last = io::Error::other("no port was tried");
        for _ in 0..5 {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let mut server =
                Self { binary: binary.clone(), store: store.to_path_buf(), port, child: None };
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// `nats://127.0.0.1:<port>`; the same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills the server (SIGKILL), as a crash would.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts the server, after killing it if it runs, on the same port and store.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        std::fs::create_dir_all(&self.store)?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.store.join("server.log"))?;
        let child = Command::new(&self.binary)
            .args(["--addr", "127.0.0.1", "--jetstream"])
            .arg("--port")
            .arg(self.port.to_string())
            .arg("--store_dir")
            .arg(&self.store)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        self.wait_until_listening(Duration::from_secs(20))
    }

    fn wait_until_listening(&mut self, deadline: Duration) -> io::Result<()> {
        let started = Instant::now();
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                let log = self.store.join("server.log");
                return Err(io::Error::other(format!(
                    "nats-server ended with {status}; see {}",
                    log.display()
                )));
            }
            match std::net::TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > deadline => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("nats-server does not listen: {error}"),
                    ));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.kill();
    }
}
