//! A real S3 server in this process: its objects are files below a folder, its port stays the same when it restarts.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio::task::{JoinHandle, JoinSet};

pub const BUCKET: &str = "sidereal";
pub const KEY_ID: &str = "AKIDFORTESTS";
pub const SECRET: &str = "b5f1c0de-not-to-be-printed";
/// Names that one answer to a list holds, whatever was asked for: a server may do that.
const NAMES_PER_ANSWER: i32 = 3;

pub struct S3Server {
    service: S3Service,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Serves the buckets below `folder`, of which [`BUCKET`] is made.
    pub async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join(BUCKET)).unwrap();
        let files = FileSystem::new(folder).unwrap();
        let mut builder = S3ServiceBuilder::new(Atomic { files, lock: RwLock::new(()) });
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Self { service: builder.build(), address, accepting: None };
        server.serve(listener);
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn serve(&mut self, listener: TcpListener) {
        let service = self.service.clone();
        self.accepting = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let service = service.clone();
                connections.spawn(async move {
                    // A client that goes away is none of the server's business.
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        }));
    }

    /// Breaks every connection and stops listening.
    pub async fn stop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _ = accepting.await;
        }
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        let started = Instant::now();
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(error) => {
                    assert!(started.elapsed() < Duration::from_secs(10), "{error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        self.serve(listener);
    }
}

/// `s3s-fs` keeps an object's checksum beside the object, and replaces the two one after the other; S3 replaces an
/// object as a whole. The lock makes up for that.
struct Atomic {
    files: FileSystem,
    lock: RwLock<()>,
}

#[async_trait]
impl S3 for Atomic {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let _alone = self.lock.write().await;
        self.files.put_object(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let _shared = self.lock.read().await;
        self.files.get_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let _shared = self.lock.read().await;
        self.files.head_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let _alone = self.lock.write().await;
        self.files.delete_object(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(request).await
    }

    async fn list_objects_v2(
        &self,
        mut request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let _shared = self.lock.read().await;
        let asked = request.input.max_keys.unwrap_or(1_000);
        request.input.max_keys = Some(asked.min(NAMES_PER_ANSWER));
        self.files.list_objects_v2(request).await
    }
}
