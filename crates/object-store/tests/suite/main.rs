//! One suite over both implementations. Each test opens with what it pins down. The S3 server is a real one that
//! runs in this process ([`server`]); what only one of the two can do wrong is in [`files`] and [`bucket`].

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bucket;
mod files;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use server::{BUCKET, KEY_ID, S3Server, SECRET};
use sidereal_object_store::{ObjectKey, ObjectStore, ObjectStoreConfig, ObjectStoreError, open};
use sidereal_service::{Classified as _, ErrorClass, Secret};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

enum Kind {
    Files,
    S3,
}

/// A store of its own for one test, with the means to open it once more.
struct World {
    config: ObjectStoreConfig,
    server: Option<S3Server>,
    /// Where the objects are files, with either implementation.
    objects: PathBuf,
    _folder: TempDir,
}

impl World {
    async fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let common = ObjectStoreConfig {
            max_object_bytes: 20 * MIB as u64,
            timeout_ms: 10_000,
            ..ObjectStoreConfig::default()
        };
        let objects = folder.path().join("deep").join(BUCKET);
        let (config, server) = match kind {
            Kind::Files => {
                (ObjectStoreConfig { url: format!("file:{}", objects.display()), ..common }, None)
            }
            Kind::S3 => {
                let server = S3Server::start(objects.parent().unwrap()).await;
                let config = ObjectStoreConfig {
                    url: format!("s3://{BUCKET}"),
                    endpoint: Some(server.endpoint()),
                    access_key_id: Some(KEY_ID.to_owned()),
                    secret_access_key: Secret::new(SECRET.to_owned()),
                    ..common
                };
                (config, Some(server))
            }
        };
        Self { config, server, objects, _folder: folder }
    }

    async fn open(&self) -> Arc<dyn ObjectStore> {
        open(&self.config).await.unwrap()
    }

    /// The same objects, with a smaller bound.
    async fn open_bounded(&self, max_object_bytes: u64) -> Arc<dyn ObjectStore> {
        open(&ObjectStoreConfig { max_object_bytes, ..self.config.clone() }).await.unwrap()
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn keys(texts: &[&str]) -> Vec<ObjectKey> {
    texts.iter().map(|text| key(text)).collect()
}

/// Bytes of which no part is like another, so that a part in the wrong place is seen.
fn content(seed: u8, size: usize) -> Bytes {
    let mut state = u32::from(seed) + 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    bytes.take(size).collect()
}

/// What was put is got, byte for byte, also through another handle; a second put replaces the first; a delete takes
/// it away, and a second delete does no harm.
async fn an_object_is_put_replaced_and_deleted(world: World) {
    let (store, other) = (world.open().await, world.open().await);
    store.check().await.unwrap();
    let name = ObjectKey::witness(7, 0xabc_u32);
    assert!(!store.exists(&name).await.unwrap());
    store.put(&name, content(1, 1_000)).await.unwrap();
    assert!(other.exists(&name).await.unwrap());
    assert_eq!(other.get(&name).await.unwrap(), content(1, 1_000));
    other.put(&name, content(2, 10)).await.unwrap();
    assert_eq!(store.get(&name).await.unwrap(), content(2, 10));
    store.delete(&name).await.unwrap();
    assert!(!other.exists(&name).await.unwrap());
    assert!(matches!(other.get(&name).await, Err(ObjectStoreError::NotFound { .. })));
    other.delete(&name).await.unwrap();
}

/// An object that was never there is a typed error that names it; to delete it does no harm.
async fn a_missing_object_is_named(world: World) {
    let store = world.open().await;
    store.put(&key("a/b/c"), content(1, 10)).await.unwrap();
    for missing in ["a/b/d", "x", "a/b/c/d"] {
        let error = store.get(&key(missing)).await.unwrap_err();
        let ObjectStoreError::NotFound { key: named } = &error else {
            panic!("{missing}: {error:?}");
        };
        assert_eq!(named, missing);
        assert_eq!(error.class(), ErrorClass::NotFound);
    }
    store.delete(&key("a/b/d")).await.unwrap();
    assert_eq!(store.get(&key("a/b/c")).await.unwrap(), content(1, 10));
}

/// Nothing, one byte, and 20 MB are objects; one byte over the bound is refused on the way in, and nothing of it is
/// kept; an object that is over a bound that was lowered is refused on the way out.
async fn sizes_are_bounded(world: World) {
    let store = world.open().await;
    for size in [0, 1, MIB - 1, 20 * MIB] {
        let name = key(&format!("sizes/{size}"));
        let bytes = content(3, size);
        store.put(&name, bytes.clone()).await.unwrap();
        assert!(store.get(&name).await.unwrap() == bytes, "{size} bytes");
    }
    let over = key("sizes/over");
    let error = store.put(&over, content(3, 20 * MIB + 1)).await.unwrap_err();
    let limit = 20 * MIB as u64;
    assert!(
        matches!(&error, ObjectStoreError::TooLarge { size, limit: said, .. }
            if *size == limit + 1 && *said == limit),
        "{error:?}"
    );
    assert!(!store.exists(&over).await.unwrap());

    let bounded = world.open_bounded(MIB as u64 - 1).await;
    assert_eq!(bounded.get(&key(&format!("sizes/{}", MIB - 1))).await.unwrap().len(), MIB - 1);
    let error = bounded.get(&key(&format!("sizes/{}", 20 * MIB))).await.unwrap_err();
    assert!(
        matches!(&error, ObjectStoreError::TooLarge { size, .. } if *size == limit),
        "{error:?}"
    );
}

/// Every form of key that may be made names an object of its own.
async fn keys_of_every_form(world: World) {
    let store = world.open().await;
    let long = ["segment-of-a-long-key"; 4].join("/");
    let names = [
        "0",
        "a.b",
        "a..b",
        "a_b-c.d",
        "-",
        "_",
        "deep/er/and/deep/er",
        "deep/er/and/deep.er",
        "witnesses/7-0xabc.bin",
        "ends-with-dot.",
        "a.internal.part",
        &long,
    ];
    for (seed, name) in (0..).zip(names) {
        store.put(&key(name), content(seed, 100)).await.unwrap();
    }
    for (seed, name) in (0..).zip(names) {
        assert!(store.exists(&key(name)).await.unwrap(), "{name}");
        assert_eq!(store.get(&key(name)).await.unwrap(), content(seed, 100), "{name}");
    }
    assert_eq!(store.list("", None, 100).await.unwrap().len(), names.len());
}

/// A list has the keys of a prefix (which need not end at a segment) in order, in pages without gaps or repeats; what
/// is no key is left out of it and does not end a page early.
async fn a_list_is_ordered_and_paged(world: World) {
    let store = world.open().await;
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
    let names = ["a/1", "a/10", "a/2", "a-1", "a.1", "ab", "b/c/1", "b/c/2", "b/d", "z"];
    for name in names {
        store.put(&key(name), Bytes::from(name)).await.unwrap();
    }
    for foreign in ["a/.hidden", "a/Upper", "b/c/with space", "C"] {
        std::fs::write(world.objects.join(foreign), b"put there by somebody else").unwrap();
    }
    let mut all = keys(&names);
    all.sort();
    assert_eq!(store.list("", None, 100).await.unwrap(), all);
    for size in 1..all.len() {
        let mut paged = Vec::new();
        loop {
            let page = store.list("", paged.last(), size).await.unwrap();
            paged.extend(page.iter().cloned());
            if page.len() < size {
                break;
            }
        }
        assert_eq!(paged, all, "pages of {size}");
    }
    assert_eq!(store.list("a/", None, 100).await.unwrap(), keys(&["a/1", "a/10", "a/2"]));
    assert_eq!(store.list("a/1", None, 100).await.unwrap(), keys(&["a/1", "a/10"]));
    assert_eq!(store.list("b/c", None, 100).await.unwrap(), keys(&["b/c/1", "b/c/2"]));
    assert_eq!(store.list("b/", Some(&key("b/c/1")), 1).await.unwrap(), keys(&["b/c/2"]));
    assert_eq!(store.list("a", Some(&key("zz")), 100).await.unwrap(), []);
    assert_eq!(store.list("nothing", None, 100).await.unwrap(), []);
    assert_eq!(store.list("", None, 0).await.unwrap(), []);
    store.delete(&key("a/10")).await.unwrap();
    assert_eq!(store.list("a/", None, 100).await.unwrap(), keys(&["a/1", "a/2"]));
}

/// Whoever reads while several write the same key sees one of the objects as a whole, and one of them is there at the
/// end; none of the writers fails.
async fn concurrent_puts_of_one_key(world: World) {
    let store = world.open().await;
    let name = key("proofs/same");
    let sizes = [MIB, MIB / 2, 3 * MIB / 2, MIB - 1, 4_097];
    let contents: Vec<Bytes> = (0..).zip(sizes).map(|(seed, size)| content(seed, size)).collect();
    store.put(&name, contents[0].clone()).await.unwrap();
    let writing = Arc::new(AtomicBool::new(true));
    let reader = tokio::spawn({
        let (store, name, contents) = (world.open().await, name.clone(), contents.clone());
        let writing = Arc::clone(&writing);
        async move {
            let mut reads = 0;
            while writing.load(Ordering::Relaxed) || reads == 0 {
                let bytes = store.get(&name).await.unwrap();
                assert!(contents.contains(&bytes), "a mixture of {} bytes", bytes.len());
                reads += 1;
            }
        }
    });
    let mut writers = Vec::new();
    for bytes in contents.clone() {
        let (store, name) = (world.open().await, name.clone());
        writers.push(tokio::spawn(async move {
            for _ in 0..5 {
                store.put(&name, bytes.clone()).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    writing.store(false, Ordering::Relaxed);
    reader.await.unwrap();
    assert!(contents.contains(&store.get(&name).await.unwrap()));
    assert_eq!(store.list("", None, 10).await.unwrap(), [name]);
}

macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod on_files {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::World::new(super::Kind::Files).await).await; })*
        }
        mod on_s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::World::new(super::Kind::S3).await).await; })*
        }
    };
}

