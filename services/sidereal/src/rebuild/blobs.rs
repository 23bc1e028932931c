//! Where an update's blobs come from: a folder in which an operator keeps them, and the Beacon API, which forgets.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use sidereal_l1_settler::{BLOB_BYTES, Beacon, BeaconError, BlockIds, L1, L1Error, L1Update};
use sidereal_settlement::{Blob, versioned_hash};

/// A blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlobSourceError {
    /// The folder.
    #[error("{operation} {}", path.display())]
    Folder {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file in the folder is another blob than its name says.
    #[error("{} is not the blob that its name says", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
    },
    /// It is not in the folder, and there is nobody to ask.
    #[error(
        "blob {hash} of L1's block {block} is not at hand; --beacon-url names who may have it, --blobs a folder"
    )]
    NobodyToAsk {
        /// The blob.
        hash: B256,
        /// The block.
        block: u64,
    },
    /// The beacon node.
    #[error("get blob {hash} of L1's block {block}")]
    Beacon {
        /// The blob.
        hash: B256,
        /// The block.
        block: u64,
        /// The cause.
        #[source]
        source: BeaconError,
    },
    /// The block's time.
    #[error("find the slot of L1's block {block}")]
    Time {
        /// The block.
        block: u64,
        /// The cause.
        #[source]
        source: L1Error,
    },
    /// The beacon chain began after the block.
    #[error("L1's block {block} is older than the beacon chain")]
    TooOld {
        /// The block.
        block: u64,
    },
}

/// Looks into the folder first, and keeps there what the beacon node gave.
#[derive(Clone, Debug)]
pub struct BlobSource {
    /// Files `<versioned hash>.blob`, each a blob's bytes.
    pub folder: Option<PathBuf>,
    /// The beacon node, and how it calls its blocks.
    pub beacon: Option<(Beacon, BlockIds)>,
}

impl BlobSource {
    /// The blobs of an update, in order, each with the versioned hash that L1 knows it by.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn blobs(&self, l1: &L1, update: &L1Update) -> Result<Vec<Blob>, BlobSourceError> {
        let mut blobs = Vec::new();
        for hash in &update.event.blobs {
            blobs.push(*match self.kept(*hash)? {
                Some(blob) => blob,
                None => self.ask(l1, update, *hash).await?,
            });
        }
        Ok(blobs)
    }

    async fn ask(
        &self,
        l1: &L1,
        update: &L1Update,
        hash: B256,
    ) -> Result<Box<Blob>, BlobSourceError> {
        let block = update.block;
        let Some((beacon, ids)) = &self.beacon else {
            return Err(BlobSourceError::NobodyToAsk { hash, block });
        };
        let time = l1.block_time(update.block_hash).await;
        let time = time.map_err(|source| BlobSourceError::Time { block, source })?;
        let id = ids.of_block(block, time).ok_or(BlobSourceError::TooOld { block })?;
        let blob = beacon.blob(id, hash).await.map_err(|source| BlobSourceError::Beacon {
            hash,
            block,
            source,
        })?;
        self.keep(hash, &blob)?;
        Ok(blob)
    }

    fn kept(&self, hash: B256) -> Result<Option<Box<Blob>>, BlobSourceError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = file(folder, hash);
        let failed =
            |source| BlobSourceError::Folder { operation: "read", path: path.clone(), source };
        let content = match std::fs::File::open(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut bytes = Vec::new();
        // One byte more shows that there are more.
        content.take(BLOB_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        match Blob::from_bytes(&bytes).map(Box::new) {
            Ok(blob) if versioned_hash(&blob).is_ok_and(|found| found == hash) => Ok(Some(blob)),
            _ => Err(BlobSourceError::OtherFile { path }),
        }
    }

    fn keep(&self, hash: B256, blob: &Blob) -> Result<(), BlobSourceError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = file(folder, hash);
        let partial = path.with_extension("partial");
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&partial, &blob[..]))
            .and_then(|()| std::fs::rename(&partial, &path))
            .map_err(|source| BlobSourceError::Folder { operation: "write", path, source })
    }
}

fn file(folder: &Path, hash: B256) -> PathBuf {
    folder.join(format!("{hash}.blob"))
}
