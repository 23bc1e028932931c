//! Pins the pool's rules on arbitrary histories, against a list that is searched naively.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use starknet_api::core::ContractAddress;
use starknet_api::transaction::TransactionHash;
use starknet_types_core::felt::Felt;

use super::{Candidate, Disposition, FeeOffer, GasPrices, Pool, PoolLimits, Refusal, Removed};

const LIMITS: PoolLimits = PoolLimits {
    max_transactions: 8,
    max_bytes: 1_000,
    max_nonces_ahead: 5,
    replacement_bump_percent: 10,
    expire_after_ms: 50,
    max_idle_accounts: 2,
};

#[derive(Clone, Debug)]
enum Step {
    Insert {
        sender: u8,
        nonce: u64,
        tip: u64,
        price: u128,
        size_bytes: u64,
    },
    Confirm,
    Withdraw,
    /// Into a block with this price of L2 gas.
    Take {
        max: usize,
        price: u128,
        /// Production asked before, when prices were others.
        asked: Option<u128>,
    },
    /// The executor answers the oldest unanswered transaction; `refuse` even if its nonce is due.
    Answer {
        refuse: bool,
    },
    /// The block is full: everything unanswered comes back.
    Full,
    Expire {
        after_ms: u64,
    },
    CloseBlock,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4u8, 0..8u64, 0..20u64, 1..20u128, 1..400u64)
            .prop_map(|(sender, nonce, tip, price, size_bytes)| Step::Insert { sender, nonce, tip, price, size_bytes }),
        6 => Just(Step::Confirm),
        1 => Just(Step::Withdraw),
        4 => (1..4usize, 0..20u128, prop::option::of(0..20u128))
            .prop_map(|(max, price, asked)| Step::Take { max, price, asked }),
        6 => prop::bool::weighted(0.2).prop_map(|refuse| Step::Answer { refuse }),
        1 => Just(Step::Full),
        1 => (0..40u64).prop_map(|after_ms| Step::Expire { after_ms }),
        1 => Just(Step::CloseBlock),
    ]
}

fn address(sender: u8) -> ContractAddress {
    ContractAddress::from(0x100u128 + u128::from(sender))
}

/// What L2 gas costs, or the most that is paid for it.
fn l2_gas(price: u128) -> GasPrices {
    GasPrices { l2_gas: price, ..GasPrices::default() }
}

fn offer(tip: u64, price: u128) -> FeeOffer {
    FeeOffer { tip, max_prices: l2_gas(price) }
}

