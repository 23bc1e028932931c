//! The rebuilt state on disk: every value as it is now, the tries' nodes, and how far it is. One SQLite file, written
//! in one transaction an update, so that a rebuild that was cut off goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sidereal_patricia::state::StateRoots;
use sidereal_patricia::{ContractLeaf, MemoryNodes, Node, NodeSource};
use sidereal_starknet_os::Committed;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use starknet_api::core::GlobalRoot;
use starknet_api::state::ThinStateDiff;
use starknet_types_core::felt::Felt;

/// Name of the file in the data folder.
pub const FILE: &str = "l2-state.db";
/// Rows of one statement, each of up to three values; SQLite binds 32,766.
const ROWS: usize = 8_000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS progress (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    rollup TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    block_hash BLOB NOT NULL,
    contracts_root BLOB NOT NULL,
    classes_root BLOB NOT NULL,
    l1_block INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS storage (
    address BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (address, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonces (address BLOB PRIMARY KEY, nonce BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contracts (
    address BLOB PRIMARY KEY, class_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS classes (
    class_hash BLOB PRIMARY KEY, compiled_class_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aliases (alias BLOB PRIMARY KEY, key BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (hash BLOB PRIMARY KEY, node BLOB NOT NULL) STRICT, WITHOUT ROWID;
";

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder.
    #[error("create {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The database.
    #[error("{operation} the rebuilt state")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// A value is none that was written.
    #[error("the rebuilt state is damaged: {0} cannot be read")]
    Damaged(&'static str),
}

type Result<T> = std::result::Result<T, StateError>;

fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> StateError {
    move |source| StateError::Database { operation, source }
}

/// How far the state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The last block of the rollup that is in it.
    pub block_number: u64,
    /// Its hash, which only L1 tells.
    pub block_hash: Felt,
    /// Roots of the tries after it.
    pub roots: StateRoots,
    /// L1's block with the update that it came with.
    pub l1_block: u64,
}

impl Reached {
    pub fn root(&self) -> GlobalRoot {
        self.roots.global_root()
    }
}

/// How many values there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Storage cells that are not zero.
    pub cells: u64,
    /// Contracts with a nonce.
    pub nonces: u64,
    /// Contracts with a class.
    pub contracts: u64,
    /// Declared classes.
    pub classes: u64,
}

/// The database.
#[derive(Clone, Debug)]
pub struct RebuiltState {
    pool: SqlitePool,
}

impl RebuiltState {
    /// Opens the state in a folder; both are created if they are not there.
    pub async fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .map_err(|source| StateError::Folder { folder: folder.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(options)
            .await
            .map_err(failed("open"))?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await.map_err(failed("create"))?;
        Ok(Self { pool })
    }

    /// Of which rollup it is, and how far; none while it is empty.
    pub async fn reached(&self) -> Result<Option<(String, Reached)>> {
        type Row = (String, i64, Vec<u8>, Vec<u8>, Vec<u8>, i64);
        let row: Option<Row> = sqlx::query_as(
            "SELECT rollup, block_number, block_hash, contracts_root, classes_root, l1_block FROM progress",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read"))?;
        let Some((rollup, block_number, hash, contracts, classes, l1_block)) = row else {
            return Ok(None);
        };
        let reached = Reached {
            block_number: count(block_number)?,
            block_hash: felt(&hash)?,
            roots: StateRoots { contracts_root: felt(&contracts)?, classes_root: felt(&classes)? },
            l1_block: count(l1_block)?,
        };
        Ok(Some((rollup, reached)))
    }

    /// Writes what one update changes: all of it, or nothing.
    pub async fn apply(
        &self,
        rollup: &str,
        reached: &Reached,
        diff: &ThinStateDiff,
        nodes: &MemoryNodes,
    ) -> Result<()> {
        const WRITE: &str = "write";
        let mut transaction = self.pool.begin().await.map_err(failed(WRITE))?;
        let cells = diff.storage_diffs.iter().flat_map(|(address, cells)| {
            cells.iter().map(move |(key, value)| (*address.0.key(), *key.0.key(), *value))
        });
        // A cell that is zero is not there, as in the tries.
        let (kept, deleted): (Vec<_>, Vec<_>) = cells.partition(|cell| cell.2 != Felt::ZERO);
        for (address, key, _) in deleted {
            sqlx::query("DELETE FROM storage WHERE address = ? AND key = ?")
                .bind(bytes(&address))
                .bind(bytes(&key))
                .execute(&mut *transaction)
                .await
                .map_err(failed(WRITE))?;
        }
        let aliases: Vec<_> = kept
            .iter()
            .filter(|cell| cell.0 == Committed::ALIAS_CONTRACT_ADDRESS && cell.1 != Felt::ZERO)
            .map(|(_, key, alias)| [bytes(alias), bytes(key)])
            .collect();
        let storage: Vec<_> =
            kept.iter().map(|(address, key, value)| [address, key, value].map(bytes)).collect();
        let nonces: Vec<_> =
            diff.nonces.iter().map(|(at, nonce)| [bytes(at.0.key()), bytes(&nonce.0)]).collect();
        let contracts: Vec<_> = diff
            .deployed_contracts
            .iter()
            .map(|(at, class)| [bytes(at.0.key()), bytes(&class.0)])
            .collect();
        let classes: Vec<_> = diff
            .class_hash_to_compiled_class_hash
            .iter()
            .map(|(class, compiled)| [bytes(&class.0), bytes(&compiled.0)])
            .collect();
        let inner = nodes.nodes.iter().map(|(hash, node)| [bytes(hash), node_bytes(node)]);
        let leaves =
            nodes.contract_leaves.iter().map(|(hash, leaf)| [bytes(hash), leaf_bytes(leaf)]);
        let nodes: Vec<_> = inner.chain(leaves).collect();
        let to = &mut *transaction;
        upsert(to, "storage (address, key, value)", &storage).await?;
        upsert(to, "aliases (alias, key)", &aliases).await?;
        upsert(to, "nonces (address, nonce)", &nonces).await?;
        upsert(to, "contracts (address, class_hash)", &contracts).await?;
        upsert(to, "classes (class_hash, compiled_class_hash)", &classes).await?;
        upsert(to, "nodes (hash, node)", &nodes).await?;
        let number = |value: u64| i64::try_from(value).map_err(|_| StateError::Damaged("a number"));
        sqlx::query("INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?, ?, ?, ?)")
            .bind(rollup)
            .bind(number(reached.block_number)?)
            .bind(bytes(&reached.block_hash))
            .bind(bytes(&reached.roots.contracts_root))
            .bind(bytes(&reached.roots.classes_root))
            .bind(number(reached.l1_block)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed(WRITE))?;
        transaction.commit().await.map_err(failed(WRITE))
    }

    /// The key or address behind each of these aliases, as far as they are known.
    pub async fn keys_of(&self, aliases: &BTreeSet<Felt>) -> Result<BTreeMap<Felt, Felt>> {
        let aliases: Vec<Felt> = aliases.iter().copied().collect();
        let rows = self.lookup("SELECT alias, key FROM aliases WHERE alias IN (", &aliases).await?;
        rows.iter().map(|(alias, key)| Ok((felt(alias)?, felt(key)?))).collect()
    }

    /// How many values there are.
    pub async fn counts(&self) -> Result<Counts> {
        let (cells, nonces, contracts, classes): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM storage), (SELECT COUNT(*) FROM nonces), \
             (SELECT COUNT(*) FROM contracts), (SELECT COUNT(*) FROM classes)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("count"))?;
        Ok(Counts {
            cells: count(cells)?,
            nonces: count(nonces)?,
            contracts: count(contracts)?,
            classes: count(classes)?,
        })
    }

    /// The storage cells behind `after`, in order, at most `limit`.
    pub async fn cells(
        &self,
        after: Option<(Felt, Felt)>,
        limit: u32,
    ) -> Result<Vec<(Felt, Felt, Felt)>> {
        let (address, key) =
            after.map_or((Vec::new(), Vec::new()), |(a, k)| (bytes(&a), bytes(&k)));
        let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT address, key, value FROM storage WHERE (address, key) > (?, ?) \
             ORDER BY address, key LIMIT ?",
        )
        .bind(address)
        .bind(key)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read"))?;
        rows.iter()
            .map(|(address, key, value)| Ok((felt(address)?, felt(key)?, felt(value)?)))
            .collect()
    }

    /// The nonces of the contracts behind `after`, in order, at most `limit`.
    pub async fn nonces(&self, after: Option<Felt>, limit: u32) -> Result<Vec<(Felt, Felt)>> {
        let query = "SELECT address, nonce FROM nonces WHERE address > ? ORDER BY address LIMIT ?";
        self.pairs(query, after, limit).await
    }

    /// The class hashes of the contracts behind `after`, in order, at most `limit`.
    pub async fn contracts(&self, after: Option<Felt>, limit: u32) -> Result<Vec<(Felt, Felt)>> {
        let query =
            "SELECT address, class_hash FROM contracts WHERE address > ? ORDER BY address LIMIT ?";
        self.pairs(query, after, limit).await
    }

    async fn pairs(
        &self,
        query: &'static str,
        after: Option<Felt>,
        limit: u32,
    ) -> Result<Vec<(Felt, Felt)>> {
        let rows: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(query)
            .bind(after.map_or(Vec::new(), |after| bytes(&after)))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read"))?;
        rows.iter().map(|(address, value)| Ok((felt(address)?, felt(value)?))).collect()
    }

    /// Rows of two columns whose first one is among `keys`.
    async fn lookup(&self, select: &'static str, keys: &[Felt]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        for chunk in keys.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(select);
            let mut values = query.separated(", ");
            for key in chunk {
                values.push_bind(bytes(key));
            }
            query.push(")");
            let found: Vec<(Vec<u8>, Vec<u8>)> = query
                .build_query_as()
                .persistent(false)
                .fetch_all(&self.pool)
                .await
                .map_err(failed("read"))?;
            rows.extend(found);
        }
        Ok(rows)
    }

    async fn node_rows<T: Copy>(
        &self,
        hashes: &[Felt],
        read: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let rows = self.lookup("SELECT hash, node FROM nodes WHERE hash IN (", hashes).await?;
        let found: BTreeMap<Felt, T> = rows
            .iter()
            .map(|(hash, node)| Ok((felt(hash)?, read(node)?)))
            .collect::<Result<_>>()?;
        Ok(hashes.iter().map(|hash| found.get(hash).copied()).collect())
    }
}

impl NodeSource for RebuiltState {
    type Error = StateError;

    async fn nodes(&self, hashes: &[Felt]) -> Result<Vec<Option<Node>>> {
        self.node_rows(hashes, read_node).await
    }

    async fn contract_leaves(&self, hashes: &[Felt]) -> Result<Vec<Option<ContractLeaf>>> {
        self.node_rows(hashes, read_leaf).await
    }
}

async fn upsert<const N: usize>(
    to: &mut SqliteConnection,
    table: &str,
    rows: &[[Vec<u8>; N]],
) -> Result<()> {
    for chunk in rows.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT OR REPLACE INTO {table} "));
        query.push_values(chunk, |mut row, values| {
            for value in values {
                row.push_bind(value.as_slice());
            }
        });
        query.build().persistent(false).execute(&mut *to).await.map_err(failed("write"))?;
    }
    Ok(())
}

fn count(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| StateError::Damaged("a number"))
}

fn bytes(felt: &Felt) -> Vec<u8> {
    felt.to_bytes_be().to_vec()
}

fn felt(bytes: &[u8]) -> Result<Felt> {
    let bytes: &[u8; 32] = bytes.try_into().map_err(|_| StateError::Damaged("a felt"))?;
    Ok(Felt::from_bytes_be(bytes))
}

/// Two felts, or two and the length of an edge. A leaf has three: no two kinds have the same length.
fn node_bytes(node: &Node) -> Vec<u8> {
    match node {
        Node::Binary { left, right } => [bytes(left), bytes(right)].concat(),
        Node::Edge { child, path, length } => [bytes(child), bytes(path), vec![*length]].concat(),
    }
}

fn read_node(bytes: &[u8]) -> Result<Node> {
    let pair = |bytes: &[u8]| Ok((felt(&bytes[..32])?, felt(&bytes[32..])?));
    match bytes.len() {
        64 => pair(bytes).map(|(left, right)| Node::Binary { left, right }),
        65 => pair(&bytes[..64]).map(|(child, path)| Node::Edge { child, path, length: bytes[64] }),
        _ => Err(StateError::Damaged("a node")),
    }
}

fn leaf_bytes(leaf: &ContractLeaf) -> Vec<u8> {
    [&leaf.class_hash, &leaf.storage_root, &leaf.nonce].map(bytes).concat()
}

fn read_leaf(bytes: &[u8]) -> Result<ContractLeaf> {
    if bytes.len() != 96 {
        return Err(StateError::Damaged("a contract's leaf"));
    }
    Ok(ContractLeaf {
        class_hash: felt(&bytes[..32])?,
        storage_root: felt(&bytes[32..64])?,
        nonce: felt(&bytes[64..])?,
    })
}
