//! What only a file system can do wrong: a process is killed in the middle of a write.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sidereal_object_store::{FileSystemStore, ObjectStore as _, ObjectStoreError};
use tempfile::TempDir;

use crate::{Kind, MIB, World, content, files_below, key};

/// Set in the process that writes until it is killed: the store's folder.
const WRITE_INTO: &str = "SIDEREAL_TEST_WRITE_INTO";
const OBJECT_BYTES: usize = 4 * MIB;

/// Not a test: what the killed process does. It says so before each write and after it.
#[tokio::test]
#[ignore = "the other half of a_killed_writer_leaves_whole_objects_only"]
async fn writer() {
    let Some(folder) = std::env::var_os(WRITE_INTO) else { return };
    let store = FileSystemStore::open(folder.as_ref(), u64::MAX).await.unwrap();
    let mut out = std::io::stdout();
    for seed in 0..u8::MAX {
        writeln!(out, "writing {seed}").unwrap();
        let name = key(&format!("proofs/{seed}"));
        store.put(&name, content(seed, OBJECT_BYTES)).await.unwrap();
        writeln!(out, "written {seed}").unwrap();
    }
}

/// A process killed (SIGKILL) at any moment of a write leaves whole objects only, among them all that `put` had
/// acknowledged; what it left half-written is never served nor listed, and writing goes on beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_writer_leaves_whole_objects_only() {
    let folder = TempDir::new().unwrap();
    let mut half_written = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::writer", "--ignored", "--nocapture", "--test-threads", "1"])
            .env(WRITE_INTO, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let begun = lines.find(|line| line.as_ref().unwrap().contains("writing 1"));
        assert!(begun.is_some(), "the writer did not begin");
        std::thread::sleep(Duration::from_millis(3 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let written: Vec<u8> = lines
            .map_while(Result::ok)
            .filter_map(|line| line.split_once("written ")?.1.parse().ok())
            .collect();

        let store = FileSystemStore::open(folder.path(), u64::MAX).await.unwrap();
        let listed = store.list("", None, 1_000).await.unwrap();
        for seed in std::iter::once(0).chain(written) {
            assert!(listed.contains(&key(&format!("proofs/{seed}"))), "{seed} was acknowledged");
        }
        for name in &listed {
            let seed = name.as_str().strip_prefix("proofs/").unwrap().parse().unwrap();
            assert!(store.get(name).await.unwrap() == content(seed, OBJECT_BYTES), "{name}");
        }
        let files = files_below(folder.path()).len();
        half_written = files - listed.len();
        for name in &listed {
            store.delete(name).await.unwrap();
        }
    }
    assert!(half_written > 0, "no kill hit a write, so nothing was tested");
    let store = FileSystemStore::open(folder.path(), u64::MAX).await.unwrap();
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
    store.put(&key("proofs/1"), Bytes::from_static(b"whole")).await.unwrap();
    assert_eq!(store.get(&key("proofs/1")).await.unwrap(), "whole");
}

/// A half-written file is removed by a start once it is so old that nobody can be writing it, and not before; no
/// object is ever taken for one.
#[tokio::test]
async fn abandoned_files_are_removed_by_a_start() {
    let world = World::new(Kind::Files).await;
    let store = world.open().await;
    store.put(&key("proofs/1"), content(1, 10)).await.unwrap();
    let unfinished = world.objects.join(".unfinished");
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    for (name, modified) in [("old", two_days_ago), ("young", SystemTime::now())] {
        let file = std::fs::File::create(unfinished.join(name)).unwrap();
        file.set_modified(modified).unwrap();
    }
    let object =
        std::fs::File::options().append(true).open(world.objects.join("proofs/1")).unwrap();
    object.set_modified(two_days_ago).unwrap();
    let store = world.open().await;
    assert!(!unfinished.join("old").exists());
    assert!(unfinished.join("young").exists());
    assert_eq!(store.get(&key("proofs/1")).await.unwrap(), content(1, 10));
    assert_eq!(store.list("", None, 10).await.unwrap(), [key("proofs/1")]);
}

/// The folder of an object is no object.
#[tokio::test]
async fn a_folder_is_no_object() {
    let world = World::new(Kind::Files).await;
    let store = world.open().await;
    store.put(&key("a/b/c"), content(1, 10)).await.unwrap();
    for folder in ["a", "a/b"] {
        let error = store.get(&key(folder)).await.unwrap_err();
        assert!(matches!(error, ObjectStoreError::NotFound { .. }), "{error:?}");
        assert!(!store.exists(&key(folder)).await.unwrap());
        store.delete(&key(folder)).await.unwrap();
    }
    assert_eq!(store.get(&key("a/b/c")).await.unwrap(), content(1, 10));
}

/// A write that fails leaves nothing behind, and the folder that went away gives errors, not empty answers to a
/// readiness check.
#[tokio::test]
async fn a_failed_write_leaves_nothing() {
    let world = World::new(Kind::Files).await;
    let store = world.open().await;
    store.put(&key("a"), content(1, 10)).await.unwrap();
    store.put(&key("a/b"), content(1, 10)).await.unwrap_err();
    assert_eq!(files_below(&world.objects), [world.objects.join("a")]);
    std::fs::remove_dir_all(&world.objects).unwrap();
    store.check().await.unwrap_err();
    store.put(&key("b"), content(1, 10)).await.unwrap_err();
}

/// Objects can be read by other users of the machine as far as the process's umask says, like any file.
#[tokio::test]
async fn objects_have_the_permissions_of_ordinary_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(Kind::Files).await;
    world.open().await.put(&key("a"), content(1, 10)).await.unwrap();
    let ordinary = world.objects.join("ordinary");
    std::fs::write(&ordinary, b"").unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(world.objects.join("a")), mode(ordinary));
}
