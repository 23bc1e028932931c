//! Objects as files: written beside their place, synced, then renamed into it, and the folder synced too.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Source;
use crate::{MAX_LISTED, ObjectKey, ObjectStore, ObjectStoreError};

/// A folder of objects. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct FileSystemStore {
    root: Arc<PathBuf>,
    max_object_bytes: u64,
}

/// Half-written objects are in this folder beside the objects; no key can name it, as it begins with a dot.
const UNFINISHED: &str = ".unfinished";

/// What a killed process left half-written is removed by a start so much later: no write takes that long.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl FileSystemStore {
    /// Opens the folder, making it when it is missing.
    pub async fn open(root: &Path, max_object_bytes: u64) -> Result<Self, ObjectStoreError> {
        let store = Self { root: Arc::new(root.to_path_buf()), max_object_bytes };
        store
            .blocking("opening", root.display().to_string(), |store| {
                let unfinished = store.root.join(UNFINISHED);
                fs::create_dir_all(&unfinished)?;
                remove_abandoned(&unfinished)?;
                sync_folder(&store.root)
            })
            .await?;
        Ok(store)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        // A key has no `..`, no root and no empty segment, so this stays below the root.
        self.root.join(key.as_str())
    }

    /// Runs file work on the blocking pool, where it can be slow without harm.
    async fn blocking<T, F>(
        &self,
        operation: &'static str,
        key: String,
        work: F,
    ) -> Result<T, ObjectStoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> io::Result<T> + Send + 'static,
    {
        let store = self.clone();
        let result = tokio::task::spawn_blocking(move || work(&store)).await;
        let failed = |source: Source| ObjectStoreError::Failed { operation, key, source };
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn too_large(&self, key: &ObjectKey, size: u64) -> ObjectStoreError {
        ObjectStoreError::TooLarge { key: key.to_string(), size, limit: self.max_object_bytes }
    }
}

#[async_trait]
impl ObjectStore for FileSystemStore {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectStoreError> {
        let size = bytes.len() as u64;
        if size > self.max_object_bytes {
            return Err(self.too_large(key, size));
        }
        let target = self.path(key);
        self.blocking("writing", key.to_string(), move |store| {
            // A name that nobody else has, also no process of the same number on another machine; removed on failure.
            let mut unfinished = tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(store.root.join(UNFINISHED))?;
            unfinished.write_all(&bytes)?;
            unfinished.as_file().sync_all()?;
            let folder = target.parent().unwrap_or(&store.root);
            make_folders(&store.root, folder)?;
            unfinished.persist(&target)?;
            sync_folder(folder)
        })
        .await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes, ObjectStoreError> {
        let path = self.path(key);
        let limit = self.max_object_bytes;
        let read = self
            .blocking("reading", key.to_string(), move |_| {
                let Some(file) = existing(File::open(&path))? else { return Ok(None) };
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Ok(None);
                }
                let size = metadata.len();
                if size > limit {
                    return Ok(Some(Err(size)));
                }
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
                file.take(limit).read_to_end(&mut bytes)?;
                Ok(Some(Ok(bytes)))
            })
            .await?;
        match read {
            Some(Ok(bytes)) => Ok(bytes.into()),
            Some(Err(size)) => Err(self.too_large(key, size)),
            None => Err(ObjectStoreError::NotFound { key: key.to_string() }),
        }
    }

    async fn exists(&self, key: &ObjectKey) -> Result<bool, ObjectStoreError> {
        let path = self.path(key);
        self.blocking("looking for", key.to_string(), move |_| {
            Ok(existing(fs::metadata(&path))?.is_some_and(|found| found.is_file()))
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectStoreError> {
        let path = self.path(key);
        self.blocking("deleting", key.to_string(), move |store| {
            if existing(fs::remove_file(&path))?.is_some() {
                sync_folder(path.parent().unwrap_or(&store.root))?;
            }
            Ok(())
        })
        .await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, ObjectStoreError> {
        let prefix = prefix.to_owned();
        let after = after.cloned();
        self.blocking("listing", prefix.clone(), move |store| {
            let limit = limit.min(MAX_LISTED);
            let mut page =
                Page { prefix: &prefix, after: after.as_ref(), limit, keys: BTreeSet::new() };
            if limit > 0 {
                page.collect(&store.root, "")?;
            }
            Ok(page.keys.into_iter().collect())
        })
        .await
    }

    async fn check(&self) -> Result<(), ObjectStoreError> {
        self.blocking("looking at", "the folder".to_owned(), |store| {
            fs::metadata(store.root.join(UNFINISHED)).map(|_| ())
        })
        .await
    }
}

fn remove_abandoned(unfinished: &Path) -> io::Result<()> {
    for entry in fs::read_dir(unfinished)? {
        let entry = entry?;
        // Another process that starts, or finishes its write, may take the file away in the same moment.
        let Some(metadata) = existing(entry.metadata())? else { continue };
        if metadata.modified()?.elapsed().is_ok_and(|age| age > ABANDONED_AFTER) {
            existing(fs::remove_file(entry.path()))?;
            tracing::info!(file = %entry.path().display(), "removed a half-written object of a killed process");
        }
    }
    Ok(())
}

/// Makes the folders from the root down to `folder`, and syncs each one that is new into its parent.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent()
        && folder != root
    {
        make_folders(root, parent)?;
        match fs::create_dir(folder) {
            Ok(()) => sync_folder(parent)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn existing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A file where a folder was expected, or the reverse, also means that there is no such object.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The smallest keys that a list asks for; never more than its limit are held.
struct Page<'a> {
    prefix: &'a str,
    after: Option<&'a ObjectKey>,
    limit: usize,
    keys: BTreeSet<ObjectKey>,
}

impl Page<'_> {
    /// Gathers keys below `folder`, which is at the relative path `at`; folders that cannot hold any are not entered.
    fn collect(&mut self, folder: &Path, at: &str) -> io::Result<()> {
        let Some(entries) = existing(fs::read_dir(folder))? else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            if entry.file_type()?.is_dir() {
                let inside = format!("{path}/");
                if inside.starts_with(self.prefix) || self.prefix.starts_with(&inside) {
                    self.collect(&entry.path(), &path)?;
                }
            } else if path.starts_with(self.prefix)
                && let Ok(key) = ObjectKey::parse(&path)
                && self.after.is_none_or(|after| key > *after)
            {
                self.keys.insert(key);
                if self.keys.len() > self.limit {
                    self.keys.pop_last();
                }
            }
        }
        Ok(())
    }
}
