//! Blocks for the tests: transactions, events and state that follow from a seed, with tries that are real.

use std::collections::BTreeMap;

use sidereal_chain_store::{
    BlockCommit, BlockFinality, FeeUnit, OutboxMessage, StoredBlock, StoredReceipt,
    StoredTransaction,
};
use sidereal_patricia::state::{AccessedKeys, StateRoots, StateTries};
use sidereal_patricia::{MemoryNodes, NodeSource};
use starknet_api::block::{
    BlockHash, BlockHeaderWithoutHash, BlockNumber, BlockTimestamp, GasPrice, GasPricePerToken,
    StarknetVersion,
};
use starknet_api::core::{
    ClassHash, CompiledClassHash, ContractAddress, EthAddress, Nonce, SequencerContractAddress,
};
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::execution_resources::{GasAmount, GasVector};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_api::transaction::fields::{
    AccountDeploymentData, AllResourceBounds, Calldata, Fee, PaymasterData, ProofFacts,
    ResourceBounds, Tip, TransactionSignature, ValidResourceBounds,
};
use starknet_api::transaction::{
    Event, EventContent, EventData, EventKey, InvokeTransaction, InvokeTransactionV3,
    L2ToL1Payload, MessageToL1, RevertedTransactionExecutionStatus, Transaction,
    TransactionExecutionStatus, TransactionHash,
};
use starknet_types_core::felt::Felt;

pub fn address(number: u64) -> ContractAddress {
    Felt::from(number).try_into().unwrap()
}

pub fn cell(number: u64) -> StorageKey {
    StorageKey(Felt::from(number).try_into().unwrap())
}

pub fn block_hash(number: u64) -> BlockHash {
    BlockHash(Felt::from(0xb10c_0000 + number))
}

pub fn transaction_hash(seed: u64) -> TransactionHash {
    // Nothing that a signed number or a short column would hold.
    TransactionHash(Felt::from(seed) + Felt::TWO.pow(250_u32))
}

pub fn transaction(seed: u64) -> StoredTransaction {
    let bounds = |amount, price| ResourceBounds {
        max_amount: GasAmount(amount),
        max_price_per_unit: GasPrice(price),
    };
    let transaction = InvokeTransactionV3 {
        // All-zero bounds among them: three bounds stay three.
        resource_bounds: ValidResourceBounds::AllResources(AllResourceBounds {
            l1_gas: bounds(0, 0),
            l2_gas: bounds(seed * 1_000, u128::MAX),
            l1_data_gas: bounds(u64::MAX, 7),
        }),
        tip: Tip(seed),
        signature: TransactionSignature(vec![Felt::from(seed), -Felt::ONE].into()),
        nonce: Nonce(Felt::from(seed)),
        sender_address: address(0xacc),
        calldata: Calldata(vec![Felt::ONE, Felt::from(seed)].into()),
        nonce_data_availability_mode: DataAvailabilityMode::L1,
        fee_data_availability_mode: DataAvailabilityMode::L2,
        paymaster_data: PaymasterData(Vec::new()),
        account_deployment_data: AccountDeploymentData(Vec::new()),
        proof_facts: ProofFacts::default(),
    };
    StoredTransaction {
        hash: transaction_hash(seed),
        transaction: Transaction::Invoke(InvokeTransaction::V3(transaction)),
    }
}

pub fn event(from: u64, keys: &[u64], data: &[u64]) -> Event {
    let felts = |numbers: &[u64]| numbers.iter().map(|n| Felt::from(*n)).collect::<Vec<_>>();
    Event {
        from_address: address(from),
        content: EventContent {
            keys: felts(keys).into_iter().map(EventKey).collect(),
            data: EventData(felts(data)),
        },
    }
}

pub fn receipt(seed: u64) -> StoredReceipt {
    let keys: Vec<u64> = (0..seed % 4).map(|position| (seed + position) % 3).collect();
    let execution_status = match seed % 5 {
        4 => TransactionExecutionStatus::Reverted(RevertedTransactionExecutionStatus {
            revert_reason: "Input too long \u{1f4a5}".to_owned(),
        }),
        _ => TransactionExecutionStatus::Succeeded,
    };
    StoredReceipt {
        transaction_hash: transaction_hash(seed),
        execution_status,
        actual_fee: Fee(u128::from(seed) << 70),
        fee_unit: FeeUnit::Fri,
        events: (0..seed % 3).map(|n| event(0x70 + seed % 2 + n, &keys, &[seed, n])).collect(),
        messages_sent: vec![MessageToL1 {
            from_address: address(seed),
            to_address: EthAddress::try_from(Felt::from(0xe7)).unwrap(),
            payload: L2ToL1Payload(vec![Felt::from(seed)]),
        }],
        gas_consumed: GasVector {
            l1_gas: GasAmount(0),
            l1_data_gas: GasAmount(seed),
            l2_gas: GasAmount(u64::MAX),
        },
        da_gas: GasVector::default(),
        contract_address: seed.is_multiple_of(7).then(|| address(seed)),
    }
}

