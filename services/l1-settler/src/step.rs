//! What to do next about the next nonce of the account: a decision over what is known, without I/O.

use alloy::primitives::B256;
use sidereal_settlement::Fees;

/// A transaction that was written down before it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The account's nonce.
    pub nonce: u64,
    /// Its hash.
    pub hash: B256,
    /// The last block before those that it settles.
    pub previous_block: u64,
    /// The last block that it settles.
    pub new_block: u64,
    /// What it offers.
    pub fees: Fees,
    /// The last block of L1 when it was sent.
    pub sent_at_block: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A transaction is on its way.
    Wait,
    /// Send the next batch.
    Send(Offer),
}

/// What a transaction has to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The present prices.
    First,
    /// No less than an earlier transaction that the node does not know any more, but others may.
    Again(Fees),
    /// As much as takes the place of one in the pool.
    Replace(Fees),
}

/// Decides, given the number of L1's last block, the block that the contract holds there, and the last transaction of
/// the account's next nonce, with whether the node's pool holds it.
///
/// Only ever the account's next nonce is used, so of all transactions for one batch L1 takes one at most.
pub fn next_step(
    head: u64,
    held_block: u64,
    sent: Option<(&Sent, bool)>,
    replace_after_blocks: u64,
) -> Step {
    let Some((sent, in_pool)) = sent else {
        return Step::Send(Offer::First);
    };
    if !in_pool {
        return Step::Send(Offer::Again(sent.fees));
    }
    // Somebody else has settled, or a reorganisation took a batch away: this one would be refused.
    let is_stale = sent.previous_block != held_block;
    let is_late = head.saturating_sub(sent.sent_at_block) >= replace_after_blocks;
    if is_stale || is_late { Step::Send(Offer::Replace(sent.fees)) } else { Step::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEES: Fees =
        Fees { max_fee_per_gas: 9, max_priority_fee_per_gas: 1, max_fee_per_blob_gas: 5 };
    const SENT: Sent = Sent {
        nonce: 3,
        hash: B256::ZERO,
        previous_block: 7,
        new_block: 9,
        fees: FEES,
        sent_at_block: 100,
    };

    /// Pins down the whole decision.
    #[test]
    fn a_transaction_is_waited_for_replaced_and_sent_again() {
        let step = |head, held, sent| next_step(head, held, sent, 5);
        assert_eq!(step(100, 7, None), Step::Send(Offer::First));
        assert_eq!(step(104, 7, Some((&SENT, true))), Step::Wait);
        assert_eq!(step(105, 7, Some((&SENT, true))), Step::Send(Offer::Replace(FEES)));
        // An outsider has settled block 8; a reorganisation has gone back to block 4.
        assert_eq!(step(101, 8, Some((&SENT, true))), Step::Send(Offer::Replace(FEES)));
        assert_eq!(step(101, 4, Some((&SENT, true))), Step::Send(Offer::Replace(FEES)));
        // The node was restarted without its pool, or we died between writing down and sending.
        assert_eq!(step(101, 7, Some((&SENT, false))), Step::Send(Offer::Again(FEES)));
        // After a reorganisation L1 may be shorter than it was.
        assert_eq!(step(90, 7, Some((&SENT, true))), Step::Wait);
    }
}
