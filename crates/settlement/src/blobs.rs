//! The blobs of an update: commitments, openings, and the sidecar in the form that the chain wants.

use alloy::eips::eip4844::{
    Blob as SidecarBlob, BlobTransactionSidecar, Bytes48, kzg_to_versioned_hash,
};
use alloy::eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant};
use alloy::hex;
use alloy::primitives::{Address, B256, address};
use c_kzg::{Blob, Bytes32, KzgSettings, ethereum_kzg_settings};
use num_bigint::BigUint;
use sidereal_os_aggregator::{MAX_BLOBS, blobs};
use sidereal_starknet_os::{BlobCommitments, BlobError, KzgCommitment};
use starknet_types_core::felt::Felt;

/// A point of G1, compressed.
type Point = [u8; 48];

/// Data that an output does not commit to, or none that can be committed to.
#[derive(Debug, thiserror::Error)]
pub enum BlobsError {
    /// There is not a blob for each commitment.
    #[error("the data fills {found} blobs, the output commits to {expected}")]
    Count {
        /// Blobs of the data.
        found: usize,
        /// Commitments in the output.
        expected: usize,
    },
    /// No blob, or more than one transaction may carry.
    #[error("{0} blobs do not go into one transaction")]
    TooMany(usize),
    /// A blob cannot be made.
    #[error("make the blobs of the data")]
    Blob(#[source] BlobError),
    /// The KZG library has refused one.
    #[error("{operation} for blob {blob}")]
    Kzg {
        /// What it was to compute.
        operation: &'static str,
        /// Index of the blob.
        blob: usize,
        /// Its cause.
        #[source]
        source: c_kzg::Error,
    },
    /// A blob is another than the output commits to.
    #[error("blob {blob} has another commitment than the output says")]
    Commitment {
        /// Index of the blob.
        blob: usize,
    },
    /// A blob has another value at the output's point than the output says.
    #[error("blob {blob} has another value than the output says")]
    Evaluation {
        /// Index of the blob.
        blob: usize,
    },
}

/// The wrapper of a blob transaction on its way to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SidecarForm {
    /// One proof a blob: up to the fork Prague.
    Eip4844,
    /// A proof for each of a blob's 128 cells, with version 1: from the fork Osaka on.
    Eip7594,
}

impl SidecarForm {
    /// Contract to call to tell the forks apart: Osaka brought both cell proofs and, there, the check of a P-256
    /// signature (EIP-7951). Nodes are asked for what they execute, as few of them say which fork they are at.
    pub const PROBE_ADDRESS: Address = address!("0x0000000000000000000000000000000000000100");

    /// Input of that call: hash, r, s, x, y of a valid signature (a test vector of RIP-7212).
    pub const PROBE_INPUT: [u8; 160] = hex!(
        "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
        "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
        "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
        "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
        "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
    );

    /// The form that a chain wants which has answered the call so.
    pub fn of_probe_answer(answer: &[u8]) -> Self {
        // Before Osaka there is nothing at the address, and a call to nothing succeeds with nothing.
        if answer.last() == Some(&1) { Self::Eip7594 } else { Self::Eip4844 }
    }
}

/// The blobs of one update.
#[derive(Clone)]
pub struct UpdateBlobs {
    blobs: Vec<Blob>,
    commitments: Vec<Point>,
    openings: Vec<Point>,
    versioned_hashes: Vec<B256>,
}

impl std::fmt::Debug for UpdateBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A blob has 128 KiB.
        f.debug_struct("UpdateBlobs").field("versioned_hashes", &self.versioned_hashes).finish()
    }
}

