//! The state at any block.

use starknet_api::block::BlockNumber;
use starknet_api::core::{ClassHash, CompiledClassHash};

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
