//! What a proof costs and what it is worth: the parameters of the commitment scheme.

use serde::{Deserialize, Serialize};
use stwo::core::fri::FriConfig;
use stwo::core::pcs::PcsConfig;

/// The lowest conjectured security, in bits, that [`crate::verify`] accepts.
pub const MIN_SECURITY_BITS: u32 = 96;

/// Rows, as a power of two, that the largest component of a proof may have: what the `CanonicalSmall`
/// preprocessed trace covers.
pub(crate) const MAX_LOG_ROWS: u32 = 20;

/// Parameters of FRI and of the proof of work, all of which the verifier pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityParameters {
    /// Bits of proof of work that are ground before the queries are drawn.
    pub pow_bits: u32,
    /// Binary logarithm of the inverse rate of the code; each query is worth this many bits.
    pub log_blowup: u32,
    /// Number of FRI queries.
    pub queries: usize,
}

impl SecurityParameters {
    /// 26 bits of work and 70 queries at blow-up 2: 96 bits. These are the parameters that
    /// `privacy_cairo_verifier_config(1)` of `stwo-circuit-cairo-verifier` 1.0.0 expects of a proof that it wraps.
    pub const STANDARD: Self = Self { pow_bits: 26, log_blowup: 1, queries: 70 };

    /// FRI folds by 2^4 per layer, as the circuits that wrap these proofs expect.
    const LOG_FOLD: u32 = 4;

    /// Conjectured security in bits; saturates instead of overflowing.
    pub fn security_bits(&self) -> u32 {
        let queries = u32::try_from(self.queries).unwrap_or(u32::MAX);
        self.pow_bits.saturating_add(self.log_blowup.saturating_mul(queries))
    }

    /// The parameters in S-two's own form.
    pub(crate) fn pcs_config(&self) -> PcsConfig {
        PcsConfig {
            pow_bits: self.pow_bits,
            fri_config: FriConfig {
                log_blowup_factor: self.log_blowup,
                log_last_layer_degree_bound: 0,
                n_queries: self.queries,
                fold_step: Self::LOG_FOLD,
            },
            lifting_log_size: Some(MAX_LOG_ROWS + self.log_blowup),
        }
    }
}

impl Default for SecurityParameters {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// How a [`crate::Prover`] works. None of it changes what is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProverSettings {
    /// Parameters of the proof; anything but [`SecurityParameters::STANDARD`] is refused by the verifier and
    /// exists for measurements and for tests of that refusal.
    pub security: SecurityParameters,
    /// Keep polynomial coefficients beside their evaluations: more memory, less time.
    pub store_coefficients: bool,
    /// Verify the proof before handing it out (tens of milliseconds).
    pub verify: bool,
}

impl Default for ProverSettings {
    fn default() -> Self {
        Self { security: SecurityParameters::STANDARD, store_coefficients: true, verify: true }
    }
}
