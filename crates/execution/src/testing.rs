//! A chain in memory, for tests: genesis with funded accounts, signed transactions, blocks with headers,
//! tries and witnesses. Everything is real but the storage.
//!
//! The contracts are those of `contracts/cairo`, compiled by the set-up. Fails by panicking, as tests do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll, Waker};

use sidereal_patricia::MemoryNodes;
use sidereal_patricia::state::{StateRoots, StateTries};
use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::block::{
    BlockHash, BlockHashAndNumber, BlockNumber, BlockTimestamp, GasPrice, GasPricePerToken,
};
use starknet_api::core::{ChainId, ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::data_availability::{DataAvailabilityMode, L1DataAvailabilityMode};
use starknet_api::execution_resources::GasAmount;
use starknet_api::transaction::fields::{
    AccountDeploymentData, AllResourceBounds, Calldata, ContractAddressSalt, PaymasterData,
    ProofFacts, ResourceBounds, Tip, TransactionSignature, ValidResourceBounds,
};
use starknet_api::transaction::{
    DeclareTransaction, DeclareTransactionV3, DeployAccountTransaction, DeployAccountTransactionV3,
    InvokeTransaction, InvokeTransactionV3, Transaction,
};
use starknet_types_core::felt::Felt;

use crate::block::{BlockEnvironment, OLD_BLOCK_HASH_DISTANCE, STRK_TOKEN_ADDRESS};
use crate::classes::{
    ClassError, ClassSource, Classes, DeclaredClass, ExecutionMode, RunnableClasses,
    RunnableClassesConfig, compiled_class_hash,
};
use crate::engine::{BlockExecutor, Executed};
use crate::genesis::{
    DevAccount, Genesis, GenesisClasses, GenesisConfig, account_address, dev_keys, genesis,
};
use crate::header::{BlockHeader, block_header};
use crate::limits::BlockLimits;
use crate::outcome::BlockExecution;
use crate::query::QueryContext;
use crate::state::{BlockState, MemoryState};
use crate::transaction::BlockTransaction;
use crate::witness::BlockWitness;

/// The chain's id.
pub const CHAIN_ID: &str = "SIDEREAL_TEST";

/// Where the set-up puts compiled contracts.
pub fn contracts_folder() -> PathBuf {
    let cache = std::env::var_os("SIDEREAL_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/sidereal"),
        PathBuf::from,
    );
    cache.join("contracts")
}

/// A contract of `contracts/cairo` by name.
pub fn contract(name: &str) -> DeclaredClass {
    let read = |kind: &str| {
        let path = contracts_folder().join(format!("{name}.{kind}.json"));
        std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{} (run scripts/setup): {error}", path.display()))
    };
    DeclaredClass::from_json(&read("sierra"), &read("casm")).expect("the contract is well-formed")
}

/// Classes that tests can add to while a chain runs.
#[derive(Clone, Default)]
pub struct SharedClasses(Arc<RwLock<HashMap<ClassHash, Arc<DeclaredClass>>>>);

impl SharedClasses {
    /// Adds a class, as the sequencer does when it takes a declare.
    pub fn insert(&self, class: Arc<DeclaredClass>) {
        self.insert_as(class.class_hash(), class);
    }

    /// Adds a class under another hash than its own. No declare leads to that, but a state may begin so.
    pub fn insert_as(&self, class_hash: ClassHash, class: Arc<DeclaredClass>) {
        self.0.write().unwrap().insert(class_hash, class);
    }
}

impl ClassSource for SharedClasses {
    fn class(&self, class_hash: ClassHash) -> Result<Option<Arc<DeclaredClass>>, ClassError> {
        Ok(self.0.read().unwrap().get(&class_hash).cloned())
    }
}

/// The chain.
pub struct TestChain {
    /// The allocation, with the accounts' keys.
    pub genesis: Genesis,
    /// The state after the last block.
    pub state: MemoryState,
    /// The tries' nodes of all blocks.
    pub nodes: MemoryNodes,
    /// The tries' roots after the last block.
    pub roots: StateRoots,
    /// All headers, by number.
    pub headers: Vec<BlockHeader>,
    /// Where classes come from.
    pub classes: SharedClasses,
    /// How the data of the next blocks goes to L1.
    pub l1_da_mode: L1DataAvailabilityMode,
    runnable: Arc<dyn Classes>,
}

/// A block of the chain.
pub struct TestBlock {
    /// What was answered for each transaction offered.
    pub executed: Executed,
    /// The block.
    pub execution: BlockExecution,
    /// Its header.
    pub header: BlockHeader,
    /// Its witness.
    pub witness: BlockWitness,
}

impl TestChain {
    /// A chain with its genesis block, whose contracts run in `mode`.
    pub fn new(mode: ExecutionMode) -> Self {
        Self::with_genesis(mode, |_| {})
    }

