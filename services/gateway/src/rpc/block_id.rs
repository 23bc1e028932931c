//! Which block a call is about.

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use starknet_api::block::BlockNumber;
use starknet_types_core::felt::Felt;

use super::number::FeltHex;

/// `BLOCK_TAG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockTag {
    /// The latest block that Ethereum accepted.
    L1Accepted,
    /// The latest closed block.
    Latest,
    /// The open block.
    PreConfirmed,
}

/// `BLOCK_ID`: `{"block_hash": …}`, `{"block_number": …}` or a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockId {
    Hash(Felt),
    Number(BlockNumber),
    Tag(BlockTag),
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlockIdVisitor)
    }
}

struct BlockIdVisitor;

impl<'de> Visitor<'de> for BlockIdVisitor {
    type Value = BlockId;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "a block id: {\"block_hash\": …}, {\"block_number\": …}, \"latest\", \"pre_confirmed\" or \"l1_accepted\"",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockId, E> {
        let tag = match text {
            "latest" => BlockTag::Latest,
            "pre_confirmed" => BlockTag::PreConfirmed,
            "l1_accepted" => BlockTag::L1Accepted,
            _ => return Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        };
        Ok(BlockId::Tag(tag))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BlockId, A::Error> {
        let id = match map.next_key::<String>()?.as_deref() {
            Some("block_hash") => BlockId::Hash(map.next_value::<FeltHex>()?.0),
            Some("block_number") => BlockId::Number(BlockNumber(map.next_value()?)),
            Some(other) => {
                return Err(de::Error::unknown_field(other, &["block_hash", "block_number"]));
            }
            None => return Err(de::Error::missing_field("block_hash or block_number")),
        };
        // An id with both would name two blocks.
        match map.next_key::<String>()? {
            None => Ok(id),
            Some(extra) => {
                Err(de::Error::custom(format!("a block id has one field, not also `{extra}`")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Option<BlockId> {
        serde_json::from_value(value).ok()
    }

    #[test]
    fn ids_are_read() {
        assert_eq!(read(json!("latest")), Some(BlockId::Tag(BlockTag::Latest)));
        assert_eq!(read(json!("pre_confirmed")), Some(BlockId::Tag(BlockTag::PreConfirmed)));
        assert_eq!(read(json!("l1_accepted")), Some(BlockId::Tag(BlockTag::L1Accepted)));
        assert_eq!(read(json!({"block_number": 7})), Some(BlockId::Number(BlockNumber(7))));
        assert_eq!(read(json!({"block_hash": "0x7"})), Some(BlockId::Hash(Felt::from(7))));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for wrong in [
            json!("pending"),
            json!(7),
            json!(null),
            json!([]),
            json!({}),
            json!({"block_number": -1}),
            json!({"block_number": "7"}),
            json!({"block_number": 1.5}),
            json!({"block_hash": 7}),
            json!({"block_hash": "0x1", "block_number": 1}),
            json!({"number": 1}),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
