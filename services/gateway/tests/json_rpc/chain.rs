//! A short chain, made by hand: what is in it is said here, and tests look for it.
//!
//! | block | transactions | state |
//! | --- | --- | --- |
//! | 0 | none (genesis) | class `CLASS`, accounts `ACCOUNT` and `OTHER`, balance of `ACCOUNT` |
//! | 1 | invoke (4 events, 1 message), declare, deploy-account | class `SECOND_CLASS`, account, nonces |
//! | 2 | invoke (reverted) | `OTHER` gets `SECOND_CLASS`, the balance becomes 0 |

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use sidereal_chain_store::{
    BlockCommit, BlockFinality, ChainStore, ChainStoreLimits, FeeUnit, StoredBlock, StoredReceipt,
    StoredTransaction,
};
use sidereal_patricia::state::{AccessedKeys, StateRoots, StateTries};
use starknet_api::block::{
    BlockHash, BlockHeaderWithoutHash, BlockNumber, BlockTimestamp, GasPrice, GasPricePerToken,
    StarknetVersion,
};
use starknet_api::block_hash::block_hash_calculator::BlockHeaderCommitments;
use starknet_api::core::{
    ChainId, ClassHash, CompiledClassHash, ContractAddress, EthAddress, Nonce, PatriciaKey,
    SequencerContractAddress,
};
use starknet_api::data_availability::{DataAvailabilityMode, L1DataAvailabilityMode};
use starknet_api::execution_resources::{GasAmount, GasVector};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_api::transaction::fields::{
    AccountDeploymentData, AllResourceBounds, Calldata, ContractAddressSalt, Fee, PaymasterData,
    ProofFacts, ResourceBounds, Tip, TransactionSignature, ValidResourceBounds,
};
use starknet_api::transaction::{
    CalculateContractAddress as _, DeclareTransaction, DeclareTransactionV3,
    DeployAccountTransaction, DeployAccountTransactionV3, Event, EventContent, EventData, EventKey,
    InvokeTransaction, InvokeTransactionV3, L2ToL1Payload, MessageToL1,
    RevertedTransactionExecutionStatus, Transaction, TransactionExecutionStatus, TransactionHash,
};
use starknet_types_core::felt::Felt;

pub const CHAIN: &str = "SN_SIDEREAL";
pub const ACCOUNT: u64 = 0xacc;
pub const OTHER: u64 = 0x07e2;
pub const TOKEN: u64 = 0x70ce;
pub const BALANCE_KEY: u64 = 0xba1;
pub const BALANCE: u64 = 1_000_000;
pub const CLASS: u64 = 0xc1a55;
pub const SECOND_CLASS: u64 = 0xc1a552;
pub const COMPILED: u64 = 0xca53;
pub const INVOKE: u64 = 0x1001;
pub const DECLARE: u64 = 0x1002;
pub const DEPLOY: u64 = 0x1003;
pub const REVERTED: u64 = 0x2001;
pub const UNKNOWN: u64 = 0xdead;

pub fn felt(value: u64) -> Felt {
    Felt::from(value)
}

pub fn hex(value: u64) -> String {
    format!("{value:#x}")
}

pub fn address(value: u64) -> ContractAddress {
    ContractAddress(PatriciaKey::try_from(felt(value)).unwrap())
}

pub fn storage_key(value: u64) -> StorageKey {
    StorageKey(PatriciaKey::try_from(felt(value)).unwrap())
}

/// The hash of a block of this chain.
pub fn block_hash(number: u64) -> Felt {
    felt(0xb10c00 + number)
}

pub fn bounds() -> ValidResourceBounds {
    let bound = |amount, price| ResourceBounds {
        max_amount: GasAmount(amount),
        max_price_per_unit: GasPrice(price),
    };
    ValidResourceBounds::AllResources(AllResourceBounds {
        l1_gas: bound(10, 1_000),
        l1_data_gas: bound(1_000, 1_000),
        l2_gas: bound(10_000_000, 1_000_000_000),
    })
}

fn signature() -> TransactionSignature {
    TransactionSignature(Arc::new(vec![Felt::MAX, Felt::ONE]))
}

pub fn invoke(hash: u64, nonce: u64) -> StoredTransaction {
    let transaction = InvokeTransactionV3 {
        resource_bounds: bounds(),
        tip: Tip(7),
        signature: signature(),
        nonce: Nonce(felt(nonce)),
        sender_address: address(ACCOUNT),
        calldata: Calldata(Arc::new(vec![Felt::ZERO, Felt::MAX])),
        nonce_data_availability_mode: DataAvailabilityMode::L1,
        fee_data_availability_mode: DataAvailabilityMode::L1,
        paymaster_data: PaymasterData::default(),
        account_deployment_data: AccountDeploymentData::default(),
        proof_facts: ProofFacts::default(),
    };
    stored(hash, Transaction::Invoke(InvokeTransaction::V3(transaction)))
}

