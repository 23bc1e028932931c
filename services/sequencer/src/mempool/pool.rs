//! The pool: queues per account, an order among the ready, an order among the dispensable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use starknet_api::core::ContractAddress;
use starknet_api::transaction::TransactionHash;

use super::{Candidate, GasPrices, Refusal};

/// The pool's bounds.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// The most transactions, those in the open block among them.
    pub max_transactions: usize,
    /// The most bytes of stored transactions, those in the open block among them.
    pub max_bytes: u64,
    /// How far a nonce may be ahead of the one that is due.
    pub max_nonces_ahead: u64,
    /// How much more a replacement must offer, in percent.
    pub replacement_bump_percent: u32,
    /// How long a transaction may wait, in milliseconds.
    pub expire_after_ms: u64,
    /// How many accounts without a waiting transaction keep their nonce remembered.
    pub max_idle_accounts: usize,
}

/// Why a transaction left the pool without having been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Another one with the same nonce pays more.
    Replaced {
        /// The transaction that took its place.
        by: TransactionHash,
    },
    /// The pool was full.
    Evicted,
    /// It waited too long.
    Expired,
    /// Its nonce was consumed by a transaction that did not come from this pool.
    NonceConsumed,
}

/// What an insertion did.
#[derive(Debug)]
pub struct Inserted<P> {
    /// What had to go. Give it back with [`Pool::withdraw`] if the insertion cannot be made durable.
    pub removed: Vec<(Candidate<P>, Removed)>,
}

/// What became of a transaction that the executor refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Its own fault: it is gone.
    Dropped,
    /// It was refused only because an earlier one of its account was; it waits for that gap to be filled.
    Requeued,
    /// The pool did not hold it.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In the pool, but not yet durable: never taken.
    Unconfirmed,
    Queued,
    InBlock,
}

#[derive(Debug)]
struct Slot<P> {
    candidate: Candidate<P>,
    arrival: u64,
    phase: Phase,
}

#[derive(Debug)]
struct Account<P> {
    /// The nonce after everything that was executed, in closed blocks and in the open one.
    executed: u64,
    /// The last block that executed something of it, as far as this pool saw.
    executed_in: u64,
    /// The nonce to take next: `executed` and what was taken but has not been reported on.
    due: u64,
    slots: BTreeMap<u64, Slot<P>>,
}

/// Smallest first: the best transaction to take.
type ReadyKey = (Reverse<u64>, u64, ContractAddress);
/// Smallest first: the transaction that is missed least. `false` is behind a gap.
type DispensableKey = (bool, u64, Reverse<u64>, ContractAddress);

/// See the [module](super).
#[derive(Debug)]
pub struct Pool<P> {
    limits: PoolLimits,
    accounts: HashMap<ContractAddress, Account<P>>,
    by_hash: HashMap<TransactionHash, (ContractAddress, u64)>,
    ready: BTreeSet<ReadyKey>,
    /// Ready but for their offer, which does not cover `prices`. When prices rise, transactions move here at their turn;
    /// when one falls, all move back, to be looked at again.
    priced_out: BTreeSet<ReadyKey>,
    /// Those that were asked about last.
    prices: GasPrices,
    dispensable: BTreeSet<DispensableKey>,
    /// Out of the pool, and their durable records are still to be removed: who came in again now would lose its record.
    leaving: HashSet<TransactionHash>,
    bytes: u64,
    arrivals: u64,
}

impl<P> Account<P> {
    fn at(executed: u64) -> Self {
        Self { executed, executed_in: 0, due: executed, slots: BTreeMap::new() }
    }

    fn ready_key(&self, sender: ContractAddress) -> Option<ReadyKey> {
        let slot = self.slots.get(&self.due)?;
        (slot.phase == Phase::Queued).then_some((
            Reverse(slot.candidate.fee.tip),
            slot.arrival,
            sender,
        ))
    }

    /// The last one of the queue: removing it opens no gap.
    fn dispensable_key(&self, sender: ContractAddress) -> Option<DispensableKey> {
        let (nonce, slot) = self.slots.last_key_value()?;
        if slot.phase == Phase::InBlock {
            return None;
        }
        let reachable = self.first_gap() > *nonce;
        Some((reachable, slot.candidate.fee.tip, Reverse(slot.arrival), sender))
    }

