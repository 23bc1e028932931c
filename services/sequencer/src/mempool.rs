//! The mempool's core: which transactions wait, in what order they leave, and which must go when there is no room.
//!
//! It does no input or output and knows no clock: every call takes what it needs and answers at once, so that its
//! rules can be tested on arbitrary histories. Durability is the caller's: see [`crate::admission`].
//!
//! ```text
//!            insert           confirm            take               executed
//!  (caller) -------> unconfirmed ----> queued ---------> in block ------------> gone (nonce consumed)
//!                        |               | ^                | | rejected, nonce was due
//!                        | withdraw      | +----------------+ +---------------> gone
//!                        v               | put_back / rejected behind a gap
//!                      gone              +--> gone: replaced, evicted, expired
//! ```
//!
//! Per account, transactions wait in nonce order and gaps are allowed up to a distance. The one whose nonce is due is
//! *ready*; among ready transactions of all accounts the higher tip goes first, and the earlier arrival among equals.
//! One that offers less than gas costs in the block to be filled stays where it is, until prices come down to it.

mod entry;
mod pool;
#[cfg(test)]
mod pool_properties;

pub use entry::{Candidate, FeeOffer, GasPrices, Refusal};
pub use pool::{Disposition, Inserted, Pool, PoolLimits, Removed};
