//! What fits into a block: Starknet's own limits, and the size of the block's proof.

use blockifier::bouncer::{BouncerConfig, BouncerWeights};
use cairo_vm::types::builtin_name::BuiltinName;
use serde::{Deserialize, Serialize};
use starknet_api::execution_resources::GasAmount;

/// What the bootloader takes to execute one elliptic curve operation in Cairo.
const PER_EC_OP: ProofLoad = ProofLoad { steps: 8_700, rows: 2_900, ..ProofLoad::NOTHING };
/// What the bootloader takes to execute one Keccak permutation in Cairo.
const PER_KECCAK: ProofLoad =
    ProofLoad { steps: 6_500, rows: 4_500, range_check: 360, bitwise: 1_050, ..ProofLoad::NOTHING };
/// Values that a use of a builtin adds to the memory's tables; of Pedersen and Poseidon, the limits leave room.
const VALUES_PER_BITWISE: u64 = 3;
const VALUES_PER_MODULAR: u64 = 7;

/// Predicted contents of a proof: how often each of the prover's expensive parts is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProofLoad {
    /// Cairo VM steps: of the contracts, of StarknetOS, and of the bootloader that it runs under.
    pub steps: u64,
    /// Rows of the largest component that grows with the steps: an opcode's, or a table of the memory's values.
    pub rows: u64,
    /// Poseidon permutations.
    pub poseidon: u64,
    /// Pedersen hashes.
    pub pedersen: u64,
    /// 128-bit range checks.
    pub range_check: u64,
    /// 96-bit range checks.
    pub range_check96: u64,
    /// Bitwise operations.
    pub bitwise: u64,
    /// Elliptic curve operations.
    pub ec_op: u64,
    /// Keccak permutations.
    pub keccak: u64,
    /// Modular additions and multiplications.
    pub modular: u64,
}

impl ProofLoad {
    const NOTHING: Self = Self {
        steps: 0,
        rows: 0,
        poseidon: 0,
        pedersen: 0,
        range_check: 0,
        range_check96: 0,
        bitwise: 0,
        ec_op: 0,
        keccak: 0,
        modular: 0,
    };

    /// Each part added, without overflow.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// Whether no part exceeds its limit.
    pub fn fits(&self, limit: &Self) -> bool {
        self.parts().iter().zip(limit.parts()).all(|(part, limit)| *part <= limit)
    }

    /// Adds `count` uses of a builtin, and what the bootloader takes for those that it executes in Cairo. Those that
    /// cost a proof nothing of their own are not counted.
    pub fn add_builtin(&mut self, builtin: BuiltinName, count: u64) {
        let part = match builtin {
            BuiltinName::poseidon => &mut self.poseidon,
            BuiltinName::pedersen => &mut self.pedersen,
            BuiltinName::range_check => &mut self.range_check,
            BuiltinName::range_check96 => &mut self.range_check96,
            BuiltinName::bitwise => &mut self.bitwise,
            BuiltinName::ec_op => &mut self.ec_op,
            BuiltinName::keccak => &mut self.keccak,
            BuiltinName::add_mod | BuiltinName::mul_mod => &mut self.modular,
            // The OS turns the segment arena into about ten steps an instance.
            BuiltinName::segment_arena => {
                self.steps = self.steps.saturating_add(count.saturating_mul(10));
                self.rows = self.rows.saturating_add(count.saturating_mul(10));
                return;
            }
            BuiltinName::output | BuiltinName::ecdsa => return,
        };
        *part = part.saturating_add(count);
        let beside = match builtin {
            BuiltinName::ec_op => PER_EC_OP,
            BuiltinName::keccak => PER_KECCAK,
            BuiltinName::bitwise => Self { rows: VALUES_PER_BITWISE, ..Self::default() },
            BuiltinName::add_mod | BuiltinName::mul_mod => {
                Self { rows: VALUES_PER_MODULAR, ..Self::default() }
            }
            _ => return,
        };
        *self = self.zip(beside, |part, beside| part.saturating_add(beside.saturating_mul(count)));
    }

