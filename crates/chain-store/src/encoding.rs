//! How values are written into columns.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sidereal_patricia::{ContractLeaf, Node};
use starknet_types_core::felt::Felt;

use crate::error::ChainStoreError;

type Result<T> = std::result::Result<T, ChainStoreError>;

pub(crate) fn damaged(object: impl Into<String>, reason: impl ToString) -> ChainStoreError {
    ChainStoreError::Damaged { object: object.into(), reason: reason.to_string() }
}

pub(crate) fn bytes(felt: &Felt) -> Vec<u8> {
    felt.to_bytes_be().to_vec()
}

pub(crate) fn felt(bytes: &[u8], object: &str) -> Result<Felt> {
    let bytes: &[u8; 32] = bytes
        .try_into()
        .map_err(|_| damaged(object, format!("{} bytes are no felt", bytes.len())))?;
    Ok(Felt::from_bytes_be(bytes))
}

pub(crate) fn felts<'a>(felts: impl Iterator<Item = &'a Felt>) -> Vec<u8> {
    felts.flat_map(Felt::to_bytes_be).collect()
}

pub(crate) fn read_felts(bytes: &[u8], object: &str) -> Result<Vec<Felt>> {
    bytes.chunks(32).map(|chunk| felt(chunk, object)).collect()
}

/// To a signed column. Numbers of blocks, rows and milliseconds stay below 2^63.
pub(crate) fn number(value: u64, object: &str) -> Result<i64> {
    i64::try_from(value).map_err(|_| damaged(object, format!("{value} is out of range")))
}

pub(crate) fn read_number(value: i64, object: &str) -> Result<u64> {
    u64::try_from(value).map_err(|_| damaged(object, format!("{value} is negative")))
}

/// An index within a block. Blocks are in memory, so that it fits.
pub(crate) fn index(value: usize, object: &str) -> Result<i64> {
    i64::try_from(value).map_err(|_| damaged(object, format!("{value} is out of range")))
}

pub(crate) fn json<T: Serialize>(value: &T, object: impl Fn() -> String) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| ChainStoreError::Encode { object: object(), source })
}

pub(crate) fn read_json<T: DeserializeOwned>(
    bytes: &[u8],
    object: impl Fn() -> String,
) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged(object(), error))
}

const BINARY_BYTES: usize = 64;
const EDGE_BYTES: usize = 65;
const LEAF_BYTES: usize = 96;

pub(crate) fn node_bytes(node: &Node) -> Vec<u8> {
    match node {
        Node::Binary { left, right } => felts([left, right].into_iter()),
        Node::Edge { child, path, length } => {
            let mut bytes = felts([child, path].into_iter());
            bytes.push(*length);
            bytes
        }
    }
}

pub(crate) fn leaf_bytes(leaf: &ContractLeaf) -> Vec<u8> {
    felts([&leaf.class_hash, &leaf.storage_root, &leaf.nonce].into_iter())
}

pub(crate) fn read_node(bytes: &[u8]) -> Result<Node> {
    const OBJECT: &str = "a trie node";
    match bytes.len() {
        BINARY_BYTES => Ok(Node::Binary {
            left: felt(&bytes[..32], OBJECT)?,
            right: felt(&bytes[32..], OBJECT)?,
        }),
        EDGE_BYTES => Ok(Node::Edge {
            child: felt(&bytes[..32], OBJECT)?,
            path: felt(&bytes[32..64], OBJECT)?,
            length: bytes[64],
        }),
        other => Err(damaged(OBJECT, format!("{other} bytes are no inner node"))),
    }
}

pub(crate) fn read_leaf(bytes: &[u8]) -> Result<ContractLeaf> {
    const OBJECT: &str = "a contract leaf";
    if bytes.len() != LEAF_BYTES {
        return Err(damaged(OBJECT, format!("{} bytes are no contract leaf", bytes.len())));
    }
    Ok(ContractLeaf {
        class_hash: felt(&bytes[..32], OBJECT)?,
        storage_root: felt(&bytes[32..64], OBJECT)?,
        nonce: felt(&bytes[64..], OBJECT)?,
    })
}
