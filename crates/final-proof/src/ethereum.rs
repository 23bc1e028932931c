//! The circuit whose proofs Ethereum verifies.

use crate::key::{Parameters, VerificationKey};
use crate::merkle::KeccakHash;

impl VerificationKey {
    /// Key of the last circuit of an aggregation, which verifies a compacted proof (`CircuitKind::Last` of
    /// `sidereal-aggregation`, whose tests compute it anew).
    pub const ETHEREUM: Self = Self {
        parameters: Parameters::ETHEREUM,
        component_log_sizes: [14, 19, 16, 17, 19, 16, 20, 8, 14, 18, 16],
        preprocessed_root: KeccakHash([0; 24]),
    };
}
