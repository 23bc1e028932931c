//! The proof, and its form in calldata.
//!
//! ```text
//! trace root 24 | interaction nonce 8 | claimed sums 11 * 16 | interaction root 24 | composition root 24
//! sampled values 16 each | FRI roots 24 each | last layer 16 * 2^log_last_layer | query nonce 8
//! then at each queried position, in ascending order without repetition:
//!     the values of the four trees, 4 each, in the order in which their leaves hash them
//! then for each Merkle node that does not follow, layer by layer from the leaves:
//!     its hash in each of the four trees, 24 each
//! then for each FRI layer:
//!     values that do not follow from the layer before, 16 each | Merkle hashes 24 each
//! ```
//!
//! Integers are big endian, field elements below 2^31-1. Up to the query nonce the key alone determines the length;
//! what follows is determined by the queries, hence by the bytes before it. A proof therefore has one encoding.

use circuit_verifier::circuit_components::N_COMPONENTS;
use stwo::core::fields::m31::{BaseField, P};
use stwo::core::fields::qm31::SecureField;
use thiserror::Error;

use crate::channel::felts_to_bytes;
use crate::key::{Layout, VerificationKey};
use crate::merkle::{HASH_BYTES, KeccakHash};
use crate::transcript::Transcript;
use crate::verify::{FinalVerifyError, output_values};

/// Longest encoding that is read, bytes. A proof with [`Parameters::ETHEREUM`](crate::Parameters::ETHEREUM) has some
/// 100 KB.
pub const MAX_CALLDATA_BYTES: usize = 1 << 20;

/// A proof that a circuit was evaluated, over Keccak-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalProof {
    pub head: Head,
    /// Preprocessed, trace, interaction, composition.
    pub openings: [TreeOpening; 4],
    /// The first layer of FRI, then the inner ones.
    pub fri_openings: Vec<FriOpening>,
}

/// Everything that the prover says before the queries are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub trace_root: KeccakHash,
    pub interaction_nonce: u64,
    /// The sum of each component's lookups.
    pub claimed_sums: [SecureField; N_COMPONENTS],
    pub interaction_root: KeccakHash,
    pub composition_root: KeccakHash,
    /// The columns out of the domain, tree by tree; where a column has two samples, the row before comes first.
    pub sampled_values: Vec<SecureField>,
    pub fri_roots: Vec<KeccakHash>,
    /// Coefficients of the last polynomial of FRI, in S-two's (bit-reversed) order.
    pub last_layer: Vec<SecureField>,
    pub query_nonce: u64,
}

/// A trace's Merkle tree at the queried positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeOpening {
    /// For each position, the values in the order in which the leaf hashes them.
    pub values: Vec<Vec<BaseField>>,
    /// The siblings that do not follow, layer by layer from the leaves.
    pub hashes: Vec<KeccakHash>,
}

/// A layer of FRI around the queried positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FriOpening {
    /// The values of each coset that the verifier cannot compute.
    pub values: Vec<SecureField>,
    pub hashes: Vec<KeccakHash>,
}

/// Why bytes are no proof.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("a proof has at most {MAX_CALLDATA_BYTES} bytes, not {0}")]
    TooLong(usize),
    #[error("the proof ends at byte {0}, before everything is read")]
    Truncated(usize),
    #[error("{0} bytes follow the proof")]
    TrailingBytes(usize),
    #[error("byte {0} of the proof begins a field element that is not below 2^31-1")]
    NonCanonical(usize),
    #[error("the openings cannot be delimited: {0}")]
    Head(#[from] Box<FinalVerifyError>),
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = &self.bytes[self.position..];
        let array = rest.first_chunk().ok_or(DecodeError::Truncated(self.bytes.len()))?;
        self.position += N;
        Ok(*array)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn hash(&mut self) -> Result<KeccakHash, DecodeError> {
        Ok(KeccakHash(self.array::<HASH_BYTES>()?))
    }

    fn base(&mut self) -> Result<BaseField, DecodeError> {
        let at = self.position;
        let value = u32::from_be_bytes(self.array()?);
        if value >= P {
            Err(DecodeError::NonCanonical(at))
        } else {
            Ok(BaseField::from_u32_unchecked(value))
        }
    }

    fn felt(&mut self) -> Result<SecureField, DecodeError> {
        Ok(SecureField::from_m31_array([self.base()?, self.base()?, self.base()?, self.base()?]))
    }

    fn many<T>(
        &mut self,
        n: usize,
        read: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        (0..n).map(|_| read(self)).collect()
    }
}

impl Head {
    fn read(
        reader: &mut Reader<'_>,
        key: &VerificationKey,
        layout: &Layout,
    ) -> Result<Self, DecodeError> {
        let trace_root = reader.hash()?;
        let interaction_nonce = reader.u64()?;
        let mut claimed_sums = [SecureField::default(); N_COMPONENTS];
        for sum in &mut claimed_sums {
            *sum = reader.felt()?;
        }
        Ok(Self {
            trace_root,
            interaction_nonce,
            claimed_sums,
            interaction_root: reader.hash()?,
            composition_root: reader.hash()?,
            sampled_values: reader.many(layout.n_samples(), Reader::felt)?,
            fri_roots: reader.many(key.n_fri_layers(), Reader::hash)?,
            last_layer: reader.many(1 << key.parameters.log_last_layer, Reader::felt)?,
            query_nonce: reader.u64()?,
        })
    }
}

