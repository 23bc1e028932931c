//! What fits into one proof.

use std::ops::{Add, AddAssign};

use starknet_types_core::felt::Felt;

use crate::join::{HEADER_LENGTH, counted};

/// What a proof of the aggregator holds of that of which it can hold the least. An upper bound, measured.
///
/// A proof has room for 2^20 rows of each component. `memory_id_to_big` and `blake_g` are full before any other: the
/// first with the arithmetic on each felt of data, for some 13,400 of them (3.2 blobs), the second with the hashes of
/// the outputs, for some 850 blocks without transactions. All of the other components, Poseidon's among them, are at
/// most three quarters full then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatorLoad {
    /// Values above 72 bits in memory.
    pub values: u64,
    /// Blake2s compressions.
    pub blake: u64,
}

/// The bootloader with the program's hash, the program itself, and its output but for messages.
const NO_BLOCKS: AggregatorLoad = AggregatorLoad { values: 1_500, blake: 280 };
/// Values of a block without data, and of a felt of data.
const VALUES_PER_BLOCK: u64 = 220;
const VALUES_PER_DATA: u64 = 78;
/// Values of a felt of a message.
const VALUES_PER_MESSAGE_FELT: u64 = 18;
/// Compressions for the hashes of a wrapped and a merged proof: 112 and 128 bytes.
const CIRCUIT_COMPRESSIONS: u64 = 4;
/// Words of a compression.
const WORDS_PER_COMPRESSION: u64 = 16;
/// Words of a felt that is hashed, below 2^63 and from there on.
const WORDS_OF_FELT: [u64; 2] = [2, 8];
const SMALL_FELT_BITS: usize = 63;

impl AggregatorLoad {
    /// What a proof has room for.
    pub const LIMIT: Self = Self { values: 1 << 20, blake: 1 << 13 };

    /// A run over no blocks: what every run has.
    pub const fn base() -> Self {
        NO_BLOCKS
    }

    /// What a block adds, by what StarknetOS wrote for it.
    pub fn of_output(output: &[Felt]) -> Self {
        let (messages_to_l1, rest) = counted(output.get(HEADER_LENGTH..).unwrap_or_default());
        let (messages_to_l2, data) = counted(rest);
        let messages = count(messages_to_l1.len() + messages_to_l2.len());
        // Number of tasks, size, program hash.
        let record_header = 2 * WORDS_OF_FELT[0] + WORDS_OF_FELT[1];
        let hashed = record_header + words(output);
        // Messages are written again, and then hashed by the bootloader.
        let again = words(messages_to_l1) + words(messages_to_l2);
        Self {
            values: VALUES_PER_BLOCK
                + VALUES_PER_DATA * count(data.len())
                + VALUES_PER_MESSAGE_FELT * messages,
            blake: hashed.div_ceil(WORDS_PER_COMPRESSION)
                + again.div_ceil(WORDS_PER_COMPRESSION)
                + CIRCUIT_COMPRESSIONS,
        }
    }

    /// Whether a proof can hold it.
    pub fn fits(&self) -> bool {
        self.values <= Self::LIMIT.values && self.blake <= Self::LIMIT.blake
    }
}

impl Add for AggregatorLoad {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            values: self.values.saturating_add(other.values),
            blake: self.blake.saturating_add(other.blake),
        }
    }
}

impl AddAssign for AggregatorLoad {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Words of 32 bits of these felts where they are hashed.
fn words(felts: &[Felt]) -> u64 {
    felts.iter().map(|felt| WORDS_OF_FELT[usize::from(felt.bits() > SMALL_FELT_BITS)]).sum()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
