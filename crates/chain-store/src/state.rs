//! The state at any block.

use starknet_api::block::BlockNumber;
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::StorageKey;
use starknet_types_core::felt::Felt;

use crate::backend::{MAX_BOUND_VALUES, failed, reading};
use crate::encoding::{bytes, felt, index, read_number};
use crate::error::ChainStoreError;
use crate::store::ChainStore;

type Result<T> = std::result::Result<T, ChainStoreError>;

/// A class that was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredClass {
    /// The class.
    pub class_hash: ClassHash,
    /// Hash of its CASM; `None` for a class of Cairo 0.
    pub compiled_class_hash: Option<CompiledClassHash>,
    /// The block that declared it.
    pub block_number: BlockNumber,
}

/// A block number that is out of a column's range is after every block.
fn up_to(block: BlockNumber) -> i64 {
    i64::try_from(block.0).unwrap_or(i64::MAX)
}

impl ChainStore {
    /// A storage cell after `block`; 0 when it was never written. A block that is not there yet stands for the
    /// last one; so for every read of this type.
    ///
    /// # Errors
    /// [`ChainStoreError::Query`], [`ChainStoreError::Damaged`]; so for every read of this type.
    pub async fn storage_at(
        &self,
        address: &ContractAddress,
        key: &StorageKey,
        block: BlockNumber,
    ) -> Result<Felt> {
        let row: Option<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT value FROM contract_storage \
                 WHERE address = $1 AND key = $2 AND block_number <= $3 \
                 ORDER BY block_number DESC LIMIT 1",
            )
            .bind(bytes(address.0.key()))
            .bind(bytes(key.0.key()))
            .bind(up_to(block))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a storage cell"))?;
        row.map_or(Ok(Felt::ZERO), |value| felt(&value, "a storage cell"))
    }

    /// Several cells, in the order of the question.
    pub async fn storage_many(
        &self,
        cells: &[(ContractAddress, StorageKey)],
        block: BlockNumber,
    ) -> Result<Vec<Felt>> {
        const VALUES_PER_CELL: usize = 3;
        let mut values = vec![Felt::ZERO; cells.len()];
        for (chunk_index, chunk) in cells.chunks(MAX_BOUND_VALUES / VALUES_PER_CELL).enumerate() {
            let first = chunk_index * (MAX_BOUND_VALUES / VALUES_PER_CELL);
            let mut rows = Vec::with_capacity(chunk.len());
            for (offset, (address, key)) in chunk.iter().enumerate() {
                rows.push((index(first + offset, "a cell")?, address, key));
            }
            let found: Vec<(i64, Option<Vec<u8>>)> = reading!(self, |pool, Db| {
                let mut query =
                    sqlx::QueryBuilder::<Db>::new("WITH wanted (position, address, key) AS (");
                query.push_values(&rows, |mut row, (position, address, key)| {
                    row.push_bind(*position)
                        .push_bind(bytes(address.0.key()))
                        .push_bind(bytes(key.0.key()));
                });
                query.push(
                    ") SELECT position, (SELECT s.value FROM contract_storage s \
                     WHERE s.address = wanted.address AND s.key = wanted.key \
                     AND s.block_number <= ",
                );
                query.push_bind(up_to(block));
                query.push(" ORDER BY s.block_number DESC LIMIT 1) FROM wanted");
                query.build_query_as().persistent(false).fetch_all(pool).await
            })
            .map_err(failed("reading storage cells"))?;
            for (position, value) in found {
                let position = usize::try_from(position).ok().and_then(|at| values.get_mut(at));
                if let (Some(slot), Some(value)) = (position, value) {
                    *slot = felt(&value, "a storage cell")?;
                }
            }
        }
        Ok(values)
    }

    /// A contract's nonce after `block`; 0 when it never changed.
    pub async fn nonce_at(&self, address: &ContractAddress, block: BlockNumber) -> Result<Nonce> {
        let row: Option<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT nonce FROM contract_nonces WHERE address = $1 AND block_number <= $2 \
                 ORDER BY block_number DESC LIMIT 1",
            )
            .bind(bytes(address.0.key()))
            .bind(up_to(block))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a nonce"))?;
        Ok(Nonce(row.map_or(Ok(Felt::ZERO), |nonce| felt(&nonce, "a nonce"))?))
    }

    /// A contract's class after `block`; `None` when there is no contract.
    pub async fn class_hash_at(
        &self,
        address: &ContractAddress,
        block: BlockNumber,
    ) -> Result<Option<ClassHash>> {
        let row: Option<Vec<u8>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Vec<u8>>(
                "SELECT class_hash FROM contract_classes WHERE address = $1 AND block_number <= $2 \
                 ORDER BY block_number DESC LIMIT 1",
            )
            .bind(bytes(address.0.key()))
            .bind(up_to(block))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a class hash"))?;
        row.map(|hash| Ok(ClassHash(felt(&hash, "a class hash")?))).transpose()
    }

    /// A class's CASM hash after `block`; `None` when it is not declared by then, or is of Cairo 0.
    pub async fn compiled_class_hash_at(
        &self,
        class: &ClassHash,
        block: BlockNumber,
    ) -> Result<Option<CompiledClassHash>> {
        let row: Option<Option<Vec<u8>>> = reading!(self, |pool, Db| {
            sqlx::query_scalar::<Db, Option<Vec<u8>>>(
                "SELECT compiled_class_hash FROM declared_classes \
                 WHERE class_hash = $1 AND block_number <= $2 ORDER BY block_number DESC LIMIT 1",
            )
            .bind(bytes(&class.0))
            .bind(up_to(block))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a compiled class hash"))?;
        row.flatten()
            .map(|hash| Ok(CompiledClassHash(felt(&hash, "a compiled class hash")?)))
            .transpose()
    }

    /// When and as what a class was first declared.
    pub async fn declared_class(&self, class: &ClassHash) -> Result<Option<DeclaredClass>> {
        let row: Option<(i64, Option<Vec<u8>>)> = reading!(self, |pool, Db| {
            sqlx::query_as::<Db, (i64, Option<Vec<u8>>)>(
                "SELECT block_number, compiled_class_hash FROM declared_classes \
                 WHERE class_hash = $1 ORDER BY block_number LIMIT 1",
            )
            .bind(bytes(&class.0))
            .fetch_optional(pool)
            .await
        })
        .map_err(failed("reading a declared class"))?;
        row.map(|(block, compiled)| {
            let compiled_class_hash = compiled
                .map(|hash| Ok(CompiledClassHash(felt(&hash, "a compiled class hash")?)))
                .transpose()?;
            let block_number = BlockNumber(read_number(block, "a declared class")?);
            Ok(DeclaredClass { class_hash: *class, compiled_class_hash, block_number })
        })
        .transpose()
    }
}