fn candidate(id: u64, sender: u8, nonce: u64, tip: u64, price: u128) -> Candidate<()> {
    Candidate {
        hash: TransactionHash(Felt::from(id)),
        sender: address(sender),
        nonce,
        fee: offer(tip, price),
        size_bytes: 10,
        received_at_ms: 0,
        payload: Arc::new(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Unconfirmed,
    Queued,
    InBlock,
}

/// Live transactions in order of arrival, and what was executed.
#[derive(Default)]
struct Model {
    live: Vec<(Candidate<()>, State)>,
    executed: HashMap<ContractAddress, u64>,
    due: HashMap<ContractAddress, u64>,
    streamed: Vec<TransactionHash>,
    now_ms: u64,
}

impl Model {
    fn remove(&mut self, hash: TransactionHash) -> Option<Candidate<()>> {
        let at = self.live.iter().position(|(held, _)| held.hash == hash)?;
        Some(self.live.remove(at).0)
    }

    fn due(&self, sender: &ContractAddress) -> u64 {
        self.due.get(sender).copied().unwrap_or(0)
    }

    fn executed(&self, sender: &ContractAddress) -> u64 {
        self.executed.get(sender).copied().unwrap_or(0)
    }

    fn best_ready(&self, price: u128) -> Option<TransactionHash> {
        let mut best: Option<&Candidate<()>> = None;
        for (held, state) in &self.live {
            let ready = *state == State::Queued
                && held.nonce == self.due(&held.sender)
                && held.fee.max_prices.l2_gas >= price;
            if ready && best.is_none_or(|best| held.fee.tip > best.fee.tip) {
                best = Some(held);
            }
        }
        best.map(|best| best.hash)
    }

    fn set(&mut self, hash: TransactionHash, to: State) {
        for (held, state) in &mut self.live {
            if held.hash == hash {
                *state = to;
            }
        }
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut pool = Pool::new(LIMITS);
    let mut model = Model::default();
    /// A transaction and what had to leave for it.
    type Displaced = (TransactionHash, Vec<(Candidate<()>, Removed)>);
    let mut last: Option<Displaced> = None;
    for (id, step) in (1u64..).zip(steps) {
        match step {
            Step::Insert { sender, nonce, tip, price, size_bytes } => {
                let new = Candidate {
                    size_bytes,
                    received_at_ms: model.now_ms,
                    ..candidate(id, sender, nonce, tip, price)
                };
                let before: Vec<_> = model.live.iter().map(|(held, _)| held.hash).collect();
                match pool.insert(new.clone(), 0) {
                    Ok(inserted) => {
                        for (gone, why) in &inserted.removed {
                            let held = model.remove(gone.hash);
                            prop_assert!(held.is_some(), "what goes was held");
                            if let Removed::Replaced { by } = why {
                                prop_assert_eq!(*by, new.hash);
                                prop_assert!(
                                    new.fee.outbids(&gone.fee, LIMITS.replacement_bump_percent)
                                );
                                prop_assert_eq!((gone.sender, gone.nonce), (new.sender, new.nonce));
                            }
                        }
                        last = Some((new.hash, inserted.removed));
                        model.live.push((new, State::Unconfirmed));
                    }
                    Err(refusal) => {
                        prop_assert!(
                            before.iter().all(|hash| pool.get(hash).is_some()),
                            "a refusal changes nothing"
                        );
                        let executed = model.executed(&new.sender);
                        match refusal {
                            Refusal::NonceTooOld { .. } => prop_assert!(nonce < executed),
                            Refusal::NonceTooFarAhead { .. } => {
                                prop_assert!(nonce > executed + LIMITS.max_nonces_ahead);
                            }
                            Refusal::ReplacementUnderpriced { existing, .. }
                            | Refusal::NonceInOpenBlock { existing } => {
                                prop_assert!(before.contains(&existing))
                            }
                            Refusal::Full => prop_assert!(
                                pool.len() == LIMITS.max_transactions
                                    || pool.bytes() + size_bytes > LIMITS.max_bytes
                            ),
                            Refusal::Duplicate(_) => prop_assert!(false, "every hash is new"),
                        }
                    }
                }
            }
            Step::Confirm => {
                if let Some((hash, _)) = last.take() {
                    pool.confirm(&hash);
                    model.set(hash, State::Queued);
                }
            }
            Step::Withdraw => {
                if let Some((hash, removed)) = last.take() {
                    let unconfirmed = model
                        .live
                        .iter()
                        .any(|(held, state)| held.hash == hash && *state == State::Unconfirmed);
                    if unconfirmed {
                        model.remove(hash);
                        for (back, _) in &removed {
                            if back.nonce >= model.executed(&back.sender) {
                                let taken = model.live.iter().any(|(held, _)| {
                                    (held.sender, held.nonce) == (back.sender, back.nonce)
                                });
                                if !taken {
                                    model.live.push((back.clone(), State::Queued));
                                }
                            }
                        }
                        pool.withdraw(&hash, removed);
                    }
                }
            }
            Step::Take { max, price, asked } => {
                if let Some(asked) = asked {
                    let ready = model.best_ready(asked).is_some();
                    prop_assert_eq!(pool.has_ready(&l2_gas(asked)), ready);
                }
                for _ in 0..max {
                    let expected = model.best_ready(price);
                    let taken = pool.take(1, &l2_gas(price));
                    prop_assert_eq!(taken.first().map(|taken| taken.hash), expected);
                    let Some(taken) = taken.into_iter().next() else { break };
                    model.set(taken.hash, State::InBlock);
                    model.due.insert(taken.sender, taken.nonce + 1);
                    model.streamed.push(taken.hash);
                }
            }
            Step::Answer { refuse } => {
                if model.streamed.is_empty() {
                    continue;
                }
                let hash = model.streamed.remove(0);
                let held = pool.get(&hash).cloned();
                prop_assert!(held.is_some(), "what is in the block stays");
                let Some(held) = held else { continue };
                let executed = model.executed(&held.sender);
                if held.nonce == executed && !refuse {
                    prop_assert_eq!(pool.executed(&hash, 1).map(|gone| gone.hash), Some(hash));
                    model.remove(hash);
                    model.executed.insert(held.sender, executed + 1);
                    let due = model.due(&held.sender).max(executed + 1);
                    model.due.insert(held.sender, due);
                } else if held.nonce == executed {
                    prop_assert_eq!(pool.rejected(&hash), Disposition::Dropped);
                    model.remove(hash);
                    model.due.insert(held.sender, executed);
                } else {
                    prop_assert!(held.nonce > executed, "a consumed nonce is never streamed");
                    prop_assert_eq!(pool.rejected(&hash), Disposition::Requeued);
                    model.set(hash, State::Queued);
                    let due = model.due(&held.sender).min(held.nonce);
                    model.due.insert(held.sender, due);
                }
            }
            Step::Full => {
                for hash in std::mem::take(&mut model.streamed) {
                    let held = pool.get(&hash).cloned();
                    pool.put_back(&hash);
                    model.set(hash, State::Queued);
                    if let Some(held) = held {
                        let due = model.due(&held.sender).min(held.nonce);
                        model.due.insert(held.sender, due);
                    }
                }
            }
            Step::Expire { after_ms } => {
                model.now_ms += after_ms;
                for gone in pool.expire(model.now_ms) {
                    prop_assert!(gone.received_at_ms + LIMITS.expire_after_ms <= model.now_ms);
                    prop_assert!(model.remove(gone.hash).is_some());
                }
                let late = model.live.iter().any(|(held, state)| {
                    *state == State::Queued
                        && held.received_at_ms + LIMITS.expire_after_ms <= model.now_ms
                });
                prop_assert!(!late, "everything late went");
            }
            Step::CloseBlock => {
                // The chain now knows these nonces; the model has no chain, so accounts must not be forgotten here
                // unless they hold nothing and never executed anything.
                prop_assert!(pool.accounts_are_consistent());
            }
        }
        prop_assert!(pool.accounts_are_consistent(), "both orders agree with the accounts");
        prop_assert_eq!(pool.len(), model.live.len());
        let bytes: u64 = model.live.iter().map(|(held, _)| held.size_bytes).sum();
        prop_assert_eq!(pool.bytes(), bytes);
        for (held, _) in &model.live {
            prop_assert!(pool.get(&held.hash).is_some());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_rules(steps in prop::collection::vec(step(), 1..80)) {
        run(steps)?;
    }

    #[test]
    fn inserting_never_exceeds_the_bounds(
        inserts in prop::collection::vec((0..6u8, 0..6u64, 0..9u64, 1..500u64), 1..60),
    ) {
        let mut pool = Pool::new(LIMITS);
        for (id, (sender, nonce, tip, size_bytes)) in (1u64..).zip(inserts) {
            let new = Candidate { size_bytes, ..candidate(id, sender, nonce, tip, 1) };
            if pool.insert(new, 0).is_ok() {
                pool.confirm(&TransactionHash(Felt::from(id)));
            }
            prop_assert!(pool.len() <= LIMITS.max_transactions);
            prop_assert!(pool.bytes() <= LIMITS.max_bytes);
        }
    }
}

fn confirmed(pool: &mut Pool<()>, candidate: Candidate<()>) {
    let hash = candidate.hash;
    pool.insert(candidate, 0).unwrap();
    pool.confirm(&hash);
}

#[test]
fn a_higher_tip_goes_first_but_never_before_a_lower_nonce_of_its_account() {
    let mut pool = Pool::new(LIMITS);
    confirmed(&mut pool, candidate(1, 0, 0, 1, 1));
    confirmed(&mut pool, candidate(2, 0, 1, 9, 1));
    confirmed(&mut pool, candidate(3, 1, 0, 5, 1));
    let order: Vec<_> = pool.take(10, &l2_gas(1)).into_iter().map(|taken| taken.hash.0).collect();
    assert_eq!(order, [3u64, 1, 2].map(Felt::from));
}

#[test]
fn what_is_behind_a_gap_is_evicted_before_a_ready_one_with_a_lower_tip() {
    let mut pool = Pool::new(PoolLimits { max_transactions: 2, ..LIMITS });
    confirmed(&mut pool, candidate(1, 0, 3, 100, 1));
    confirmed(&mut pool, candidate(2, 1, 0, 1, 1));
    let inserted = pool.insert(candidate(3, 2, 0, 1, 1), 0).unwrap();
    let evicted: Vec<_> = inserted.removed.iter().map(|(gone, why)| (gone.hash.0, *why)).collect();
    assert_eq!(evicted, [(Felt::ONE, Removed::Evicted)]);
}

#[test]
fn a_full_pool_refuses_what_is_worth_no_more_than_what_it_holds() {
    let mut pool = Pool::new(PoolLimits { max_transactions: 2, ..LIMITS });
    confirmed(&mut pool, candidate(1, 0, 0, 5, 1));
    confirmed(&mut pool, candidate(2, 1, 0, 5, 1));
    assert_eq!(pool.insert(candidate(3, 2, 0, 5, 1), 0).unwrap_err(), Refusal::Full);
    assert_eq!(pool.len(), 2);
}

#[test]
fn a_replacement_needs_ten_percent_on_both_tip_and_price() {
    let old = offer(10, 100);
    assert!(offer(11, 110).outbids(&old, 10));
    assert!(!offer(10, 110).outbids(&old, 10));
    assert!(!offer(11, 109).outbids(&old, 10));
    let untipped = offer(0, 100);
    assert!(offer(0, 110).outbids(&untipped, 10));
    let topmost = offer(0, u128::MAX);
    assert!(!topmost.outbids(&topmost, 10));
}

/// Pins that each of the three prices counts, and that waiting ones are found again when that one falls.
#[test]
fn what_offers_less_than_a_price_waits_for_it_to_fall() {
    let full = GasPrices { l1_gas: 5, l1_data_gas: 5, l2_gas: 5 };
    let mut pool = Pool::new(LIMITS);
    let fee = FeeOffer { tip: 0, max_prices: full };
    confirmed(&mut pool, Candidate { fee, ..candidate(1, 0, 0, 0, 0) });
    for dear in [
        GasPrices { l1_gas: 6, ..full },
        GasPrices { l1_data_gas: 6, ..full },
        GasPrices { l2_gas: 6, ..full },
    ] {
        assert!(!pool.has_ready(&dear));
        assert!(pool.take(1, &dear).is_empty());
        assert!(pool.has_ready(&full));
    }
    assert_eq!(pool.take(1, &full).len(), 1);
}

/// Pins that a pool which is full of what cannot be paid now has room for what can, and for nothing that cannot: for too
/// little, behind a gap, or behind one that is priced out.
#[test]
fn what_is_priced_out_makes_room_for_what_can_be_paid() {
    let mut pool = Pool::new(PoolLimits { max_transactions: 2, ..LIMITS });
    confirmed(&mut pool, candidate(1, 0, 0, 9, 5));
    confirmed(&mut pool, candidate(2, 1, 0, 9, 5));
    assert!(!pool.has_ready(&l2_gas(6)));
    for unpayable in [candidate(4, 2, 0, 0, 5), candidate(5, 2, 1, 0, 6), candidate(6, 0, 1, 0, 6)]
    {
        assert_eq!(pool.insert(unpayable, 0).unwrap_err(), Refusal::Full);
    }
    let inserted = pool.insert(candidate(3, 2, 0, 0, 6), 0).unwrap();
    let evicted: Vec<_> = inserted.removed.iter().map(|(gone, why)| (gone.hash.0, *why)).collect();
    assert_eq!(evicted, [(Felt::TWO, Removed::Evicted)]);
    pool.confirm(&TransactionHash(Felt::THREE));
    assert_eq!(pool.take(2, &l2_gas(6)).len(), 1);
    assert!(pool.accounts_are_consistent());
}
