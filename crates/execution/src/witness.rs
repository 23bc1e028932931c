//! The witness of a block: all that is needed to re-execute it and to run StarknetOS over it.
//!
//! A witness travels as a file: a magic number and version, the length and SHA-256 of the body, and the body,
//! which is zstd-compressed JSON. Whoever decodes one does not trust its author: sizes are bounded before
//! anything is allocated, and [`crate::replay::replay`] checks the contents against the block's header.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sidereal_patricia::state::{AccessedKeys, StateCommitmentFacts};
use starknet_api::block::BlockHashAndNumber;
use starknet_api::contract_class::SierraVersion;
use starknet_api::core::{ClassHash, GlobalRoot};
use starknet_api::hash::PoseidonHash;
use starknet_api::state::{ContractClassComponentHashes, SierraContractClass, ThinStateDiff};
use starknet_types_core::felt::Felt;

use crate::block::BlockEnvironment;
use crate::classes::{ClassError, ClassSource, SharedCasm};
use crate::header::BlockHeader;
use crate::outcome::{BlockExecution, InitialReads, TransactionReceipt};
use crate::transaction::BlockTransaction;

/// The first bytes of an encoded witness.
const MAGIC: &[u8; 8] = b"SIDWITN\x01";

/// Magic, length of the body (8 bytes, big endian), SHA-256 of the body.
const PREFIX_BYTES: usize = 8 + 8 + 32;

/// Bounds of a witness, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessLimits {
    /// As a file.
    pub encoded: usize,
    /// Decompressed.
    pub decoded: usize,
}

impl Default for WitnessLimits {
    fn default() -> Self {
        Self { encoded: 64 << 20, decoded: 512 << 20 }
    }
}

/// The witness of one closed block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockWitness {
    /// The environment: number, time, prices, chain, parent hash, old block hash.
    pub environment: BlockEnvironment,
    /// The block's header as the sequencer committed it.
    pub header: BlockHeader,
    /// The state commitment of the parent block.
    pub previous_state_root: GlobalRoot,
    /// The included transactions, in order.
    pub transactions: Vec<BlockTransaction>,
    /// Their receipts, in the same order.
    pub receipts: Vec<TransactionReceipt>,
    /// The committed changes.
    pub state_diff: ThinStateDiff,
    /// Every accessed key with its value in the parent state.
    pub initial_reads: InitialReads,
    /// The tries' nodes on the paths of all accessed keys, before and after.
    pub commitment: StateCommitmentFacts,
    /// Every class whose code ran or that was declared.
    pub classes: BTreeMap<ClassHash, WitnessClass>,
}

/// A class in a witness. Its CASM is checked against the compiled class hash, and a declared class's
/// component hashes against its class hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessClass {
    /// The compiled class, with its bytecode segment lengths.
    pub casm: SharedCasm,
    /// Decides how gas is counted.
    pub sierra_version: SierraVersion,
    /// For a class that this block declares.
    pub declared: Option<DeclaredComponents>,
}

/// What a declare transaction's fee and StarknetOS depend on, without the whole Sierra program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredComponents {
    /// The six felts whose Poseidon hash is the class hash: version, external functions, L1 handlers,
    /// constructors, ABI, program.
    pub component_hashes: ComponentHashes,
    /// Felts of the Sierra program.
    pub sierra_program_length: usize,
    /// Bytes of the ABI.
    pub abi_length: usize,
}

/// The components of a class hash, in the order in which they are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentHashes {
    /// "CONTRACT_CLASS_V" and the version.
    pub contract_class_version: Felt,
    /// Poseidon over the external entry points.
    pub external_functions: Felt,
    /// Poseidon over the L1 handlers.
    pub l1_handlers: Felt,
    /// Poseidon over the constructors.
    pub constructors: Felt,
    /// Starknet keccak of the ABI.
    pub abi: Felt,
    /// Poseidon over the Sierra program.
    pub sierra_program: Felt,
}