impl UpdateBlobs {
    /// The blobs of `data`, opened where `expected` says.
    ///
    /// # Errors
    /// When they are not those that `expected` is about.
    pub fn new(expected: &BlobCommitments, data: &[Felt]) -> Result<Self, BlobsError> {
        let blobs = blobs(data).map_err(BlobsError::Blob)?;
        if blobs.len() != expected.commitments.len() || blobs.len() != expected.evaluations.len() {
            return Err(BlobsError::Count {
                found: blobs.len(),
                expected: expected.commitments.len(),
            });
        }
        if !(1..=MAX_BLOBS).contains(&blobs.len()) {
            return Err(BlobsError::TooMany(blobs.len()));
        }
        let point = Bytes32::new(expected.point.to_bytes_be());
        let (mut commitments, mut openings) = (Vec::new(), Vec::new());
        for (index, blob) in blobs.iter().enumerate() {
            let kzg = |operation| move |source| BlobsError::Kzg { operation, blob: index, source };
            let commitment = commit(blob).map_err(kzg("commit"))?;
            if commitment != commitment_bytes(&expected.commitments[index]) {
                return Err(BlobsError::Commitment { blob: index });
            }
            let (opening, value) =
                settings().compute_kzg_proof(blob, &point).map_err(kzg("open"))?;
            if BigUint::from_bytes_be(value.as_ref()) != expected.evaluations[index] {
                return Err(BlobsError::Evaluation { blob: index });
            }
            commitments.push(commitment);
            openings.push(opening.to_bytes().into_inner());
        }
        let versioned_hashes =
            commitments.iter().map(|commitment| kzg_to_versioned_hash(commitment)).collect();
        Ok(Self { blobs, commitments, openings, versioned_hashes })
    }

    /// What the transaction carries in their place.
    pub fn versioned_hashes(&self) -> &[B256] {
        &self.versioned_hashes
    }

    /// KZG proofs of their values at the output's point, for the call.
    pub fn openings(&self) -> &[Point] {
        &self.openings
    }

    /// What goes to the pool with the transaction.
    ///
    /// Cell proofs take about a quarter of a second a blob.
    ///
    /// # Errors
    /// When the KZG library fails; not for blobs that [`UpdateBlobs::new`] has accepted.
    pub fn sidecar(&self, form: SidecarForm) -> Result<BlobTransactionSidecarVariant, BlobsError> {
        let blobs = self.blobs.iter().map(|blob| SidecarBlob::from_slice(&blob[..])).collect();
        let commitments = self.commitments.iter().map(|bytes| Bytes48::from(*bytes)).collect();
        let mut proofs = Vec::new();
        for (index, blob) in self.blobs.iter().enumerate() {
            let kzg = |operation| move |source| BlobsError::Kzg { operation, blob: index, source };
            match form {
                SidecarForm::Eip4844 => {
                    let commitment = c_kzg::Bytes48::new(self.commitments[index]);
                    let proof = settings()
                        .compute_blob_kzg_proof(blob, &commitment)
                        .map_err(kzg("prove"))?;
                    proofs.push(Bytes48::from(proof.to_bytes().into_inner()));
                }
                SidecarForm::Eip7594 => {
                    let (_, cells) = settings()
                        .compute_cells_and_kzg_proofs(blob)
                        .map_err(kzg("prove the cells"))?;
                    proofs.extend(
                        cells.iter().map(|proof| Bytes48::from(proof.to_bytes().into_inner())),
                    );
                }
            }
        }
        Ok(match form {
            SidecarForm::Eip4844 => {
                BlobTransactionSidecarVariant::Eip4844(BlobTransactionSidecar {
                    blobs,
                    commitments,
                    proofs,
                })
            }
            SidecarForm::Eip7594 => BlobTransactionSidecarVariant::Eip7594(
                BlobTransactionSidecarEip7594::new(blobs, commitments, proofs),
            ),
        })
    }
}

/// The versioned hash by which L1 knows a blob.
///
/// # Errors
/// When a value in the blob is none of the field.
pub fn versioned_hash(blob: &Blob) -> Result<B256, c_kzg::Error> {
    Ok(kzg_to_versioned_hash(&commit(blob)?))
}

/// The commitment to a blob.
pub(crate) fn commit(blob: &Blob) -> Result<Point, c_kzg::Error> {
    Ok(settings().blob_to_kzg_commitment(blob)?.to_bytes().into_inner())
}

/// A commitment from its halves in an output, each of 192 bits.
pub(crate) fn commitment_bytes(commitment: &KzgCommitment) -> Point {
    let mut bytes = [0; 48];
    bytes[..24].copy_from_slice(&commitment.high.to_bytes_be()[8..]);
    bytes[24..].copy_from_slice(&commitment.low.to_bytes_be()[8..]);
    bytes
}

/// Ethereum's ceremony, without tables for speed, which take more memory than they save time here.
fn settings() -> &'static KzgSettings {
    ethereum_kzg_settings(0)
}
