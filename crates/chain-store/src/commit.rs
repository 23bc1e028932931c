//! Writing a block: everything about it in one database transaction.

use sidereal_patricia::MemoryNodes;
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::state::ThinStateDiff;

use crate::backend::{failed, insert_rows, writing};
use crate::block::StoredBlock;
use crate::encoding::{
    bytes, felt, felts, index, json, leaf_bytes, node_bytes, number, read_number,
};
use crate::error::ChainStoreError;
use crate::mempool::{Removal, RemovalRow, delete_waiting, remember_removals, removal_rows};
use crate::outbox::OutboxMessage;
use crate::store::ChainStore;
use crate::transaction::{StoredReceipt, StoredTransaction};

type Result<T> = std::result::Result<T, ChainStoreError>;

const OPERATION: &str = "committing a block";
/// JSON of a state diff is mostly hexadecimal digits; the fastest level halves it.
const STATE_DIFF_COMPRESSION: i32 = 1;

/// Everything that a block adds to the chain.
#[derive(Debug, Clone)]
pub struct BlockCommit {
    /// Header, commitments, roots and witness key.
    pub block: StoredBlock,
    /// In order. They leave the mempool with this commit.
    pub transactions: Vec<StoredTransaction>,
    /// One a transaction, in the same order.
    pub receipts: Vec<StoredReceipt>,
    /// The block's changes of the state.
    pub state_diff: ThinStateDiff,
    /// `StateTriesUpdate::new_nodes`.
    pub new_nodes: MemoryNodes,
    /// Messages to publish.
    pub outbox: Vec<OutboxMessage>,
    /// Transactions that leave the mempool without a block, found out while this one was built.
    pub removals: Vec<Removal>,
}