    /// A chain whose genesis block was changed before it was made.
    pub fn with_genesis(mode: ExecutionMode, change: impl FnOnce(&mut Genesis)) -> Self {
        let genesis_classes = GenesisClasses {
            account: contract("account"),
            erc20: contract("erc20"),
            universal_deployer: Some(contract("udc")),
            others: Vec::new(),
        };
        let mut genesis = genesis(&GenesisConfig::default(), genesis_classes).unwrap();
        change(&mut genesis);
        let classes = SharedClasses::default();
        for (_, _, class) in &genesis.classes {
            classes.insert(class.clone());
        }
        let config = RunnableClassesConfig {
            mode,
            native_cache: contracts_folder().join("native"),
            compile_in_background: false,
            capacity: NonZeroUsize::new(64).unwrap(),
        };
        let runnable = Arc::new(RunnableClasses::new(Arc::new(classes.clone()), config));
        let mut chain = Self {
            genesis,
            state: MemoryState::default(),
            nodes: MemoryNodes::default(),
            roots: StateRoots::default(),
            headers: Vec::new(),
            classes,
            l1_da_mode: L1DataAvailabilityMode::Blob,
            runnable,
        };
        let block = chain.genesis.block(chain.environment());
        chain.append(&block);
        chain
    }

    /// A funded account.
    pub fn account(&self, index: usize) -> &DevAccount {
        &self.genesis.accounts[index]
    }

    /// The environment of the next block.
    pub fn environment(&self) -> BlockEnvironment {
        let number = u64::try_from(self.headers.len()).unwrap();
        let price = |wei: u128, fri: u128| GasPricePerToken {
            price_in_wei: GasPrice(wei),
            price_in_fri: GasPrice(fri),
        };
        BlockEnvironment {
            number: BlockNumber(number),
            timestamp: BlockTimestamp(1_700_000_000 + number * 6),
            sequencer_address: ContractAddress::try_from(Felt::from(0x5e9_u64)).unwrap(),
            l1_gas_price: price(1_000_000_000, 1_000_000_000_000),
            l1_data_gas_price: price(1, 1_000),
            l2_gas_price: price(10_000, 10_000_000),
            l1_da_mode: self.l1_da_mode,
            chain_id: ChainId::Other(CHAIN_ID.to_owned()),
            parent_hash: self.headers.last().map(|header| header.hash).unwrap_or_default(),
            old_block: number.checked_sub(OLD_BLOCK_HASH_DISTANCE).map(|old| BlockHashAndNumber {
                number: BlockNumber(old),
                hash: self.headers[usize::try_from(old).unwrap()].hash,
            }),
        }
    }

    /// The state after the last block, as execution reads it.
    pub fn block_state(&self) -> BlockState {
        BlockState::new(Arc::new(self.state.clone()), self.runnable.clone())
    }

    /// The latest state in the latest block's surroundings.
    pub fn query(&self) -> QueryContext {
        QueryContext::new(self.block_state(), self.environment()).unwrap()
    }

    /// Executes a block, closes it, and appends it to the chain.
    pub fn block(&mut self, transactions: &[BlockTransaction]) -> TestBlock {
        self.limited_block(transactions, BlockLimits::default())
    }

    /// [`Self::block`] with limits.
    pub fn limited_block(
        &mut self,
        transactions: &[BlockTransaction],
        limits: BlockLimits,
    ) -> TestBlock {
        let mut executor =
            BlockExecutor::begin(self.block_state(), self.environment(), limits).unwrap();
        let executed = executor.execute(transactions).unwrap();
        let execution = executor.close().unwrap();
        let (header, commitment) = self.append(&execution);
        let witness =
            BlockWitness::build(execution.clone(), header.clone(), commitment, &self.classes)
                .unwrap();
        TestBlock { executed, execution, header, witness }
    }

    /// How many of the transactions fit into the next block, and whether it is full then. Appends nothing.
    pub fn fitting(&self, batch: &[BlockTransaction], limits: BlockLimits) -> (usize, bool) {
        let mut executor =
            BlockExecutor::begin(self.block_state(), self.environment(), limits).unwrap();
        let executed = executor.execute(batch).unwrap();
        (executor.included(), executed.block_full)
    }

    /// The least limit, of those that `limits` makes of a number, with which the whole batch fits into the next block.
    pub fn least_limit(
        &self,
        batch: &[BlockTransaction],
        limits: impl Fn(u32) -> BlockLimits,
    ) -> u32 {
        let (mut too_low, mut enough) = (0_u32, u32::MAX);
        while enough - too_low > 1 {
            let limit = too_low.midpoint(enough);
            match self.fitting(batch, limits(limit)) {
                (included, false) if included == batch.len() => enough = limit,
                _ => too_low = limit,
            }
        }
        enough
    }

    /// Updates tries and state, and computes the header.
    fn append(
        &mut self,
        execution: &BlockExecution,
    ) -> (BlockHeader, sidereal_patricia::state::StateCommitmentFacts) {
        let tries = ready(StateTries::load(
            &self.nodes,
            self.roots,
            &execution.state_diff,
            &execution.initial_reads.accessed_keys(),
        ))
        .unwrap();
        let update = tries.update(&execution.state_diff).unwrap();
        let header = block_header(execution, update.roots.global_root()).unwrap();
        self.nodes.absorb(&update.new_nodes);
        self.roots = update.roots;
        self.state.apply(&execution.state_diff);
        self.headers.push(header.clone());
        (header, update.facts)
    }

