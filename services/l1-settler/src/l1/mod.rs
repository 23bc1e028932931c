//! The settler's view of Ethereum, through one node.

mod contract;
mod error;
mod transport;
mod updates;

use std::time::Duration;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U64, U128, U256};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy::rpc::types::{
    Block, Transaction, TransactionInput, TransactionReceipt, TransactionRequest,
};
use alloy::sol_types::SolCall;
use alloy::transports::http::reqwest;
use sidereal_service::Secret;
use sidereal_settlement::{PreparedUpdate, RollupCore, SidecarForm, u256_to_felt};
use starknet_types_core::felt::Felt;

pub use contract::{Delays, InForce};
pub(crate) use error::PoolAnswer;
use error::no_answer;
pub use error::{L1Error, L1Failure};
use transport::BoundedHttp;
pub use updates::{L1Update, UpdatesError};

use crate::fees::Prices;

/// What one transaction may use (EIP-7825).
pub const TRANSACTION_GAS_CAP: u64 = 1 << 24;

/// A node of Ethereum. Cheap to clone.
#[derive(Clone)]
pub struct L1 {
    client: RpcClient,
}

impl std::fmt::Debug for L1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client would show the URL.
        f.debug_struct("L1").finish_non_exhaustive()
    }
}

/// The node's URL cannot be used. Says nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("l1.url is not an address to connect to")]
pub struct BadUrl;

/// A block of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Wei a unit of gas.
    pub base_fee: u128,
}

/// What the contract holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldState {
    /// Number of the last settled block.
    pub block_number: u64,
    /// Its hash.
    pub block_hash: Felt,
    /// Root of the state after it.
    pub root: Felt,
}

