//! The last proof of the recursion, the one that Ethereum verifies: a circuit's S-two proof over Keccak-256.
//!
//! ```text
//! circuit + values ──FinalProver──> FinalProof ──to_calldata──> CircuitVerifier.sol
//!                                       │                             ▲
//!                                       └──verify (Rust)              └── generated constraints
//! ```
//!
//! * [`KeccakChannel`] and [`KeccakMerkleHasher`]: Fiat-Shamir and Merkle trees that the EVM does in a few
//!   instructions, for S-two's traits.
//! * [`FinalProver`] keeps what does not depend on the values and proves.
//! * [`verify`] is the verifier whose every check the contract makes too, in the same order.
//! * [`FinalProof::to_calldata`] is the one encoding of a proof.
//! * [`solidity`] writes the evaluation of the circuit's constraints as Solidity.
//!
//! A [`VerificationKey`] is parameters, the sizes of the circuit's components and the root of its preprocessed
//! columns. `docs/settlement-security.md` says how sure a verified proof makes one.

#![feature(portable_simd)]

mod channel;
mod ethereum;
mod keccak;
mod key;
mod merkle;
mod proof;
mod prove;
pub mod solidity;
mod transcript;
mod verify;

pub use channel::{KeccakChannel, KeccakMerkleChannel};
pub use key::{KeyError, N_OUTPUTS, Parameters, VerificationKey};
pub use merkle::{HASH_BYTES, KeccakHash, KeccakMerkleHasher};
pub use proof::{DecodeError, FinalProof, FriOpening, Head, MAX_CALLDATA_BYTES, TreeOpening};
pub use prove::{FinalProver, ProveError};
pub use verify::{FinalVerifyError, TraceTree, verify, verify_calldata};
