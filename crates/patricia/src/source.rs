//! Where nodes come from: the one trait through which this crate reads.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;

use starknet_types_core::felt::Felt;

use crate::node::{ContractLeaf, Node};

/// Content-addressed nodes. Implemented by the chain store, and by [`MemoryNodes`].
///
/// Answers have the length and the order of the question. A hash that is not known is `None`; whether that is
/// an error is decided by who asks.
pub trait NodeSource: Sync {
    /// Why a read failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The nodes with these hashes. One call is one batch: a level of one or of several tries.
    fn nodes(
        &self,
        hashes: &[Felt],
    ) -> impl Future<Output = Result<Vec<Option<Node>>, Self::Error>> + Send;

    /// The preimages of contract trie leaves with these hashes.
    fn contract_leaves(
        &self,
        hashes: &[Felt],
    ) -> impl Future<Output = Result<Vec<Option<ContractLeaf>>, Self::Error>> + Send;
}

/// Nodes in memory: for tests, for genesis, and for tries that come with a witness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryNodes {
    /// Inner nodes by hash.
    pub nodes: HashMap<Felt, Node>,
    /// Contract leaves by hash.
    pub contract_leaves: HashMap<Felt, ContractLeaf>,
}

impl MemoryNodes {
    /// Adds all of `other`'s nodes.
    pub fn absorb(&mut self, other: &Self) {
        self.nodes.extend(&other.nodes);
        self.contract_leaves.extend(&other.contract_leaves);
    }
}

impl NodeSource for MemoryNodes {
    type Error = Infallible;

    async fn nodes(&self, hashes: &[Felt]) -> Result<Vec<Option<Node>>, Infallible> {
        Ok(hashes.iter().map(|hash| self.nodes.get(hash).copied()).collect())
    }

    async fn contract_leaves(
        &self,
        hashes: &[Felt],
    ) -> Result<Vec<Option<ContractLeaf>>, Infallible> {
        Ok(hashes.iter().map(|hash| self.contract_leaves.get(hash).copied()).collect())
    }
}