/// Why a witness cannot be built or decoded.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// A class of the block is missing.
    #[error("the witness of block {block} cannot be built: a class is not available")]
    Class {
        /// The block's number.
        block: u64,
        /// The cause.
        #[source]
        source: ClassError,
    },
    /// The bytes are shorter than the prefix, or do not start with the magic number.
    #[error("these {length} bytes are no witness of this version")]
    NotAWitness {
        /// How many bytes there are.
        length: usize,
    },
    /// Larger than its bound.
    #[error("the witness has more than {limit} bytes {form}")]
    TooLarge {
        /// The bound.
        limit: usize,
        /// As a file, or decompressed.
        form: &'static str,
    },
    /// Cut off, or followed by something.
    #[error("the witness says that its body has {said} bytes, it has {length}")]
    WrongLength {
        /// What the prefix says.
        said: u64,
        /// What is there.
        length: usize,
    },
    /// The body is not the one whose hash the prefix holds.
    #[error("the witness is damaged: its body has another SHA-256 than its prefix says")]
    Damaged,
    /// The body does not decompress, or cannot be compressed.
    #[error("the witness's body cannot be {what}")]
    Compression {
        /// Compressed or decompressed.
        what: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The body is no witness.
    #[error("the witness's body cannot be {what}")]
    Json {
        /// Read or written.
        what: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl BlockWitness {
    /// Puts the witness of a closed block together. `header` and `commitment` are those of `execution`.
    pub fn build(
        execution: BlockExecution,
        header: BlockHeader,
        commitment: StateCommitmentFacts,
        source: &dyn ClassSource,
    ) -> Result<Self, WitnessError> {
        let block = execution.environment.number.0;
        let class_error = |source| WitnessError::Class { block, source };
        let declared = &execution.state_diff.class_hash_to_compiled_class_hash;
        // A class without a constructor is looked up when it is deployed, and one that replaces another is, too; neither
        // runs then.
        let given = execution.state_diff.deployed_contracts.values();
        let needed = execution.executed_classes.iter().chain(declared.keys()).chain(given);
        let mut classes = BTreeMap::new();
        for class_hash in needed {
            if classes.contains_key(class_hash) {
                continue;
            }
            let class = source
                .class(*class_hash)
                .map_err(class_error)?
                .ok_or_else(|| class_error(ClassError::NotFound { class_hash: *class_hash }))?;
            let components =
                declared.contains_key(class_hash).then(|| DeclaredComponents::of(&class.sierra));
            let witness_class = WitnessClass {
                sierra_version: class.sierra_version().map_err(class_error)?,
                casm: class.casm.clone(),
                declared: components,
            };
            classes.insert(*class_hash, witness_class);
        }
        Ok(Self {
            previous_state_root: commitment.previous_roots().global_root(),
            environment: execution.environment,
            header,
            transactions: execution.transactions,
            receipts: execution.receipts,
            state_diff: execution.state_diff,
            initial_reads: execution.initial_reads,
            commitment,
            classes,
        })
    }

    /// The file form.
    pub fn encode(&self) -> Result<Vec<u8>, WitnessError> {
        let json = serde_json::to_vec(self)
            .map_err(|source| WitnessError::Json { what: "written", source })?;
        let body = zstd::encode_all(json.as_slice(), 3)
            .map_err(|source| WitnessError::Compression { what: "compressed", source })?;
        let mut encoded = Vec::with_capacity(PREFIX_BYTES + body.len());
        encoded.extend_from_slice(MAGIC);
        encoded.extend_from_slice(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_be_bytes());
        encoded.extend_from_slice(&Sha256::digest(&body));
        encoded.extend_from_slice(&body);
        Ok(encoded)
    }

    /// Reads the file form. The result is well-formed, not yet believed: see [`crate::replay::replay`].
    pub fn decode(encoded: &[u8], limits: WitnessLimits) -> Result<Self, WitnessError> {
        if encoded.len() > limits.encoded {
            return Err(WitnessError::TooLarge { limit: limits.encoded, form: "as a file" });
        }
        let no_witness = WitnessError::NotAWitness { length: encoded.len() };
        let Some((prefix, body)) = encoded.split_at_checked(PREFIX_BYTES) else {
            return Err(no_witness);
        };
        let Some(prefix) = prefix.strip_prefix(MAGIC) else { return Err(no_witness) };
        let (length, hash) = prefix.split_at(8);
        let said = length.iter().fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
        if u64::try_from(body.len()) != Ok(said) {
            return Err(WitnessError::WrongLength { said, length: body.len() });
        }
        if Sha256::digest(body).as_slice() != hash {
            return Err(WitnessError::Damaged);
        }
        let decompression = |source| WitnessError::Compression { what: "decompressed", source };
        let bound = u64::try_from(limits.decoded).unwrap_or(u64::MAX).saturating_add(1);
        let mut json = Vec::new();
        zstd::Decoder::new(body)
            .map_err(decompression)?
            .take(bound)
            .read_to_end(&mut json)
            .map_err(decompression)?;
        if json.len() > limits.decoded {
            return Err(WitnessError::TooLarge { limit: limits.decoded, form: "decompressed" });
        }
        serde_json::from_slice(&json).map_err(|source| WitnessError::Json { what: "read", source })
    }

    /// Number and hash of the block that this block's pre-processing writes, as StarknetOS wants them.
    pub fn old_block(&self) -> Option<BlockHashAndNumber> {
        self.environment.old_block
    }
}

impl InitialReads {
    /// The keys alone, for the tries.
    pub fn accessed_keys(&self) -> AccessedKeys {
        AccessedKeys {
            storage: self
                .storage
                .iter()
                .flat_map(|(contract, cells)| cells.keys().map(|key| (*contract, *key)))
                .collect(),
            contracts: self
                .storage
                .keys()
                .chain(self.nonces.keys())
                .chain(self.class_hashes.keys())
                .copied()
                .collect(),
            classes: self.compiled_class_hashes.keys().copied().collect(),
        }
    }
}

impl DeclaredComponents {
    /// Of a Sierra class.
    pub fn of(sierra: &SierraContractClass) -> Self {
        Self {
            component_hashes: sierra.get_component_hashes().into(),
            sierra_program_length: sierra.sierra_program.len(),
            abi_length: sierra.abi.len(),
        }
    }
}

impl From<ContractClassComponentHashes> for ComponentHashes {
    fn from(hashes: ContractClassComponentHashes) -> Self {
        Self {
            contract_class_version: hashes.contract_class_version,
            external_functions: hashes.external_functions_hash.0,
            l1_handlers: hashes.l1_handlers_hash.0,
            constructors: hashes.constructors_hash.0,
            abi: hashes.abi_hash,
            sierra_program: hashes.sierra_program_hash,
        }
    }
}

impl From<ComponentHashes> for ContractClassComponentHashes {
    fn from(hashes: ComponentHashes) -> Self {
        Self {
            contract_class_version: hashes.contract_class_version,
            external_functions_hash: PoseidonHash(hashes.external_functions),
            l1_handlers_hash: PoseidonHash(hashes.l1_handlers),
            constructors_hash: PoseidonHash(hashes.constructors),
            abi_hash: hashes.abi,
            sierra_program_hash: hashes.sierra_program,
        }
    }
}
