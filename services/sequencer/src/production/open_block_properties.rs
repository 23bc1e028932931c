//! Pins that a block survives its executors: whenever they break, and however answers are cut into batches, it comes to
//! what one executor that never breaks makes of the same transactions.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::engine::opening_changes;
use sidereal_execution::limits::ProofLoad;
use sidereal_execution::outcome::{
    BlockClosing, BlockExecution, InitialReads, Rejection, RejectionReason, TransactionOutcome,
    TransactionReceipt,
};
use sidereal_execution::state::extend_diff;
use sidereal_execution::transaction::BlockTransaction;
use starknet_api::block::BlockTimestamp;
use starknet_api::core::{ContractAddress, Nonce};
use starknet_api::execution_resources::GasVector;
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_api::transaction::fields::Fee;
use starknet_api::transaction::{
    InvokeTransaction, InvokeTransactionV0, RevertedTransactionExecutionStatus, Transaction,
    TransactionExecutionStatus, TransactionHash,
};
use starknet_types_core::felt::Felt;

use super::environment::ChainRules;
use super::open_block::{Answer, Change, CloseReason, ClosingRule, Disagreement, Next, OpenBlock};

fn environment() -> BlockEnvironment {
    ChainRules::of_the_defaults().genesis(BlockTimestamp(7))
}

fn transaction(id: u64) -> Arc<BlockTransaction> {
    let invoke = InvokeTransaction::V0(InvokeTransactionV0::default());
    Arc::new(BlockTransaction {
        hash: TransactionHash(Felt::from(id)),
        transaction: Transaction::Invoke(invoke),
    })
}

fn receipt(
    hash: TransactionHash,
    execution_status: TransactionExecutionStatus,
) -> TransactionReceipt {
    TransactionReceipt {
        hash,
        execution_status,
        actual_fee: Fee(1),
        gas_consumed: GasVector::default(),
        da_gas: GasVector::default(),
        events: Vec::new(),
        messages_sent: Vec::new(),
        contract_address: None,
        proof_load: ProofLoad::default(),
    }
}

fn included(hash: TransactionHash) -> TransactionOutcome {
    let receipt = receipt(hash, TransactionExecutionStatus::Succeeded);
    TransactionOutcome::Included(Box::new(receipt))
}

/// What a transaction changes: a cell that others change too, and a nonce of its own.
fn changes(hash: TransactionHash) -> ThinStateDiff {
    let mut diff = ThinStateDiff::default();
    let id = u128::try_from(hash.0).unwrap_or(0);
    let entries = diff.storage_diffs.entry(ContractAddress::from(9_u128)).or_default();
    entries.insert(StorageKey::from(u64::try_from(id % 3).unwrap_or(0)), hash.0);
    diff.nonces.insert(ContractAddress::from(0x100 + id), Nonce(Felt::ONE));
    diff
}

/// An executor that rejects some transactions and is full after so many.
struct Model {
    rejects: Vec<bool>,
    capacity: usize,
    received: VecDeque<Arc<BlockTransaction>>,
    executed: Vec<Arc<BlockTransaction>>,
}

impl Model {
    fn new(rejects: &[bool], capacity: usize) -> Self {
        let (received, executed) = Default::default();
        Self { rejects: rejects.to_vec(), capacity, received, executed }
    }

    /// Its next answer; `None` when it is full.
    fn answer(&mut self) -> Option<TransactionOutcome> {
        let next = self.received.front()?;
        let index = usize::try_from(next.hash.0).unwrap_or(0);
        let rejected = self.rejects.get(index).copied().unwrap_or(false);
        if !rejected && self.executed.len() >= self.capacity {
            return None;
        }
        let next = self.received.pop_front()?;
        if rejected {
            return Some(TransactionOutcome::Rejected(Rejection {
                hash: next.hash,
                reason: RejectionReason::ValidationFailed,
                message: String::new(),
            }));
        }
        let outcome = included(next.hash);
        self.executed.push(next);
        Some(outcome)
    }
}