    /// Whether the transaction with this nonce offers these prices.
    fn is_covered(&self, nonce: u64, prices: &GasPrices) -> bool {
        let slot = self.slots.get(&nonce);
        slot.is_some_and(|slot| slot.candidate.fee.max_prices.cover(prices))
    }

    /// The first nonce from `executed` on that no transaction holds.
    fn first_gap(&self) -> u64 {
        let mut nonce = self.executed;
        for held in self.slots.range(self.executed..).map(|(held, _)| *held) {
            if held != nonce {
                break;
            }
            nonce = nonce.saturating_add(1);
        }
        nonce
    }
}

impl<P> Pool<P> {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            accounts: HashMap::new(),
            by_hash: HashMap::new(),
            ready: BTreeSet::new(),
            priced_out: BTreeSet::new(),
            prices: GasPrices::default(),
            dispensable: BTreeSet::new(),
            leaving: HashSet::new(),
            bytes: 0,
            arrivals: 0,
        }
    }

    /// How many transactions it holds, those in the open block among them.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a transaction could be taken into a block with these prices.
    pub fn has_ready(&mut self, prices: &GasPrices) -> bool {
        self.best(prices).is_some()
    }

    /// The transaction of that hash, if it waits or is in the open block.
    pub fn get(&self, hash: &TransactionHash) -> Option<&Candidate<P>> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        Some(&self.accounts.get(sender)?.slots.get(nonce)?.candidate)
    }

    /// The account's nonce after what was executed in the open block, if the pool remembers the account.
    pub fn executed_nonce(&self, sender: &ContractAddress) -> Option<u64> {
        self.accounts.get(sender).map(|account| account.executed)
    }

    /// The first nonce that no transaction of the account holds: what a wallet should sign next.
    pub fn next_free_nonce(&self, sender: &ContractAddress) -> Option<u64> {
        self.accounts.get(sender).map(Account::first_gap)
    }

    /// The transaction of this account and nonce, if any.
    pub fn at_nonce(&self, sender: &ContractAddress, nonce: u64) -> Option<&Candidate<P>> {
        Some(&self.accounts.get(sender)?.slots.get(&nonce)?.candidate)
    }

    /// Says what [`Self::insert`] would refuse for the nonce, without inserting; the check before the expensive ones.
    pub fn check(&self, candidate: &Candidate<P>, chain_nonce: u64) -> Result<(), Refusal> {
        if self.by_hash.contains_key(&candidate.hash) || self.leaving.contains(&candidate.hash) {
            return Err(Refusal::Duplicate(candidate.hash));
        }
        let sender = candidate.sender;
        let nonce = candidate.nonce;
        let account = self.accounts.get(&sender);
        let due = account.map_or(chain_nonce, |account| account.executed.max(chain_nonce));
        if nonce < due {
            return Err(Refusal::NonceTooOld { sender, nonce, due });
        }
        let max_ahead = self.limits.max_nonces_ahead;
        if nonce - due > max_ahead {
            return Err(Refusal::NonceTooFarAhead { sender, nonce, due, max_ahead });
        }
        if let Some(slot) = account.and_then(|account| account.slots.get(&nonce)) {
            let existing = slot.candidate.hash;
            if slot.phase == Phase::InBlock {
                return Err(Refusal::NonceInOpenBlock { existing });
            }
            let bump_percent = self.limits.replacement_bump_percent;
            if !candidate.fee.outbids(&slot.candidate.fee, bump_percent) {
                return Err(Refusal::ReplacementUnderpriced { existing, bump_percent });
            }
        }
        Ok(())
    }

    /// Whether the transaction comes in without another one leaving for want of room.
    pub fn has_room(&self, candidate: &Candidate<P>) -> bool {
        self.len() < self.limits.max_transactions
            && self.bytes.saturating_add(candidate.size_bytes) <= self.limits.max_bytes
    }

    /// Inserts a transaction that is not durable yet: it holds its place and is not taken before [`Self::confirm`].
    ///
    /// `chain_nonce` is the account's nonce in the last closed block; what the pool remembers counts if it is higher.
    pub fn insert(
        &mut self,
        candidate: Candidate<P>,
        chain_nonce: u64,
    ) -> Result<Inserted<P>, Refusal> {
        self.check(&candidate, chain_nonce)?;
        let hash = candidate.hash;
        let (sender, nonce) = (candidate.sender, candidate.nonce);
        let stale = self.advance(sender, chain_nonce);
        let mut removed: Vec<_> =
            stale.into_iter().map(|old| (old, Removed::NonceConsumed)).collect();
        let replaced = self.remove_slot(sender, nonce);
        self.arrivals += 1;
        self.place(candidate, self.arrivals, Phase::Unconfirmed);

        let mut evicted = Vec::new();
        while self.len() > self.limits.max_transactions || self.bytes > self.limits.max_bytes {
            let owner = self
                .least_payable(sender, nonce)
                .or_else(|| self.dispensable.first().map(|(_, _, _, owner)| *owner));
            let victim = owner.and_then(|owner| {
                let (nonce, slot) = self.accounts.get(&owner)?.slots.last_key_value()?;
                Some((owner, *nonce, slot.candidate.hash))
            });
            match victim {
                Some((owner, nonce, victim)) if victim != hash => {
                    evicted.extend(self.remove_slot(owner, nonce));
                }
                // The newcomer is what would be missed least, or all the rest is being executed.
                _ => {
                    self.remove_slot(sender, nonce);
                    for slot in evicted.into_iter().chain(replaced) {
                        self.place(slot.candidate, slot.arrival, slot.phase);
                    }
                    return Err(Refusal::Full);
                }
            }
        }
        removed.extend(replaced.map(|slot| (slot.candidate, Removed::Replaced { by: hash })));
        removed.extend(evicted.into_iter().map(|slot| (slot.candidate, Removed::Evicted)));
        self.leaving.extend(removed.iter().map(|(gone, _)| gone.hash));
        Ok(Inserted { removed })
    }

    /// Whose last transaction goes for this one because of its price: nothing that cannot be paid now may shut out what can.
    /// Nobody's if this one cannot be paid either.
    fn least_payable(&self, sender: ContractAddress, nonce: u64) -> Option<ContractAddress> {
        let account = self.accounts.get(&sender)?;
        if !(account.executed..=nonce).all(|held| account.is_covered(held, &self.prices)) {
            return None;
        }
        let mut owners = self.priced_out.iter().rev().map(|(_, _, owner)| *owner);
        owners.find(|owner| {
            let account = self.accounts.get(owner);
            *owner != sender && account.and_then(|one| one.dispensable_key(*owner)).is_some()
        })
    }

    /// Says that the transaction is durable: from now on it can be taken.
    pub fn confirm(&mut self, hash: &TransactionHash) {
        let Some((sender, nonce)) = self.by_hash.get(hash).copied() else { return };
        self.edit(sender, |account| {
            if let Some(slot) = account.slots.get_mut(&nonce)
                && slot.phase == Phase::Unconfirmed
            {
                slot.phase = Phase::Queued;
            }
        });
    }

    /// Undoes an insertion that could not be made durable, and brings back what it had removed.
    pub fn withdraw(&mut self, hash: &TransactionHash, removed: Vec<(Candidate<P>, Removed)>) {
        if let Some((sender, nonce)) = self.by_hash.get(hash).copied() {
            let unconfirmed = self
                .accounts
                .get(&sender)
                .and_then(|account| account.slots.get(&nonce))
                .is_some_and(|slot| slot.phase == Phase::Unconfirmed);
            if unconfirmed {
                self.remove_slot(sender, nonce);
            }
        }
        for (candidate, _) in removed {
            self.leaving.remove(&candidate.hash);
            self.restore(candidate, 0);
        }
    }

    /// Brings in a transaction that is durable already, with no regard to the bounds: at the start, and after a failed
    /// insertion. A nonce in the past or already held is left out.
    pub fn restore(&mut self, candidate: Candidate<P>, chain_nonce: u64) {
        self.advance(candidate.sender, chain_nonce);
        let held = self.accounts.get(&candidate.sender).is_some_and(|account| {
            candidate.nonce < account.executed || account.slots.contains_key(&candidate.nonce)
        });
        if held || self.by_hash.contains_key(&candidate.hash) {
            return;
        }
        self.arrivals += 1;
        self.place(candidate, self.arrivals, Phase::Queued);
    }

    /// Removes a waiting transaction.
    pub fn discard(&mut self, hash: &TransactionHash) -> Option<Candidate<P>> {
        let (sender, nonce) = self.by_hash.get(hash).copied()?;
        Some(self.remove_slot(sender, nonce)?.candidate)
    }

    /// Sets an account's nonce from the chain; returns what became impossible by it.
    pub fn set_chain_nonce(&mut self, sender: ContractAddress, nonce: u64) -> Vec<Candidate<P>> {
        self.advance(sender, nonce)
    }

    /// Takes up to `max` ready transactions into the open block, the best first. What offers less than the block's prices
    /// waits on.
    pub fn take(&mut self, max: usize, prices: &GasPrices) -> Vec<Candidate<P>> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(sender) = self.best(prices) else { break };
            let candidate = self.edit(sender, |account| {
                let slot = account.slots.get_mut(&account.due)?;
                slot.phase = Phase::InBlock;
                account.due += 1;
                Some(slot.candidate.clone())
            });
            // A key in `ready` always has its slot; an absent one would loop forever, so leave.
            let Some(candidate) = candidate.flatten() else { break };
            taken.push(candidate);
        }
        taken
    }

    /// Says that a transaction was executed (also if it reverted): its nonce is consumed and it leaves the pool.
    ///
    /// Its durable record must stay until the block is closed.
    pub fn executed(&mut self, hash: &TransactionHash, block: u64) -> Option<Candidate<P>> {
        let (sender, nonce) = self.by_hash.get(hash).copied()?;
        let slot = self.remove_slot(sender, nonce)?;
        self.advance(sender, nonce.saturating_add(1));
        if let Some(account) = self.accounts.get_mut(&sender) {
            account.executed_in = block;
        }
        Some(slot.candidate)
    }

    /// Says that the executor refused a transaction.
    pub fn rejected(&mut self, hash: &TransactionHash) -> Disposition {
        let Some((sender, nonce)) = self.by_hash.get(hash).copied() else {
            self.leaving.insert(*hash);
            return Disposition::Unknown;
        };
        let behind_gap = self.accounts.get(&sender).is_some_and(|account| nonce > account.executed);
        if behind_gap {
            self.put_back(hash);
            return Disposition::Requeued;
        }
        self.remove_slot(sender, nonce);
        self.edit(sender, |account| account.due = account.executed);
        self.leaving.insert(*hash);
        Disposition::Dropped
    }

    /// Says that the records of these, which left without being executed, are removed or never were.
    pub fn left<'a>(&mut self, hashes: impl IntoIterator<Item = &'a TransactionHash>) {
        for hash in hashes {
            self.leaving.remove(hash);
        }
    }

    /// Returns a transaction from the open block to its queue: the block was full before its turn.
    pub fn put_back(&mut self, hash: &TransactionHash) {
        let Some((sender, nonce)) = self.by_hash.get(hash).copied() else { return };
        self.edit(sender, |account| {
            if let Some(slot) = account.slots.get_mut(&nonce)
                && slot.phase == Phase::InBlock
            {
                slot.phase = Phase::Queued;
                account.due = account.due.min(nonce);
            }
        });
    }

    /// Removes what has waited too long; what is in the open block stays. Until [`Self::left`] is said of them, nobody can
    /// send them again.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Candidate<P>> {
        let after = self.limits.expire_after_ms;
        let late: Vec<_> = self
            .accounts
            .iter()
            .flat_map(|(sender, account)| account.slots.values().map(move |slot| (*sender, slot)))
            .filter(|(_, slot)| slot.phase == Phase::Queued)
            .filter(|(_, slot)| slot.candidate.received_at_ms.saturating_add(after) <= now_ms)
            .map(|(sender, slot)| (sender, slot.candidate.nonce))
            .collect();
        let gone = late.into_iter().filter_map(|(sender, nonce)| self.remove_slot(sender, nonce));
        let gone: Vec<_> = gone.map(|slot| slot.candidate).collect();
        self.leaving.extend(gone.iter().map(|gone| gone.hash));
        gone
    }

    /// The account whose transaction is the best to take.
    fn best(&mut self, prices: &GasPrices) -> Option<ContractAddress> {
        // Unless one of them fell, nothing that was priced out can be paid now.
        if !prices.cover(&self.prices) {
            self.ready.append(&mut self.priced_out);
        }
        self.prices = *prices;
        while let Some(key) = self.ready.first().copied() {
            let (_, _, sender) = key;
            let account = self.accounts.get(&sender);
            if account.is_some_and(|account| account.is_covered(account.due, prices)) {
                return Some(sender);
            }
            self.ready.remove(&key);
            self.priced_out.insert(key);
        }
        None
    }

    /// Raises the account's executed nonce; returns transactions whose nonce is now in the past.
    fn advance(&mut self, sender: ContractAddress, nonce: u64) -> Vec<Candidate<P>> {
        let account = self.accounts.entry(sender).or_insert_with(|| Account::at(nonce));
        if nonce <= account.executed {
            return Vec::new();
        }
        let stale: Vec<u64> = account.slots.range(..nonce).map(|(stale, _)| *stale).collect();
        let stale = stale.into_iter().filter_map(|stale| self.remove_slot(sender, stale));
        let stale = stale.map(|slot| slot.candidate).collect();
        self.edit(sender, |account| {
            account.executed = nonce;
            account.due = account.due.max(nonce);
        });
        stale
    }

    fn place(&mut self, candidate: Candidate<P>, arrival: u64, phase: Phase) {
        let (sender, nonce) = (candidate.sender, candidate.nonce);
        self.by_hash.insert(candidate.hash, (sender, nonce));
        self.bytes += candidate.size_bytes;
        self.accounts.entry(sender).or_insert_with(|| Account::at(0));
        self.edit(sender, |account| {
            account.slots.insert(nonce, Slot { candidate, arrival, phase })
        });
    }

    fn remove_slot(&mut self, sender: ContractAddress, nonce: u64) -> Option<Slot<P>> {
        let slot = self.edit(sender, |account| account.slots.remove(&nonce)).flatten()?;
        self.by_hash.remove(&slot.candidate.hash);
        self.bytes -= slot.candidate.size_bytes;
        Some(slot)
    }

    /// The one place where an account changes, so that both orders always agree with it.
    fn edit<T>(
        &mut self,
        sender: ContractAddress,
        change: impl FnOnce(&mut Account<P>) -> T,
    ) -> Option<T> {
        let account = self.accounts.get_mut(&sender)?;
        if let Some(key) = account.ready_key(sender) {
            self.ready.remove(&key);
            self.priced_out.remove(&key);
        }
        if let Some(key) = account.dispensable_key(sender) {
            self.dispensable.remove(&key);
        }
        let changed = change(account);
        if account.is_covered(account.due, &self.prices) {
            self.ready.extend(account.ready_key(sender));
        } else {
            self.priced_out.extend(account.ready_key(sender));
        }
        self.dispensable.extend(account.dispensable_key(sender));
        Some(changed)
    }

    /// Keeps the memory of accounts without transactions bounded. `committed` is the last block in the store: what later
    /// ones executed is known here only.
    pub fn forget_idle_accounts(&mut self, committed: u64) {
        if self.accounts.len() > self.limits.max_idle_accounts.saturating_add(self.by_hash.len()) {
            self.accounts
                .retain(|_, account| !account.slots.is_empty() || account.executed_in > committed);
        }
    }

    /// Recomputes both orders from the accounts and compares.
    #[cfg(test)]
    pub(super) fn accounts_are_consistent(&self) -> bool {
        let ready: BTreeSet<_> = self
            .accounts
            .iter()
            .filter_map(|(sender, account)| account.ready_key(*sender))
            .collect();
        let dispensable =
            self.accounts.iter().filter_map(|(sender, account)| account.dispensable_key(*sender));
        let dispensable = dispensable.collect();
        self.ready.is_disjoint(&self.priced_out)
            && &self.ready | &self.priced_out == ready
            && self.dispensable == dispensable
    }
}