fn declare() -> StoredTransaction {
    let transaction = DeclareTransactionV3 {
        resource_bounds: bounds(),
        tip: Tip(0),
        signature: signature(),
        nonce: Nonce(felt(1)),
        class_hash: ClassHash(felt(SECOND_CLASS)),
        compiled_class_hash: CompiledClassHash(felt(COMPILED)),
        sender_address: address(ACCOUNT),
        nonce_data_availability_mode: DataAvailabilityMode::L1,
        fee_data_availability_mode: DataAvailabilityMode::L1,
        paymaster_data: PaymasterData::default(),
        account_deployment_data: AccountDeploymentData::default(),
    };
    stored(DECLARE, Transaction::Declare(DeclareTransaction::V3(transaction)))
}

fn deploy_transaction() -> DeployAccountTransactionV3 {
    DeployAccountTransactionV3 {
        resource_bounds: bounds(),
        tip: Tip(0),
        signature: signature(),
        nonce: Nonce(Felt::ZERO),
        class_hash: ClassHash(felt(CLASS)),
        contract_address_salt: ContractAddressSalt(felt(5)),
        constructor_calldata: Calldata(Arc::new(vec![felt(3)])),
        nonce_data_availability_mode: DataAvailabilityMode::L1,
        fee_data_availability_mode: DataAvailabilityMode::L1,
        paymaster_data: PaymasterData::default(),
    }
}

/// The account that block 1 deploys.
pub fn deployed() -> ContractAddress {
    deploy_transaction().calculate_contract_address().unwrap()
}

fn stored(hash: u64, transaction: Transaction) -> StoredTransaction {
    StoredTransaction { hash: TransactionHash(felt(hash)), transaction }
}

pub fn event(from: u64, keys: &[u64]) -> Event {
    Event {
        from_address: address(from),
        content: EventContent {
            keys: keys.iter().map(|key| EventKey(felt(*key))).collect(),
            data: EventData(vec![Felt::MAX, Felt::ZERO]),
        },
    }
}

pub fn receipt(transaction: &StoredTransaction, events: Vec<Event>) -> StoredReceipt {
    StoredReceipt {
        transaction_hash: transaction.hash,
        execution_status: TransactionExecutionStatus::Succeeded,
        actual_fee: Fee(u128::from(u64::MAX) + 5),
        fee_unit: FeeUnit::Fri,
        events,
        messages_sent: Vec::new(),
        gas_consumed: GasVector {
            l1_gas: GasAmount(0),
            l1_data_gas: GasAmount(128),
            l2_gas: GasAmount(1_234_567),
        },
        da_gas: GasVector::default(),
        contract_address: None,
    }
}