impl ChainStore {
    /// Writes a block in one transaction: all of it, or nothing. The genesis block is the one with number 0, on
    /// an empty store.
    ///
    /// # Errors
    /// [`ChainStoreError::Inconsistent`] when the parts contradict each other;
    /// [`ChainStoreError::Discontinuity`] when the number or the parent hash does not continue the head;
    /// [`ChainStoreError::Query`] when the database refuses, as it does for a transaction that is in a block
    /// already; [`ChainStoreError::ReadOnly`].
    pub async fn commit_block(&self, commit: BlockCommit) -> Result<()> {
        commit.check()?;
        let rows = BlockRows::new(&commit)?;
        let kept = number(self.limits().removals_kept, "a limit")?;
        writing!(self, OPERATION, |tx, Db| {
            let head: Option<(i64, Vec<u8>)> = sqlx::query_as::<Db, (i64, Vec<u8>)>(
                "SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1",
            )
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(OPERATION))?;
            commit.check_continues(head)?;

            sqlx::query::<Db>(
                "INSERT INTO blocks (number, hash, parent_hash, accepted_on_l1, block) \
                 VALUES ($1, $2, $3, FALSE, $4)",
            )
            .bind(rows.number)
            .bind(bytes(&commit.block.hash.0))
            .bind(bytes(&commit.block.header.parent_hash.0))
            .bind(rows.block.as_slice())
            .execute(&mut *tx)
            .await
            .map_err(failed(OPERATION))?;
            sqlx::query::<Db>("INSERT INTO state_diffs (block_number, diff) VALUES ($1, $2)")
                .bind(rows.number)
                .bind(rows.state_diff.as_slice())
                .execute(&mut *tx)
                .await
                .map_err(failed(OPERATION))?;
            insert_rows!(
                tx,
                Db,
                OPERATION,
                5,
                "INSERT INTO transactions \
                 (block_number, transaction_index, hash, body, receipt) ",
                "",
                rows.transactions,
                |row, item| {
                    row.push_bind(rows.number)
                        .push_bind(item.index)
                        .push_bind(item.hash.as_slice())
                        .push_bind(item.body.as_slice())
                        .push_bind(item.receipt.as_slice());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                7,
                "INSERT INTO events (block_number, transaction_index, event_index, from_address, \
                 first_key, keys, data) ",
                "",
                rows.events,
                |row, item| {
                    row.push_bind(rows.number)
                        .push_bind(item.transaction_index)
                        .push_bind(item.event_index)
                        .push_bind(item.from_address.as_slice())
                        .push_bind(item.first_key.as_deref())
                        .push_bind(item.keys.as_slice())
                        .push_bind(item.data.as_slice());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                4,
                "INSERT INTO contract_storage (address, key, block_number, value) ",
                "",
                rows.storage,
                |row, item| {
                    row.push_bind(item.0.as_slice())
                        .push_bind(item.1.as_slice())
                        .push_bind(rows.number)
                        .push_bind(item.2.as_slice());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                3,
                "INSERT INTO contract_nonces (address, block_number, nonce) ",
                "",
                rows.nonces,
                |row, item| {
                    row.push_bind(item.0.as_slice())
                        .push_bind(rows.number)
                        .push_bind(item.1.as_slice());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                3,
                "INSERT INTO contract_classes (address, block_number, class_hash) ",
                "",
                rows.contract_classes,
                |row, item| {
                    row.push_bind(item.0.as_slice())
                        .push_bind(rows.number)
                        .push_bind(item.1.as_slice());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                3,
                "INSERT INTO declared_classes (class_hash, block_number, compiled_class_hash) ",
                "",
                rows.declared_classes,
                |row, item| {
                    row.push_bind(item.0.as_slice())
                        .push_bind(rows.number)
                        .push_bind(item.1.as_deref());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                2,
                "INSERT INTO trie_nodes (hash, node) ",
                // A node that the trie had before and lost in between is still there.
                " ON CONFLICT (hash) DO NOTHING",
                rows.nodes,
                |row, item| {
                    row.push_bind(item.0.as_slice()).push_bind(item.1.as_slice());
                }
            );
            insert_rows!(
                tx,
                Db,
                OPERATION,
                5,
                "INSERT INTO outbox (block_number, subject, payload, headers, delivered) ",
                "",
                rows.outbox,
                |row, item| {
                    row.push_bind(rows.number)
                        .push_bind(item.0.as_str())
                        .push_bind(item.1.as_slice())
                        .push_bind(item.2.as_slice())
                        .push_bind(false);
                }
            );
            delete_waiting!(tx, Db, OPERATION, rows.leaving);
            remember_removals!(tx, Db, OPERATION, rows.removals, kept);
        });
        self.cache().absorb(&commit.new_nodes);
        Ok(())
    }
}

impl BlockCommit {
    fn check(&self) -> Result<()> {
        let number = self.block.number();
        let refuse = |reason: String| Err(ChainStoreError::Inconsistent { number, reason });
        let (transactions, receipts) = (self.transactions.len(), self.receipts.len());
        if transactions != receipts {
            return refuse(format!("{transactions} transactions, but {receipts} receipts"));
        }
        for (transaction, receipt) in self.transactions.iter().zip(&self.receipts) {
            if transaction.hash != receipt.transaction_hash {
                return refuse(format!(
                    "the receipt of transaction {} names {}",
                    transaction.hash, receipt.transaction_hash
                ));
            }
        }
        let events: usize = self.receipts.iter().map(|receipt| receipt.events.len()).sum();
        let counted = |count: usize, stated: u64| u64::try_from(count).is_ok_and(|n| n == stated);
        if !counted(transactions, self.block.transaction_count) {
            return refuse(format!(
                "{transactions} transactions, but the header says {}",
                self.block.transaction_count
            ));
        }
        if !counted(events, self.block.event_count) {
            return refuse(format!(
                "{events} events, but the header says {}",
                self.block.event_count
            ));
        }
        if self.block.state_roots.global_root() != self.block.header.state_root {
            return refuse("the trie roots do not make the header's state root".to_owned());
        }
        Ok(())
    }

    fn check_continues(&self, head: Option<(i64, Vec<u8>)>) -> Result<()> {
        let head = match head {
            Some((number, hash)) => Some((
                BlockNumber(read_number(number, "the head")?),
                BlockHash(felt(&hash, "the head")?),
            )),
            None => None,
        };
        let (number, parent_hash) = (self.block.number(), self.block.header.parent_hash);
        let continues = match head {
            Some((head, hash)) => head.next() == Some(number) && hash == parent_hash,
            None => number == BlockNumber(0) && parent_hash == BlockHash::GENESIS_PARENT_HASH,
        };
        if continues {
            Ok(())
        } else {
            Err(ChainStoreError::Discontinuity { number, parent_hash, head })
        }
    }
}

/// A block's rows, encoded before the database transaction starts, so that it is short.
struct BlockRows {
    number: i64,
    block: Vec<u8>,
    state_diff: Vec<u8>,
    transactions: Vec<TransactionRow>,
    events: Vec<EventRow>,
    storage: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    nonces: Vec<(Vec<u8>, Vec<u8>)>,
    contract_classes: Vec<(Vec<u8>, Vec<u8>)>,
    declared_classes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    nodes: Vec<(Vec<u8>, Vec<u8>)>,
    outbox: Vec<MessageRow>,
    /// Hashes that leave the mempool.
    leaving: Vec<Vec<u8>>,
    removals: Vec<RemovalRow>,
}

/// Subject, payload, headers.
type MessageRow = (String, Vec<u8>, Vec<u8>);

struct TransactionRow {
    index: i64,
    hash: Vec<u8>,
    body: Vec<u8>,
    receipt: Vec<u8>,
}

struct EventRow {
    transaction_index: i64,
    event_index: i64,
    from_address: Vec<u8>,
    first_key: Option<Vec<u8>>,
    keys: Vec<u8>,
    data: Vec<u8>,
}

impl BlockRows {
    fn new(commit: &BlockCommit) -> Result<Self> {
        let block_number = commit.block.number();
        let diff = &commit.state_diff;
        let object = || format!("the state diff of block {block_number}");
        let state_diff = zstd::encode_all(json(diff, object)?.as_slice(), STATE_DIFF_COMPRESSION)
            .map_err(|error| ChainStoreError::Encode {
            object: object(),
            source: serde_json::Error::io(error),
        })?;
        let removals = removal_rows(&commit.removals);
        let included = commit.transactions.iter().map(|transaction| bytes(&transaction.hash.0));
        Ok(Self {
            number: number(block_number.0, "a block number")?,
            block: json(&commit.block, || format!("block {block_number}"))?,
            state_diff,
            transactions: transaction_rows(commit)?,
            events: event_rows(commit)?,
            storage: diff
                .storage_diffs
                .iter()
                .flat_map(|(address, cells)| {
                    cells.iter().map(|(key, value)| {
                        (bytes(address.0.key()), bytes(key.0.key()), bytes(value))
                    })
                })
                .collect(),
            nonces: diff
                .nonces
                .iter()
                .map(|(address, nonce)| (bytes(address.0.key()), bytes(&nonce.0)))
                .collect(),
            contract_classes: diff
                .deployed_contracts
                .iter()
                .map(|(address, class)| (bytes(address.0.key()), bytes(&class.0)))
                .collect(),
            declared_classes: diff
                .class_hash_to_compiled_class_hash
                .iter()
                .map(|(class, compiled)| (bytes(&class.0), Some(bytes(&compiled.0))))
                .chain(diff.deprecated_declared_classes.iter().map(|class| (bytes(&class.0), None)))
                .collect(),
            nodes: node_rows(&commit.new_nodes),
            outbox: outbox_rows(&commit.outbox)?,
            leaving: included.chain(removals.iter().map(|removal| removal.0.clone())).collect(),
            removals,
        })
    }
}

fn transaction_rows(commit: &BlockCommit) -> Result<Vec<TransactionRow>> {
    commit
        .transactions
        .iter()
        .zip(&commit.receipts)
        .enumerate()
        .map(|(at, (transaction, receipt))| {
            let hash = transaction.hash;
            Ok(TransactionRow {
                index: index(at, "a transaction's index")?,
                hash: bytes(&hash.0),
                body: json(transaction, || format!("transaction {hash}"))?,
                receipt: json(receipt, || format!("the receipt of transaction {hash}"))?,
            })
        })
        .collect()
}

fn event_rows(commit: &BlockCommit) -> Result<Vec<EventRow>> {
    let mut rows = Vec::new();
    for (at, receipt) in commit.receipts.iter().enumerate() {
        for (event_at, event) in receipt.events.iter().enumerate() {
            let keys = &event.content.keys;
            rows.push(EventRow {
                transaction_index: index(at, "a transaction's index")?,
                event_index: index(event_at, "an event's index")?,
                from_address: bytes(event.from_address.0.key()),
                first_key: keys.first().map(|key| bytes(&key.0)),
                keys: felts(keys.iter().map(|key| &key.0)),
                data: felts(event.content.data.0.iter()),
            });
        }
    }
    Ok(rows)
}

fn outbox_rows(messages: &[OutboxMessage]) -> Result<Vec<MessageRow>> {
    let row = |message: &OutboxMessage| {
        let headers = json(&message.headers, || format!("the headers of {}", message.subject))?;
        Ok((message.subject.clone(), message.payload.clone(), headers))
    };
    messages.iter().map(row).collect()
}

/// Sorted, so that the inserts walk the index instead of jumping in it.
fn node_rows(new: &MemoryNodes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let nodes = new.nodes.iter().map(|(hash, node)| (bytes(hash), node_bytes(node)));
    let leaves = new.contract_leaves.iter().map(|(hash, leaf)| (bytes(hash), leaf_bytes(leaf)));
    let mut rows: Vec<_> = nodes.chain(leaves).collect();
    rows.sort_unstable();
    rows
}
