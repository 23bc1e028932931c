//! A proof with its claim, and its form on disk and on the wire.
//!
//! Layout: eight bytes of magic, a format version (`u16`, little endian), then one zstd frame that holds the
//! bincode (fixed-width little endian integers) of the claim and of S-two's proof.

use std::io::Read;

use bincode::Options;
use cairo_air::CairoProofForRustVerifier;
use serde::{Deserialize, Serialize};
use starknet_types_core::felt::Felt;
use stwo::core::vcs_lifted::blake2_merkle::Blake2sM31MerkleHasher;

/// Version that [`BlockProof::encode`] writes and the only one that [`BlockProof::decode`] reads.
pub const FORMAT_VERSION: u16 = 1;
/// Longest encoded proof, in bytes, that is read. A proof has some 1.3 MB.
pub const MAX_ENCODED_BYTES: usize = 16 << 20;
/// Longest proof, in bytes, after decompression.
pub const MAX_DECODED_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"SDRLPRF\0";
const HEADER_BYTES: usize = MAGIC.len() + size_of::<u16>();
/// The entropy of a proof is high: higher levels only cost time.
const COMPRESSION_LEVEL: i32 = 3;

/// S-two's proof of one bootloader run, without the prover's auxiliary data.
pub type CairoProof = CairoProofForRustVerifier<Blake2sM31MerkleHasher>;

/// A Cairo proof and what it claims to prove.
///
/// Nothing in it is to be believed before [`crate::verify`] has accepted it.
#[derive(Clone, Serialize, Deserialize)]
pub struct BlockProof {
    /// Claimed Blake2s program hash of the task (as the bootloader computes it).
    pub program_hash: Felt,
    /// Claimed output of the task; for a block, what StarknetOS wrote.
    pub output: Vec<Felt>,
    /// The proof of the bootloader's run.
    pub cairo: CairoProof,
}

/// Why a proof could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The values could not be laid out as bytes.
    #[error("lay out a block proof as bytes")]
    Layout(#[source] bincode::Error),
    /// The bytes could not be compressed.
    #[error("compress a block proof")]
    Compress(#[source] std::io::Error),
    /// The result is longer than any reader accepts.
    #[error("a block proof of {bytes} bytes is longer than the {MAX_ENCODED_BYTES} that are read")]
    TooLong {
        /// Length of the encoded proof.
        bytes: usize,
    },
}

/// Why bytes are not a proof.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`MAX_ENCODED_BYTES`].
    #[error("a block proof of {bytes} bytes is longer than the {MAX_ENCODED_BYTES} that are read")]
    TooLong {
        /// Length of the input.
        bytes: usize,
    },
    /// The first bytes are not those of a block proof.
    #[error("not a block proof: it does not start with the magic bytes")]
    Magic,
    /// Written by another version of this program.
    #[error("block proof has format version {found}, and {FORMAT_VERSION} is read")]
    Version {
        /// The version that was found.
        found: u16,
    },
    /// Decompression failed, or gave more than [`MAX_DECODED_BYTES`].
    #[error("decompress a block proof")]
    Decompress(#[source] std::io::Error),
    /// Decompression gave more than [`MAX_DECODED_BYTES`].
    #[error("block proof decompresses to more than {MAX_DECODED_BYTES} bytes")]
    Bomb,
    /// The decompressed bytes are not a proof.
    #[error("read the fields of a block proof")]
    Layout(#[source] bincode::Error),
}

fn layout() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(MAX_DECODED_BYTES)
        .reject_trailing_bytes()
}

impl BlockProof {
    /// Bytes that [`Self::decode`] reads back.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let plain = layout().serialize(self).map_err(EncodeError::Layout)?;
        let body =
            zstd::bulk::compress(&plain, COMPRESSION_LEVEL).map_err(EncodeError::Compress)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&body);
        if bytes.len() > MAX_ENCODED_BYTES {
            return Err(EncodeError::TooLong { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a proof from untrusted bytes. Memory is bounded by a small multiple of [`MAX_DECODED_BYTES`];
    /// that the result is a *valid* proof only [`crate::verify`] says.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_ENCODED_BYTES {
            return Err(DecodeError::TooLong { bytes: bytes.len() });
        }
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(DecodeError::Magic)?;
        if *magic != MAGIC {
            return Err(DecodeError::Magic);
        }
        let (version, body) = rest.split_first_chunk::<2>().ok_or(DecodeError::Magic)?;
        let found = u16::from_le_bytes(*version);
        if found != FORMAT_VERSION {
            return Err(DecodeError::Version { found });
        }
        let mut plain = Vec::new();
        zstd::stream::read::Decoder::new(body)
            .map_err(DecodeError::Decompress)?
            .take(MAX_DECODED_BYTES + 1)
            .read_to_end(&mut plain)
            .map_err(DecodeError::Decompress)?;
        if plain.len() as u64 > MAX_DECODED_BYTES {
            return Err(DecodeError::Bomb);
        }
        layout().deserialize(&plain).map_err(DecodeError::Layout)
    }
}

impl std::fmt::Debug for BlockProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockProof")
            .field("program_hash", &self.program_hash)
            .field("output_felts", &self.output.len())
            .finish_non_exhaustive()
    }
}