over_both!(
    an_object_is_put_replaced_and_deleted,
    a_missing_object_is_named,
    sizes_are_bounded,
    keys_of_every_form,
    a_list_is_ordered_and_paged,
    concurrent_puts_of_one_key,
);

/// A URL that names no implementation, and a configuration that cannot work, are refused before anything is opened.
#[tokio::test]
async fn what_cannot_be_opened_is_said() {
    for url in
        ["", "s3:/bucket", "s3://", "s3:///prefix", "http://x", "file:", "s3://bucket/.hidden"]
    {
        let config = ObjectStoreConfig { url: url.to_owned(), ..ObjectStoreConfig::default() };
        let error = open(&config).await.unwrap_err();
        assert!(matches!(error, ObjectStoreError::BadUrl { .. }), "{url}");
        assert!(!error.class().is_retryable());
        let mut problems = sidereal_service::config::Problems::default();
        config.validate("object_store", &mut problems);
        assert_eq!(problems.found().len(), 1, "{url}");
    }
    let config = ObjectStoreConfig {
        url: "s3://bucket".to_owned(),
        endpoint: Some("127.0.0.1:9000".to_owned()),
        secret_access_key: Secret::new(SECRET.to_owned()),
        ..ObjectStoreConfig::default()
    };
    let mut problems = sidereal_service::config::Problems::default();
    config.validate("object_store", &mut problems);
    assert_eq!(problems.found().len(), 2, "an endpoint that is no URL, a secret without a key id");
    assert!(!format!("{problems:?} {config:?}").contains(SECRET));
}

/// Folders of `path`, with it, that hold a file.
fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