/// Changes of a block: cells that many blocks share, cells of its own, one that is cleared every other block.
pub fn state_diff(number: u64) -> ThinStateDiff {
    let mut diff = ThinStateDiff::default();
    let token = [
        (cell(1), Felt::from(number + 100)),
        (cell(1_000 + number), Felt::from(number + 1)),
        (cell(2), Felt::from(number % 2)),
    ];
    diff.storage_diffs.insert(address(0x70), token.into_iter().collect());
    diff.nonces.insert(address(0xacc), Nonce(Felt::from(number + 1)));
    if number.is_multiple_of(3) {
        diff.deployed_contracts.insert(address(0x70), ClassHash(Felt::from(0xc0 + number)));
        diff.class_hash_to_compiled_class_hash.insert(
            ClassHash(Felt::from(0xc0 + number)),
            CompiledClassHash(Felt::from(number + 1)),
        );
    }
    diff
}

/// A chain that is built block by block.
pub struct Chain {
    pub next: u64,
    pub roots: StateRoots,
    pub next_seed: u64,
}

impl Chain {
    pub fn new() -> Self {
        Self { next: 0, roots: StateRoots::default(), next_seed: 1 }
    }

    /// The next block, with `transactions` transactions, over the tries in `nodes`.
    pub async fn block(&mut self, nodes: &impl NodeSource, transactions: u64) -> BlockCommit {
        let diff = state_diff(self.next);
        let accessed = AccessedKeys::default();
        let tries = StateTries::load(nodes, self.roots, &diff, &accessed).await.unwrap();
        let update = tries.update(&diff).unwrap();
        let seeds = self.next_seed..self.next_seed + transactions;
        let commit = commit(self.next, seeds, diff, update.roots, update.new_nodes);
        self.next += 1;
        self.next_seed += transactions;
        self.roots = update.roots;
        commit
    }
}

pub fn commit(
    number: u64,
    seeds: std::ops::Range<u64>,
    state_diff: ThinStateDiff,
    state_roots: StateRoots,
    new_nodes: MemoryNodes,
) -> BlockCommit {
    let receipts: Vec<StoredReceipt> = seeds.clone().map(receipt).collect();
    let price = GasPricePerToken { price_in_fri: GasPrice(u128::MAX), price_in_wei: GasPrice(1) };
    let parent_hash = match number {
        0 => BlockHash::GENESIS_PARENT_HASH,
        _ => block_hash(number - 1),
    };
    BlockCommit {
        block: StoredBlock {
            hash: block_hash(number),
            header: BlockHeaderWithoutHash {
                parent_hash,
                block_number: BlockNumber(number),
                l1_gas_price: price,
                l1_data_gas_price: price,
                l2_gas_price: price,
                l2_gas_consumed: GasAmount(number),
                next_l2_gas_price: GasPrice(9),
                state_root: state_roots.global_root(),
                sequencer: SequencerContractAddress(address(0x5e9)),
                timestamp: BlockTimestamp(1_700_000_000 + number),
                l1_da_mode: Default::default(),
                starknet_version: StarknetVersion::V0_13_5,
                fee_proposal_fri: None,
            },
            commitments: Default::default(),
            state_roots,
            transaction_count: seeds.end - seeds.start,
            event_count: receipts.iter().map(|receipt| receipt.events.len() as u64).sum(),
            state_diff_length: state_diff.len() as u64,
            finality: BlockFinality::AcceptedOnL2,
            witness_key: (number > 0).then(|| format!("witnesses/{number}-0xb10c.bin")),
        },
        transactions: seeds.map(transaction).collect(),
        receipts,
        state_diff,
        new_nodes,
        outbox: vec![OutboxMessage {
            subject: "block.closed".to_owned(),
            payload: number.to_be_bytes().to_vec(),
            headers: BTreeMap::new(),
        }],
        removals: Vec::new(),
    }
}
