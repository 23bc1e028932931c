//! What StarknetOS outputs, in all its forms, and whether that is what the block committed.

mod aliases;
pub(crate) mod blob;
mod check;
pub(crate) mod compression;
mod data;

use num_bigint::BigUint;
use num_traits::ToPrimitive;
use starknet_types_core::felt::Felt;

pub use aliases::AliasError;
pub use blob::{BLOB_LENGTH, BlobError, KzgCommitment, blob, blob_data};
pub use check::{CheckError, Committed, os_config_hash};
pub use compression::CompressionError;

/// How the OS puts the state diff into its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputForm {
    /// In full, with the values before the block, unpacked.
    Full,
    /// Packed and compressed, part of the output.
    Compressed,
    /// Packed and compressed into blobs, of which the output has KZG commitments and one evaluation each.
    Kzg,
}

impl OutputForm {
    /// The form in which every block is proven, however its data goes to L1 by its header: the header's mode is what
    /// transactions paid for. The data itself goes into blobs when the outputs of several blocks are joined, and
    /// whoever joins them needs the state diffs, as small as they get.
    pub const PROVEN: Self = Self::Compressed;
}

/// Number of words before the messages or the KZG commitments.
const HEADER_LENGTH: usize = 10;

/// The output of one run of StarknetOS 0.13.5 (`output.cairo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsOutput {
    /// State root before the block.
    pub initial_root: Felt,
    /// State root after the block.
    pub final_root: Felt,
    /// Number of the parent block, in the field: -1 for block 0.
    pub previous_block_number: Felt,
    /// Number of the block.
    pub block_number: Felt,
    /// Hash of the parent block. The OS does not check it.
    pub previous_block_hash: Felt,
    /// Hash of the block. The OS does not check it.
    pub block_hash: Felt,
    /// 0: the OS was run directly, not under the aggregator.
    pub os_program_hash: Felt,
    /// Hash of chain id and fee tokens.
    pub config_hash: Felt,
    /// How the state diff is in the output.
    pub form: OutputForm,
    /// Commitments to the blobs; only in [`OutputForm::Kzg`].
    pub blobs: Option<BlobCommitments>,
    /// Messages to L1, in the order in which they were sent.
    pub messages_to_l1: Vec<MessageToL1>,
    /// The words of the consumed messages to L2.
    pub messages_to_l2: Vec<Felt>,
    /// The state diff; in [`OutputForm::Kzg`] it is in the blobs instead.
    pub state_update: Option<StateUpdate>,
}

/// What the output says of the blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobCommitments {
    /// The point at which the blobs' polynomials are evaluated.
    pub point: Felt,
    /// A commitment a blob.
    pub commitments: Vec<KzgCommitment>,
    /// The value of each blob's polynomial at the point, below the order of BLS12-381.
    pub evaluations: Vec<BigUint>,
}

/// A message from a contract to L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageToL1 {
    /// The contract that sent it.
    pub from_address: Felt,
    /// The receiver on L1.
    pub to_address: Felt,
    /// What it says.
    pub payload: Vec<Felt>,
}

/// A state diff as the OS writes it: keys and addresses from 128 on are aliases, but for the contracts up to
/// 15, which have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateUpdate {
    /// Changed contracts, by address before aliasing.
    pub contracts: Vec<ContractUpdate>,
    /// Declared classes, by class hash.
    pub classes: Vec<ClassUpdate>,
}

/// What changed in a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractUpdate {
    /// Alias of the address.
    pub address: Felt,
    /// Nonce before the block; only in the full form.
    pub previous_nonce: Option<Felt>,
    /// Nonce after the block; absent where the form drops what did not change.
    pub nonce: Option<Felt>,
    /// Class before the block; only in the full form.
    pub previous_class_hash: Option<Felt>,
    /// Class after the block; absent where the form drops what did not change.
    pub class_hash: Option<Felt>,
    /// Changed storage cells, by key before aliasing.
    pub storage: Vec<ValueUpdate>,
}

/// A changed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueUpdate {
    /// Alias of the key.
    pub key: Felt,
    /// Value before the block; only in the full form.
    pub previous_value: Option<Felt>,
    /// Value after the block.
    pub value: Felt,
}