impl L1 {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: &Secret<String>, timeout: Duration) -> Result<Self, BadUrl> {
        // The errors' own texts would show the URL.
        let url = reqwest::Url::parse(url.expose()).map_err(|_| BadUrl)?;
        let http = reqwest::Client::builder().timeout(timeout).build().map_err(|_| BadUrl)?;
        // Whether the node is near only matters to subscriptions.
        Ok(Self { client: RpcClient::new(BoundedHttp::new(http, url), false) })
    }

    async fn ask<P: RpcSend, R: RpcRecv>(
        &self,
        operation: &'static str,
        method: &'static str,
        params: P,
    ) -> Result<R, L1Error> {
        self.client.request(method, params).await.map_err(L1Error::of(operation))
    }

    /// The chain's id.
    pub async fn chain_id(&self) -> Result<u64, L1Error> {
        let id: U64 = self.ask("ask for the chain's id", "eth_chainId", ()).await?;
        Ok(id.to())
    }

    /// The last block.
    pub async fn head(&self) -> Result<L1Block, L1Error> {
        self.block(BlockNumberOrTag::Latest)
            .await?
            .ok_or_else(|| L1Error::malformed("ask for the last block", "there is none"))
    }

    /// The block with that number, if there is one.
    pub async fn block(&self, number: BlockNumberOrTag) -> Result<Option<L1Block>, L1Error> {
        let block: Option<Block> =
            self.ask("ask for a block", "eth_getBlockByNumber", (number, false)).await?;
        Ok(block.map(|block| L1Block {
            number: block.header.number,
            hash: block.header.hash,
            base_fee: block.header.base_fee_per_gas.unwrap_or_default().into(),
        }))
    }

    /// What gas, tip and blob gas cost, after the block `head`.
    pub async fn prices(&self, head: &L1Block) -> Result<Prices, L1Error> {
        let priority_fee: U128 =
            self.ask("ask for the tip", "eth_maxPriorityFeePerGas", ()).await?;
        let blob_base_fee: U128 =
            self.ask("ask for the price of blob gas", "eth_blobBaseFee", ()).await?;
        Ok(Prices {
            base_fee: head.base_fee,
            priority_fee: priority_fee.to(),
            blob_base_fee: blob_base_fee.to(),
        })
    }

    /// How many transactions of the account are in blocks up to `at`: the nonce of its next one.
    pub async fn nonce(&self, account: Address, at: B256) -> Result<u64, L1Error> {
        let nonce: U64 = self
            .ask(
                "ask for the account's nonce",
                "eth_getTransactionCount",
                (account, BlockId::from(at)),
            )
            .await?;
        Ok(nonce.to())
    }

    /// What the contract holds after the block `at`.
    ///
    /// # Errors
    /// Also when there is no such contract at that time, see [`L1::has_code`].
    pub async fn held(&self, rollup_core: Address, at: B256) -> Result<HeldState, L1Error> {
        const OPERATION: &str = "read the rollup's contract";
        let number = self.read(rollup_core, at, &RollupCore::stateBlockNumberCall {}).await?;
        let hash = self.read(rollup_core, at, &RollupCore::stateBlockHashCall {}).await?;
        let root = self.read(rollup_core, at, &RollupCore::stateRootCall {}).await?;
        let felt = |number: U256| {
            u256_to_felt(&number).ok_or_else(|| L1Error::malformed(OPERATION, "it holds no felt"))
        };
        Ok(HeldState {
            block_number: number
                .try_into()
                .map_err(|_| L1Error::malformed(OPERATION, "it holds no block number"))?,
            block_hash: felt(hash)?,
            root: felt(root)?,
        })
    }

    /// Whether there is a contract after the block `at`.
    pub async fn has_code(&self, contract: Address, at: B256) -> Result<bool, L1Error> {
        let code: Bytes = self
            .ask("ask for a contract's code", "eth_getCode", (contract, BlockId::from(at)))
            .await?;
        Ok(!code.is_empty())
    }

    async fn read<C: SolCall>(
        &self,
        contract: Address,
        at: B256,
        call: &C,
    ) -> Result<C::Return, L1Error> {
        const OPERATION: &str = "read the rollup's contract";
        let request = TransactionRequest {
            to: Some(contract.into()),
            input: TransactionInput::new(call.abi_encode().into()),
            ..Default::default()
        };
        let answer: Bytes = self.ask(OPERATION, "eth_call", (request, BlockId::from(at))).await?;
        C::abi_decode_returns(&answer).map_err(|_| no_answer(OPERATION, &answer))
    }

    /// Which wrapper of blobs the chain wants now.
    pub async fn sidecar_form(&self) -> Result<SidecarForm, L1Error> {
        let request = TransactionRequest {
            to: Some(SidecarForm::PROBE_ADDRESS.into()),
            input: TransactionInput::new(SidecarForm::PROBE_INPUT.to_vec().into()),
            ..Default::default()
        };
        let answer: Bytes =
            self.ask("ask for the fork", "eth_call", (request, BlockNumberOrTag::Latest)).await?;
        Ok(SidecarForm::of_probe_answer(&answer))
    }

    /// Runs an update over the last block and returns the gas that it takes.
    ///
    /// # Errors
    /// When the contract refuses it, with its own error.
    pub async fn simulate(
        &self,
        from: Address,
        rollup_core: Address,
        update: &PreparedUpdate,
        max_fee_per_blob_gas: u128,
    ) -> Result<u64, L1Error> {
        let request = TransactionRequest {
            from: Some(from),
            to: Some(rollup_core.into()),
            input: TransactionInput::new(update.calldata.clone()),
            blob_versioned_hashes: Some(update.blobs.versioned_hashes().to_vec()),
            max_fee_per_blob_gas: Some(max_fee_per_blob_gas),
            gas: Some(TRANSACTION_GAS_CAP),
            ..Default::default()
        };
        let operation = "simulate the update";
        // Both over the last block: by default some nodes estimate over what is in their pool, our own update included.
        // And unlike an estimate, a call carries the contract's error on every node.
        let _: Bytes =
            self.ask(operation, "eth_call", (request.clone(), BlockNumberOrTag::Latest)).await?;
        self.estimate("estimate the update's gas", request).await
    }

    /// Gas that a transaction over the last block takes.
    async fn estimate(
        &self,
        operation: &'static str,
        request: TransactionRequest,
    ) -> Result<u64, L1Error> {
        let params = (request, BlockNumberOrTag::Latest);
        let gas: U64 = self.ask(operation, "eth_estimateGas", params).await?;
        Ok(gas.to())
    }

    /// Gas that a contract's creation takes.
    pub async fn estimate_creation(&self, from: Address, code: Bytes) -> Result<u64, L1Error> {
        let request = TransactionRequest {
            from: Some(from),
            to: Some(alloy::primitives::TxKind::Create),
            input: TransactionInput::new(code),
            ..Default::default()
        };
        self.estimate("estimate the gas of a deployment", request).await
    }

    /// Hands a signed transaction to the node's pool.
    pub async fn send(&self, raw: &Bytes) -> Result<B256, L1Error> {
        self.ask("send a transaction", "eth_sendRawTransaction", (raw,)).await
    }

    /// Whether the node knows a transaction, in its pool or in a block.
    pub async fn knows(&self, hash: B256) -> Result<bool, L1Error> {
        let found: Option<Transaction> =
            self.ask("ask for a transaction", "eth_getTransactionByHash", (hash,)).await?;
        Ok(found.is_some())
    }

    /// What became of a transaction that is in a block.
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, L1Error> {
        self.ask("ask for a receipt", "eth_getTransactionReceipt", (hash,)).await
    }
}