fn rule() -> ClosingRule {
    ClosingRule { after_ms: 1_000, max_transactions: 12, max_unanswered: 5, allow_empty: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_block_comes_to_the_same_whenever_executors_break(
        rejects in prop::collection::vec(prop::bool::weighted(0.3), 1..30),
        capacity in 1..15_usize,
        breaks in prop::collection::vec(prop::bool::weighted(0.15), 400),
        cuts in prop::collection::vec(1..4_usize, 50),
    ) {
        let mut waiting: VecDeque<_> =
            (0..rejects.len()).map(|id| transaction(u64::try_from(id).unwrap_or(0))).collect();
        let mut open = OpenBlock::new(environment(), rule(), 0);
        let mut executor = Model::new(&rejects, capacity);
        let (mut accepted, mut rejected, mut returned) = (Vec::new(), Vec::new(), Vec::new());
        let mut breaks = breaks.into_iter();
        let mut cuts = cuts.into_iter().cycle();
        let mut view = opening_changes(&environment());
        let mut now_ms = 0;
        let closed = loop {
            match open.next(now_ms) {
                Next::Offer(room) => {
                    let batch: Vec<_> = waiting.drain(..room.min(waiting.len()).min(2)).collect();
                    executor.received.extend(batch.iter().cloned());
                    open.offer(batch);
                }
                Next::Wait => {}
                Next::Close(_) => break true,
                Next::Abandon => break false,
            }
            if breaks.next().unwrap_or(false) {
                executor = Model::new(&rejects, capacity);
                executor.received.extend(open.replay());
                continue;
            }
            if executor.received.is_empty() {
                // Nothing to answer; time goes on.
                now_ms += if waiting.is_empty() { 1_000 } else { 1 };
                continue;
            }
            let mut batch = ThinStateDiff::default();
            for _ in 0..cuts.next().unwrap_or(1) {
                if executor.received.is_empty() {
                    break;
                }
                match executor.answer() {
                    Some(outcome) => {
                        if let TransactionOutcome::Included(receipt) = &outcome {
                            extend_diff(&mut batch, &changes(receipt.hash));
                        }
                        match open.answer(outcome)? {
                            Answer::Included(hash) => accepted.push(hash),
                            Answer::Rejected(rejection) => rejected.push(rejection.hash),
                            Answer::Reconfirmed => {}
                        }
                    }
                    None => {
                        let (back, too_large) = open.full()?;
                        prop_assert!(too_large.is_none(), "the first one always fits");
                        returned.extend(back);
                        executor.received.clear();
                    }
                }
            }
            match open.changed(Box::new(batch)) {
                Change::More(more) => extend_diff(&mut view, &more),
                Change::All(all) => view = *all,
                Change::Nothing => {}
            }
            // Whatever breaks, who looks sees all that is included, and nothing else.
            let mut included = opening_changes(&environment());
            for (one, _) in open.included() {
                extend_diff(&mut included, &changes(one.hash));
            }
            prop_assert_eq!(&view, &included);
        };
        // One executor that never breaks.
        let accepts = |id: &usize| !rejects.get(*id).copied().unwrap_or(false);
        let expected: Vec<_> = (0..rejects.len())
            .filter(accepts)
            .take(capacity.min(rule().max_transactions))
            .map(|id| TransactionHash(Felt::from(id)))
            .collect();
        prop_assert_eq!(closed, !expected.is_empty());
        prop_assert_eq!(&accepted, &expected);
        let in_block: Vec<_> = open.included().iter().map(|(one, _)| one.hash).collect();
        prop_assert_eq!(&in_block, &expected);
        // Each transaction went exactly one way.
        let mut all: Vec<_> = accepted.into_iter().chain(rejected).chain(returned).collect();
        all.extend(waiting.iter().map(|one| one.hash));
        all.sort_by_key(|hash| hash.0);
        let every: Vec<_> = (0..rejects.len()).map(|id| TransactionHash(Felt::from(id))).collect();
        prop_assert_eq!(all, every);
        if closed {
            let block = execution(&open);
            prop_assert_eq!(open.closed(block.clone().into()), Ok(block));
        }
    }
}

fn execution(open: &OpenBlock) -> BlockExecution {
    BlockExecution {
        environment: open.environment().clone(),
        transactions: open.included().iter().map(|(one, _)| (**one).clone()).collect(),
        receipts: open.included().iter().map(|(_, receipt)| (**receipt).clone()).collect(),
        state_diff: ThinStateDiff::default(),
        initial_reads: InitialReads::default(),
        executed_classes: Default::default(),
        proof_load: ProofLoad::default(),
    }
}

fn with_one_included() -> OpenBlock {
    let mut open = OpenBlock::new(environment(), rule(), 0);
    open.offer([transaction(1)]);
    assert!(matches!(open.answer(included(transaction(1).hash)), Ok(Answer::Included(_))));
    open
}

#[test]
fn a_replay_that_comes_to_another_receipt_is_a_disagreement() {
    let mut open = with_one_included();
    assert_eq!(open.replay().len(), 1);
    let mut other = receipt(transaction(1).hash, TransactionExecutionStatus::Succeeded);
    other.actual_fee = Fee(2);
    let answer = open.answer(TransactionOutcome::Included(Box::new(other)));
    assert!(matches!(answer, Err(Disagreement::ReplayedOtherwise { .. })));
}

#[test]
fn a_replay_may_predict_another_load_of_the_proof_which_counts() {
    let mut open = with_one_included();
    assert_eq!(open.replay().len(), 1);
    let mut again = receipt(transaction(1).hash, TransactionExecutionStatus::Succeeded);
    again.proof_load.range_check += 1;
    let answer = open.answer(TransactionOutcome::Included(Box::new(again.clone())));
    assert_eq!(answer, Ok(Answer::Reconfirmed));
    assert_eq!(*open.included()[0].1, again);
}

#[test]
fn a_replay_may_word_a_revert_differently_and_its_words_count() {
    let reverted = |words: &str| {
        let status = RevertedTransactionExecutionStatus { revert_reason: words.to_owned() };
        receipt(transaction(1).hash, TransactionExecutionStatus::Reverted(status))
    };
    let mut open = OpenBlock::new(environment(), rule(), 0);
    open.offer([transaction(1)]);
    open.answer(TransactionOutcome::Included(Box::new(reverted("native")))).unwrap();
    open.replay();
    let again = open.answer(TransactionOutcome::Included(Box::new(reverted("vm"))));
    assert_eq!(again, Ok(Answer::Reconfirmed));
    let block = open.closed(execution(&open).into()).unwrap();
    assert_eq!(block.receipts, [reverted("vm")]);
}

#[test]
fn an_answer_out_of_turn_is_a_disagreement() {
    let mut open = OpenBlock::new(environment(), rule(), 0);
    open.offer([transaction(1), transaction(2)]);
    let answer = open.answer(included(transaction(2).hash));
    assert!(matches!(answer, Err(Disagreement::OutOfOrder { .. })));
    let mut open = OpenBlock::new(environment(), rule(), 0);
    let answer = open.answer(included(transaction(2).hash));
    assert!(matches!(answer, Err(Disagreement::UnaskedAnswer { .. })));
}

#[test]
fn a_closed_block_with_another_transaction_or_environment_is_a_disagreement() {
    let open = with_one_included();
    let good = BlockClosing::from(execution(&open));
    assert_eq!(open.closed(good.clone()), Ok(execution(&open)));
    let part = |closing: BlockClosing| match open.closed(closing) {
        Err(Disagreement::ClosedOtherwise { part, .. }) => part,
        other => panic!("{other:?}"),
    };
    let mut closing = good.clone();
    closing.environment.timestamp = BlockTimestamp(8);
    assert_eq!(part(closing), "environments");
    let mut closing = good.clone();
    closing.transactions.clear();
    assert_eq!(part(closing), "transactions");
    let mut closing = good;
    closing.transactions[0].0 += Felt::ONE;
    assert_eq!(part(closing), "transactions");
}

#[test]
fn what_does_not_fit_into_an_empty_block_is_rejected_and_does_not_come_back() {
    let mut open = OpenBlock::new(environment(), rule(), 0);
    open.offer([transaction(1), transaction(2)]);
    let (returned, too_large) = open.full().unwrap();
    assert_eq!(returned, [transaction(2).hash]);
    let too_large = too_large.unwrap();
    assert_eq!(
        (too_large.hash, too_large.reason),
        (transaction(1).hash, RejectionReason::TooLarge)
    );
    assert_eq!(open.next(0), Next::Abandon);
}

#[test]
fn a_block_closes_at_its_deadline_only_when_every_answer_is_there() {
    let mut open = with_one_included();
    open.offer([transaction(2)]);
    assert_eq!(open.next(1_000), Next::Wait);
    open.answer(included(transaction(2).hash)).unwrap();
    assert_eq!(open.next(1_000), Next::Close(CloseReason::Time));
}
