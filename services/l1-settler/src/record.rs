//! What a deployment leaves behind for everybody who has to find it again: the settler, verifiers, indexers.

use std::io;
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 16;

/// Where on L1 a rollup is. A JSON file that holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentRecord {
    /// The rollup's own chain id.
    pub chain_id: String,
    /// The chain id of L1.
    pub l1_chain_id: u64,
    /// JSON-RPC of L1, where it is no secret: a dev chain's own node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l1_url: Option<String>,
    /// The Beacon API of L1, which has the blobs, where it is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon_url: Option<String>,
    /// The rollup's contract.
    pub rollup_core: Address,
    /// The last proof's verifier.
    pub verifier: Address,
    /// The block of L1 that the rollup's contract came with: nothing of it is in blocks before.
    pub l1_block: u64,
    /// Who settles at any time.
    pub operator: Address,
    /// Who replaces the proof system, behind the time lock.
    pub governance: Address,
}

/// A record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is no record.
    #[error("{} is not the record of a deployment", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl DeploymentRecord {
    /// Reads a record; none if there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        use io::Read as _;
        let failed = |source| RecordError::Io { operation: "read", path: path.to_owned(), source };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        let malformed = |source| RecordError::Malformed { path: path.to_owned(), source };
        serde_json::from_str(&text).map(Some).map_err(malformed)
    }

    /// Writes the record. A file that is there is replaced, and only by a whole one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let malformed = |source| RecordError::Malformed { path: path.to_owned(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(malformed)?;
        text.push(b'\n');
        let failed = |source| RecordError::Io { operation: "write", path: path.to_owned(), source };
        let partial = path.with_extension("partial");
        std::fs::write(&partial, text).map_err(failed)?;
        std::fs::rename(&partial, path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that a record survives its file, and that another file is not taken for one.
    #[test]
    fn a_record_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l1.json");
        assert_eq!(DeploymentRecord::read(&path).unwrap(), None);
        let record = DeploymentRecord {
            chain_id: "SN_TEST".to_owned(),
            l1_chain_id: 31_337,
            l1_url: Some("http://127.0.0.1:8545".to_owned()),
            beacon_url: None,
            rollup_core: Address::repeat_byte(1),
            verifier: Address::repeat_byte(2),
            l1_block: 3,
            operator: Address::repeat_byte(4),
            governance: Address::repeat_byte(5),
        };
        record.write(&path).unwrap();
        assert_eq!(DeploymentRecord::read(&path).unwrap(), Some(record));
        std::fs::write(&path, "{\"chain_id\": \"SN_TEST\"}").unwrap();
        assert!(matches!(DeploymentRecord::read(&path), Err(RecordError::Malformed { .. })));
    }
}
