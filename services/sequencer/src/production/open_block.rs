//! The open block as a protocol between the mempool and one executor after another; no input or output here.
//!
//! ```text
//!            offer ──> unanswered ──answer──> included          (pre-confirmed)
//!                          │   └────answer──> rejected          (left no trace)
//!                          └────────full────> returned          (to the mempool)
//!
//!  filling ──deadline, count, full──> draining ──nothing unanswered──> Close, or Abandon if nothing is in it
//! ```
//!
//! When an executor is lost, [`OpenBlock::replay`] says what to send to the next one: what is included, and then what
//! was not answered, in the same order and environment. The next executor must come to the same receipts.

use std::collections::VecDeque;
use std::sync::Arc;

use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::engine::opening_changes;
use sidereal_execution::outcome::{
    BlockClosing, BlockExecution, Rejection, RejectionReason, TransactionOutcome,
    TransactionReceipt,
};
use sidereal_execution::state::extend_diff;
use sidereal_execution::transaction::BlockTransaction;
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::TransactionHash;

/// When a block is closed.
#[derive(Clone, Copy, Debug)]
pub struct ClosingRule {
    /// So long after it was opened, in milliseconds.
    pub after_ms: u64,
    /// With so many transactions.
    pub max_transactions: usize,
    /// Transactions that may be with the executor unanswered.
    pub max_unanswered: usize,
    /// Whether a block without transactions is closed and not abandoned.
    pub allow_empty: bool,
}

/// Why a block stopped taking transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Its time is over.
    Time,
    /// It has as many transactions as it may.
    Count,
    /// The executor said that nothing more fits: gas, state diff or predicted proof.
    Full,
    /// The service stops.
    Shutdown,
}

impl CloseReason {
    /// For logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Count => "count",
            Self::Full => "full",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Up to this many transactions can be offered; also wait for answers and for the deadline.
    Offer(usize),
    /// Nothing can be offered; wait for answers, or for the deadline.
    Wait,
    /// Ask the executor to close the block.
    Close(CloseReason),
    /// Nothing is in it: give it up.
    Abandon,
}

/// What an answer meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A transaction is in the block now.
    Included(TransactionHash),
    /// The executor confirmed, in a replay, what an earlier one had said.
    Reconfirmed,
    /// A transaction cannot be included.
    Rejected(Rejection),
}

/// What the changes of an answer mean to those who look at the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// They come on top of what is known.
    More(Box<ThinStateDiff>),
    /// A replay has come as far as the executor before it: all of the block's changes, as its executor says.
    All(Box<ThinStateDiff>),
    /// A replay has not come that far: what is known holds.
    Nothing,
}

/// Executors, or an executor and itself, do not say the same. Nothing can be built on such a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// More answers than transactions.
    #[error("block {block}: the executor answered a transaction that was not sent")]
    UnaskedAnswer {
        /// The block.
        block: BlockNumber,
    },
    /// An answer for another transaction than the one whose turn it was.
    #[error(
        "block {block}: the executor answered transaction {answered}, it was the turn of {expected}"
    )]
    OutOfOrder {
        /// The block.
        block: BlockNumber,
        /// The transaction whose turn it was.
        expected: TransactionHash,
        /// The one that was answered.
        answered: TransactionHash,
    },
    /// In a replay, a transaction did not come to the receipt it had.
    #[error("block {block}: replayed transaction {hash} did not come to the receipt it had")]
    ReplayedOtherwise {
        /// The block.
        block: BlockNumber,
        /// The transaction.
        hash: TransactionHash,
    },
    /// The block that the executor closed is not the one that was built with it.
    #[error("block {block}: the executor closed another block than was built: its {part} differ")]
    ClosedOtherwise {
        /// The block.
        block: BlockNumber,
        /// Which part is not the same.
        part: &'static str,
    },
}

