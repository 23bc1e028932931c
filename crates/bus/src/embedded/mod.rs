//! The embedded bus: an SQLite file. Commits are synced to disk before anything is acknowledged. Inside a process a
//! change wakes those who wait; changes by other processes on the same file are found by polling.

mod events;
mod jobs;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::Notify;

use crate::{Bus, BusConfig, BusError, Headers};

/// A bus in one SQLite file.
#[derive(Clone, Debug)]
pub struct EmbeddedBus {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: SqlitePool,
    pub(crate) config: BusConfig,
    changed: Arc<Notify>,
}

impl EmbeddedBus {
    /// Opens the file that `config.url` names (`sqlite:<file>`), making it and its folder when they are missing.
    pub async fn open(config: &BusConfig) -> Result<Self, BusError> {
        let file = config
            .url
            .strip_prefix("sqlite:")
            .map(|file| file.strip_prefix("//").unwrap_or(file))
            .filter(|file| !file.is_empty() && !file.contains(":memory:"))
            .ok_or_else(|| BusError::BadUrl { url: config.url.clone() })?;
        if let Some(folder) = Path::new(file).parent() {
            tokio::fs::create_dir_all(folder)
                .await
                .map_err(|error| BusError::failed("making the folder of", file, error))?;
        }
        let _alone = alone(file).await.map_err(|error| BusError::failed("locking", file, error))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool =
            open_pool(options).await.map_err(|error| BusError::failed("opening", file, error))?;
        sqlx::migrate!("./migrations")
            .run(&pool)
            .await
            .map_err(|error| BusError::failed("migrating", file, error))?;
        let changed = shared_notify(file);
        Ok(Self { inner: Arc::new(Inner { pool, config: config.clone(), changed }) })
    }
}

/// Keeps other openers out, of this process and of others, until it is dropped: two that migrate a new file at the same
/// time would both make its tables, and one of them would fail.
async fn alone(file: &str) -> std::io::Result<std::fs::File> {
    let path = format!("{file}.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let lock = std::fs::File::create(path)?;
        lock.lock()?;
        Ok(lock)
    });
    locked.await.map_err(std::io::Error::other)?
}

/// SQLite does not wait for another opener of a new file that switches it to the write-ahead log, whatever the busy
/// timeout: then this one tries again, for as long as that timeout.
async fn open_pool(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    const TRIES: u32 = 200;
    let mut tries = 0;
    loop {
        let opened = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(20))
            .connect_with(options.clone())
            .await;
        match opened {
            Err(sqlx::Error::Database(error))
                // SQLITE_BUSY, also with an extended code above its lowest byte.
                if tries < TRIES
                    && error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5) =>
            {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

/// Two buses that one process opens on the same file wake each other.
fn shared_notify(file: &str) -> Arc<Notify> {
    static OPEN: Mutex<Option<HashMap<std::path::PathBuf, Weak<Notify>>>> = Mutex::new(None);
    let path = std::fs::canonicalize(file).unwrap_or_else(|_| file.into());
    // The map is whole after every statement, so a poisoned lock can be taken over.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.get_or_insert_default();
    open.retain(|_, notify| notify.strong_count() > 0);
    if let Some(notify) = open.get(&path).and_then(Weak::upgrade) {
        return notify;
    }
    let notify = Arc::new(Notify::new());
    open.insert(path, Arc::downgrade(&notify));
    notify
}

impl Inner {
    /// Wakes everybody who waits in this process.
    fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Calls `look` until it finds something or `wait` is over; after each wake, and at the polling interval.
    async fn wait_for<T, F, Fut>(
        &self,
        wait: Option<Duration>,
        mut look: F,
    ) -> Result<Option<T>, BusError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>, BusError>>,
    {
        let deadline = wait.map(|wait| tokio::time::Instant::now() + wait);
        let poll = Duration::from_millis(self.config.poll_interval_ms);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            let now = tokio::time::Instant::now();
            let pause = match deadline {
                Some(deadline) if deadline <= now => return Ok(None),
                Some(deadline) => poll.min(deadline - now),
                None => poll,
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn check_size(&self, subject: &str, size: usize) -> Result<(), BusError> {
        let limit = self.config.max_payload_bytes;
        if size > limit {
            return Err(BusError::TooLarge { subject: subject.to_owned(), size, limit });
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn check(&self) -> Result<(), BusError> {
        sqlx::query("SELECT 1")
            .execute(&self.inner.pool)
            .await
            .map_err(|error| BusError::failed("asking", &self.inner.config.url, error))?;
        Ok(())
    }
}

/// Milliseconds since 1970. The clock of the machine is shared by all who share the file.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn duration_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

fn time_of_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn headers_to_text(headers: &Headers) -> Result<String, BusError> {
    serde_json::to_string(headers).map_err(|error| BusError::failed("writing", "headers", error))
}

fn headers_of_text(text: &str, object: &str) -> Result<Headers, BusError> {
    serde_json::from_str(text)
        .map_err(|error| BusError::Corrupt { object: object.to_owned(), source: error.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Services that start together open the same new file; none of them may fail for the others.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_file_is_opened_by_many_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..5 {
            let url = format!("sqlite:{}", folder.path().join(format!("{round}/bus.db")).display());
            let config = BusConfig { url, ..BusConfig::default() };
            let openers = (0..8).map(|_| {
                let config = config.clone();
                tokio::spawn(async move { EmbeddedBus::open(&config).await.map(drop) })
            });
            for opened in futures::future::join_all(openers).await {
                opened.unwrap().unwrap();
            }
        }
    }
}
