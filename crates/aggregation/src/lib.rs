//! Circuits that verify proofs: from the Cairo proofs of blocks to one small proof.
//!
//! ```text
//! CairoProof ──wrap──┐
//!                    ├──merge──┐
//! CairoProof ──wrap──┘         ├──merge ── ... ──shrink──compact──> assignment of the last circuit
//!                              │
//! CairoProof ──wrap────────────┘
//! ```
//!
//! * *wrap* verifies the Cairo proof of one run of the bootloader ([`sidereal-block-prover`] makes it);
//! * *merge* verifies two proofs, each wrapped or merged: both have one shape, so any tree of merges works;
//! * *shrink* and *compact* verify one proof each, and are proven at a higher rate with fewer queries, so that the
//!   next verifier has less to do;
//! * the *last* circuit verifies a compacted proof; it is proven elsewhere, over a hash that the EVM has.
//!
//! A circuit's output is a hash: *wrap* hashes the felt that the bootloader wrote, all others hash the verification
//! key ([`CircuitKind::root`]) and the output of each proof that they verify. No circuit checks which circuit it
//! verified a proof of: whoever verifies the last proof recomputes the hashes down to the claims with the pinned
//! keys, and that is the check.
//!
//! [`sidereal-block-prover`]: ../sidereal_block_prover/index.html

mod assignment;
mod circuit;
mod digest;
mod proof;
mod prover;
mod recorder;
mod shape;
mod step;
mod unfold;
mod verifier;

pub use assignment::{Assignment, AssignmentError, CairoProof};
pub use circuit::{CircuitKind, SecurityParameters};
pub use digest::Digest;
pub use proof::{CircuitProof, DecodeError, FORMAT_VERSION, MAX_ENCODED_BYTES};
pub use prover::{CircuitProver, ProveError, compute_root};
pub use shape::{ComponentSizes, ShapeError};
pub use step::{BadStep, Blocks, Step, StepInput};
pub use unfold::UnfoldError;
pub use verifier::{CircuitVerifyError, verify};