/// A declared class: class hash, compiled class hash before (only in the full form; 0) and after.
pub type ClassUpdate = ValueUpdate;

/// Why words are no output of StarknetOS.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OutputError {
    /// The output ends before it should.
    #[error("the output ends at word {0}")]
    Truncated(usize),
    /// Words are left after the end.
    #[error("the output has {0} words too many")]
    Excess(usize),
    /// A number is larger than it can be.
    #[error("word {index} of the output, {value:#x}, is out of range")]
    OutOfRange {
        /// Index of the word.
        index: usize,
        /// The word.
        value: Felt,
    },
    /// The state diff cannot be decompressed.
    #[error("the state diff in the output cannot be decompressed")]
    Compression(#[from] CompressionError),
}

impl OsOutput {
    /// Takes the words of an output apart.
    ///
    /// # Errors
    /// When the words are not one output, whole, and nothing else.
    pub fn decode(words: &[Felt]) -> Result<Self, OutputError> {
        let mut reader = Reader { words, at: 0 };
        let header: [Felt; HEADER_LENGTH] = reader.array()?;
        let form = match (reader.flag(8)?, reader.flag(9)?) {
            (true, false) => OutputForm::Kzg,
            (false, false) => OutputForm::Compressed,
            (false, true) => OutputForm::Full,
            (true, true) => return Err(OutputError::OutOfRange { index: 9, value: header[9] }),
        };
        let blobs = if form == OutputForm::Kzg { Some(reader.blobs()?) } else { None };
        let length = reader.length()?;
        let end = reader.at + length;
        let mut messages_to_l1 = Vec::new();
        while reader.at < end {
            let [from_address, to_address] = reader.array()?;
            let length = reader.length()?;
            messages_to_l1.push(MessageToL1 {
                from_address,
                to_address,
                payload: reader.take(length)?.to_vec(),
            });
        }
        if reader.at != end {
            return Err(OutputError::Excess(reader.at - end));
        }
        let length = reader.length()?;
        let messages_to_l2 = reader.take(length)?.to_vec();
        let state_update = match form {
            OutputForm::Kzg => None,
            OutputForm::Compressed => {
                let (words, used) = compression::decompress(&words[reader.at..])?;
                reader.at += used;
                Some(StateUpdate::decode_packed(&words)?)
            }
            OutputForm::Full => Some(reader.full_update()?),
        };
        reader.end()?;
        Ok(Self {
            initial_root: header[0],
            final_root: header[1],
            previous_block_number: header[2],
            block_number: header[3],
            previous_block_hash: header[4],
            block_hash: header[5],
            os_program_hash: header[6],
            config_hash: header[7],
            form,
            blobs,
            messages_to_l1,
            messages_to_l2,
            state_update,
        })
    }
}

impl StateUpdate {
    /// Decodes the felts that fill the blobs of [`OutputForm::Kzg`].
    ///
    /// # Errors
    /// When the felts are not one compressed state diff.
    pub fn decode_blob_data(felts: &[Felt]) -> Result<Self, OutputError> {
        let (update, used) = Self::decode_first(felts)?;
        match felts.len() - used {
            0 => Ok(update),
            excess => Err(OutputError::Excess(excess)),
        }
    }

    /// Decodes the state diff with which these felts start, where several follow each other; returns how many felts
    /// it takes, too.
    ///
    /// # Errors
    /// When the felts do not start with a compressed state diff.
    pub fn decode_first(felts: &[Felt]) -> Result<(Self, usize), OutputError> {
        let (words, used) = compression::decompress(felts)?;
        Ok((Self::decode_packed(&words)?, used))
    }

    /// Decodes the packed form (`state/output.cairo`).
    fn decode_packed(words: &[Felt]) -> Result<Self, OutputError> {
        let mut reader = Reader { words, at: 0 };
        let mut update = Self::default();
        for _ in 0..reader.length()? {
            update.contracts.push(reader.packed_contract()?);
        }
        for _ in 0..reader.length()? {
            let [key, value] = reader.array()?;
            update.classes.push(ClassUpdate { key, previous_value: None, value });
        }
        reader.end()?;
        Ok(update)
    }
}