    fn parts(&self) -> [u64; 10] {
        [
            self.steps,
            self.rows,
            self.poseidon,
            self.pedersen,
            self.range_check,
            self.range_check96,
            self.bitwise,
            self.ec_op,
            self.keccak,
            self.modular,
        ]
    }

    fn zip(self, other: Self, merge: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            steps: merge(self.steps, other.steps),
            rows: merge(self.rows, other.rows),
            poseidon: merge(self.poseidon, other.poseidon),
            pedersen: merge(self.pedersen, other.pedersen),
            range_check: merge(self.range_check, other.range_check),
            range_check96: merge(self.range_check96, other.range_check96),
            bitwise: merge(self.bitwise, other.bitwise),
            ec_op: merge(self.ec_op, other.ec_op),
            keccak: merge(self.keccak, other.keccak),
            modular: merge(self.modular, other.modular),
        }
    }
}

/// The limits of one block. A transaction that would exceed one goes into the next block; one that
/// exceeds them alone is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlockLimits {
    /// Transactions.
    pub transactions: usize,
    /// Sierra gas, units of L2 gas.
    pub sierra_gas: u64,
    /// Entries of the state diff, as blockifier counts them.
    pub state_diff_size: usize,
    /// Events.
    pub events: usize,
    /// Felts in messages to L1, three and the payload each. A block that L1 has no gas for could never be settled, nor any
    /// after it: an update has room for some 800 of them (`test_gas_of_messages` of the contracts).
    pub message_segment_length: usize,
    /// What one proof holds.
    pub proof: ProofLoad,
}

impl Default for BlockLimits {
    /// What one proof holds: 2^20 rows of each component (S-two's `CanonicalSmall` preprocessed trace).
    ///
    /// Components pass their padding on to those that they call, so that limits are powers of two: 8,192 Poseidon
    /// permutations fill `cube_252` (122 rows each), one more doubles it; 16,384 Pedersen hashes fill
    /// `partial_ec_mul_window_bits_9` (56 rows each). A builtin has a row a use. `rows` is of opcodes and of the memory's
    /// values; the table of its addresses holds 16 a row, which bounds `steps`. The output of StarknetOS is hashed with
    /// Blake2s, two felts a compression, and leaves room for 11,000 felts: the limits above and Pedersen's, which is
    /// spent on changed cells, keep it far below that. A block of transfers ends at `rows`, with 64 of them.
    fn default() -> Self {
        Self {
            transactions: 200,
            sierra_gas: 4_000_000_000,
            state_diff_size: 4_000,
            events: 5_000,
            message_segment_length: 800,
            proof: ProofLoad {
                steps: 1 << 22,
                rows: 1 << 20,
                poseidon: 1 << 13,
                pedersen: 1 << 14,
                range_check: 1 << 20,
                range_check96: 1 << 20,
                bitwise: 1 << 20,
                ec_op: 1 << 20,
                keccak: 1 << 20,
                modular: 1 << 20,
            },
        }
    }
}

impl BlockLimits {
    /// No limits: for a block that is re-executed, and was limited when it was built.
    pub fn none() -> Self {
        let all = u64::MAX;
        Self {
            transactions: usize::MAX,
            sierra_gas: all,
            state_diff_size: usize::MAX,
            events: usize::MAX,
            message_segment_length: usize::MAX,
            proof: ProofLoad {
                steps: all,
                rows: all,
                poseidon: all,
                pedersen: all,
                range_check: all,
                range_check96: all,
                bitwise: all,
                ec_op: all,
                keccak: all,
                modular: all,
            },
        }
    }

    /// The part of the limits that blockifier's bouncer watches.
    pub(crate) fn bouncer(&self) -> BouncerConfig {
        let unlimited = BouncerConfig::max();
        BouncerConfig {
            block_max_capacity: BouncerWeights {
                n_txs: self.transactions,
                n_events: self.events,
                state_diff_size: self.state_diff_size,
                message_segment_length: self.message_segment_length,
                sierra_gas: GasAmount(self.sierra_gas),
                ..unlimited.block_max_capacity
            },
            ..unlimited
        }
    }
}
