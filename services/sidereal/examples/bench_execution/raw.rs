//! Bare blockifier: its own transaction executor over a state in memory.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use blockifier::blockifier::config::TransactionExecutorConfig;
use blockifier::blockifier::transaction_executor::{DEFAULT_STACK_SIZE, TransactionExecutor};
use blockifier::bouncer::BouncerConfig;
use blockifier::state::cached_state::CachedState;
use blockifier::transaction::account_transaction::AccountTransaction;
use blockifier::transaction::transaction_execution::Transaction as Executable;
use sidereal::account::{GasPrices, Signed};
use sidereal::artifacts::contracts_folder;
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::classes::{
    DeclaredClass, ExecutionMode, MemoryClasses, RunnableClasses, RunnableClassesConfig,
};
use sidereal_execution::genesis::{GenesisClasses, GenesisConfig, genesis};
use sidereal_execution::state::{BlockState, MemoryState};
use starknet_api::block::{BlockNumber, BlockTimestamp, GasPrice, GasPricePerToken};
use starknet_api::core::{ChainId, ContractAddress};
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_api::executable_transaction::{
    AccountTransaction as ApiTransaction, InvokeTransaction,
};
use starknet_api::rpc_transaction::{RpcInvokeTransaction, RpcTransaction};
use starknet_types_core::felt::Felt;

/// Transactions that blockifier is handed at a time.
const CHUNK: usize = 100;

/// Blockifier in both modes, each over its own state, which goes on from round to round.
pub struct Raw {
    native: TransactionExecutor<BlockState>,
    vm: TransactionExecutor<BlockState>,
}

/// Transactions a second.
pub struct Rates {
    pub native: f64,
    pub vm: f64,
}

impl Raw {
    /// Over the genesis that `sidereal dev` makes for so many accounts.
    pub fn new(
        accounts: usize,
        chain_id: ChainId,
        prices: GasPrices,
        data: &Path,
    ) -> anyhow::Result<Self> {
        let executor = |mode| executor(accounts, chain_id.clone(), prices, mode, data);
        Ok(Self { native: executor(ExecutionMode::Native)?, vm: executor(ExecutionMode::Vm)? })
    }

    /// Executes what is not timed.
    pub fn warm_up(&mut self, transactions: &[Signed]) -> anyhow::Result<()> {
        self.run(transactions).map(drop)
    }

    /// Executes the same transactions in both modes, one after the other.
    pub fn run(&mut self, transactions: &[Signed]) -> anyhow::Result<Rates> {
        let executable: Vec<_> = transactions.iter().map(executable).collect::<Result<_, _>>()?;
        Ok(Rates {
            native: rate(&mut self.native, &executable)?,
            vm: rate(&mut self.vm, &executable)?,
        })
    }
}

fn rate(
    executor: &mut TransactionExecutor<BlockState>,
    transactions: &[Executable],
) -> anyhow::Result<f64> {
    // A block for each round, over the state that the last one left: blockifier counts what is in a block.
    let state = executor.block_state.take().context("blockifier lost its state")?;
    let context = (*executor.block_context).clone();
    *executor = TransactionExecutor::new(state, context, TransactionExecutorConfig::default());
    let started = Instant::now();
    // Native code needs a deep stack.
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(DEFAULT_STACK_SIZE)
            .spawn_scoped(scope, || {
                for chunk in transactions.chunks(CHUNK) {
                    let results = executor.execute_txs(chunk, None);
                    ensure!(results.len() == chunk.len(), "blockifier's block is full");
                    for result in results {
                        let (info, _) = result.context("blockifier refuses a transfer")?;
                        ensure!(info.revert_error.is_none(), "a transfer was reverted");
                    }
                }
                Ok(())
            })?
            .join()
            .map_err(|_| anyhow::anyhow!("the thread of blockifier panicked"))?
    })?;
    Ok(transactions.len() as f64 / started.elapsed().as_secs_f64())
}

fn executable(signed: &Signed) -> anyhow::Result<Executable> {
    let RpcTransaction::Invoke(RpcInvokeTransaction::V3(invoke)) = &signed.transaction else {
        anyhow::bail!("a transfer is an invoke transaction of version 3");
    };
    let tx = starknet_api::transaction::InvokeTransaction::V3(invoke.clone().into());
    let api = ApiTransaction::Invoke(InvokeTransaction { tx, tx_hash: signed.hash });
    Ok(Executable::Account(AccountTransaction::new_for_sequencing(api)))
}

fn executor(
    accounts: usize,
    chain_id: ChainId,
    prices: GasPrices,
    mode: ExecutionMode,
    data: &Path,
) -> anyhow::Result<TransactionExecutor<BlockState>> {
    let folder = contracts_folder()?;
    let class = |name: &str| -> anyhow::Result<DeclaredClass> {
        let read = |kind| std::fs::read(folder.join(format!("{name}.{kind}.json")));
        Ok(DeclaredClass::from_json(&read("sierra")?, &read("casm")?)?)
    };
    let classes = GenesisClasses {
        account: class("account")?,
        erc20: class("erc20")?,
        universal_deployer: None,
        others: Vec::new(),
    };
    let config = GenesisConfig { accounts: u32::try_from(accounts)?, ..GenesisConfig::default() };
    let genesis = genesis(&config, classes)?;
    let mut values = MemoryState::default();
    values.apply(&genesis.state_diff);
    let mut source = MemoryClasses::default();
    for (_, _, class) in &genesis.classes {
        source.insert((**class).clone());
    }
    let classes = RunnableClasses::new(
        Arc::new(source),
        RunnableClassesConfig {
            mode,
            native_cache: data.join("native-raw"),
            compile_in_background: false,
            capacity: NonZeroUsize::new(16).context("16 is not zero")?,
        },
    );
    let state = BlockState::new(Arc::new(values), Arc::new(classes));
    let price =
        |fri: u128| GasPricePerToken { price_in_fri: GasPrice(fri), price_in_wei: GasPrice(1) };
    let environment = BlockEnvironment {
        number: BlockNumber(1),
        timestamp: BlockTimestamp(1_700_000_000),
        sequencer_address: ContractAddress::try_from(Felt::from(0x5e9_u64))?,
        l1_gas_price: price(prices.l1_gas),
        l1_data_gas_price: price(prices.l1_data_gas),
        l2_gas_price: price(prices.l2_gas),
        l1_da_mode: L1DataAvailabilityMode::Calldata,
        chain_id,
        parent_hash: Default::default(),
        old_block: None,
    };
    let context = environment.block_context(BouncerConfig::max())?;
    Ok(TransactionExecutor::new(
        CachedState::new(state),
        context,
        TransactionExecutorConfig::default(),
    ))
}
