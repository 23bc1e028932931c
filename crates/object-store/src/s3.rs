//! Objects in a bucket of S3 or of a server that speaks its protocol.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use crate::{MAX_LISTED, ObjectKey, ObjectStore, ObjectStoreConfig, ObjectStoreError};

/// Pages that one list may take: more only when the bucket is full of names that are no keys.
const MAX_PAGES: usize = 1_000;

/// A bucket, or the part of it below a prefix. An object of S3 is visible whole or not at all, and durable when
/// the request was answered.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
    max_object_bytes: u64,
    timeout: Duration,
}

impl S3Store {
    pub(crate) async fn connect(
        config: &ObjectStoreConfig,
        bucket: String,
        prefix: String,
    ) -> Self {
        let timeout = Duration::from_millis(config.timeout_ms);
        let mut loader = aws_config::from_env()
            .region(Region::new(config.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(timeout.min(Duration::from_secs(5)))
                    .operation_attempt_timeout(timeout)
                    .build(),
            );
        if let Some(endpoint) = &config.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(key_id) = &config.access_key_id {
            let secret = config.secret_access_key.expose().clone();
            loader = loader.credentials_provider(Credentials::new(
                key_id,
                secret,
                None,
                None,
                "configuration",
            ));
        }
        let shared = loader.load().await;
        let config_of_client =
            aws_sdk_s3::config::Builder::from(&shared).force_path_style(config.path_style).build();
        let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}/") };
        Self {
            client: Client::from_conf(config_of_client),
            bucket,
            prefix,
            max_object_bytes: config.max_object_bytes,
            timeout,
        }
    }

    fn name(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn read(
        &self,
        key: &ObjectKey,
        announced: u64,
        mut body: ByteStream,
    ) -> Result<Bytes, ObjectStoreError> {
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
        // The announced length is a claim; the bound holds for what really comes.
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| ObjectStoreError::failed("reading", key, error))?;
            self.check_size(key, bytes.len() as u64 + part.len() as u64)?;
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.into())
    }

    fn check_size(&self, key: &ObjectKey, size: u64) -> Result<(), ObjectStoreError> {
        if size > self.max_object_bytes {
            return Err(ObjectStoreError::TooLarge {
                key: key.to_string(),
                size,
                limit: self.max_object_bytes,
            });
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectStoreError> {
        self.check_size(key, bytes.len() as u64)?;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.name(key))
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| failure("writing", key, error))?;
        Ok(())
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes, ObjectStoreError> {
        let answer =
            match self.client.get_object().bucket(&self.bucket).key(self.name(key)).send().await {
                Ok(answer) => answer,
                Err(SdkError::ServiceError(error))
                    if matches!(error.err(), GetObjectError::NoSuchKey(_)) =>
                {
                    return Err(ObjectStoreError::NotFound { key: key.to_string() });
                }
                Err(error) => return Err(failure("reading", key, error)),
            };
        let announced = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or_default();
        self.check_size(key, announced)?;
        let reading = self.read(key, announced, answer.body);
        match tokio::time::timeout(self.timeout, reading).await {
            Ok(read) => read,
            Err(elapsed) => Err(ObjectStoreError::failed("reading", key, elapsed)),
        }
    }

    async fn exists(&self, key: &ObjectKey) -> Result<bool, ObjectStoreError> {
        match self.client.head_object().bucket(&self.bucket).key(self.name(key)).send().await {
            Ok(_) => Ok(true),
            // An answer to HEAD has no body that could name the error, so the status must do.
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), HeadObjectError::NotFound(_))
                    || error.raw().status().as_u16() == 404 =>
            {
                Ok(false)
            }
            Err(error) => Err(failure("looking for", key, error)),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectStoreError> {
        match self.client.delete_object().bucket(&self.bucket).key(self.name(key)).send().await {
            Ok(_) => Ok(()),
            // Amazon's S3 answers success for an object that is not there, others answer 404.
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => Ok(()),
            Err(error) => Err(failure("deleting", key, error)),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, ObjectStoreError> {
        let limit = limit.min(MAX_LISTED);
        let mut keys = Vec::with_capacity(limit);
        let mut after = after.map(|key| self.name(key));
        for _ in 0..MAX_PAGES {
            if keys.len() == limit {
                return Ok(keys);
            }
            // A server may answer less than it was asked for, and names that others put there are no keys.
            let answer = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(format!("{}{prefix}", self.prefix))
                .set_start_after(after.clone())
                .max_keys(i32::try_from(limit).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|error| failure("listing", prefix, error))?;
            let names = answer.contents().iter().filter_map(|object| object.key());
            let found = names
                .filter_map(|name| ObjectKey::parse(name.strip_prefix(&self.prefix)?).ok())
                .take(limit - keys.len());
            keys.extend(found);
            let last = answer.contents().last().and_then(|object| object.key());
            match last {
                Some(last) if answer.is_truncated() == Some(true) => after = Some(last.to_owned()),
                _ => return Ok(keys),
            }
        }
        let problem = format!("{MAX_PAGES} pages of names held only {} keys", keys.len());
        Err(ObjectStoreError::failed("listing", prefix, problem))
    }

    async fn check(&self) -> Result<(), ObjectStoreError> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failure("looking at bucket", &self.bucket, error)),
        }
    }
}

/// Tells a refusal, which trying again does not mend, from a failure, which it may.
fn failure<E>(operation: &'static str, key: impl ToString, error: SdkError<E>) -> ObjectStoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    if matches!(status, Some(401 | 403)) || error.code() == Some("NoSuchBucket") {
        return ObjectStoreError::Refused { operation, key: key.to_string(), source: error.into() };
    }
    ObjectStoreError::failed(operation, key, error)
}
