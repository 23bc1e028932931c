//! What fits into a block: Starknet's own limits, and the size of the block's proof.

use blockifier::bouncer::{BouncerConfig, BouncerWeights};
use cairo_vm::types::builtin_name::BuiltinName;
use serde::{Deserialize, Serialize};
use starknet_api::execution_resources::GasAmount;

/// What the bootloader takes to execute an elliptic curve operation in Cairo: steps, and rows of one component.
const STEPS_PER_EC_OP: u64 = 8_700;
const ROWS_PER_EC_OP: u64 = 2_900;
/// What the bootloader takes to execute a Keccak permutation in Cairo: steps, rows of one component, and uses of the
/// bitwise builtin.
const STEPS_PER_KECCAK: u64 = 6_500;
const ROWS_PER_KECCAK: u64 = 4_500;
const BITWISE_PER_KECCAK: u64 = 1_050;

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
        let (steps, rows, bitwise) = match builtin {
            BuiltinName::ec_op => (STEPS_PER_EC_OP, ROWS_PER_EC_OP, 0),
            BuiltinName::keccak => (STEPS_PER_KECCAK, ROWS_PER_KECCAK, BITWISE_PER_KECCAK),
            _ => return,
        };
        self.steps = self.steps.saturating_add(count.saturating_mul(steps));
        self.rows = self.rows.saturating_add(count.saturating_mul(rows));
        self.bitwise = self.bitwise.saturating_add(count.saturating_mul(bitwise));
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
    /// Felts in messages to L1.
    pub message_segment_length: usize,
    /// What one proof holds.
    pub proof: ProofLoad,
}

impl Default for BlockLimits {
    /// A component of the proof has at most 2^20 rows. A Poseidon permutation takes 107 of `cube_252`, a Pedersen
    /// hash 56 of `partial_ec_mul_window_bits_9`. A third is left to what the prediction does not see.
    fn default() -> Self {
        Self {
            transactions: 200,
            sierra_gas: 4_000_000_000,
            state_diff_size: 4_000,
            events: 5_000,
            message_segment_length: 3_700,
            proof: ProofLoad {
                steps: 4_000_000,
                rows: 1_000_000,
                poseidon: 6_500,
                pedersen: 14_000,
                range_check: 600_000,
                range_check96: 300_000,
                bitwise: 300_000,
                ec_op: 3_000,
                keccak: 0,
                modular: 30_000,
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
