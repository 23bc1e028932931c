//! The circuit whose proofs Ethereum verifies.

use crate::key::{Parameters, VerificationKey};
use crate::merkle::KeccakHash;

impl VerificationKey {
    /// Key of the last circuit of an aggregation, which verifies a compacted proof (`CircuitKind::Last` of
    /// `sidereal-aggregation`, whose tests compute it anew).
    pub const ETHEREUM: Self = Self {
        parameters: Parameters::ETHEREUM,
        component_log_sizes: [14, 19, 16, 17, 19, 16, 20, 8, 14, 18, 16],
        preprocessed_root: KeccakHash([
            0x86, 0x7a, 0x2e, 0x39, 0x9d, 0x5f, 0x99, 0x18, 0x45, 0x08, 0x57, 0xb6, 0xef, 0xe9,
            0x9e, 0x64, 0xfe, 0x95, 0x17, 0x63, 0xef, 0x00, 0x8f, 0xc9,
        ]),
    };
}