impl FinalProof {
    /// The form that the contract reads; see the [module](self).
    pub fn to_calldata(&self) -> Vec<u8> {
        let Head {
            trace_root,
            interaction_nonce,
            claimed_sums,
            interaction_root,
            composition_root,
            sampled_values,
            fri_roots,
            last_layer,
            query_nonce,
        } = &self.head;
        let mut bytes = Vec::with_capacity(1 << 17);
        bytes.extend(trace_root.0);
        bytes.extend(interaction_nonce.to_be_bytes());
        bytes.extend(felts_to_bytes(claimed_sums));
        bytes.extend(interaction_root.0);
        bytes.extend(composition_root.0);
        bytes.extend(felts_to_bytes(sampled_values));
        bytes.extend(fri_roots.iter().flat_map(|root| root.0));
        bytes.extend(felts_to_bytes(last_layer));
        bytes.extend(query_nonce.to_be_bytes());
        // The trees have one height and are opened at the same positions.
        let [first, ..] = &self.openings;
        for query in 0..first.values.len() {
            let rows = self.openings.iter().filter_map(|opening| opening.values.get(query));
            bytes.extend(rows.flatten().flat_map(|value| value.0.to_be_bytes()));
        }
        for node in 0..first.hashes.len() {
            let hashes = self.openings.iter().filter_map(|opening| opening.hashes.get(node));
            bytes.extend(hashes.flat_map(|hash| hash.0));
        }
        for FriOpening { values, hashes } in &self.fri_openings {
            bytes.extend(felts_to_bytes(values));
            bytes.extend(hashes.iter().flat_map(|hash| hash.0));
        }
        bytes
    }

    /// Reads a proof that claims `output`, from bytes that nobody vouches for. The claim and both proofs of work are
    /// needed because the queries, which they determine, delimit the openings.
    pub fn from_calldata(
        bytes: &[u8],
        key: &VerificationKey,
        output: &[u8; 32],
    ) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_CALLDATA_BYTES {
            return Err(DecodeError::TooLong(bytes.len()));
        }
        key.validate().map_err(|error| Box::new(error.into()))?;
        let layout = key.layout();
        let mut reader = Reader { bytes, position: 0 };
        let head = Head::read(&mut reader, key, &layout)?;
        let outputs = output_values(output).map_err(Box::new)?;
        let transcript = Transcript::replay(key, &outputs, &head).map_err(Box::new)?;
        let shape = OpeningShape::new(key, &transcript.positions);
        let mut openings: [TreeOpening; 4] = Default::default();
        for _ in 0..shape.n_positions {
            for (opening, columns) in openings.iter_mut().zip(&layout.trees) {
                opening.values.push(reader.many(columns.len(), Reader::base)?);
            }
        }
        for _ in 0..shape.n_tree_hashes {
            for opening in &mut openings {
                opening.hashes.push(reader.hash()?);
            }
        }
        let fri_openings = shape
            .fri
            .iter()
            .map(|(n_values, n_hashes)| {
                Ok(FriOpening {
                    values: reader.many(*n_values, Reader::felt)?,
                    hashes: reader.many(*n_hashes, Reader::hash)?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        match bytes.len() - reader.position {
            0 => Ok(Self { head, openings, fri_openings }),
            trailing => Err(DecodeError::TrailingBytes(trailing)),
        }
    }
}

/// How many values and hashes the openings at some positions have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpeningShape {
    pub n_positions: usize,
    /// Hashes of each of the four trees.
    pub n_tree_hashes: usize,
    /// Values and hashes of each FRI layer.
    pub fri: Vec<(usize, usize)>,
}

impl OpeningShape {
    /// `positions` ascend without repetition.
    pub(crate) fn new(key: &VerificationKey, positions: &[usize]) -> Self {
        let fold_step = key.parameters.fold_step;
        let mut fri = Vec::new();
        let mut layer = positions.to_vec();
        let mut log_size = key.domain_log_size();
        for _ in 0..key.n_fri_layers() {
            let mut cosets: Vec<usize> =
                layer.iter().map(|position| position >> fold_step).collect();
            cosets.dedup();
            // A coset is a whole subtree, so that its hashes begin at its root.
            fri.push((
                (cosets.len() << fold_step) - layer.len(),
                n_siblings(&cosets, log_size - fold_step),
            ));
            layer = cosets;
            log_size -= fold_step;
        }
        Self {
            n_positions: positions.len(),
            n_tree_hashes: n_siblings(positions, key.domain_log_size()),
            fri,
        }
    }
}

/// The siblings that are needed to compute the root of a tree of `height` from its nodes at `positions`.
fn n_siblings(positions: &[usize], height: u32) -> usize {
    let mut layer = positions.to_vec();
    let mut siblings = 0;
    for _ in 0..height {
        let n = layer.len();
        layer.iter_mut().for_each(|position| *position >>= 1);
        layer.dedup();
        siblings += 2 * layer.len() - n;
    }
    siblings
}
