//! A proof of a circuit of ours, and its form on disk and on the wire.

use bincode::Options;
use circuit_verifier::circuit_components::N_COMPONENTS;
use serde::{Deserialize, Serialize};
use stwo::core::fields::qm31::QM31;
use stwo::core::proof::StarkProof;

use crate::circuit::CircuitKind;
use crate::digest::Digest;
use crate::unfold::Hasher;

/// Version that [`CircuitProof::encode`] writes and the only one that [`CircuitProof::decode`] reads.
pub const FORMAT_VERSION: u16 = 1;
/// Longest encoded proof, in bytes, that is read. The longest that is made has some 600 KB.
pub const MAX_ENCODED_BYTES: usize = 4 << 20;

const MAGIC: [u8; 8] = *b"SDRLCRC\0";

/// A proof that a circuit has an assignment with this output. Nothing in it is to be believed before
/// [`crate::verify`] has accepted it.
#[derive(Clone, Serialize, Deserialize)]
pub struct CircuitProof {
    /// Which circuit.
    pub kind: CircuitKind,
    /// Its output.
    pub output: Digest,
    /// The proof of work before the lookups' randomness is drawn.
    pub interaction_pow: u64,
    /// Each component's sum of the lookup argument.
    pub claimed_sums: [QM31; N_COMPONENTS],
    /// The STARK itself.
    pub stark: StarkProof<Hasher>,
}

/// Why bytes are not a circuit's proof.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`MAX_ENCODED_BYTES`].
    #[error(
        "a circuit's proof of {bytes} bytes is longer than the {MAX_ENCODED_BYTES} that are read"
    )]
    TooLong {
        /// Length of the input.
        bytes: usize,
    },
    /// The first bytes are not those of a circuit's proof.
    #[error("not a circuit's proof: it does not start with the magic bytes")]
    Magic,
    /// Written by another version of this program.
    #[error("circuit's proof has format version {found}, and {FORMAT_VERSION} is read")]
    Version {
        /// The version that was found.
        found: u16,
    },
    /// The bytes behind the header are not a proof.
    #[error("read the fields of a circuit's proof")]
    Layout(#[source] bincode::Error),
}

fn layout() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(MAX_ENCODED_BYTES as u64)
        .reject_trailing_bytes()
}

impl CircuitProof {
    /// Bytes that [`Self::decode`] reads back: magic, format version (`u16`, little endian), bincode. They are not
    /// compressed; what a proof consists of looks random.
    pub fn encode(&self) -> Result<Vec<u8>, bincode::Error> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        layout().serialize_into(&mut bytes, self)?;
        Ok(bytes)
    }

    /// Reads a proof from untrusted bytes; that the result is a *valid* proof only [`crate::verify`] says.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_ENCODED_BYTES {
            return Err(DecodeError::TooLong { bytes: bytes.len() });
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(DecodeError::Magic)?;
        let (version, body) = rest.split_first_chunk::<2>().ok_or(DecodeError::Magic)?;
        let found = u16::from_le_bytes(*version);
        if found != FORMAT_VERSION {
            return Err(DecodeError::Version { found });
        }
        layout().deserialize(body).map_err(DecodeError::Layout)
    }
}

impl std::fmt::Debug for CircuitProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitProof")
            .field("kind", &self.kind)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}