/// Reads words from the front.
struct Reader<'a> {
    words: &'a [Felt],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [Felt], OutputError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.words.len());
        let end = end.ok_or(OutputError::Truncated(self.words.len()))?;
        let words = &self.words[self.at..end];
        self.at = end;
        Ok(words)
    }

    fn array<const N: usize>(&mut self) -> Result<[Felt; N], OutputError> {
        let mut array = [Felt::ZERO; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number of things that follow: no more than there are words.
    fn length(&mut self) -> Result<usize, OutputError> {
        let index = self.at;
        let [value] = self.array()?;
        value
            .to_usize()
            .filter(|length| *length <= self.words.len())
            .ok_or(OutputError::OutOfRange { index, value })
    }

    fn flag(&self, index: usize) -> Result<bool, OutputError> {
        match self.words.get(index) {
            Some(value) if *value == Felt::ZERO => Ok(false),
            Some(value) if *value == Felt::ONE => Ok(true),
            Some(&value) => Err(OutputError::OutOfRange { index, value }),
            None => Err(OutputError::Truncated(self.words.len())),
        }
    }

    fn end(&self) -> Result<(), OutputError> {
        match self.words.len() - self.at {
            0 => Ok(()),
            excess => Err(OutputError::Excess(excess)),
        }
    }

    fn blobs(&mut self) -> Result<BlobCommitments, OutputError> {
        let [point] = self.array()?;
        let count = self.length()?;
        let mut blobs = BlobCommitments { point, commitments: Vec::new(), evaluations: Vec::new() };
        for _ in 0..count {
            let [low, high] = self.array()?;
            blobs.commitments.push(KzgCommitment { low, high });
        }
        for _ in 0..count {
            let [low, high] = self.array()?;
            blobs.evaluations.push((high.to_biguint() << 128_usize) + low.to_biguint());
        }
        Ok(blobs)
    }

    fn full_update(&mut self) -> Result<StateUpdate, OutputError> {
        let mut update = StateUpdate::default();
        for _ in 0..self.length()? {
            let [address, previous_nonce, nonce, previous_class_hash, class_hash] = self.array()?;
            let count = self.length()?;
            update.contracts.push(ContractUpdate {
                address,
                previous_nonce: Some(previous_nonce),
                nonce: Some(nonce),
                previous_class_hash: Some(previous_class_hash),
                class_hash: Some(class_hash),
                storage: (0..count).map(|_| self.full_value()).collect::<Result<_, _>>()?,
            });
        }
        for _ in 0..self.length()? {
            update.classes.push(self.full_value()?);
        }
        Ok(update)
    }

    fn full_value(&mut self) -> Result<ValueUpdate, OutputError> {
        let [key, previous_value, value] = self.array()?;
        Ok(ValueUpdate { key, previous_value: Some(previous_value), value })
    }

    /// A contract with a packed header. From the lowest bit: whether the class changed, whether the number of
    /// storage updates takes 8 bits or 64, that number, and the nonce, if it changed.
    fn packed_contract(&mut self) -> Result<ContractUpdate, OutputError> {
        let [address] = self.array()?;
        let index = self.at;
        let [value] = self.array()?;
        let packed = value.to_biguint();
        let class_changed = packed.bit(0);
        let count_bits = if packed.bit(1) { 8_u64 } else { 64 };
        let count_mask = (BigUint::from(1_u8) << count_bits) - 1_u8;
        let count = ((&packed >> 2_u64) & count_mask).to_usize();
        let count = count
            .filter(|count| *count <= self.words.len())
            .ok_or(OutputError::OutOfRange { index, value })?;
        let nonce = packed >> (2 + count_bits);
        let class_hash = if class_changed { Some(self.array::<1>()?[0]) } else { None };
        let mut storage = Vec::with_capacity(count);
        for _ in 0..count {
            let [key, value] = self.array()?;
            storage.push(ValueUpdate { key, previous_value: None, value });
        }
        Ok(ContractUpdate {
            address,
            previous_nonce: None,
            nonce: (nonce != BigUint::ZERO).then(|| Felt::from(nonce)),
            previous_class_hash: None,
            class_hash,
            storage,
        })
    }
}