/// See the [module](self).
#[derive(Debug)]
pub struct OpenBlock {
    environment: BlockEnvironment,
    rule: ClosingRule,
    opened_at_ms: u64,
    closing: Option<CloseReason>,
    included: Vec<(Arc<BlockTransaction>, Arc<TransactionReceipt>)>,
    /// How many of `included` the present executor has confirmed.
    confirmed: usize,
    unanswered: VecDeque<Arc<BlockTransaction>>,
    /// The changes of what the present executor has confirmed, until it has confirmed all that is included.
    replayed: Option<Box<ThinStateDiff>>,
}

impl OpenBlock {
    /// An empty block.
    pub fn new(environment: BlockEnvironment, rule: ClosingRule, now_ms: u64) -> Self {
        Self {
            environment,
            rule,
            opened_at_ms: now_ms,
            closing: None,
            included: Vec::new(),
            confirmed: 0,
            unanswered: VecDeque::new(),
            replayed: None,
        }
    }

    /// The environment it is executed in.
    pub fn environment(&self) -> &BlockEnvironment {
        &self.environment
    }

    /// Names the parent, once it has a hash.
    pub fn set_parent_hash(&mut self, parent: BlockHash) {
        self.environment.parent_hash = parent;
    }

    /// What is in it so far.
    pub fn included(&self) -> &[(Arc<BlockTransaction>, Arc<TransactionReceipt>)] {
        &self.included
    }

    /// When it closes at the latest, in milliseconds since the Unix epoch.
    pub fn deadline_ms(&self) -> u64 {
        self.opened_at_ms.saturating_add(self.rule.after_ms)
    }

    /// When it was opened, in milliseconds since the Unix epoch.
    pub fn opened_at_ms(&self) -> u64 {
        self.opened_at_ms
    }

    /// Whether it takes transactions.
    pub fn is_filling(&self) -> bool {
        self.closing.is_none()
    }

    /// Whether an executor owes an answer.
    pub fn waits_for_answers(&self) -> bool {
        self.confirmed < self.included.len() || !self.unanswered.is_empty()
    }