    /// The hash of the last block.
    pub fn head(&self) -> BlockHash {
        self.headers.last().unwrap().hash
    }
}

/// A call within an invoke transaction.
#[derive(Clone, Debug)]
pub struct Call {
    /// The contract.
    pub to: ContractAddress,
    /// The function's name.
    pub function: &'static str,
    /// The arguments.
    pub calldata: Vec<Felt>,
}

/// A transfer of STRK.
pub fn transfer(to: ContractAddress, amount: u128) -> Call {
    Call {
        to: *STRK_TOKEN_ADDRESS,
        function: "transfer",
        calldata: vec![*to.0.key(), Felt::from(amount), Felt::ZERO],
    }
}

/// A signed invoke transaction.
pub fn invoke(account: &DevAccount, nonce: u64, calls: &[Call]) -> BlockTransaction {
    let mut calldata = vec![Felt::from(calls.len())];
    for call in calls {
        calldata.push(*call.to.0.key());
        calldata.push(selector_from_name(call.function).0);
        calldata.push(Felt::from(call.calldata.len()));
        calldata.extend(&call.calldata);
    }
    sign(
        Transaction::Invoke(InvokeTransaction::V3(InvokeTransactionV3 {
            resource_bounds: bounds(),
            tip: Tip::default(),
            signature: TransactionSignature::default(),
            nonce: Nonce(Felt::from(nonce)),
            sender_address: account.address,
            calldata: Calldata(Arc::new(calldata)),
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData::default(),
            account_deployment_data: AccountDeploymentData::default(),
            proof_facts: ProofFacts::default(),
        })),
        account.private_key,
    )
}

/// A signed declare transaction.
pub fn declare(account: &DevAccount, nonce: u64, class: &DeclaredClass) -> BlockTransaction {
    let compiled: CompiledClassHash = compiled_class_hash(&class.casm).unwrap();
    sign(
        Transaction::Declare(DeclareTransaction::V3(DeclareTransactionV3 {
            resource_bounds: bounds(),
            tip: Tip::default(),
            signature: TransactionSignature::default(),
            nonce: Nonce(Felt::from(nonce)),
            class_hash: class.class_hash(),
            compiled_class_hash: compiled,
            sender_address: account.address,
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData::default(),
            account_deployment_data: AccountDeploymentData::default(),
        })),
        account.private_key,
    )
}

/// A signed deploy-account transaction.
pub fn deploy_account(account: &DevAccount, class_hash: ClassHash) -> BlockTransaction {
    sign(
        Transaction::DeployAccount(DeployAccountTransaction::V3(DeployAccountTransactionV3 {
            resource_bounds: bounds(),
            tip: Tip::default(),
            signature: TransactionSignature::default(),
            nonce: Nonce::default(),
            class_hash,
            contract_address_salt: ContractAddressSalt(account.public_key),
            constructor_calldata: Calldata(Arc::new(vec![account.public_key])),
            nonce_data_availability_mode: DataAvailabilityMode::L1,
            fee_data_availability_mode: DataAvailabilityMode::L1,
            paymaster_data: PaymasterData::default(),
        })),
        account.private_key,
    )
}

/// A key pair and the address it will have, with nothing on it yet.
pub fn new_account(seed: u64, class_hash: ClassHash) -> DevAccount {
    let (private_key, public_key) = dev_keys(seed, 1)[0];
    let address = account_address(class_hash, public_key).unwrap();
    DevAccount { address, private_key, public_key, balance_fri: 0 }
}

/// Signs a transaction, whatever its signature was.
pub fn sign(transaction: Transaction, private_key: Felt) -> BlockTransaction {
    let chain_id = ChainId::Other(CHAIN_ID.to_owned());
    let mut signed = BlockTransaction::new(transaction, &chain_id).unwrap();
    let k = starknet_crypto::rfc6979_generate_k(&signed.hash.0, &private_key, None);
    let signature = starknet_crypto::sign(&private_key, &signed.hash.0, &k).unwrap();
    let signature = TransactionSignature(Arc::new(vec![signature.r, signature.s]));
    match &mut signed.transaction {
        Transaction::Invoke(InvokeTransaction::V3(tx)) => tx.signature = signature,
        Transaction::Declare(DeclareTransaction::V3(tx)) => tx.signature = signature,
        Transaction::DeployAccount(DeployAccountTransaction::V3(tx)) => tx.signature = signature,
        _ => panic!("only version 3 transactions are signed"),
    }
    signed
}

/// Bounds that cover any of the tests' transactions at the chain's prices.
pub fn bounds() -> ValidResourceBounds {
    let bound = |amount: u64, price: u128| ResourceBounds {
        max_amount: GasAmount(amount),
        max_price_per_unit: GasPrice(price),
    };
    ValidResourceBounds::AllResources(AllResourceBounds {
        l1_gas: bound(10_000, 2_000_000_000_000),
        l1_data_gas: bound(100_000, 2_000),
        l2_gas: bound(1_000_000_000, 20_000_000),
    })
}

/// Drives a future over nodes in memory, which never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("nodes in memory are never waited for"),
    }
}