/// Writes the chain. `classes` are the class hash and compiled class hash of a class whose code is in the
/// object store; it is declared by the genesis block too.
pub async fn write(folder: &Path, class: Option<(ClassHash, CompiledClassHash)>) -> ChainStore {
    let url = format!("sqlite://{}", folder.join("chain.db").display());
    let store = ChainStore::connect(&url, ChainStoreLimits::default()).await.unwrap();
    store.ensure_chain(&ChainId::from(CHAIN.to_owned())).await.unwrap();

    let mut genesis = ThinStateDiff {
        deployed_contracts: IndexMap::from([
            (address(ACCOUNT), ClassHash(felt(CLASS))),
            (address(OTHER), ClassHash(felt(CLASS))),
            (address(TOKEN), ClassHash(felt(CLASS))),
        ]),
        storage_diffs: IndexMap::from([(
            address(TOKEN),
            IndexMap::from([(storage_key(BALANCE_KEY), felt(BALANCE)), (storage_key(1), felt(2))]),
        )]),
        class_hash_to_compiled_class_hash: IndexMap::from([(
            ClassHash(felt(CLASS)),
            CompiledClassHash(felt(COMPILED)),
        )]),
        ..ThinStateDiff::default()
    };
    if let Some((class_hash, compiled)) = class {
        genesis.class_hash_to_compiled_class_hash.insert(class_hash, compiled);
        genesis.deployed_contracts.insert(address(0x9999), class_hash);
    }
    let roots = commit(&store, 0, StateRoots::default(), Vec::new(), Vec::new(), genesis).await;

    let (first, second, third) = (invoke(INVOKE, 0), declare(), stored(DEPLOY, deploy_account()));
    let events =
        vec![event(TOKEN, &[1, 2]), event(TOKEN, &[1, 3]), event(OTHER, &[1]), event(OTHER, &[])];
    let mut invoked = receipt(&first, events);
    invoked.messages_sent.push(MessageToL1 {
        from_address: address(ACCOUNT),
        to_address: EthAddress(Default::default()),
        payload: L2ToL1Payload(vec![Felt::ONE]),
    });
    let mut created = receipt(&third, Vec::new());
    created.contract_address = Some(deployed());
    let receipts = vec![invoked, receipt(&second, Vec::new()), created];
    let diff = ThinStateDiff {
        deployed_contracts: IndexMap::from([(deployed(), ClassHash(felt(CLASS)))]),
        class_hash_to_compiled_class_hash: IndexMap::from([(
            ClassHash(felt(SECOND_CLASS)),
            CompiledClassHash(felt(COMPILED)),
        )]),
        nonces: IndexMap::from([(address(ACCOUNT), Nonce(felt(2))), (deployed(), Nonce(felt(1)))]),
        ..ThinStateDiff::default()
    };
    let roots = commit(&store, 1, roots, vec![first, second, third], receipts, diff).await;

    let reverted = invoke(REVERTED, 2);
    let mut receipt = receipt(&reverted, vec![event(TOKEN, &[1, 2])]);
    receipt.execution_status =
        TransactionExecutionStatus::Reverted(RevertedTransactionExecutionStatus {
            revert_reason: "0x1 ('no')".to_owned(),
        });
    let diff = ThinStateDiff {
        deployed_contracts: IndexMap::from([(address(OTHER), ClassHash(felt(SECOND_CLASS)))]),
        storage_diffs: IndexMap::from([(
            address(TOKEN),
            IndexMap::from([(storage_key(BALANCE_KEY), Felt::ZERO)]),
        )]),
        nonces: IndexMap::from([(address(ACCOUNT), Nonce(felt(3)))]),
        ..ThinStateDiff::default()
    };
    commit(&store, 2, roots, vec![reverted], vec![receipt], diff).await;
    store
}

fn deploy_account() -> Transaction {
    Transaction::DeployAccount(DeployAccountTransaction::V3(deploy_transaction()))
}

pub fn price(fri: u128) -> GasPricePerToken {
    GasPricePerToken { price_in_fri: GasPrice(fri), price_in_wei: GasPrice(1) }
}

/// Commits a block whose roots are what the tries say.
pub async fn commit(
    store: &ChainStore,
    number: u64,
    parent_roots: StateRoots,
    transactions: Vec<StoredTransaction>,
    receipts: Vec<StoredReceipt>,
    state_diff: ThinStateDiff,
) -> StateRoots {
    let tries =
        StateTries::load(store, parent_roots, &state_diff, &AccessedKeys::default()).await.unwrap();
    let update = tries.update(&state_diff).unwrap();
    let header = BlockHeaderWithoutHash {
        parent_hash: if number == 0 {
            BlockHash::GENESIS_PARENT_HASH
        } else {
            BlockHash(block_hash(number - 1))
        },
        block_number: BlockNumber(number),
        l1_gas_price: price(40_000_000_000_000),
        l1_data_gas_price: price(200_000_000),
        l2_gas_price: price(1_000_000_000),
        state_root: update.roots.global_root(),
        sequencer: SequencerContractAddress(address(0x5e9)),
        timestamp: BlockTimestamp(1_700_000_000 + number),
        l1_da_mode: L1DataAvailabilityMode::Blob,
        starknet_version: StarknetVersion::V0_13_5,
        ..BlockHeaderWithoutHash::default()
    };
    let block = StoredBlock {
        hash: BlockHash(block_hash(number)),
        header,
        commitments: BlockHeaderCommitments::default(),
        state_roots: update.roots,
        transaction_count: transactions.len() as u64,
        event_count: receipts.iter().map(|receipt| receipt.events.len() as u64).sum(),
        state_diff_length: state_diff.len() as u64,
        finality: BlockFinality::AcceptedOnL2,
        witness_key: None,
    };
    store
        .commit_block(BlockCommit {
            block,
            transactions,
            receipts,
            state_diff,
            new_nodes: update.new_nodes,
            outbox: Vec::new(),
            removals: Vec::new(),
        })
        .await
        .unwrap();
    update.roots
}