    /// Takes no more transactions, for this reason unless there was one before.
    pub fn stop_filling(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    /// What to do at this time.
    pub fn next(&mut self, now_ms: u64) -> Next {
        if now_ms >= self.deadline_ms() {
            self.stop_filling(CloseReason::Time);
        }
        let promised = self.included.len() + self.unanswered.len();
        if self.included.len() >= self.rule.max_transactions {
            self.stop_filling(CloseReason::Count);
        }
        match self.closing {
            Some(_) if self.waits_for_answers() => Next::Wait,
            Some(_) if self.included.is_empty() && !self.rule.allow_empty => Next::Abandon,
            Some(reason) => Next::Close(reason),
            None => {
                let room = self.rule.max_transactions.saturating_sub(promised);
                let window = self.rule.max_unanswered.saturating_sub(self.unanswered.len());
                match room.min(window) {
                    0 => Next::Wait,
                    room => Next::Offer(room),
                }
            }
        }
    }

    /// Notes what is sent to the executor.
    pub fn offer(&mut self, transactions: impl IntoIterator<Item = Arc<BlockTransaction>>) {
        self.unanswered.extend(transactions);
    }

    /// What to send to an executor that has seen nothing of this block.
    pub fn replay(&mut self) -> Vec<Arc<BlockTransaction>> {
        self.confirmed = 0;
        self.replayed = Some(Box::new(opening_changes(&self.environment)));
        let included = self.included.iter().map(|(transaction, _)| Arc::clone(transaction));
        included.chain(self.unanswered.iter().cloned()).collect()
    }

    /// Takes the executor's next answer.
    pub fn answer(&mut self, outcome: TransactionOutcome) -> Result<Answer, Disagreement> {
        let block = self.environment.number;
        let answered = match &outcome {
            TransactionOutcome::Included(receipt) => receipt.hash,
            TransactionOutcome::Rejected(rejection) => rejection.hash,
        };
        if let Some((transaction, receipt)) = self.included.get(self.confirmed) {
            let expected = transaction.hash;
            if answered != expected {
                return Err(Disagreement::OutOfOrder { block, expected, answered });
            }
            let again = match outcome {
                TransactionOutcome::Included(again) if same_in_any_mode(&again, receipt) => again,
                _ => return Err(Disagreement::ReplayedOtherwise { block, hash: expected }),
            };
            // The words are part of the receipt's hash, so the block's must be those of its executor.
            if let Some((_, receipt)) = self.included.get_mut(self.confirmed) {
                *receipt = Arc::from(again);
            }
            self.confirmed += 1;
            return Ok(Answer::Reconfirmed);
        }
        let expected = self.unanswered.front().ok_or(Disagreement::UnaskedAnswer { block })?.hash;
        if answered != expected {
            return Err(Disagreement::OutOfOrder { block, expected, answered });
        }
        let Some(transaction) = self.unanswered.pop_front() else {
            return Err(Disagreement::UnaskedAnswer { block });
        };
        match outcome {
            TransactionOutcome::Included(receipt) => {
                self.included.push((transaction, Arc::from(receipt)));
                self.confirmed += 1;
                Ok(Answer::Included(answered))
            }
            TransactionOutcome::Rejected(rejection) => Ok(Answer::Rejected(rejection)),
        }
    }

    /// Takes the changes of the answers just taken.
    pub fn changed(&mut self, changes: Box<ThinStateDiff>) -> Change {
        let Some(mut replayed) = self.replayed.take() else { return Change::More(changes) };
        extend_diff(&mut replayed, &changes);
        if self.confirmed < self.included.len() {
            self.replayed = Some(replayed);
            return Change::Nothing;
        }
        Change::All(replayed)
    }

    /// The executor says that nothing more fits. Returns what goes back to the mempool, and the transaction that does
    /// not even fit into an empty block, which would otherwise come back for ever.
    pub fn full(&mut self) -> Result<(Vec<TransactionHash>, Option<Rejection>), Disagreement> {
        let block = self.environment.number;
        if let Some((transaction, _)) = self.included.get(self.confirmed) {
            return Err(Disagreement::ReplayedOtherwise { block, hash: transaction.hash });
        }
        self.stop_filling(CloseReason::Full);
        let mut returned = std::mem::take(&mut self.unanswered).into_iter();
        let too_large = match self.included.is_empty() {
            true => returned.next().map(|transaction| Rejection {
                hash: transaction.hash,
                reason: RejectionReason::TooLarge,
                message: "it does not fit into an empty block".to_owned(),
            }),
            false => None,
        };
        Ok((returned.map(|transaction| transaction.hash).collect(), too_large))
    }

    /// The whole block, when what the executor closed is what was built. Of transactions only the hashes are compared.
    pub fn closed(&self, closing: BlockClosing) -> Result<BlockExecution, Disagreement> {
        let block = self.environment.number;
        let differs = |part| Err(Disagreement::ClosedOtherwise { block, part });
        if closing.environment != self.environment {
            return differs("environments");
        }
        let built = self.included.iter().map(|(transaction, _)| &transaction.hash);
        if !closing.transactions.iter().eq(built) {
            return differs("transactions");
        }
        let included = self.included.iter();
        let whole =
            included.map(|(transaction, receipt)| ((**transaction).clone(), (**receipt).clone()));
        let (transactions, receipts) = whole.unzip();
        Ok(closing.with(transactions, receipts))
    }
}

/// Cairo Native words some errors differently than Cairo VM, and counts the uses of builtins differently, from which the
/// proof's load is predicted; everything else must be the same.
fn same_in_any_mode(one: &TransactionReceipt, other: &TransactionReceipt) -> bool {
    use starknet_api::transaction::TransactionExecutionStatus::Reverted;
    let mut one = one.clone();
    one.proof_load = other.proof_load;
    if let (Reverted(words), Reverted(others)) =
        (&mut one.execution_status, &other.execution_status)
    {
        words.revert_reason.clone_from(&others.revert_reason);
    }
    one == *other
}
