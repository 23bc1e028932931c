//! What a walk needs, in one file: the transaction asked for, the block's witness and the block's proof.

use std::io::{Read as _, Write as _};
use std::path::Path;

use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

/// The first bytes of a bundle: name and version.
const MAGIC: &[u8; 8] = b"SIDBUND\x01";
/// Largest witness or proof that is read, in bytes.
pub const MAX_PART_BYTES: u64 = 64 << 20;

/// A transaction with all that shows that it was executed and proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub transaction_hash: TransactionHash,
    /// `BlockWitness`, encoded.
    pub witness: Vec<u8>,
    /// `BlockProof`, encoded.
    pub proof: Vec<u8>,
}

/// Why a file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("cannot {what} {path}")]
    File {
        what: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not a bundle of this version")]
    NotABundle { path: String },
    #[error("{path} is a damaged bundle: {problem}")]
    Damaged { path: String, problem: String },
}

impl Bundle {
    /// Writes the bundle; a file that is there is replaced only by a whole one.
    pub fn save(&self, path: &Path) -> Result<(), BundleError> {
        let failed = |what| {
            move |source| BundleError::File { what, path: path.display().to_string(), source }
        };
        let partial = path.with_extension("partial");
        let mut file = std::fs::File::create(&partial).map_err(failed("create"))?;
        let mut bytes = Vec::with_capacity(64 + self.witness.len() + self.proof.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.transaction_hash.0.to_bytes_be());
        for part in [&self.witness, &self.proof] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        file.write_all(&bytes).map_err(failed("write"))?;
        file.sync_all().map_err(failed("write"))?;
        std::fs::rename(&partial, path).map_err(failed("rename"))
    }

    /// Reads a bundle. Nothing in it is believed yet.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let name = path.display().to_string();
        let damaged = |problem: &str| BundleError::Damaged {
            path: name.clone(),
            problem: problem.to_owned(),
        };
        let mut file = std::fs::File::open(path)
            .map_err(|source| BundleError::File { what: "open", path: name.clone(), source })?
            .take(2 * MAX_PART_BYTES + 1024);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| BundleError::File {
            what: "read",
            path: name.clone(),
            source,
        })?;
        let not_a_bundle = || BundleError::NotABundle { path: name.clone() };
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(not_a_bundle)?;
        let (hash, rest) =
            rest.split_first_chunk::<32>().ok_or_else(|| damaged("it is cut off"))?;
        let hash_felt = Felt::from_bytes_be(hash);
        if hash_felt.to_bytes_be() != *hash {
            return Err(damaged("its transaction hash is not a felt"));
        }
        let (witness, rest) = part(rest).ok_or_else(|| damaged("the witness is cut off"))?;
        let (proof, rest) = part(rest).ok_or_else(|| damaged("the proof is cut off"))?;
        if !rest.is_empty() {
            return Err(damaged("something follows the proof"));
        }
        Ok(Self {
            transaction_hash: TransactionHash(hash_felt),
            witness: witness.to_vec(),
            proof: proof.to_vec(),
        })
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        Bundle {
            transaction_hash: TransactionHash(Felt::from(7)),
            witness: vec![1, 2, 3],
            proof: vec![4; 100],
        }
    }

    #[test]
    fn a_bundle_survives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tx.bundle");
        bundle().save(&path).unwrap();
        assert_eq!(Bundle::read(&path).unwrap(), bundle());
    }

    /// A file that was cut at any place, or got something behind its end, is refused.
    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tx.bundle");
        bundle().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Bundle::read(&path).is_err(), "cut to {length} bytes");
        }
        let mut longer = whole.clone();
        longer.push(0);
        std::fs::write(&path, &longer).unwrap();
        assert!(matches!(Bundle::read(&path), Err(BundleError::Damaged { .. })));
    }
}
